//! A new pod's traffic is held back until the server knows the pod: what the CNI plugin asks for, asked by hand.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::shop::{LATE_POLICY, LATE_UID, SOON, Shop, pod};
use crate::kit::{Scenario, wait};

const ADDRESS: &str = "10.40.0.9";

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let mut shop = Shop::open(scenario).await?;
    let socket = scenario.folder.file("node.sock");
    let flag = format!("--cni-socket={}", socket.display());
    let mut node = shop.agent(scenario, &[&flag]).await?;
    let api = Api(socket);
    std::fs::write(shop.manifests.join("late-policy.yaml"), LATE_POLICY)?;
    shop.world.add("late", &[ADDRESS]).await?;
    shop.world.serve(&scenario.folder, "late", &["TCP:8080"]).await?;

    // Whoever is not told of passes: the server does not know that there is such a pod.
    shop.is("not held", "stranger", "late", true).await?;
    let hold = json!({"namespace": "shop", "pod": "late", "uid": LATE_UID, "addresses": [ADDRESS]});
    let (status, put) = api.ask("PUT", "/v1/holds/c1/eth0", Some(&hold)).await?;
    ensure!(status == 200 && put["known"] == false && put["revision"].as_u64() > Some(0), "{status} {put}");
    nothing_passes(&shop, "held").await?;
    ensure!(node.metric(&shop.world, "gavel_node_held_pods").await? == 1.0, "it is not counted");
    // It is held by the next agent, too.
    node.process().kill()?;
    nothing_passes(&shop, "held, and the agent is killed").await?;
    node.process().start_again()?;
    node.until_ready(&shop.world).await?;
    nothing_passes(&shop, "held, and the agent is back").await?;

    // A pod of that name and address is known, but it is the one before.
    let before = pod("late", &[ADDRESS]);
    let with_uid = |uid: &str| before.replace("{name: late,", &format!("{{name: late, uid: {uid},"));
    std::fs::write(shop.manifests.join("late.yaml"), with_uid(&LATE_UID.replace("0123", "3210")))?;
    shop.until("the one before is known", "late", "open", false).await?;
    let (_, got) = api.ask("GET", "/v1/holds/c1/eth0", None).await?;
    ensure!(got["known"] == false, "{got}");
    nothing_passes(&shop, "the one before is known").await?;

    // Now it is known: policies decide.
    std::fs::write(shop.manifests.join("late.yaml"), with_uid(LATE_UID))?;
    wait::until("it is known", SOON, async || {
        let (_, got) = api.ask("GET", "/v1/holds/c1/eth0", None).await?;
        Ok((got["known"] == true).then_some(()))
    })
    .await?;
    for (from, to, reached) in [("friend", "late", true), ("stranger", "late", false), ("late", "open", true)]
    {
        shop.is("known", from, to, reached).await?;
    }
    ensure!(node.metric(&shop.world, "gavel_node_held_pods").await? == 0.0, "it still counts as held");
    api_of(&api).await
}

async fn nothing_passes(shop: &Shop, when: &str) -> anyhow::Result<()> {
    for (from, to) in [("friend", "late"), ("stranger", "late"), ("late", "open"), ("late", "web")] {
        shop.is(when, from, to, false).await?;
    }
    shop.is(when, "stranger", "open", true).await
}

/// The rest of what can be asked.
async fn api_of(api: &Api) -> anyhow::Result<()> {
    for (method, path, body, status, part) in [
        ("GET", "/readyz", None, 200, ""),
        ("GET", "/v1/holds/nobody/eth0", None, 404, "has not been told"),
        ("PUT", "/v1/holds/c2/eth0", Some(json!({"namespace": "shop"})), 400, "pod"),
        (
            "PUT",
            "/v1/holds/c2/eth0",
            Some(json!({"namespace": "shop", "pod": "p", "addresses": []})),
            400,
            "empty",
        ),
        (
            "PUT",
            "/v1/holds/c2/eth0",
            Some(json!({"namespace": "shop", "pod": "p", "addresses": ["x"]})),
            400,
            "IP address",
        ),
        ("POST", "/v1/holds/gc", Some(json!({"valid": [{"containerID": "c1", "ifname": "eth0"}]})), 200, "0"),
        ("POST", "/v1/holds/gc", Some(json!({"valid": []})), 200, "1"),
        ("GET", "/v1/holds/c1/eth0", None, 404, "has not been told"),
        ("DELETE", "/v1/holds/c1/eth0", None, 204, ""),
        ("POST", "/v1/holds/gc", Some(json!({"valid": 1})), 400, "valid"),
    ] {
        let (is, answer) = api.ask(method, path, body.as_ref()).await?;
        ensure!(is == status && answer.to_string().contains(part), "{method} {path}: {is} {answer}");
    }
    Ok(())
}

/// The agent's socket for the CNI plugin.
struct Api(PathBuf);

impl Api {
    /// The status, and the answer as JSON, if it is that.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<(u16, Value)> {
        let Self(socket) = self;
        let mut curl = tokio::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "10", "--unix-socket"]).arg::<&Path>(socket);
        curl.args(["--request", method, "--write-out", "\n%{http_code}"]);
        if let Some(body) = body {
            curl.args(["--header", "content-type: application/json", "--data", &body.to_string()]);
        }
        let output = curl.arg(format!("http://node{path}")).output().await?;
        ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout)?;
        let (body, status) = text.rsplit_once('\n').context("no status")?;
        Ok((status.parse()?, serde_json::from_str(body).unwrap_or(Value::Null)))
    }
}
