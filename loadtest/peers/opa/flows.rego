# NetworkPolicy, for data that was compiled beforehand: which policies isolate a pod, and of what selectors consist, is
# looked up and not searched for.
#
#   data.pods[address]     namespace, labels, ports[name][protocol], and the names of the policies that isolate it, by
#                          direction
#   data.namespaces[name]  labels
#   data.policies[name]    namespace, and rules by direction
#
# A question has the addresses of its ends, a protocol and a port.
package flows

# POST /v1/data/flows/allow
default allow := false

allow if allowed(input)

# POST /v1/data/flows/many
many := [answer | some flow in input.flows; answer := allowed(flow)]

default allowed(_) := false

allowed(flow) if {
	leg_allows("egress", flow.source, flow.destination, flow)
	leg_allows("ingress", flow.destination, flow.source, flow)
}

# An address that is no pod's is held by nobody.
leg_allows(_, own, _, _) if not data.pods[own]

leg_allows(direction, own, _, _) if data.pods[own][direction] == []

leg_allows(direction, own, other, flow) if {
	some name in data.pods[own][direction]
	policy := data.policies[name]
	some rule in policy[direction]
	ports_match(rule, flow)
	peers_match(rule, policy.namespace, other)
}

ports_match(rule, _) if not rule.ports

ports_match(rule, flow) if {
	some port in rule.ports
	port.protocol == flow.protocol
	port_matches(port, flow)
}

port_matches(port, _) if not port.port

port_matches(port, flow) if {
	not port.endPort
	port.port == flow.port
}

port_matches(port, flow) if {
	flow.port >= port.port
	flow.port <= port.endPort
}

port_matches(port, flow) if {
	is_string(port.port)
	data.pods[flow.destination].ports[port.port][flow.protocol] == flow.port
}

peers_match(rule, _, _) if not rule.peers

peers_match(rule, _, other) if {
	some peer in rule.peers
	net.cidr_contains(peer.cidr, other)
	not is_excepted(peer, other)
}

peers_match(rule, namespace, other) if {
	pod := data.pods[other]
	some peer in rule.peers
	namespace_matches(peer, namespace, pod)
	selects(peer.pods, pod.labels)
}

is_excepted(peer, address) if {
	some cidr in peer.except
	net.cidr_contains(cidr, address)
}

namespace_matches(peer, namespace, pod) if {
	not peer.namespaces
	pod.namespace == namespace
}

namespace_matches(peer, _, pod) if selects(peer.namespaces, data.namespaces[pod.namespace])

selects(selector, labels) if {
	every key, value in selector.equal { labels[key] == value }
	every one in selector.one_of { one.values[labels[one.key]] }
	every one in selector.none_of { not one.values[labels[one.key]] }
	every key in selector.present { labels[key] }
	every key in selector.absent { not labels[key] }
}
