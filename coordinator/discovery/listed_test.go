package discovery_test

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
	"github.com/cloudretro/cloudretro/coordinator/discovery"
)

// listed follows coordinators as a worker of the Service "worker" does.
func (p place) listed(patience time.Duration, log *slog.Logger) *sets {
	p.Helper()
	cfg := discovery.SlicesConfig{API: p.api, Namespace: p.namespace, Service: "coordinator", Port: "http", Logger: log}
	own := cfg
	own.Service, own.Port = "worker", "media"
	return follow(p.T, func(ctx context.Context, update func([]string)) {
		discovery.NewListed(discovery.NewCoordinators(cfg), own, patience).Watch(ctx, func(set []discovery.Endpoint) {
			urls := []string{}
			for _, e := range set {
				urls = append(urls, e.URL)
			}
			update(urls)
		})
	})
}

// ownAddress is one of this host's that may stand in a slice.
func ownAddress(t *testing.T) string {
	t.Helper()
	list, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() {
			return p.Addr().String()
		}
	}
	t.Skip("SKIPPED: this host has no IPv4 address but its own loopback")
	return ""
}

// A worker joins when the cluster has listed it, ready or not; it does not matter
// which others are.
func TestListed(t *testing.T) {
	p := placeOf(t, clustertest.Connect(t))
	const v4 = discoveryv1.AddressTypeIPv4
	p.slice("c", "coordinator", v4, "RS 10.1.0.1")
	p.slice("w", "worker", v4, "RS 198.51.100.1")
	other := coordinators(t, p.api, p.namespace)
	l := p.listed(patient, nil)
	other.until("ws://10.1.0.1:8000")
	l.quiet()
	p.slice("elsewhere", "other", v4, " "+ownAddress(t))
	p.slice("c", "coordinator", v4, "RS 10.1.0.2")
	other.until("ws://10.1.0.2:8000") // the client hears of all that came before
	l.quiet()
	p.slice("w", "worker", v4, "RS 198.51.100.1", " "+ownAddress(t))
	if got := l.next(); got != "ws://10.1.0.2:8000" {
		t.Errorf("found %q", got)
	}
	p.slice("w", "worker", v4) // what was let in stays
	p.slice("c", "coordinator", v4, "RS 10.1.0.3")
	l.until("ws://10.1.0.3:8000")
}

// Who is never listed joins after a while, and says what is wrong.
func TestNeverListed(t *testing.T) {
	p := placeOf(t, clustertest.Connect(t))
	p.slice("c", "coordinator", discoveryv1.AddressTypeIPv4, "RS 10.1.0.1")
	log := &clustertest.Log{}
	l := p.listed(50*time.Millisecond, log.Logger())
	if got := l.next(); got != "ws://10.1.0.1:8000" {
		t.Errorf("found %q", got)
	}
	l.stop()
	if log.Count("gates will not relay") != 1 || log.Count("service=worker") != 1 {
		t.Errorf("logged %q", log)
	}
}

// One that is ended while it waits ends, and joins nobody.
func TestListedEnds(t *testing.T) {
	p := placeOf(t, clustertest.Connect(t))
	p.slice("c", "coordinator", discoveryv1.AddressTypeIPv4, "RS 10.1.0.1")
	log := &clustertest.Log{}
	l := p.listed(patient, log.Logger())
	l.stop()
	if l.quiet(); log.String() != "" {
		t.Errorf("logged %q", log)
	}
}

func TestListedName(t *testing.T) {
	cfg := discovery.SlicesConfig{Namespace: "n", Service: "coordinator"}
	own := discovery.SlicesConfig{Namespace: "n", Service: "worker"}
	if got := discovery.NewListed(discovery.NewCoordinators(cfg), own, 0).String(); got != "Service n/coordinator" {
		t.Errorf("a source of slices is %q", got)
	}
	addresses, err := discovery.New([]string{"10.0.0.1:8000"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := discovery.NewListed(addresses, own, 0).String(); got != "Service n/worker" {
		t.Errorf("a source without a name is %q", got)
	}
}
