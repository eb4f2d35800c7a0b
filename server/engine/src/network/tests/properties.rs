//! Whatever order changes come in, answers are those of an index built at once, and of the slow evaluator.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use proptest::prelude::*;

use super::slow::{Slow, SlowLeg};
use super::{
    Change, ContainerPort, End, FlowRequest, Index, IpBlock, Kind, LabelSelector, Labels, Leg, LegReason,
    NetworkPolicy, NodePod, NodeVersion, Object, ObjectKey, ObjectMeta, Operator, Peer, Pod, PolicyPort,
    PortMatch, Protocol, Requirement, Rule, address, index,
};

const NAMESPACES: [&str; 3] = ["a", "b", "c"];
const PODS: [&str; 4] = ["p", "q", "r", "s"];
/// The first: none.
const NODES: [&str; 3] = ["", "x", "y"];
const KEYS: [&str; 2] = ["app", "kubernetes.io/metadata.name"];
const VALUES: [&str; 2] = ["a", "b"];
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2", "fd00::1", "192.168.0.1"];
const BLOCKS: [&str; 6] = ["0.0.0.0/0", "10.0.0.0/24", "10.0.0.0/15", "10.0.1.2/32", "10.0.0.0/31", "::/0"];

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn some_labels() -> impl Strategy<Value = Labels> {
    prop::collection::btree_map(one_of(&KEYS), one_of(&VALUES), 0..3)
}

fn selector() -> impl Strategy<Value = LabelSelector> {
    let operator =
        prop::sample::select(vec![Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist]);
    let requirement = (one_of(&KEYS), operator, prop::collection::vec(one_of(&VALUES), 1..3)).prop_map(
        |(key, operator, values)| {
            let lists = matches!(operator, Operator::In | Operator::NotIn);
            Requirement { key, operator, values: if lists { values } else { Vec::new() } }
        },
    );
    let labels = prop::collection::btree_map(one_of(&KEYS), one_of(&VALUES), 0..2);
    (labels, prop::collection::vec(requirement, 0..=1))
        .prop_map(|(match_labels, match_expressions)| LabelSelector { match_labels, match_expressions })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop::sample::select(vec![Protocol::Tcp, Protocol::Tcp, Protocol::Udp])
}

fn peer() -> impl Strategy<Value = Peer> {
    let cidr = || one_of(&BLOCKS).prop_map(|cidr| cidr.parse().unwrap());
    prop_oneof![
        3 => (prop::option::of(selector()), prop::option::of(selector())).prop_map(|(namespace_selector, pod_selector)| {
            Peer::Pods { namespace_selector, pod_selector }
        }),
        1 => (cidr(), prop::collection::vec(cidr(), 0..2))
            .prop_map(|(cidr, except)| Peer::IpBlock(IpBlock { cidr, except })),
    ]
}

fn port() -> impl Strategy<Value = PolicyPort> {
    let port = prop_oneof![
        Just(PortMatch::All),
        (1u16..4, 0u16..2).prop_map(|(first, more)| PortMatch::Range(first, first + more)),
        one_of(&["http", "dns"]).prop_map(PortMatch::Name),
    ];
    (protocol(), port).prop_map(|(protocol, port)| PolicyPort { protocol, port })
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let ports = prop_oneof![2 => Just(Vec::new()), 1 => prop::collection::vec(port(), 1..3)];
    let rule = (prop::collection::vec(peer(), 0..3), ports);
    prop::collection::vec(rule.prop_map(|(peers, ports)| Rule { peers, ports }), 0..3)
}

