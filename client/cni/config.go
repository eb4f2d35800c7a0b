package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

const (
	defaultSocket  = "/run/gavel-node/node.sock"
	defaultTimeout = 10
	longestTimeout = 300
)

// config is the plugin's part of a network configuration.
type config struct {
	types.PluginConf
	// Where the agent listens.
	Socket string `json:"socket"`
	// How long a command may take.
	TimeoutSeconds int `json:"timeoutSeconds"`
	// What ADD does when the agent does not hold the pod: "deny" fails, "allow" goes on.
	OnUnavailable string `json:"onUnavailable"`
}

func (c *config) timeout() time.Duration { return time.Duration(c.TimeoutSeconds) * time.Second }

// The plugin's own settings.
var settings = []string{"socket", "timeoutSeconds", "onUnavailable"}

// What else stands in a configuration: SPEC.md, "Plugin configuration objects". Whatever begins with "cni.dev/" is the
// runtime's.
var others = []string{
	"cniVersion", "name", "type", "capabilities", "runtimeConfig", "args", "ipam", "dns", "ipMasq", "prevResult", "disableCheck",
	"disableGC", "loadOnlyInlinedPlugins",
}

// Reads a configuration; one that does not say what it is to is refused.
func readConfig(text []byte) (*config, error) {
	invalid := func(why string, of ...any) error {
		return types.NewError(types.ErrInvalidNetworkConfig, "gavel-cni: "+fmt.Sprintf(why, of...), "")
	}
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "gavel-cni: the configuration is no JSON object", err.Error())
	}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if !slices.Contains(settings, key) && !slices.Contains(others, key) && !strings.HasPrefix(key, "cni.dev/") {
			// With key and value, as SPEC.md wants it ("Error", code 2).
			why := fmt.Sprintf("gavel-cni: %q is no setting, with %s: there are %s", key, keys[key], strings.Join(settings, ", "))
			return nil, types.NewError(types.ErrUnsupportedField, why, "")
		}
	}
	c := &config{Socket: defaultSocket, TimeoutSeconds: defaultTimeout, OnUnavailable: "deny"}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, invalid("%v", err)
	}
	switch {
	case !strings.HasPrefix(c.Socket, "/"):
		return nil, invalid("socket must be a path from the root, not %q", c.Socket)
	case c.TimeoutSeconds < 1 || c.TimeoutSeconds > longestTimeout:
		return nil, invalid("timeoutSeconds must be 1 to %d, not %d", longestTimeout, c.TimeoutSeconds)
	case c.OnUnavailable != "deny" && c.OnUnavailable != "allow":
		return nil, invalid(`onUnavailable must be "deny" or "allow", not %q`, c.OnUnavailable)
	}
	if err := version.ParsePrevResult(&c.PluginConf); err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "gavel-cni: prevResult cannot be read", err.Error())
	}
	return c, nil
}

// The addresses that the plugins before this one gave the pod: those of interfaces in its sandbox, or that are of no interface.
func (c *config) addresses(sandbox string) ([]string, error) {
	invalid := func(why string) error {
		return types.NewError(types.ErrInvalidNetworkConfig, "gavel-cni: "+why, "")
	}
	if c.PrevResult == nil {
		return nil, invalid("there is no prevResult: put it behind the plugin that gives pods their addresses")
	}
	result, err := current.NewResultFromResult(c.PrevResult)
	if err != nil {
		return nil, types.NewError(types.ErrDecodingFailure, "gavel-cni: prevResult cannot be read", err.Error())
	}
	var addresses []string
	for _, ip := range result.IPs {
		if i := ip.Interface; i != nil {
			if *i < 0 || *i >= len(result.Interfaces) {
				return nil, invalid(fmt.Sprintf("prevResult has an address of interface %d, which it does not have", *i))
			}
			if of := result.Interfaces[*i].Sandbox; of == "" || (sandbox != "" && of != sandbox) {
				continue
			}
		}
		addresses = append(addresses, ip.Address.IP.String())
	}
	if len(addresses) == 0 {
		return nil, invalid("prevResult has no address of the pod")
	}
	return addresses, nil
}

// pod is whose attachment it is, as a Kubernetes runtime tells it in CNI_ARGS.
type pod struct {
	types.CommonArgs
	K8S_POD_NAMESPACE types.UnmarshallableString
	K8S_POD_NAME      types.UnmarshallableString
	K8S_POD_UID       types.UnmarshallableString
}

func readPod(args string) (*pod, error) {
	var p pod
	if err := types.LoadArgs(args, &p); err != nil {
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables, "gavel-cni: CNI_ARGS cannot be read", err.Error())
	}
	if p.K8S_POD_NAMESPACE == "" || p.K8S_POD_NAME == "" {
		return nil, types.NewError(types.ErrInvalidEnvironmentVariables,
			"gavel-cni: CNI_ARGS has no K8S_POD_NAMESPACE and K8S_POD_NAME: which pod is it?", "")
	}
	return &p, nil
}
