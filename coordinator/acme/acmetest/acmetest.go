// Package acmetest runs a real ACME authority for tests: pebble, the test server
// of Let's Encrypt, inside the test's process. It validates over real sockets
// and finds every domain at 127.0.0.1.
package acmetest

import (
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
	"github.com/miekg/dns"
	"go.uber.org/goleak"
)

// Authority is a running pebble. It answers 503 until Serve is called.
type Authority struct {
	// DirectoryURL is where it is asked, CAFile what it is trusted by.
	DirectoryURL, CAFile string
	// Orders counts the requests for a certificate, those refused for their nonce too.
	Orders atomic.Int64

	t       testing.TB
	server  *httptest.Server
	handler atomic.Pointer[http.Handler]
	ca      *ca.CAImpl
}

// New starts an authority, which ends with the test. It sets environment
// variables of pebble, so the test may not be parallel.
func New(t testing.TB) *Authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	t.Setenv("PEBBLE_WFE_NONCEREJECT", "20") // clients must live with that
	a := &Authority{t: t}
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(a.serve))
	a.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	a.DirectoryURL = a.server.URL + wfe.DirectoryPath
	a.CAFile = filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	if err := os.WriteFile(a.CAFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *Authority) serve(rw http.ResponseWriter, r *http.Request) {
	handler := a.handler.Load()
	if handler == nil {
		http.Error(rw, "not yet", http.StatusServiceUnavailable)
		return
	}
	if r.URL.Path == "/order-plz" {
		a.Orders.Add(1)
	}
	(*handler).ServeHTTP(rw, r)
}

// Serve lets it validate at two ports of 127.0.0.1, those of HTTP-01 and
// TLS-ALPN-01, and issue for a life in whole seconds, except for what is blocked.
func (a *Authority) Serve(httpPort, tlsPort int, life time.Duration, blocked ...string) {
	a.t.Helper()
	log := slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo) // it outlives the test
	store := db.NewMemoryStore()
	for _, name := range blocked {
		if err := store.AddBlockedDomain(name); err != nil {
			a.t.Fatal(err)
		}
	}
	profile := ca.Profile{Description: "for tests", ValidityPeriod: uint64(life.Seconds()) + 1}
	a.ca = ca.New(log, store, "", "ecdsa", 0, 1, map[string]ca.Profile{"default": profile})
	validator := va.New(log, httpPort, tlsPort, false, a.resolver(), store)
	front := wfe.New(log, store, validator, a.ca, []string{"pebble.test"}, true, false, 1, 1)
	handler := front.Handler()
	a.handler.Store(&handler)
}

// Roots trust the certificates that it issues. Call Serve before.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.ca.GetRootCert(0).Cert)
	return pool
}

// Leaks are the goroutines that a pebble leaves behind, for goleak.
func Leaks() goleak.Option {
	return goleak.IgnoreTopFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks")
}

// resolver starts a DNS server that finds every name at 127.0.0.1.
func (a *Authority) resolver() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		a.t.Fatal(err)
	}
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(answer)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe() // until it is shut down
	}()
	a.t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

func answer(w dns.ResponseWriter, question *dns.Msg) {
	reply := new(dns.Msg).SetReply(question)
	for _, q := range question.Question {
		if q.Qtype == dns.TypeA {
			reply.Answer = append(reply.Answer, &dns.A{
				Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.IPv4(127, 0, 0, 1),
			})
		}
	}
	_ = w.WriteMsg(reply) // who asked may be gone
}
