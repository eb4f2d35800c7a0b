package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
)

// That the agent does not have the pod as it should. Codes from 100 on are a plugin's own (SPEC.md, "Error").
const errNotHeld uint = 100

// The time of one command.
func (c *config) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), c.timeout())
}

func of(args *skel.CmdArgs) attachment {
	return attachment{ContainerID: args.ContainerID, IfName: args.IfName}
}

// add has the agent hold the pod's addresses, and passes the result on as it came.
func add(args *skel.CmdArgs) error {
	c, err := readConfig(args.StdinData)
	if err != nil {
		return err
	}
	pod, err := readPod(args.Args)
	if err != nil {
		return err
	}
	addresses, err := c.addresses(args.Netns)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	what := hold{
		Namespace: string(pod.K8S_POD_NAMESPACE),
		Pod:       string(pod.K8S_POD_NAME),
		UID:       string(pod.K8S_POD_UID),
		Addresses: addresses,
	}
	if err := newAgent(c.Socket).hold(ctx, of(args), what); err != nil {
		if c.OnUnavailable == "deny" {
			// The runtime tries again, as it does with all that a sandbox lacks.
			return types.NewError(types.ErrTryAgainLater, "gavel-cni: the pod's traffic cannot be held back", err.Error())
		}
		tell("%s/%s starts without being held back: %v", what.Namespace, what.Pod, err)
	}
	return types.PrintResult(c.PrevResult, c.CNIVersion)
}

// del tells the agent that the pod is gone. It succeeds without the agent, too: a pod must be removable while it is away, and
// what the agent still has of it goes with the next GC, or when the address has its next pod.
func del(args *skel.CmdArgs) error {
	c, err := readConfig(args.StdinData)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	err = newAgent(c.Socket).release(ctx, of(args))
	var away *unreachable
	switch {
	case errors.As(err, &away):
		tell("%s/%s is removed without the agent: %v", args.ContainerID, args.IfName, err)
		return nil
	case err != nil:
		return types.NewError(types.ErrTryAgainLater, "gavel-cni: the pod cannot be released", err.Error())
	default:
		return nil
	}
}

// check asks whether the agent has the pod as the result says.
func check(args *skel.CmdArgs) error {
	c, err := readConfig(args.StdinData)
	if err != nil {
		return err
	}
	addresses, err := c.addresses(args.Netns)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	got, err := newAgent(c.Socket).get(ctx, of(args))
	var no *refused
	switch {
	case errors.As(err, &no) && no.status == http.StatusNotFound:
		return types.NewError(errNotHeld, "gavel-cni: the agent has not been told of this pod: it may have started unprotected", err.Error())
	case err != nil:
		return types.NewError(types.ErrTryAgainLater, "gavel-cni: the agent cannot be asked", err.Error())
	}
	slices.Sort(addresses)
	slices.Sort(got.Addresses)
	if !slices.Equal(addresses, got.Addresses) {
		return types.NewError(errNotHeld, fmt.Sprintf("gavel-cni: the agent has the pod with %v, it is with %v", got.Addresses, addresses), "")
	}
	return nil
}

// gc tells the agent which attachments there still are.
func gc(args *skel.CmdArgs) error {
	c, err := readConfig(args.StdinData)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	// An empty list, and not none: there may be no attachment any more.
	valid := []attachment{}
	for _, one := range c.ValidAttachments {
		valid = append(valid, attachment{ContainerID: one.ContainerID, IfName: one.IfName})
	}
	if err := newAgent(c.Socket).keepOnly(ctx, valid); err != nil {
		return types.NewError(types.ErrTryAgainLater, "gavel-cni: the agent cannot be told which pods are gone", err.Error())
	}
	return nil
}

// status asks whether the agent can hold pods.
func status(args *skel.CmdArgs) error {
	c, err := readConfig(args.StdinData)
	if err != nil {
		return err
	}
	ctx, cancel := c.context()
	defer cancel()
	if err := newAgent(c.Socket).ready(ctx); err != nil {
		return types.NewError(types.ErrPluginNotAvailable, "gavel-cni: the agent cannot hold pods", err.Error())
	}
	return nil
}

// Standard error goes to the runtime's log.
func tell(what string, of ...any) {
	fmt.Fprintf(os.Stderr, "gavel-cni: "+what+"\n", of...)
}
