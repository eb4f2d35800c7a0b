//! Standard metrics of the process (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>), and
//! those of its runtime; read when they are asked for.

use std::fmt;

use procfs::WithCurrentSystemInfo as _;
use procfs::process::{LimitValue, Process as Proc};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::runtime::Handle;

/// The process and its runtime.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // Without /proc there is nothing to tell.
        if let Ok(process) = Proc::myself() {
            encode_process(&mut encoder, &process)?;
        }
        match Handle::try_current() {
            Ok(handle) => encode_runtime(&mut encoder, &handle),
            Err(_) => Ok(()),
        }
    }
}

fn metric(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[expect(clippy::cast_precision_loss, reason = "seconds of processor time")]
fn encode_process(encoder: &mut DescriptorEncoder<'_>, process: &Proc) -> fmt::Result {
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second() as f64;
        let cpu = (stat.utime + stat.stime) as f64 / ticks;
        metric(encoder, "process_cpu_seconds", "Processor time used, in seconds", &ConstCounter::new(cpu))?;
        let resident = stat.rss_bytes().get();
        metric(encoder, "process_resident_memory_bytes", "Resident memory, in bytes", &gauge(resident))?;
        metric(encoder, "process_virtual_memory_bytes", "Virtual memory, in bytes", &gauge(stat.vsize))?;
        metric(encoder, "process_threads", "Threads", &ConstGauge::new(stat.num_threads))?;
        if let Ok(started) = procfs::boot_time_secs().map(|boot| boot as f64 + stat.starttime as f64 / ticks)
        {
            let help = "When the process started, in seconds since 1970";
            metric(encoder, "process_start_time_seconds", help, &ConstGauge::new(started))?;
        }
    }
    if let Ok(open) = process.fd_count() {
        metric(encoder, "process_open_fds", "Open file descriptors", &gauge(open as u64))?;
    }
    if let Ok(limits) = process.limits()
        && let LimitValue::Value(most) = limits.max_open_files.soft_limit
    {
        metric(encoder, "process_max_fds", "Most open file descriptors", &gauge(most))?;
    }
    Ok(())
}

fn encode_runtime(encoder: &mut DescriptorEncoder<'_>, handle: &Handle) -> fmt::Result {
    let runtime = handle.metrics();
    let workers = runtime.num_workers();
    let busy: f64 = (0..workers).map(|worker| runtime.worker_total_busy_duration(worker).as_secs_f64()).sum();
    metric(encoder, "tokio_workers", "Threads that run tasks", &gauge(workers as u64))?;
    metric(
        encoder,
        "tokio_alive_tasks",
        "Tasks that have not ended",
        &gauge(runtime.num_alive_tasks() as u64),
    )?;
    let help = "Tasks that wait in the queue of all workers";
    metric(encoder, "tokio_global_queue_depth", help, &gauge(runtime.global_queue_depth() as u64))?;
    let help = "Time that workers were busy, of all together, in seconds";
    metric(encoder, "tokio_worker_busy_seconds", help, &ConstCounter::new(busy))
}

/// Whole numbers of a gauge have a sign.
fn gauge(value: u64) -> ConstGauge {
    ConstGauge::new(value.cast_signed())
}
