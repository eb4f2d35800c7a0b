//! What stands at the moment: connections, callers, tokens remembered, the certificate; read when it is asked for.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::UNIX_EPOCH;

use gavel_access::CacheCounts;
use gavel_tls::{Followed, ServerTls};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::grpc::Shared;
use crate::limits::Connections;

/// Where it is read.
#[derive(Debug)]
pub(crate) struct Standing {
    /// Weak: it knows the metrics, too.
    pub(crate) shared: Weak<Shared>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) tls: Option<Followed<ServerTls>>,
}

impl Standing {
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(shared) = self.shared.upgrade() else { return Ok(()) };
        let open = self.connections.open() as u64;
        gauge(encoder, "connections", "Connections that are open", open.cast_signed())?;
        let callers = shared.callers.count() as u64;
        let help = "Callers that are told apart: users, or addresses where callers are not authenticated";
        gauge(encoder, "callers", help, callers.cast_signed())?;
        if let Some(access) = &shared.access {
            let counts = Tokens(access.authenticator.cache_counts());
            let help = "Tokens, by whether they were remembered, or what came of asking";
            counts.encode(encoder.encode_descriptor("token_cache", help, None, MetricType::Counter)?)?;
        }
        if let Some(tls) = &self.tls {
            let until = tls.current().not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            let help = "Until when the certificate that is served is good, in seconds since 1970";
            gauge(encoder, "tls_certificate_expiry_timestamp_seconds", help, until.cast_signed())?;
        }
        Ok(())
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
}

/// What came of tokens.
struct Tokens(CacheCounts);

impl Tokens {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let CacheCounts { hits, misses, refused, errors, entries: _ } = self.0;
        for (result, count) in [("hit", hits), ("miss", misses), ("refused", refused), ("error", errors)] {
            encoder
                .encode_family(&[("result", result)])?
                .encode_counter::<prometheus_client::encoding::NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }
}

/// Encodes what stands once there is something.
#[derive(Debug, Default)]
pub(super) struct Slot(pub(super) std::sync::OnceLock<Standing>);

impl Collector for Slot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.0.get().map_or(Ok(()), |standing| standing.encode(&mut encoder))
    }
}
