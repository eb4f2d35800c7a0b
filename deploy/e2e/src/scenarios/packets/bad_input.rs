//! Packets that are not as they should be: dropped as documented, counted, and nothing falls over.

use anyhow::ensure;
use etherparse::PacketBuilder;

use super::shop::{PORT, SOON, Shop};
use crate::kit::{GavelNode, Reach, Scenario, World, in_a_pod, wait};

const WEB: [u8; 4] = [10, 40, 0, 1];
const FRIEND: [u8; 4] = [10, 40, 0, 2];
const STRANGER: [u8; 4] = [10, 40, 0, 3];

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let shop = Shop::open(scenario).await?;
    let node = shop.agent(scenario, &[]).await?;
    let world = &shop.world;

    for (what, from, bytes, reason) in [
        ("half a TCP header", "friend", syn(FRIEND, PORT)[..30].to_vec(), "invalid"),
        ("a wrong TCP checksum", "friend", with_wrong_sum(syn(FRIEND, PORT)), "invalid"),
        ("a part of no connection", "friend", reset(), "invalid"),
        ("an unknown protocol", "friend", of_protocol(253), "protocol"),
        ("a ping", "friend", ping(), "protocol"),
        ("IP in IP", "friend", of_protocol(4), "protocol"),
        ("port 0", "friend", syn(FRIEND, 0), "port_zero"),
        ("another pod's address", "stranger", syn(FRIEND, PORT), "spoofed"),
    ] {
        is_refused(world, &node, what, from, &bytes, reason).await?;
    }
    // Of these the kernel itself takes care: nothing of them comes anywhere.
    let alone = fragment();
    for bytes in [alone, vec![0x55; 60], vec![0x45; 21]] {
        let sent = send(world, "friend", &bytes).await;
        ensure!(sent.is_ok() || format!("{sent:?}").contains("not sent"), "{sent:?}");
    }
    // What is sent in fragments is put together, and decided about as a whole.
    for (from, reached) in [("friend", true), ("stranger", false)] {
        let to = world.address_of("web", true)?;
        let reach = Reach { from, protocol: "UDP-LARGE", to, port: PORT };
        let is = world.reaches_within(&reach, if reached { 5000 } else { 400 }).await?;
        ensure!(is == reached, "in fragments: {from} reaches web is {is}");
    }
    shop.is_enforced("after bad packets").await?;
    let output = node.output()?;
    ensure!(!output.contains("panicked"), "{output}");
    // The flow log tells of each kind.
    for reason in ["invalid", "protocol", "port_zero", "spoofed"] {
        ensure!(output.contains(&format!(r#""by":"{reason}""#)), "the flow log has no {reason}:\n{output}");
    }
    drop(node);

    // Pings pass where they are allowed to.
    let node = shop.agent(scenario, &["--other-protocols=allow"]).await?;
    let passed = node.metric(world, "gavel_node_other_protocol_packets_total").await?;
    send(world, "friend", &ping()).await?;
    wait::until("the ping has passed", SOON, async || {
        let now = node.metric(world, "gavel_node_other_protocol_packets_total").await?;
        Ok((now > passed).then_some(()))
    })
    .await?;
    drop(node);
    everybodys_sources(scenario, &shop).await
}

/// `--reverse-path`: `all` holds for whoever is no pod of this node, too, and `off` for nobody.
async fn everybodys_sources(scenario: &Scenario, shop: &Shop) -> anyhow::Result<()> {
    let world = &shop.world;
    let nobody = [192, 0, 2, 99];
    let node = shop.agent(scenario, &["--reverse-path=all"]).await?;
    is_refused(world, &node, "an address of nobody here", "stranger", &syn(nobody, PORT), "spoofed").await?;
    shop.is_enforced("with --reverse-path all").await?;
    drop(node);
    let node = shop.agent(scenario, &["--reverse-path=off"]).await?;
    let denied = r#"gavel_node_decisions_total{verdict="deny",by="server"}"#;
    let before = node.metric(world, denied).await?;
    send(world, "stranger", &syn(nobody, PORT)).await?;
    wait::until("it is decided by policies alone", SOON, async || {
        Ok((node.metric(world, denied).await? > before).then_some(()))
    })
    .await?;
    shop.is_enforced("with --reverse-path off").await
}

async fn is_refused(
    world: &World,
    node: &GavelNode,
    what: &str,
    from: &str,
    bytes: &[u8],
    reason: &str,
) -> anyhow::Result<()> {
    let metric = format!(r#"gavel_node_refused_packets_total{{reason="{reason}"}}"#);
    let before = node.metric(world, &metric).await?;
    send(world, from, bytes).await?;
    wait::until(&format!("{what} is counted as {reason}"), SOON, async || {
        Ok((node.metric(world, &metric).await? > before).then_some(()))
    })
    .await
}

async fn send(world: &World, from: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let command = in_a_pod(&["raw", &world.address_of("web", true)?.to_string(), &digits])?;
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    world.run(Some(from), &command).await.map(drop)
}

/// The first packet of a connection.
fn syn(source: [u8; 4], port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = PacketBuilder::ipv4(source, WEB, 64).tcp(41_000, port, 1, 1024).syn();
    // Writing to memory does not fail.
    let _ = packet.write(&mut bytes, &[]);
    bytes
}

fn reset() -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = PacketBuilder::ipv4(FRIEND, WEB, 64).tcp(42_000, PORT, 1, 1024).rst().write(&mut bytes, &[]);
    bytes
}

fn with_wrong_sum(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[36] ^= 0xff;
    bytes
}

fn ping() -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = PacketBuilder::ipv4(FRIEND, WEB, 64).icmpv4_echo_request(1, 1).write(&mut bytes, b"hello");
    bytes
}

/// A packet of this protocol, with what would be ports.
fn of_protocol(number: u8) -> Vec<u8> {
    let mut bytes = syn(FRIEND, PORT);
    bytes[9] = number;
    bytes
}

/// The second fragment of something that never comes.
fn fragment() -> Vec<u8> {
    let mut bytes = syn(STRANGER, PORT);
    bytes[6..8].copy_from_slice(&[0x00, 0x08]);
    bytes
}
