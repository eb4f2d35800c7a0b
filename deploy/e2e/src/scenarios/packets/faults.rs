//! What happens to packets while something is broken: connections that exist live on, new ones follow the setting, and none
//! passes that may not.

use anyhow::{Context as _, ensure};

use super::shop::{Kept, PORT, SOON, Shop};
use crate::kit::{GavelNode, Scenario, in_a_pod, wait};

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    agent_killed(scenario).await?;
    server_gone(scenario).await?;
    server_slow(scenario).await?;
    queue_full(scenario).await?;
    rules_touched(scenario).await
}

async fn agent_killed(scenario: &Scenario) -> anyhow::Result<()> {
    for setting in ["deny", "allow"] {
        let shop = Shop::open(scenario).await?;
        let flag = format!("--on-unavailable={setting}");
        let mut node = shop.agent(scenario, &[&flag]).await?;
        shop.is_enforced("at first").await?;
        let mut kept = Kept::open(&shop.world, "friend", "web", true).await?;
        node.process().kill()?;
        let passes = setting == "allow";
        shop.is("the agent is killed", "friend", "web", passes).await?;
        shop.is("the agent is killed", "stranger", "web", passes).await?;
        shop.is("the agent is killed", "stranger", "open", true).await?;
        ensure!(kept.is_alive().await?, "{setting}: a connection ended with the agent");
        node.process().start_again()?;
        node.until_ready(&shop.world).await?;
        shop.is_enforced("the agent is back").await?;
        ensure!(kept.is_alive().await?, "{setting}: a connection ended when the agent came back");
        // Told to stop, it leaves the rules; told to take them out, it does.
        node.process().tell_to_stop()?;
        node.process().ended().await?;
        shop.is("the agent has stopped", "stranger", "web", passes).await?;
        let program = crate::kit::program("gavel-node")?.to_string_lossy().into_owned();
        let said = shop.world.run(None, &[&program, "uninstall"]).await?;
        ensure!(said == "the rules were taken out\n", "{said}");
        shop.is("the rules were taken out", "stranger", "web", true).await?;
        let rules = shop.world.run(None, &["iptables-save"]).await?;
        ensure!(!rules.contains("GAVEL"), "{rules}");
        let said = shop.world.run(None, &[&program, "uninstall"]).await?;
        ensure!(said == "there were no rules\n", "{said}");
    }
    Ok(())
}

async fn server_gone(scenario: &Scenario) -> anyhow::Result<()> {
    for setting in ["deny", "allow"] {
        let mut shop = Shop::open(scenario).await?;
        let flag = format!("--on-unavailable={setting}");
        let mut node = shop.agent(scenario, &[&flag]).await?;
        let mut kept = Kept::open(&shop.world, "friend", "web", true).await?;
        shop.server.kill()?;
        let passes = setting == "allow";
        shop.until("the server is gone", "stranger", "web", passes).await?;
        shop.until("the server is gone", "friend", "web", passes).await?;
        shop.is("the server is gone", "stranger", "open", true).await?;
        ensure!(kept.is_alive().await?, "{setting}: a connection ended with the server");
        ensure!(
            node.metric(&shop.world, "gavel_node_server_up").await? == 0.0,
            "the server counts as being up"
        );
        // An agent that starts now enforces what the last one did.
        node.process().kill()?;
        node.process().start_again()?;
        shop.until("an agent without a server", "stranger", "web", passes).await?;
        shop.server.start_again()?;
        shop.until("the server is back", "friend", "web", true).await?;
        shop.until("the server is back", "stranger", "web", false).await?;
        shop.is_enforced("the server is back").await?;
        ensure!(kept.is_alive().await?, "{setting}: a connection ended when the server came back");
    }
    Ok(())
}

/// A server that hangs, alone and with another one beside it.
async fn server_slow(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    let node = shop.agent(scenario, &["--timeout-ms=500"]).await?;
    shop.is_enforced("at first").await?;
    shop.signal("-STOP").await?;
    shop.until("the server hangs", "friend", "web", false).await?;
    shop.is("the server hangs", "stranger", "web", false).await?;
    shop.signal("-CONT").await?;
    shop.until("the server answers again", "friend", "web", true).await?;
    shop.is_enforced("the server answers again").await?;
    drop(node);

    let (_second, address) = Shop::another_server(scenario, &shop.manifests).await?;
    let servers = [shop.address.as_str(), address.as_str()];
    let _node = GavelNode::start(&shop.world, &scenario.folder, &servers, &["--timeout-ms=500"]).await?;
    shop.is_enforced("with two servers").await?;
    shop.signal("-STOP").await?;
    // A SYN that finds the first one hanging is sent anew a second later: the second one has answered by then.
    shop.is("one of two servers hangs", "friend", "web", true).await?;
    shop.is("one of two servers hangs", "stranger", "web", false).await?;
    shop.signal("-CONT").await
}

