//! What is generated is always the same, as much as was asked for, readable, and worth asking about.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use gavel_engine::{Change, Snapshot};
use gavel_generator::{Cluster, Size, write};
use gavel_proto::v1;
use gavel_server::decide;
use serde_json::Value;

const SIZE: Size =
    Size { namespaces: 20, pods: 2000, policies: 180, pod_security_policies: 16, bindings: 150, seed: 7 };

fn cluster() -> Cluster {
    Cluster::new(SIZE).unwrap()
}

fn snapshot(folder: &Path) -> Snapshot {
    let reading = gavel_source::manifests::read(&[folder.join("manifests")]);
    assert!(reading.errors.is_empty(), "{:?}", &reading.errors[..reading.errors.len().min(5)]);
    assert!(reading.warnings.is_empty(), "{:?}", &reading.warnings[..reading.warnings.len().min(5)]);
    assert!(reading.ignored.is_empty(), "{:?}", reading.ignored);
    Snapshot::empty().apply(reading.objects.into_iter().map(|located| Change::Upsert(located.item)))
}

#[test]
fn same_numbers_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let written = write(&cluster(), one.path(), 300, 100).unwrap();
    // What lay there of another cluster is gone.
    write(&Cluster::new(Size { pods: 5000, ..SIZE }).unwrap(), two.path(), 1, 1).unwrap();
    assert_eq!(write(&cluster(), two.path(), 300, 100).unwrap(), written);
    let mut names: Vec<String> =
        (0..written.files).map(|number| format!("manifests/{number:05}.json")).collect();
    assert_eq!(std::fs::read_dir(two.path().join("manifests")).unwrap().count(), names.len());
    names.extend(["check-flow.jsonl".to_owned(), "admit.jsonl".to_owned()]);
    for name in names {
        let read = |folder: &Path| std::fs::read(folder.join(&name)).unwrap();
        assert!(read(one.path()) == read(two.path()), "{name}");
    }
    let other = Cluster::new(Size { seed: 8, ..SIZE }).unwrap();
    assert!(other.flows().take(300).ne(cluster().flows().take(300)));
}

#[test]
fn as_much_as_was_asked_for() {
    let sizes = [
        SIZE,
        Size::default(),
        Size { namespaces: 3, pods: 20, policies: 0, pod_security_policies: 4, bindings: 2, seed: 0 },
        // Few pods a namespace, as in Antrea's figures.
        Size {
            namespaces: 500,
            pods: 2000,
            policies: 1500,
            pod_security_policies: 100,
            bindings: 2000,
            seed: 3,
        },
        Size { namespaces: 20, pods: 20, policies: 500, ..SIZE },
    ];
    for size in sizes {
        let mut counts = BTreeMap::<String, u32>::new();
        let mut names = HashSet::new();
        for object in Cluster::new(size).unwrap().objects() {
            let text =
                |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
            let kind = text("/kind");
            assert!(
                names.insert((kind.clone(), text("/metadata/namespace"), text("/metadata/name"))),
                "twice: {object}"
            );
            *counts.entry(kind).or_default() += 1;
        }
        let count = |kind: &str| counts.get(kind).copied().unwrap_or(0);
        let counted = Size {
            namespaces: count("Namespace"),
            pods: count("Pod"),
            policies: count("NetworkPolicy"),
            pod_security_policies: count("PodSecurityPolicy"),
            bindings: count("RoleBinding") + count("ClusterRoleBinding"),
            seed: size.seed,
        };
        assert_eq!(counted, size);
        assert_eq!(count("ClusterRole"), size.pod_security_policies);
    }
}

#[test]
fn sizes_that_cannot_be() {
    let error = |size| Cluster::new(size).unwrap_err().to_string();
    assert_eq!(error(Size { pods: 3, ..SIZE }), "pods must be 20 to 2000000, not 3");
    assert_eq!(error(Size { namespaces: 2001, ..SIZE }), "namespaces must be 3 to 2000, not 2001");
}

