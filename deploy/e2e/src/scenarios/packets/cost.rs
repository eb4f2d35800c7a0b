//! What a new connection costs: without an agent, with it, and with one question each. Nothing here fails by a time: what was
//! measured is printed.

use anyhow::{Context as _, ensure};

use super::shop::{PORT, Shop};
use crate::kit::{GavelNode, Scenario, World, in_a_pod};

/// Rounds, in each of which everybody has a turn, and connections of a turn.
const ROUNDS: usize = 5;
const CONNECTIONS: u32 = 1000;

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    let alone = Shop::world(&scenario.folder).await?;
    let asking = Shop::world(&scenario.folder).await?;
    // As on a node, whose connections are followed in any case.
    alone.run(None, &["iptables", "-A", "FORWARD", "-m", "conntrack", "--ctstate", "ESTABLISHED"]).await?;
    let _keeping = shop.agent(scenario, &[]).await?;
    let _asking =
        GavelNode::start(&asking, &scenario.folder, &[&shop.address], &["--cache-entries=0"]).await?;
    let ways: [(&str, &World); 3] =
        [("without an agent", &alone), ("with answers kept", &shop.world), ("one question each", &asking)];
    let mut times: [Vec<u64>; 3] = Default::default();
    for _ in 0..ROUNDS {
        for ((what, world), times) in ways.iter().zip(&mut times) {
            let some = connect(world).await?;
            ensure!(some.len() == CONNECTIONS as usize, "{what}: {} of {CONNECTIONS} came about", some.len());
            times.extend(some);
        }
    }
    let quantile = |times: &[u64], of: f64| times[((times.len() - 1) as f64 * of) as usize];
    times.iter_mut().for_each(|times| times.sort_unstable());
    let base = times[0].clone();
    for ((what, _), times) in ways.iter().zip(&times) {
        let [p50, p99] = [0.5, 0.99].map(|of| quantile(times, of));
        let ratio = |time: u64, of: f64| time as f64 / quantile(&base, of) as f64;
        println!(
            "connect, {what}: p50 {p50} µs ({:.2} ×), p99 {p99} µs ({:.2} ×)",
            ratio(p50, 0.5),
            ratio(p99, 0.99)
        );
    }
    Ok(())
}

/// Microseconds of connections from friend to web, one after the other.
async fn connect(world: &World) -> anyhow::Result<Vec<u64>> {
    let to = world.address_of("web", true)?.to_string();
    let command = in_a_pod(&["connects", &to, &PORT.to_string(), &CONNECTIONS.to_string(), "0", "60"])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let said = world.run(Some("friend"), &command).await?;
    said.lines().skip(1).map(|line| line.parse().context("no number")).collect()
}
