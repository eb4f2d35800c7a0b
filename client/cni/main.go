// Gavel-cni is the last plugin of a CNI chain: it has a new pod's traffic held back until the policy server knows the pod, so
// that no pod starts unprotected.
//
// ADD tells the node's agent, gavel-node, the pod's addresses, and returns once it holds them. It does not wait for the server
// to know the pod: the kubelet publishes a pod's addresses only after ADD.
package main

import (
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

const about = "gavel-cni: has gavel-node hold a new pod's traffic back until policies are known to it"

func main() {
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: del, Check: check, GC: gc, Status: status}, version.All, about)
}
