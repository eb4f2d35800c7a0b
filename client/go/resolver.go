package gavel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc/resolver"
)

// The scheme by which a client's own resolver is asked.
const scheme = "gavel"

// How often hosts are looked up: replicas come and go. And how soon again, when connections fail.
const (
	lookUpEvery = 30 * time.Second
	lookUpAgain = time.Second
)

// resolverBuilder resolves all of a client's servers together: those by name, those by address, and unix sockets.
type resolverBuilder struct {
	servers []server
}

func (b *resolverBuilder) Scheme() string { return scheme }

func (b *resolverBuilder) Build(_ resolver.Target, conn resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	ctx, stop := context.WithCancel(context.Background())
	r := &lookUps{servers: b.servers, conn: conn, stop: stop, now: make(chan struct{}, 1)}
	go r.run(ctx)
	return r, nil
}

type lookUps struct {
	servers []server
	conn    resolver.ClientConn
	stop    context.CancelFunc
	now     chan struct{}
}

func (r *lookUps) ResolveNow(resolver.ResolveNowOptions) {
	select {
	case r.now <- struct{}{}:
	default:
	}
}

func (r *lookUps) Close() { r.stop() }

func (r *lookUps) run(ctx context.Context) {
	for {
		r.lookUp(ctx)
		last := time.Now()
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookUpEvery):
		case <-r.now:
			// Not as often as connections fail.
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(last.Add(lookUpAgain))):
			}
		}
	}
}

// What can be resolved is told; what cannot is an error only when nothing can.
func (r *lookUps) lookUp(ctx context.Context) {
	var endpoints []resolver.Endpoint
	var failed error
	add := func(address resolver.Address) {
		endpoints = append(endpoints, resolver.Endpoint{Addresses: []resolver.Address{address}})
	}
	for _, server := range r.servers {
		if server.path != "" {
			add(resolver.Address{Addr: "unix:" + server.path, ServerName: "localhost"})
			continue
		}
		found, err := net.DefaultResolver.LookupHost(ctx, server.host)
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", server.given, err))
		}
		for _, ip := range found {
			add(resolver.Address{Addr: net.JoinHostPort(ip, server.port), ServerName: server.host})
		}
	}
	if ctx.Err() != nil {
		return
	}
	if len(endpoints) == 0 {
		r.conn.ReportError(failed)
		return
	}
	// What the balancer thinks of it comes about later.
	_ = r.conn.UpdateState(resolver.State{Endpoints: endpoints})
}
