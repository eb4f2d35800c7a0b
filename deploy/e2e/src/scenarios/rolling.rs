//! Three replicas under load, each told to stop and started anew, twice around: no request fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use gavel_client::{Balanced, Security, balanced};
use gavel_proto::v1;
use tokio::task::JoinSet;

use crate::kit::{Authority, GavelServer, MANIFESTS, Scenario, flow};

/// How many ask at once, and how long each waits between two questions.
const WORKERS: usize = 16;
const PAUSE: Duration = Duration::from_millis(2);
const ROUNDS: usize = 2;
/// What a call may take, attempts at other replicas included.
const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let folder = &scenario.folder;
    let authority = Authority::new(folder)?;
    let manifests = folder.write("manifests.yaml", MANIFESTS)?;
    let mut flags = authority.server_flags()?;
    flags.extend(
        ["--grant=user:caller=CheckFlow", "--drain-delay-seconds=1", "--max-connection-age-seconds=2"]
            .map(str::to_owned),
    );
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(GavelServer::of_manifests(folder, &manifests, &flags).await?);
    }

    let load = Load::start(&authority, &servers).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    for round in 0..ROUNDS {
        for (number, server) in servers.iter_mut().enumerate() {
            let answered = load.answered.load(Ordering::Relaxed);
            let told = Instant::now();
            server.tell_to_stop()?;
            // Readiness falls first, and it is still there.
            server.until_readiness("readiness falls", DEADLINE, |ready| ready.status == 503).await?;
            server.ended().await?;
            let stopped = told.elapsed();
            ensure!(
                stopped >= Duration::from_secs(1),
                "replica {number} did not wait before it stopped: {stopped:?}"
            );
            ensure!(load.answered.load(Ordering::Relaxed) > answered, "nobody answered meanwhile");
            server.start_again()?;
            server.until_ready().await?;
            load.check()?;
            println!("rolling: round {round}: replica {number} stopped within {stopped:.1?} and is back");
        }
    }
    // Connections end after two seconds, so that the replicas that came last get their part.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (answered, failed) = load.end().await?;
    let mut shares = Vec::new();
    for server in &servers {
        let calls = server.metric("gavel_rpcs_total").await?;
        let answers: f64 = calls
            .iter()
            .filter(|(name, _)| name.contains("\"CheckFlow\"") && name.contains("\"OK\""))
            .map(|(_, count)| count)
            .sum();
        shares.push(answers);
    }
    ensure!(shares.iter().all(|share| *share > 0.0), "a replica was left out: {shares:?}");
    ensure!(failed.is_empty(), "{} of {answered} calls failed: {failed:?}", failed.len());
    println!(
        "rolling: {answered} calls over {} restarts in {:.0?}, none failed; since its last start each replica answered {shares:?}",
        ROUNDS * servers.len(),
        started.elapsed()
    );
    Ok(())
}

/// Callers, who ask all the while.
struct Load {
    answered: Arc<AtomicU64>,
    failed: Arc<std::sync::Mutex<Vec<String>>>,
    ends: Arc<AtomicBool>,
    workers: JoinSet<()>,
}

impl Load {
    async fn start(authority: &Authority, servers: &[GavelServer]) -> anyhow::Result<Self> {
        let mut settings = balanced::Settings::default();
        settings.security = Security::default();
        settings.security.server_ca = Some(authority.file.clone());
        settings.security.client_cert_and_key = Some(authority.issue("caller")?);
        let addresses: Vec<String> = servers.iter().map(|server| server.address.to_string()).collect();
        let client = Balanced::with(&addresses, settings, Arc::new(balanced::Dns)).await?;
        let load = Self {
            answered: Arc::default(),
            failed: Arc::default(),
            ends: Arc::default(),
            workers: JoinSet::new(),
        };
        let Self { answered, failed, ends, mut workers } = load;
        for _ in 0..WORKERS {
            let (client, answered, failed, ends) =
                (client.clone(), answered.clone(), failed.clone(), ends.clone());
            workers.spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    let right = match client.check_flow(flow("friend", "web", 80), DEADLINE).await {
                        Ok(answer) if answer.verdict() == v1::Verdict::Allow => Ok(()),
                        Ok(answer) => Err(format!("wrong: {}", answer.reason)),
                        Err(error) => Err(error.to_string()),
                    };
                    answered.fetch_add(1, Ordering::Relaxed);
                    if let Err(why) = right
                        && let Ok(mut failed) = failed.lock()
                    {
                        failed.push(why);
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Ok(Self { answered, failed, ends, workers })
    }

    /// Fails as soon as a call has.
    fn check(&self) -> anyhow::Result<()> {
        let failed = self.failed.lock().map_or(0, |failed| failed.len());
        ensure!(failed == 0, "{failed} calls failed: {:?}", self.failed.lock());
        Ok(())
    }

    async fn end(self) -> anyhow::Result<(u64, Vec<String>)> {
        let Self { answered, failed, ends, mut workers } = self;
        ends.store(true, Ordering::Relaxed);
        while let Some(ended) = workers.join_next().await {
            ended?;
        }
        let failed = failed.lock().map(|failed| failed.clone()).unwrap_or_default();
        Ok((answered.load(Ordering::Relaxed), failed))
    }
}
