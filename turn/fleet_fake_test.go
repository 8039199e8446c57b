package turn

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/gateway"
)

// fleet is a running Fleet.
type fleet struct {
	*Fleet
	t    *testing.T
	stop func()
}

func startFleet(t *testing.T, grace time.Duration) fleet {
	t.Helper()
	f := NewFleet(Config{DrainGrace: grace, Logger: logOf(t)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() { // what drains does not hold up the test
		cancel()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return fleet{f, t, cancel}
}

// serves applies and wants no errors.
func (f fleet) serves(listeners ...gateway.Listener) {
	f.t.Helper()
	if failed := f.Apply(f.t.Context(), listeners); len(failed) > 0 {
		f.t.Fatalf("not served: %v", failed)
	}
}

// refuses applies and wants one error, of a listener.
func (f fleet) refuses(id, says string, listeners ...gateway.Listener) {
	f.t.Helper()
	failed := f.Apply(f.t.Context(), listeners)
	if len(failed) != 1 || failed[id] == nil || !strings.Contains(failed[id].Error(), says) {
		f.t.Fatalf("%v; want one error, of %s, that says %q", failed, id, says)
	}
}

// gate is the one that serves a listener.
func (f fleet) gate(l gateway.Listener) gate {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.members {
		if m.serves(l) {
			return gate{Gate: m.gate}
		}
	}
	f.t.Fatalf("%s is not served", l.ID)
	return gate{}
}

// count is the number of gates, those that drain included.
func (f fleet) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.members)
}

// listenerOf is a listener at a free port that may reach some workers.
func listenerOf(t *testing.T, id, protocol string, workers ...*net.UDPConn) gateway.Listener {
	t.Helper()
	l := gateway.Listener{ID: id, Protocol: protocol, Port: freePort(t), Realm: defaultRealm, Secrets: []string{secret}}
	for _, w := range workers {
		l.Endpoints = append(l.Endpoints, endpoint(w))
	}
	return l
}

func endpoint(conn *net.UDPConn) netip.AddrPort {
	a, _ := addrPort(conn.LocalAddr())
	return a
}

// freePort is one that both transports have free.
func freePort(t *testing.T) uint16 {
	t.Helper()
	for range 100 {
		conn, err := net.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		ln, err := net.Listen("tcp", ":"+strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port))
		if err == nil {
			ln.Close()
			return uint16(conn.LocalAddr().(*net.UDPAddr).Port)
		}
	}
	t.Fatal("no port is free")
	return 0
}

// session is a relay with a channel to a worker.
func (f fleet) session(l gateway.Listener, worker *net.UDPConn) *caller {
	f.t.Helper()
	c := f.gate(l).call(f.t, 0).minted("abc").allocate()
	if code := c.ask(stun.MethodChannelBind, channel(minChannel), xorPeer(endpoint(worker))); code != 0 {
		f.t.Fatalf("the worker is refused: %d %s", code, c.wasRefused)
	}
	c.carries(f.t, minChannel, worker)
	return c
}
