//! Control by control: the same pod, created by the same user, on both sides.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::Side;
use super::compare::{self, essentials};
use super::controls_table::{Case, Verdict, all};
use crate::kit::{objects, wait};

pub(super) const NAMESPACE: &str = "controls";
const SOON: Duration = Duration::from_secs(60);

pub(super) async fn play(native: &Side, gavel: &Side) -> anyhow::Result<()> {
    let cases = all();
    ensure!(cases.len() > 40, "{} cases", cases.len());
    tokio::try_join!(prepare(native, &cases), prepare(gavel, &cases))?;
    let mut differences = Vec::new();
    for case in &cases {
        let (mut by_kubernetes, by_gavel) = tokio::try_join!(create(native, case), create(gavel, case))?;
        // Kubernetes collects the errors of several policies in a map of Go (`computeSecurityContext` of
        // `plugin/pkg/admission/security/podsecuritypolicy/admission.go`): their order is another each time.
        for _ in 0..20 {
            if by_kubernetes != by_gavel && by_kubernetes.is_err() && case.policies.len() > 1 {
                by_kubernetes = create(native, case).await?;
            }
        }
        let verdict = match &by_kubernetes {
            Ok(_) => Verdict::Admitted,
            Err(_) => Verdict::Refused,
        };
        ensure!(verdict == case.verdict, "{}: not what the case is for: {by_kubernetes:?}", case.name);
        match (&by_kubernetes, &by_gavel) {
            (Ok(left), Ok(right)) => {
                differences.extend(compare::differences(case.name, left, right));
            }
            (left, right) if left == right => {}
            (left, right) => differences.push(format!("{}: {left:?}\nor {right:?}", case.name)),
        }
    }
    ensure!(differences.is_empty(), "Kubernetes or Gavel:\n{}", differences.join("\n"));
    updates(native, gavel).await?;
    ephemeral_containers(native, gavel).await
}

/// Makes every policy, a service account a case that may use the case's policies, and waits until all is known.
async fn prepare(side: &Side, cases: &[Case]) -> anyhow::Result<()> {
    side.make_namespace(NAMESPACE).await?;
    let rest = &side.plane.rest;
    for class in ["first", "second"] {
        rest.create(&json!({
            "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": class}, "handler": class,
        }))
        .await?;
    }
    let mut grants = Vec::new();
    for case in cases {
        rest.create(&objects::service_account(NAMESPACE, case.name)).await?;
        for (name, annotations, spec) in &case.policies {
            let mut policy = objects::policy_of(side.policies, name, spec.clone());
            policy["metadata"]["annotations"] = annotations.clone();
            rest.create(&policy).await?;
            grants.push((*name, case.name));
        }
    }
    // Each kind is watched by itself and in order: once a pod is admitted by what was written last, of each kind, all
    // that was written before it is known.
    rest.create(&objects::service_account(NAMESPACE, "canary")).await?;
    rest.create(&objects::policy_of(side.policies, "canary", json!({}))).await?;
    grants.push(("canary", "canary"));
    for (policy, _) in &grants {
        rest.create(&objects::use_role(policy, policy)).await?;
    }
    for (policy, service_account) in &grants {
        let subject = objects::service_account_subject(NAMESPACE, service_account);
        rest.create(&objects::role_binding(NAMESPACE, policy, policy, &subject)).await?;
    }
    let canary = objects::pod(NAMESPACE, "canary", json!({"serviceAccountName": "canary"}));
    let stranger = rest.as_user(objects::STRANGER);
    let admitted = wait::until_is(
        "all policies and grants are known",
        SOON,
        async || stranger.try_create_dry(&canary).await,
        Result::is_ok,
    );
    admitted.await?.context("the canary is refused")?;
    Ok(())
}

/// What comes of the case's pod: what matters of it, or the refusal in Kubernetes' words.
async fn create(side: &Side, case: &Case) -> anyhow::Result<Result<Value, String>> {
    let mut pod = objects::pod(NAMESPACE, case.name, case.spec.clone());
    pod["spec"]["serviceAccountName"] = json!(case.name);
    pod["metadata"]["annotations"] = case.annotations.clone();
    let answer = side.plane.rest.as_user(objects::STRANGER).try_create(&pod).await?;
    Ok(match answer {
        Ok(pod) => Ok(essentials(&pod)),
        Err(refusal) => {
            let words = side.in_kubernetes_words(NAMESPACE, &refusal.message);
            let start = format!("pods \"{}\" is forbidden: PodSecurityPolicy: ", case.name);
            ensure!(words.starts_with(&start), "{}: not refused by a policy: {words}", case.name);
            Err(words)
        }
    })
}

/// Updates are judged as they are, by the policy of the annotation first.
async fn updates(native: &Side, gavel: &Side) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/run-as-user-default");
    // The same grant taken away on both sides: the pod that runs by it can then no longer be changed.
    let binding =
        format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings/run-as-user-default");
    let mut answers = Vec::new();
    for side in [native, gavel] {
        let stranger = side.plane.rest.as_user(objects::STRANGER);
        let mut times = 0;
        let mut change = async || {
            // An update that changes nothing is not looked at.
            times += 1;
            let label = json!({"metadata": {"labels": {"changed": times.to_string()}}});
            let answer = stranger.ask(http::Method::PATCH, &path, Some(&label)).await?;
            anyhow::Ok(answer.map_err(|refusal| side.in_kubernetes_words(NAMESPACE, &refusal.message)))
        };
        change().await?.map_err(anyhow::Error::msg).context("an update that the policy admits")?;
        side.plane.rest.delete(&binding).await?;
        let refused = wait::until_is("the update is refused", SOON, change, Result::is_err).await?;
        answers.push(refused.err());
    }
    ensure!(answers[0] == answers[1], "an update without a grant: {answers:?}");
    Ok(())
}

/// Subresources are not looked at: whoever may add ephemeral containers may add privileged ones.
async fn ephemeral_containers(native: &Side, gavel: &Side) -> anyhow::Result<()> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/volumes-empty-dir/ephemeralcontainers");
    let privileged = json!({"spec": {"ephemeralContainers": [{
        "name": "debugger", "image": "registry.example/image:1", "securityContext": {"privileged": true},
    }]}});
    for side in [native, gavel] {
        let pod = side.plane.rest.merge(&path, &privileged).await?;
        ensure!(pod["spec"]["ephemeralContainers"].as_array().is_some_and(|all| all.len() == 1), "{pod}");
    }
    Ok(())
}
