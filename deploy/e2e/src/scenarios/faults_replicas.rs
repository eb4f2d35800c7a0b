//! Two replicas of the server behind one webhook, and pods created without a pause: one is killed, then the other,
//! then both. No decision is wrong, and none is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::kit::{ControlPlane, GavelServer, Scenario, Webhook, WebhookFlags, objects, wait};

const POLICY: &str = "faults-replicas";
/// What the policy fills in.
const FS_GROUP: u32 = 4711;
/// What it says to pods that run as root.
const ROOT: &str = "spec.containers[0].securityContext.runAsUser: Invalid value: 0: \
                    running with the root UID is forbidden";
/// Pods of each part of the stream, every other one as no policy admits it; and how many are asked for at once.
const PODS: usize = 160;
const AT_ONCE: usize = 8;
const SOON: Duration = Duration::from_secs(60);

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.shared_plane().await?;
    plane.rest.create_all(&objects::granted_policy(scenario.name, POLICY, spec())).await?;
    let kubeconfig = plane.kubeconfig(plane.address)?;
    let mut one = GavelServer::start(&scenario.folder, &kubeconfig, &[]).await?;
    let mut two = GavelServer::start(&scenario.folder, &kubeconfig, &[]).await?;
    let webhook = Webhook::start(&scenario.folder, &[&one, &two], WebhookFlags::default()).await?;
    webhook.validates(plane, scenario.name).await?;
    webhook.mutates(plane, scenario.name).await?;
    until_good(&webhook, 2.0).await?;

    let mut stream = Stream { plane, namespace: scenario.name, webhook: &webhook, part: 0 };
    stream.run("both replicas answer", &two, async || Ok(())).await?;
    stream.run("one is killed", &two, async || one.kill()).await?;
    one.start_again()?;
    one.until_ready().await?;
    until_good(&webhook, 2.0).await?;
    stream.run("the other is killed", &one, async || two.kill()).await?;
    two.start_again()?;
    two.until_ready().await?;
    until_good(&webhook, 2.0).await?;
    stream.run("both answer again", &two, async || Ok(())).await?;

    let lenient = Lenient::start(scenario, plane, &[&one, &two]).await?;
    one.kill()?;
    two.kill()?;
    stream.is_refused_undecided().await?;
    lenient.admits_undecided().await?;
    one.start_again()?;
    one.until_ready().await?;
    until_good(&webhook, 1.0).await?;
    until_good(&lenient.webhook, 1.0).await?;
    lenient.decides().await?;
    stream.run("one of them is back", &one, async || Ok(())).await
}

fn spec() -> Value {
    json!({
        "runAsUser": {"rule": "MustRunAsNonRoot"},
        "fsGroup": {"rule": "MustRunAs", "ranges": [{"min": FS_GROUP, "max": FS_GROUP}]},
    })
}

fn pod_of_user(namespace: &str, name: &str, user: u32) -> Value {
    objects::pod(
        namespace,
        name,
        json!({"containers": [{
            "name": "c", "image": "registry.example/image:1", "securityContext": {"runAsUser": user},
        }]}),
    )
}

