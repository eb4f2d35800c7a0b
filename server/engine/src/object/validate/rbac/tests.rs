use super::*;
use crate::object::{LabelSelector, RoleRef};

fn paths(check: impl FnOnce(&mut Errors)) -> Vec<String> {
    let mut errors = Errors::default();
    check(&mut errors);
    errors.into_vec().into_iter().map(|error| error.path).collect()
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], urls: &[&str]) -> PolicyRule {
    let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    PolicyRule {
        verbs: own(verbs),
        api_groups: own(groups),
        resources: own(resources),
        resource_names: Vec::new(),
        non_resource_urls: own(urls),
    }
}

#[test]
fn rules() {
    for (written, is_namespaced, expected) in [
        (rule(&["get"], &[""], &["pods"], &[]), true, vec![]),
        (rule(&["get"], &[], &[], &["/healthz"]), false, vec![]),
        (rule(&["get"], &[], &[], &["/healthz"]), true, vec!["rules[0].nonResourceURLs"]),
        (rule(&["get"], &[""], &["pods"], &["/healthz"]), false, vec!["rules[0].nonResourceURLs"]),
        (rule(&[], &[], &[], &[]), false, vec!["rules[0].verbs", "rules[0].apiGroups", "rules[0].resources"]),
    ] {
        let written = Role { rules: vec![written], ..Role::default() };
        assert_eq!(paths(|errors| role(&written, is_namespaced, errors)), expected, "{written:?}");
    }
    let aggregated = |selectors| Role {
        aggregation_rule: Some(AggregationRule { cluster_role_selectors: selectors }),
        ..Role::default()
    };
    assert_eq!(paths(|errors| role(&aggregated(vec![LabelSelector::default()]), false, errors)), [""; 0]);
    assert_eq!(
        paths(|errors| role(&aggregated(vec![]), false, errors)),
        ["aggregationRule.clusterRoleSelectors"]
    );
}

#[test]
fn bindings() {
    let reference =
        |kind: &str, name: &str| RoleRef { api_group: GROUP.into(), kind: kind.into(), name: name.into() };
    let who = |kind: &str, group: &str, name: &str, namespace: &str| Subject {
        kind: kind.into(),
        api_group: group.into(),
        name: name.into(),
        namespace: namespace.into(),
    };
    for (role_ref, subject, is_namespaced, expected) in [
        (reference("Role", "r"), who("User", GROUP, "u", ""), true, vec![]),
        (reference("Role", "r"), who("Group", GROUP, "u", ""), false, vec!["roleRef.kind"]),
        (reference("Rôle", "r"), who("Group", GROUP, "u", ""), true, vec!["roleRef.kind"]),
        (
            reference("ClusterRole", ""),
            who("User", "", "", ""),
            true,
            vec!["roleRef.name", "subjects[0].name", "subjects[0].apiGroup"],
        ),
        (reference("ClusterRole", "a%b"), who("ServiceAccount", "", "s", ""), true, vec!["roleRef.name"]),
        (
            reference("ClusterRole", "c"),
            who("ServiceAccount", "", "s", ""),
            false,
            vec!["subjects[0].namespace"],
        ),
        (
            reference("ClusterRole", "c"),
            who("ServiceAccount", "x", "S", "n"),
            false,
            vec!["subjects[0].name", "subjects[0].apiGroup"],
        ),
        (reference("ClusterRole", "c"), who("Robot", "", "s", "n"), false, vec!["subjects[0].kind"]),
        (
            RoleRef { api_group: "x".into(), ..reference("ClusterRole", "c") },
            who("User", GROUP, "u", ""),
            false,
            vec!["roleRef.apiGroup"],
        ),
    ] {
        let written = Binding { role_ref, subjects: vec![subject], ..Binding::default() };
        assert_eq!(paths(|errors| binding(&written, is_namespaced, errors)), expected, "{written:?}");
    }
}
