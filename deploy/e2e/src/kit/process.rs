//! Processes that end with the test: however it ends, where they can see it.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::folder::Folder;

/// What to start, as often as it is started.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// The file.
    pub(crate) path: PathBuf,
    /// What it is called: binaries of several programs look at it.
    pub(crate) name: String,
    pub(crate) arguments: Vec<OsString>,
    pub(crate) environment: Vec<(String, String)>,
}

impl Program {
    pub(crate) fn new<A: Into<OsString>>(
        path: &Path,
        name: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        // The components of Kubernetes end once their standard input is closed: deploy/e2e/kubernetes/main.go.
        let environment = vec![("E2E_END_WITH_STDIN".to_owned(), "1".to_owned())];
        Self { path: path.to_owned(), name: name.to_owned(), arguments, environment }
    }
}

/// A running process, or one that was killed and can be started again. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Process {
    program: Program,
    log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Starts the program; what it writes goes to a new file of the folder.
    pub(crate) fn start(program: Program, folder: &Folder) -> anyhow::Result<Self> {
        let log = folder.file(&format!("{}.log", program.name));
        let mut process = Self { program, log, child: None };
        process.start_again()?;
        Ok(process)
    }

    /// Starts the program again, with the same arguments and the same log.
    pub(crate) fn start_again(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        let program = &self.program;
        let log = File::options().create(true).append(true).open(&self.log)?;
        let child = Command::new(&program.path)
            .arg0(&program.name)
            .args(&program.arguments)
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            // Held open by this process, and closed with it.
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {} ({})", program.name, program.path.display()))?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills the process at once (SIGKILL), and waits until it is gone.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// What it has written so far.
    pub(crate) fn output(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.child.as_ref().context("the process was killed")?.id())
    }

    /// Tells the process to stop (SIGTERM).
    pub(crate) fn tell_to_stop(&self) -> anyhow::Result<()> {
        let told = Command::new("kill").args(["-TERM", &self.pid()?.to_string()]).status()?;
        anyhow::ensure!(told.success(), "{} cannot be told to stop", self.program.name);
        Ok(())
    }

    /// Waits until the process that was told to stop has; what does not within a minute is killed.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = child.try_wait()? {
                anyhow::ensure!(
                    status.success(),
                    "{} was told to stop, and ended with {status}",
                    self.program.name
                );
                return Ok(());
            }
            if Instant::now() > patience {
                child.kill()?;
                child.wait()?;
                bail!("{} did not stop", self.program.name);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Fails when the process has ended by itself.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            let text = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(10)..].join("\n");
            bail!("{} ended ({status}); its log {} ends with\n{tail}", self.program.name, self.log.display());
        }
        Ok(())
    }

    /// Bytes of memory the process has (resident).
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let child = self.child.as_ref().context("the process was killed")?;
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nobody is there to be told.
        let _ = self.kill();
    }
}
