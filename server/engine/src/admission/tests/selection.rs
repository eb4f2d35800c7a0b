//! Which policy decides, in which phase, and what is told of it.

use serde_json::{Value, json};

use super::support::{ask, ask_for_seccomp_fields, asked_by, pod, policy, snapshot};
use crate::admission::{Decision, Outcome, Phase, Reason};

#[test]
fn the_first_that_changes_nothing_wins() {
    let nonroot = json!({"runAsUser": {"rule": "MustRunAsNonRoot"}});
    let both = snapshot(&[policy("a-changes", &nonroot), policy("b-leaves", &json!({}))]);
    let decision = ask(&both, &pod(&json!({})), Phase::default()).unwrap();
    assert_eq!(decision.mutating_policy.as_deref(), Some("b-leaves"));
    assert_eq!(decision.validating_policy.as_deref(), Some("b-leaves"));
    let ledger = decision.ledger.unwrap();
    let chosen: Vec<bool> = ledger.entries.iter().map(|entry| entry.chosen).collect();
    assert_eq!(chosen, [false, true]);
    assert!(matches!(ledger.entries[0].outcome, Outcome::AdmitsWithChanges(_)));
    assert_eq!(ledger.entries[1].grant.as_ref().unwrap().through, "service account");
    assert_eq!(ledger.service_account.as_deref(), Some("sa"));

    let changing = snapshot(&[policy("a", &nonroot), policy("b", &nonroot)]);
    let decision = ask(&changing, &pod(&json!({})), Phase::Mutate).unwrap();
    assert_eq!(decision.mutating_policy.as_deref(), Some("a"), "the first of those that change something");
}

