//! What rules match.

use super::{
    Index, NetworkPolicy, Object, Operator, Peer, Pod, PortMatch, Protocol, Rule, ask, block, egress,
    expression, index, ingress, isolating, namespace, on, pod, pods, policy, port, rule, tcp,
};
use crate::network::{FlowRequest, LegReason, RuleTrace};

const CLIENT: &str = "a/client";
const SERVER: &str = "b/server";

/// A client and a server, in different namespaces, and what the test adds.
fn cluster(objects: impl IntoIterator<Item = Object>) -> Index {
    let server =
        Pod { ports: vec![port("http", Protocol::Tcp, 8080)], ..pod(SERVER, "app=server", &["10.0.2.1"]) };
    let client = pod(CLIENT, "app=client,tier=web", &["10.0.1.1"]);
    let base = [namespace("a", "team=red"), namespace("b", "team=blue"), client.into(), server.into()];
    index(base.into_iter().chain(objects))
}

/// Whether the server's ingress, with one rule, lets the client in at 8080.
fn lets_in(rule: Rule) -> bool {
    ask(&cluster([ingress("b/p", "", vec![rule]).into()]), CLIENT, SERVER, 8080).allowed()
}

#[test]
fn peers() {
    let not_in = |values: &[&str]| Peer::Pods {
        namespace_selector: Some(expression("team", Operator::NotIn, values)),
        pod_selector: None,
    };
    let cases = [
        ("no peers: anybody", vec![], true),
        ("own namespace only", vec![pods(None, Some(""))], false),
        ("labels of another namespace", vec![pods(None, Some("app=client"))], false),
        ("every namespace", vec![pods(Some(""), None)], true),
        ("every namespace, all pods", vec![pods(Some(""), Some(""))], true),
        ("every namespace, some pods", vec![pods(Some(""), Some("app=client"))], true),
        ("every namespace, other pods", vec![pods(Some(""), Some("app=server"))], false),
        ("that namespace", vec![pods(Some("team=red"), None)], true),
        ("another namespace", vec![pods(Some("team=blue"), None)], false),
        ("both match", vec![pods(Some("team=red"), Some("tier=web"))], true),
        ("only the namespace matches", vec![pods(Some("team=red"), Some("tier=db"))], false),
        ("only the pod matches", vec![pods(Some("team=blue"), Some("tier=web"))], false),
        ("either of two", vec![pods(Some("team=blue"), None), pods(Some("team=red"), None)], true),
        ("NotIn without the label", vec![not_in(&["blue"])], true),
        ("NotIn with the value", vec![not_in(&["red", "blue"])], false),
        (
            "a declared namespace has just its labels",
            vec![pods(Some("kubernetes.io/metadata.name=a"), None)],
            false,
        ),
        ("block", vec![block("10.0.1.0/24", &[])], true),
        ("other block", vec![block("10.0.3.0/24", &[])], false),
        ("except", vec![block("10.0.0.0/16", &["10.0.1.0/24"])], false),
        ("except of another", vec![block("10.0.0.0/16", &["10.0.2.0/24"])], true),
        (
            "except of one, allowed by another",
            vec![block("10.0.0.0/16", &["10.0.1.0/24"]), block("10.0.1.1/32", &[])],
            true,
        ),
        ("a block of the other family", vec![block("::/0", &[])], false),
        ("pod or block", vec![block("192.168.0.0/16", &[]), pods(Some("team=red"), None)], true),
    ];
    for (what, peers, expected) in cases {
        assert_eq!(lets_in(rule(peers, vec![])), expected, "{what}");
    }
}