/// Pods created one after another by somebody without any grant.
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
        survivor: &GavelServer,
        midst: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.part += 1;
        let before = reviews(self.webhook).await?;
        let retries_before = retries(self.webhook).await?;
        let (answered, answers) = watch::channel(0);
        let creations = stream::iter(0..PODS).map(async |index| {
            let took = self.create(index).await;
            answered.send_modify(|count| *count += 1);
            took
        });
        let creations = creations.buffer_unordered(AT_ONCE).try_collect::<Vec<Duration>>();
        let in_the_midst = async {
            // Others are on their way.
            answers.clone().wait_for(|count| *count >= PODS / 3).await?;
            midst().await?;
            anyhow::Ok((decisions(survivor).await?, *answers.borrow()))
        };
        let (took, happened) = tokio::try_join!(creations, in_the_midst).with_context(|| what.to_owned())?;
        let (decisions_then, answered_then) = happened;
        self.none_is_lost(&before).await.with_context(|| what.to_owned())?;
        println!(
            "faults-replicas: {what}: every answer right; {} of {PODS} pods were answered since, with {} decisions of \
             the replica that stayed, {} reviews were asked again; the slowest of all took {:.0?}",
            PODS - answered_then,
            decisions(survivor).await? - decisions_then,
            retries(self.webhook).await? - retries_before,
            took.iter().max().copied().unwrap_or_default(),
        );
        Ok(())
    }

    /// Creates one pod, and tells how long it took. An answer that is not right is an error.
    async fn create(&self, index: usize) -> anyhow::Result<Duration> {
        let name = self.name(index);
        let start = Instant::now();
        let pod = pod_of_user(self.namespace, &name, if is_good(index) { 1000 } else { 0 });
        let answer = self.plane.rest.as_user(objects::STRANGER).try_create(&pod).await?;
        let took = start.elapsed();
        match answer {
            Ok(pod) if is_good(index) => {
                let policy = &pod["metadata"]["annotations"]["kubernetes.io/psp"];
                ensure!(*policy == json!(POLICY), "{name}: kubernetes.io/psp is {policy}");
                let group = &pod["spec"]["securityContext"]["fsGroup"];
                ensure!(*group == json!(FS_GROUP), "{name}: fsGroup is {group}");
            }
            Err(refusal) if !is_good(index) => {
                ensure!(refusal.code == 403 && refusal.message.contains(ROOT), "{name}: {refusal}");
            }
            wrong => anyhow::bail!("{name} is answered wrongly: {wrong:?}"),
        }
        Ok(took)
    }

    fn name(&self, index: usize) -> String {
        format!("p{}-{index}", self.part)
    }

    /// Every pod that was admitted is there, no other is, and the webhook has decided on every one of them.
    async fn none_is_lost(&self, before: &BTreeMap<String, u64>) -> anyhow::Result<()> {
        let path = format!("/api/v1/namespaces/{}/pods", self.namespace);
        let list = self.plane.rest.get(&path).await?;
        let names = list["items"].as_array().into_iter().flatten();
        let prefix = self.name(0).trim_end_matches('0').to_owned();
        let there: BTreeSet<String> = names
            .filter_map(|pod| pod["metadata"]["name"].as_str())
            .filter(|name| name.starts_with(&prefix))
            .map(str::to_owned)
            .collect();
        let admitted: BTreeSet<String> =
            (0..PODS).filter(|index| is_good(*index)).map(|index| self.name(index)).collect();
        ensure!(there == admitted, "the pods there are {there:?}, not those admitted");

        let mut since = reviews(self.webhook).await?;
        since.iter_mut().for_each(|(line, count)| *count -= before.get(line).copied().unwrap_or_default());
        since.retain(|_, count| *count > 0);
        let half = u64::try_from(PODS / 2)?;
        // A pod that is refused when it is mutated is not validated any more.
        let decided =
            [("mutate", "allowed"), ("mutate", "denied"), ("validate", "allowed")].map(|(path, outcome)| {
                let line = format!("gavel_webhook_reviews_total{{path=\"{path}\",outcome=\"{outcome}\"}}");
                (line, half)
            });
        ensure!(since == BTreeMap::from(decided), "what the webhook answered is {since:?}");
        Ok(())
    }

    /// Without any server, `--on-unavailable deny` refuses.
    async fn is_refused_undecided(&self) -> anyhow::Result<()> {
        let before = unavailable(self.webhook).await?;
        let pod = pod_of_user(self.namespace, "undecided", 1000);
        let answer = self.plane.rest.as_user(objects::STRANGER).try_create(&pod).await?;
        let refusal = answer.err().context("--on-unavailable deny, and admitted")?;
        ensure!(refusal.code == 503, "{refusal}");
        let message = "no Gavel server could decide, and --on-unavailable deny of gavel-webhook refuses";
        ensure!(refusal.message.contains(message), "{refusal}");
        let count = unavailable(self.webhook).await? - before;
        ensure!(count == 1, "{count} reviews without a server are counted, not 1");
        println!("faults-replicas: without any server: {refusal}");
        Ok(())
    }
}

fn is_good(index: usize) -> bool {
    index.is_multiple_of(2)
}

/// A webhook of another namespace, which lets pods pass where no server decides.
struct Lenient<'a> {
    plane: &'a ControlPlane,
    webhook: Webhook,
}

