//! An API server of a test: TokenReviews and keys, answered as the test says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use gavel_access::{Authenticator, Settings};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What an API server answers.
pub(crate) struct ApiServer {
    pub(crate) shared: Arc<Shared>,
    client: kube::Client,
    _stop: DropGuard,
}

pub(crate) struct Shared {
    /// The status of each token's review; what is not here gets the answer of an unknown token.
    pub(crate) tokens: Mutex<HashMap<String, Value>>,
    /// Instead of an answer: a status code and a body.
    pub(crate) failure: Mutex<Option<(u16, String)>>,
    pub(crate) keys: Mutex<String>,
    /// Reviews wait here.
    pub(crate) gate: Semaphore,
    /// Audiences of each review that came.
    pub(crate) reviews: watch::Sender<Vec<Value>>,
    /// How many reviews were there at a time, now and at most.
    pub(crate) at_a_time: Mutex<(usize, usize)>,
    pub(crate) key_requests: watch::Sender<usize>,
}

impl ApiServer {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared {
            tokens: Mutex::default(),
            failure: Mutex::default(),
            keys: Mutex::default(),
            gate: Semaphore::new(1000),
            reviews: watch::channel(Vec::new()).0,
            at_a_time: Mutex::default(),
            key_requests: watch::channel(0).0,
        });
        let router = Router::new()
            .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
            .route("/openid/v1/jwks", get(keys))
            .with_state(shared.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(async { axum::serve(listener, router).with_graceful_shutdown(stopped).await });
        let mut config = kube::Config::new(format!("http://{address}").parse().unwrap());
        config.default_retry = false;
        Self { shared, client: kube::Client::try_from(config).unwrap(), _stop: stop.drop_guard() }
    }

    pub(crate) async fn authenticator(&self, settings: Settings) -> Authenticator {
        Authenticator::new(settings, Some(self.client.clone())).await.unwrap()
    }

    /// From now on this token gets this status.
    pub(crate) fn knows(&self, token: &str, status: Value) {
        self.shared.tokens.lock().unwrap().insert(token.to_owned(), status);
    }

    pub(crate) fn fails(&self, failure: Option<(u16, &str)>) {
        *self.shared.failure.lock().unwrap() = failure.map(|(code, body)| (code, body.to_owned()));
    }

    pub(crate) fn reviews(&self) -> usize {
        self.shared.reviews.borrow().len()
    }

    pub(crate) fn key_requests(&self) -> usize {
        *self.shared.key_requests.borrow()
    }

    pub(crate) async fn until_reviews(&self, count: usize) {
        self.shared.reviews.subscribe().wait_for(|reviews| reviews.len() >= count).await.unwrap();
    }
}

/// The status of a good token of this user.
pub(crate) fn good(name: &str, groups: &[&str]) -> Value {
    json!({"authenticated": true, "audiences": ["gavel"], "user": {"username": name, "uid": "1", "groups": groups}})
}

async fn review(State(shared): State<Arc<Shared>>, body: Bytes) -> (StatusCode, String) {
    let mut review: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&review["apiVersion"], &review["kind"]),
        (&json!("authentication.k8s.io/v1"), &json!("TokenReview"))
    );
    {
        let mut at_a_time = shared.at_a_time.lock().unwrap();
        at_a_time.0 += 1;
        at_a_time.1 = at_a_time.1.max(at_a_time.0);
    }
    shared.reviews.send_modify(|reviews| reviews.push(review["spec"]["audiences"].clone()));
    drop(shared.gate.acquire().await.unwrap());
    shared.at_a_time.lock().unwrap().0 -= 1;
    if let Some((code, body)) = shared.failure.lock().unwrap().clone() {
        return (StatusCode::from_u16(code).unwrap(), body);
    }
    let token = review["spec"]["token"].as_str().unwrap();
    let unknown = || json!({"user": {}, "error": format!("[invalid bearer token {token}, Token has been invalidated]")});
    review["status"] = shared.tokens.lock().unwrap().get(token).cloned().unwrap_or_else(unknown);
    (StatusCode::CREATED, review.to_string())
}

async fn keys(State(shared): State<Arc<Shared>>) -> (StatusCode, String) {
    shared.key_requests.send_modify(|count| *count += 1);
    match shared.failure.lock().unwrap().clone() {
        Some((code, body)) => (StatusCode::from_u16(code).unwrap(), body),
        None => (StatusCode::OK, shared.keys.lock().unwrap().clone()),
    }
}
