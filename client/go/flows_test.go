package gavel_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"

	gavel "github.com/gavel-pdp/gavel/client/go"
)

func TestEachQuestionOfAStreamHasItsAnswer(t *testing.T) {
	t.Parallel()
	client := connect(t, []string{start(t).address})
	stream := client.Flows(gavelv1.AnswerDetail_ANSWER_DETAIL_FULL)
	defer stream.Close()
	var wait sync.WaitGroup
	for i := range 1000 {
		wait.Go(func() {
			from, port := "friend", uint32(80)
			switch i % 4 {
			case 1:
				from = "stranger"
			case 2:
				port = 81
			case 3:
				from = fmt.Sprintf("nobody-%d", i)
			}
			answer, err := stream.Ask(t.Context(), flow(from, "web", port))
			if i%4 == 3 {
				var question *gavel.QuestionError
				if !errors.As(err, &question) || question.Code != codes.InvalidArgument {
					t.Errorf("%d: %v", i, err)
				}
				return
			}
			if err != nil || answer.GetRevision() != 1 || (answer.GetVerdict() == gavelv1.Verdict_VERDICT_ALLOW) != (i%4 == 0) {
				t.Errorf("%d: %v %v", i, answer, err)
			}
		})
	}
	wait.Wait()
}

func TestWhoeverWaitsNoLongerLeavesTheStreamInOrder(t *testing.T) {
	t.Parallel()
	client := connect(t, []string{start(t).address})
	stream := client.Flows(gavelv1.AnswerDetail_ANSWER_DETAIL_VERDICT)
	defer stream.Close()
	for i := range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		if i%2 == 0 {
			cancel()
		}
		answer, err := stream.Ask(ctx, flow("friend", "web", 80))
		cancel()
		if err != nil {
			if i%2 != 0 || status.Code(err) != codes.Canceled {
				t.Fatalf("%d: %v", i, err)
			}
			continue
		}
		if answer.GetVerdict() != gavelv1.Verdict_VERDICT_ALLOW {
			t.Fatalf("%d: %v", i, answer)
		}
		if answer, err := stream.Ask(t.Context(), flow("stranger", "web", 80)); err != nil || answer.GetVerdict() != gavelv1.Verdict_VERDICT_DENY {
			t.Fatalf("%d: %v %v", i, answer, err)
		}
	}
}

func TestAStreamGoesOnWithAnotherReplica(t *testing.T) {
	t.Parallel()
	one, two := start(t), start(t)
	client := connect(t, []string{one.address, two.address})
	stream := client.Flows(gavelv1.AnswerDetail_ANSWER_DETAIL_VERDICT)
	ask := func() error {
		_, err := stream.Ask(within(t, soon), flow("friend", "web", 80))
		return err
	}
	for _, server := range []*testServer{one, two} {
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		server.kill()
		eventually(t, "the other one answers", func() bool { return ask() == nil })
		server.startAgain()
		eventually(t, "it is back", func() bool {
			lone := connect(t, []string{server.address})
			_, err := lone.CheckFlow(t.Context(), flow("friend", "web", 80))
			return err == nil
		})
	}
	one.kill()
	two.kill()
	if err := ask(); !gavel.IsUnavailable(err) {
		t.Fatal(err)
	}
	stream.Close()
	if err := ask(); !errors.Is(err, gavel.ErrClosed) {
		t.Fatal(err)
	}
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	server := start(t)
	client := connect(t, []string{server.address})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	told := make(chan *gavel.Revision)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for revision, err := range client.Revisions(ctx) {
			if err != nil {
				t.Error(err)
				return
			}
			told <- revision
		}
	}()
	next := func() *gavel.Revision {
		t.Helper()
		select {
		case revision := <-told:
			return revision
		case <-time.After(soon):
			t.Fatal("no revision was told")
			return nil
		}
	}
	first := next()
	if first.Number != 1 || !first.DropAll || !first.DropFlows || first.Instance == "" {
		t.Fatalf("%+v", first)
	}
	server.write("role.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: r, namespace: shop}\nrules: []\n")
	if second := next(); second.Number != 2 || second.DropFlows || !second.DropAll || second.Instance != first.Instance {
		t.Fatalf("%+v", second)
	}
	server.write("open.yaml", "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: open, namespace: shop}\nspec: {podSelector: {}, ingress: [{}]}\n")
	if third := next(); third.Number != 3 || !third.DropFlows {
		t.Fatalf("%+v", third)
	}
	server.kill()
	server.startAgain()
	if again := next(); again.Instance == first.Instance || !again.DropAll || !again.DropFlows {
		t.Fatalf("%+v", again)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(soon):
		t.Fatal("the loop goes on without its context")
	}
}

