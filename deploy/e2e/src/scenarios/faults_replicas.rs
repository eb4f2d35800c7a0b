//! Two replicas of the server behind one webhook, and pods created without a pause: one is killed, then the other,
//! then both. No decision is wrong, and none is lost.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::json;

use crate::kit::{ControlPlane, GavelServer, Scenario, Webhook, WebhookFlags, objects, wait};

/// Pods of each part of the stream, and how many are asked for at once.
const PODS: usize = 120;
const AT_ONCE: usize = 4;
const SOON: Duration = Duration::from_secs(60);

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.shared_plane().await?;
    let policy = objects::granted_policy(
        scenario.name,
        "faults-replicas",
        json!({"runAsUser": {"rule": "MustRunAsNonRoot"}}),
    );
    plane.rest.create_all(&policy).await?;
    let kubeconfig = plane.kubeconfig(plane.address)?;
    let mut one = GavelServer::start(&scenario.folder, &kubeconfig, &[]).await?;
    let mut two = GavelServer::start(&scenario.folder, &kubeconfig, &[]).await?;
    let webhook = Webhook::start(&scenario.folder, &[&one, &two], WebhookFlags::default()).await?;
    webhook.validates(plane, scenario.name).await?;
    webhook.mutates(plane, scenario.name).await?;

    let mut stream = Stream { plane, namespace: scenario.name, webhook: &webhook, part: 0 };
    stream.run("with two replicas", async || Ok(())).await?;
    stream.run("one is killed", async || one.kill()).await?;
    one.start_again()?;
    one.until_ready().await?;
    until_good(&webhook, 2.0).await?;
    stream.run("the other is killed", async || two.kill()).await?;
    two.start_again()?;
    two.until_ready().await?;
    until_good(&webhook, 2.0).await?;
    stream.run("both are back", async || Ok(())).await?;

    one.kill()?;
    two.kill()?;
    nobody_answers(plane, scenario, &[&one, &two]).await
}

async fn until_good(webhook: &Webhook, count: f64) -> anyhow::Result<()> {
    let good = async || {
        let metrics = webhook.metrics().await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("gavel_webhook_servers_good "));
        Ok(line.context("no gavel_webhook_servers_good")?.parse::<f64>()?)
    };
    wait::until_is("the webhook knows its replicas again", SOON, good, |good| *good == count).await?;
    Ok(())
}

/// Pods created one after another, every other one as no policy admits it.
struct Stream<'a> {
    plane: &'a ControlPlane,
    namespace: &'a str,
    webhook: &'a Webhook,
    part: usize,
}

impl Stream<'_> {
    /// Creates pods, does something to the replicas in their midst, and holds every answer against what it has to be.
    async fn run(
        &mut self,
        what: &str,
        midst: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.part += 1;
        let stranger = self.plane.rest.as_user(objects::STRANGER);
        let create = |index: usize| {
            let name = format!("p{}-{index}", self.part);
            let good = index.is_multiple_of(2);
            let user = if good { 1000 } else { 0 };
            let pod = objects::pod(self.namespace, &name, json!({"securityContext": {"runAsUser": user}}));
            let stranger = stranger.clone();
            async move {
                match (good, stranger.try_create(&pod).await?) {
                    (true, Ok(_)) => Ok(()),
                    (false, Err(refusal))
                        if refusal.message.contains("running with the root UID is forbidden") =>
                    {
                        Ok(())
                    }
                    (_, answer) => Err(anyhow::anyhow!("{name} (runAsUser {user}): {answer:?}")),
                }
            }
        };
        let creations = |range: std::ops::Range<usize>| {
            stream::iter(range.map(create)).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>()
        };
        let in_the_midst = async {
            creations(0..PODS / 2).await?;
            // The second half is on its way while it happens.
            let (later, happened) = tokio::join!(creations(PODS / 2..PODS), async {
                tokio::task::yield_now().await;
                midst().await
            });
            happened?;
            later
        };
        let answered = in_the_midst.await.with_context(|| what.to_owned())?.len();
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let pods = self.plane.rest.get(&path).await?["items"].as_array().map_or(0, Vec::len);
        ensure!(pods == self.part * PODS / 2, "{what}: {pods} pods there, not {}", self.part * PODS / 2);
        let unavailable = unavailable(&self.webhook.metrics().await?)?;
        println!(
            "faults-replicas: {what}: {PODS} pods asked for, the last {answered} while it happened; every answer right, {unavailable} reviews without a server"
        );
        ensure!(unavailable == 0.0, "{what}: {unavailable} reviews were answered without a server");
        Ok(())
    }
}

/// Reviews that `--on-unavailable` answered.
fn unavailable(metrics: &str) -> anyhow::Result<f64> {
    let lines = metrics.lines().filter(|line| line.starts_with("gavel_webhook_unavailable_total"));
    let values: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    ensure!(!values.is_empty(), "no gavel_webhook_unavailable_total in\n{metrics}");
    Ok(values.iter().sum())
}

/// Without any server the webhook does what it was told: refuse, or admit with a warning.
async fn nobody_answers(
    plane: &ControlPlane,
    scenario: &Scenario,
    servers: &[&GavelServer],
) -> anyhow::Result<()> {
    let pod = objects::pod(scenario.name, "undecided", json!({"securityContext": {"runAsUser": 1000}}));
    let refusal = plane.rest.try_create(&pod).await?.err().context("--on-unavailable deny, and admitted")?;
    ensure!(refusal.message.contains("no Gavel server could decide"), "{refusal}");
    ensure!(refusal.message.contains("--on-unavailable deny"), "{refusal}");
    println!("faults-replicas: without any server: {refusal}");

    let lenient = "faults-replicas-allow";
    objects::make_namespace(plane, lenient).await?;
    let flags = WebhookFlags { on_unavailable: "allow", ..Default::default() };
    let webhook = Webhook::spawn(&scenario.folder, servers, flags)?;
    webhook.has_validated(plane, lenient).await?;
    let pod = objects::pod(lenient, "undecided", json!({"securityContext": {"runAsUser": 0}}));
    let warned = async || {
        let created =
            plane.kubectl.try_run(&["create", "--dry-run=server", "-f", "-"], &pod.to_string()).await?;
        ensure!(created.success, "--on-unavailable allow, and refused: {}", created.stderr);
        Ok(created.stderr)
    };
    let told = |stderr: &String| stderr.contains("Warning: admitted without a decision");
    wait::until_is("kubectl shows the warning", SOON, warned, told).await?;
    Ok(())
}
