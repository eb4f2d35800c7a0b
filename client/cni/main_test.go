package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The folder of the plugin, and of the programs it is tried with.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "gavel-cni-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		build := exec.Command("go", "build", "-o", filepath.Join(folder, "gavel-cni"), ".")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		binaries = folder
		return m.Run()
	}())
}

// fake is an agent that remembers what it is told, and answers as the real one does, or as it is set to.
type fake struct {
	socket string
	mu     sync.Mutex
	holds  map[string]hold
	asked  []string
	// How it answers instead, if it is set: a status and a text. Status 0 hangs.
	instead *answerInstead
	hung    chan struct{}
}

type answerInstead struct {
	status int
	text   string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{socket: filepath.Join(t.TempDir(), "node.sock"), holds: map[string]hold{}, hung: make(chan struct{})}
	listener, err := net.Listen("unix", f.socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		close(f.hung)
		_ = server.Close()
	})
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.URL.EscapedPath()+" "+string(body)))
	instead := f.instead
	f.mu.Unlock()
	if instead != nil {
		if instead.status == 0 {
			<-f.hung
			return
		}
		w.WriteHeader(instead.status)
		_, _ = io.WriteString(w, instead.text)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	path := r.URL.EscapedPath()
	say := func(of any) { _ = json.NewEncoder(w).Encode(of) }
	switch {
	case path == "/readyz":
		_, _ = io.WriteString(w, "ok\n")
	case path == "/v1/holds/gc" && r.Method == http.MethodPost:
		var wanted struct{ Valid []attachment }
		_ = json.Unmarshal(body, &wanted)
		keep := map[string]hold{}
		for _, one := range wanted.Valid {
			if held, ok := f.holds[one.path()]; ok {
				keep[one.path()] = held
			}
		}
		removed := len(f.holds) - len(keep)
		f.holds = keep
		say(map[string]any{"removed": removed})
	case r.Method == http.MethodPut:
		var held hold
		_ = json.Unmarshal(body, &held)
		f.holds[path] = held
		say(map[string]any{"revision": 7, "known": false})
	case r.Method == http.MethodGet:
		held, ok := f.holds[path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			say(map[string]any{"error": "the agent has not been told of this attachment"})
			return
		}
		say(map[string]any{"namespace": held.Namespace, "pod": held.Pod, "uid": held.UID, "addresses": held.Addresses, "known": true})
	case r.Method == http.MethodDelete:
		delete(f.holds, path)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (f *fake) set(instead *answerInstead) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.instead = instead
}

// What it was asked since the last time.
func (f *fake) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

// What a runtime gives a plugin.
type call struct {
	command string
	args    string
	netns   string
	config  string
}

const podArgs = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=01234567-89ab-cdef-0123-456789abcdef;K8S_POD_INFRA_CONTAINER_ID=c1"

// Runs the plugin as a runtime does: its output, what it said besides, and its error, as CNI has it.
func run(t *testing.T, c call) (output, said string, code uint) {
	t.Helper()
	command := exec.Command(filepath.Join(binaries, "gavel-cni"))
	command.Env = []string{
		"CNI_COMMAND=" + c.command, "CNI_CONTAINERID=c1", "CNI_IFNAME=eth0", "CNI_PATH=" + binaries, "CNI_ARGS=" + c.args,
		"CNI_NETNS=" + c.netns,
	}
	command.Stdin = strings.NewReader(c.config)
	var out, err bytes.Buffer
	command.Stdout, command.Stderr = &out, &err
	ended := command.Run()
	var exit *exec.ExitError
	if ended != nil && !errors.As(ended, &exit) {
		t.Fatal(ended)
	}
	if ended != nil {
		var told struct{ Code uint }
		if json.Unmarshal(out.Bytes(), &told) != nil || told.Code == 0 {
			t.Fatalf("%s failed, and not as CNI has it: %s%s", c.command, &out, &err)
		}
		code = told.Code
	}
	return out.String(), err.String(), code
}

const netns = "/run/netns/pod"

// A configuration of this version, with these settings and this result.
func configured(version, settings, result string) string {
	text := `{"cniVersion": "` + version + `", "name": "net", "type": "gavel-cni"`
	if settings != "" {
		text += ", " + settings
	}
	if result != "" {
		text += `, "prevResult": ` + result
	}
	return text + "}"
}

// A result with two addresses of the pod, and one of the node's end of the link.
func result(version string) string {
	return `{"cniVersion": "` + version + `",
		"interfaces": [{"name": "veth1", "mac": "02:00:00:00:00:01"}, {"name": "eth0", "sandbox": "` + netns + `"}],
		"ips": [{"interface": 1, "address": "10.0.0.1/24"}, {"interface": 1, "address": "fd00::1/64"}, {"interface": 0, "address": "10.0.0.254/24"}]}`
}

func (f *fake) settings() string { return `"socket": "` + f.socket + `"` }

func TestAddHoldsThePodAndPassesTheResultOn(t *testing.T) {
	f := newFake(t)
	results := map[string]string{
		"1.1.0": result("1.1.0"),
		"1.0.0": result("1.0.0"),
		"0.4.0": `{"cniVersion": "0.4.0", "interfaces": [{"name": "eth0", "sandbox": "` + netns + `"}],
			"ips": [{"version": "4", "interface": 0, "address": "10.0.0.1/24"}, {"version": "6", "interface": 0, "address": "fd00::1/64"}]}`,
		"0.3.1": `{"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "10.0.0.1/24"}, {"version": "6", "address": "fd00::1/64"}]}`,
	}
	for version, result := range results {
		c := call{"ADD", podArgs, netns, configured(version, f.settings(), result)}
		// Twice: the same again changes nothing.
		for range 2 {
			output, _, code := run(t, c)
			if code != 0 {
				t.Fatalf("%s: %s", version, output)
			}
			var came, went map[string]any
			if json.Unmarshal([]byte(result), &came) != nil || json.Unmarshal([]byte(output), &went) != nil {
				t.Fatalf("%s: %s", version, output)
			}
			// The libraries write what is not there as nothing.
			if went["cniVersion"] != version || fmt.Sprint(went["ips"]) != fmt.Sprint(came["ips"]) {
				t.Errorf("%s: %s", version, output)
			}
			const wanted = `PUT /v1/holds/c1/eth0 {"namespace":"shop","pod":"web-0","uid":"01234567-89ab-cdef-0123-456789abcdef","addresses":["10.0.0.1","fd00::1"]}`
			if asked := f.taken(); len(asked) != 1 || asked[0] != wanted {
				t.Errorf("%s: %v", version, asked)
			}
		}
	}
}

func TestALifeOfAPod(t *testing.T) {
	f := newFake(t)
	config := configured("1.1.0", f.settings(), result("1.1.0"))
	for _, step := range []struct {
		command string
		config  string
		code    uint
	}{
		{"STATUS", configured("1.1.0", f.settings(), ""), 0},
		{"CHECK", config, errNotHeld},
		{"ADD", config, 0},
		{"CHECK", config, 0},
		// The agent has other addresses than the runtime.
		{"CHECK", strings.ReplaceAll(config, "10.0.0.1/24", "10.0.0.2/24"), errNotHeld},
		{"GC", configured("1.1.0", f.settings()+`, "cni.dev/valid-attachments": [{"containerID": "c1", "ifname": "eth0"}]`, ""), 0},
		{"CHECK", config, 0},
		{"GC", configured("1.1.0", f.settings()+`, "cni.dev/valid-attachments": []`, ""), 0},
		{"CHECK", config, errNotHeld},
		{"ADD", config, 0},
		{"DEL", configured("1.1.0", f.settings(), ""), 0},
		{"CHECK", config, errNotHeld},
		{"DEL", config, 0},
	} {
		if output, said, code := run(t, call{step.command, podArgs, netns, step.config}); code != step.code {
			t.Fatalf("%s: code %d, not %d: %s%s", step.command, code, step.code, output, said)
		}
	}
	output, _, code := run(t, call{command: "VERSION", config: `{"cniVersion": "1.1.0"}`})
	if code != 0 || !strings.Contains(output, `"1.1.0"`) {
		t.Errorf("%s", output)
	}
}

func TestWithoutTheAgent(t *testing.T) {
	nowhere := `"socket": "` + filepath.Join(t.TempDir(), "nobody.sock") + `"`
	f := newFake(t)
	for _, away := range []struct {
		what    string
		set     *answerInstead
		setting string
		part    string
		// DEL succeeds where nobody answers, and fails where somebody says no.
		del uint
	}{
		{"nobody listens", nil, nowhere, "is it running", 0},
		{"it hangs", &answerInstead{}, f.settings() + `, "timeoutSeconds": 1`, "does not answer", 0},
		{"it cannot", &answerInstead{500, `{"error": "rules could not be written"}`}, f.settings(), "rules could not be written", 11},
		{"it says nonsense", &answerInstead{502, "no words of ours"}, f.settings(), "no words of ours", 11},
		{"its answer is none", &answerInstead{200, "[1"}, f.settings(), "cannot be read", 0},
		{"its answer says nothing", &answerInstead{200, "{}"}, f.settings(), "nothing of whether", 0},
	} {
		t.Run(away.what, func(t *testing.T) {
			f.set(away.set)
			defer f.set(nil)
			config := configured("1.1.0", away.setting, result("1.1.0"))
			output, _, code := run(t, call{"ADD", podArgs, netns, config})
			if code != 11 || !strings.Contains(output, away.part) || !strings.Contains(output, "held back") {
				t.Errorf("ADD: %d %s", code, output)
			}
			allowing := configured("1.1.0", away.setting+`, "onUnavailable": "allow"`, result("1.1.0"))
			output, said, code := run(t, call{"ADD", podArgs, netns, allowing})
			if code != 0 || !strings.Contains(output, "10.0.0.1/24") || !strings.Contains(said, "starts without being held back") {
				t.Errorf("ADD: %d %s%s", code, output, said)
			}
			if _, said, code := run(t, call{"DEL", podArgs, netns, config}); code != away.del || (away.set == nil && !strings.Contains(said, "removed without the agent")) {
				t.Errorf("DEL: %d %s", code, said)
			}
			if away.set != nil && away.set.status == http.StatusOK {
				return
			}
			for command, expected := range map[string]uint{"CHECK": 11, "GC": 11, "STATUS": 50} {
				if output, _, code := run(t, call{command, podArgs, netns, config}); code != expected || !strings.Contains(output, away.part) {
					t.Errorf("%s: %d %s", command, code, output)
				}
			}
		})
	}
}

func TestWhatIsWrongIsSaid(t *testing.T) {
	f := newFake(t)
	for _, wrong := range []struct {
		what string
		call call
		code uint
		part string
	}{
		{"no JSON", call{"ADD", podArgs, netns, "x"}, 6, ""},
		{"a setting that is none", call{"ADD", podArgs, netns, configured("1.1.0", `"sockets": "/x"`, result("1.1.0"))}, 2, "socket, timeoutSeconds, onUnavailable"},
		{"a socket that is no path", call{"ADD", podArgs, netns, configured("1.1.0", `"socket": "x"`, result("1.1.0"))}, 7, "path from the root"},
		{"no time", call{"ADD", podArgs, netns, configured("1.1.0", `"timeoutSeconds": 0`, result("1.1.0"))}, 7, "1 to 300"},
		{"a word that is none", call{"ADD", podArgs, netns, configured("1.1.0", `"onUnavailable": "maybe"`, result("1.1.0"))}, 7, "maybe"},
		{"a number that is a text", call{"ADD", podArgs, netns, configured("1.1.0", `"timeoutSeconds": "5"`, result("1.1.0"))}, 7, "timeoutSeconds"},
		{"not chained", call{"ADD", podArgs, netns, configured("1.1.0", f.settings(), "")}, 7, "prevResult"},
		{"no addresses", call{"ADD", podArgs, netns, configured("1.1.0", f.settings(), `{"cniVersion": "1.1.0"}`)}, 7, "no address"},
		{"an interface that is not there", call{"ADD", podArgs, netns, configured("1.1.0", f.settings(), `{"cniVersion": "1.1.0", "ips": [{"interface": 3, "address": "10.0.0.1/24"}]}`)}, 7, "interface 3"},
		{"another sandbox's addresses", call{"ADD", podArgs, "/run/netns/other", configured("1.1.0", f.settings(), result("1.1.0"))}, 7, "no address of the pod"},
		{"no pod", call{"ADD", "IgnoreUnknown=1", netns, configured("1.1.0", f.settings(), result("1.1.0"))}, 4, "which pod is it"},
		{"arguments that are none", call{"ADD", "K8S_POD_NAME", netns, configured("1.1.0", f.settings(), result("1.1.0"))}, 4, ""},
		{"a version that is none", call{"ADD", podArgs, netns, configured("9.0.0", f.settings(), result("9.0.0"))}, 1, ""},
	} {
		output, _, code := run(t, wrong.call)
		if code != wrong.code || !strings.Contains(output, wrong.part) {
			t.Errorf("%s: code %d, not %d: %s", wrong.what, code, wrong.code, output)
		}
	}
	if asked := f.taken(); len(asked) != 0 {
		t.Errorf("the agent was asked %v", asked)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	f := newFake(t)
	path := attachment{ContainerID: "a/b?c", IfName: "eth0"}.path()
	if err := newAgent(f.socket).release(t.Context(), attachment{ContainerID: "a/b?c", IfName: "eth0"}); err != nil {
		t.Fatal(err)
	}
	if asked := f.taken(); len(asked) != 1 || asked[0] != "DELETE "+path {
		t.Errorf("%v is not %s", asked, path)
	}
}

// How long anything may take that is waited for.
const soon = 30 * time.Second
