//! What every request passes: who asks, may they, is there room, and is there time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gavel_access::{Call, Caller};
use gavel_telemetry::{Span, Tracing};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::access::{Access, refused};
use super::body::{AnswerBody, QuestionBody, code_of};
use super::calls::Calls;
use super::deadline;
use super::ended::Ended;
use super::peer::{Asker, Identity, Peer, Standing, is_current};
use super::stuck::Counted;
use crate::limits::{Budget, Callers, Key, Slot, TooMuch};
use crate::metrics::{Metrics, Rejection, Rpc};
use crate::publisher::Publisher;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) metrics: Arc<Metrics>,
    /// What each caller has in flight.
    pub(crate) callers: Callers,
    /// What each caller has of streams that last: they wait, and are none of the requests in flight.
    pub(crate) streams: Callers,
    /// Which requests are traced.
    pub(crate) tracing: Tracing,
    /// Who is let in; none: whoever can connect.
    pub(crate) access: Option<Access>,
    /// How long it may take to receive a request and answer it.
    pub(crate) request_time: Duration,
}

/// The services, behind the gate, for one connection.
#[derive(Clone, Debug)]
pub(super) struct Gate {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Arc<Peer>,
    pub(super) calls: Arc<Calls>,
}

/// What is asked, by the path of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) rpc: Rpc,
    /// The right it takes; none for what anybody may ask.
    call: Option<Call>,
    /// A stream that lasts as long as its caller likes.
    is_long: bool,
}

