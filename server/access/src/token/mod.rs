//! Tokens: verified with keys, or by the API server; and remembered.

mod cache;
mod claims;
mod cluster_keys;
mod keys;
mod review;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use gavel_tls::Followed;

pub use cache::CacheCounts;
pub use keys::{KeySet, Unknown, Verdict};

use crate::{Caller, Error, Method, Refusal, Settings, TokenKeys};
use cache::{Cache, Outcome};
use cluster_keys::ClusterKeys;
use review::Reviewer;

/// More than any token in use, and no more than all the headers of a request may be.
const MOST_BYTES: usize = 16 * 1024;
/// How long it is remembered that nobody could tell.
const REMEMBER_UNAVAILABLE: Duration = Duration::from_secs(1);
/// How far clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(10);

/// Whom tokens name.
#[derive(Debug)]
pub(crate) struct Tokens {
    keys: Option<Source>,
    reviewer: Option<Reviewer>,
    cache: Cache,
    remember_good: Duration,
    remember_bad: Duration,
}

/// Where keys come from.
#[derive(Debug)]
enum Source {
    File(Followed<KeySet>),
    Cluster(Arc<ClusterKeys>),
}

impl Tokens {
    pub(crate) async fn new(settings: Settings, client: Option<kube::Client>) -> Result<Self, Error> {
        let needed = |flag| client.clone().ok_or(Error::NoCluster { flag });
        let issuer = settings.token_issuer.clone().unwrap_or_default();
        let keys = match &settings.token_keys {
            None => None,
            Some(TokenKeys::File(file)) => {
                let audiences = settings.token_audiences.clone();
                let parse = move |text: &str| KeySet::parse(text, &issuer, &audiences);
                let events = |event: gavel_tls::Event| event.log("token keys");
                Some(Source::File(gavel_tls::parsed(file, parse, settings.reload_interval, events).await?))
            }
            Some(TokenKeys::Cluster) => {
                let client = needed("--token-keys cluster")?;
                Some(Source::Cluster(Arc::new(ClusterKeys::new(client, issuer, settings.clone()))))
            }
        };
        let reviewer = if settings.token_review {
            Some(Reviewer::new(needed("--token-review")?, &settings))
        } else {
            None
        };
        let Settings { remember_good, remember_bad, .. } = settings;
        Ok(Self { keys, reviewer, cache: Cache::default(), remember_good, remember_bad })
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        self.cache.counts()
    }

    /// Whom a token names.
    pub(crate) async fn caller(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        check_shape(token).inspect_err(|_| self.cache.count_refused())?;
        self.cache.get(token, || self.verify(token)).await
    }

    async fn verify(&self, token: &str) -> Outcome {
        let result = self.verified(token).await;
        let remember = match &result {
            Ok(caller) => caller.expires.map_or(self.remember_good, |expires| {
                expires.duration_since(SystemTime::now()).unwrap_or_default().min(self.remember_good)
            }),
            Err(Refusal::Unauthenticated(_)) => self.remember_bad,
            Err(Refusal::Unavailable(_)) => REMEMBER_UNAVAILABLE,
        };
        Outcome { result: result.map(Arc::new), until: Instant::now() + remember }
    }

    async fn verified(&self, token: &str) -> Result<Caller, Refusal> {
        // Whoever signed it: nobody takes it any more.
        if claims::has_expired(token, SystemTime::now()) {
            return Err(Refusal::Unauthenticated(claims::EXPIRED.to_owned()));
        }
        let unknown = match &self.keys {
            Some(source) => match source.verdict(token).await {
                Ok(Verdict::Good { user, expires }) => {
                    return Ok(Caller::new(user, Method::Token, Some(expires)));
                }
                Ok(Verdict::Bad(why)) => return Err(Refusal::Unauthenticated(why)),
                Ok(Verdict::Unknown(unknown)) => Refusal::Unauthenticated(unknown.to_string()),
                Err(unavailable) => unavailable,
            },
            None => Refusal::Unauthenticated(Unknown::NoJwt.to_string()),
        };
        match &self.reviewer {
            Some(reviewer) => reviewer.review(token).await,
            None => Err(unknown),
        }
    }
}

impl Source {
    /// What the keys say of a token. One that is unknown may be new: then a cluster is asked for its keys again.
    async fn verdict(&self, token: &str) -> Result<Verdict, Refusal> {
        match self {
            Source::File(keys) => Ok(keys.current().verify(token)),
            Source::Cluster(cluster) => {
                let keys = cluster.keys().await?;
                match keys.verify(token) {
                    Verdict::Unknown(Unknown::Key) => match cluster.newer_than(&keys).await? {
                        Some(newer) => Ok(newer.verify(token)),
                        None => Ok(Verdict::Unknown(Unknown::Key)),
                    },
                    verdict => Ok(verdict),
                }
            }
        }
    }
}

/// What can be seen at a glance: of a length, and of the characters of RFC 6750, section 2.1.
fn check_shape(token: &str) -> Result<(), Refusal> {
    let refused = |why: String| Err(Refusal::Unauthenticated(why));
    if token.is_empty() {
        return refused("the token is empty".to_owned());
    }
    if token.len() > MOST_BYTES {
        return refused(format!("the token is longer than {MOST_BYTES} bytes"));
    }
    if !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
        return refused(
            "the token has characters in it that no token has (RFC 6750, section 2.1)".to_owned(),
        );
    }
    Ok(())
}

/// An error with what is behind it: kube says `client error (Connect)`, and not to what, or why.
fn chain(error: &kube::Error) -> String {
    let mut words = error.to_string();
    let mut behind = std::error::Error::source(error);
    while let Some(error) = behind {
        let more = error.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        behind = error.source();
    }
    words
}
