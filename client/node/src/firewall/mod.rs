//! The kernel's rules: written whole, looked after, taken out.

mod script;

use std::process::Stdio;

use anyhow::Context as _;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::rules::Rules;
use script::Family;
pub(crate) use script::Targets;

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    const fn save(self) -> &'static str {
        match self {
            Family::V4 => "iptables-save",
            Family::V6 => "ip6tables-save",
        }
    }

    const fn restore(self) -> &'static str {
        match self {
            Family::V4 => "iptables-restore",
            Family::V6 => "ip6tables-restore",
        }
    }
}

/// The rules that were written, of each family.
#[derive(Debug)]
pub(crate) struct Firewall {
    targets: Targets,
    /// As iptables-save told them right after they were written; none: not written yet.
    written: [Option<String>; 2],
}

impl Firewall {
    pub(crate) fn new(targets: Targets) -> Self {
        Self { targets, written: [None, None] }
    }

    /// Writes the rules, all of a family at once.
    ///
    /// # Errors
    /// When the kernel or iptables does not take them: those of that family are as they were.
    pub(crate) async fn install(&mut self, rules: &Rules) -> anyhow::Result<()> {
        for (family, written) in FAMILIES.into_iter().zip(&mut self.written) {
            let installed = install(rules, &self.targets, family).await;
            match installed {
                Ok(saved) => *written = Some(saved),
                // A machine without IPv6 has no pods with such addresses.
                Err(error)
                    if family == Family::V6 && !rules.pods.iter().any(|address| family.has(address)) =>
                {
                    tracing::debug!(error = format!("{error:#}"), "no rules for IPv6");
                    *written = None;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether the rules are as they were written.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub(crate) async fn is_untouched(&self) -> anyhow::Result<bool> {
        for (family, written) in FAMILIES.into_iter().zip(&self.written) {
            if let Some(written) = written
                && script::ours(&save(family).await?) != *written
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

async fn install(rules: &Rules, targets: &Targets, family: Family) -> anyhow::Result<String> {
    let missing = script::missing_jumps(&save(family).await?);
    restore(family, &script::install(rules, targets, family, &missing)).await?;
    Ok(script::ours(&save(family).await?))
}

/// Takes the rules out, of both families. Tells whether there were any.
///
/// # Errors
/// When iptables does not do it.
pub async fn uninstall() -> anyhow::Result<bool> {
    let mut were_any = false;
    for family in FAMILIES {
        let saved = match save(family).await {
            Ok(saved) => saved,
            // Where there is no IPv6, there are no rules for it.
            Err(_) if family == Family::V6 => continue,
            Err(error) => return Err(error),
        };
        if let Some(text) = script::uninstall(&saved) {
            restore(family, &text).await?;
            were_any = true;
        }
    }
    Ok(were_any)
}

async fn save(family: Family) -> anyhow::Result<String> {
    run(family.save(), &["-t", "mangle"], "").await
}

async fn restore(family: Family, text: &str) -> anyhow::Result<()> {
    // Waits for others that are writing rules: the legacy variant locks, the other one takes no notice.
    let done = run(family.restore(), &["--noflush", "--wait", "5"], text).await;
    done.map(drop).with_context(|| format!("rules that were not taken:\n{text}"))
}

/// Runs a program, and hands out what it wrote.
///
/// # Errors
/// When it cannot be started or fails, with what it said.
pub(crate) async fn run(program: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{program} cannot be run: is it installed?"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // Whoever does not read to the end says why.
        let _ = stdin.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.with_context(|| format!("{program} cannot be waited for"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{program} failed: {}", said.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What is said of each program that is not there.
pub(crate) async fn missing_programs(cuts: bool) -> Vec<String> {
    let mut programs: Vec<_> = FAMILIES.iter().flat_map(|family| [family.save(), family.restore()]).collect();
    if cuts {
        programs.push("conntrack");
    }
    let mut missing = Vec::new();
    for program in programs {
        let version =
            Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if version.await.is_err() {
            missing.push(format!("{program} is not installed, or not in PATH"));
        }
    }
    missing
}