impl<'a> Lenient<'a> {
    const NAMESPACE: &'static str = "faults-replicas-allow";

    async fn start(
        scenario: &Scenario,
        plane: &'a ControlPlane,
        servers: &[&GavelServer],
    ) -> anyhow::Result<Self> {
        objects::make_namespace(plane, Self::NAMESPACE).await?;
        let flags = WebhookFlags { on_unavailable: "allow", ..Default::default() };
        let webhook = Webhook::start(&scenario.folder, servers, flags).await?;
        webhook.validates(plane, Self::NAMESPACE).await?;
        let lenient = Self { plane, webhook };
        lenient.decides().await?;
        Ok(lenient)
    }

    /// With a server, nothing passes that no policy admits: nobody may use one here.
    async fn decides(&self) -> anyhow::Result<()> {
        let pod = pod_of_user(Self::NAMESPACE, "decided", 1000);
        let answer = self.plane.rest.as_user(objects::STRANGER).try_create(&pod).await?;
        let refusal = answer.err().context("admitted without a policy")?;
        ensure!(refusal.code == 403, "{refusal}");
        ensure!(refusal.message.contains("PodSecurityPolicy: unable to validate pod: []"), "{refusal}");
        Ok(())
    }

    /// Without a server, the pod is there, and its maker is warned.
    async fn admits_undecided(&self) -> anyhow::Result<()> {
        let before = unavailable(&self.webhook).await?;
        let pod = pod_of_user(Self::NAMESPACE, "undecided", 0).to_string();
        let kubectl = &self.plane.kubectl;
        let created = kubectl.try_run(&["create", "--as", objects::STRANGER, "-f", "-"], &pod).await?;
        ensure!(created.success, "--on-unavailable allow, and refused: {}", created.stderr);
        let warning =
            "Warning: admitted without a decision: no Gavel server could decide, and --on-unavailable allow";
        ensure!(created.stderr.contains(warning), "kubectl shows no warning: {}", created.stderr);
        let path = format!("/api/v1/namespaces/{}/pods/undecided", Self::NAMESPACE);
        self.plane.rest.get(&path).await?;
        let count = unavailable(&self.webhook).await? - before;
        ensure!(count == 1, "{count} reviews without a server are counted, not 1");
        Ok(())
    }
}

/// How many decisions on admission a server has made.
async fn decisions(server: &GavelServer) -> anyhow::Result<f64> {
    let all = server.metric("gavel_decisions_total").await?;
    Ok(all.iter().filter(|(line, _)| line.contains(r#"rpc="Admit""#)).map(|(_, count)| *count).sum())
}

/// What a webhook answered, by path and outcome.
async fn reviews(webhook: &Webhook) -> anyhow::Result<BTreeMap<String, u64>> {
    let metrics = webhook.metrics().await?;
    let lines = metrics.lines().filter(|line| line.starts_with("gavel_webhook_reviews_total{"));
    lines
        .map(|line| {
            let (line, count) = line.rsplit_once(' ').context("a metric without a value")?;
            Ok((line.to_owned(), count.parse()?))
        })
        .collect()
}

/// How many reviews `--on-unavailable` answered.
async fn unavailable(webhook: &Webhook) -> anyhow::Result<u64> {
    counter(webhook, "gavel_webhook_unavailable_total").await
}

/// How many attempts were made after a replica had not answered.
async fn retries(webhook: &Webhook) -> anyhow::Result<u64> {
    counter(webhook, "gavel_webhook_retries_total").await
}

async fn counter(webhook: &Webhook, name: &str) -> anyhow::Result<u64> {
    let metrics = webhook.metrics().await?;
    let count = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(count.with_context(|| format!("no {name}"))?.parse()?)
}

/// Waits until the webhook knows so many replicas that serve.
async fn until_good(webhook: &Webhook, count: f64) -> anyhow::Result<()> {
    let good = async || {
        let metrics = webhook.metrics().await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("gavel_webhook_servers_good "));
        Ok(line.context("no gavel_webhook_servers_good")?.parse::<f64>()?)
    };
    wait::until_is("the webhook knows its replicas", SOON, good, |good| *good == count).await?;
    Ok(())
}
