//! Tokens of service accounts, signed here.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::json;

/// Whoever signs tokens.
pub(crate) struct Issuer {
    name: String,
    key: KeyPair,
}

impl Issuer {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap() }
    }

    /// Its public key as a JSON Web Key Set.
    pub(crate) fn jwks(&self) -> String {
        // An uncompressed point: 4, then x and y.
        let point = self.key.public_key_raw();
        let (x, y) = point[1..].split_at(32);
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256",
            "x": encoded(x), "y": encoded(y)}]})
        .to_string()
    }

    /// A token that is good for so many seconds from now.
    pub(crate) fn token(&self, namespace: &str, name: &str, audience: &str, seconds: i64) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed();
        let claims = json!({
            "iss": self.name, "aud": [audience], "sub": format!("system:serviceaccount:{namespace}:{name}"),
            "iat": now - 1000, "nbf": now - 1000, "exp": now + seconds,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "1"}},
        });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("one".to_owned());
        let key = EncodingKey::from_ec_der(&self.key.serialize_der());
        encode(&header, &claims, &key).unwrap()
    }
}
