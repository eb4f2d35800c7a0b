// Command kubernetes-1.24 is what the last Kubernetes with PodSecurityPolicy had of it: its kube-apiserver and
// kube-controller-manager, chosen by the name it is called with (or by its first argument). The end-to-end tests
// hold Gavel's answers against it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	name := filepath.Base(os.Args[0])
	if name == "kubernetes-1.24" && len(os.Args) > 1 {
		name, os.Args = os.Args[1], os.Args[1:]
	}
	switch name {
	case "kube-apiserver":
		endWithParent()
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		endWithParent()
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	default:
		fmt.Fprintf(os.Stderr, "unknown component %q: call it kube-apiserver or kube-controller-manager\n", name)
		os.Exit(2)
	}
}

// endWithParent ends this process once its standard input is closed, which happens when the test that started
// it ends, however it ends: nothing is left running.
func endWithParent() {
	if os.Getenv("E2E_END_WITH_STDIN") == "" {
		return
	}
	go func() {
		buffer := make([]byte, 1)
		for {
			if _, err := os.Stdin.Read(buffer); err != nil {
				os.Exit(0)
			}
		}
	}()
}
