//! A large cluster from a folder: how long until it answers, and how much memory that takes.

use std::time::Duration;

use super::figures::Scale;
use super::servers::Programs;
use super::world::World;

/// Allocators give back some of what reading took within this time.
const SETTLE: Duration = Duration::from_secs(3);

/// Starts a server of the large cluster so many times, and one of a cluster that differs from it in having fewer pods.
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
    let served = programs.manifests(mode, &fewer.manifests).await?;
    tokio::time::sleep(SETTLE).await;
    let fewer = (served.resident()?, fewer.cluster.size().pods);
    served.stop().await?;
    let mut scale = Scale {
        cluster: large.words(),
        pods: large.cluster.size().pods,
        manifest_bytes: large.written.bytes,
        fewer,
        ..Default::default()
    };
    for _ in 0..starts {
        let served = programs.manifests(mode, &large.manifests).await?;
        scale.ready_seconds.push(served.ready.as_secs_f64());
        scale.ready_cpu_seconds = served.cpu()?.as_secs_f64();
        scale.peak_bytes = scale.peak_bytes.max(served.peak()?);
        tokio::time::sleep(SETTLE).await;
        scale.resident_bytes = served.resident()?;
        served.stop().await?;
    }
    Ok(scale)
}
