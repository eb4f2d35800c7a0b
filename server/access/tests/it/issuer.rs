//! Tokens, signed here, good and bad.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";

pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

pub(crate) fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A key that tokens are signed with.
pub(crate) struct Signer {
    id: &'static str,
    algorithm: Algorithm,
    key: KeyPair,
}

impl Signer {
    pub(crate) fn new(id: &'static str) -> Self {
        Self::of(id, Algorithm::ES256)
    }

    pub(crate) fn of(id: &'static str, algorithm: Algorithm) -> Self {
        let kind = match algorithm {
            Algorithm::ES256 => &PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &PKCS_ED25519,
            _ => &PKCS_RSA_SHA256,
        };
        Self { id, algorithm, key: KeyPair::generate_for(kind).unwrap() }
    }

    /// The public key as a JSON Web Key.
    pub(crate) fn jwk(&self) -> Value {
        let raw = self.key.public_key_raw();
        let common = json!({"kid": self.id, "use": "sig", "alg": self.algorithm});
        let mut key = match self.algorithm {
            Algorithm::ES256 | Algorithm::ES384 => {
                // An uncompressed point: 4, then x and y.
                let (x, y) = raw[1..].split_at(raw.len() / 2);
                let curve = if self.algorithm == Algorithm::ES256 { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": base64url(x), "y": base64url(y)})
            }
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(raw)}),
            _ => {
                let (n, e) = rsa_components(raw);
                json!({"kty": "RSA", "n": base64url(n), "e": base64url(e)})
            }
        };
        key.as_object_mut().unwrap().extend(common.as_object().unwrap().clone());
        key
    }

    /// The public key in DER, as somebody might use it for a secret.
    pub(crate) fn public_der(&self) -> Vec<u8> {
        self.key.public_key_raw().to_vec()
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    pub(crate) fn sign_with(&self, claims: &Value, adapt: impl FnOnce(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        adapt(&mut header);
        let der = self.key.serialize_der();
        let key = match header.alg {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_der(&der),
            Algorithm::EdDSA => EncodingKey::from_ed_der(&der),
            Algorithm::HS256 => EncodingKey::from_secret(&self.public_der()),
            _ => EncodingKey::from_rsa_der(rsa_private_key(&der)),
        };
        encode(&header, claims, &key).unwrap()
    }
}

/// The content of the first element of DER, and what follows it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match usize::from(der[1]) {
        0x81 => (3, usize::from(der[2])),
        0x82 => (4, usize::from(der[2]) << 8 | usize::from(der[3])),
        length => (2, length),
    };
    der[start..].split_at(length)
}

/// Modulus and exponent of a public key: `SEQUENCE { INTEGER, INTEGER }`.
fn rsa_components(der: &[u8]) -> (&[u8], &[u8]) {
    let (n, rest) = element(element(der).0);
    (n.strip_prefix(&[0]).unwrap_or(n), element(rest).0)
}

/// PKCS #1 of PKCS #8: `SEQUENCE { INTEGER, SEQUENCE, OCTET STRING }`.
fn rsa_private_key(pkcs8: &[u8]) -> &[u8] {
    let (_, rest) = element(element(pkcs8).0);
    let (_, rest) = element(rest);
    element(rest).0
}

pub(crate) fn jwks<'a>(signers: impl IntoIterator<Item = &'a Signer>) -> String {
    json!({"keys": signers.into_iter().map(Signer::jwk).collect::<Vec<_>>()}).to_string()
}

/// What a good token says, as the API server writes it.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ["gavel"], "sub": "system:serviceaccount:kube-system:agent",
        "iat": now() - 60, "nbf": now() - 60, "exp": now() + 600, "jti": "1",
        "kubernetes.io": {
            "namespace": "kube-system",
            "node": {"name": "node-1", "uid": "3"},
            "pod": {"name": "agent-x", "uid": "2"},
            "serviceaccount": {"name": "agent", "uid": "1"},
            "warnafter": now() + 300,
        },
    })
}

/// The same, but for this.
pub(crate) fn claims_but(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        let claims = claims.as_object_mut().unwrap();
        if value.is_null() {
            claims.remove(name);
        } else {
            claims.insert(name.clone(), value.clone());
        }
    }
    claims
}
