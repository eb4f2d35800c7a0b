//! Who the ends are.

use super::{
    Change, End, Index, Kind, Labels, Pod, PortMatch, Protocol, address, ask, block, egress, index, ingress,
    isolating, key, labels, namespace, on, pod, pods, port, refusal, request, rule, workload,
};
use crate::network::{FlowRequest, LegReason};

/// Reasons of egress and ingress.
fn reasons(index: &Index, source: &str, destination: &str) -> (LegReason, LegReason) {
    let decision = ask(index, source, destination, 80);
    (decision.egress.reason, decision.ingress.reason)
}

/// Every pod of `n` is closed both ways.
fn closed() -> [super::Object; 2] {
    [ingress("n/in", "", vec![]).into(), egress("n/out", "", vec![]).into()]
}

fn owned(pod: Pod, kind: &str, name: &str) -> Pod {
    Pod { owner: Some((kind.to_owned(), name.to_owned())), ..pod }
}

#[test]
fn a_pod_reaches_itself() {
    let objects = [pod("n/a", "", &["10.0.0.1", "fd00::1"]).into(), pod("n/b", "", &["10.0.0.2"]).into()];
    let index = index(objects.into_iter().chain(closed()));
    for (source, destination) in [
        ("n/a", "n/a"),
        ("n/a", "10.0.0.1"),
        ("10.0.0.1", "n/a"),
        ("10.0.0.1", "10.0.0.1"),
        ("fd00::1", "10.0.0.1"),
        ("n/Pod/a", "n/a"),
        ("n/Pod/a", "n/Pod/a"),
    ] {
        let decision = ask(&index, source, destination, 80);
        assert!(decision.allowed(), "{source} to {destination}");
        assert_eq!(reasons(&index, source, destination), (LegReason::SelfTraffic, LegReason::SelfTraffic));
        assert_eq!(isolating(&decision.ingress), ["in"]);
        let trace = index.trace_flow(&request(source, destination, 80)).unwrap();
        assert_eq!(trace, (vec![], vec![]));
    }
    assert!(!ask(&index, "n/a", "n/b", 80).allowed());
    assert!(!ask(&index, "n/a", "10.0.0.2", 80).allowed());
}

#[test]
fn replicas_are_not_one_pod() {
    let replica = |name, address| owned(pod(name, "", &[address]), "StatefulSet", "s");
    let one = index([replica("n/s-0", "10.0.0.1").into()].into_iter().chain(closed()));
    let two = [replica("n/s-0", "10.0.0.1").into(), replica("n/s-1", "10.0.0.2").into()];
    let two = index(two.into_iter().chain(closed()));
    let itself = ("n/StatefulSet/s", "n/StatefulSet/s");
    assert_eq!(reasons(&one, itself.0, itself.1), (LegReason::SelfTraffic, LegReason::SelfTraffic));
    assert_eq!(reasons(&two, itself.0, itself.1), (LegReason::NoRule, LegReason::NoRule));
    assert_eq!(reasons(&two, "n/s-0", itself.1), (LegReason::NoRule, LegReason::NoRule));
}

#[test]
fn policies_hold_nobody_but_pods() {
    let host = Pod { host_network: true, ..pod("n/host", "app=x", &["10.1.0.1"]) };
    let from = |peer| rule(vec![peer], vec![]);
    let index = index([
        host.into(),
        pod("n/a", "app=x", &["10.0.0.1"]).into(),
        // The address of two running pods.
        pod("n/b", "app=x", &["10.0.0.2"]).into(),
        pod("n/c", "app=x", &["10.0.0.2"]).into(),
        ingress("n/in", "", vec![from(pods(Some(""), None)), from(block("10.1.0.0/16", &[]))]).into(),
        egress("n/out", "", vec![from(pods(None, Some("app=x"))), from(block("10.0.0.2/32", &[]))]).into(),
    ]);
    use LegReason::{HostNetwork, NoRule, NotAPod, Rule};
    for (source, destination, expected) in [
        ("n/host", "n/a", (HostNetwork, Rule)),
        ("10.1.0.1", "n/a", (HostNetwork, Rule)),
        ("n/a", "n/host", (NoRule, HostNetwork)),
        ("n/a", "10.1.0.1", (NoRule, HostNetwork)),
        ("10.9.0.1", "n/a", (NotAPod, NoRule)),
        ("10.1.0.9", "n/a", (NotAPod, Rule)),
        ("10.9.0.1", "10.9.0.1", (NotAPod, NotAPod)),
        ("10.0.0.2", "n/a", (NotAPod, NoRule)),
        ("n/b", "n/a", (Rule, Rule)),
        ("n/a", "10.0.0.2", (Rule, NotAPod)),
    ] {
        assert_eq!(reasons(&index, source, destination), expected, "{source} to {destination}");
    }
    assert!(!ask(&index, "n/host", "n/a", 80).egress.isolated);
    // By identity policies would let it in; by address this one comes first.
    assert_eq!(ask(&index, "n/host", "n/a", 80).ingress.allowed_by(), Some((0, 1)));
}