fn object() -> impl Strategy<Value = Object> {
    let namespace = || one_of(&NAMESPACES);
    let named_port = (one_of(&["http", "dns"]), protocol(), 1u16..4)
        .prop_map(|(name, protocol, port)| ContainerPort { name, protocol, port });
    let pod = (
        (namespace(), one_of(&PODS), one_of(&NODES), some_labels()),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        prop::collection::vec(named_port, 0..3),
        prop::option::weighted(0.9, one_of(&ADDRESSES)),
    );
    let pod = pod.prop_map(|((namespace, name, node, labels), host_network, terminated, ports, ip)| Pod {
        namespace,
        name,
        node,
        labels,
        host_network,
        terminated,
        ports,
        addresses: ip.iter().map(|ip| address(ip)).collect(),
        ..Pod::default()
    });
    let policy = ((namespace(), one_of(&PODS), selector()), any::<bool>(), any::<bool>(), rules(), rules());
    let policy = policy.prop_map(
        |((namespace, name, pod_selector), isolates_ingress, isolates_egress, ingress, egress)| {
            NetworkPolicy {
                namespace,
                name,
                pod_selector,
                isolates_ingress,
                isolates_egress,
                ingress,
                egress,
            }
        },
    );
    prop_oneof![
        2 => (namespace(), some_labels()).prop_map(|(name, labels)| {
            Object::Namespace(ObjectMeta { name, labels, ..ObjectMeta::default() })
        }),
        3 => pod.prop_map(Object::Pod),
        3 => policy.prop_map(Object::NetworkPolicy),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let name = prop_oneof![one_of(&PODS), one_of(&NAMESPACES)];
    let kind = prop::sample::select(vec![Kind::Namespace, Kind::Pod, Kind::NetworkPolicy]);
    prop_oneof![
        3 => object().prop_map(Change::Upsert),
        1 => (kind, one_of(&NAMESPACES), name).prop_map(|(kind, namespace, name)| {
            let namespace = if kind == Kind::Namespace { "" } else { &*namespace };
            Change::Remove(ObjectKey { kind, namespace: namespace.into(), name: name.as_str().into() })
        }),
    ]
}

fn assert_same(leg: &Leg<'_>, slow: &SlowLeg, request: &FlowRequest<'_>) {
    let isolating: Vec<_> = leg.isolating().iter().map(|policy| policy.name.to_string()).collect();
    let leg = SlowLeg { allowed: leg.allowed, isolating, allowed_by: leg.allowed_by() };
    assert_eq!(&leg, slow, "{request:?}");
}

/// All ends there may be, against each other.
fn assert_agree(index: &Index, slow: &Slow, unborn: &Labels) {
    let pods = NAMESPACES
        .iter()
        .flat_map(|namespace| PODS.iter().map(|name| End::Pod { namespace, name, ip: None }));
    let addresses = ADDRESSES.iter().map(|ip| End::Ip(address(ip)));
    let unborn =
        [End::Labels { namespace: "a", labels: unborn }, End::Labels { namespace: "d", labels: unborn }];
    let ends: Vec<_> = pods.chain(addresses).chain(unborn).collect();
    for (place, source) in ends.iter().enumerate() {
        for destination in &ends {
            let port = place as u16 % 4 + 1;
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let request =
                    FlowRequest { source: source.clone(), destination: destination.clone(), protocol, port };
                match (index.check_flow(&request), slow.check(&request)) {
                    (Ok(decision), Some([egress, ingress])) => {
                        assert_same(&decision.egress, &egress, &request);
                        assert_same(&decision.ingress, &ingress, &request);
                        assert_trace(index, &request);
                    }
                    // Two pods without an address family in common: the slow evaluator does not look at that.
                    (Err(error), Some(_)) => assert_eq!(error.end, "destination", "{request:?}: {error}"),
                    (Err(error), None) => assert!(error.end.ends_with(".pod"), "{request:?}: {error}"),
                    (Ok(_), None) => panic!("{request:?} was answered"),
                }
            }
        }
    }
}

/// Flows that are answered with the same identities, or else the same ends, are answered alike.
fn assert_identities_hold(index: &Index) {
    let mut answers = HashMap::new();
    let pairs =
        ADDRESSES.iter().flat_map(|source| ADDRESSES.iter().map(move |destination| (*source, *destination)));
    for (source, destination) in pairs {
        let services = [Protocol::Tcp, Protocol::Udp]
            .into_iter()
            .flat_map(|protocol| (1..5).map(move |port| (protocol, port)));
        for (protocol, port) in services {
            let ends = [source, destination].map(|ip| End::Ip(address(ip)));
            let [from, to] = ends;
            let decision = index.check_flow(&FlowRequest { source: from, destination: to, protocol, port });
            let decision = decision.unwrap();
            let (of_source, of_destination) = decision.identities();
            let key = |identity: Option<u32>, ip| identity.ok_or(ip);
            let key = (key(of_source, source), key(of_destination, destination), protocol, port);
            let allowed = decision.allowed();
            if decision.egress.reason != LegReason::SelfTraffic {
                let known = *answers.entry(key).or_insert(allowed);
                assert_eq!(known, allowed, "{source} to {destination}, {protocol} {port}");
            }
        }
    }
}

/// Namespaces, names and addresses of a node's pods, and what isolates these.
type PodsOf = BTreeSet<(String, String, Vec<IpAddr>, bool, bool)>;

fn pods_on(index: &Index, node: &str) -> PodsOf {
    let pods = index.pods_on(node).map(|pod| {
        let NodePod { namespace, name, uid: _, addresses, ingress_isolated, egress_isolated } = pod;
        (namespace.to_owned(), name.to_owned(), addresses.to_vec(), ingress_isolated, egress_isolated)
    });
    pods.collect()
}

