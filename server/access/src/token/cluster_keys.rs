//! The keys that an API server signs tokens with, from its `/openid/v1/jwks`.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use tokio::sync::Mutex;

use super::chain;
use super::keys::KeySet;
use crate::{Refusal, Settings};

const PATH: &str = "/openid/v1/jwks";

/// The keys of an API server.
pub(super) struct ClusterKeys {
    client: kube::Client,
    issuer: String,
    settings: Settings,
    held: RwLock<Held>,
    asking: Mutex<()>,
}

#[derive(Clone, Default)]
struct Held {
    keys: Option<Arc<KeySet>>,
    /// When it was asked for last, and whether it answered.
    asked: Option<(Instant, bool)>,
}

impl fmt::Debug for ClusterKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterKeys").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl ClusterKeys {
    pub(super) fn new(client: kube::Client, issuer: String, settings: Settings) -> Self {
        Self { client, issuer, settings, held: RwLock::default(), asking: Mutex::new(()) }
    }

    /// The keys. Old ones are used while it is asked for newer ones, and for as long as it does not answer.
    pub(super) async fn keys(self: &Arc<Self>) -> Result<Arc<KeySet>, Refusal> {
        let Settings { keys_fresh, keys_hold, .. } = self.settings;
        let Held { keys, asked } = self.held();
        let Some(keys) = keys else { return self.newer_than_held(None).await?.ok_or_else(unavailable) };
        if asked.is_none_or(|(when, answered)| when.elapsed() > if answered { keys_fresh } else { keys_hold })
        {
            let (this, old) = (self.clone(), keys.clone());
            // One at a time; the others go on with what there is.
            if self.asking.try_lock().is_ok() {
                tokio::spawn(async move { this.newer_than_held(Some(&old)).await });
            }
        }
        Ok(keys)
    }

    /// Keys that are newer than these, where there are any; asked for unless that was done just now.
    pub(super) async fn newer_than(&self, keys: &Arc<KeySet>) -> Result<Option<Arc<KeySet>>, Refusal> {
        self.newer_than_held(Some(keys)).await
    }

    async fn newer_than_held(&self, known: Option<&Arc<KeySet>>) -> Result<Option<Arc<KeySet>>, Refusal> {
        // Whoever waits here finds what was found out meanwhile.
        let _asking = self.asking.lock().await;
        let Held { keys, asked } = self.held();
        let is_new = |keys: &Arc<KeySet>| known.is_none_or(|known| !Arc::ptr_eq(known, keys));
        if let Some(keys) = keys.filter(is_new) {
            return Ok(Some(keys));
        }
        match asked {
            Some((when, true)) if when.elapsed() < self.settings.keys_hold => return Ok(None),
            Some((when, false)) if when.elapsed() < self.settings.keys_hold => return Err(unavailable()),
            _ => {}
        }
        let asked = self.ask().await;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        held.asked = Some((Instant::now(), asked.is_ok()));
        match asked {
            Ok(keys) => {
                let keys = Arc::new(keys);
                held.keys = Some(keys.clone());
                Ok(Some(keys))
            }
            Err(why) => {
                tracing::warn!(error = why, "--token-keys cluster: the API server's keys cannot be had");
                Err(unavailable())
            }
        }
    }

    async fn ask(&self) -> Result<KeySet, String> {
        let request = http::Request::get(PATH).body(Vec::new()).map_err(|error| error.to_string())?;
        let text = match tokio::time::timeout(self.settings.timeout, self.client.request_text(request)).await
        {
            Ok(Ok(text)) => text,
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                return Err(format!(
                    "{PATH}: {} (bind the ClusterRole system:service-account-issuer-discovery)",
                    status.message
                ));
            }
            Ok(Err(error)) => return Err(format!("{PATH}: {}", chain(&error))),
            Err(_) => return Err(format!("{PATH}: no answer within {:?}", self.settings.timeout)),
        };
        KeySet::parse(&text, &self.issuer, &self.settings.token_audiences)
            .map_err(|why| format!("{PATH}: {why}"))
    }

    fn held(&self) -> Held {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn unavailable() -> Refusal {
    Refusal::Unavailable(
        "the token cannot be verified at the moment: the issuer's keys cannot be had".to_owned(),
    )
}
