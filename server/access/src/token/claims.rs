//! What a JSON Web Token says of itself. Only of a token whose signature is good is it true.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gavel_engine::rbac::User;
use jsonwebtoken::dangerous::insecure_decode_claims;
use serde::Deserialize;

use super::LEEWAY;

pub(super) const EXPIRED: &str = "the token has expired";

/// What is looked at of a token of a service account (`pkg/serviceaccount/claims.go` of Kubernetes). Issuer, audience and
/// times are checked by jsonwebtoken, which passes over what is of another type than it should be: here it is an error.
#[derive(Deserialize)]
pub(super) struct Claims {
    #[serde(rename = "iss")]
    _iss: String,
    sub: String,
    exp: f64,
    #[serde(rename = "nbf", default)]
    _nbf: Option<f64>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: Option<Kubernetes>,
}

#[derive(Deserialize)]
struct Kubernetes {
    namespace: String,
    serviceaccount: Named,
}

#[derive(Deserialize)]
struct Named {
    name: String,
}

impl Claims {
    /// The service account that the token is of, with the groups that Kubernetes gives it (`serviceaccount.UserInfo`).
    pub(super) fn user(&self) -> Result<User, String> {
        let Some(Kubernetes { namespace, serviceaccount: Named { name } }) = &self.kubernetes else {
            return Err(
                "the token is not of a service account: it has no kubernetes.io claim, and only service \
                        accounts are taken here"
                    .to_owned(),
            );
        };
        // A colon would make two accounts have one name.
        let is_name = |name: &str| !name.is_empty() && !name.contains(':');
        let user = User::service_account(namespace, name);
        if !is_name(namespace) || !is_name(name) || self.sub != user.name {
            return Err("the token's subject (`sub`) is not the service account of its kubernetes.io claim"
                .to_owned());
        }
        Ok(user)
    }

    /// Until when it is taken.
    pub(super) fn expires(&self) -> SystemTime {
        time(self.exp)
    }
}

/// What a token claims, be it true or not.
#[derive(Deserialize)]
struct Claimed {
    exp: Option<f64>,
    aud: Option<Audience>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Whether it is a JSON Web Token that says itself that it has expired.
pub(super) fn has_expired(token: &str, now: SystemTime) -> bool {
    let claimed = insecure_decode_claims::<Claimed>(token);
    claimed.ok().and_then(|claimed| claimed.exp).is_some_and(|exp| time(exp) < now)
}

/// Until when it says itself that it is good.
pub(super) fn claimed_expiry(token: &str) -> Option<SystemTime> {
    insecure_decode_claims::<Claimed>(token).ok()?.exp.map(time)
}

/// Whether it says itself that it is for somebody else.
pub(super) fn is_for_others(token: &str, audiences: &[String]) -> bool {
    match insecure_decode_claims::<Claimed>(token).ok().and_then(|claimed| claimed.aud) {
        Some(Audience::One(audience)) => !audiences.contains(&audience),
        Some(Audience::Several(several)) => !several.iter().any(|audience| audiences.contains(audience)),
        None => false,
    }
}

/// What is told of a token that is for somebody else.
pub(super) fn for_others(audiences: &[String]) -> String {
    format!("the token is for another audience: here it has to be for {}", audiences.join(" or "))
}

/// A time of a token, in seconds since 1970, with what clocks may be apart. What is out of range is never, or long ago.
fn time(seconds: f64) -> SystemTime {
    // 9999 years, as many as certificates can have; all of these are times.
    let seconds = if seconds.is_nan() { 0.0 } else { seconds.clamp(0.0, 253_402_300_799.0) };
    UNIX_EPOCH + Duration::from_secs_f64(seconds) + LEEWAY
}
