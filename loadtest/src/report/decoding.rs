//! What decoding an admission's pod costs others: serde_json into k8s-openapi's `Pod`.

use std::hint::black_box;

use gavel_proto::v1;
use k8s_openapi::api::core::v1::Pod;
use rustix::time::{ClockId, clock_gettime};

/// How often all of them are decoded.
const TIMES: usize = 4;

/// CPU time of one, in microseconds.
///
/// # Errors
/// When one is no pod.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
pub(super) fn micros(admissions: &[v1::AdmitRequest]) -> anyhow::Result<f64> {
    let began = thread_seconds();
    for question in admissions.iter().cycle().take(admissions.len() * TIMES) {
        black_box(serde_json::from_slice::<Pod>(&question.object)?);
    }
    Ok((thread_seconds() - began) * 1e6 / (admissions.len() * TIMES).max(1) as f64)
}

/// CPU time of this thread.
#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
