//! What is no review, what is no pod, and what is no policy: a clear answer, and the last good policy stays.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use gavel_proto::v1::Severity;
use serde_json::{Value, json};

use crate::kit::{ControlPlane, GavelServer, NumberedPolicy, Scenario, Webhook, WebhookFlags, objects, wait};

const SOON: Duration = Duration::from_secs(60);
const MOST_BYTES: usize = 100_000;

pub(crate) async fn play(scenario: &Scenario) -> anyhow::Result<()> {
    let plane = scenario.own_plane().await?;
    let policy = NumberedPolicy::create(&plane, scenario.name, 1).await?;
    let server = GavelServer::start(&scenario.folder, &plane.kubeconfig(plane.address)?, &[]).await?;
    let more = [&*format!("--max-request-bytes={MOST_BYTES}")];
    let flags = WebhookFlags { more: &more, ..Default::default() };
    let webhook = Webhook::start(&scenario.folder, &[&server], flags).await?;

    no_reviews(&webhook, &policy).await?;
    no_pod(&webhook, &policy).await?;
    refused_by_the_schema(&plane, &server, &policy).await?;
    let malformed = malformed_in_the_cluster(&plane, &server, &policy).await?;
    corrected(&plane, &server, &malformed).await
}

/// A review as an API server sends it.
fn review(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"],
            "operation": "CREATE",
            "userInfo": {"username": objects::STRANGER},
            "object": pod,
        },
    })
}

/// What is no AdmissionReview v1 is refused as a request, with what is wrong; and counted.
async fn no_reviews(webhook: &Webhook, policy: &NumberedPolicy) -> anyhow::Result<()> {
    let good = review(&policy.pod("good"));
    let answer = webhook.https.post("/mutate", good.to_string()).await?;
    ensure!(answer.status == 200 && answer.body.contains("\"allowed\":true"), "a good review: {answer:?}");

    let with = |pointer: &str, value: Value| {
        let mut review = good.clone();
        if let Some(field) = review.pointer_mut(pointer) {
            *field = value;
        }
        review.to_string()
    };
    let long = "x".repeat(MOST_BYTES);
    let cases = [
        (
            "another version",
            with("/apiVersion", json!("admission.k8s.io/v1beta1")),
            400,
            "admission.k8s.io/v1",
        ),
        ("another kind", with("/kind", json!("ConversionReview")), 400, "AdmissionReview"),
        ("no request", with("/request", Value::Null), 400, "request"),
        ("another operation", with("/request/operation", json!("PEEK")), 400, "request.operation"),
        ("no JSON", "{\"kind\": ".to_owned(), 400, "JSON"),
        ("a body over the limit", with("/request/name", json!(long)), 413, "--max-request-bytes"),
    ];
    for phase in ["/mutate", "/validate"] {
        for (what, body, status, part) in &cases {
            let answer = webhook.https.post(phase, body.clone()).await?;
            ensure!(answer.status == *status, "{what}: {answer:?}");
            ensure!(answer.body.contains(part), "{what}: not a word of {part}: {answer:?}");
        }
    }
    for path in ["mutate", "validate"] {
        counted(webhook, path, "bad_request", 5).await?;
        counted(webhook, path, "too_large", 1).await?;
    }
    Ok(())
}

/// The webhook's metrics count so many requests of a path with this outcome.
async fn counted(webhook: &Webhook, path: &str, outcome: &str, count: u32) -> anyhow::Result<()> {
    let metrics = webhook.metrics().await?;
    let labels = [format!("outcome=\"{outcome}\""), format!("path=\"{path}\"")];
    let counted = metrics.lines().any(|line| {
        line.starts_with("gavel_webhook_reviews_total{")
            && labels.iter().all(|label| line.contains(label))
            && line.ends_with(&format!(" {count}"))
    });
    ensure!(counted, "{count} of {outcome} at {path} are not counted:\n{metrics}");
    Ok(())
}

