//! Changes of policies and pods, all families and protocols, and connections that are cut.

use anyhow::ensure;

use super::shop::{FRIENDS_ONLY, Kept, SOON, Shop};
use crate::kit::{Scenario, wait};

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    protocols(scenario).await?;
    cut(scenario).await?;
    many_queues(scenario).await
}

/// Both families, and all three protocols.
async fn protocols(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    let node = shop.agent(scenario, &[]).await?;
    for is_ipv4 in [true, false] {
        for protocol in ["TCP", "UDP", "SCTP"] {
            for (from, to, reached) in
                [("friend", "web", true), ("stranger", "web", false), ("stranger", "open", true)]
            {
                let is = shop.reaches_by(from, to, protocol, is_ipv4).await?;
                ensure!(is == reached, "{protocol}, IPv4 {is_ipv4}: {from} reaches {to} is {is}");
            }
        }
    }
    // What was answered once is known: the same flow again is decided here.
    let by = |by: &str| format!(r#"gavel_node_decisions_total{{verdict="allow",by="{by}"}}"#);
    let asked = node.metric(&shop.world, &by("server")).await?;
    let kept = node.metric(&shop.world, &by("cache")).await?;
    ensure!(shop.reaches("friend", "web").await?, "friend does not reach web");
    ensure!(node.metric(&shop.world, &by("server")).await? == asked, "a known flow was asked about");
    ensure!(node.metric(&shop.world, &by("cache")).await? == kept + 1.0, "a known flow was not counted");
    Ok(())
}

/// A connection that policies allow no longer ends; others, and those of an agent that does not cut, go on.
async fn cut(scenario: &Scenario) -> anyhow::Result<()> {
    for cuts in [true, false] {
        let shop = Shop::open(scenario).await?;
        let flags: &[&str] = if cuts { &["--cut-connections"] } else { &[] };
        let node = shop.agent(scenario, flags).await?;
        let mut over4 = Kept::open(&shop.world, "friend", "web", true).await?;
        let mut over6 = Kept::open(&shop.world, "friend", "web", false).await?;
        let mut other = Kept::open(&shop.world, "friend", "open", true).await?;
        for kept in [&mut over4, &mut over6, &mut other] {
            ensure!(kept.is_alive().await?, "a connection has ended by itself");
        }
        shop.set_policy(&FRIENDS_ONLY.replace("{app: friend}", "{app: nobody}"))?;
        shop.until("friend is out", "friend", "web", false).await?;
        if cuts {
            wait::until("connections are cut", SOON, async || {
                let cut = node.metric(&shop.world, "gavel_node_connections_cut_total").await?;
                Ok((cut >= 2.0).then_some(()))
            })
            .await?;
        }
        ensure!(over4.is_alive().await? != cuts, "cutting is {cuts}: a connection over IPv4 did not follow");
        ensure!(over6.is_alive().await? != cuts, "cutting is {cuts}: a connection over IPv6 did not follow");
        ensure!(other.is_alive().await?, "a connection was cut that is allowed");
    }
    Ok(())
}

/// Several queues share the connections.
async fn many_queues(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    let _node = shop.agent(scenario, &["--queues=4", "--queue=200"]).await?;
    for _ in 0..10 {
        shop.is_enforced("with four queues").await?;
    }
    shop.set_policy(&FRIENDS_ONLY.replace("{app: friend}", "{app: stranger}"))?;
    shop.until("friend and stranger have changed places", "stranger", "web", true).await?;
    for _ in 0..10 {
        shop.is("friend and stranger have changed places", "stranger", "web", true).await?;
        shop.is("friend and stranger have changed places", "friend", "web", false).await?;
    }
    Ok(())
}
