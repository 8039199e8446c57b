package turn

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/turn/v2"

	"github.com/cloudretro/cloudretro/turn/relay"
)

var (
	errNoTCP   = errors.New("only UDP is relayed")
	errNoRelay = errors.New("no address of this family to relay from; set turn.relayAddress")
)

// Ports that an even one is chosen from (RFC 8656 7.2), and how often.
const (
	minRelayPort  = 49152
	evenPorts     = 8192
	evenPortTries = 32
)

// allocation is the relayed socket of one client, and what is kept of it.
type allocation struct {
	*relay.Allocation
	door   *door
	client netip.AddrPort
	who    account
	key    []byte // that the client proved itself with
	six    bool
	port   uint16
	since  time.Time
	once   sync.Once
	ended  atomic.Bool // by pion/turn
}

// ReadFrom waits for what peers without a channel send. pion/turn calls it in a
// goroutine of each allocation. When that fails it ends, by its 5-tuple, the
// allocation that the client has, which is the next one if this was ended by
// pion itself: that has forgotten it and has nothing left to do, so the
// goroutine ends here.
func (a *allocation) ReadFrom(p []byte) (int, net.Addr, error) {
	n, from, err := a.Allocation.ReadFrom(p)
	if err != nil && a.ended.Load() {
		runtime.Goexit()
	}
	return n, from, err
}

// Close frees the socket, counts it out and logs what it carried. pion/turn
// calls it when it has forgotten the allocation. It may be called more than once.
func (a *allocation) Close() error {
	var err error
	a.once.Do(func() {
		a.ended.Store(true)
		err = a.Allocation.Close()
		a.door.release(a)
	})
	return err
}

// Validate is part of pion's RelayAddressGenerator.
func (d *door) Validate() error { return nil }

// AllocateConn is part of pion's RelayAddressGenerator, for RFC 6062.
func (d *door) AllocateConn(string, int) (net.Conn, net.Addr, error) { return nil, nil, errNoTCP }

var _ turn.RelayAddressGenerator = (*door)(nil)

// AllocatePacketConn makes the relayed socket for the request at hand. It is
// bound to all addresses, so that workers on loopback and on any network are
// reached alike; the address that is announced is the one on the way to the
// client. pion/turn always asks for IPv4; the family is what the client asked
// for.
func (d *door) AllocatePacketConn(string, int) (net.PacketConn, net.Addr, error) {
	x := &d.at
	announced, err := d.announced(x.client, x.wish.six)
	if err != nil {
		return nil, nil, err
	}
	if why := d.gate.quota.reserve(x.who, x.client.Addr()); why != passed {
		d.refused[why].Add(1)
		return nil, nil, fmt.Errorf("relay refused: %s", why)
	}
	conn, err := d.bind(announced, x.wish)
	if err != nil {
		d.gate.quota.release(x.who, x.client.Addr())
		d.gate.log.Warn("no relayed socket", "client", x.client, "cause", err)
		d.refused[RefusedCapacity].Add(1)
		return nil, nil, err
	}
	local, _ := addrPort(conn.LocalAddr())
	a := &allocation{
		Allocation: conn, door: d, client: x.client, who: x.who, key: x.key,
		six: x.wish.six, port: local.Port(), since: time.Now(),
	}
	d.gate.own.add(a.port, a.since)
	d.gate.admission.enter(a.client)
	d.opened.Add(1)
	d.open.Add(1)
	d.mu.Lock()
	d.allocations[a.client] = a
	d.mu.Unlock()
	return a, a.LocalAddr(), nil
}

// bind opens a socket for the request at hand.
func (d *door) bind(announced netip.Addr, w wish) (*relay.Allocation, error) {
	cfg := relay.AllocationConfig{
		Local: netip.AddrPortFrom(unspecified(w.six), 0), Announced: announced,
		Bandwidth: d.gate.current.Load().bandwidth / 8,
	}
	if !w.even {
		return d.Open(cfg)
	}
	var err error
	for range evenPortTries {
		var conn *relay.Allocation
		cfg.Local = netip.AddrPortFrom(cfg.Local.Addr(), uint16(minRelayPort+2*rand.IntN(evenPorts)))
		if conn, err = d.Open(cfg); !errors.Is(err, syscall.EADDRINUSE) {
			return conn, err
		}
	}
	return nil, err
}

func unspecified(six bool) netip.Addr {
	if six {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// announced is the address of relayed sockets for a client: the configured one,
// else that of this machine on the way to the client or, in the other family,
// to a worker.
func (d *door) announced(client netip.AddrPort, six bool) (netip.Addr, error) {
	for _, a := range d.gate.cfg.RelayAddresses {
		if a.Is6() == six {
			return a, nil
		}
	}
	towards := client
	switch {
	case client.Addr().Is6() == six:
	case client.Addr().IsLoopback():
		return loopback(six), nil
	default:
		worker, ok := d.gate.admission.anyWorker(six)
		if !ok {
			return netip.Addr{}, errNoRelay
		}
		towards = worker
	}
	local, err := localTowards(towards)
	if err != nil || local.Is6() != six {
		return netip.Addr{}, errors.Join(errNoRelay, err)
	}
	return local, nil
}

func loopback(six bool) netip.Addr {
	if six {
		return netip.IPv6Loopback()
	}
	return netip.AddrFrom4([4]byte{127, 0, 0, 1})
}

// release forgets an allocation that was closed.
func (d *door) release(a *allocation) {
	d.mu.Lock()
	if d.allocations[a.client] == a {
		delete(d.allocations, a.client)
	}
	d.mu.Unlock()
	d.gate.admission.leave(a.client)
	d.gate.own.remove(a.port)
	stats := a.Stats()
	d.gate.log.Info("allocation ended",
		"user", a.who.name, "client", a.client.String(), "listener", d.listener.String(), "relayed", a.LocalAddr().String(),
		"open", time.Since(a.since).Round(time.Millisecond),
		slog.Group("up", "packets", stats.Packets[relay.Up], "bytes", stats.Bytes[relay.Up]),
		slog.Group("down", "packets", stats.Packets[relay.Down], "bytes", stats.Bytes[relay.Down]),
		"dropped", stats.Dropped)
	d.gate.release(a)
	d.open.Done()
}

// addrPort is the unmapped address and port of a net.Addr of UDP or TCP.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.UDPAddr:
		ap = a.AddrPort()
	case *net.TCPAddr:
		ap = a.AddrPort()
	}
	return unmap(ap), ap.IsValid()
}

// localTowards is the address that this machine uses on the way to addr.
// Nothing is sent.
func localTowards(addr netip.AddrPort) (netip.Addr, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return netip.Addr{}, fmt.Errorf("find the way to %s: %w", addr, err)
	}
	defer func() { _ = conn.Close() }()
	local, _ := addrPort(conn.LocalAddr())
	return local.Addr(), nil
}
