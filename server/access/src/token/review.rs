//! TokenReview: the API server is asked whether a token is good, and whose it is.
//!
//! As `plugin/pkg/authenticator/token/webhook` of Kubernetes' `apiserver` does: the audiences that are wanted are sent,
//! and of those that come back one has to be among them. An API server that knows nothing of audiences sends none back,
//! and then the token is good for the API server alone.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gavel_engine::rbac::User;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use tokio::sync::Semaphore;

use super::{chain, claims};
use crate::caller::authenticated;
use crate::{Caller, Method, Refusal, Settings};

const PATH: &str = "/apis/authentication.k8s.io/v1/tokenreviews";

/// Asks an API server.
pub(super) struct Reviewer {
    client: kube::Client,
    audiences: Vec<String>,
    timeout: Duration,
    /// Whoever sends invented tokens must not be able to keep the API server busy.
    places: Semaphore,
    is_failing: AtomicBool,
}

impl fmt::Debug for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reviewer").field("audiences", &self.audiences).finish_non_exhaustive()
    }
}

impl Reviewer {
    pub(super) fn new(client: kube::Client, settings: &Settings) -> Self {
        Self {
            client,
            audiences: settings.token_audiences.clone(),
            timeout: settings.timeout,
            places: Semaphore::new(settings.reviews_in_flight.max(1)),
            is_failing: AtomicBool::new(false),
        }
    }

    /// Whose a token is, by the API server's word.
    pub(super) async fn review(&self, token: &str) -> Result<Caller, Refusal> {
        let reviewed = tokio::time::timeout(self.timeout, async {
            // Never closed.
            let _place = self.places.acquire().await.ok();
            self.ask(token).await
        });
        let answer = reviewed.await.unwrap_or_else(|_| Err(format!("no answer within {:?}", self.timeout)));
        self.tell(answer.as_ref().err());
        let status = answer.map_err(|_| {
            Refusal::Unavailable(
                "the token cannot be verified at the moment: the API server cannot be asked about it"
                    .to_owned(),
            )
        })?;
        let user = self.user(token, status).map_err(Refusal::Unauthenticated)?;
        Ok(Caller::new(authenticated(user), Method::Token, claims::claimed_expiry(token)))
    }

    /// Told when it begins, and when it ends.
    fn tell(&self, error: Option<&String>) {
        match error {
            Some(error) if !self.is_failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(error, "--token-review: the API server cannot be asked about tokens");
            }
            None if self.is_failing.swap(false, Ordering::Relaxed) => {
                tracing::info!("--token-review: the API server answers again");
            }
            _ => {}
        }
    }

    /// The errors are for the log, and must not quote what was sent or received: the token is in both.
    async fn ask(&self, token: &str) -> Result<TokenReviewStatus, String> {
        let review = TokenReview {
            spec: TokenReviewSpec { token: token.to_owned(), audiences: Some(self.audiences.clone()) },
            ..TokenReview::default()
        };
        let body = serde_json::to_vec(&review).map_err(|_| "the review cannot be written".to_owned())?;
        let request = http::Request::post(PATH)
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(body)
            .map_err(|_| "the review cannot be written".to_owned())?;
        // Not as an object: kube logs answers that it cannot read.
        let text = self.client.request_text(request).await.map_err(|error| words(&error))?;
        let review: TokenReview = serde_json::from_str(&text)
            .map_err(|_| "its answer is no TokenReview of authentication.k8s.io/v1".to_owned())?;
        review.status.ok_or_else(|| "its answer has no status".to_owned())
    }

    /// Whose it is; or why it is nobody's, in words for the caller. The API server's own words may quote the token.
    fn user(&self, token: &str, status: TokenReviewStatus) -> Result<User, String> {
        let TokenReviewStatus { audiences, authenticated, error: _, user } = status;
        if authenticated != Some(true) {
            if claims::is_for_others(token, &self.audiences) {
                return Err(claims::for_others(&self.audiences));
            }
            return Err(format!(
                "the API server does not take the token, for {}: it may be invented, revoked, or of a pod that is gone",
                self.audiences.join(" or ")
            ));
        }
        if !audiences.unwrap_or_default().iter().any(|audience| self.audiences.contains(audience)) {
            return Err(claims::for_others(&self.audiences));
        }
        let user = user.unwrap_or_default();
        match user.username {
            Some(name) if !name.is_empty() => Ok(User { name, groups: user.groups.unwrap_or_default() }),
            _ => Err("the API server takes the token, and names nobody by it".to_owned()),
        }
    }
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("{} (bind the ClusterRole system:auth-delegator)", status.message)
        }
        kube::Error::Api(status) => format!("{} {}", status.code, status.reason),
        kube::Error::FromUtf8(_) => "its answer is no text".to_owned(),
        error => chain(error),
    }
}
