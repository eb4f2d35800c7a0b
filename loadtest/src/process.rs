//! What a process uses, as Linux tells it: its CPU clock, and `/proc`.

use std::time::Duration;

use anyhow::Context as _;
use nix::time::{clock_getcpuclockid, clock_gettime};
use rustix::process::{Pid, Signal, kill_process};

/// CPU time of a process so far, in user mode and in the kernel, of all its threads, also of those that have ended.
///
/// # Errors
/// When there is no such process.
pub fn cpu(pid: u32) -> anyhow::Result<Duration> {
    // The call takes 0 for the process that asks.
    let known = i32::try_from(pid).ok().filter(|pid| *pid > 0).context("no such process")?;
    let clock =
        clock_getcpuclockid(nix::unistd::Pid::from_raw(known)).with_context(|| format!("process {pid}"))?;
    Ok(clock_gettime(clock).with_context(|| format!("process {pid}"))?.into())
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
        forget_peak(me).unwrap();
        assert!(resident(me).unwrap() > 1 << 20 && peak(me).unwrap() > 1 << 20);
        assert!(descriptors(me).unwrap() >= 3);
        assert!(cpu(u32::MAX).is_err() && cpu(0).is_err());
    }

    #[test]
    fn threads_that_have_ended_count() {
        let me = std::process::id();
        let before = cpu(me).unwrap();
        let busy = || {
            let (began, mut number) = (std::time::Instant::now(), 1_u64);
            while began.elapsed() < Duration::from_millis(30) {
                number = std::hint::black_box(number.wrapping_mul(3));
            }
            let own = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            Duration::new(own.tv_sec.unsigned_abs(), u32::try_from(own.tv_nsec).unwrap())
        };
        let ended = std::thread::spawn(busy).join().unwrap();
        assert!(cpu(me).unwrap() - before >= ended, "{ended:?}");
    }
}
