package gavel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/tls/certprovider"
	"google.golang.org/grpc/credentials/tls/certprovider/pemfile"
	"google.golang.org/grpc/security/advancedtls"
	"google.golang.org/grpc/status"
)

// The options by which these servers are asked.
func (s *settings) credentials(servers []server) ([]grpc.DialOption, error) {
	if err := s.check(servers); err != nil {
		return nil, err
	}
	var options []grpc.DialOption
	if s.serverCA == "" {
		options = append(options, grpc.WithTransportCredentials(insecure.NewCredentials()))
	} else {
		tls, err := s.tls()
		if err != nil {
			return nil, err
		}
		options = append(options, tls)
		if s.serverName != "" {
			options = append(options, grpc.WithAuthority(s.serverName))
		}
	}
	if s.tokenFile != "" {
		token := &tokenFile{path: s.tokenFile, every: s.reload, isSecure: s.serverCA != ""}
		// Told now, and not with the first call.
		if _, err := token.read(); err != nil {
			return nil, fmt.Errorf("gavel: %w", err)
		}
		options = append(options, grpc.WithPerRPCCredentials(token))
	}
	return options, nil
}

// What cannot go together.
func (s *settings) check(servers []server) error {
	var wrong error
	say := func(is bool, what string, of ...any) {
		if is {
			wrong = errors.Join(wrong, fmt.Errorf("gavel: "+what, of...))
		}
	}
	hasTLS := s.serverCA != ""
	say(!hasTLS && s.serverName != "", "WithServerName goes with WithServerCA")
	say((s.clientCert == "") != (s.clientKey == ""), "WithClientCertificate takes a certificate and its key")
	say(!hasTLS && s.clientCert != "", "WithClientCertificate goes with WithServerCA")
	for _, server := range servers {
		say(hasTLS && server.path != "", "%s: over a unix socket no TLS is spoken: leave WithServerCA out, or the socket", server.given)
		say(hasTLS && server.http, "%s: does not go with WithServerCA", server.given)
		say(!hasTLS && server.https, "%s: goes with WithServerCA", server.given)
		exposed := s.tokenFile != "" && !hasTLS && !s.tokenWithoutTLS && !server.isNear()
		say(exposed, "%s: the token is not sent without TLS: use WithServerCA, or WithTokenWithoutTLS", server.given)
	}
	return wrong
}

// TLS, whose files are followed.
func (s *settings) tls() (grpc.DialOption, error) {
	// So that what cannot be read is told now: providers say so with the first connection.
	for _, file := range []string{s.serverCA, s.clientCert, s.clientKey} {
		if file == "" {
			continue
		}
		if _, err := os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("gavel: %w", err)
		}
	}
	roots, err := pemfile.NewProvider(pemfile.Options{RootFile: s.serverCA, RefreshDuration: s.reload})
	if err != nil {
		return nil, fmt.Errorf("gavel: %s: %w", s.serverCA, err)
	}
	options := &advancedtls.Options{
		RootOptions:      advancedtls.RootCertificateOptions{RootProvider: roots},
		VerificationType: advancedtls.CertAndHostVerification,
	}
	if s.clientCert != "" {
		var own certprovider.Provider
		own, err = pemfile.NewProvider(pemfile.Options{CertFile: s.clientCert, KeyFile: s.clientKey, RefreshDuration: s.reload})
		if err != nil {
			return nil, fmt.Errorf("gavel: %s: %w", s.clientCert, err)
		}
		options.IdentityOptions = advancedtls.IdentityCertificateOptions{IdentityProvider: own}
	}
	credentials, err := advancedtls.NewClientCreds(options)
	if err != nil {
		return nil, fmt.Errorf("gavel: %w", err)
	}
	return grpc.WithTransportCredentials(credentials), nil
}

// tokenFile sends a token, and follows its file.
type tokenFile struct {
	path     string
	every    time.Duration
	isSecure bool

	mu     sync.Mutex
	token  string
	looked time.Time
}

func (t *tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := t.read()
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

// It was looked at before whether it may be sent.
func (t *tokenFile) RequireTransportSecurity() bool { return t.isSecure }

func (t *tokenFile) read() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && time.Since(t.looked) < t.every {
		return t.token, nil
	}
	t.looked = time.Now()
	text, err := os.ReadFile(t.path)
	token := strings.TrimSpace(string(text))
	if err == nil && token == "" {
		err = fmt.Errorf("%s: there is no token in it", t.path)
	}
	if err != nil {
		// The old one may still be good.
		if t.token != "" {
			return t.token, nil
		}
		return "", err
	}
	t.token = token
	return token, nil
}
