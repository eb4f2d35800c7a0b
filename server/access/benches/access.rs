//! What it costs to know who asks, and whether they may: `cargo bench -p gavel-access`.

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use divan::Bencher;
use gavel_access::{
    Authenticator, Call, Caller, KeySet, Method, Rights, Settings, TokenKeys, identity_of_der,
};
use gavel_engine::Snapshot;
use gavel_engine::rbac::User;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::json;

const ISSUER: &str = "https://kubernetes.default.svc";

fn main() {
    divan::main();
}

/// A key set and a token of it, as an API server with an EC key makes them.
fn signed() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let (x, y) = key.public_key_raw()[1..].split_at(32);
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let jwks = json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256",
        "x": encoded(x), "y": encoded(y)}]});
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let claims = json!({
        "iss": ISSUER, "aud": ["gavel"], "sub": "system:serviceaccount:kube-system:agent", "iat": now, "nbf": now,
        "exp": now + 3600,
        "kubernetes.io": {"namespace": "kube-system", "serviceaccount": {"name": "agent", "uid": "1"},
            "pod": {"name": "agent-x", "uid": "2"}, "node": {"name": "node-1", "uid": "3"}},
    });
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::ES256) };
    let token = encode(&header, &claims, &EncodingKey::from_ec_der(&key.serialize_der())).unwrap();
    (jwks.to_string(), token)
}

#[divan::bench]
fn a_token_that_is_remembered(bencher: Bencher<'_, '_>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (jwks, token) = signed();
    std::fs::write(folder.path().join("keys"), jwks).unwrap();
    let settings = Settings {
        token_keys: Some(TokenKeys::File(folder.path().join("keys"))),
        token_issuer: Some(ISSUER.to_owned()),
        ..Settings::default()
    };
    let authenticator = runtime.block_on(Authenticator::new(settings, None)).unwrap();
    runtime.block_on(authenticator.token(&token)).unwrap();
    runtime.block_on(async {
        // Ready at once: what is measured is not the runtime.
        bencher.bench_local(|| {
            let mut asked = std::pin::pin!(authenticator.token(&token));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            asked.as_mut().poll(&mut context).is_ready()
        });
    });
}

#[divan::bench]
fn a_token_that_is_verified(bencher: Bencher<'_, '_>) {
    let (jwks, token) = signed();
    let keys = KeySet::parse(&jwks, ISSUER, &["gavel".to_owned()]).unwrap();
    bencher.bench_local(|| keys.verify(&token));
}

#[divan::bench]
fn a_certificate(bencher: Bencher<'_, '_>) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "alice");
    let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone();
    bencher.bench_local(|| identity_of_der(&der, None));
}

#[divan::bench]
fn a_right_that_is_remembered(bencher: Bencher<'_, '_>) {
    let (rights, snapshot) = (Rights::default(), Snapshot::empty());
    let caller = Caller::new(User::service_account("kube-system", "agent"), Method::Token, None);
    bencher.bench_local(|| caller.may(&rights, Call::CheckFlow, Some(&snapshot)));
}