#[test]
fn validation_changes_nothing_and_tells_what_it_would() {
    let snapshot = snapshot(&[policy("nonroot", &json!({"runAsUser": {"rule": "MustRunAsNonRoot"}}))]);
    let decision = ask(&snapshot, &pod(&json!({})), Phase::Validate).unwrap();
    assert_eq!((decision.allowed, decision.reason), (false, Reason::NeedsChanges));
    assert_eq!(decision.message, r#"pods "p" is forbidden: PodSecurityPolicy: unable to validate pod: []"#);
    assert!(decision.violations.is_empty() && decision.patch.is_empty());
    assert_eq!(decision.unmet[0].field, "spec.containers[0].securityContext.runAsNonRoot");
}

#[test]
fn the_annotation_is_a_hint_for_validation_only() {
    let snapshot = snapshot(&[policy("a", &json!({})), policy("b", &json!({}))]);
    let mut hinted = pod(&json!({}));
    hinted["metadata"]["annotations"] = json!({"kubernetes.io/psp": "b"});
    let decision = ask(&snapshot, &hinted, Phase::Validate).unwrap();
    assert_eq!(decision.validating_policy.as_deref(), Some("b"));
    let decision = ask(&snapshot, &hinted, Phase::default()).unwrap();
    assert_eq!(decision.mutating_policy.as_deref(), Some("a"));
}

#[test]
fn the_service_account_first_then_the_user() {
    let snapshot = snapshot(&[policy("alices", &json!({}))]);
    let mut strangers = pod(&json!({"serviceAccountName": "other"}));
    let decision = asked_by("alice", &snapshot, &strangers, Phase::default()).unwrap();
    assert!(decision.allowed);
    assert_eq!(decision.ledger.unwrap().entries[0].grant.as_ref().unwrap().through, "user");
    let decision = asked_by("bob", &snapshot, &strangers, Phase::default()).unwrap();
    assert_eq!(decision.reason, Reason::NoUsablePolicy);
    assert!(decision.warnings[0].contains("\"ns/other\"") && decision.warnings[0].contains("\"bob\""));
    // The deprecated name of the field counts where the other is empty.
    strangers["spec"]["serviceAccountName"] = json!("");
    strangers["spec"]["serviceAccount"] = json!("sa");
    assert!(asked_by("bob", &snapshot, &strangers, Phase::default()).unwrap().allowed);
}

#[test]
fn policies_that_cannot_be_built_are_skipped_and_told_of() {
    let broken = policy("broken", &json!({"runAsUser": {"rule": "MustRunAs"}}));
    let alone = snapshot(std::slice::from_ref(&broken));
    assert_eq!(alone.diagnostics().count(), 1);
    let decision = ask(&alone, &pod(&json!({})), Phase::default()).unwrap();
    assert_eq!(decision.reason, Reason::NoPolicies);
    assert!(decision.message.ends_with("no providers available to validate pod request"));
    assert_eq!(
        decision.warnings,
        ["PodSecurityPolicy \"broken\" is skipped: MustRunAs requires at least one range"]
    );
    let beside = snapshot(&[broken, policy("good", &json!({}))]);
    assert_eq!(ask(&beside, &pod(&json!({})), Phase::default()).unwrap().policy(), Some("good"));
}

/// Up to 1.26 the API server did this between the phases; nodes of today look at fields alone.
#[test]
fn seccomp_annotations_become_fields_where_asked() {
    let mut policy = policy("default", &json!({}));
    policy["metadata"]["annotations"] = json!({
        "seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*",
        "seccomp.security.alpha.kubernetes.io/defaultProfileName": "runtime/default",
    });
    let snapshot = snapshot(&[policy]);
    let container = "container.seccomp.security.alpha.kubernetes.io/c";
    let fields = |decision: Decision| -> Vec<(String, Value)> {
        let patch = decision.patch.into_iter().filter(|op| op.path.starts_with("/spec"));
        patch.map(|op| (op.path, op.value.unwrap())).collect()
    };
    let plain = pod(&json!({}));
    assert_eq!(fields(ask(&snapshot, &plain, Phase::Mutate).unwrap()), []);
    assert_eq!(
        fields(ask_for_seccomp_fields(&snapshot, &plain)),
        [
            ("/spec/securityContext".to_owned(), json!({})),
            ("/spec/securityContext/seccompProfile".to_owned(), json!({"type": "RuntimeDefault"})),
        ]
    );
    let mut annotated = pod(&json!({
        "securityContext": {"seccompProfile": {"type": "Unconfined"}},
        "containers": [{"name": "c", "securityContext": {}}],
    }));
    annotated["metadata"]["annotations"] = json!({container: "localhost/a.json"});
    assert_eq!(
        fields(ask_for_seccomp_fields(&snapshot, &annotated)),
        [(
            "/spec/containers/0/securityContext/seccompProfile".to_owned(),
            json!({"type": "Localhost", "localhostProfile": "a.json"})
        )]
    );
}

/// Kubernetes 1.30 has fields, which 1.24 did not know: no way around a policy.
#[test]
fn app_armor_fields_count_as_the_annotations_they_stand_for() {
    let annotation = "container.apparmor.security.beta.kubernetes.io/c";
    let mut policy = policy("runtime", &json!({}));
    policy["metadata"]["annotations"] = json!({
        "apparmor.security.beta.kubernetes.io/allowedProfileNames": "runtime/default,localhost/a",
        "apparmor.security.beta.kubernetes.io/defaultProfileName": "runtime/default",
    });
    let snapshot = snapshot(&[policy]);
    let field = |type_: &str| json!({"appArmorProfile": {"type": type_}});
    let localhost = json!({"appArmorProfile": {"type": "Localhost", "localhostProfile": "a"}});
    // Of the pod, of the container, as an annotation; allowed, and then whether the default is filled in.
    for (of_pod, of_container, annotated, allowed, filled_in) in [
        (json!({}), json!({}), None, true, true),
        (field("RuntimeDefault"), json!({}), None, true, false),
        (field("Unconfined"), json!({}), None, false, false),
        (field("RuntimeDefault"), field("Unconfined"), None, false, false),
        (field("Unconfined"), localhost.clone(), None, true, false),
        (field("Unconfined"), json!({}), Some("runtime/default"), true, false),
        (json!({}), field("Unconfined"), Some("runtime/default"), false, false),
        (json!({}), field("Localhost"), None, false, false),
    ] {
        let mut pod = pod(&json!({
            "securityContext": of_pod,
            "containers": [{"name": "c", "securityContext": of_container}],
        }));
        if let Some(profile) = annotated {
            pod["metadata"]["annotations"] = json!({annotation: profile});
        }
        let decision = ask(&snapshot, &pod, Phase::Mutate).unwrap();
        assert_eq!(decision.allowed, allowed, "{pod}: {}", decision.message);
        let fills_in = decision.patch.iter().any(|op| op.path.contains("apparmor"));
        assert_eq!(fills_in, filled_in, "{pod}");
    }
}

#[test]
fn a_seccomp_field_needs_its_annotation() {
    let mut any = policy("any", &json!({}));
    any["metadata"]["annotations"] = json!({"seccomp.security.alpha.kubernetes.io/allowedProfileNames": "*"});
    let snapshot = snapshot(&[any]);
    let with_field = pod(&json!({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}));
    let decision = ask(&snapshot, &with_field, Phase::default()).unwrap();
    assert!(decision.allowed);
    let annotation = "/metadata/annotations/seccomp.security.alpha.kubernetes.io~1pod";
    assert!(
        decision.patch.iter().any(|op| op.path == annotation && op.value == Some(json!("runtime/default")))
    );
    assert!(!ask(&snapshot, &with_field, Phase::Validate).unwrap().allowed);
}