async fn queue_full(scenario: &Scenario) -> anyhow::Result<()> {
    for setting in ["deny", "allow"] {
        let shop = Shop::open(scenario).await?;
        let flag = format!("--on-unavailable={setting}");
        let flags = [flag.as_str(), "--queue-length=4", "--timeout-ms=5000"];
        let node = shop.agent(scenario, &flags).await?;
        shop.is_enforced("at first").await?;
        shop.signal("-STOP").await?;
        // To a port that nobody has asked about yet.
        let came = connects(&shop, "stranger", 8081, 200, 400).await?;
        ensure!((came > 0) == (setting == "allow"), "{setting}: {came} connections passed a full queue");
        let full = node.metric(&shop.world, "gavel_node_queue_full_total").await?;
        // What is let pass, the kernel does not count (`net/netfilter/nfnetlink_queue.c`, `__nfqnl_enqueue_packet`).
        ensure!((full > 0.0) == (setting == "deny"), "{setting}: {full} packets found the queue full");
        shop.signal("-CONT").await?;
        wait::until("the queue is empty", SOON, async || {
            let waiting = node.metric(&shop.world, "gavel_node_queue_packets").await?;
            Ok((waiting == 0.0).then_some(()))
        })
        .await?;
        shop.until("the queue is empty", "friend", "web", true).await?;
        shop.until("the queue is empty", "stranger", "web", false).await?;
    }
    let shop = Shop::open(scenario).await?;
    let node = shop.agent(scenario, &[]).await?;
    // Many at a time, for and against.
    let offers = tokio::try_join!(offer(&shop, "friend"), offer(&shop, "stranger"))?;
    let ((for_it, friends), (against, strangers)) = offers;
    ensure!(strangers == 0, "{strangers} of {against} connections passed that may not");
    ensure!(friends > 0, "no connection of {for_it} came about");
    println!(
        "10,000 new connections a second offered to each of two pods for 3 s: of {for_it} that are allowed {friends} \
         came about within 50 ms, of {against} that are denied none"
    );
    shop.is_enforced("after many connections").await?;
    let denied = node.metric(&shop.world, r#"gavel_node_decisions_total{verdict="deny",by="cache"}"#).await?;
    ensure!(denied > 0.0, "nothing was denied by what was kept");
    Ok(())
}

/// How many connections come about, of so many at this rate.
async fn connects(shop: &Shop, from: &str, port: u16, count: u32, rate: u32) -> anyhow::Result<u32> {
    let to = shop.world.address_of("web", true)?.to_string();
    let (port, count, rate) = (port.to_string(), count.to_string(), rate.to_string());
    let command = in_a_pod(&["connects", &to, &port, &count, &rate, "10"])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let said = shop.world.run(Some(from), &command).await?;
    Ok(said.split_whitespace().next().unwrap_or_default().parse()?)
}

/// How many connections were offered, 10,000 a second, and how many came about.
async fn offer(shop: &Shop, from: &str) -> anyhow::Result<(u64, u64)> {
    let to = shop.world.address_of("web", true)?.to_string();
    let command = in_a_pod(&["offer", &to, &PORT.to_string(), "10000", "3"])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let said = shop.world.run(Some(from), &command).await?;
    let (offered, came) = said.trim().split_once(' ').context("nothing was said")?;
    Ok((offered.parse()?, came.parse()?))
}

/// Somebody flushes the tables: the rules are written again.
async fn rules_touched(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    let _node = shop.agent(scenario, &["--resync-seconds=1"]).await?;
    shop.is_enforced("at first").await?;
    for command in [
        &["iptables", "-t", "mangle", "-F"][..],
        &["iptables", "-t", "mangle", "-F", "GAVEL-FORWARD"],
        &["iptables", "-t", "mangle", "-D", "FORWARD", "-j", "GAVEL-FORWARD"],
    ] {
        shop.world.run(None, command).await?;
        shop.until("rules were flushed", "stranger", "web", false).await?;
        shop.is_enforced("rules were flushed").await?;
    }
    Ok(())
}
