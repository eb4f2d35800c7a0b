package gavel

import (
	"context"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"
)

// How long to wait before a watch is opened anew, at first and at most.
const (
	firstWait   = 50 * time.Millisecond
	longestWait = 5 * time.Second
)

// Kinds that answers about flows depend on.
var kindsOfFlows = []string{"Namespace", "Pod", "NetworkPolicy"}

// Revision is one revision of a server's snapshot.
type Revision struct {
	// Counts the changes of this instance's snapshot; those of different instances do not compare.
	Number   uint64
	Instance string
	// When the snapshot was made.
	CreatedAt time.Time
	// Kinds of the objects that changed since the revision before; none in the first message of a server.
	ChangedKinds []string
	// What the snapshot holds of each kind of a cluster: everything that was written up to this resourceVersion.
	ResourceVersions map[string]string
	// Answers that were kept may be others now: of flows, and of any kind.
	DropFlows, DropAll bool
}

// Revisions tells each revision, beginning with the current one, until the context ends or the loop is left. A stream that
// ends is opened anew, perhaps on another replica: the next revision then says that all has to be dropped, whatever its
// number. An error that trying again does not mend, such as a right that is missing, is told and is the last.
//
// Answers of a [Client] come from all replicas, which may be at different revisions: whoever keeps answers asks by a
// [Session].
func (c *Client) Revisions(ctx context.Context) iter.Seq2[*Revision, error] {
	return revisions(ctx, c.stub)
}

func revisions(ctx context.Context, stub gavelv1.PolicyDecisionClient) iter.Seq2[*Revision, error] {
	open := func(ctx context.Context) (grpc.ServerStreamingClient[gavelv1.SnapshotRevision], error) {
		return stub.WatchSnapshot(ctx, &gavelv1.WatchSnapshotRequest{})
	}
	return func(yield func(*Revision, error) bool) {
		for message, err := range watch(ctx, open) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(toRevision(message.value, message.isFirst), nil) {
				return
			}
		}
	}
}

// NodePods tells the pods of a node (of all of them, where node is ""), and whether policies isolate them, beginning with the
// current ones and again whenever they have changed. Otherwise as [Client.Revisions].
func (c *Client) NodePods(ctx context.Context, node string) iter.Seq2[*gavelv1.NodePods, error] {
	open := func(ctx context.Context) (grpc.ServerStreamingClient[gavelv1.NodePods], error) {
		return c.stub.WatchNodePods(ctx, &gavelv1.WatchNodePodsRequest{Node: node})
	}
	return func(yield func(*gavelv1.NodePods, error) bool) {
		for message, err := range watch(ctx, open) {
			if !yield(message.value, err) {
				return
			}
		}
	}
}

func toRevision(message *gavelv1.SnapshotRevision, isFirst bool) *Revision {
	isOfFlows := func(kind string) bool { return slices.Contains(kindsOfFlows, kind) }
	all := isFirst || message.GetMissed()
	return &Revision{
		Number:           message.GetRevision(),
		Instance:         message.GetInstance(),
		CreatedAt:        message.GetCreatedAt().AsTime(),
		ChangedKinds:     message.GetChangedKinds(),
		ResourceVersions: message.GetResourceVersions(),
		DropFlows:        all || slices.ContainsFunc(message.GetChangedKinds(), isOfFlows),
		DropAll:          all || len(message.GetChangedKinds()) > 0,
	}
}

// A message of a watch, and whether it is the first one of its stream.
type watched[M any] struct {
	value   *M
	isFirst bool
}

// The messages of a watch that is opened anew as often as it ends.
func watch[M any](ctx context.Context, open func(context.Context) (grpc.ServerStreamingClient[M], error)) iter.Seq2[watched[M], error] {
	return func(yield func(watched[M], error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		wait := firstWait
		for {
			stream, err := open(ctx)
			for isFirst := true; err == nil; isFirst = false {
				var message *M
				if message, err = stream.Recv(); err == nil {
					wait = firstWait
					if !yield(watched[M]{message, isFirst}, nil) {
						return
					}
				}
			}
			switch {
			case ctx.Err() != nil:
				return
			case !mayMend(err):
				yield(watched[M]{}, err)
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(wait/2 + rand.N(wait)):
			}
			wait = min(2*wait, longestWait)
		}
	}
}

// Whether a watch that ended so is worth another try.
func mayMend(err error) bool {
	if errors.Is(err, io.EOF) {
		return true
	}
	switch status.Code(err) {
	case codes.Unauthenticated, codes.PermissionDenied, codes.InvalidArgument, codes.Unimplemented:
		return false
	default:
		return true
	}
}