/// An object that cannot be read is refused, with its field.
async fn no_pod(webhook: &Webhook, policy: &NumberedPolicy) -> anyhow::Result<()> {
    let mut pod = policy.pod("malformed");
    pod["spec"]["containers"][0]["securityContext"] = json!({"runAsUser": "root"});
    let answer = webhook.https.post("/validate", review(&pod).to_string()).await?;
    ensure!(answer.status == 200, "{answer:?}");
    let answer: Value = serde_json::from_str(&answer.body)?;
    let response = &answer["response"];
    ensure!(response["allowed"] == json!(false) && response["uid"] == json!("u-1"), "{answer}");
    ensure!(response["status"]["code"] == json!(400), "{answer}");
    let message = response["status"]["message"].as_str().unwrap_or_default();
    ensure!(message.contains("spec.containers[0].securityContext.runAsUser"), "{answer}");
    counted(webhook, "validate", "invalid_object", 1).await
}

/// The CRD's schema keeps a mistake out; the policy stays as it was.
async fn refused_by_the_schema(
    plane: &ControlPlane,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<()> {
    let mut mistaken = plane.rest.get(&policy.path()).await?;
    mistaken["spec"]["fsGroup"]["rule"] = json!("MustWalkAs");
    let applied = plane.kubectl.try_run(&["apply", "-f", "-"], &mistaken.to_string()).await?;
    ensure!(!applied.success, "the API server took {mistaken}");
    for part in ["spec.fsGroup.rule", "MustWalkAs"] {
        ensure!(applied.stderr.contains(part), "kubectl does not say {part}: {}", applied.stderr);
    }
    ensure!(policy.ask(server).await?.0 == 1, "not the last good policy");
    Ok(())
}

/// With the schema loosened, a policy gets in that cannot be read: it is set aside, and all others work.
async fn malformed_in_the_cluster(
    plane: &ControlPlane,
    server: &GavelServer,
    policy: &NumberedPolicy,
) -> anyhow::Result<Value> {
    let crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/podsecuritypolicies.policy.gavel.dev";
    let mut definition = plane.rest.get(crd).await?;
    let versions = definition["spec"]["versions"].as_array_mut().context("a CRD without versions")?;
    versions[0]["schema"] =
        json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    plane.rest.merge(crd, &json!({"spec": {"versions": versions}})).await?;
    let mut malformed = objects::policy("bad-input-malformed", json!({}));
    malformed["spec"]["runAsUser"] = json!("anybody");
    let create = async || plane.rest.try_create(&malformed).await;
    wait::until_is("the API server takes what cannot be read", SOON, create, Result::is_ok)
        .await?
        .map_err(anyhow::Error::from)?;

    let told = async || {
        let snapshot = server.snapshot().await?;
        let about = |object: &str| object.contains("bad-input-malformed");
        Ok(snapshot.diagnostics.into_iter().find(|diagnostic| about(&diagnostic.object)))
    };
    let diagnostic = wait::until_is("GetSnapshot names it", SOON, told, Option::is_some).await?;
    let diagnostic = diagnostic.context("no diagnostic")?;
    ensure!(diagnostic.severity() == Severity::Error, "{diagnostic:?}");
    ensure!(diagnostic.field.contains("runAsUser"), "{diagnostic:?}");
    let counted = errors(server).await?;
    ensure!(counted == 1.0, "{counted} errors counted, not 1");

    let written = policy.set(plane, 2).await?;
    ensure!(policy.ask_after(server, &written).await? == 2, "the other policies no longer work");
    let readiness = server.readiness().await?;
    ensure!(readiness.status == 200, "{}", readiness.body);
    Ok(malformed)
}

async fn errors(server: &GavelServer) -> anyhow::Result<f64> {
    let counts = server.metric("gavel_source_errors").await?;
    let of_policies = counts.iter().find(|(name, _)| name.contains("cluster/PodSecurityPolicy"));
    Ok(of_policies.with_context(|| format!("no count of errors: {counts:?}"))?.1)
}

/// Once it is corrected, it counts.
async fn corrected(plane: &ControlPlane, server: &GavelServer, malformed: &Value) -> anyhow::Result<()> {
    let before = server.snapshot().await?.objects.get("PodSecurityPolicy").copied().unwrap_or_default();
    let good = json!({"spec": {"runAsUser": {"rule": "RunAsAny"}}});
    let written = plane.rest.merge(&crate::kit::path(malformed), &good).await?;
    server.holds_object("PodSecurityPolicy", &written).await?;
    let snapshot = server.snapshot().await?;
    let after = snapshot.objects.get("PodSecurityPolicy").copied().unwrap_or_default();
    ensure!(after == before + 1, "{after} policies, not {}", before + 1);
    ensure!(errors(server).await? == 0.0, "still counted as an error");
    Ok(())
}
