//! From certificates and tokens to callers.

use std::sync::Arc;
use std::time::SystemTime;

use rustls_pki_types::CertificateDer;

use crate::token::{CacheCounts, Tokens};
use crate::{Caller, Error, Refusal, Settings, certificate};

/// Turns certificates and tokens into callers.
#[derive(Debug)]
pub struct Authenticator {
    trust_domain: Option<String>,
    tokens: Option<Tokens>,
}

impl Authenticator {
    /// Sets up what the settings ask for. `client` reaches the API server, where one has to be asked
    /// ([`Settings::needs_cluster`]). That it does not answer is no error: tokens are [`Refusal::Unavailable`] until it
    /// does.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the settings or the keys' file cannot be used.
    pub async fn new(settings: Settings, client: Option<kube::Client>) -> Result<Self, Error> {
        if let Some(wrong) = settings.check_values().into_iter().next() {
            return Err(wrong);
        }
        let trust_domain = settings.spiffe_trust_domain.clone();
        let tokens = if settings.takes_tokens() { Some(Tokens::new(settings, client).await?) } else { None };
        Ok(Self { trust_domain, tokens })
    }

    /// Whom a client certificate names. The chain has been verified by TLS; its leaf comes first.
    ///
    /// The common name is the user and the organizations are the groups, as in Kubernetes; a SPIFFE ID is the name, or
    /// the service account it stands for. `system:authenticated` is added to the groups.
    ///
    /// # Errors
    /// When it names nobody.
    pub fn certificate(&self, chain: &[CertificateDer<'_>]) -> Result<Caller, Refusal> {
        certificate::caller(chain, self.trust_domain.as_deref(), SystemTime::now())
    }

    /// Whom a token names.
    ///
    /// With keys, a token of their issuer is verified here: it is good until it expires, even where the pod that it was
    /// made for is gone. With TokenReview, the API server is asked, which knows of that. With both, the keys come first;
    /// asked about is what they do not know: tokens of another issuer, tokens with another key, and what is no JSON Web
    /// Token. What they know and find bad is bad.
    ///
    /// What was found out is remembered for a while, and the same token is looked at once at a time.
    ///
    /// # Errors
    /// When the token is no good, or nobody can tell at the moment.
    pub async fn token(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        match &self.tokens {
            Some(tokens) => tokens.caller(token).await,
            None => Err(Refusal::Unauthenticated(
                "tokens are not taken here: say who you are by a client certificate".to_owned(),
            )),
        }
    }

    /// How tokens have fared so far.
    pub fn cache_counts(&self) -> CacheCounts {
        self.tokens.as_ref().map(Tokens::counts).unwrap_or_default()
    }
}
