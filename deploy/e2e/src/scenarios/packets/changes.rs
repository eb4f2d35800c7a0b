//! Changes of policies and pods, all families and protocols, and connections that are cut.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::ensure;

use super::shop::{FRIENDS_ONLY, Kept, PORT, SOON, Shop};
use crate::kit::{Reach, Scenario, wait};

/// Of a service.
const SERVICE: &str = "10.96.0.1";
const SERVICE_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 96, 0, 1));

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    protocols(scenario).await?;
    services(scenario).await?;
    bridged(scenario).await?;
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

/// Connections to a service's address, which the node translates: policies look at the pod that answers.
async fn services(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    let node = shop.agent(scenario, &["--cut-connections"]).await?;
    let translate = [
        "iptables",
        "-t",
        "nat",
        "-A",
        "PREROUTING",
        "-d",
        SERVICE,
        "-p",
        "tcp",
        "--dport",
        "8080",
        "-j",
        "DNAT",
    ];
    shop.world.run(None, &[&translate[..], &["--to-destination", "10.40.0.1:8080"]].concat()).await?;
    let reach = |from| Reach { from, protocol: "TCP", to: SERVICE_ADDRESS, port: PORT };
    ensure!(shop.world.reaches_within(&reach("friend"), 5000).await?, "friend does not reach the service");
    ensure!(!shop.world.reaches_within(&reach("stranger"), 400).await?, "stranger reaches the service");
    let mut kept = Kept::open_to(&shop.world, "friend", SERVICE_ADDRESS).await?;
    ensure!(kept.is_alive().await?, "a connection to the service has ended by itself");
    shop.set_policy(&FRIENDS_ONLY.replace("{app: friend}", "{app: nobody}"))?;
    wait::until("the connection to the service is cut", SOON, async || {
        let cut = node.metric(&shop.world, "gavel_node_connections_cut_total").await?;
        Ok((cut >= 1.0).then_some(()))
    })
    .await?;
    ensure!(!kept.is_alive().await?, "a connection to the service was not cut");
    Ok(())
}

/// Pods on a bridge, as many plugins have them: packets between them are bridged, and filtered all the same.
async fn bridged(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    if !shop.world.bridge().await? {
        println!(
            "this kernel does not filter what is bridged (br_netfilter): pods on a bridge were not tried"
        );
        return Ok(());
    }
    let node = shop.agent(scenario, &[]).await?;
    shop.is_enforced("on a bridge").await?;
    let denied = r#"gavel_node_decisions_total{verdict="deny",by="server"}"#;
    ensure!(node.metric(&shop.world, denied).await? > 0.0, "nothing was denied on the bridge");
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
