package gavel_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"

	gavel "github.com/gavel-pdp/gavel/client/go"
)

func TestEveryCall(t *testing.T) {
	t.Parallel()
	server := start(t)
	client := connect(t, []string{server.address})
	ctx := t.Context()

	pod := `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"},
		"spec": {"serviceAccountName": "builder", "containers": [{"name": "c", "image": "i", "securityContext": {"runAsUser": %}}]}}`
	admit := func(user string) *gavelv1.AdmitRequest {
		return &gavelv1.AdmitRequest{
			User:      &gavelv1.UserInfo{Username: "system:serviceaccount:shop:builder"},
			Operation: gavelv1.Operation_OPERATION_CREATE,
			Namespace: "shop",
			Object:    []byte(strings.ReplaceAll(pod, "%", user)),
		}
	}
	admitted, err := client.Admit(ctx, admit("1000"))
	if err != nil || !admitted.GetAllowed() || admitted.GetPolicy() != "nonroot" {
		t.Fatalf("%v %v", admitted, err)
	}
	refused, err := client.Admit(ctx, admit("0"))
	if err != nil || refused.GetAllowed() || !strings.Contains(refused.GetMessage(), "running with the root UID is forbidden") {
		t.Fatalf("%v %v", refused, err)
	}
	both, err := client.BatchAdmit(ctx, &gavelv1.BatchAdmitRequest{Questions: []*gavelv1.AdmitRequest{admit("1000"), admit("x")}})
	if err != nil {
		t.Fatal(err)
	}
	if one, err := gavel.AdmitAnswer(both.GetResults()[0]); err != nil || !one.GetAllowed() {
		t.Fatalf("%v %v", one, err)
	}
	if _, err := gavel.AdmitAnswer(both.GetResults()[1]); status.Code(err) != codes.InvalidArgument {
		t.Fatal(err)
	}

	allowed, err := client.CheckFlow(ctx, flow("friend", "web", 80))
	if err != nil || allowed.GetVerdict() != gavelv1.Verdict_VERDICT_ALLOW {
		t.Fatalf("%v %v", allowed, err)
	}
	denied, err := client.CheckFlow(ctx, flow("stranger", "web", 80))
	const reason = "denied: NetworkPolicy shop/web isolates the destination for ingress, and no rule allows this"
	if err != nil || denied.GetVerdict() != gavelv1.Verdict_VERDICT_DENY || denied.GetReason() != reason {
		t.Fatalf("%v %v", denied, err)
	}
	batch, err := client.BatchCheckFlow(ctx, &gavelv1.BatchCheckFlowRequest{
		Questions: []*gavelv1.CheckFlowRequest{flow("friend", "web", 80), flow("nobody", "web", 80)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if one, err := gavel.FlowAnswer(batch.GetResults()[0]); err != nil || one.GetVerdict() != gavelv1.Verdict_VERDICT_ALLOW {
		t.Fatalf("%v %v", one, err)
	}
	var question *gavel.QuestionError
	if _, err := gavel.FlowAnswer(batch.GetResults()[1]); !errors.As(err, &question) || question.Field != "source.pod" {
		t.Fatalf("%v", err)
	}

	may, err := client.Authorize(ctx, &gavelv1.AuthorizeRequest{
		User: "system:serviceaccount:shop:builder",
		ResourceAttributes: &gavelv1.ResourceAttributes{
			Verb: "use", Group: "policy", Resource: "podsecuritypolicies", Name: "nonroot", Namespace: "shop",
		},
	})
	if err != nil || !may.GetAllowed() {
		t.Fatalf("%v %v", may, err)
	}
	snapshot, err := client.GetSnapshot(ctx, nil)
	if err != nil || snapshot.GetObjects()["Pod"] != 3 {
		t.Fatalf("%v %v", snapshot, err)
	}
}

func TestOtherEnds(t *testing.T) {
	t.Parallel()
	client := connect(t, []string{start(t).address})
	for what, end := range map[string]*gavelv1.End{
		"an address":         gavel.IPEnd("10.0.0.2"),
		"a pod":              gavel.PodEnd("shop", "friend"),
		"a pod that may be":  gavel.LabelsEnd("shop", map[string]string{"app": "friend"}),
		"an IPv6 form of it": gavel.IPEnd("::ffff:10.0.0.2"),
	} {
		answer, err := client.CheckFlow(t.Context(), &gavelv1.CheckFlowRequest{Source: end, Destination: gavel.IPEnd("10.0.0.1"), Port: 80})
		if err != nil || answer.GetVerdict() != gavelv1.Verdict_VERDICT_ALLOW {
			t.Errorf("%s: %v %v", what, answer, err)
		}
	}
	_, err := client.CheckFlow(t.Context(), &gavelv1.CheckFlowRequest{
		Source: gavel.WorkloadEnd("shop", "Deployment", "none"), Destination: gavel.IPEnd("10.0.0.1"), Port: 80,
	})
	if gavel.Field(err) != "source.workload" {
		t.Errorf("%v: %q", err, gavel.Field(err))
	}
}

func TestAQuestionThatIsWrongHasAField(t *testing.T) {
	t.Parallel()
	client := connect(t, []string{start(t).address})
	for field, request := range map[string]*gavelv1.CheckFlowRequest{
		"port":                 flow("friend", "web", 70000),
		"source.pod":           flow("nobody", "web", 80),
		"destination.pod.name": {Source: gavel.IPEnd("10.0.0.2"), Destination: gavel.PodEnd("shop", ""), Port: 80},
		"source.ip":            {Source: gavel.IPEnd("10.0.0"), Destination: gavel.IPEnd("10.0.0.1"), Port: 80},
	} {
		_, err := client.CheckFlow(t.Context(), request)
		if status.Code(err) != codes.InvalidArgument || gavel.Field(err) != field || gavel.IsUnavailable(err) {
			t.Errorf("%s: %v has field %q", field, err, gavel.Field(err))
		}
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "x", ":1", "x:", "x:0", "x:70000", "ftp://x:1", "unix:", "http://", "x:y"} {
		if client, err := gavel.New([]string{address}); err == nil {
			_ = client.Close()
			t.Errorf("%q was taken", address)
		} else if !strings.Contains(err.Error(), "is not an address") {
			t.Error(err)
		}
	}
	if _, err := gavel.New(nil); err == nil {
		t.Error("no server was enough")
	}
	folder := t.TempDir()
	socket := filepath.Join(folder, "gavel.sock")
	server := start(t, "--listen=unix:"+socket)
	for _, address := range []string{server.address, "http://" + server.address, "unix:" + socket, "unix://" + socket} {
		client := connect(t, []string{address})
		if _, err := client.CheckFlow(t.Context(), flow("friend", "web", 80)); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A listener that takes connections, and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	client, err := gavel.New([]string{silent(t)}, gavel.WithTimeout(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// The client's own, and the context's.
	for _, ctx := range []context.Context{t.Context(), within(t, 100*time.Millisecond)} {
		_, err := client.CheckFlow(ctx, flow("friend", "web", 80))
		if code := status.Code(err); code != codes.DeadlineExceeded && code != codes.Unavailable {
			t.Error(err)
		}
		if !gavel.IsUnavailable(err) {
			t.Error(err)
		}
	}
	// Many at a time wait for the same connection, each as long as it likes.
	stream := client.Flows(gavelv1.AnswerDetail_ANSWER_DETAIL_VERDICT)
	defer stream.Close()
	began := time.Now()
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if _, err := stream.Ask(t.Context(), flow("friend", "web", 80)); !gavel.IsUnavailable(err) {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.CheckFlow(cancelled, flow("friend", "web", 80)); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	if _, err := client.Session(t.Context(), gavelv1.AnswerDetail_ANSWER_DETAIL_VERDICT); !gavel.IsUnavailable(err) {
		t.Error(err)
	}
}

// Counts who answers.
func counting(t *testing.T) (gavel.Option, func() map[string]int) {
	t.Helper()
	var mu sync.Mutex
	answered := map[string]int{}
	count := func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		var who peer.Peer
		err := invoke(ctx, method, request, reply, conn, append(options, grpc.Peer(&who))...)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			answered[who.Addr.String()]++
		}
		return err
	}
	take := func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		taken := answered
		answered = map[string]int{}
		return taken
	}
	return gavel.WithDialOptions(grpc.WithUnaryInterceptor(count)), take
}

func TestReplicasHaveTheirTurns(t *testing.T) {
	t.Parallel()
	one, two := start(t), start(t)
	option, answered := counting(t)
	// The third one is nobody.
	client := connect(t, []string{one.address, two.address, freePort(t)}, option)
	ask := func() {
		t.Helper()
		for range 100 {
			if _, err := client.CheckFlow(t.Context(), flow("friend", "web", 80)); err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually(t, "both replicas answer", func() bool {
		ask()
		counts := answered()
		return counts[one.address] > 30 && counts[two.address] > 30
	})
	one.kill()
	// What the one that is gone does not answer, the other one is asked.
	ask()
	if counts := answered(); counts[two.address] == 0 {
		t.Fatalf("%v", counts)
	}
	one.startAgain()
	eventually(t, "the replica that is back answers", func() bool {
		ask()
		return answered()[one.address] > 30
	})
}