#[test]
fn host_network_pods_share_their_nodes_address() {
    let host = |name| Pod { host_network: true, ..pod(name, "", &["10.1.0.1"]) };
    let objects =
        [host("n/x").into(), host("n/y").into(), host("n/z").into(), pod("n/a", "", &["10.0.0.1"]).into()];
    let mut index = index(objects.into_iter().chain(closed()));
    let egress = |index: &Index| ask(index, "10.1.0.1", "n/a", 80).egress.reason;
    assert_eq!(egress(&index), LegReason::NotAPod);
    index.apply(&Change::Remove(key(Kind::Pod, "n/x")));
    assert_eq!(egress(&index), LegReason::NotAPod);
    let two = index.clone();
    index.apply(&Change::Remove(key(Kind::Pod, "n/z")));
    assert_eq!(egress(&index), LegReason::HostNetwork, "one is left");
    index.apply(&Change::Remove(key(Kind::Pod, "n/y")));
    assert_eq!(egress(&index), LegReason::NotAPod);
    assert_eq!(egress(&two), LegReason::NotAPod);
}

#[test]
fn terminated_pods_have_no_address() {
    let done = Pod { terminated: true, ..pod("n/done", "", &["10.0.0.1"]) };
    let from = rule(vec![block("10.0.0.0/24", &[])], vec![]);
    let index = index([
        done.into(),
        pod("n/heir", "", &["10.0.0.1"]).into(),
        pod("n/a", "", &["10.0.0.2"]).into(),
        ingress("n/in", "", vec![from]).into(),
    ]);
    assert_eq!(reasons(&index, "n/a", "10.0.0.1"), (LegReason::NotIsolated, LegReason::Rule));
    assert_eq!(ask(&index, "10.0.0.1", "n/heir", 80).egress.reason, LegReason::SelfTraffic);
    // By name it is still what its labels make it.
    let decision = ask(&index, "n/done", "n/a", 80);
    assert_eq!((decision.allowed(), decision.unknown_address), (false, true));
    let end = End::Pod { namespace: "n", name: "done", ip: Some(address("10.0.0.1")) };
    let error = index.check_flow(&FlowRequest { source: end, ..request("n/a", "n/a", 80) }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "source.pod.ip: Pod \"n/done\" has terminated: no address is its own any more"
    );
}

#[test]
fn an_unknown_address_is_told_of_only_where_it_matters() {
    let peers = |peer| rule(vec![peer], vec![]);
    let index = index([
        pod("n/new", "app=x", &[]).into(),
        pod("n/blocks", "app=blocks", &["10.0.0.1"]).into(),
        pod("n/labels", "app=labels", &["10.0.0.2"]).into(),
        pod("n/both", "app=both", &["10.0.0.3"]).into(),
        ingress("n/a", "app=blocks", vec![peers(block("0.0.0.0/0", &[]))]).into(),
        ingress("n/b", "app=labels", vec![peers(pods(None, Some("app=y")))]).into(),
        ingress("n/c", "app=both", vec![rule(vec![block("0.0.0.0/0", &[]), pods(None, Some(""))], vec![])])
            .into(),
    ]);
    for (destination, expected) in [
        ("n/new", (true, false)),
        ("n/blocks", (false, true)),
        ("n/labels", (false, false)),
        ("n/both", (true, false)),
    ] {
        let decision = ask(&index, "n/new", destination, 80);
        assert_eq!((decision.allowed(), decision.unknown_address), expected, "{destination}");
    }
}

