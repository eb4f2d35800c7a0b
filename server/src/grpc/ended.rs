//! The end of a request: what it had of the server is given back, and it is counted.

use std::sync::Arc;
use std::time::Instant;

use gavel_telemetry::Span;
use tonic::Code;

use super::stuck::Counted;
use crate::limits::Slot;
use crate::metrics::{Metrics, Rpc};

/// A request that lasts until this is dropped, with the last byte of its answer or when its caller goes away.
#[derive(Debug)]
pub(super) struct Ended {
    metrics: Arc<Metrics>,
    rpc: Rpc,
    started: Instant,
    code: Option<Code>,
    /// Its span, if it is traced.
    pub(super) span: Option<Span>,
    /// What it has of the server.
    pub(super) slot: Option<Arc<Slot>>,
    /// Its place among those of its connection.
    pub(super) counted: Option<Counted>,
}

impl Ended {
    pub(super) fn new(metrics: Arc<Metrics>, rpc: Rpc) -> Self {
        metrics.rpc_started();
        Self { metrics, rpc, started: Instant::now(), code: None, span: None, slot: None, counted: None }
    }

    /// How it ended.
    pub(super) fn with(&mut self, code: Code) {
        self.code = Some(code);
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // No status was sent: the caller went away first.
        let code = self.code.unwrap_or(Code::Cancelled);
        self.metrics.rpc_ended(self.rpc, code, self.started.elapsed());
        if let Some(span) = &self.span {
            span.set("rpc.grpc.status_code", i64::from(i32::from(code)));
            // Of a server's span, these alone are the server's own failures:
            // https://opentelemetry.io/docs/specs/semconv/rpc/grpc/#grpc-status
            if matches!(
                code,
                Code::Unknown
                    | Code::DeadlineExceeded
                    | Code::Unimplemented
                    | Code::Internal
                    | Code::Unavailable
                    | Code::DataLoss
            ) {
                span.failed(format!("{code:?}"));
            }
            span.end();
        }
    }
}
