//! Who may call what.

use gavel_access::{Call, Caller, Grant, Method, Rights, Subject};
use gavel_engine::Snapshot;
use gavel_engine::object::{Change, Object};
use gavel_engine::rbac::User;
use serde_json::{Value, json};

fn user(name: &str, groups: &[&str]) -> User {
    User { name: name.to_owned(), groups: groups.iter().map(|&group| group.to_owned()).collect() }
}

fn role(rules: &Value) -> Change {
    let role = json!({"metadata": {"name": "caller"}, "rules": rules});
    Change::Upsert(Object::ClusterRole(serde_json::from_value(role).unwrap()))
}

fn binding(subjects: &Value) -> Change {
    let binding = json!({"metadata": {"name": "callers"}, "roleRef": {"kind": "ClusterRole", "name": "caller"},
        "subjects": subjects});
    Change::Upsert(Object::ClusterRoleBinding(serde_json::from_value(binding).unwrap()))
}

fn rule(verb: &str, resource: &str) -> Value {
    json!([{"apiGroups": ["gavel.dev"], "verbs": [verb], "resources": [resource]}])
}

#[test]
fn grants_as_they_are_written() {
    let grant: Grant = "user:alice=Admit,CheckFlow".parse().unwrap();
    assert_eq!(
        grant,
        Grant { subject: Subject::User("alice".to_owned()), calls: vec![Call::Admit, Call::CheckFlow] }
    );
    let grant: Grant = "group:CN=dev,OU=x=*".parse().unwrap();
    assert_eq!(grant, Grant { subject: Subject::Group("CN=dev,OU=x".to_owned()), calls: Call::ALL.to_vec() });
    for written in
        ["user:alice=Admit", "group:system:masters=*", "user:system:serviceaccount:a:b=Reflection,Authorize"]
    {
        assert_eq!(written.parse::<Grant>().unwrap().to_string(), written);
    }
    for (wrong, why) in [
        ("", "SUBJECT=CALL"),
        ("user:alice", "SUBJECT=CALL"),
        ("alice=Admit", "user:NAME or group:NAME"),
        ("role:alice=Admit", "user:NAME or group:NAME"),
        ("user:=Admit", "no name"),
        ("user:alice=", "no call \"\""),
        ("user:alice=admit", "no call \"admit\": say one of Admit, CheckFlow"),
        ("user:alice=Admit,", "no call \"\""),
        ("user:alice=Admit,*", "no call \"*\""),
    ] {
        let error = wrong.parse::<Grant>().unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(&format!("{wrong:?}")), "{error}");
    }
}

#[test]
fn static_grants_need_no_snapshot() {
    let rights =
        Rights::new(vec!["user:alice=Admit".parse().unwrap(), "group:dev=CheckFlow".parse().unwrap()]);
    let empty = Snapshot::empty();
    for snapshot in [None, Some(&empty)] {
        let may = |user: &User, call| rights.may(user, call, snapshot);
        assert!(may(&user("alice", &[]), Call::Admit));
        assert!(may(&user("bob", &["dev"]), Call::CheckFlow));
        assert!(!may(&user("bob", &["dev"]), Call::Admit));
        assert!(!may(&user("dev", &["alice"]), Call::Admit), "a user is no group, nor a group a user");
        assert!(!may(&user("", &[]), Call::Admit));
    }
}

#[test]
fn each_call_has_a_right_of_its_own() {
    let nobody = Rights::default();
    for granted in Call::ALL {
        let (verb, resource) = granted.attributes();
        let subjects = json!([{"kind": "User", "name": "alice"}]);
        let snapshot = Snapshot::empty().apply([role(&rule(verb, resource)), binding(&subjects)]);
        for asked in Call::ALL {
            assert_eq!(
                nobody.may(&user("alice", &[]), asked, Some(&snapshot)),
                asked == granted,
                "{granted} {asked}"
            );
        }
        assert!(!nobody.may(&user("alice", &[]), granted, None), "without a snapshot nobody knows");
        assert!(!nobody.may(&user("bob", &[]), granted, Some(&snapshot)));
    }
}

