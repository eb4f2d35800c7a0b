// Command kubernetes-1.24 asks the PodSecurityPolicy admission plugin of Kubernetes 1.24, with its RBAC authorizer,
// whether pods may be created: both phases, as its API server did, without that API server.
//
// It is asked for policies, RBAC objects and requests; [asked] tells how. To answer again, "decoded" begins with pods of
// the plugin's own type; their copies, which the plugin writes its defaults into, are made beforehand and do not count.
// "json" begins with bytes.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	goruntime "runtime"

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

	"loadtest.gavel.dev/asked"
)

type request struct {
	Namespace string          `json:"namespace"`
	Name      string          `json:"name"`
	User      string          `json:"user"`
	Groups    []string        `json:"groups"`
	Object    json.RawMessage `json:"object"`
}

type questions struct {
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
	asked.Main(answer)
}

func answer(questions *questions) (*asked.Answered, error) {
	capabilities.Setup(true, 0) // kube-apiserver --allow-privileged
	admit, err := newChain(questions.Objects)
	if err != nil {
		return nil, err
	}
	requests := questions.Requests
	pods := make([]*core.Pod, len(requests))
	answers := make([]bool, len(requests))
	for i := range requests {
		if pods[i], err = decode(requests[i].Object); err != nil {
			return nil, err
		}
		answers[i] = admit.allows(&requests[i], pods[i].DeepCopy())
	}
	var copies []*core.Pod
	ready := func(how string) {
		if how == "decoded" {
			copies = make([]*core.Pod, len(pods))
			for i, pod := range pods {
				copies[i] = pod.DeepCopy()
			}
			goruntime.GC()
		}
	}
	again := func(how string, number int) (bool, error) {
		if how == "decoded" {
			return admit.allows(&requests[number], copies[number]), nil
		}
		pod, err := decode(requests[number].Object)
		return err == nil && admit.allows(&requests[number], pod), err
	}
	return &asked.Answered{Answers: answers, Again: again, AtOnce: len(answers), Ready: ready}, nil
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
