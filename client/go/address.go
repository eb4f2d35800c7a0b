package gavel

import (
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// A server's address.
type server struct {
	// As it was given.
	given string
	// A path of a unix socket, or else host and port.
	path string
	host string
	port string
	// Whether it was said to be asked over TLS, or not.
	https, http bool
}

func parseServers(given []string) ([]server, error) {
	if len(given) == 0 {
		return nil, fmt.Errorf("gavel: no server is given")
	}
	var servers []server
	for _, address := range given {
		parsed, err := parseServer(address)
		if err != nil {
			return nil, err
		}
		servers = append(servers, parsed)
	}
	return servers, nil
}

func parseServer(given string) (server, error) {
	wrong := fmt.Errorf("gavel: %q is not an address: use HOST:PORT, https://HOST:PORT, http://HOST:PORT or unix:PATH", given)
	if path, ok := strings.CutPrefix(given, "unix:"); ok {
		// unix:///run/x and unix:/run/x are the same.
		if rest, ok := strings.CutPrefix(path, "//"); ok {
			path = rest
		}
		if path == "" {
			return server{}, wrong
		}
		return server{given: given, path: path}, nil
	}
	parsed := server{given: given}
	rest := given
	if before, after, ok := strings.Cut(given, "://"); ok {
		parsed.https, parsed.http = before == "https", before == "http"
		if !parsed.https && !parsed.http {
			return server{}, wrong
		}
		rest = strings.TrimSuffix(after, "/")
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil || host == "" {
		return server{}, wrong
	}
	if _, err := url.Parse("//" + rest); err != nil {
		return server{}, wrong
	}
	if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 {
		return server{}, wrong
	}
	parsed.host, parsed.port = host, port
	return parsed, nil
}

// Whether what is sent there stays on this machine.
func (s server) isNear() bool {
	if s.path != "" || s.host == "localhost" {
		return true
	}
	ip := net.ParseIP(s.host)
	return ip != nil && ip.IsLoopback()
}
