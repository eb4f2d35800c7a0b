//! Metrics of calls and connections: counted where they happen, by children that were looked up once.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;

use super::labels::{ConnectionRejection, Decides, RecordResult, Rejection, Rpc, Verdict, code};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    rpc: &'static str,
    verdict: &'static str,
    policy_kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RpcLabel {
    rpc: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    rpc: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// Bounds in seconds: decisions take microseconds, calls tens of them, and what waits for a snapshot seconds.
const BUCKETS: [f64; 17] = [
    2.5e-7, 5e-7, 1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 1e-1, 1.0,
    10.0,
];

/// Metrics of calls and connections.
#[derive(Debug)]
pub(super) struct Calls {
    verdicts: [[Counter; Verdict::ALL.len()]; Decides::ALL.len()],
    decisions: [Histogram; Decides::ALL.len()],
    durations: [Histogram; Rpc::ALL.len()],
    good: [Counter; Rpc::ALL.len()],
    codes: Family<CodeLabels, Counter>,
    in_flight: Gauge,
    rejections: [Counter; Rejection::ALL.len()],
    connections: [Counter; ConnectionRejection::ALL.len()],
    reload_failures: Counter,
    records: [Counter; RecordResult::ALL.len()],
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

impl Calls {
    /// `looks_at_admissions`: whether an evaluator is switched on.
    pub(super) fn register(registry: &mut Registry, looks_at_admissions: bool) -> Self {
        let kind = |decides| match decides {
            Decides::Admit if looks_at_admissions => "pod_security_policy",
            Decides::Admit => "none",
            Decides::CheckFlow => "network_policy",
            Decides::Authorize => "rbac",
        };
        let histograms = || Family::<RpcLabel, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let (verdicts, decisions, durations) =
            (Family::<DecisionLabels, Counter>::default(), histograms(), histograms());
        let (codes, rejections) =
            (Family::<CodeLabels, Counter>::default(), Family::<ReasonLabel, Counter>::default());
        let connections = Family::<ReasonLabel, Counter>::default();
        let records = Family::<ResultLabel, Counter>::default();
        // Every child is looked up once, and is there from 0 on, so that a rate can be made of the first count.
        let calls = Self {
            verdicts: Decides::ALL.map(|decides| {
                Verdict::ALL.map(|verdict| {
                    let (rpc, verdict, policy_kind) = (decides.as_str(), verdict.as_str(), kind(decides));
                    verdicts.get_or_create(&DecisionLabels { rpc, verdict, policy_kind }).clone()
                })
            }),
            decisions: Decides::ALL
                .map(|decides| decisions.get_or_create(&RpcLabel { rpc: decides.as_str() }).clone()),
            durations: Rpc::ALL.map(|rpc| durations.get_or_create(&RpcLabel { rpc: rpc.as_str() }).clone()),
            good: Rpc::ALL.map(|rpc| {
                codes.get_or_create(&CodeLabels { rpc: rpc.as_str(), code: code(Code::Ok) }).clone()
            }),
            codes: codes.clone(),
            in_flight: Gauge::default(),
            rejections: Rejection::ALL
                .map(|why| rejections.get_or_create(&ReasonLabel { reason: why.as_str() }).clone()),
            connections: ConnectionRejection::ALL
                .map(|why| connections.get_or_create(&ReasonLabel { reason: why.as_str() }).clone()),
            reload_failures: Counter::default(),
            records: RecordResult::ALL
                .map(|result| records.get_or_create(&ResultLabel { result: result.as_str() }).clone()),
        };
        registry.register(
            "decision_log_records",
            "Records of the decision log, by what became of them",
            records,
        );
        registry.register("decisions", "Questions answered, by call, verdict and kind of policy", verdicts);
        registry.register_with_unit(
            "decision_duration",
            "Time to decide, without transport",
            Unit::Seconds,
            decisions,
        );
        registry.register_with_unit(
            "rpc_duration",
            "Time from a call's headers to the end of its answer",
            Unit::Seconds,
            durations,
        );
        registry.register("rpcs", "Calls that ended, by status code", codes);
        registry.register(
            "rpcs_in_flight",
            "Calls that have not ended, streams included",
            calls.in_flight.clone(),
        );
        registry.register("requests_rejected", "Requests that were not let in, by reason", rejections);
        registry.register(
            "connections_rejected",
            "Connections that were not taken, or cut, by reason",
            connections,
        );
        registry.register(
            "tls_reload_failures",
            "New files of certificates that could not be used; the old ones stay",
            calls.reload_failures.clone(),
        );
        calls
    }

    pub(super) fn decided(&self, decides: Decides, verdict: Verdict, took: Duration) {
        self.verdicts[decides as usize][verdict as usize].inc();
        self.decisions[decides as usize].observe(took.as_secs_f64());
    }

    pub(super) fn started(&self) {
        self.in_flight.inc();
    }

    pub(super) fn ended(&self, rpc: Rpc, status: Code, took: Duration) {
        self.in_flight.dec();
        self.durations[rpc as usize].observe(took.as_secs_f64());
        if status == Code::Ok {
            self.good[rpc as usize].inc();
        } else {
            self.codes.get_or_create(&CodeLabels { rpc: rpc.as_str(), code: code(status) }).inc();
        }
    }

    pub(super) fn rejected(&self, why: Rejection) {
        self.rejections[why as usize].inc();
    }

    pub(super) fn connection_rejected(&self, why: ConnectionRejection) {
        self.connections[why as usize].inc();
    }

    pub(super) fn reload_failed(&self) {
        self.reload_failures.inc();
    }

    pub(super) fn recorded(&self, result: RecordResult, records: u64) {
        self.records[result as usize].inc_by(records);
    }
}
