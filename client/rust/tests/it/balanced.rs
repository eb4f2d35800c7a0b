//! Replicas that are killed, hang, come back, or say that they do not serve.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gavel_client::balanced::{Dns, Resolve, Resolving, Settings, State};
use gavel_client::{Balanced, Client, Error, v1 as pb};
use tonic::Code;
use tonic_health::ServingStatus;

use crate::fake::{Behaviour, Fake};

pub(crate) const DEADLINE: Duration = Duration::from_secs(4);

/// Quick enough for a test, and still in the proportions of the defaults.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.resolve_every = Duration::from_millis(100);
    settings.probe_good_every = Duration::from_millis(200);
    settings.probe_failed_every = Duration::from_millis(50);
    settings.patience = Duration::from_millis(500);
    settings
}

pub(crate) async fn client(fakes: &[&Fake]) -> Balanced {
    let addresses: Vec<String> = fakes.iter().map(|fake| fake.address.to_string()).collect();
    let client = Balanced::with(&addresses, settings(), Arc::new(Dns)).await.unwrap();
    until(&client, |states| states.iter().all(|state| *state == State::Good)).await;
    client
}

pub(crate) async fn until(client: &Balanced, wanted: impl Fn(&[State]) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let states: Vec<State> = client.replicas().iter().map(|replica| replica.state).collect();
        if wanted(&states) {
            return;
        }
        assert!(Instant::now() < deadline, "{:?}", client.replicas());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Asks so many times, and tells who answered.
pub(crate) async fn ask(client: &Balanced, times: usize) -> BTreeSet<String> {
    let mut who = BTreeSet::new();
    for _ in 0..times {
        let answer = client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
        who.insert(answer.policy);
    }
    who
}

pub(crate) fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn attempts(error: Error) -> gavel_client::balanced::Attempts {
    match error {
        Error::Attempts(attempts) => *attempts,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn replicas_take_turns() {
    let (one, two) = (Fake::start("one"), Fake::start("two"));
    let client = client(&[&one, &two]).await;
    assert_eq!(ask(&client, 40).await, names(&["one", "two"]));
    assert_eq!((one.asked(), two.asked()), (20, 20));
    let flow = client.check_flow(pb::CheckFlowRequest::default(), DEADLINE).await.unwrap();
    assert!(!flow.reason.is_empty());
}

/// Whoever is busy gets no more than who is not.
#[tokio::test]
async fn fewest_in_flight_is_asked_first() {
    let (busy, idle) = (Fake::start("busy"), Fake::start("idle"));
    let client = client(&[&busy, &idle]).await;
    busy.behave(Behaviour::Hang);
    // Two, so that one of them is asked of each; that of the idle one is over before it goes on.
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let client = client.clone();
        asking.spawn(async move { client.admit(pb::AdmitRequest::default(), DEADLINE).await });
    }
    asking.join_next().await.unwrap().unwrap().unwrap();
    let asked = busy.asked();
    assert_eq!(ask(&client, 20).await, names(&["idle"]));
    assert_eq!(busy.asked(), asked);
    asking.abort_all();
}

/// Under a stream of calls one of two is killed: every call is answered, and well within its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_killed_and_comes_back() {
    let (mut one, two) = (Fake::start("one"), Fake::start("two"));
    let client = client(&[&one, &two]).await;
    let stream: Vec<_> = (0..8)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut slowest = Duration::ZERO;
                for _ in 0..200 {
                    let started = Instant::now();
                    client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap();
                    slowest = slowest.max(started.elapsed());
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                slowest
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    one.kill();
    for task in stream {
        assert!(task.await.unwrap() < DEADLINE / 2, "it was passed over, not waited for");
    }
    until(&client, |states| states.contains(&State::Failed)).await;
    assert_eq!(ask(&client, 10).await, names(&["two"]));

    let back = Fake::start_at("back", one.address);
    until(&client, |states| states.iter().all(|state| *state == State::Good)).await;
    assert_eq!(ask(&client, 10).await, names(&["back", "two"]));
    drop(back);
}

/// One that hangs gets half of the time, and is passed over afterwards.
#[tokio::test]
async fn one_hangs() {
    let (one, two) = (Fake::start("one"), Fake::start("two"));
    let client = client(&[&one, &two]).await;
    one.behave(Behaviour::Hang);
    let deadline = Duration::from_millis(800);
    let mut slowest = Duration::ZERO;
    for _ in 0..2 {
        let started = Instant::now();
        let answer = client.admit(pb::AdmitRequest::default(), deadline).await.unwrap();
        slowest = slowest.max(started.elapsed());
        assert_eq!(answer.policy, "two");
    }
    assert!(slowest >= deadline / 2 - Duration::from_millis(20) && slowest < deadline, "{slowest:?}");
}

#[tokio::test]
async fn all_hang() {
    let (one, two) = (Fake::start("one"), Fake::start("two"));
    let client = client(&[&one, &two]).await;
    one.behave(Behaviour::Hang);
    two.behave(Behaviour::Hang);
    let deadline = Duration::from_millis(600);
    let started = Instant::now();
    let error = client.admit(pb::AdmitRequest::default(), deadline).await.unwrap_err();
    let took = started.elapsed();
    // Timers run in milliseconds, and gRPC's header rounds down.
    assert!(took >= deadline - Duration::from_millis(20) && took < deadline * 3, "{took:?}");
    assert!(error.is_retryable());
    let attempts = attempts(error);
    let addresses: BTreeSet<_> = attempts.attempts.iter().map(|attempt| attempt.address.clone()).collect();
    assert_eq!(addresses, [one.address, two.address].iter().map(ToString::to_string).collect());
    assert!(attempts.attempts.iter().all(|attempt| attempt.code == Code::DeadlineExceeded), "{attempts:?}");
}

/// A server that says that it does not serve gets no calls, as long as others serve; if nobody does, it is asked.
#[tokio::test]
async fn one_does_not_serve() {
    let (one, two) = (Fake::start("one"), Fake::start("two"));
    let client = client(&[&one, &two]).await;
    one.says(ServingStatus::NotServing).await;
    until(&client, |states| states.contains(&State::NotServing)).await;
    assert_eq!(ask(&client, 10).await, names(&["two"]));
    two.says(ServingStatus::NotServing).await;
    until(&client, |states| states.iter().all(|state| *state == State::NotServing)).await;
    assert_eq!(ask(&client, 10).await, names(&["one", "two"]));
    one.says(ServingStatus::Serving).await;
    until(&client, |states| states.contains(&State::Good)).await;
    assert_eq!(ask(&client, 10).await, names(&["one"]));
}

#[tokio::test]
async fn only_what_is_safe_is_asked_again() {
    // The code; whether the other replica is asked; whether the one that said so is passed over.
    let cases = [
        (Code::Unavailable, true, true),
        (Code::ResourceExhausted, true, false),
        (Code::DeadlineExceeded, true, false),
        (Code::InvalidArgument, false, false),
        (Code::OutOfRange, false, false),
        (Code::Internal, false, false),
        (Code::Unimplemented, false, false),
        (Code::PermissionDenied, false, false),
    ];
    for (code, is_asked_again, is_passed_over) in cases {
        let (one, two) = (Fake::start("one"), Fake::start("two"));
        let client = client(&[&one, &two]).await;
        one.behave(Behaviour::Fail(code));
        two.behave(Behaviour::Fail(code));
        let error = client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap_err();
        let failed = client.replicas().iter().any(|replica| replica.state == State::Failed);
        assert_eq!(failed, is_passed_over, "{code:?}");
        assert_eq!(one.asked() + two.asked(), if is_asked_again { 3 } else { 1 }, "{code:?}");
        assert_eq!(client.retries(), if is_asked_again { 2 } else { 0 }, "{code:?}");
        assert_eq!(error.is_retryable(), is_asked_again, "{error}");
        if code == Code::InvalidArgument {
            assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        } else {
            assert!(error.to_string().contains("was told to fail"), "{error}");
            assert_eq!(attempts(error).code(), code);
        }
    }
}

#[tokio::test]
async fn nobody_is_there() {
    let mut gone = Fake::start("gone");
    gone.kill();
    let addresses = [gone.address.to_string(), "unix:/nonexistent/gavel.sock".to_owned()];
    let client = Balanced::with(&addresses, settings(), Arc::new(Dns)).await.unwrap();
    let started = Instant::now();
    let error = client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap_err();
    assert!(started.elapsed() < DEADLINE, "a refused connection is not waited for");
    let text = error.to_string();
    assert!(text.contains(&addresses[0]) && text.contains(&addresses[1]), "{text}");
    assert!(text.contains("refused") && text.contains("No such file"), "{text}");
    assert!(
        text.contains("(2 times)") && text.matches("; ").count() == 1,
        "one of them was asked twice: {text}"
    );
    assert!(attempts(error).is_unavailable());
}

/// What a name stands for; changed by the test.
#[derive(Debug, Default)]
struct Names(Mutex<Vec<SocketAddr>>);

impl Resolve for Names {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        assert_eq!((host, port), ("gavel.test", 9470));
        let found = self.0.lock().unwrap().clone();
        Box::pin(async move {
            if found.is_empty() { Err(std::io::Error::other("no such name")) } else { Ok(found) }
        })
    }
}

#[tokio::test]
async fn names_are_followed() {
    let (one, two) = (Fake::start("one"), Fake::start("two"));
    let resolve = Arc::new(Names::default());
    let client = Balanced::with(&["gavel.test:9470"], settings(), resolve.clone()).await.unwrap();
    let error = client.admit(pb::AdmitRequest::default(), DEADLINE).await.unwrap_err();
    assert!(error.to_string().contains("gavel.test cannot be resolved: no such name"), "{error}");

    *resolve.0.lock().unwrap() = vec![one.address];
    until(&client, |states| states == [State::Good]).await;
    assert_eq!(ask(&client, 4).await, names(&["one"]));
    assert!(client.unresolved().is_empty());
    *resolve.0.lock().unwrap() = vec![one.address, two.address];
    until(&client, |states| states == [State::Good, State::Good]).await;
    assert_eq!(ask(&client, 4).await, names(&["one", "two"]));
    *resolve.0.lock().unwrap() = vec![two.address];
    until(&client, |states| states == [State::Good]).await;
    assert_eq!(ask(&client, 4).await, names(&["two"]));
    // That the resolver fails says nothing about the servers.
    resolve.0.lock().unwrap().clear();
    let deadline = Instant::now() + Duration::from_secs(20);
    while client.unresolved().is_empty() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(ask(&client, 4).await, names(&["two"]));
}

#[tokio::test]
async fn addresses() {
    for wrong in ["", "nonsense", "ftp://x:1", "unix:", "http://x:1/path", ":1", "x:y"] {
        let error = Balanced::new(&[wrong]).await.unwrap_err();
        assert!(matches!(error, Error::Address { .. }), "{wrong}: {error:?}");
    }
    let none: [&str; 0] = [];
    assert!(Balanced::new(&none).await.is_err());
    // Names, and every way to write an address.
    let one = Fake::start("one");
    let port = one.address.port();
    for good in
        [format!("localhost:{port}"), format!("http://127.0.0.1:{port}/"), format!("127.0.0.1:{port}")]
    {
        let client = Balanced::with(&[&good], settings(), Arc::new(Dns)).await.unwrap();
        assert_eq!(ask(&client, 1).await, names(&["one"]), "{good}");
    }
}

/// Dropping the last clone ends what watches the replicas.
#[tokio::test]
async fn nothing_is_left_running() {
    let one = Fake::start("one");
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let client = client(&[&one]).await;
    ask(&client, 1).await;
    drop(client);
    let deadline = Instant::now() + Duration::from_secs(20);
    while tokio::runtime::Handle::current().metrics().num_alive_tasks() > before {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn revisions_are_watched() {
    let one = Fake::start("one");
    let client = Client::connect(&one.address.to_string()).await.unwrap();
    let mut stream = client.watch_snapshot().await.unwrap();
    let mut revisions = Vec::new();
    while let Some(revision) = stream.message().await.unwrap() {
        revisions.push(revision.revision);
    }
    assert_eq!(revisions, [1, 2]);
}
