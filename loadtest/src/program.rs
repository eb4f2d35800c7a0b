//! Programs that are started to be measured.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

use crate::{EchoClient, Target, TargetSettings, process};

/// How long a server may take to be there.
const SOON: Duration = Duration::from_secs(300);
/// How long it may take to end.
const END: Duration = Duration::from_secs(20);
/// How often is looked whether it is there.
const LOOK: Duration = Duration::from_millis(10);

/// A program that runs. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    log: PathBuf,
    /// When it was started.
    pub started: Instant,
}

impl Program {
    /// Starts it; what it prints is appended to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Self> {
        let file = std::fs::File::options().create(true).append(true).open(log)?;
        let started = Instant::now();
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { child, name: program.display().to_string(), log: log.to_owned(), started })
    }

    /// Its number.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().with_context(|| format!("{} has ended", self.name))
    }

    /// CPU time so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        process::cpu(self.pid()?)
    }

    /// Connects to what it serves, as soon as it listens.
    ///
    /// # Errors
    /// When it has ended, or does not listen.
    pub async fn target(&mut self, settings: &TargetSettings) -> anyhow::Result<Target> {
        loop {
            match Target::connect(settings).await {
                Ok(target) => return Ok(target),
                Err(error) => self.wait(error).await?,
            }
        }
    }

    /// The same, of an echo.
    ///
    /// # Errors
    /// As [`Program::target`].
    pub async fn echo(&mut self, address: &str, connections: usize) -> anyhow::Result<EchoClient> {
        loop {
            match EchoClient::connect(address, connections).await {
                Ok(client) => return Ok(client),
                Err(error) => self.wait(error).await?,
            }
        }
    }

    /// Waits a moment before something is tried again.
    ///
    /// # Errors
    /// When the program has ended, or it was tried for too long: what went wrong.
    pub async fn wait(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let tail: Vec<&str> = log.lines().rev().take(5).collect();
            bail!("{} ended ({status}): {}", self.name, tail.join(" / "));
        }
        if self.started.elapsed() > SOON {
            return Err(error);
        }
        tokio::time::sleep(LOOK).await;
        Ok(())
    }

    /// Tells it to stop, and waits until it has; whether it ended well is for the caller to say.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn stop(mut self) -> anyhow::Result<std::process::ExitStatus> {
        process::terminate(self.pid()?)?;
        match tokio::time::timeout(END, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("{} did not end within {END:?}", self.name),
        }
    }

    /// The same, of a program that ends well when it is told to.
    ///
    /// # Errors
    /// When it does not end, or not well.
    pub async fn stop_well(self) -> anyhow::Result<()> {
        let name = self.name.clone();
        let status = self.stop().await?;
        ensure!(status.success(), "{name} did not end well: {status}");
        Ok(())
    }
}
