//! What a process uses, as Linux tells it in `/proc`.

use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

/// `USER_HZ`, in which `/proc/PID/stat` counts: 100 on every architecture Linux runs on today
/// (`include/asm-generic/param.h`).
const TICKS_PER_SECOND: u64 = 100;

/// CPU time of a process so far, in user mode and in the kernel, of all its threads. To the nanosecond where the kernel
/// has that, without threads that have ended; else in hundredths of a second.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    match scheduled(pid) {
        Some(time) => Ok(time),
        None => ticks(pid),
    }
}

/// Of `schedstat` (`Documentation/scheduler/sched-stats.rst`), which a kernel may lack.
fn scheduled(pid: u32) -> Option<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        match std::fs::read_to_string(task.ok()?.path().join("schedstat")) {
            Ok(text) => nanos += text.split_whitespace().next()?.parse::<u64>().ok()?,
            // The thread has ended meanwhile.
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
            Err(_) => return None,
        }
    }
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

fn ticks(pid: u32) -> anyhow::Result<Duration> {
    let stat = read(pid, "stat")?;
    // The second field is the program's name in parentheses, and may have anything in it.
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has no name")?;
    // utime and stime are fields 14 and 15 (proc_pid_stat(5)); the first after the name is the third.
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
}

/// Bytes of memory the process has at the moment (resident).
///
/// # Errors
/// When there is no such process.
pub fn resident(pid: u32) -> anyhow::Result<u64> {
    kib(pid, "VmRSS:")
}

/// The most it has had (resident), since it began or since [`forget_peak`].
///
/// # Errors
/// When there is no such process.
pub fn peak(pid: u32) -> anyhow::Result<u64> {
    kib(pid, "VmHWM:")
}

/// Begins to look for the most memory anew (`clear_refs` in proc(5)).
///
/// # Errors
/// When there is no such process, or it is somebody else's.
pub fn forget_peak(pid: u32) -> anyhow::Result<()> {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").with_context(|| format!("process {pid}"))
}

/// Open file descriptors.
///
/// # Errors
/// When there is no such process.
pub fn descriptors(pid: u32) -> anyhow::Result<usize> {
    let folder = std::fs::read_dir(format!("/proc/{pid}/fd")).with_context(|| format!("process {pid}"))?;
    Ok(folder.count())
}

/// Tells a process to stop (SIGTERM), as Kubernetes does.
///
/// # Errors
/// When there is no such process.
pub fn terminate(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).context("no such process")?;
    Ok(kill_process(pid, Signal::TERM)?)
}

fn kib(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = read(pid, "status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("no {name} of process {pid}"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib * 1024)
}

fn read(pid: u32, file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_this_process() {
        let me = std::process::id();
        let start = std::time::Instant::now();
        let mut number = 1_u64;
        while start.elapsed() < Duration::from_millis(50) || cpu(me).unwrap() < Duration::from_millis(20) {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        forget_peak(me).unwrap();
        assert!(resident(me).unwrap() > 1 << 20 && peak(me).unwrap() > 1 << 20);
        assert!(descriptors(me).unwrap() >= 3);
        let apart = ticks(me).unwrap().abs_diff(cpu(me).unwrap());
        assert!(apart < Duration::from_millis(200), "{apart:?}");
        assert!(cpu(u32::MAX).is_err());
    }
}
