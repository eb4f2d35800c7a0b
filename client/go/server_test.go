package gavel_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"

	gavel "github.com/gavel-pdp/gavel/client/go"
)

// How long anything may take that is waited for.
const soon = 30 * time.Second

// Pods, and a policy that lets friend in on port 80, and nobody else.
const flows = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {nodeName: node-1, containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.1, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: friend, namespace: shop, labels: {app: friend}}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.2, phase: Running}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: shop}
spec: {containers: [{name: c, image: i}]}
status: {podIP: 10.0.0.3, phase: Running}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: shop}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress:
  - from: [{podSelector: {matchLabels: {app: friend}}}]
    ports: [{port: 80}]
`

// A policy that only lets containers run that are not root, and who may use it.
const admission = `
apiVersion: policy/v1beta1
kind: PodSecurityPolicy
metadata: {name: nonroot}
spec:
  seLinux: {rule: RunAsAny}
  supplementalGroups: {rule: RunAsAny}
  fsGroup: {rule: RunAsAny}
  runAsUser: {rule: MustRunAsNonRoot}
  volumes: ['*']
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: nonroot}
rules:
- {apiGroups: [policy], resources: [podsecuritypolicies], resourceNames: [nonroot], verbs: [use]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: nonroot, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: nonroot}
subjects: [{kind: ServiceAccount, name: builder, namespace: shop}]
`

// The program: GAVEL_SERVER, or what cargo builds.
var serverProgram = sync.OnceValues(func() (string, error) {
	if program := os.Getenv("GAVEL_SERVER"); program != "" {
		return program, nil
	}
	_, file, _, _ := runtime.Caller(0)
	root := filepath.Join(filepath.Dir(file), "../..")
	build := exec.Command("cargo", "build", "--locked", "-p", "gavel-server")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("gavel-server cannot be built; GAVEL_SERVER names one that is there: %w", err)
	}
	target := os.Getenv("CARGO_TARGET_DIR")
	if target == "" {
		target = filepath.Join(root, "target")
	}
	return filepath.Join(target, "debug/gavel-server"), nil
})

// A server, and its manifests.
type testServer struct {
	t         testing.TB
	manifests string
	arguments []string
	command   *exec.Cmd
	// Where it listens.
	address string
}

// Starts a server on a free port, with these flags; it ends with the test.
func start(t testing.TB, flags ...string) *testServer {
	t.Helper()
	manifests := t.TempDir()
	s := &testServer{t: t, manifests: manifests}
	s.write("flows.yaml", flows)
	s.write("admission.yaml", admission)
	s.address = freePort(t)
	s.arguments = append([]string{"--manifests=" + manifests, "--listen=" + s.address, "--admin-listen=" + freePort(t)}, flags...)
	s.startAgain()
	t.Cleanup(s.kill)
	return s
}

// The next port to be tried.
var nextPort atomic.Uint32

// A port that nobody listens on, given out once. It is below those that systems hand out: what a killed server leaves free
// stays free until it is started again.
func freePort(t testing.TB) string {
	t.Helper()
	const lowest, count = 20_000, 12_000
	for range count {
		place := (uint32(os.Getpid())*37 + nextPort.Add(1)) % count
		address := fmt.Sprintf("127.0.0.1:%d", lowest+place)
		listener, err := net.Listen("tcp", address)
		if err == nil {
			_ = listener.Close()
			return address
		}
	}
	t.Fatal("there is no free port")
	return ""
}

func (s *testServer) startAgain() {
	s.t.Helper()
	program, err := serverProgram()
	if err != nil {
		s.t.Fatal(err)
	}
	s.command = exec.Command(program, s.arguments...)
	output, err := s.command.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.command.Start(); err != nil {
		s.t.Fatal(err)
	}
	// It says so once it listens; what it says after that is read, so that it is never held up.
	started, said := make(chan bool, 1), &strings.Builder{}
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "started") {
				started <- true
			} else if len(said.String()) < 4096 {
				said.WriteString(lines.Text() + "\n")
			}
		}
		close(started)
	}()
	select {
	case ok := <-started:
		if !ok {
			s.t.Fatalf("the server has ended:\n%s", said)
		}
	case <-time.After(soon):
		s.t.Fatal("the server does not start")
	}
}

func (s *testServer) kill() {
	if s.command.Process != nil {
		_ = s.command.Process.Kill()
		_ = s.command.Wait()
	}
}

func (s *testServer) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.manifests, name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func (s *testServer) remove(name string) {
	s.t.Helper()
	if err := os.Remove(filepath.Join(s.manifests, name)); err != nil {
		s.t.Fatal(err)
	}
}

// A client of these servers, that waits until one of them answers.
func connect(t testing.TB, servers []string, options ...gavel.Option) *gavel.Client {
	t.Helper()
	client, err := gavel.New(servers, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	eventually(t, "a server answers", func() bool {
		_, err := client.GetSnapshot(t.Context(), nil)
		return !gavel.IsUnavailable(err)
	})
	return client
}

// Waits until it is so.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(soon); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

func flow(from, to string, port uint32) *gavelv1.CheckFlowRequest {
	return &gavelv1.CheckFlowRequest{Source: gavel.PodEnd("shop", from), Destination: gavel.PodEnd("shop", to), Port: port}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
