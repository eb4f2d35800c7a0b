use gavel_engine::object::Kind;
use gavel_engine::{Change, Object};

use super::*;

fn pod(name: &str, version: u32, label: &str, phase: &str) -> Vec<u8> {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"n","resourceVersion":"{version}","labels":{{"l":"{label}"}}}},
            "status":{{"phase":"{phase}"}}}}"#
    )
    .into_bytes()
}

fn policy(name: &str, version: u32, spec: &str) -> Vec<u8> {
    format!(
        r#"{{"metadata":{{"name":"{name}","namespace":"n","resourceVersion":"{version}"}},"spec":{spec}}}"#
    )
    .into_bytes()
}

/// `+name` for an upsert, `-name` for a removal.
fn told(update: &Update) -> Vec<String> {
    update
        .changes
        .iter()
        .map(|change| match change {
            Change::Upsert(object) => format!("+{}", object.key().name),
            Change::Remove(key) => format!("-{}", key.name),
        })
        .collect()
}

fn list(known: &mut Known, objects: &[Vec<u8>]) -> Update {
    let mut update = Update::default();
    known.begin_list();
    for object in objects {
        known.upsert(object, &mut update).unwrap();
    }
    known.end_list(&mut update);
    update
}

fn upsert(known: &mut Known, object: &[u8]) -> Update {
    let mut update = Update::default();
    known.upsert(object, &mut update).unwrap();
    update
}

#[test]
fn lists_and_events_tell_what_changed() {
    let mut known = Known::new(Kind::Pod, [], false);
    let update = list(&mut known, &[pod("a", 1, "x", "Pending"), pod("b", 2, "x", "Running")]);
    assert_eq!(told(&update), ["+a", "+b"]);
    assert!(update.listed && update.stored.is_empty());
    // The kubelet's writing changes nothing that policies look at.
    let update = upsert(&mut known, &pod("a", 3, "x", "Running"));
    assert_eq!((told(&update), update.written), (vec![], vec![3]));
    assert_eq!(told(&upsert(&mut known, &pod("a", 4, "y", "Running"))), ["+a"]);
    // The same version again: nothing.
    assert_eq!(told(&upsert(&mut known, &pod("a", 4, "y", "Running"))), Vec::<String>::new());
    let mut update = Update::default();
    known.remove(&pod("b", 9, "x", "Running"), &mut update).unwrap();
    assert_eq!((told(&update), update.written), (vec!["-b".to_owned()], vec![9]));
    // A list that lacks one, has a new one, and one as it was.
    let update = list(&mut known, &[pod("c", 5, "x", "Running")]);
    assert_eq!(told(&update), ["+c", "-a"]);
    let mut update = Update::default();
    known.clear(&mut update);
    assert_eq!(told(&update), ["-c"]);
}

#[test]
fn restored_objects_are_compared_with_the_first_list() {
    let Ok(same) = item::read(Kind::Pod, &pod("same", 1, "x", "Running")) else { panic!() };
    let Ok(other) = item::read(Kind::Pod, &pod("other", 1, "x", "Running")) else { panic!() };
    let Ok(gone) = item::read(Kind::Pod, &pod("gone", 1, "x", "Running")) else { panic!() };
    let mut known = Known::new(Kind::Pod, [same, other, gone], true);
    let update = list(&mut known, &[pod("same", 7, "x", "Running"), pod("other", 8, "y", "Running")]);
    assert_eq!(told(&update), ["+other", "-gone"]);
    let stored: Vec<(String, bool)> =
        update.stored.iter().map(|stored| (stored.key.name.to_string(), stored.json.is_some())).collect();
    assert_eq!(stored, [("other".to_owned(), true), ("gone".to_owned(), false)]);
}

#[test]
fn what_cannot_be_read_is_set_aside_and_stops_nobody() {
    let bad = r#"{"podSelector":{},"ingress":[{"from":[{"ipBlock":{"cidr":"10.0.0.0/99"}}]}]}"#;
    let good = r#"{"podSelector":{}}"#;
    let mut known = Known::new(Kind::NetworkPolicy, [], false);
    let update = list(
        &mut known,
        &[policy("never-good", 1, bad), policy("was-good", 2, good), policy("hopeless", 3, "7")],
    );
    assert_eq!(told(&update), ["+never-good", "+was-good"], "the first isolates, without its rules");
    let set_aside = update.set_aside.unwrap();
    let instead: Vec<(&str, Instead)> =
        set_aside.iter().map(|aside| (aside.object.as_str(), aside.instead)).collect();
    assert_eq!(
        instead,
        [("NetworkPolicy n/hopeless", Instead::Nothing), ("NetworkPolicy n/never-good", Instead::Isolation)]
    );
    assert_eq!(set_aside[1].errors[0].path, "spec.ingress[0].from[0].ipBlock.cidr");
    // The last good version stays.
    let update = upsert(&mut known, &policy("was-good", 4, bad));
    assert_eq!(told(&update), Vec::<String>::new());
    let last = update.set_aside.unwrap().pop().unwrap();
    assert_eq!((last.object.as_str(), last.instead), ("NetworkPolicy n/was-good", Instead::LastGood));
    // Bad in another way: the selector of now is what is isolated.
    let other = r#"{"podSelector":{"matchLabels":{"a":"b"}},"ingress":[{"from":[{}]}]}"#;
    let update = upsert(&mut known, &policy("never-good", 5, other));
    let [Change::Upsert(Object::NetworkPolicy(isolation))] = update.changes.as_slice() else {
        panic!("{update:?}")
    };
    assert_eq!(isolation.pod_selector.match_labels.len(), 1);
    // All well again.
    for (name, version) in [("was-good", 6), ("never-good", 7), ("hopeless", 8)] {
        let update = upsert(&mut known, &policy(name, version, good));
        assert_eq!(told(&update), [format!("+{name}")]);
        assert!(update.set_aside.is_some());
    }
    assert!(known.set_aside.is_empty());
    // Gone while it was set aside.
    upsert(&mut known, &policy("new", 9, "7"));
    let mut update = Update::default();
    known.remove(&policy("new", 10, "7"), &mut update).unwrap();
    assert_eq!((told(&update), update.set_aside), (vec![], Some(vec![])));
}

#[test]
fn an_object_without_a_name_is_an_error_of_the_list() {
    let mut known = Known::new(Kind::Pod, [], false);
    assert!(known.upsert(b"7", &mut Update::default()).is_err());
}
