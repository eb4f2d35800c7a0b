// Command foreign reads manifests of kinds that the end-to-end tests' API server does not have (cert-manager's, the
// Prometheus operator's) from standard input, by the types of their own projects: a field that these do not know is an
// error, and so is a kind. It prints what it has read, one a line.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

func kind(of metav1.TypeMeta) any {
	switch of.APIVersion + " " + of.Kind {
	case "cert-manager.io/v1 Certificate":
		return &certmanager.Certificate{}
	case "cert-manager.io/v1 Issuer":
		return &certmanager.Issuer{}
	case "monitoring.coreos.com/v1 ServiceMonitor":
		return &monitoring.ServiceMonitor{}
	case "monitoring.coreos.com/v1 PrometheusRule":
		return &monitoring.PrometheusRule{}
	}
	return nil
}

func main() {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		if err == nil {
			err = check(document)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%v, in\n%s", err, document)
			os.Exit(1)
		}
	}
}

func check(document []byte) error {
	var of metav1.TypeMeta
	if err := yaml.Unmarshal(document, &of); err != nil {
		return err
	}
	object := kind(of)
	if object == nil {
		return fmt.Errorf("nothing is known of %s %s", of.APIVersion, of.Kind)
	}
	if err := yaml.UnmarshalStrict(document, object); err != nil {
		return err
	}
	fmt.Println(of.Kind)
	return nil
}