#[test]
fn addresses_of_two_families() {
    let from_v6 = rule(vec![block("fd00::/16", &[])], vec![]);
    let index = index([
        pod("n/dual", "app=dual", &["10.0.0.1", "fd00::1"]).into(),
        pod("n/six-first", "app=server", &["fd00::2", "10.0.0.2"]).into(),
        pod("n/four", "app=server", &["10.0.0.3"]).into(),
        pod("n/six", "app=server", &["fd00::4"]).into(),
        ingress("n/in", "app=server", vec![from_v6]).into(),
    ]);
    let allowed = |source: End<'_>, destination: &str| {
        let request = FlowRequest { source, ..request("n/dual", destination, 80) };
        index.check_flow(&request).map(|decision| decision.allowed())
    };
    let dual = |ip: Option<&str>| End::Pod { namespace: "n", name: "dual", ip: ip.map(address) };
    assert_eq!(allowed(dual(None), "n/six-first"), Ok(true), "the destination's first");
    assert_eq!(allowed(dual(None), "n/four"), Ok(false), "the only one in common");
    assert_eq!(allowed(dual(Some("10.0.0.1")), "n/six-first"), Ok(false), "that one");
    assert_eq!(allowed(dual(None), "10.0.0.2"), Ok(false));
    assert_eq!(allowed(dual(None), "fd00::2"), Ok(true));
    let error = allowed(dual(Some("10.0.0.9")), "n/four").unwrap_err();
    assert_eq!(error.to_string(), "source.pod.ip: Pod \"n/dual\" has 10.0.0.1 and fd00::1, not 10.0.0.9");
    assert_eq!(
        refusal(&index, "n/four", "n/six").to_string(),
        "destination: has fd00::4, the source 10.0.0.3: no address family is common to both"
    );
}

#[test]
fn ipv4_mapped_ipv6_is_ipv4() {
    let mapped = pod("n/a", "", &["::ffff:10.0.0.1", "10.0.0.1"]);
    let index = index([mapped.into(), pod("n/b", "", &["10.0.0.2"]).into()].into_iter().chain(closed()));
    for source in ["10.0.0.1", "::ffff:10.0.0.1", "n/a"] {
        assert_eq!(ask(&index, source, "::ffff:10.0.0.2", 80).egress.reason, LegReason::NoRule, "{source}");
    }
    let ip = Some(address("::ffff:10.0.0.1"));
    let source = End::Pod { namespace: "n", name: "a", ip };
    let decision = index.check_flow(&FlowRequest { source, ..request("n/a", "n/b", 80) }).unwrap();
    assert_eq!(decision.egress.reason, LegReason::NoRule);
}

#[test]
fn workloads_stand_for_their_pods() {
    let of_deployment = |name, with| owned(pod(name, with, &[]), "ReplicaSet", "web-7d4b9c");
    let in_x = rule(vec![pods(None, Some("app=x"))], vec![]);
    let index = index([
        of_deployment("n/web-7d4b9c-1", "app=x,pod-template-hash=7d4b9c").into(),
        owned(pod("n/odd", "app=x", &[]), "ReplicaSet", "odd-1").into(),
        owned(pod("n/pet-0", "app=y", &[]), "Rollout", "pet").into(),
        // The template says otherwise: pods that are there come first.
        workload(Kind::Deployment, "n/web", "app=none").into(),
        workload(Kind::Job, "n/later", "app=x").into(),
        pod("n/alone", "app=x", &[]).into(),
        owned(pod("n/alone-by-owner", "app=y", &[]), "Pod", "alone").into(),
        ingress("n/in", "", vec![in_x]).into(),
        pod("n/server", "", &[]).into(),
    ]);
    for (source, expected) in [
        ("n/Deployment/web", true),
        ("n/ReplicaSet/web-7d4b9c", true),
        ("n/ReplicaSet/odd-1", true),
        ("n/Rollout/pet", false),
        ("n/Job/later", true),
        ("n/Pod/odd", true),
        ("n/Pod/alone", false),
    ] {
        assert_eq!(ask(&index, source, "n/server", 80).allowed(), expected, "{source}");
    }
    assert_eq!(
        refusal(&index, "n/Deployment/odd", "n/server").to_string(),
        "source.workload: Deployment \"n/odd\" does not exist"
    );
}

