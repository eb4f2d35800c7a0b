// Command kubernetes-1.24 asks the PodSecurityPolicy admission plugin of Kubernetes 1.24, with its RBAC authorizer,
// whether pods may be created: both phases, as its API server did, without that API server.
//
// It reads policies, RBAC objects and requests from the file it is given, and prints all answers as a line of JSON. For
// every line it then reads, "decoded MILLISECONDS" or "json MILLISECONDS", it answers again and again for about so long,
// and prints how many it answered and how much CPU time that took, garbage collection included. "decoded" begins with
// pods of the plugin's own type; their copies, which the plugin writes its defaults into, are made beforehand and do
// not count. "json" begins with bytes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	goruntime "runtime"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1beta1 "k8s.io/api/policy/v1beta1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authentication/user"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/tools/cache"

	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/rbac/install"
	"k8s.io/kubernetes/pkg/capabilities"
	pspplugin "k8s.io/kubernetes/plugin/pkg/admission/security/podsecuritypolicy"
	"k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"
)

type request struct {
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	User      string          `json:"user"`
	Groups    []string        `json:"groups"`
	Object    json.RawMessage `json:"object"`
}

type question struct {
	Objects  []json.RawMessage `json:"objects"`
	Requests []request         `json:"requests"`
}

// chain is the plugin, once for each of its phases.
type chain struct {
	plugin interface {
		admission.MutationInterface
		admission.ValidationInterface
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kubernetes-1.24:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: %s FILE", os.Args[0])
	}
	capabilities.Setup(true, 0) // kube-apiserver --allow-privileged
	raw, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var asked question
	if err := json.Unmarshal(raw, &asked); err != nil {
		return err
	}
	admit, err := newChain(asked.Objects)
	if err != nil {
		return err
	}
	pods := make([]*core.Pod, len(asked.Requests))
	answers := make([]bool, len(asked.Requests))
	for i := range asked.Requests {
		if pods[i], err = decode(asked.Requests[i].Object); err != nil {
			return err
		}
		answers[i] = admit.allows(&asked.Requests[i], pods[i].DeepCopy())
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(map[string]any{"answers": answers}); err != nil {
		return err
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var how string
		var millis int
		if _, err := fmt.Sscan(strings.TrimSpace(lines.Text()), &how, &millis); err != nil {
			return err
		}
		decisions, spent := 0, int64(0)
		for until := time.Now().Add(time.Duration(millis) * time.Millisecond); decisions == 0 || time.Now().Before(until); {
			copies := make([]*core.Pod, len(pods))
			if how == "decoded" {
				for i, pod := range pods {
					copies[i] = pod.DeepCopy()
				}
				goruntime.GC()
			}
			before := cpu()
			for i := range pods {
				pod := copies[i]
				if pod == nil {
					if pod, err = decode(asked.Requests[i].Object); err != nil {
						return err
					}
				}
				if admit.allows(&asked.Requests[i], pod) != answers[i] {
					return fmt.Errorf("request %d: another answer than before", i)
				}
			}
			spent += cpu() - before
			decisions += len(pods)
		}
		if err := out.Encode(map[string]any{"decisions": decisions, "cpuNanos": spent}); err != nil {
			return err
		}
	}
	return lines.Err()
}

// decode reads, defaults and converts a pod as the API server does before it asks its plugins.
func decode(object []byte) (*core.Pod, error) {
	pod := &corev1.Pod{}
	if err := runtime.DecodeInto(legacyscheme.Codecs.UniversalDeserializer(), object, pod); err != nil {
		return nil, err
	}
	legacyscheme.Scheme.Default(pod)
	internal := &core.Pod{}
	return internal, legacyscheme.Scheme.Convert(pod, internal, nil)
}

// allows asks the plugin to set defaults, and then whether the result may be.
func (c *chain) allows(r *request, pod *core.Pod) bool {
	who := &user.DefaultInfo{Name: r.User, Groups: r.Groups}
	kind, resource := corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithResource("pods")
	attributes := admission.NewAttributesRecord(pod, nil, kind, r.Namespace, r.Name, resource, "", admission.Create,
		nil, false, who)
	ctx := context.Background()
	return c.plugin.Admit(ctx, attributes, nil) == nil && c.plugin.Validate(ctx, attributes, nil) == nil
}

func newChain(objects []json.RawMessage) (*chain, error) {
	factory := informers.NewSharedInformerFactory(nil, 0)
	policies := factory.Policy().V1beta1().PodSecurityPolicies().Informer().GetStore()
	byNamespace := func() cache.Indexer {
		return cache.NewIndexer(cache.MetaNamespaceKeyFunc,
			cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	}
	roles, clusterRoles, roleBindings, clusterRoleBindings := byNamespace(), byNamespace(), byNamespace(), byNamespace()
	for i, document := range objects {
		object, _, err := legacyscheme.Codecs.UniversalDeserializer().Decode(document, nil, nil)
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", i, err)
		}
		legacyscheme.Scheme.Default(object)
		var store cache.Store
		switch object.(type) {
		case *policyv1beta1.PodSecurityPolicy:
			store = policies
		case *rbacv1.Role:
			store = roles
		case *rbacv1.ClusterRole:
			store = clusterRoles
		case *rbacv1.RoleBinding:
			store = roleBindings
		case *rbacv1.ClusterRoleBinding:
			store = clusterRoleBindings
		default:
			return nil, fmt.Errorf("object %d: unexpected %T", i, object)
		}
		if err := store.Add(object); err != nil {
			return nil, err
		}
	}
	authorizer := rbac.New(
		&rbac.RoleGetter{Lister: rbaclisters.NewRoleLister(roles)},
		&rbac.RoleBindingLister{Lister: rbaclisters.NewRoleBindingLister(roleBindings)},
		&rbac.ClusterRoleGetter{Lister: rbaclisters.NewClusterRoleLister(clusterRoles)},
		&rbac.ClusterRoleBindingLister{Lister: rbaclisters.NewClusterRoleBindingLister(clusterRoleBindings)},
	)
	plugins := admission.NewPlugins()
	pspplugin.Register(plugins)
	init := initializer.New(nil, factory, authorizer, utilfeature.DefaultFeatureGate)
	plugin, err := plugins.InitPlugin(pspplugin.PluginName, nil, init)
	if err != nil {
		return nil, err
	}
	both, ok := plugin.(interface {
		admission.MutationInterface
		admission.ValidationInterface
	})
	if !ok {
		return nil, fmt.Errorf("the plugin has not both phases: %T", plugin)
	}
	return &chain{plugin: both}, nil
}

// cpu is the CPU time of this process, all threads included, in nanoseconds.
func cpu() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}