/// Few applications have most of the pods; each namespace has some.
#[test]
fn labels_are_skewed() {
    let mut apps = BTreeMap::<(String, String), u32>::new();
    let mut namespaces = HashSet::new();
    for pod in cluster().pods() {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap().to_owned();
        namespaces.insert(namespace.clone());
        let app = pod["metadata"]["labels"]["app"].as_str().unwrap_or("").to_owned();
        *apps.entry((namespace, app)).or_default() += 1;
    }
    assert_eq!(namespaces.len(), 20);
    let mut sizes: Vec<u32> = apps.into_values().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    let most: u32 = sizes.iter().take(sizes.len() / 5).sum();
    assert!(most > 1000, "a fifth of the applications has {most} of 2000 pods");
}

#[test]
fn flows_are_allowed_and_denied() {
    let folder = tempfile::tempdir().unwrap();
    write(&cluster(), folder.path(), 6000, 0).unwrap();
    let snapshot = snapshot(folder.path());
    let (mut allowed, mut isolated, mut within, mut pairs) = (0_u32, 0_u32, 0_u32, 0_u32);
    let namespaces: BTreeMap<String, String> = cluster()
        .pods()
        .map(|pod| {
            let text = |pointer| pod.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
            (text("/status/podIP"), text("/metadata/namespace"))
        })
        .collect();
    for line in std::fs::read_to_string(folder.path().join("check-flow.jsonl")).unwrap().lines() {
        let request: v1::CheckFlowRequest = serde_json::from_str(line).unwrap();
        let answer =
            decide::check_flow(&snapshot, &request).unwrap_or_else(|status| panic!("{line}: {status}"));
        allowed += u32::from(answer.verdict() == v1::Verdict::Allow);
        isolated += u32::from(answer.ingress.is_some_and(|leg| leg.isolated));
        let question: Value = serde_json::from_str(line).unwrap();
        let namespace = |end: &str| {
            let end = &question[end];
            match end["pod"]["namespace"].as_str() {
                Some(namespace) => Some(namespace.to_owned()),
                None => namespaces.get(end["ip"].as_str().unwrap()).cloned(),
            }
        };
        if let (Some(from), Some(to)) = (namespace("source"), namespace("destination")) {
            pairs += 1;
            within += u32::from(from == to);
        }
    }
    assert!((1500..4500).contains(&allowed), "{allowed} of 6000 allowed");
    assert!(isolated > 2000, "{isolated} of 6000 isolated");
    // Two in three by intent; of the rest those that meet by chance: in twenty namespaces, of which few are
    // large, that is one in four.
    assert!((640..800).contains(&(within * 1000 / pairs)), "{within} of {pairs} within a namespace");
}

#[test]
fn pods_are_admitted_changed_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    write(&cluster(), folder.path(), 0, 2000).unwrap();
    let snapshot = snapshot(folder.path());
    let (mut unchanged, mut changed, mut refused, mut bytes) = (0_u32, 0_u32, 0_u32, 0);
    for line in std::fs::read_to_string(folder.path().join("admit.jsonl")).unwrap().lines() {
        bytes += line.len();
        let request = gavel_client::review::read(&line.to_owned().into()).unwrap();
        let answer = decide::admit(&snapshot, &request).unwrap_or_else(|status| panic!("{line}: {status}"));
        let patch = String::from_utf8_lossy(&answer.patch).into_owned();
        match (answer.allowed, patch.contains("\"/spec")) {
            (true, false) => unchanged += 1,
            (true, true) => changed += 1,
            (false, _) => refused += 1,
        }
    }
    let mix = format!("{unchanged} admitted as they are, {changed} changed, {refused} refused");
    assert!(unchanged > 200 && changed > 200 && refused > 200, "{mix}");
    assert!((4500..6000).contains(&(bytes / 2000)), "{} bytes each", bytes / 2000);
}
