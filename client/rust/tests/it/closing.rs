//! Connections that come of age under load: no call fails by it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gavel_client::balanced::{Dns, State};
use gavel_client::{Balanced, Client, v1 as pb};

use crate::balanced::{DEADLINE, settings};
use crate::certificates::Authority;
use crate::fake::{Fake, Serving};

/// How long there is load: several times the age.
const LOAD: Duration = Duration::from_secs(5);

fn aging(authority: &Authority) -> Fake {
    let tls = Some(authority.serves("127.0.0.1"));
    Fake::serve("fake", Serving { tls, max_age: Some(Duration::from_secs(1)), ..Serving::default() })
}

/// Calls as fast as they go, eight at a time; gives how many there were.
async fn load(ask: impl AsyncFn() + Clone + Send + 'static) -> usize {
    let until = Instant::now() + LOAD;
    let callers = (0..8).map(|_| {
        let ask = ask.clone();
        async move {
            let mut calls = 0;
            while Instant::now() < until {
                ask().await;
                calls += 1;
            }
            calls
        }
    });
    let mut sum = 0;
    let mut callers: Vec<_> = callers.map(Box::pin).collect();
    let all = std::future::poll_fn(|context| {
        callers.retain_mut(|caller| match caller.as_mut().poll(context) {
            std::task::Poll::Ready(calls) => {
                sum += calls;
                false
            }
            std::task::Poll::Pending => true,
        });
        if callers.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    all.await;
    sum
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_all_replicas() {
    let authority = Authority::new("one");
    let (one, two) = (aging(&authority), aging(&authority));
    let mut settings = settings();
    settings.security = authority.trusted();
    let addresses = [one.address.to_string(), two.address.to_string()];
    let client = Balanced::with(&addresses, settings, Arc::new(Dns)).await.unwrap();
    let asking = client.clone();
    let calls = load(async move || {
        asking.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
    })
    .await;
    assert!(calls > 100, "{calls}");
    assert!(one.connections() > 2 && two.connections() > 2, "{} {}", one.connections(), two.connections());
    assert!(
        client.replicas().iter().all(|replica| replica.state != State::Failed),
        "{:?}",
        client.replicas()
    );
    println!(
        "{calls} calls, {} + {} connections, {} asked again",
        one.connections(),
        two.connections(),
        client.retries()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_one_server() {
    let authority = Authority::new("one");
    let one = aging(&authority);
    let client = Client::connect_with(&one.address.to_string(), &authority.trusted()).await.unwrap();
    let asking = client.clone();
    let calls = load(async move || {
        asking.admit(pb::AdmitRequest::default()).await.unwrap();
    })
    .await;
    assert!(calls > 100 && one.connections() > 2, "{calls} {}", one.connections());
    println!("{calls} calls, {} connections", one.connections());
}
