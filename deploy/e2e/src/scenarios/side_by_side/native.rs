//! Scenarios whose answers were once recorded from a Kubernetes 1.24: both sides have to give them.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Side;
use crate::kit::{objects, wait};

const SOON: Duration = Duration::from_secs(60);

/// What becomes of a deployment.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// Three pods, each admitted by this policy, with these security contexts of pod and container.
    Pods { policy: &'static str, pod: Value, container: Value },
    /// No pod; this is said after `Error creating: pods "…" is forbidden: PodSecurityPolicy: `.
    Refused(&'static str),
}

/// A deployment `web` of three, whose service account may use some policies.
struct Case {
    namespace: &'static str,
    /// Policies that `nonroot-sa` may use in the namespace.
    usable: &'static [&'static str],
    /// Fields of the pod's spec, and of its container.
    pod: Value,
    container: Value,
    outcome: Outcome,
}

const ROOT: &str = "unable to admit pod: [spec.containers[0].securityContext.runAsUser: Invalid value: 0: \
                    running with the root UID is forbidden]";

pub(super) async fn play(native: &Side, gavel: &Side) -> anyhow::Result<()> {
    for case in without_policies() {
        both(native, gavel, &case).await?;
    }
    let nonroot = json!({"runAsUser": {"rule": "MustRunAsNonRoot"}});
    add_policy(native, gavel, "nonroot-psp", nonroot).await?;
    for case in with_one_policy() {
        both(native, gavel, &case).await?;
    }
    people(native, gavel).await?;
    let range = json!({"runAsUser": {"rule": "MustRunAs", "ranges": [{"min": 2000, "max": 2001}]}});
    add_policy(native, gavel, "range-psp", range).await?;
    for case in with_two_policies() {
        both(native, gavel, &case).await?;
    }
    Ok(())
}

fn without_policies() -> Vec<Case> {
    vec![Case {
        namespace: "none",
        usable: &[],
        pod: json!({}),
        container: json!({}),
        outcome: Outcome::Refused("no providers available to validate pod request"),
    }]
}

fn with_one_policy() -> Vec<Case> {
    let nonroot = |namespace, pod, container, outcome| Case {
        namespace,
        usable: &["nonroot-psp"],
        pod,
        container,
        outcome,
    };
    let good = json!({"runAsUser": 1001, "fsGroup": 2001});
    vec![
        Case {
            namespace: "unauth",
            usable: &[],
            pod: json!({}),
            container: json!({}),
            outcome: Outcome::Refused("unable to admit pod: []"),
        },
        nonroot(
            "good",
            json!({"securityContext": good}),
            json!({}),
            Outcome::Pods { policy: "nonroot-psp", pod: good.clone(), container: json!({}) },
        ),
        nonroot(
            "nosc",
            json!({}),
            json!({}),
            Outcome::Pods { policy: "nonroot-psp", pod: json!({}), container: json!({"runAsNonRoot": true}) },
        ),
        nonroot("root", json!({"securityContext": {"runAsUser": 0}}), json!({}), Outcome::Refused(ROOT)),
        nonroot(
            "nrf",
            json!({"securityContext": {"runAsNonRoot": false}}),
            json!({}),
            Outcome::Refused(
                "unable to admit pod: [spec.containers[0].securityContext.runAsNonRoot: Invalid value: false: \
                 must be true]",
            ),
        ),
        nonroot("croot", json!({}), json!({"securityContext": {"runAsUser": 0}}), Outcome::Refused(ROOT)),
        nonroot(
            "priv",
            json!({}),
            json!({
                "securityContext": {"privileged": true},
                "ports": [{"containerPort": 80, "hostPort": 80}],
            }),
            Outcome::Refused(
                "unable to admit pod: [spec.containers[0].securityContext.privileged: Invalid value: true: \
                 Privileged containers are not allowed spec.containers[0].hostPort: Invalid value: 80: \
                 Host port 80 is not allowed to be used. Allowed ports: []]",
            ),
        ),
    ]
}

fn with_two_policies() -> Vec<Case> {
    vec![
        Case {
            namespace: "two",
            usable: &["nonroot-psp", "range-psp"],
            pod: json!({"securityContext": {"runAsUser": 0}}),
            container: json!({}),
            outcome: Outcome::Refused(
                "unable to admit pod: [spec.containers[0].securityContext.runAsUser: Invalid value: 0: \
                 running with the root UID is forbidden spec.containers[0].securityContext.runAsUser: \
                 Invalid value: 0: must be in the ranges: [{2000 2001}]]",
            ),
        },
        Case {
            namespace: "win",
            usable: &["nonroot-psp", "range-psp"],
            pod: json!({}),
            container: json!({}),
            outcome: Outcome::Pods {
                policy: "nonroot-psp",
                pod: json!({}),
                container: json!({"runAsNonRoot": true}),
            },
        },
        Case {
            namespace: "rng",
            usable: &["range-psp"],
            pod: json!({}),
            container: json!({}),
            outcome: Outcome::Pods {
                policy: "range-psp",
                pod: json!({}),
                container: json!({"runAsUser": 2000}),
            },
        },
    ]
}

/// Makes the policy, and a ClusterRole of its name to use it.
async fn add_policy(native: &Side, gavel: &Side, name: &str, spec: Value) -> anyhow::Result<()> {
    for side in [native, gavel] {
        let policy = objects::policy_of(side.policies, name, spec.clone());
        side.plane.rest.create_all(&[policy, objects::use_role(name, name)]).await?;
    }
    Ok(())
}

async fn both(native: &Side, gavel: &Side, case: &Case) -> anyhow::Result<()> {
    let context = |side: &'static str| move || format!("namespace {} on {side}", case.namespace);
    tokio::try_join!(
        async { play_one(native, case).await.with_context(context("Kubernetes 1.24")) },
        async { play_one(gavel, case).await.with_context(context("Gavel")) },
    )?;
    Ok(())
}