#[test]
fn templates_come_and_go() {
    let allowing = ingress("n/in", "", vec![rule(vec![pods(None, Some("app=x"))], vec![])]);
    let mut index = index([allowing.into(), pod("n/server", "", &[]).into()]);
    let mut apply = |change| {
        index.apply(&change);
        index.check_flow(&request("n/Deployment/d", "n/server", 80)).map(|decision| decision.allowed()).ok()
    };
    let running = || owned(pod("n/p", "app=y,pod-template-hash=1", &[]), "ReplicaSet", "d-1");
    assert_eq!(apply(Change::Upsert(workload(Kind::Deployment, "n/d", "app=x").into())), Some(true));
    assert_eq!(apply(Change::Upsert(workload(Kind::Deployment, "n/d", "app=z").into())), Some(false));
    assert_eq!(apply(Change::Upsert(workload(Kind::Deployment, "n/d", "app=x").into())), Some(true));
    assert_eq!(apply(Change::Upsert(running().into())), Some(false));
    let terminated = Pod { terminated: true, ..running() };
    assert_eq!(apply(Change::Upsert(terminated.into())), Some(true), "the template stands for pods to come");
    assert_eq!(apply(Change::Remove(key(Kind::Deployment, "n/d"))), Some(false), "only the terminated one");
    assert_eq!(apply(Change::Upsert(owned(running(), "Job", "j").into())), None, "another owner");
}

#[test]
fn workloads_in_the_hosts_network_are_what_their_labels_make_them() {
    let agent = |name, address: &[&str]| Pod { host_network: true, ..pod(name, "app=x", address) };
    let template = super::Workload { kind: Kind::DaemonSet, pod: agent("n/planned", &[]) };
    let objects = [
        template.into(),
        owned(agent("n/agent-1", &["10.1.0.1"]), "DaemonSet", "agent").into(),
        pod("n/a", "", &["10.0.0.1"]).into(),
    ];
    let index = index(objects.into_iter().chain(closed()));
    for workload in ["n/DaemonSet/planned", "n/DaemonSet/agent", "n/Pod/agent-1"] {
        assert_eq!(reasons(&index, workload, "n/a"), (LegReason::NoRule, LegReason::NoRule), "{workload}");
    }
    assert_eq!(reasons(&index, "n/agent-1", "n/a"), (LegReason::HostNetwork, LegReason::NoRule));
    assert_eq!(reasons(&index, "10.1.0.1", "n/a"), (LegReason::HostNetwork, LegReason::NoRule));
}

#[test]
fn pods_of_a_workload_must_agree() {
    let replica = |name, with, address| owned(pod(name, with, &[address]), "StatefulSet", "s");
    let by_label = rule(vec![pods(None, Some("app=x"))], vec![]);
    let by_address = rule(vec![block("10.0.0.1/32", &[])], vec![]);
    let index = index([
        replica("n/s-0", "app=x", "10.0.0.1").into(),
        replica("n/s-1", "app=x,i=1", "10.0.0.2").into(),
        pod("n/by-label", "app=l", &["10.0.1.1"]).into(),
        pod("n/by-address", "app=a", &["10.0.1.2"]).into(),
        ingress("n/l", "app=l", vec![by_label]).into(),
        ingress("n/a", "app=a", vec![by_address]).into(),
        ingress("n/x", "i=1", vec![]).into(),
    ]);
    assert!(ask(&index, "n/StatefulSet/s", "n/by-label", 80).allowed());
    let disagree = |role: &str| {
        format!(
            "{role}.workload: its pods do not agree: the flow is allowed for pod \"s-0\" and denied for pod \"s-1\"; \
             ask for one of them"
        )
    };
    assert_eq!(refusal(&index, "n/StatefulSet/s", "n/by-address").to_string(), disagree("source"));
    assert_eq!(refusal(&index, "n/by-label", "n/StatefulSet/s").to_string(), disagree("destination"));
    assert_eq!(refusal(&index, "n/StatefulSet/s", "n/StatefulSet/s").to_string(), disagree("destination"));
}

