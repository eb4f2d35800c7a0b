//! Tokens that the API server is asked about.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gavel_access::{Authenticator, Method, Refusal, Settings, TokenKeys};
use serde_json::json;

use crate::api_server::{ApiServer, good};
use crate::issuer::{Signer, claims, claims_but, jwks, now};
use crate::keys;

fn settings() -> Settings {
    Settings { token_review: true, ..Settings::default() }
}

async fn refusal(authenticator: &Authenticator, token: &str) -> Refusal {
    authenticator.token(token).await.unwrap_err()
}

#[tokio::test]
async fn whose_a_token_is() {
    let api_server = ApiServer::start().await;
    let authenticator = api_server.authenticator(settings()).await;
    api_server.knows("opaque", good("alice", &["dev", "system:authenticated"]));
    let caller = authenticator.token("opaque").await.unwrap();
    assert_eq!((caller.user.name.as_str(), caller.method), ("alice", Method::Token));
    assert_eq!(caller.user.groups, ["dev", "system:authenticated"]);
    assert_eq!(caller.expires, None);
    authenticator.token("opaque").await.unwrap();
    assert_eq!(*api_server.shared.reviews.borrow(), [json!(["gavel"])], "asked once, for this audience");
    // A group that everybody is in, and the time that a JSON Web Token tells.
    let token = Signer::new("one").sign(&claims());
    api_server.knows(&token, good("bob", &[]));
    let caller = authenticator.token(&token).await.unwrap();
    assert_eq!(caller.user.groups, ["system:authenticated"]);
    assert!(caller.expires.unwrap() > SystemTime::now());
}

#[tokio::test]
async fn tokens_that_are_not_taken() {
    let api_server = ApiServer::start().await;
    let authenticator = api_server.authenticator(settings()).await;
    let for_vault = Signer::new("one").sign(&claims_but(&json!({"aud": ["vault"]})));
    for (token, status, why) in [
        ("t0ken.unknown", None, "the API server does not take the token, for gavel"),
        ("t0ken.no", Some(json!({"authenticated": false})), "does not take the token"),
        ("t0ken.neither", Some(json!({})), "does not take the token"),
        (&for_vault, None, "the token is for another audience: here it has to be for gavel"),
        (
            "t0ken.for-somebody-else",
            Some(json!({"authenticated": true, "audiences": ["vault"], "user": {"username": "eve"}})),
            "for another audience",
        ),
        (
            "t0ken.for-the-api-server",
            Some(json!({"authenticated": true, "user": {"username": "eve"}})),
            "for another audience",
        ),
        (
            "t0ken.nobody",
            Some(json!({"authenticated": true, "audiences": ["gavel"], "user": {}})),
            "names nobody",
        ),
        ("t0ken.without-user", Some(json!({"authenticated": true, "audiences": ["gavel"]})), "names nobody"),
    ] {
        if let Some(status) = status {
            api_server.knows(token, status);
        }
        let Refusal::Unauthenticated(said) = refusal(&authenticator, token).await else { panic!("{token}") };
        assert!(said.contains(why), "{token}: {said}");
        assert!(!said.contains("invalidated") && !said.contains(token), "{said}");
    }
    // Nobody needs to be asked about what says itself that it is over.
    let asked = api_server.reviews();
    let expired = Signer::new("one").sign(&claims_but(&json!({"exp": now() - 60})));
    assert_eq!(
        refusal(&authenticator, &expired).await,
        Refusal::Unauthenticated("the token has expired".to_owned())
    );
    assert_eq!(api_server.reviews(), asked);
    assert_eq!(authenticator.cache_counts().refused, 9);
}

#[tokio::test]
async fn an_api_server_that_cannot_tell() {
    let api_server = ApiServer::start().await;
    let authenticator = api_server.authenticator(settings()).await;
    let status = |code: u16| {
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "X", "message": "m"})
            .to_string()
    };
    for (number, (code, body)) in [
        (401, status(401)),
        (403, status(403)),
        (404, "not here".to_owned()),
        (429, status(429)),
        (500, String::new()),
        (201, "<html>".to_owned()),
        (201, "{}".to_owned()),
        (201, json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "metadata": {}, "spec": {"token": "x"}}).to_string()),
        (201, json!({"status": {"authenticated": "yes"}}).to_string()),
    ]
    .into_iter()
    .enumerate()
    {
        api_server.fails(Some((code, &body)));
        let refusal = refusal(&authenticator, &format!("token-{number}")).await;
        assert!(matches!(&refusal, Refusal::Unavailable(why) if why.contains("the API server cannot be asked")), "{refusal:?}");
    }
    assert_eq!(authenticator.cache_counts().errors, 9);
    // Nothing of it lasts.
    api_server.fails(None);
    api_server.knows("good", good("alice", &[]));
    authenticator.token("good").await.unwrap();
}

