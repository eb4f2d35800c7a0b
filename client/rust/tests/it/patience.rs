//! Servers that are overloaded, and say when they may be asked again.

use std::time::{Duration, Instant};

use gavel_client::{Client, v1 as pb};
use tonic::Code;

use crate::balanced::{DEADLINE, ask, attempts, client, names};
use crate::fake::{Behaviour, Fake};

#[tokio::test]
async fn another_one_at_once_the_same_one_later() {
    let (one, two) = (Fake::start("one"), Fake::start("two"));
    let client = client(&[&one, &two]).await;
    one.behave(Behaviour::Patience(Duration::from_secs(20)));
    let started = Instant::now();
    assert_eq!(ask(&client, 20).await, names(&["two"]));
    assert!(started.elapsed() < Duration::from_secs(10), "nobody waited");
    assert_eq!(one.asked(), 1, "left alone for as long as it said");

    // Nobody is free in time: told at once, and nobody is asked.
    two.behave(Behaviour::Patience(Duration::from_secs(20)));
    for index in 0..3 {
        let started = Instant::now();
        let error = client.admit(pb::AdmitRequest::default(), Duration::from_secs(10)).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(5), "not waited for");
        assert!(error.is_retryable());
        let attempts = attempts(error);
        assert_eq!(attempts.code(), Code::ResourceExhausted, "{attempts}");
        if index > 0 {
            assert!(attempts.to_string().contains("overloaded; not asked for another"), "{attempts}");
        }
    }
    assert_eq!((one.asked(), two.asked()), (1, 21));
}

#[tokio::test]
async fn waited_for_where_there_is_time() {
    let one = Fake::start("one");
    let client = client(&[&one]).await;
    one.behave(Behaviour::Patience(Duration::from_millis(300)));
    let answering = tokio::spawn(async move {
        let started = Instant::now();
        client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
        started.elapsed()
    });
    until_asked(&one, 1).await;
    one.behave(Behaviour::Answer);
    let took = answering.await.unwrap();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert_eq!(one.asked(), 2);
}

#[tokio::test]
async fn of_one_server() {
    let one = Fake::start("one");
    let client = Client::connect(&one.address.to_string()).await.unwrap();
    one.behave(Behaviour::Patience(Duration::from_secs(20)));
    let started = Instant::now();
    assert!(client.admit(pb::AdmitRequest::default()).await.unwrap_err().is_retryable());
    assert!(started.elapsed() < Duration::from_secs(4), "too late to be waited for");
    assert_eq!(one.asked(), 1);
    one.behave(Behaviour::Patience(Duration::from_millis(300)));
    let answering = tokio::spawn(async move {
        let started = Instant::now();
        client.admit(pb::AdmitRequest::default()).await.unwrap();
        started.elapsed()
    });
    until_asked(&one, 2).await;
    one.behave(Behaviour::Answer);
    assert!(answering.await.unwrap() >= Duration::from_millis(300));
}

async fn until_asked(fake: &Fake, times: usize) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while fake.asked() < times {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