#[test]
fn ports() {
    let named = |protocol, name: &str| on(protocol, PortMatch::Name(name.to_owned()));
    let cases = [
        ("no ports: all", vec![], true),
        ("the port", vec![tcp(8080)], true),
        ("another port", vec![tcp(80)], false),
        ("one of two", vec![tcp(80), tcp(8080)], true),
        ("another protocol", vec![on(Protocol::Udp, PortMatch::Range(8080, 8080))], false),
        ("the whole protocol", vec![on(Protocol::Tcp, PortMatch::All)], true),
        ("another whole protocol", vec![on(Protocol::Sctp, PortMatch::All)], false),
        ("first of a range", vec![on(Protocol::Tcp, PortMatch::Range(8080, 8090))], true),
        ("last of a range", vec![on(Protocol::Tcp, PortMatch::Range(8000, 8080))], true),
        ("before a range", vec![on(Protocol::Tcp, PortMatch::Range(8081, 8090))], false),
        ("name", vec![named(Protocol::Tcp, "http")], true),
        ("name of no port", vec![named(Protocol::Tcp, "web")], false),
        ("name with another protocol", vec![named(Protocol::Udp, "http")], false),
    ];
    for (what, ports, expected) in cases {
        assert_eq!(lets_in(rule(vec![], ports)), expected, "{what}");
    }
}

#[test]
fn named_ports_are_those_of_the_destination() {
    let named = || on(Protocol::Tcp, PortMatch::Name("http".to_owned()));
    let index = cluster([egress("a/p", "", vec![rule(vec![], vec![named()])]).into()]);
    assert!(ask(&index, CLIENT, SERVER, 8080).allowed());
    assert!(!ask(&index, CLIENT, SERVER, 80).allowed(), "the name stands for 8080");
    assert!(!ask(&index, CLIENT, "10.9.9.9", 8080).allowed(), "an address has no names");
}

#[test]
fn a_name_may_stand_for_several_ports() {
    let ports = vec![
        port("http", Protocol::Tcp, 8080),
        port("http", Protocol::Tcp, 8081),
        port("http", Protocol::Udp, 8082),
    ];
    let named = on(Protocol::Tcp, PortMatch::Name("http".to_owned()));
    let index = index([
        Pod { ports, ..pod("b/server", "", &["10.0.2.1"]) }.into(),
        ingress("b/p", "", vec![rule(vec![], vec![named])]).into(),
    ]);
    let allowed = [8080, 8081, 8082].map(|port| ask(&index, "10.9.9.9", SERVER, port).allowed());
    assert_eq!(allowed, [true, true, false]);
}

#[test]
fn isolation_goes_by_direction() {
    let index = cluster([egress("b/out", "", vec![]).into(), policy("a/in", super::select("")).into()]);
    let decision = ask(&index, CLIENT, SERVER, 80);
    assert_eq!(
        (decision.egress.reason, decision.ingress.reason),
        (LegReason::NotIsolated, LegReason::NotIsolated)
    );
    let back = ask(&index, SERVER, CLIENT, 80);
    assert_eq!((back.egress.reason, back.ingress.reason), (LegReason::NoRule, LegReason::NoRule));
    assert_eq!((isolating(&back.egress), isolating(&back.ingress)), (vec!["out"], vec!["in"]));
    assert!(!back.allowed());
}

#[test]
fn one_leg_denies() {
    let out = egress("a/out", "app=client", vec![rule(vec![pods(Some(""), None)], vec![])]);
    let index = cluster([out.into(), ingress("b/in", "app=server", vec![]).into()]);
    let decision = ask(&index, CLIENT, SERVER, 80);
    assert_eq!((decision.egress.allowed, decision.ingress.allowed, decision.allowed()), (true, false, false));
    assert_eq!(decision.egress.allowing_rule().map(|(policy, rule)| (&*policy.name, rule)), Some(("out", 0)));
    assert!(decision.ingress.isolated);
    assert_eq!(decision.ingress.allowed_by(), None);
}

#[test]
fn policies_add_up_in_order_of_their_names() {
    let open = || rule(vec![], vec![]);
    let closed = || rule(vec![], vec![tcp(1)]);
    let index = cluster([
        ingress("b/z", "", vec![open()]).into(),
        ingress("b/m", "app=server", vec![closed(), open()]).into(),
        ingress("b/a", "", vec![closed()]).into(),
        ingress("b/other", "app=other", vec![open()]).into(),
        ingress("a/elsewhere", "", vec![open()]).into(),
    ]);
    let decision = ask(&index, CLIENT, SERVER, 80);
    assert_eq!(isolating(&decision.ingress), ["a", "m", "z"]);
    assert_eq!(decision.ingress.allowed_by(), Some((1, 1)));
    let (egress, ingress) = index.trace_flow(&super::request(CLIENT, SERVER, 80)).unwrap();
    assert_eq!(egress, []);
    let trace = |policy, rule, port_matched| RuleTrace { policy, rule, peer_matched: true, port_matched };
    assert_eq!(ingress, [trace(0, 0, false), trace(1, 0, false), trace(1, 1, true), trace(2, 0, true)]);
}

