// Command cyclonus asks the matcher of cyclonus, a simulator of NetworkPolicy, whether flows are allowed.
//
// It reads a cluster's policies and flows, ends of which are resolved already, from the file it is given, and prints
// all answers as a line of JSON. For every line it then reads it answers all of them once more, as often as fits into
// the number of milliseconds that the line tells, and prints how many it answered and how much CPU time that took,
// garbage collection included.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
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

type question struct {
	Policies []*networkingv1.NetworkPolicy `json:"policies"`
	Flows    []flow                        `json:"flows"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cyclonus:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s FILE", os.Args[0])
	}
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var asked question
	if err := json.Unmarshal(raw, &asked); err != nil {
		return err
	}
	for _, policy := range asked.Policies {
		setDefaults(policy)
	}
	policies := matcher.BuildNetworkPolicies(true, asked.Policies)
	traffic := make([]*matcher.Traffic, len(asked.Flows))
	answers := make([]bool, len(asked.Flows))
	for i, f := range asked.Flows {
		traffic[i] = &matcher.Traffic{
			Source: f.Source.peer(), Destination: f.Destination.peer(),
			ResolvedPort: f.Port, ResolvedPortName: f.PortName, Protocol: corev1.Protocol(f.Protocol),
		}
		answers[i] = policies.IsTrafficAllowed(traffic[i]).IsAllowed()
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"answers": answers}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		millis, err := strconv.Atoi(strings.TrimSpace(lines.Text()))
		if err != nil {
			return err
		}
		decisions, allowed := 0, 0
		before := cpu()
		for until := time.Now().Add(time.Duration(millis) * time.Millisecond); decisions == 0 || time.Now().Before(until); {
			for range 50 {
				if policies.IsTrafficAllowed(traffic[decisions%len(traffic)]).IsAllowed() {
					allowed++
				}
				decisions++
			}
		}
		spent := cpu() - before
		if err := out.Encode(map[string]any{"decisions": decisions, "allowed": allowed, "cpuNanos": spent}); err != nil {
			return err
		}
	}
	return lines.Err()
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

// cpu is the CPU time of this process, all threads included, in nanoseconds.
func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
