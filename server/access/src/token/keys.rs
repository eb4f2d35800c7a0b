//! JSON Web Key Sets, and what they say of a token.

use std::fmt;
use std::time::SystemTime;

use gavel_engine::rbac::User;
use jsonwebtoken::dangerous::insecure_decode;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::Value;

use super::LEEWAY;
use super::claims::{self, Claims};
use crate::caller::authenticated;

/// The public keys of an issuer, and what its tokens have to be.
pub struct KeySet {
    issuer: String,
    audiences: Vec<String>,
    keys: Vec<Key>,
}

struct Key {
    id: Option<String>,
    key: DecodingKey,
    /// Which algorithms it is for, and what tokens have to be.
    validation: Validation,
}

/// What a key set says of a token.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is good.
    Good {
        /// Whom it names.
        user: User,
        /// Until when.
        expires: SystemTime,
    },
    /// It is of this issuer, and no good; in words for the caller.
    Bad(String),
    /// Somebody else may know.
    Unknown(Unknown),
}

/// Why a key set knows nothing of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// It is no JSON Web Token, or of an algorithm that is not taken.
    NoJwt,
    /// It is of another issuer.
    Issuer,
    /// It is signed with a key that is not in the set.
    Key,
}

/// In words for the caller.
impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unknown::NoJwt => {
                "the token is no JSON Web Token that is signed by RS256, RS384, RS512, ES256, ES384 or EdDSA"
            }
            Unknown::Issuer => "the token is of an unknown issuer (`iss`)",
            Unknown::Key => "the token is signed with an unknown key (`kid`)",
        })
    }
}

/// How many keys there are; they are public, and long.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("issuer", &self.issuer).field("keys", &self.keys.len()).finish()
    }
}

#[derive(Deserialize)]
struct Issued {
    iss: Option<String>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517). Keys that are not for verifying signatures, or of a kind that is not known,
    /// are passed over, as section 5 has it.
    ///
    /// # Errors
    /// When it is none, or has no key that could be used.
    pub fn parse(text: &str, issuer: &str, audiences: &[String]) -> Result<Self, String> {
        // The place only: the error's own words may quote what is there.
        let Jwks { keys } = serde_json::from_str(text).map_err(|error| {
            format!(
                "no JSON Web Key Set (an object with a list `keys`): line {}, column {}",
                error.line(),
                error.column()
            )
        })?;
        let count = keys.len();
        let keys: Vec<_> = keys.into_iter().filter_map(|key| usable(key, issuer, audiences)).collect();
        if keys.is_empty() {
            return Err(format!(
                "of its {count} keys none is public and for verifying signatures by RS256, RS384, RS512, ES256, ES384 \
                 or EdDSA"
            ));
        }
        Ok(Self { issuer: issuer.to_owned(), audiences: audiences.to_vec(), keys })
    }

    /// What the keys say of a token.
    pub fn verify(&self, token: &str) -> Verdict {
        let Ok(told) = insecure_decode::<Issued>(token) else { return Verdict::Unknown(Unknown::NoJwt) };
        let header = told.header;
        if matches!(header.alg, Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512) {
            return Verdict::Unknown(Unknown::NoJwt);
        }
        if told.claims.iss.as_ref() != Some(&self.issuer) {
            return Verdict::Unknown(Unknown::Issuer);
        }
        if header.crit.is_some() {
            // RFC 7515, section 4.1.11: what is critical has to be understood.
            return Verdict::Bad(
                "the token has critical header parameters (`crit`), of which none is understood".to_owned(),
            );
        }
        let is_named = |key: &&Key| header.kid.is_none() || key.id == header.kid;
        let mut named = self.keys.iter().filter(is_named).peekable();
        if named.peek().is_none() {
            return Verdict::Unknown(Unknown::Key);
        }
        // What the key is for decides, and not what the token says of itself.
        let mut why = "the token is signed by another algorithm than its key is for".to_owned();
        for key in named.filter(|key| key.validation.algorithms.contains(&header.alg)) {
            match self.verify_with(key, token) {
                Verdict::Bad(other) => why = other,
                verdict => return verdict,
            }
        }
        Verdict::Bad(why)
    }

    fn verify_with(&self, key: &Key, token: &str) -> Verdict {
        let claims = match jsonwebtoken::decode::<Claims>(token, &key.key, &key.validation) {
            Ok(token) => token.claims,
            Err(error) => return Verdict::Bad(self.words(error.kind())),
        };
        match claims.user() {
            Ok(user) => Verdict::Good { user: authenticated(user), expires: claims.expires() },
            Err(why) => Verdict::Bad(why),
        }
    }

    fn words(&self, error: &ErrorKind) -> String {
        match error {
            ErrorKind::ExpiredSignature => claims::EXPIRED.to_owned(),
            ErrorKind::ImmatureSignature => "the token is not valid yet (`nbf`)".to_owned(),
            ErrorKind::InvalidAudience => claims::for_others(&self.audiences),
            ErrorKind::InvalidIssuer => Unknown::Issuer.to_string(),
            ErrorKind::MissingRequiredClaim(claim) => {
                format!("the token has no claim {claim:?} of the right type")
            }
            ErrorKind::InvalidClaimFormat(claim) => {
                format!("the token's claim {claim:?} is of the wrong type")
            }
            ErrorKind::Json(_) => "the token's claims are not those of a service account".to_owned(),
            _ => "the token's signature is wrong".to_owned(),
        }
    }
}

/// A key that can be used.
fn usable(key: Value, issuer: &str, audiences: &[String]) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(key).ok()?;
    let common = &jwk.common;
    let is_for_signatures =
        common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
            && common
                .key_operations
                .as_ref()
                .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    let mut algorithms = algorithms(&jwk.algorithm);
    if let Some(only) = common.key_algorithm {
        algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
    }
    let mut validation = Validation::new(*algorithms.first()?);
    validation.algorithms = algorithms;
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    validation.set_issuer(&[issuer]);
    validation.set_audience(audiences);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    is_for_signatures.then_some(Key { id: jwk.common.key_id, key: decoding, validation })
}

/// The algorithms that a kind of key can be for. Never HMAC, whose keys are secrets.
fn algorithms(key: &AlgorithmParameters) -> Vec<Algorithm> {
    match key {
        AlgorithmParameters::RSA(_) => vec![Algorithm::RS256, Algorithm::RS384, Algorithm::RS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        _ => Vec::new(),
    }
}
