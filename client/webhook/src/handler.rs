//! `POST /mutate` and `POST /validate`: a review in, a review with its response out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use gavel_client::balanced::CallOptions;
use gavel_client::review::{self, Answer};
use gavel_client::{Balanced, Error, v1 as pb};
use gavel_telemetry::Tracing;
use http_body_util::LengthLimitError;

use crate::config::{Messages, OnUnavailable};
use crate::metrics::{Metrics, Outcome, Path};
use crate::room::Room;
use crate::trace::Trace;
use crate::{answer, deadline};

/// What answers reviews.
#[derive(Debug)]
pub(crate) struct Handler {
    pub(crate) servers: Balanced,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) on_unavailable: OnUnavailable,
    pub(crate) messages: Messages,
    pub(crate) max_request_bytes: usize,
    pub(crate) room: Room,
    pub(crate) tracing: Tracing,
}

/// When to ask again where there was no room, in seconds: an API server's client does, as long as there is time
/// (`k8s.io/client-go/rest/with_retry.go`).
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A request that is no review that can be answered.
struct Refused {
    status: StatusCode,
    outcome: Outcome,
    text: String,
}

impl Refused {
    fn bad_request(text: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, outcome: Outcome::BadRequest, text }
    }
}

pub(crate) fn router(handler: Arc<Handler>) -> Router {
    let route = |path: Path| {
        let answer = async move |State(handler): State<Arc<Handler>>, request: Request| {
            handler.handle(path, request).await
        };
        let wrong_method = async move |State(handler): State<Arc<Handler>>| handler.wrong_method(path);
        post(answer).fallback(wrong_method)
    };
    Router::new()
        .route(Path::Mutate.route(), route(Path::Mutate))
        .route(Path::Validate.route(), route(Path::Validate))
        .fallback(async || (StatusCode::NOT_FOUND, "there are POST /mutate and POST /validate\n"))
        .with_state(handler)
}

impl Handler {
    async fn handle(&self, path: Path, request: Request) -> Response {
        let started = Instant::now();
        let _counted = self.metrics.in_flight();
        let trace = Trace::begin(&self.tracing, path.route(), request.headers());
        let answered = self.answer(path, request, started, &trace).await.and_then(|(outcome, answer)| {
            let json = answer.to_json().map_err(|error| Refused {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                outcome: Outcome::Failed,
                text: error.to_string(),
            })?;
            Ok((outcome, json))
        });
        let (outcome, response) = match answered {
            Ok((outcome, json)) => {
                (outcome, ([(header::CONTENT_TYPE, "application/json")], json).into_response())
            }
            Err(Refused { status, outcome, text }) => {
                trace.log(|| tracing::warn!(?path, outcome = outcome.as_str(), text, "not answered"));
                let mut response = (status, format!("gavel-webhook: {text}\n")).into_response();
                if outcome == Outcome::Overloaded {
                    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                }
                (outcome, response)
            }
        };
        trace.end(response.status().as_u16(), outcome);
        self.metrics.answered(path, outcome, started.elapsed());
        response
    }

    fn wrong_method(&self, path: Path) -> Response {
        self.metrics.answered(path, Outcome::WrongMethod, Duration::ZERO);
        let text = "gavel-webhook: AdmissionReviews come by POST\n";
        (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], text).into_response()
    }

    async fn answer(
        &self,
        path: Path,
        request: Request,
        started: Instant,
        trace: &Trace,
    ) -> Result<(Outcome, Answer), Refused> {
        let (parts, body) = request.into_parts();
        let Some(_room) = self.room.take(&parts.headers) else {
            return Err(Refused {
                status: StatusCode::TOO_MANY_REQUESTS,
                outcome: Outcome::Overloaded,
                text: "too many reviews at a time: see --max-in-flight".to_owned(),
            });
        };
        let budget = deadline::budget(parts.uri.query()).map_err(Refused::bad_request)?;
        must_be_json(&parts.headers)?;
        let body = self.read(body, budget).await?;
        let question = review::read(&body).map_err(|error| {
            let hint = match error.field.as_str() {
                "apiVersion" => "; say admissionReviewVersions: [v1] in the webhook's configuration",
                _ => "",
            };
            Refused::bad_request(format!("this is no AdmissionReview that can be answered: {error}{hint}"))
        })?;
        let phase = match path {
            Path::Mutate => pb::Phase::Mutate,
            Path::Validate => pb::Phase::Validate,
        };
        // As the API server did itself while PodSecurityPolicy was there.
        let set_seccomp_fields = path == Path::Mutate;
        let question = pb::AdmitRequest { phase: phase.into(), set_seccomp_fields, ..question };
        let uid = question.uid.clone();
        trace.asked(&question);
        let left = budget.saturating_sub(started.elapsed());
        let options = CallOptions { deadline: left, tracer: Some(Arc::new(trace.clone())) };
        Ok(match self.servers.admit(question, options).await {
            Ok(decision) => {
                trace.decided(&decision);
                let outcome = if decision.allowed { Outcome::Allowed } else { Outcome::Denied };
                (outcome, answer::decided(decision, self.messages))
            }
            Err(error) => trace.log(|| self.undecided(uid, &error)),
        })
    }

    /// The answer when there is no decision.
    fn undecided(&self, uid: String, error: &Error) -> (Outcome, Answer) {
        match error {
            Error::Invalid { message, violations } => {
                tracing::warn!(uid, message, "the object cannot be read");
                (Outcome::InvalidObject, answer::invalid(uid, message, violations))
            }
            error if error.is_retryable() => {
                tracing::warn!(uid, %error, on_unavailable = ?self.on_unavailable, "no server answered");
                (Outcome::Unavailable, answer::unavailable(uid, &error.to_string(), self.on_unavailable))
            }
            error => {
                tracing::error!(uid, %error, "a server could not decide");
                (Outcome::Failed, answer::failed(uid, error))
            }
        }
    }

    async fn read(&self, body: Body, budget: Duration) -> Result<Bytes, Refused> {
        match tokio::time::timeout(budget, to_bytes(body, self.max_request_bytes)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) => {
                let source = std::error::Error::source(&error);
                if source.is_some_and(<dyn std::error::Error>::is::<LengthLimitError>) {
                    return Err(Refused {
                        status: StatusCode::PAYLOAD_TOO_LARGE,
                        outcome: Outcome::TooLarge,
                        text: format!(
                            "the review is larger than {} bytes: raise --max-request-bytes",
                            self.max_request_bytes
                        ),
                    });
                }
                Err(Refused::bad_request(format!("the review broke off: {error}")))
            }
            Err(_) => Err(Refused {
                status: StatusCode::REQUEST_TIMEOUT,
                outcome: Outcome::BadRequest,
                text: format!("the review was not there whole within {} ms", budget.as_millis()),
            }),
        }
    }
}

fn must_be_json(headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let content_type = text(header::CONTENT_TYPE);
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refused::bad_request(format!(
            "Content-Type `{content_type}`: must be application/json, an AdmissionReview"
        )));
    }
    match text(header::CONTENT_ENCODING) {
        "" | "identity" => Ok(()),
        other => Err(Refused::bad_request(format!("Content-Encoding `{other}`: send it as it is"))),
    }
}