#[test]
fn a_policy_may_isolate_both_ways_and_change() {
    let both = NetworkPolicy {
        isolates_egress: true,
        egress: vec![rule(vec![block("10.0.0.0/8", &[])], vec![])],
        ..policy("b/p", super::select("app=server"))
    };
    let mut index = cluster([both.clone().into()]);
    assert!(!ask(&index, CLIENT, SERVER, 80).allowed());
    assert!(ask(&index, SERVER, CLIENT, 80).allowed());
    let before = index.clone();
    let only_egress = NetworkPolicy { isolates_ingress: false, egress: vec![], ..both };
    index.apply(&super::Change::Upsert(only_egress.into()));
    assert!(ask(&index, CLIENT, SERVER, 80).allowed());
    assert!(!ask(&index, SERVER, CLIENT, 80).allowed());
    index.apply(&super::Change::Remove(super::key(super::Kind::NetworkPolicy, "b/p")));
    assert!(ask(&index, SERVER, CLIENT, 80).allowed());
    assert!(!ask(&before, CLIENT, SERVER, 80).allowed(), "the snapshot before stays as it was");
}

#[test]
fn rules_of_a_direction_that_is_not_isolated_are_told_of() {
    let mut index = Index::default();
    let idle = NetworkPolicy { egress: vec![rule(vec![], vec![])], ..policy("b/p", super::select("")) };
    let diagnostics = index.apply(&super::Change::Upsert(idle.into()));
    let told: Vec<_> = diagnostics.iter().map(|d| (d.object.to_string(), &*d.field, &*d.message)).collect();
    let message = "has no effect: spec.policyTypes does not contain Egress";
    assert_eq!(told, [("NetworkPolicy b/p".to_owned(), "spec.egress", message)]);
    assert_eq!(index.apply(&super::Change::Upsert(policy("b/p", super::select("")).into())), []);
}

#[test]
fn namespaces_change_their_labels() {
    let team = || rule(vec![pods(Some("team=red"), Some("app=client"))], vec![]);
    let teams = || rule(vec![pods(Some("team=green"), None)], vec![]);
    let named = || rule(vec![pods(Some("kubernetes.io/metadata.name=a"), None)], vec![]);
    let mut index = cluster([ingress("b/p", "", vec![team(), teams(), named()]).into()]);
    let by = |index: &Index| ask(index, CLIENT, SERVER, 80).ingress.allowed_by();
    assert_eq!(by(&index), Some((0, 0)));
    index.apply(&super::Change::Upsert(namespace("a", "team=green")));
    assert_eq!(by(&index), Some((0, 1)));
    index.apply(&super::Change::Upsert(namespace("a", "team=blue")));
    assert_eq!(by(&index), None, "declared with labels it has no others");
    index.apply(&super::Change::Upsert(namespace("a", "")));
    assert_eq!(by(&index), Some((0, 2)), "declared without labels it has its name");
    index.apply(&super::Change::Upsert(namespace("a", "team=blue")));
    index.apply(&super::Change::Remove(super::key(super::Kind::Namespace, "a")));
    assert_eq!(by(&index), Some((0, 2)), "undeclared it has its name");
    index.apply(&super::Change::Upsert(namespace("a", "team=red")));
    assert_eq!(by(&index), Some((0, 0)));
}

#[test]
fn every_protocol_where_no_ports_are_written() {
    let index = cluster([ingress("b/p", "", vec![rule(vec![], vec![])]).into()]);
    for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
        let request = FlowRequest { protocol, ..super::request(CLIENT, SERVER, 9) };
        assert!(index.check_flow(&request).unwrap().allowed());
    }
}