#[test]
fn a_pod_that_does_not_exist_yet() {
    let named = on(Protocol::Tcp, PortMatch::Name("http".to_owned()));
    let index = index([
        namespace("n", "team=red"),
        Pod { ports: vec![port("http", Protocol::Tcp, 80)], ..pod("n/server", "app=server", &["10.0.0.1"]) }
            .into(),
        ingress("n/own", "app=server", vec![rule(vec![pods(None, Some("app=new"))], vec![])]).into(),
        ingress("m/team", "", vec![rule(vec![pods(Some("team=red"), Some("app=new"))], vec![])]).into(),
        ingress("n/b", "app=blocks", vec![rule(vec![block("::/0", &[])], vec![])]).into(),
        egress("n/z", "app=named", vec![rule(vec![], vec![named])]).into(),
        egress("n/closed", "app=closed", vec![]).into(),
        ingress("n/open", "app=closed", vec![rule(vec![pods(Some(""), None)], vec![])]).into(),
        ingress(
            "m/named",
            "app=byname",
            vec![rule(vec![pods(Some("kubernetes.io/metadata.name=x"), None)], vec![])],
        )
        .into(),
        pod("m/server", "app=m", &[]).into(),
        pod("n/named", "app=named", &[]).into(),
        pod("m/byname", "app=byname", &[]).into(),
    ]);
    let of = |namespace: &str, text: &str| (namespace.to_owned(), labels(text));
    let check = |source: &(String, Labels), destination: End<'_>| {
        let source = End::Labels { namespace: &source.0, labels: &source.1 };
        index.check_flow(&FlowRequest { source, destination, protocol: Protocol::Tcp, port: 80 }).unwrap()
    };
    let pod_end = |namespace: &'static str, name: &'static str| End::Pod { namespace, name, ip: None };
    assert!(check(&of("n", "app=new"), pod_end("n", "server")).allowed());
    assert!(!check(&of("n", "app=old"), pod_end("n", "server")).allowed());
    assert!(!check(&of("elsewhere", "app=new"), pod_end("n", "server")).allowed());
    assert!(check(&of("n", "app=new"), pod_end("m", "server")).allowed());
    assert!(!check(&of("elsewhere", "app=new"), pod_end("m", "server")).allowed());
    assert!(
        check(&of("x", ""), pod_end("m", "byname")).allowed(),
        "a namespace nobody speaks of has its name"
    );
    assert!(!check(&of("y", ""), pod_end("m", "byname")).allowed());
    let closed = check(&of("n", "app=closed"), pod_end("n", "server"));
    assert_eq!((isolating(&closed.egress), closed.egress.reason), (vec!["closed"], LegReason::NoRule));

    let new = labels("app=closed");
    let to_new = End::Labels { namespace: "n", labels: &new };
    assert_eq!(check(&of("n", ""), to_new.clone()).ingress.allowed_by(), Some((0, 0)));
    let from_host = FlowRequest { destination: to_new, ..request("10.9.9.9", "n/server", 80) };
    assert!(!index.check_flow(&from_host).unwrap().allowed());
    assert_eq!(index.trace_flow(&from_host).unwrap().1.len(), 1);

    let blocks = labels("app=blocks");
    let blocks = End::Labels { namespace: "n", labels: &blocks };
    assert!(check(&of("n", ""), blocks).unknown_address);
    assert!(ask(&index, "n/named", "n/server", 80).egress.allowed);
    let nameless = End::Labels { namespace: "n", labels: &new };
    assert!(
        !index
            .check_flow(&FlowRequest { destination: nameless, ..request("n/named", "n/server", 80) })
            .unwrap()
            .egress
            .allowed
    );
}

#[test]
fn ends_that_do_not_exist() {
    let index = index([pod("n/a", "", &[]).into()]);
    for (source, destination, expected) in [
        ("n/b", "n/a", "source.pod: Pod \"n/b\" does not exist"),
        (
            "n/a",
            "m/b",
            "destination.pod: Pod \"m/b\" does not exist, nor does anything else in namespace \"m\"",
        ),
        ("n/Deployment/a", "n/a", "source.workload: Deployment \"n/a\" does not exist"),
        (
            "n/a",
            "n/deployment/a",
            "destination.workload: deployment \"n/a\" does not exist, nor is \"deployment\" the kind of any owner of \
             that name: kinds are written as in manifests, Deployment, StatefulSet, DaemonSet, ReplicaSet, \
             ReplicationController, Job, CronJob, Pod",
        ),
    ] {
        assert_eq!(refusal(&index, source, destination).to_string(), expected);
    }
    let error = index.check_flow(&request("n/a", "n/a", 0)).unwrap_err();
    assert_eq!(error.to_string(), "port: must be between 1 and 65535");
}

#[test]
fn removing_what_is_not_there_does_nothing() {
    let mut index = index([pod("n/a", "", &["10.0.0.1"]).into()].into_iter().chain(closed()));
    for kind in Kind::ALL {
        for name in ["n/none", "none/none", "none"] {
            index.apply(&Change::Remove(key(kind, name)));
        }
    }
    assert_eq!(reasons(&index, "n/a", "10.0.0.9"), (LegReason::NoRule, LegReason::NotAPod));
}
