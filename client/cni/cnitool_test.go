package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A chain of ptp, which makes a link and has host-local give an address, and the plugin.
const chain = `{"cniVersion": "1.1.0", "name": "gavel-cni-test-%d", "plugins": [
	{"type": "ptp", "ipam": {"type": "host-local", "subnet": "10.98.0.0/24", "dataDir": "%s"}},
	{"type": "gavel-cni", "socket": "%s"}]}`

// Runs a program, and hands out what it said.
func program(t *testing.T, environment []string, name string, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	command := exec.CommandContext(ctx, name, arguments...)
	command.Env = append(os.Environ(), environment...)
	said, err := command.CombinedOutput()
	return string(said), err
}

// The whole of a pod's life in a chain, by libcni's own tool, on a real network namespace.
func TestCnitool(t *testing.T) {
	space := fmt.Sprintf("gavel-cni-%d", os.Getpid())
	if said, err := program(t, nil, "ip", "netns", "add", space); err != nil {
		t.Skipf("there can be no network namespace here: %v %s", err, said)
	}
	t.Cleanup(func() { _, _ = exec.Command("ip", "netns", "del", space).CombinedOutput() })
	for _, tool := range []string{
		"github.com/containernetworking/cni/cnitool",
		"github.com/containernetworking/plugins/plugins/main/ptp",
		"github.com/containernetworking/plugins/plugins/ipam/host-local",
	} {
		if said, err := program(t, nil, "go", "build", "-o", binaries+"/", tool); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
	}
	f := newFake(t)
	folder := t.TempDir()
	config := fmt.Sprintf(chain, os.Getpid(), filepath.Join(folder, "addresses"), f.socket)
	if err := os.WriteFile(filepath.Join(folder, "10-test.conflist"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := []string{"CNI_PATH=" + binaries, "NETCONFPATH=" + folder, "CNI_ARGS=" + podArgs}
	name := fmt.Sprintf("gavel-cni-test-%d", os.Getpid())
	tool := func(command string, arguments ...string) (string, error) {
		return program(t, environment, filepath.Join(binaries, "cnitool"), append([]string{command, name}, arguments...)...)
	}
	path := "/run/netns/" + space
	// The chain's links and files are gone afterwards, however this ends.
	t.Cleanup(func() {
		command := exec.Command(filepath.Join(binaries, "cnitool"), "del", name, path)
		command.Env = append(os.Environ(), environment...)
		_, _ = command.CombinedOutput()
	})
	must := func(said string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		return said
	}
	must(tool("status", path))
	if asked := f.taken(); len(asked) != 1 || asked[0] != "GET /readyz" {
		t.Errorf("%v", asked)
	}
	if said := must(tool("add", path)); !strings.Contains(said, "10.98.0.") {
		t.Errorf("%s", said)
	}
	held := func() int {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.holds)
	}
	if asked := f.taken(); held() != 1 || len(asked) != 1 || !strings.Contains(asked[0], `"addresses":["10.98.0.`) {
		t.Errorf("%v", asked)
	}
	must(tool("check", path))
	f.mu.Lock()
	kept := f.holds
	f.holds = map[string]hold{}
	f.mu.Unlock()
	if said, err := tool("check", path); err == nil || !strings.Contains(said, "may have started unprotected") {
		t.Errorf("%v: %s", err, said)
	}
	f.mu.Lock()
	f.holds = kept
	f.mu.Unlock()
	must(tool("gc", path))
	if asked := f.taken(); !strings.Contains(asked[len(asked)-1], "POST /v1/holds/gc") {
		t.Errorf("%v", asked)
	}
	must(tool("del", path))
	if held() != 0 {
		t.Error("it is still held")
	}
	// A chain whose agent is away lets no pod start, and says so.
	f.set(&answerInstead{500, `{"error": "rules could not be written"}`})
	if said, err := tool("status", path); err == nil || !strings.Contains(said, "cannot hold pods") {
		t.Errorf("%v: %s", err, said)
	}
	if said, err := tool("add", path); err == nil || !strings.Contains(said, "rules could not be written") {
		t.Errorf("%v: %s", err, said)
	}
	f.set(nil)
	must(tool("del", path))
}
