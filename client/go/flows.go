package gavel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"
)

// Most questions in a message; a server takes a thousand unless it was told otherwise.
const together = 256

// Streams that a question is asked on, at most, when one after the other ends without an answer.
const attempts = 3

type flowStream = grpc.BidiStreamingClient[gavelv1.StreamCheckFlowRequest, gavelv1.StreamCheckFlowResponse]

// Flows asks about flows by one stream, on which questions do not wait for each other. It is safe for concurrent use: many
// goroutines that ask at a time are what it is for. A stream that ends, as when its connection has come of age, is opened
// anew, and what it did not answer is asked again.
type Flows struct {
	detail   gavelv1.AnswerDetail
	stub     gavelv1.PolicyDecisionClient
	settings settings

	mu      sync.Mutex
	current *pipe
	closed  bool
}

// Flows opens a stream with the first question that is asked. Close it when it is needed no more.
func (c *Client) Flows(detail gavelv1.AnswerDetail) *Flows {
	return &Flows{detail: detail, stub: c.stub, settings: c.settings}
}

// Ask asks, and waits for the answer until the context ends, or for [WithTimeout]'s time if it has no deadline. Revision is set, as if the question had been asked alone. A
// question that cannot be answered is a [*QuestionError]; other errors are those of the stream.
func (f *Flows) Ask(ctx context.Context, question *gavelv1.CheckFlowRequest) (*gavelv1.CheckFlowResponse, error) {
	ctx, cancel := f.settings.deadline(ctx)
	defer cancel()
	var err error
	for range attempts {
		var p *pipe
		if p, err = f.pipe(); err != nil {
			return nil, err
		}
		var answer *gavelv1.CheckFlowResponse
		answer, err = p.ask(ctx, question)
		var ended *endedError
		if !errors.As(err, &ended) {
			return answer, err
		}
		err = ended.why
		if status.Code(err) != codes.Unavailable {
			return nil, err
		}
	}
	return nil, err
}

// Close ends the stream; questions without an answer fail with [ErrClosed].
func (f *Flows) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	if f.current != nil {
		f.current.end(ErrClosed)
	}
}

// The stream that is open, or a new one.
func (f *Flows) pipe() (*pipe, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if f.current != nil {
		select {
		case <-f.current.done:
		default:
			return f.current, nil
		}
	}
	ctx, stop := context.WithCancelCause(context.Background())
	f.current = newPipe(ctx, stop, f.stub, f.detail)
	return f.current, nil
}

// endedError is that a stream has ended before it answered.
type endedError struct{ why error }

func (e *endedError) Error() string { return e.why.Error() }

// pipe is one stream.
type pipe struct {
	detail    gavelv1.AnswerDetail
	questions chan waiting
	done      chan struct{}
	stop      context.CancelCauseFunc

	mu sync.Mutex
	// Questions that were sent, in their order.
	sent []waiting
	why  error
}

type waiting struct {
	question *gavelv1.CheckFlowRequest
	answer   chan answered
}

type answered struct {
	response *gavelv1.CheckFlowResponse
	err      error
}

func newPipe(ctx context.Context, stop context.CancelCauseFunc, stub gavelv1.PolicyDecisionClient, detail gavelv1.AnswerDetail) *pipe {
	p := &pipe{
		detail:    detail,
		questions: make(chan waiting, together),
		done:      make(chan struct{}),
		stop:      stop,
	}
	// Not by whoever asks: opening takes as long as connecting, and that one's deadline may be shorter.
	go func() {
		stream, err := stub.StreamCheckFlow(ctx)
		if err != nil {
			p.end(err)
			return
		}
		go p.send(ctx, stream)
		p.receive(stream)
	}()
	return p
}

func (p *pipe) ask(ctx context.Context, question *gavelv1.CheckFlowRequest) (*gavelv1.CheckFlowResponse, error) {
	// Whoever does not wait any more has its answer left in the channel.
	w := waiting{question: question, answer: make(chan answered, 1)}
	select {
	case p.questions <- w:
	case <-p.done:
		return nil, &endedError{p.reason()}
	case <-ctx.Done():
		return nil, contextError(ctx)
	}
	select {
	case a := <-w.answer:
		return a.response, a.err
	case <-p.done:
		// It may have been answered last.
		select {
		case a := <-w.answer:
			return a.response, a.err
		default:
			return nil, &endedError{p.reason()}
		}
	case <-ctx.Done():
		return nil, contextError(ctx)
	}
}

// Sends questions, as many in a message as have come meanwhile.
func (p *pipe) send(ctx context.Context, stream flowStream) {
	for {
		var batch []waiting
		select {
		case w := <-p.questions:
			batch = append(batch, w)
		case <-ctx.Done():
			return
		}
	more:
		for len(batch) < together {
			select {
			case w := <-p.questions:
				batch = append(batch, w)
			default:
				break more
			}
		}
		message := &gavelv1.StreamCheckFlowRequest{Detail: p.detail}
		for _, w := range batch {
			message.Questions = append(message.Questions, w.question)
		}
		p.mu.Lock()
		p.sent = append(p.sent, batch...)
		p.mu.Unlock()
		if err := stream.Send(message); err != nil {
			// Why is what is received says.
			return
		}
	}
}

// Hands answers to those who asked, in the order of their questions.
func (p *pipe) receive(stream flowStream) {
	for {
		message, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = status.Error(codes.Unavailable, "the server ended the stream")
			}
			p.end(err)
			return
		}
		if err := p.hand(message); err != nil {
			p.end(err)
			return
		}
	}
}

func (p *pipe) hand(message *gavelv1.StreamCheckFlowResponse) error {
	p.mu.Lock()
	if len(message.Results) > len(p.sent) {
		p.mu.Unlock()
		return fmt.Errorf("gavel: the server answered what it was not asked")
	}
	asked := p.sent[:len(message.Results)]
	p.sent = p.sent[len(message.Results):]
	p.mu.Unlock()
	for i, result := range message.Results {
		response, err := FlowAnswer(result)
		if response != nil {
			response.Revision, response.Staleness = message.Revision, message.Staleness
		}
		asked[i].answer <- answered{response, err}
	}
	return nil
}

// Ends the stream, for the first reason that is given.
func (p *pipe) end(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why != nil {
		return
	}
	p.why = why
	p.stop(why)
	close(p.done)
}

func (p *pipe) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.why
}
