package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/acme"
	"github.com/cloudretro/cloudretro/coordinator/certificate/certificatetest"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

const httpsKey = "coordinator.server.tls"

// Every key of HTTPS reaches the coordinator.
func TestDoorTLS(t *testing.T) {
	cfg := defaults(t, httpsKey+".domain=play.example.org", httpsKey+".acme.domains=b.example.org", httpsKey+".acme.email=me@example.org",
		httpsKey+".acme.cacheDir=/keep", httpsKey+".acme.directoryURL=https://ca.example.org/dir", httpsKey+".acme.caFile=/ca.pem",
		httpsKey+".redirectPort=443", httpsKey+".hsts=24h")
	want := coordinator.TLS{RedirectPort: 443, HSTS: 24 * time.Hour, ACME: acme.Config{
		Domains: []string{"play.example.org", "b.example.org"}, Email: "me@example.org", CacheDir: "/keep",
		DirectoryURL: "https://ca.example.org/dir", CAFile: "/ca.pem",
	}}
	if got := doorTLS(cfg.Coordinator.Server.TLS); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	cfg = defaults(t, httpsKey+".domain=play.example.org", httpsKey+".httpsCert=/c", httpsKey+".httpsKey=/k")
	if got := doorTLS(cfg.Coordinator.Server.TLS); got.CertFile != "/c" || got.KeyFile != "/k" || len(got.ACME.Domains) > 0 {
		t.Errorf("with files: %+v", got)
	}
}

func TestPortOf(t *testing.T) {
	for _, test := range []struct {
		bound, seen int
		want        string
	}{{443, 0, ""}, {8443, 0, ":8443"}, {8443, 443, ""}, {443, 8443, ":8443"}} {
		if got := portOf(&net.TCPAddr{Port: test.bound}, test.seen); got != test.want {
			t.Errorf("%+v: %q", test, got)
		}
	}
}

// A port that is taken is told by the key that it comes from.
func TestHTTPSPortsInUse(t *testing.T) {
	m := certificatetest.NewMount(t, certificatetest.New(t, "127.0.0.1", time.Now().Add(time.Hour)))
	taken := busyTCP(t)
	for key, set := range map[string][]string{
		httpsKey + ".address":        {httpsKey + ".address=" + taken, "coordinator.server.address=127.0.0.1:0"},
		"coordinator.server.address": {httpsKey + ".address=127.0.0.1:0", "coordinator.server.address=" + taken},
	} {
		cfg := defaults(t, append(set, "coordinator.server.https=true", httpsKey+".httpsCert="+m.Cert, httpsKey+".httpsKey="+m.Key,
			"secrets.worker=0123456789abcdef0", "ops.address=")...)
		_, err := build(t.Context(), cfg, roles{coordinator: true}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.HasPrefix(err.Error(), key+" ") || !strings.Contains(err.Error(), "another program listens there") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// One process with HTTPS: its gate joins its coordinator, though the certificate
// is for another name; browsers are sent on; metrics tell the certificate's end.
func TestHTTPSHouse(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	m := certificatetest.NewMount(t, certificatetest.New(t, "play.example.org", end))
	var log clustertest.Log
	h, stop := runHouse(t, defaults(t, "coordinator.server.https=true", httpsKey+".httpsCert="+m.Cert, httpsKey+".httpsKey="+m.Key,
		httpsKey+".address=127.0.0.1:0", "coordinator.server.address=127.0.0.1:0", "turn.listeners=[{protocol: udp, address: '127.0.0.1:0'}]",
		"secrets.worker=0123456789abcdef0", "ops.address="), roles{coordinator: true, turn: true}, &log)
	defer stop()
	log.Await(t, "gate joined")
	if !strings.HasPrefix(h.page, "https://127.0.0.1:") || !strings.HasPrefix(h.local, "http://127.0.0.1:") {
		t.Errorf("the page is at %s, roles join at %s", h.page, h.local)
	}
	registry, err := newRegistry(h.metrics)
	if err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "cloudretro_coordinator_certificate_") && f.GetMetric()[0].GetLabel()[0].GetValue() == m.Cert {
			found[f.GetName()] = f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"cloudretro_coordinator_certificate_expiry_timestamp_seconds": float64(end.Unix()), "cloudretro_coordinator_certificate_failures_total": 0,
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("metrics %v, want %v", found, want)
	}
}

// With ACME the page is greeted by its name, and its certificate is awaited.
func TestACMEHouse(t *testing.T) {
	authority := http.Server{Handler: http.NotFoundHandler()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = authority.Serve(listener) }()
	defer authority.Close()
	cfg := defaults(t, "coordinator.server.https=true", httpsKey+".domain=play.example.org", httpsKey+".acme.cacheDir="+t.TempDir()+"/acme",
		"coordinator.server.address=127.0.0.1:0", httpsKey+".address=127.0.0.1:0", httpsKey+".redirectPort=443",
		httpsKey+".acme.directoryURL=https://"+listener.Addr().String(), "secrets.worker=0123456789abcdef0", "ops.address=")
	h, err := build(t.Context(), cfg, roles{coordinator: true}, newLogger(io.Discard, cfg.Log))
	if err != nil {
		t.Fatal(err)
	}
	if line := h.welcome(); line != "CloudRetro plays at https://play.example.org\n" {
		t.Errorf("greeting %q", line)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := supervise(ctx, h.parts, soon, h.log); err != nil {
		t.Errorf("an end at once: %v", err)
	}
}