/// A change of a pod that leaves a node's version leaves its pods.
fn assert_versions(index: &Index, change: &Change, before: &[(NodeVersion, PodsOf)]) {
    let of_a_pod = match change {
        Change::Upsert(object) => matches!(object, Object::Pod(_)),
        Change::Remove(key) => key.kind == Kind::Pod,
    };
    for (node, (version, pods)) in NODES.iter().zip(before) {
        if of_a_pod && index.node_version(node) == *version {
            assert_eq!(&pods_on(index, node), pods, "{node}, {change:?}");
        }
    }
}

/// Nodes have the pods that are bound to them, as far as policies can hold these, and it is known which are held.
fn assert_nodes(index: &Index, slow: &Slow) {
    let mut all = BTreeSet::new();
    for node in NODES {
        let expected: BTreeSet<_> = slow
            .objects()
            .filter_map(|object| if let Object::Pod(pod) = object { Some(pod) } else { None })
            .filter(|pod| !pod.host_network && !pod.terminated && !pod.addresses.is_empty())
            .filter(|pod| pod.node == node)
            .map(|pod| (pod.namespace.clone(), pod.name.clone(), pod.addresses.clone()))
            .collect();
        let named =
            |pod: NodePod<'_>| (pod.namespace.to_owned(), pod.name.to_owned(), pod.addresses.to_vec());
        if !node.is_empty() {
            assert_eq!(index.pods_on(node).map(named).collect::<BTreeSet<_>>(), expected, "{node}");
        }
        all.extend(expected);
        for pod in index.pods_on(node) {
            let own = || End::Pod { namespace: pod.namespace, name: pod.name, ip: None };
            let outside = || {
                End::Ip(if pod.addresses[0].is_ipv4() { "192.0.2.9" } else { "2001:db8::9" }.parse().unwrap())
            };
            let ask = |source, destination| {
                index
                    .check_flow(&FlowRequest { source, destination, protocol: Protocol::Tcp, port: 1 })
                    .unwrap()
            };
            let isolated = (ask(outside(), own()).ingress.isolated, ask(own(), outside()).egress.isolated);
            assert_eq!((pod.ingress_isolated, pod.egress_isolated), isolated, "{pod:?}");
        }
    }
    let anywhere = index.pods_anywhere();
    let anywhere =
        anywhere.map(|pod| (pod.namespace.to_owned(), pod.name.to_owned(), pod.addresses.to_vec()));
    assert_eq!(anywhere.collect::<BTreeSet<_>>(), all);
}

/// The first rule of the trace that matches is the rule that allowed it.
fn assert_trace(index: &Index, request: &FlowRequest<'_>) {
    let decision = index.check_flow(request).unwrap();
    let (egress, ingress) = index.trace_flow(request).unwrap();
    for (leg, trace) in [(decision.egress, egress), (decision.ingress, ingress)] {
        let first = trace.iter().find(|trace| trace.peer_matched && trace.port_matched);
        assert_eq!(leg.allowed_by(), first.map(|trace| (trace.policy, trace.rule)), "{request:?}");
    }
}

/// Nothing but what is empty at the start may be left.
fn assert_nothing_left(index: &Index) {
    assert_eq!(index.identities.iter().count(), 0);
    assert_eq!(index.namespaces.iter().count(), 0);
    assert_eq!(index.namespace_selectors.iter().count(), 0);
    assert_eq!(index.pod_selectors.iter().count(), 0);
    assert_eq!(index.pods.iter().count(), 0);
    assert_eq!(index.workloads.iter().count(), 0);
    assert_eq!(index.nodes.iter().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_changes_gives_the_answers_of_the_slow_evaluator(
        changes in prop::collection::vec(change(), 1..80),
        unborn in some_labels(),
        half in 0usize..80,
    ) {
        let (mut grown, mut slow) = (Index::default(), Slow::default());
        let mut before = None;
        for (step, change) in changes.iter().enumerate() {
            if step == half {
                before = Some((grown.clone(), slow.clone()));
            }
            let before_it = NODES.map(|node| (grown.node_version(node), pods_on(&grown, node)));
            grown.apply(change);
            slow.apply(change);
            assert_versions(&grown, change, &before_it);
        }
        assert_agree(&grown, &slow, &unborn);
        assert_identities_hold(&grown);
        assert_nodes(&grown, &slow);
        assert_agree(&index(slow.objects().cloned()), &slow, &unborn);
        if let Some((grown, slow)) = before {
            assert_agree(&grown, &slow, &unborn);
        }
        for object in slow.objects() {
            grown.apply(&Change::Remove(object.key()));
        }
        assert_nothing_left(&grown);
    }
}
