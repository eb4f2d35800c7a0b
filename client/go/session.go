package gavel

import (
	"context"
	"sync"

	"google.golang.org/grpc"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"
)

// Session is one connection to one server, for whoever keeps answers: questions and revisions go by it, so that both are
// about the same snapshots. It does not outlive its connection: when it is [Session.Done], open the next one.
type Session struct {
	conn    *grpc.ClientConn
	flows   *Flows
	changes chan *Revision
	done    chan struct{}
	stop    context.CancelFunc

	mu  sync.Mutex
	now *Revision
	why error
}

// Session opens a session with one of the servers, and waits until it has told its revision. Answers are wanted in this
// detail: gavelv1.AnswerDetail_ANSWER_DETAIL_CACHEABLE tells for which identities they hold.
func (c *Client) Session(ctx context.Context, detail gavelv1.AnswerDetail) (*Session, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	conn, err := c.dial(c.servers, pinned())
	if err != nil {
		return nil, err
	}
	stub := gavelv1.NewPolicyDecisionClient(conn)
	lasting, stop := context.WithCancel(context.Background())
	s := &Session{
		conn:    conn,
		flows:   &Flows{detail: detail, stub: stub, settings: c.settings},
		changes: make(chan *Revision, 1),
		done:    make(chan struct{}),
		stop:    stop,
	}
	first := make(chan error, 1)
	go s.follow(lasting, stub, first)
	select {
	case err := <-first:
		if err != nil {
			s.Close()
			return nil, err
		}
		return s, nil
	case <-ctx.Done():
		s.Close()
		return nil, contextError(ctx)
	}
}

// Ask asks about a flow: see [Flows.Ask].
func (s *Session) Ask(ctx context.Context, question *gavelv1.CheckFlowRequest) (*gavelv1.CheckFlowResponse, error) {
	select {
	case <-s.done:
		return nil, s.Err()
	default:
	}
	// A stream on a connection that was made anew may be another server's: such an answer is none of this session's.
	answer, err := s.flows.Ask(ctx, question)
	select {
	case <-s.done:
		if err == nil {
			err = s.Err()
		}
		return nil, err
	default:
		return answer, err
	}
}

// Revision is the newest revision that the server has told. An answer of an older one is not to be kept.
func (s *Session) Revision() *Revision {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// Changes tells revisions as they come. Whoever does not read fast enough is told the newest one, with what all of those that
// were left out say is to be dropped. It is closed when the session ends.
func (s *Session) Changes() <-chan *Revision { return s.changes }

// Done is closed when the session has ended; [Session.Err] tells why.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session has ended; nil while it has not.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.why
}

// Close ends the session.
func (s *Session) Close() {
	s.end(ErrClosed)
	// There is nothing that could still be lost.
	_ = s.conn.Close()
}

func (s *Session) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.why != nil {
		return
	}
	s.why = why
	s.flows.Close()
	s.stop()
	close(s.done)
}

// Follows the server's revisions until they end, and tells how the first one went.
func (s *Session) follow(ctx context.Context, stub gavelv1.PolicyDecisionClient, first chan<- error) {
	defer close(s.changes)
	// One of the servers may be away: the next one is waited for, as long as whoever opens the session likes.
	stream, err := stub.WatchSnapshot(ctx, &gavelv1.WatchSnapshotRequest{}, grpc.WaitForReady(true))
	if err != nil {
		s.end(err)
		first <- err
		return
	}
	for isFirst := true; ; isFirst = false {
		message, err := stream.Recv()
		if err != nil {
			s.end(err)
			if isFirst {
				first <- err
			}
			return
		}
		revision := toRevision(message, isFirst)
		s.mu.Lock()
		s.now = revision
		s.mu.Unlock()
		if isFirst {
			first <- nil
			continue
		}
		s.tell(revision)
	}
}

func (s *Session) tell(revision *Revision) {
	select {
	case s.changes <- revision:
		return
	default:
	}
	// Nobody else sends: once the one that waits is taken out, there is room.
	select {
	case waiting := <-s.changes:
		revision.DropFlows = revision.DropFlows || waiting.DropFlows
		revision.DropAll = revision.DropAll || waiting.DropAll
	default:
	}
	s.changes <- revision
}
