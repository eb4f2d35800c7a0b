//! A hostile client beside a well-behaved one: whose answers stay right and come in time, and the server's memory stays
//! bounded.
//!
//! The well-behaved caller asks at a fixed rate, in phases of quiet and of attack by turns. Its answers must all be right;
//! how much longer they take under attack is told, not tested: the two share this machine's processors.

mod attacks;
mod endings;
mod frames;
mod headers;
mod tls;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::BoxFuture;
use gavel_loadtest::{Load, Pace, Results, Target, TargetSettings, process, run, telemetry_cost::median};
use gavel_proto::v1;
use gavel_tls::ClientFiles;

use crate::kit::{Authority, GavelServer, MANIFESTS, Scenario, flow};

/// Questions a second of the well-behaved caller, and how long a phase lasts.
const RATE: f64 = 200.0;
const PHASE: Duration = Duration::from_secs(1);
/// Pairs of phases. A release build is measured, a development build only tried.
const PAIRS: usize = if cfg!(debug_assertions) { 1 } else { 5 };
/// The aim: how many times as long the slowest of a hundred may take.
const AIM: f64 = 2.0;
/// What the server may hold for requests, and connections of one address.
const HELD: u64 = 64 << 20;
const CONNECTIONS: u64 = 256;
/// What a connection may hold: its receive window, and buffers of HTTP/2 and TLS.
const OF_A_CONNECTION: u64 = (1 << 20) + (256 << 10);

/// Limits that are reached soon, so that what they end is seen to end.
const LIMITS: [&str; 5] = [
    "--handshake-seconds=1",
    "--request-seconds=2",
    "--max-wait-seconds=2",
    "--max-connections-per-address=256",
    "--max-held-bytes=67108864",
];

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let manifests = scenario.folder.write("manifests.yaml", MANIFESTS)?;
    let mut figures = in_clear(scenario, &manifests).await?;
    figures.extend(over_tls(scenario, &manifests).await?);
    report(&figures);
    Ok(())
}

