package gavel

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"google.golang.org/grpc"
	// Replicas that are not ready are left out: the health checks of a service config need it.
	_ "google.golang.org/grpc/health"
	"google.golang.org/grpc/keepalive"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"
)

// The service, as health checks and service configs name it.
const service = "gavel.v1.PolicyDecision"

// Answers may be as large as this: a ledger over many policies is long.
const maxAnswerBytes = 64 << 20

// Client asks the replicas of a server. It is safe for concurrent use.
type Client struct {
	settings settings
	servers  []server
	conn     *grpc.ClientConn
	stub     gavelv1.PolicyDecisionClient
}

// New makes a client of these servers, each "HOST:PORT", "https://HOST:PORT", "http://HOST:PORT" or "unix:PATH". A host that
// has several addresses counts as so many replicas, and is looked up again and again. It connects when it is first asked.
//
// It fails when an address cannot be read, or the files that options name cannot be used.
func New(servers []string, options ...Option) (*Client, error) {
	settings := defaults()
	for _, option := range options {
		option(&settings)
	}
	parsed, err := parseServers(servers)
	if err != nil {
		return nil, err
	}
	client := &Client{settings: settings, servers: parsed}
	client.conn, err = client.dial(parsed, balanced())
	if err != nil {
		return nil, err
	}
	client.stub = gavelv1.NewPolicyDecisionClient(client.conn)
	return client, nil
}

// Close ends the client's connections. Sessions that were opened from it are ended by their own Close.
func (c *Client) Close() error {
	return c.conn.Close()
}

// Stub is the generated client on the same connections, for calls with options of their own. Its calls have no deadline but
// their context's.
func (c *Client) Stub() gavelv1.PolicyDecisionClient {
	return c.stub
}

// Admit asks whether a pod may be created or updated, by this user or service account.
func (c *Client) Admit(ctx context.Context, request *gavelv1.AdmitRequest) (*gavelv1.AdmitResponse, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.stub.Admit(ctx, request)
}

// CheckFlow asks whether one end may open a connection to the other. An end that does not exist is an error, never a denial:
// see [Field].
func (c *Client) CheckFlow(ctx context.Context, request *gavelv1.CheckFlowRequest) (*gavelv1.CheckFlowResponse, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.stub.CheckFlow(ctx, request)
}

// Authorize asks whether a subject may do something, by RBAC.
func (c *Client) Authorize(ctx context.Context, request *gavelv1.AuthorizeRequest) (*gavelv1.AuthorizeResponse, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.stub.Authorize(ctx, request)
}

// BatchAdmit asks about many pods at once; one snapshot answers all of them, in their order, and each fails alone: see
// [AdmitAnswer].
func (c *Client) BatchAdmit(ctx context.Context, request *gavelv1.BatchAdmitRequest) (*gavelv1.BatchAdmitResponse, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.stub.BatchAdmit(ctx, request)
}

// BatchCheckFlow asks about many flows at once; one snapshot answers all of them, in their order, and each fails alone: see
// [FlowAnswer].
func (c *Client) BatchCheckFlow(ctx context.Context, request *gavelv1.BatchCheckFlowRequest) (*gavelv1.BatchCheckFlowResponse, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.stub.BatchCheckFlow(ctx, request)
}

// GetSnapshot asks what answers are made from. consistency may be nil.
func (c *Client) GetSnapshot(ctx context.Context, consistency *gavelv1.Consistency) (*gavelv1.GetSnapshotResponse, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return c.stub.GetSnapshot(ctx, &gavelv1.GetSnapshotRequest{Consistency: consistency})
}

func (c *Client) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	return c.settings.deadline(ctx)
}

// Connects to servers, as the config says.
func (c *Client) dial(servers []server, config string) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithResolvers(&resolverBuilder{servers: servers}),
		grpc.WithDefaultServiceConfig(config),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswerBytes)),
		// A server that is gone without a word is noticed.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 5 * time.Second, PermitWithoutStream: true}),
		grpc.WithUserAgent("gavel-go"),
	}
	security, err := c.settings.credentials(servers)
	if err != nil {
		return nil, err
	}
	options = append(options, security...)
	options = append(options, c.settings.dial...)
	return grpc.NewClient(scheme+":///", options...)
}

// A service config: all replicas in turn, those alone that serve, and once more what one of them did not answer.
func balanced() string {
	return config([]any{map[string]any{"round_robin": map[string]any{}}}, true)
}

// A service config: one server.
func pinned() string {
	return config([]any{map[string]any{"pick_first": map[string]any{"shuffleAddressList": true}}}, false)
}

func config(balancing []any, again bool) string {
	method := map[string]any{"name": []any{map[string]any{"service": service}}}
	config := map[string]any{"loadBalancingConfig": balancing, "methodConfig": []any{method}}
	if again {
		config["healthCheckConfig"] = map[string]any{"serviceName": service}
		method["retryPolicy"] = map[string]any{
			"maxAttempts":          3,
			"initialBackoff":       "0.05s",
			"maxBackoff":           "1s",
			"backoffMultiplier":    2,
			"retryableStatusCodes": []any{"UNAVAILABLE"},
		}
	}
	written, err := json.Marshal(config)
	if err != nil {
		// Maps, texts and numbers are JSON.
		panic(err)
	}
	return string(written)
}

// ErrClosed is why nothing is answered any more: the session, or the stream, was closed by its owner.
var ErrClosed = errors.New("gavel: closed")
