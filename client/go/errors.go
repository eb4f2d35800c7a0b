package gavel

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"
)

// QuestionError is why one question among many has no answer.
type QuestionError struct {
	// The code that it would have had as a call of its own.
	Code codes.Code
	// What is wrong.
	Message string
	// The field of the question that is to blame, as far as one is: "destination.pod.name".
	Field string
}

func (e *QuestionError) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("gavel: %s: %s", e.Field, e.Message)
	}
	return fmt.Sprintf("gavel: %s: %s", e.Code, e.Message)
}

// GRPCStatus is the same as a status of gRPC's: status.Code and status.Convert know it.
func (e *QuestionError) GRPCStatus() *status.Status {
	return status.New(e.Code, e.Message)
}

func questionError(e *gavelv1.QuestionError) error {
	return &QuestionError{Code: codes.Code(e.GetCode()), Message: e.GetMessage(), Field: e.GetField()}
}

// FlowAnswer is the answer of one result of a batch, or a [*QuestionError].
func FlowAnswer(result *gavelv1.CheckFlowResult) (*gavelv1.CheckFlowResponse, error) {
	switch result := result.GetResult().(type) {
	case *gavelv1.CheckFlowResult_Answer:
		return result.Answer, nil
	case *gavelv1.CheckFlowResult_Error:
		return nil, questionError(result.Error)
	default:
		return nil, errors.New("gavel: the server sent a result without an answer")
	}
}

// AdmitAnswer is the answer of one result of a batch, or a [*QuestionError].
func AdmitAnswer(result *gavelv1.AdmitResult) (*gavelv1.AdmitResponse, error) {
	switch result := result.GetResult().(type) {
	case *gavelv1.AdmitResult_Answer:
		return result.Answer, nil
	case *gavelv1.AdmitResult_Error:
		return nil, questionError(result.Error)
	default:
		return nil, errors.New("gavel: the server sent a result without an answer")
	}
}

// Field is the field of the question that is to blame for an error, such as "destination.pod.name"; "" if none is. An error
// with a field is the question's: asking again does not help.
func Field(err error) string {
	var question *QuestionError
	if errors.As(err, &question) {
		return question.Field
	}
	for _, detail := range status.Convert(err).Details() {
		if bad, ok := detail.(*errdetails.BadRequest); ok {
			for _, violation := range bad.GetFieldViolations() {
				return violation.GetField()
			}
		}
	}
	return ""
}

// RetryAfter is how long to wait before asking again, where a server that is asked too much says so.
func RetryAfter(err error) (time.Duration, bool) {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}

// IsUnavailable tells whether asking again later may help: no server answers, or none in time, or it is asked too much.
func IsUnavailable(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted:
		return true
	default:
		return false
	}
}

// The end of a context, as gRPC tells it.
func contextError(ctx context.Context) error {
	return status.FromContextError(ctx.Err()).Err()
}