/// What came of attacks, each with its name.
type AllFigures = Vec<(&'static str, Figures)>;

/// Attacks on a server that anybody may ask.
async fn in_clear(scenario: &Scenario, manifests: &Path) -> anyhow::Result<AllFigures> {
    let server = GavelServer::of_manifests(&scenario.folder, manifests, &LIMITS).await?;
    let caller = Caller::new(&server, settings(&server)).await?;
    let mut figures = Vec::new();
    for (name, attack) in attacks::ATTACKS {
        figures.push((name, caller.beside(&server, name, attack).await?));
    }
    endings::each(&server, endings::in_clear()).await?;
    well_afterwards(&server).await?;
    Ok(figures)
}

/// Attacks on a server that wants to know who asks.
async fn over_tls(scenario: &Scenario, manifests: &Path) -> anyhow::Result<AllFigures> {
    let authority = Authority::new(&scenario.folder)?;
    let keys = scenario.folder.write("keys.json", tls::KEYS)?;
    let mut flags = authority.server_flags()?;
    flags.push("--grant=user:caller=CheckFlow".to_owned());
    flags.extend([format!("--token-keys={}", keys.display()), format!("--token-issuer={}", tls::ISSUER)]);
    flags.extend(LIMITS.map(str::to_owned));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let server = GavelServer::of_manifests(&scenario.folder, manifests, &flags).await?;
    let settings = |cert_and_key| TargetSettings {
        tls: Some(ClientFiles { ca: authority.file.clone(), cert_and_key }),
        ..settings(&server)
    };
    let caller = Caller::new(&server, settings(Some(authority.issue("caller")?))).await?;
    let stranger = Target::connect(&settings(None)).await?;
    let mut figures = Vec::new();
    for (name, attack) in
        [("no TLS at all", tls::junk as attacks::Attack), ("handshakes that stall", tls::stalled)]
    {
        figures.push((name, caller.beside(&server, name, attack).await?));
    }
    let name = "tokens that nobody signed";
    let tokens = |_| -> BoxFuture<'static, ()> { Box::pin(tls::tokens(stranger.clone())) };
    figures.push((name, caller.beside(&server, name, tokens).await?));
    let refused = server.metric("gavel_requests_rejected_total").await?;
    let unauthenticated = refused.iter().find(|(labels, _)| labels.contains("unauthenticated"));
    ensure!(unauthenticated.is_some_and(|(_, count)| *count > 0.0), "tokens were not refused: {refused:?}");
    drop(stranger);
    endings::each(&server, endings::over_tls()).await?;
    well_afterwards(&server).await?;
    Ok(figures)
}

/// How a server in clear is asked. An answer that takes longer than the deadline is a failure: what would starve the
/// caller fails, what slows it down is told.
fn settings(server: &GavelServer) -> TargetSettings {
    TargetSettings {
        address: server.address.to_string(),
        connections: 2,
        deadline: Duration::from_secs(5),
        ..Default::default()
    }
}

/// What came of one attack.
struct Figures {
    quiet: Duration,
    attacked: Duration,
    ratio: f64,
    peak: u64,
}

/// A well-behaved caller.
struct Caller {
    target: Target,
    pid: u32,
    /// What the server has without anybody's attack.
    resting: u64,
}

impl Caller {
    async fn new(server: &GavelServer, settings: TargetSettings) -> anyhow::Result<Self> {
        let target = Target::connect(&settings).await?;
        let pid = server.pid()?;
        let caller = Self { target, pid, resting: 0 };
        caller.phase().await?;
        Ok(Self { resting: process::resident(pid)?, ..caller })
    }

    /// Asks for a while; every answer has to be right.
    async fn phase(&self) -> anyhow::Result<Results> {
        let target = self.target.clone();
        let load = Load { pace: Pace::Open { per_second: RATE, most_in_flight: 1000 }, duration: PHASE };
        let results = run(load, move |number| {
            let target = target.clone();
            async move {
                let question = target.request(flow("friend", "web", 80));
                let answer = target.client(number).check_flow(question).await;
                let answer = answer.map_err(|status| format!("{:?}: {}", status.code(), status.message()))?;
                let is_right = answer.get_ref().verdict() == v1::Verdict::Allow;
                if is_right { Ok(()) } else { Err("a wrong answer".to_owned()) }
            }
        })
        .await;
        ensure!(results.failed() == 0, "{results}");
        Ok(results)
    }

    /// Asks in quiet and beside an attack, by turns.
    async fn beside(
        &self,
        server: &GavelServer,
        name: &str,
        attack: impl Fn(SocketAddr) -> BoxFuture<'static, ()>,
    ) -> anyhow::Result<Figures> {
        process::forget_peak(self.pid)?;
        let (mut quiets, mut attackeds, mut descriptors) = (Vec::new(), Vec::new(), 0);
        for _ in 0..PAIRS {
            quiets.push(self.phase().await.with_context(|| format!("before {name}"))?.quantile(0.99));
            let attacker = tokio::spawn(attack(server.address));
            let phase = self.phase().await;
            descriptors = descriptors.max(process::descriptors(self.pid)?);
            attacker.abort();
            // Ended by being told to, or by itself: that would be no attack.
            let ended = attacker.await;
            ensure!(ended.is_err_and(|error| error.is_cancelled()), "{name}: the attack ended by itself");
            attackeds.push(phase.with_context(|| format!("beside {name}"))?.quantile(0.99));
        }
        let peak = process::peak(self.pid)?;
        let most = self.resting + HELD + CONNECTIONS * OF_A_CONNECTION;
        ensure!(peak < most, "{name}: {peak} bytes of memory, at rest {}, at most {most}", self.resting);
        ensure!(descriptors < 400, "{name}: {descriptors} file descriptors");
        let ratio = median(
            quiets
                .iter()
                .zip(&attackeds)
                .map(|(quiet, attacked)| attacked.as_secs_f64() / quiet.as_secs_f64()),
        );
        let middle =
            |times: &[Duration]| Duration::from_secs_f64(median(times.iter().map(Duration::as_secs_f64)));
        Ok(Figures { quiet: middle(&quiets), attacked: middle(&attackeds), ratio, peak })
    }
}

/// Once attackers are gone, so is what they had.
async fn well_afterwards(server: &GavelServer) -> anyhow::Result<()> {
    let soon = Duration::from_secs(60);
    crate::kit::wait::until_is(
        "nothing is left of the attacks",
        soon,
        async || {
            let value =
                async |name: &str| anyhow::Ok(server.metric(name).await?.first().map(|(_, value)| *value));
            Ok((value("gavel_connections").await?, value("gavel_rpcs_in_flight").await?))
        },
        |(connections, in_flight)| connections.is_some_and(|open| open <= 2.0) && *in_flight == Some(0.0),
    )
    .await?;
    ensure!(server.readiness().await?.status == 200);
    let cut: f64 =
        server.metric("gavel_connections_rejected_total").await?.iter().map(|(_, count)| count).sum();
    ensure!(cut > 0.0, "no hostile connection was counted");
    Ok(())
}

fn report(figures: &[(&str, Figures)]) {
    for (name, Figures { quiet, attacked, ratio, peak }) in figures {
        let verdict = if *ratio <= AIM { "" } else { " ABOVE THE AIM OF 2 x" };
        println!(
            "hostile: {name}: p99 {quiet:.2?} in quiet, {attacked:.2?} beside it: {ratio:.2} x{verdict}; memory at most {} MiB",
            peak >> 20
        );
    }
}
