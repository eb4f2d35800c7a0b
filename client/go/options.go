package gavel

import (
	"context"
	"time"

	"google.golang.org/grpc"
)

// How long a call may take when nothing else is said.
const defaultTimeout = 5 * time.Second

// How often files of certificates and tokens are looked at.
const defaultReload = 5 * time.Second

// Option sets something of a [Client].
type Option func(*settings)

type settings struct {
	timeout         time.Duration
	serverCA        string
	serverName      string
	clientCert      string
	clientKey       string
	tokenFile       string
	tokenWithoutTLS bool
	reload          time.Duration
	dial            []grpc.DialOption
}

// The context with the client's own deadline, unless it has one.
func (s *settings) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, s.timeout)
}

func defaults() settings {
	return settings{timeout: defaultTimeout, reload: defaultReload}
}

// WithTimeout sets how long a call may take whose context has no deadline: 5 seconds unless said otherwise.
func WithTimeout(timeout time.Duration) Option {
	return func(s *settings) { s.timeout = timeout }
}

// WithServerCA has servers asked over TLS. file has the authorities of their certificates, in PEM, and no other authority is
// trusted. It is read again when it changes. Over unix sockets no TLS is spoken.
func WithServerCA(file string) Option {
	return func(s *settings) { s.serverCA = file }
}

// WithServerName sets the name that servers' certificates must be for, instead of the host of the address.
func WithServerName(name string) Option {
	return func(s *settings) { s.serverName = name }
}

// WithClientCertificate has this certificate shown to servers: files in PEM, the certificate's with its intermediates. They
// are read again when they change.
func WithClientCertificate(certFile, keyFile string) Option {
	return func(s *settings) { s.clientCert, s.clientKey = certFile, keyFile }
}

// WithTokenFile has the token in this file sent with each call, such as a service account's. It is read again when it
// changes. Without TLS it is sent to loopback addresses and unix sockets alone.
func WithTokenFile(file string) Option {
	return func(s *settings) { s.tokenFile = file }
}

// WithTokenWithoutTLS has the token sent without TLS to any address: whoever sees the packets can use it.
func WithTokenWithoutTLS() Option {
	return func(s *settings) { s.tokenWithoutTLS = true }
}

// WithReload sets how often files of certificates and tokens are looked at: every 5 seconds unless said otherwise.
func WithReload(every time.Duration) Option {
	return func(s *settings) { s.reload = every }
}

// WithDialOptions adds options of gRPC's, such as interceptors or a stats handler for traces.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}