async fn play_one(side: &Side, case: &Case) -> anyhow::Result<()> {
    let namespace = case.namespace;
    side.make_namespace(namespace).await?;
    let rest = &side.plane.rest;
    rest.create(&objects::service_account(namespace, "nonroot-sa")).await?;
    let subject = objects::service_account_subject(namespace, "nonroot-sa");
    for policy in case.usable {
        rest.create(&objects::role_binding(namespace, policy, policy, &subject)).await?;
    }
    let mut deployment =
        objects::deployment(namespace, "web", 3, json!({"serviceAccountName": "nonroot-sa"}));
    let spec = &mut deployment["spec"]["template"]["spec"];
    merge(spec, &case.pod);
    merge(&mut spec["containers"][0], &case.container);
    rest.create(&deployment).await?;
    match &case.outcome {
        Outcome::Pods { policy, pod, container } => {
            until_admitted(side, namespace, policy, pod, container).await
        }
        Outcome::Refused(words) => until_refused(side, namespace, words).await,
    }
}

fn merge(object: &mut Value, fields: &Value) {
    if let (Some(object), Some(fields)) = (object.as_object_mut(), fields.as_object()) {
        object.extend(fields.clone());
    }
}

async fn until_admitted(
    side: &Side,
    namespace: &str,
    policy: &str,
    pod: &Value,
    container: &Value,
) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    let list = async || side.plane.rest.get(&path).await;
    let three = |list: &Value| list["items"].as_array().is_some_and(|pods| pods.len() == 3);
    let pods = wait::until_is("there are 3 pods", SOON, list, three).await?;
    for admitted in pods["items"].as_array().into_iter().flatten() {
        check_admitted(admitted, policy, pod, container)?;
    }
    Ok(())
}

fn check_admitted(admitted: &Value, policy: &str, pod: &Value, container: &Value) -> anyhow::Result<()> {
    let or_empty = |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
    let chosen = &admitted["metadata"]["annotations"]["kubernetes.io/psp"];
    ensure!(chosen == policy, "kubernetes.io/psp is {chosen}, not {policy}");
    let of_pod = or_empty(&admitted["spec"]["securityContext"]);
    ensure!(of_pod == *pod, "the pod's securityContext is {of_pod}, not {pod}");
    let of_container = or_empty(&admitted["spec"]["containers"][0]["securityContext"]);
    ensure!(of_container == *container, "the container's securityContext is {of_container}, not {container}");
    Ok(())
}

/// Waits until an event says so. The controller tries again and again: what an informer has not heard of at first, and
/// another order of several policies' errors, which is random in Kubernetes, come with another event.
async fn until_refused(side: &Side, namespace: &str, words: &str) -> anyhow::Result<()> {
    let rest = &side.plane.rest;
    let ask = async || {
        let events = rest.get(&format!("/api/v1/namespaces/{namespace}/events")).await?;
        let events = events["items"].as_array().cloned().unwrap_or_default();
        let failures = events.iter().filter(|event| event["reason"] == "FailedCreate");
        let words = failures.map(|event| {
            // Which letters a ReplicaSet's name ends with is up to each version.
            let set = event["involvedObject"]["name"].as_str().unwrap_or_default();
            let message = event["message"].as_str().unwrap_or_default();
            side.in_kubernetes_words(namespace, message).replace(set, "WEB")
        });
        Ok(words.collect::<Vec<_>>())
    };
    let expected = format!("Error creating: pods \"WEB-\" is forbidden: PodSecurityPolicy: {words}");
    let what = format!("it is said: {expected}");
    wait::until_is(&what, SOON, ask, |messages| messages.contains(&expected)).await?;
    let pods = rest.get(&format!("/api/v1/namespaces/{namespace}/pods")).await?;
    ensure!(pods["items"] == json!([]), "there are pods, although they are refused");
    Ok(())
}

/// Pods that people create themselves, in the namespaces of the cases before.
async fn people(native: &Side, gavel: &Side) -> anyhow::Result<()> {
    let root = json!({"securityContext": {"runAsUser": 0}, "serviceAccountName": "nonroot-sa"});
    for side in [native, gavel] {
        let stranger = side.plane.rest.as_user(objects::STRANGER);
        let by_stranger = async |name: &str, spec: Value| {
            anyhow::Ok(match stranger.try_create(&objects::pod("good", name, spec)).await? {
                Ok(pod) => Ok(pod),
                Err(refusal) => Err(side.in_kubernetes_words("good", &refusal.message)),
            })
        };
        let refused = |name: &str, words: &str| {
            Err(format!("pods \"{name}\" is forbidden: PodSecurityPolicy: {words}"))
        };
        let direct = by_stranger("direct", json!({})).await?;
        ensure!(direct == refused("direct", "unable to admit pod: []"), "{direct:?}");
        let direct = by_stranger("direct3", root.clone()).await?;
        ensure!(direct == refused("direct3", ROOT), "{direct:?}");
        let direct = by_stranger("direct2", json!({"serviceAccountName": "nonroot-sa"})).await?;
        let direct =
            direct.map_err(anyhow::Error::msg).context("a pod whose service account may use a policy")?;
        check_admitted(&direct, "nonroot-psp", &json!({}), &json!({"runAsNonRoot": true}))?;

        // The administrator may use every policy.
        let solo = side.plane.rest.create(&objects::pod("unauth", "solo", json!({}))).await?;
        check_admitted(&solo, "nonroot-psp", &json!({}), &json!({"runAsNonRoot": true}))?;
    }
    Ok(())
}
