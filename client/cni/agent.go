package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Most bytes of an answer that are read: one that tells of a pod is short.
const maxAnswer = 1 << 20

// agent is gavel-node, asked over HTTP by a unix socket.
type agent struct {
	socket string
	http   http.Client
}

func newAgent(socket string) *agent {
	var dialer net.Dialer
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "unix", socket)
	}
	return &agent{socket: socket, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// hold is a pod whose traffic is held.
type hold struct {
	Namespace string   `json:"namespace"`
	Pod       string   `json:"pod"`
	UID       string   `json:"uid"`
	Addresses []string `json:"addresses"`
}

// attachment is a pod's interface, as CNI knows it.
type attachment struct {
	ContainerID string `json:"containerID"`
	IfName      string `json:"ifname"`
}

func (a attachment) path() string {
	return "/v1/holds/" + url.PathEscape(a.ContainerID) + "/" + url.PathEscape(a.IfName)
}

// unreachable is that the agent has not answered: it is not there, or hangs.
type unreachable struct {
	socket string
	why    error
}

func (e *unreachable) Error() string {
	return fmt.Sprintf("gavel-node does not answer at %s: is it running, with --cni-socket %s? %v", e.socket, e.socket, e.why)
}

// refused is that the agent has answered, and not done it.
type refused struct {
	status int
	why    string
}

func (e *refused) Error() string {
	return fmt.Sprintf("gavel-node says: %s (HTTP status %d)", e.why, e.status)
}

// Asks; what is answered goes to answer, unless that is nil.
func (a *agent) ask(ctx context.Context, method, path string, question, answer any) error {
	var body io.Reader
	if question != nil {
		text, err := json.Marshal(question)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://gavel-node"+path, body)
	if err != nil {
		return err
	}
	if question != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := a.http.Do(request)
	if err != nil {
		return &unreachable{a.socket, err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return &unreachable{a.socket, err}
	}
	if response.StatusCode >= 300 {
		var said struct {
			Error string `json:"error"`
		}
		if json.Unmarshal(text, &said) != nil || said.Error == "" {
			said.Error = strings.TrimSpace(string(text))
		}
		return &refused{response.StatusCode, said.Error}
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return &refused{response.StatusCode, fmt.Sprintf("something that cannot be read: %q", text)}
	}
	return nil
}

// Has a pod's traffic held, and returns once it is.
func (a *agent) hold(ctx context.Context, of attachment, what hold) error {
	var done struct {
		Known *bool `json:"known"`
	}
	if err := a.ask(ctx, http.MethodPut, of.path(), what, &done); err != nil {
		return err
	}
	if done.Known == nil {
		return &refused{http.StatusOK, "nothing of whether the pod is known"}
	}
	return nil
}

// What the agent was told of an attachment.
func (a *agent) get(ctx context.Context, of attachment) (*hold, error) {
	var got hold
	if err := a.ask(ctx, http.MethodGet, of.path(), nil, &got); err != nil {
		return nil, err
	}
	return &got, nil
}

// Tells that an attachment is gone.
func (a *agent) release(ctx context.Context, of attachment) error {
	return a.ask(ctx, http.MethodDelete, of.path(), nil, nil)
}

// Tells which attachments there still are.
func (a *agent) keepOnly(ctx context.Context, valid []attachment) error {
	return a.ask(ctx, http.MethodPost, "/v1/holds/gc", map[string]any{"valid": valid}, nil)
}

// Whether the agent can hold pods.
func (a *agent) ready(ctx context.Context) error {
	return a.ask(ctx, http.MethodGet, "/readyz", nil, nil)
}
