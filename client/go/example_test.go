package gavel_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"testing"
	"time"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"

	gavel "github.com/gavel-pdp/gavel/client/go"
)

// Asks one question, and prints the reason of the answer.
func ExampleClient_CheckFlow() {
	client, err := gavel.New([]string{"127.0.0.1:9470"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	answer, err := client.CheckFlow(ctx, &gavelv1.CheckFlowRequest{
		Source:      gavel.PodEnd("shop", "web"),
		Destination: gavel.PodEnd("shop", "db"),
		Port:        5432,
	})
	switch {
	case gavel.Field(err) != "":
		log.Fatalf("the question is wrong, in %s: %v", gavel.Field(err), err)
	case err != nil:
		log.Fatal(err)
	}
	fmt.Println(answer.GetVerdict(), answer.GetReason())
}

// Prints what policies say of many flows, each of which fails alone.
func ExampleClient_BatchCheckFlow() {
	client, err := gavel.New([]string{"gavel-server.gavel-system.svc:9470"},
		gavel.WithServerCA("/etc/gavel/ca.crt"), gavel.WithTokenFile("/var/run/secrets/gavel/token"))
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	batch := &gavelv1.BatchCheckFlowRequest{Detail: gavelv1.AnswerDetail_ANSWER_DETAIL_VERDICT}
	for _, ip := range []string{"10.0.0.1", "10.0.0.2"} {
		batch.Questions = append(batch.Questions, &gavelv1.CheckFlowRequest{
			Source: gavel.IPEnd(ip), Destination: gavel.IPEnd("10.0.0.9"), Port: 443,
		})
	}
	answers, err := client.BatchCheckFlow(context.Background(), batch)
	if err != nil {
		log.Fatal(err)
	}
	for i, result := range answers.GetResults() {
		answer, err := gavel.FlowAnswer(result)
		if err != nil {
			fmt.Println(i, err)
			continue
		}
		fmt.Println(i, answer.GetVerdict())
	}
}

// Keeps answers for as long as they hold: by a session, which is one connection to one server.
func ExampleSession() {
	client, err := gavel.New([]string{"unix:/run/gavel/gavel.sock"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	session, err := client.Session(ctx, gavelv1.AnswerDetail_ANSWER_DETAIL_CACHEABLE)
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	kept := map[string]*gavelv1.CheckFlowResponse{}
	for {
		select {
		case change := <-session.Changes():
			if change == nil || change.DropFlows {
				clear(kept)
			}
		case <-session.Done():
			// Open the next one; nothing that was kept is of use there.
			return
		default:
			const key = "10.0.0.1 to 10.0.0.2, port 80"
			if kept[key] == nil {
				answer, err := session.Ask(ctx, &gavelv1.CheckFlowRequest{
					Source: gavel.IPEnd("10.0.0.1"), Destination: gavel.IPEnd("10.0.0.2"), Port: 80,
				})
				if err != nil {
					log.Print(err)
					continue
				}
				// One that is older than what the server has told since is used, and not kept.
				if answer.GetRevision() >= session.Revision().Number {
					kept[key] = answer
				}
			}
		}
	}
}

// Says when what was kept has to be forgotten.
func ExampleClient_Revisions() {
	client, err := gavel.New([]string{"127.0.0.1:9470"})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for revision, err := range client.Revisions(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(revision.Number, strings.Join(revision.ChangedKinds, ", "), revision.DropFlows)
	}
}

// What the first example prints, of a real server.
func TestTheExampleIsAnswered(t *testing.T) {
	t.Parallel()
	client := connect(t, []string{start(t).address})
	answer, err := client.CheckFlow(t.Context(), flow("friend", "web", 80))
	if err != nil {
		t.Fatal(err)
	}
	const line = "VERDICT_ALLOW allowed: NetworkPolicy shop/web allows the ingress (spec.ingress[0])"
	if said := fmt.Sprintln(answer.GetVerdict(), answer.GetReason()); strings.TrimSpace(said) != line {
		t.Errorf("%q", said)
	}
}
