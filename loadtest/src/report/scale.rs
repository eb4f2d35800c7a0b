//! A large cluster from a folder: how long until it answers, and how much memory that takes.

use std::time::Duration;

use super::figures::Scale;
use super::servers::Programs;
use super::world::World;
use crate::telemetry_cost::median;

/// Allocators give back some of what reading took within this time.
const SETTLE: Duration = Duration::from_secs(3);

/// Starts servers of the large cluster, so many times, by turns with those of a cluster that differs from it in having
/// fewer pods.
///
/// # Errors
/// When one does not start.
pub(super) async fn measure(
    programs: &Programs,
    large: &World,
    fewer: &World,
    starts: usize,
) -> anyhow::Result<Scale> {
    let mode = programs.modes()?[0];
    let (mut resident, mut of_fewer) = (Vec::new(), Vec::new());
    let mut scale = Scale {
        cluster: large.words(),
        pods: large.cluster.size().pods,
        manifest_bytes: large.written.bytes,
        ..Default::default()
    };
    for _ in 0..starts {
        let served = programs.manifests(mode, &fewer.manifests).await?;
        tokio::time::sleep(SETTLE).await;
        of_fewer.push(served.resident()? as f64);
        served.stop().await?;
        let served = programs.manifests(mode, &large.manifests).await?;
        scale.ready_seconds.push(served.ready.as_secs_f64());
        scale.ready_cpu_seconds = served.cpu()?.as_secs_f64();
        scale.peak_bytes = scale.peak_bytes.max(served.peak()?);
        tokio::time::sleep(SETTLE).await;
        resident.push(served.resident()? as f64);
        served.stop().await?;
    }
    scale.resident_bytes = median(resident) as u64;
    scale.fewer = (median(of_fewer) as u64, fewer.cluster.size().pods);
    Ok(scale)
}
