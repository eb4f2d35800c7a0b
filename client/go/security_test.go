package gavel_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/gavel-pdp/gavel/client/go/gavelv1"

	gavel "github.com/gavel-pdp/gavel/client/go"
)

// An authority that issues certificates.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(time.Now().UnixNano()),
		Subject:               pkix.Name{CommonName: "authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

// A certificate and its key, in PEM.
type issued struct{ cert, key []byte }

// A certificate of this name.
func (a *authority) issue(name string) issued {
	a.t.Helper()
	own := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{name},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, own.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	block := func(kind string, bytes []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes})
	}
	return issued{block("CERTIFICATE", der), block("PRIVATE KEY", encoded)}
}

// Files that are replaced at once.
type files struct {
	t      *testing.T
	folder string
}

func (f files) put(name string, bytes []byte) string {
	f.t.Helper()
	path := filepath.Join(f.folder, name)
	if err := os.WriteFile(path+".new", bytes, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
	return path
}

func (f files) pair(name string, of issued) (cert, key string) {
	return f.put(name+".crt", of.cert), f.put(name+".key", of.key)
}

const quickly = 100 * time.Millisecond

func TestTLSWithCertificatesThatChange(t *testing.T) {
	t.Parallel()
	old, next := newAuthority(t), newAuthority(t)
	f := files{t, t.TempDir()}
	serverCert, serverKey := f.pair("server", old.issue("gavel"))
	callers := f.put("callers.crt", old.pem)
	server := start(t, "--tls-cert="+serverCert, "--tls-key="+serverKey, "--tls-client-ca="+callers,
		"--grant=user:agent=CheckFlow,GetSnapshot")
	ca := f.put("ca.crt", old.pem)
	cert, key := f.pair("agent", old.issue("agent"))
	client := connect(t, []string{"https://" + server.address}, gavel.WithServerCA(ca), gavel.WithServerName("gavel"),
		gavel.WithClientCertificate(cert, key), gavel.WithReload(quickly))
	ask := func() error {
		_, err := client.CheckFlow(t.Context(), flow("friend", "web", 80))
		return err
	}
	if err := ask(); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Authorize(t.Context(), &gavelv1.AuthorizeRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Fatal(err)
	}
	for _, err := range client.Revisions(t.Context()) {
		if status.Code(err) != codes.PermissionDenied {
			t.Fatal(err)
		}
	}
	// Everybody's authority is another one. The server is started anew, so that connections are, too.
	server.kill()
	f.pair("server", next.issue("gavel"))
	f.put("callers.crt", next.pem)
	f.put("ca.crt", next.pem)
	f.pair("agent", next.issue("agent"))
	server.startAgain()
	eventually(t, "new certificates are used", func() bool { return ask() == nil })

	// Who trusts another authority, expects another name, or shows nothing, is not let in.
	oldCA := f.put("old.crt", old.pem)
	for what, options := range map[string][]gavel.Option{
		"another authority": {gavel.WithServerCA(oldCA), gavel.WithServerName("gavel"), gavel.WithClientCertificate(cert, key)},
		"another name":      {gavel.WithServerCA(ca), gavel.WithServerName("other"), gavel.WithClientCertificate(cert, key)},
	} {
		other, err := gavel.New([]string{server.address}, options...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.CheckFlow(t.Context(), flow("friend", "web", 80)); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "x509") {
			t.Errorf("%s: %v", what, err)
		}
		_ = other.Close()
	}
	nobody := connect(t, []string{server.address}, gavel.WithServerCA(ca), gavel.WithServerName("gavel"))
	if _, err := nobody.CheckFlow(t.Context(), flow("friend", "web", 80)); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
}

// A JSON Web Token of a service account, signed with the key.
func token(t *testing.T, key *ecdsa.PrivateKey, name string) []byte {
	t.Helper()
	encode := func(of any) string {
		text, err := json.Marshal(of)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	now := time.Now().Unix()
	claims := map[string]any{
		"iss": "https://issuer", "aud": []string{"gavel"}, "sub": "system:serviceaccount:shop:" + name,
		"iat": now, "nbf": now, "exp": now + 600,
		"kubernetes.io": map[string]any{"namespace": "shop", "serviceaccount": map[string]any{"name": name, "uid": "u"}},
	}
	signed := encode(map[string]any{"alg": "ES256", "kid": "k", "typ": "JWT"}) + "." + encode(claims)
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return []byte(signed + "." + base64.RawURLEncoding.EncodeToString(signature))
}

// The key as a server takes it.
func keySet(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	point, err := public.(*ecdsa.PublicKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k", "x": encode(point[1:33]), "y": encode(point[33:]),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestTokensThatChange(t *testing.T) {
	t.Parallel()
	authority, key := newAuthority(t), newKey(t)
	f := files{t, t.TempDir()}
	cert, certKey := f.pair("server", authority.issue("gavel"))
	server := start(t, "--tls-cert="+cert, "--tls-key="+certKey, "--token-keys="+f.put("keys.json", keySet(t, key.Public())),
		"--token-issuer=https://issuer", "--grant=user:system:serviceaccount:shop:agent=*")
	path := f.put("token", append(token(t, key, "agent"), '\n'))
	client := connect(t, []string{server.address}, gavel.WithServerCA(f.put("ca.crt", authority.pem)), gavel.WithTokenFile(path), gavel.WithReload(quickly))
	ask := func() codes.Code {
		_, err := client.CheckFlow(t.Context(), flow("friend", "web", 80))
		return status.Code(err)
	}
	if code := ask(); code != codes.OK {
		t.Fatal(code)
	}
	f.put("token", token(t, key, "other"))
	eventually(t, "the other token is sent", func() bool { return ask() == codes.PermissionDenied })
	f.put("token", token(t, newKey(t), "agent"))
	eventually(t, "a token that is no good is sent", func() bool { return ask() == codes.Unauthenticated })
	f.put("token", token(t, key, "agent"))
	eventually(t, "the good token is sent again", func() bool { return ask() == codes.OK })
	// Without its file the last one stays.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * quickly)
	if code := ask(); code != codes.OK {
		t.Fatal(code)
	}
}

func TestWhatCannotGoTogetherIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	f := files{t, t.TempDir()}
	ca, some := f.put("ca.crt", newAuthority(t).pem), f.put("token", []byte("token"))
	for _, wrong := range []struct {
		server  string
		options []gavel.Option
		part    string
	}{
		{"a:1", []gavel.Option{gavel.WithServerName("x")}, "WithServerCA"},
		{"a:1", []gavel.Option{gavel.WithClientCertificate("x", "y")}, "goes with WithServerCA"},
		{"a:1", []gavel.Option{gavel.WithServerCA(ca), gavel.WithClientCertificate("x", "")}, "a certificate and its key"},
		{"a:1", []gavel.Option{gavel.WithServerCA("/nowhere")}, "/nowhere"},
		{"https://a:1", nil, "goes with WithServerCA"},
		{"http://a:1", []gavel.Option{gavel.WithServerCA(ca)}, "does not go with WithServerCA"},
		{"unix:/x", []gavel.Option{gavel.WithServerCA(ca)}, "no TLS is spoken"},
		{"10.0.0.1:1", []gavel.Option{gavel.WithTokenFile(some)}, "the token is not sent without TLS"},
		{"127.0.0.1:1", []gavel.Option{gavel.WithTokenFile("/nowhere")}, "/nowhere"},
		{"127.0.0.1:1", []gavel.Option{gavel.WithTokenFile(f.put("empty", nil))}, "there is no token in it"},
	} {
		client, err := gavel.New([]string{wrong.server}, wrong.options...)
		if err == nil {
			_ = client.Close()
			t.Errorf("%s: nothing was said of %s", wrong.server, wrong.part)
		} else if !strings.Contains(err.Error(), wrong.part) {
			t.Errorf("%s: %v", wrong.part, err)
		}
	}
	for _, good := range []gavel.Option{gavel.WithTokenFile(some)} {
		for _, address := range []string{"127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/x"} {
			client, err := gavel.New([]string{address}, good)
			if err != nil {
				t.Errorf("%s: %v", address, err)
				continue
			}
			_ = client.Close()
		}
	}
	client, err := gavel.New([]string{"10.0.0.1:1"}, gavel.WithTokenFile(some), gavel.WithTokenWithoutTLS())
	if err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
}
