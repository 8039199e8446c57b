package discovery_test

import (
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
	"github.com/cloudretro/cloudretro/coordinator/cluster/clustertest"
)

// cable is a TCP proxy to an API server that can be pulled out.
type cable struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup
	refused  atomic.Int64 // connections while it was out

	mu    sync.Mutex
	out   bool
	conns map[net.Conn]struct{}
}

// plug makes one, and a client whose way leads through it.
func plug(t *testing.T, c *cluster.Cluster) (*cable, *cluster.API) {
	t.Helper()
	server, err := url.Parse(c.REST.Host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	k := &cable{listener: l, target: server.Host, conns: map[net.Conn]struct{}{}}
	k.group.Go(k.serve)
	t.Cleanup(func() {
		l.Close()
		k.pull(true)
		k.group.Wait()
	})
	cfg := rest.CopyConfig(c.REST)
	cfg.Host, cfg.ServerName = "https://"+l.Addr().String(), server.Hostname()
	return k, clientOf(t, cfg)
}

// pull takes it out, which cuts all connections, or puts it back.
func (k *cable) pull(out bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.out = out
	for c := range k.conns {
		if out {
			c.Close()
		}
	}
}

func (k *cable) serve() {
	for {
		near, err := k.listener.Accept()
		if err != nil {
			return
		}
		k.group.Go(func() { k.carry(near) })
	}
}

func (k *cable) carry(near net.Conn) {
	defer near.Close()
	far, err := net.Dial("tcp", k.target)
	if err != nil {
		return
	}
	defer far.Close()
	k.mu.Lock()
	if k.out {
		k.mu.Unlock()
		k.refused.Add(1)
		return
	}
	k.conns[near], k.conns[far] = struct{}{}, struct{}{}
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.conns, near)
		delete(k.conns, far)
	}()
	var group sync.WaitGroup
	defer group.Wait()
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		to.Close()
		from.Close()
	}
	group.Go(func() { pipe(far, near) })
	pipe(near, far)
}

// While the API server is away what was known stays, and nothing is said; when it
// is back, what has changed meanwhile is, and nothing in between.
func TestServerAway(t *testing.T) {
	c := clustertest.Connect(t)
	p := placeOf(t, c)
	const v4 = discoveryv1.AddressTypeIPv4
	p.slice("c", "coordinator", v4, "RS 10.1.0.1")
	p.slice("w1", "worker", v4, "RS 10.2.0.1")
	p.slice("w2", "worker", v4, "RS 10.2.0.2")
	p.gates(corev1.ServiceTypeLoadBalancer)
	p.balance(`[{"ip": "192.0.2.1"}]`)
	k, client := plug(t, c)
	found, peers, gates := coordinators(t, client, p.namespace), workers(t, client, p.namespace), relays(t, client, p.namespace, nil)
	for s, want := range map[*sets]string{
		found: "ws://10.1.0.1:8000", peers: "10.2.0.1:8443 10.2.0.2:8443", gates: at("192.0.2.1", 3478, 3478),
	} {
		if got := s.next(); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	k.pull(true)
	p.slice("c", "coordinator", v4, "RS 10.1.0.1", "RS 10.1.0.2")
	p.slice("w2", "worker", v4, "RS 10.2.0.3")
	p.balance(`[{"ip": "192.0.2.2"}]`)
	until(t, "attempts to reach it", func() bool { return k.refused.Load() >= 6 })
	for _, s := range []*sets{found, peers, gates} {
		s.quiet()
	}
	k.pull(false)
	for s, want := range map[*sets]string{
		found: "ws://10.1.0.1:8000 ws://10.1.0.2:8000", peers: "10.2.0.1:8443 10.2.0.3:8443", gates: at("192.0.2.2", 3478, 3478),
	} {
		if got := s.next(); got != want {
			t.Errorf("found %q, want %q", got, want)
		}
	}
	p.balance(`[{"ip": "192.0.2.3"}]`)
	gates.until(at("192.0.2.3", 3478, 3478))
	for _, s := range []*sets{found, peers, gates} {
		s.stop()
		s.quiet()
	}
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patient); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("no %s", what)
		}
	}
}
