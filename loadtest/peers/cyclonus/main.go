// Command cyclonus asks the matcher of cyclonus, a simulator of NetworkPolicy, whether flows are allowed.
//
// It is asked for a cluster's policies and flows, ends of which are resolved already; [asked] tells how. To answer
// again, it always begins with flows that are decoded.
package main

import (
	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"loadtest.gavel.dev/asked"
)

type end struct {
	IP              string            `json:"ip"`
	Namespace       string            `json:"namespace"`
	Labels          map[string]string `json:"labels"`
	NamespaceLabels map[string]string `json:"namespaceLabels"`
}

type flow struct {
	Source      end    `json:"source"`
	Destination end    `json:"destination"`
	Port        int    `json:"port"`
	PortName    string `json:"portName"`
	Protocol    string `json:"protocol"`
}

type questions struct {
	Policies []*networkingv1.NetworkPolicy `json:"policies"`
	Flows    []flow                        `json:"flows"`
}

func main() {
	asked.Main(answer)
}

func answer(questions *questions) (*asked.Answered, error) {
	for _, policy := range questions.Policies {
		setDefaults(policy)
	}
	policies := matcher.BuildNetworkPolicies(true, questions.Policies)
	traffic := make([]*matcher.Traffic, len(questions.Flows))
	answers := make([]bool, len(questions.Flows))
	for i, f := range questions.Flows {
		traffic[i] = &matcher.Traffic{
			Source: f.Source.peer(), Destination: f.Destination.peer(),
			ResolvedPort: f.Port, ResolvedPortName: f.PortName, Protocol: corev1.Protocol(f.Protocol),
		}
		answers[i] = policies.IsTrafficAllowed(traffic[i]).IsAllowed()
	}
	again := func(_ string, number int) (bool, error) {
		return policies.IsTrafficAllowed(traffic[number]).IsAllowed(), nil
	}
	return &asked.Answered{Answers: answers, Again: again, AtOnce: 50}, nil
}

func (e end) peer() *matcher.TrafficPeer {
	peer := &matcher.TrafficPeer{IP: e.IP}
	if e.Namespace != "" {
		peer.Internal = &matcher.InternalPeer{
			PodLabels: e.Labels, NamespaceLabels: e.NamespaceLabels, Namespace: e.Namespace,
		}
	}
	return peer
}

// setDefaults does what an API server does: https://github.com/kubernetes/kubernetes/blob/v1.30.2/pkg/apis/networking/v1/defaults.go
func setDefaults(policy *networkingv1.NetworkPolicy) {
	spec := &policy.Spec
	if len(spec.PolicyTypes) == 0 {
		spec.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}
		if len(spec.Egress) > 0 {
			spec.PolicyTypes = append(spec.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}
	tcp := func(ports []networkingv1.NetworkPolicyPort) {
		for i := range ports {
			if ports[i].Protocol == nil {
				protocol := corev1.ProtocolTCP
				ports[i].Protocol = &protocol
			}
		}
	}
	for i := range spec.Ingress {
		tcp(spec.Ingress[i].Ports)
	}
	for i := range spec.Egress {
		tcp(spec.Egress[i].Ports)
	}
}
