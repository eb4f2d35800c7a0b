//! Keys that the API server hands out.

use std::time::Duration;

use gavel_access::{Refusal, Settings, TokenKeys};
use serde_json::json;

use crate::api_server::ApiServer;
use crate::issuer::{Signer, claims, claims_but, jwks};
use crate::keys;

fn settings() -> Settings {
    keys::settings(TokenKeys::Cluster)
}

#[tokio::test]
async fn a_new_key_is_asked_for() {
    let api_server = ApiServer::start().await;
    let (old, new) = (Signer::new("one"), Signer::new("two"));
    *api_server.shared.keys.lock().unwrap() = jwks([&old]);
    let settings = Settings { keys_hold: Duration::ZERO, ..settings() };
    let authenticator = api_server.authenticator(settings).await;
    assert_eq!(api_server.key_requests(), 0, "not before somebody comes");
    authenticator.token(&old.sign(&claims())).await.unwrap();
    authenticator.token(&old.sign(&claims_but(&json!({"jti": "2"})))).await.unwrap();
    assert_eq!(api_server.key_requests(), 1);
    *api_server.shared.keys.lock().unwrap() = jwks([&new]);
    authenticator.token(&new.sign(&claims())).await.unwrap();
    assert_eq!(api_server.key_requests(), 2);
    // The old one is gone: what was verified is remembered for a while, what was not is refused.
    let refusal = authenticator.token(&old.sign(&claims_but(&json!({"jti": "3"})))).await.unwrap_err();
    assert_eq!(refusal.to_string(), "the token is signed with an unknown key (`kid`)");
}

#[tokio::test]
async fn invented_keys_do_not_keep_the_api_server_busy() {
    let api_server = ApiServer::start().await;
    let signer = Signer::new("one");
    *api_server.shared.keys.lock().unwrap() = jwks([&signer]);
    let settings = Settings { keys_hold: Duration::from_secs(3600), ..settings() };
    let authenticator = api_server.authenticator(settings).await;
    let invented = Signer::new("two");
    for id in 0..20 {
        let token = invented.sign(&claims_but(&json!({"jti": id})));
        assert!(matches!(authenticator.token(&token).await, Err(Refusal::Unauthenticated(_))));
    }
    authenticator.token(&signer.sign(&claims())).await.unwrap();
    assert_eq!(api_server.key_requests(), 1);
}

#[tokio::test]
async fn a_key_that_is_withdrawn() {
    let api_server = ApiServer::start().await;
    let (old, new) = (Signer::new("one"), Signer::new("two"));
    *api_server.shared.keys.lock().unwrap() = jwks([&old]);
    let settings = Settings { keys_hold: Duration::ZERO, keys_fresh: Duration::ZERO, ..settings() };
    let authenticator = api_server.authenticator(settings).await;
    authenticator.token(&old.sign(&claims())).await.unwrap();
    *api_server.shared.keys.lock().unwrap() = jwks([&new]);
    // Asked for beside: the token that brings it up may be taken yet.
    let refused = async {
        for id in 0.. {
            if authenticator.token(&old.sign(&claims_but(&json!({"jti": id})))).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), refused).await.unwrap();
}

#[tokio::test]
async fn without_an_answer() {
    let api_server = ApiServer::start().await;
    let signer = Signer::new("one");
    let settings = Settings { keys_hold: Duration::ZERO, keys_fresh: Duration::ZERO, ..settings() };
    let authenticator = api_server.authenticator(settings).await;
    for (code, body) in [(403, "{}"), (500, "gone"), (200, "no keys"), (200, r#"{"keys": []}"#)] {
        api_server.fails(Some((code, body)));
        let token = signer.sign(&claims_but(&json!({"jti": format!("{code}{body}")})));
        let refusal = authenticator.token(&token).await.unwrap_err();
        assert!(
            matches!(&refusal, Refusal::Unavailable(why) if why.contains("keys cannot be had")),
            "{refusal:?}"
        );
    }
    api_server.fails(None);
    *api_server.shared.keys.lock().unwrap() = jwks([&signer]);
    authenticator.token(&signer.sign(&claims())).await.unwrap();
    // Once there are keys they are good without an answer; what they do not know, nobody can tell.
    api_server.fails(Some((500, "gone")));
    authenticator.token(&signer.sign(&claims_but(&json!({"jti": "2"})))).await.unwrap();
    let refusal = authenticator.token(&Signer::new("two").sign(&claims())).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Unavailable(_)), "{refusal:?}");
}