func TestNodePods(t *testing.T) {
	t.Parallel()
	server := start(t)
	client := connect(t, []string{server.address})
	count := 0
	for pods, err := range client.NodePods(within(t, soon), "node-1") {
		if err != nil {
			t.Fatal(err)
		}
		if len(pods.GetPods()) != 1 || pods.GetPods()[0].GetName() != "web" {
			t.Fatalf("%v", pods)
		}
		if count++; count == 1 {
			if !pods.GetPods()[0].GetIngressIsolated() {
				t.Fatalf("%v", pods)
			}
			server.write("flows.yaml", flows[:len(flows)-len(policyOfFlows())])
			continue
		}
		if pods.GetPods()[0].GetIngressIsolated() {
			t.Fatalf("%v", pods)
		}
		break
	}
	if count != 2 {
		t.Fatalf("told %d times", count)
	}
}

// The last document of the manifests.
func policyOfFlows() string {
	for i := len(flows) - 4; ; i-- {
		if flows[i:i+4] == "---\n" {
			return flows[i:]
		}
	}
}

func TestSessions(t *testing.T) {
	t.Parallel()
	one, two := start(t), start(t)
	client := connect(t, []string{one.address, two.address})
	open := func() *gavel.Session {
		t.Helper()
		session, err := client.Session(within(t, soon), gavelv1.AnswerDetail_ANSWER_DETAIL_CACHEABLE)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(session.Close)
		return session
	}
	session := open()
	byAddress := &gavelv1.CheckFlowRequest{Source: gavel.IPEnd("10.0.0.2"), Destination: gavel.IPEnd("10.0.0.1"), Port: 80}
	answer, err := session.Ask(t.Context(), byAddress)
	if err != nil || answer.GetSourceIdentity() == 0 || answer.GetDestinationIdentity() == 0 || answer.GetRevision() != session.Revision().Number {
		t.Fatalf("%v %v", answer, err)
	}
	for _, server := range []*testServer{one, two} {
		server.remove("flows.yaml")
	}
	select {
	case change := <-session.Changes():
		if !change.DropFlows || change.Number != 2 || session.Revision().Number != 2 {
			t.Fatalf("%+v", change)
		}
	case <-time.After(soon):
		t.Fatal("no change was told")
	}
	instance := session.Revision().Instance
	// Whichever it is with, the session ends with it, and the next one is with the other.
	which := one
	if snapshot, err := connect(t, []string{one.address}).GetSnapshot(t.Context(), nil); err != nil || snapshot.GetInstance() != instance {
		which = two
	}
	which.kill()
	select {
	case <-session.Done():
	case <-time.After(soon):
		t.Fatal("the session outlives its server")
	}
	if _, err := session.Ask(t.Context(), byAddress); err == nil || session.Err() == nil {
		t.Fatal("a session that has ended answers")
	}
	if next := open(); next.Revision().Instance == instance {
		t.Fatal("the next session is with a server that is gone")
	}
	closed := open()
	closed.Close()
	if _, err := closed.Ask(t.Context(), byAddress); !errors.Is(err, gavel.ErrClosed) {
		t.Fatal(err)
	}
}
