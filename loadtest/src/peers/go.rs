//! Programs in Go: built from the modules of `loadtest/peers`, and asked line by line, as their module `asked` has it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Builds a package of a module; as Go keeps what it compiled, this takes seconds the next time.
///
/// # Errors
/// When there is no Go, or it cannot build it.
pub(super) fn build(module: &Path, package: &str, program: &Path) -> anyhow::Result<()> {
    let go = Command::new("go")
        .current_dir(module)
        .args(["build", "-trimpath", "-o"])
        .arg(program)
        .arg(package)
        .output()
        .context("cannot start `go`: the programs to compare with are built by Go (https://go.dev/dl)")?;
    ensure!(
        go.status.success(),
        "cannot build {package} in {}: {}",
        module.display(),
        String::from_utf8_lossy(&go.stderr).trim()
    );
    Ok(())
}

/// A program that answers questions in its own process, again and again. Killed when dropped.
#[derive(Debug)]
pub(super) struct Evaluator {
    name: String,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What a program did in a window.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Window {
    decisions: u64,
    cpu_nanos: u64,
}

#[derive(Debug, Deserialize)]
struct Answers {
    answers: Vec<bool>,
}

impl Evaluator {
    /// Starts a program with its questions, which are written into a file for it, and takes its answers to each.
    ///
    /// # Errors
    /// When it does not answer.
    pub(super) fn start(program: &Path, questions: &Value) -> anyhow::Result<(Self, Vec<bool>)> {
        let file = PathBuf::from(format!("{}.json", program.display()));
        std::fs::write(&file, serde_json::to_vec(questions)?)?;
        let mut child = Command::new(program)
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("no pipes");
        };
        let name = program.display().to_string();
        let mut evaluator = Self { name, child, questions, answers: BufReader::new(answers) };
        let Answers { answers } = evaluator.line()?;
        Ok((evaluator, answers))
    }

    /// Has it answer for a while, from questions that are as `how` tells: "decoded", or in some programs also "json". The
    /// CPU time a decision, in microseconds.
    ///
    /// # Errors
    /// When it does not answer.
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    pub(super) fn micros(&mut self, how: &str, window: Duration) -> anyhow::Result<f64> {
        writeln!(self.questions, "{how} {}", window.as_millis())?;
        let Window { decisions, cpu_nanos } = self.line()?;
        ensure!(decisions > 0, "{}: no decision", self.name);
        Ok(cpu_nanos as f64 / 1000.0 / decisions as f64)
    }

    fn line<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "{}: it ended without an answer", self.name);
        serde_json::from_str(&line).with_context(|| format!("{}: {line}", self.name))
    }
}

impl Drop for Evaluator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
