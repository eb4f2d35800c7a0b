//! Tokens that are verified with keys of a file, through the whole.

use std::sync::Arc;
use std::time::Duration;

use gavel_access::{Authenticator, CacheCounts, Error, Method, Refusal, Settings, TokenKeys};
use serde_json::json;
use tempfile::TempDir;

use crate::issuer::{ISSUER, Signer, claims, claims_but, jwks, now};

pub(crate) fn settings(keys: TokenKeys) -> Settings {
    Settings {
        token_keys: Some(keys),
        token_issuer: Some(ISSUER.to_owned()),
        reload_interval: Duration::from_millis(5),
        ..Settings::default()
    }
}

fn write(folder: &TempDir, content: &str) -> TokenKeys {
    let path = folder.path().join("jwks.json");
    std::fs::write(path.with_extension("draft"), content).unwrap();
    std::fs::rename(path.with_extension("draft"), &path).unwrap();
    TokenKeys::File(path)
}

fn refused(result: Result<Arc<gavel_access::Caller>, Refusal>) -> String {
    match result {
        Err(Refusal::Unauthenticated(why)) => why,
        other => format!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_token_is_verified_once() {
    let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("one"));
    let authenticator = Authenticator::new(settings(write(&folder, &jwks([&signer]))), None).await.unwrap();
    let token = signer.sign(&claims());
    let first = authenticator.token(&token).await.unwrap();
    assert_eq!(first.user.name, "system:serviceaccount:kube-system:agent");
    assert_eq!(first.method, Method::Token);
    assert!(first.expires.is_some());
    assert!(Arc::ptr_eq(&first, &authenticator.token(&token).await.unwrap()), "one caller, and its rights");
    let expired = signer.sign(&claims_but(&json!({"exp": now() - 60})));
    for _ in 0..2 {
        assert_eq!(refused(authenticator.token(&expired).await), "the token has expired");
    }
    let expected = CacheCounts { hits: 1, misses: 1, refused: 2, errors: 0, entries: 2 };
    assert_eq!(authenticator.cache_counts(), expected);
}

#[tokio::test]
async fn a_token_is_not_remembered_for_longer_than_it_is_good() {
    let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("one"));
    let authenticator = Authenticator::new(settings(write(&folder, &jwks([&signer]))), None).await.unwrap();
    // With what clocks may be apart it is good for some seconds more.
    let token = signer.sign(&claims_but(&json!({"exp": now() - 4})));
    let caller = authenticator.token(&token).await.unwrap();
    let left = caller.expires.unwrap().duration_since(std::time::SystemTime::now()).unwrap();
    assert!(left < Settings::default().remember_good);
    tokio::time::sleep(left + Duration::from_millis(50)).await;
    assert_eq!(refused(authenticator.token(&token).await), "the token has expired");
}

#[tokio::test]
async fn what_can_be_seen_at_a_glance() {
    let (folder, signer) = (tempfile::tempdir().unwrap(), Signer::new("one"));
    let authenticator = Authenticator::new(settings(write(&folder, &jwks([&signer]))), None).await.unwrap();
    let good = signer.sign(&claims());
    for (token, why) in [
        (String::new(), "is empty"),
        ("a".repeat(16 * 1024 + 1), "longer than 16384 bytes"),
        (format!("{good}\n"), "characters"),
        (format!("{good} "), "characters"),
        (format!("{good}\u{e9}"), "characters"),
        ("junk".to_owned(), "no JSON Web Token"),
    ] {
        let said = refused(authenticator.token(&token).await);
        assert!(said.contains(why), "{said}");
    }
    assert_eq!(authenticator.cache_counts().entries, 1, "only what was looked at is remembered");
}

#[tokio::test]
async fn the_file_is_followed() {
    let (folder, old, new) = (tempfile::tempdir().unwrap(), Signer::new("one"), Signer::new("two"));
    let authenticator = Authenticator::new(settings(write(&folder, &jwks([&old]))), None).await.unwrap();
    assert!(refused(authenticator.token(&new.sign(&claims())).await).contains("unknown key"));
    // What cannot be used changes nothing.
    write(&folder, "{}");
    write(&folder, &jwks([&new]));
    let taken = async {
        for id in 0.. {
            // A token of its own each time: what was refused is remembered.
            let token = new.sign(&claims_but(&json!({"jti": id})));
            if authenticator.token(&token).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), taken).await.unwrap();
    assert!(refused(authenticator.token(&old.sign(&claims())).await).contains("unknown key"));
}

#[tokio::test]
async fn settings_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let good = settings(write(&folder, &jwks([&Signer::new("one")])));
    assert!(good.check().is_empty());
    let with = |adapt: fn(&mut Settings)| {
        let mut settings = good.clone();
        adapt(&mut settings);
        settings
    };
    for (settings, why) in [
        (with(|s| s.token_issuer = None), "--token-keys needs --token-issuer"),
        (with(|s| s.token_issuer = Some(String::new())), "--token-keys needs --token-issuer"),
        (with(|s| s.token_audiences = Vec::new()), "--token-audience"),
        (with(|s| s.token_audiences = vec![String::new()]), "--token-audience"),
        (
            with(|s| s.spiffe_trust_domain = Some("Example.org".to_owned())),
            "--spiffe-trust-domain \"Example.org\"",
        ),
        (with(|s| s.spiffe_trust_domain = Some(String::new())), "--spiffe-trust-domain"),
        (with(|s| s.token_keys = Some(TokenKeys::File("missing.json".into()))), "--token-keys missing.json"),
    ] {
        let [error] = &settings.check()[..] else { panic!("{why}") };
        let error = error.to_string();
        assert!(error.contains(why), "{error}");
        let error = Authenticator::new(settings, None).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    for adapt in [(|s| s.token_review = true) as fn(&mut Settings), |s| {
        s.token_keys = Some("cluster".parse().unwrap());
    }] {
        let error = Authenticator::new(with(adapt), None).await.unwrap_err();
        assert!(matches!(error, Error::NoCluster { .. }), "{error}");
    }
    // Nobody takes tokens.
    let authenticator = Authenticator::new(Settings::default(), None).await.unwrap();
    assert!(refused(authenticator.token("x").await).contains("tokens are not taken here"));
}