#[test]
fn rights_of_groups_and_service_accounts_and_of_others() {
    let rights = Rights::default();
    let subjects = json!([
        {"kind": "Group", "name": "system:serviceaccounts:hooks"},
        {"kind": "ServiceAccount", "name": "agent", "namespace": "kube-system"},
    ]);
    let snapshot = Snapshot::empty().apply([role(&rule("create", "admitrequests")), binding(&subjects)]);
    let may = |user: &User| rights.may(user, Call::Admit, Some(&snapshot));
    assert!(may(&User::service_account("hooks", "any")));
    assert!(may(&User::service_account("kube-system", "agent")));
    assert!(!may(&User::service_account("kube-system", "other")));
    // Another API group, a namespace's binding, a name: none of it is the right to call.
    let alice = json!([{"kind": "User", "name": "alice"}]);
    for rules in [
        json!([{"apiGroups": [""], "verbs": ["create"], "resources": ["admitrequests"]}]),
        json!([{"apiGroups": ["gavel.dev"], "verbs": ["get"], "resources": ["admitrequests"]}]),
        json!([{"apiGroups": ["gavel.dev"], "verbs": ["create"], "resources": ["admitrequests/x"]}]),
        json!([{"apiGroups": ["gavel.dev"], "verbs": ["create"], "resources": ["admitrequests"], "resourceNames": ["a"]}]),
    ] {
        let snapshot = Snapshot::empty().apply([role(&rules), binding(&alice)]);
        assert!(!rights.may(&user("alice", &[]), Call::Admit, Some(&snapshot)), "{rules}");
    }
    let in_namespace = json!({"metadata": {"name": "b", "namespace": "default"},
        "roleRef": {"kind": "ClusterRole", "name": "caller"}, "subjects": alice});
    let in_namespace = Change::Upsert(Object::RoleBinding(serde_json::from_value(in_namespace).unwrap()));
    let snapshot = Snapshot::empty().apply([role(&rule("create", "admitrequests")), in_namespace]);
    assert!(!rights.may(&user("alice", &[]), Call::Admit, Some(&snapshot)));
}

#[test]
fn what_is_remembered_is_of_one_revision() {
    let rights = Rights::new(vec!["user:alice=Reflection".parse().unwrap()]);
    let alice = Caller::new(user("alice", &[]), Method::Local, None);
    let subjects = json!([{"kind": "User", "name": "alice"}]);
    let granted = Snapshot::empty().apply([role(&rule("create", "admitrequests")), binding(&subjects)]);
    let revoked = granted.apply([binding(&json!([]))]);
    let again = revoked.apply([binding(&json!([{"kind": "User", "name": "alice"}]))]);
    // To and fro, as requests do that hold different snapshots; each question twice, so that the second is remembered.
    for _ in 0..3 {
        for (snapshot, may) in [(&granted, true), (&revoked, false), (&again, true)] {
            for _ in 0..2 {
                assert_eq!(alice.may(&rights, Call::Admit, Some(snapshot)), may);
                assert!(!alice.may(&rights, Call::CheckFlow, Some(snapshot)));
                assert!(alice.may(&rights, Call::Reflection, Some(snapshot)));
                assert!(!alice.may(&rights, Call::Admit, None), "static grants alone");
                assert!(alice.may(&rights, Call::Reflection, None));
            }
        }
    }
}

#[test]
fn many_at_a_time_get_their_own_snapshots_answer() {
    let rights = Rights::default();
    let alice = Caller::new(user("alice", &[]), Method::Local, None);
    let subjects = json!([{"kind": "User", "name": "alice"}]);
    let granted = Snapshot::empty().apply([role(&rule("create", "admitrequests")), binding(&subjects)]);
    let revoked = granted.apply([binding(&json!([]))]);
    std::thread::scope(|scope| {
        for (snapshot, may) in [(&granted, true), (&revoked, false), (&granted, true), (&revoked, false)] {
            let (rights, alice) = (&rights, &alice);
            scope.spawn(move || {
                for _ in 0..20_000 {
                    assert_eq!(alice.may(rights, Call::Admit, Some(snapshot)), may);
                    assert!(!alice.may(rights, Call::GetSnapshot, Some(snapshot)));
                }
            });
        }
    });
}