impl Asked {
    pub(super) fn of(path: &str) -> Self {
        let asked = |rpc, call| Self { rpc, call: Some(call), is_long: false };
        match path {
            "/gavel.v1.PolicyDecision/Admit" => asked(Rpc::Admit, Call::Admit),
            "/gavel.v1.PolicyDecision/CheckFlow" => asked(Rpc::CheckFlow, Call::CheckFlow),
            "/gavel.v1.PolicyDecision/Authorize" => asked(Rpc::Authorize, Call::Authorize),
            "/gavel.v1.PolicyDecision/BatchAdmit" => asked(Rpc::BatchAdmit, Call::Admit),
            "/gavel.v1.PolicyDecision/BatchCheckFlow" => asked(Rpc::BatchCheckFlow, Call::CheckFlow),
            "/gavel.v1.PolicyDecision/StreamCheckFlow" => {
                Self { is_long: true, ..asked(Rpc::StreamCheckFlow, Call::CheckFlow) }
            }
            "/gavel.v1.PolicyDecision/GetSnapshot" => asked(Rpc::GetSnapshot, Call::GetSnapshot),
            "/gavel.v1.PolicyDecision/WatchSnapshot" => {
                Self { is_long: true, ..asked(Rpc::WatchSnapshot, Call::WatchSnapshot) }
            }
            "/gavel.v1.PolicyDecision/WatchNodePods" => {
                Self { is_long: true, ..asked(Rpc::WatchNodePods, Call::WatchNodePods) }
            }
            "/grpc.health.v1.Health/Check" => Self { rpc: Rpc::Check, call: None, is_long: false },
            "/grpc.health.v1.Health/Watch" => Self { rpc: Rpc::HealthWatch, call: None, is_long: true },
            path if path.starts_with("/grpc.reflection.") => asked(Rpc::Reflection, Call::Reflection),
            // Whatever else begins with the service's name is none of its calls, and told so.
            _ => Self { rpc: Rpc::Other, call: None, is_long: false },
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Gate {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let gate = self.clone();
        let asked = Asked::of(request.uri().path());
        // From here on, and not only once its task has its turn: answers are sent together with those to come.
        let counted = (!asked.is_long).then(|| self.peer.in_flight.enter());
        Box::pin(async move { Ok(gate.pass(request, asked, counted).await) })
    }
}

impl Gate {
    async fn pass(
        self,
        mut request: Request<Incoming>,
        asked: Asked,
        counted: Option<Counted>,
    ) -> Response<AnswerBody> {
        let mut ended = Ended::new(self.shared.metrics.clone(), asked.rpc);
        let (shared, address) = (&self.shared, self.peer.address);
        ended.span = span(&shared.tracing, asked, address, request.uri().path(), request.headers());
        ended.counted = counted;
        // The caller's time includes what it takes to receive the rest of the question.
        let (time, is_the_callers) = self.time(request.headers());
        let until = Instant::now() + time;
        let passed = timeout_at(until, async {
            let mut asker = self.asker(asked, request.headers()).await?;
            ended.slot.clone_from(&asker.slot);
            asker.span.clone_from(&ended.span);
            if let (Some(span), Some(caller)) = (&asker.span, &asker.caller) {
                span.set("enduser.id", caller.user.name.clone());
            }
            if asked.is_long
                && let Some(call) = asked.call
            {
                let (shared, caller) = (self.shared.clone(), asker.caller.clone());
                let ending = self.peer.ending.clone();
                request.extensions_mut().insert(Standing { shared, caller, call, ending });
            }
            let slot = asker.slot.clone();
            request.extensions_mut().insert(asker);
            Ok(self.calls.answer(asked.rpc, request.map(|body| QuestionBody::new(body, slot))).await)
        });
        let response = match passed.await {
            Ok(Ok(response)) => response,
            Ok(Err(status)) => Status::into_http(status),
            Err(_) => {
                self.shared.metrics.rejected(Rejection::Deadline);
                let whose = if is_the_callers { "the caller's deadline" } else { "the server's limit" };
                Status::deadline_exceeded(format!("not answered within {time:?}, {whose}")).into_http()
            }
        };
        if response.headers().contains_key(Status::GRPC_STATUS) {
            ended.with(code_of(response.headers()));
        }
        let deadline = (asked.rpc == Rpc::Reflection).then(|| Box::pin(sleep_until(until)));
        response.map(|body| AnswerBody::new(body, ended, deadline))
    }

    /// How long the request may take, and whether its caller says so.
    fn time(&self, headers: &HeaderMap) -> (Duration, bool) {
        let most = self.shared.request_time;
        headers
            .get("grpc-timeout")
            .and_then(|value| deadline::read(value.to_str().ok()?))
            .filter(|time| *time < most)
            .map_or((most, false), |time| (time, true))
    }

    /// Who asks, if they may and there is room for it.
    async fn asker(&self, asked: Asked, headers: &HeaderMap) -> Result<Asker, Status> {
        let Some(call) = asked.call else {
            let slot = if asked.is_long { Some(self.stream(None)?) } else { None };
            return Ok(Asker { caller: None, slot, budget: None, span: None });
        };
        let shared = &self.shared;
        let metrics = &shared.metrics;
        let refused_as = |rejection| {
            move |status: Status| {
                metrics.rejected(rejection);
                status
            }
        };
        let (caller, budget) = self.who(headers).await.map_err(refused_as(Rejection::Unauthenticated))?;
        if let Some((access, caller)) = shared.access.as_ref().zip(caller.as_ref()) {
            is_current(caller).map_err(refused_as(Rejection::Unauthenticated))?;
            let published = shared.publisher.current();
            let snapshot =
                published.as_ref().and_then(|guard| guard.as_ref()).map(|published| &published.snapshot);
            access.check(caller, call, snapshot).map_err(refused_as(Rejection::Forbidden))?;
        }
        let slot = if asked.is_long { self.stream(caller.as_deref())? } else { self.enter(&budget)? };
        Ok(Asker { caller, slot: Some(slot), budget: Some(budget), span: None })
    }

    /// A place for a stream that lasts.
    fn stream(&self, caller: Option<&Caller>) -> Result<Arc<Slot>, Status> {
        let streams = &self.shared.streams;
        let budget = match caller {
            Some(caller) => streams.budget(&Key::User(caller.user.name.as_str().into())),
            None => streams.budget(&self.peer.key),
        };
        streams.limits().enter(&budget).map(Arc::new).map_err(|why| self.refused(why))
    }

    /// Whom the connection or the request names, and what they may have.
    async fn who(&self, headers: &HeaderMap) -> Result<(Option<Arc<Caller>>, Arc<Budget>), Status> {
        let peer = &self.peer;
        let access = match (&self.shared.access, &peer.identity) {
            (None, _) | (_, Identity::Trusted) => return Ok((None, peer.budget.clone())),
            (_, Identity::Certificate(caller, budget)) => return Ok((Some(caller.clone()), budget.clone())),
            (Some(_), Identity::Nobody(refusal)) if !headers.contains_key(http::header::AUTHORIZATION) => {
                return Err(refused(refusal.clone()));
            }
            (Some(access), Identity::Nobody(_) | Identity::Unknown) => access,
        };
        // Until it is known who asks, the address has to answer for it.
        let pending =
            self.shared.callers.limits().enter_unrated(&peer.budget).map_err(|why| self.refused(why))?;
        let caller = access.token(headers).await?;
        drop(pending);
        let budget = self.shared.callers.budget(&Key::User(caller.user.name.as_str().into()));
        Ok((Some(caller), budget))
    }

    fn enter(&self, budget: &Arc<Budget>) -> Result<Arc<Slot>, Status> {
        self.shared.callers.limits().enter(budget).map(Arc::new).map_err(|why| self.refused(why))
    }

    fn refused(&self, why: TooMuch) -> Status {
        self.shared.metrics.rejected(match why {
            TooMuch::CallerRate { .. } | TooMuch::CallerBurst => Rejection::CallerRate,
            TooMuch::CallerInFlight => Rejection::CallerInFlight,
            TooMuch::InFlight => Rejection::InFlight,
            TooMuch::HeldBytes => Rejection::HeldBytes,
        });
        too_much(why)
    }
}

/// The request's span, if it is traced: <https://opentelemetry.io/docs/specs/semconv/rpc/rpc-spans/>.
pub(super) fn span(
    tracing: &Tracing,
    asked: Asked,
    address: Option<SocketAddr>,
    path: &str,
    headers: &HeaderMap,
) -> Option<Span> {
    // What does not decide is asked all the time, and tells nothing.
    asked.call.filter(|_| !asked.is_long)?;
    let path = path.trim_start_matches('/');
    let span = tracing.serve_named(|| path.to_owned(), headers)?;
    let (service, method) = path.split_once('/').unwrap_or((path, ""));
    span.set("rpc.system", "grpc");
    span.set("rpc.service", service.to_owned());
    span.set("rpc.method", method.to_owned());
    if let Some(address) = address {
        span.set("client.address", address.ip().to_string());
    }
    Some(span)
}

/// A refusal that tells when to ask again.
pub(crate) fn too_much(why: TooMuch) -> Status {
    let message = match why {
        TooMuch::CallerRate { .. } => "this caller asks more often than it may",
        TooMuch::CallerBurst => {
            "this caller asks more questions at once than it ever may: send fewer in a batch"
        }
        TooMuch::CallerInFlight => "this caller has more requests in flight than it may",
        TooMuch::InFlight => {
            "the server has too many requests in flight, and this caller more than its share"
        }
        TooMuch::HeldBytes => {
            "the server holds too many bytes of requests, and this caller's are more than its share"
        }
    };
    let details =
        why.retry().map_or_else(ErrorDetails::new, |retry| ErrorDetails::with_retry_info(Some(retry)));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_of_the_service_takes_a_right() {
        // From the descriptor: a call that is new breaks this until somebody thinks.
        use prost::Message as _;
        let set = prost_types::FileDescriptorSet::decode(gavel_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut seen = 0;
        for service in
            set.file.iter().flat_map(|file| file.service.iter().map(move |one| (file.package(), one)))
        {
            for method in &service.1.method {
                let path = format!("/{}.{}/{}", service.0, service.1.name(), method.name());
                let asked = Asked::of(&path);
                assert!(asked.call.is_some(), "{path}");
                assert_eq!(asked.is_long, method.server_streaming(), "{path}");
                seen += 1;
            }
        }
        assert!(seen >= 8);
        assert_eq!(
            Asked::of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo").call,
            Some(Call::Reflection)
        );
        assert_eq!(Asked::of("/grpc.health.v1.Health/Check").call, None);
        assert_eq!(Asked::of("/gavel.v1.PolicyDecision/Nonsense").rpc, Rpc::Other);
    }
}