#[tokio::test]
async fn an_api_server_that_is_slow_or_gone() {
    let api_server = ApiServer::start().await;
    let settings = Settings { timeout: Duration::from_millis(200), ..settings() };
    let authenticator = api_server.authenticator(settings).await;
    let all = api_server.shared.gate.acquire_many(1000).await.unwrap();
    assert!(matches!(refusal(&authenticator, "slow").await, Refusal::Unavailable(_)));
    drop(all);
    drop(api_server);
    assert!(matches!(refusal(&authenticator, "gone").await, Refusal::Unavailable(_)));
}

#[tokio::test]
async fn a_burst_asks_once() {
    let api_server = ApiServer::start().await;
    let authenticator = Arc::new(api_server.authenticator(settings()).await);
    api_server.knows("opaque", good("alice", &[]));
    let all = api_server.shared.gate.acquire_many(1000).await.unwrap();
    let ask = || {
        let authenticator = authenticator.clone();
        tokio::spawn(async move { authenticator.token("opaque").await })
    };
    let burst: Vec<_> = (0..100).map(|_| ask()).collect();
    api_server.until_reviews(1).await;
    // Whoever asked first goes away: somebody else asks in their stead.
    burst[0].abort();
    drop(all);
    let mut answered = 0;
    for asked in burst {
        match asked.await {
            Ok(caller) => {
                assert_eq!(caller.unwrap().user.name, "alice");
                answered += 1;
            }
            Err(gone) => assert!(gone.is_cancelled()),
        }
    }
    assert!(answered >= 99 && api_server.reviews() <= 2, "{answered} {}", api_server.reviews());
    let counts = authenticator.cache_counts();
    assert_eq!((counts.misses, counts.hits + counts.misses, counts.entries), (1, answered, 1), "{counts:?}");
}

#[tokio::test]
async fn invented_tokens_do_not_keep_the_api_server_busy() {
    let api_server = ApiServer::start().await;
    let settings = Settings { reviews_in_flight: 2, ..settings() };
    let authenticator = Arc::new(api_server.authenticator(settings).await);
    let all = api_server.shared.gate.acquire_many(1000).await.unwrap();
    let ask = |number: usize| {
        let authenticator = authenticator.clone();
        tokio::spawn(async move { authenticator.token(&format!("junk-{number}")).await.is_err() })
    };
    let junk: Vec<_> = (0..20).map(ask).collect();
    api_server.until_reviews(2).await;
    drop(all);
    for asked in junk {
        assert!(asked.await.unwrap());
    }
    assert_eq!(api_server.shared.at_a_time.lock().unwrap().1, 2);
    assert_eq!(api_server.reviews(), 20);
}

#[tokio::test]
async fn keys_first_and_then_the_api_server() {
    let (api_server, folder) = (ApiServer::start().await, tempfile::tempdir().unwrap());
    let (known, unknown) = (Signer::new("one"), Signer::new("two"));
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks([&known])).unwrap();
    let settings = Settings { token_review: true, ..keys::settings(TokenKeys::File(file)) };
    let authenticator = api_server.authenticator(settings).await;
    // What the keys know, good or bad, nobody is asked about.
    authenticator.token(&known.sign(&claims())).await.unwrap();
    for (changes, why) in [
        (json!({"aud": "vault"}), "another audience"),
        (json!({"exp": now() - 60}), "expired"),
        (json!({"sub": "root"}), "not the service account"),
    ] {
        let token = known.sign(&claims_but(&changes));
        api_server.knows(&token, good("root", &[]));
        let refusal = refusal(&authenticator, &token).await;
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
    let forged = Signer::new("one").sign(&claims());
    api_server.knows(&forged, good("root", &[]));
    assert_eq!(refusal(&authenticator, &forged).await.to_string(), "the token's signature is wrong");
    assert_eq!(api_server.reviews(), 0);
    // What they do not know.
    for token in [
        unknown.sign(&claims()),
        known.sign(&claims_but(&json!({"iss": "https://elsewhere"}))),
        "opaque".to_owned(),
    ] {
        api_server.knows(&token, good("alice", &[]));
        assert_eq!(authenticator.token(&token).await.unwrap().user.name, "alice");
    }
    assert_eq!(api_server.reviews(), 3);
    assert!(refusal(&authenticator, "unknown").await.to_string().contains("does not take the token"));
}

/// Neither in what is told, nor in what a log might hold of the parts.
#[tokio::test]
async fn no_token_is_told_of() {
    let api_server = ApiServer::start().await;
    let settings = Settings { token_review: true, ..keys::settings(TokenKeys::Cluster) };
    let authenticator = api_server.authenticator(settings).await;
    *api_server.shared.keys.lock().unwrap() = jwks([&Signer::new("one")]);
    let token = Signer::new("one").sign(&claims());
    let told = format!("{:?} {authenticator:?}", authenticator.token(&token).await);
    let opaque = "verysecretopaquetoken";
    let told = format!("{told} {:?} {authenticator:?}", authenticator.token(opaque).await);
    for part in token.split('.').chain([opaque]) {
        assert!(!told.contains(part), "{told}");
    }
}
