//go:build !linux || portable

package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
)

// The tag portable puts this file in place of the fast path on Linux, too, so
// that tests run it: go test -tags portable ./turn/relay

// socket is a UDP socket.
type socket struct {
	conn  *net.UDPConn
	bound netip.AddrPort
	gso   atomic.Bool // never
	gro   bool        // never
}

// openSocket binds a socket to addr. Sockets cannot be shared here; dual lets
// an unspecified IPv6 address take IPv4, too.
func openSocket(addr netip.AddrPort, _, dual bool) (*socket, error) {
	network := "udp4"
	if addr.Addr().Is6() {
		network = "udp6"
		if dual {
			network = "udp"
		}
	}
	conn, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	// Smaller buffers than wished are no reason to refuse.
	_ = conn.SetReadBuffer(socketBuffer)
	_ = conn.SetWriteBuffer(socketBuffer)
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	return &socket{conn: conn, bound: withPort(addr, port)}, nil
}

// close may be called more than once.
func (s *socket) close() { _ = s.conn.Close() }

// overflow is not known here.
func (s *socket) overflow() uint64 { return 0 }

// writeTo sends one datagram.
func (s *socket) writeTo(p []byte, to endpoint) error {
	if _, err := s.conn.WriteToUDPAddrPort(p, to.zoned()); err != nil {
		return fmt.Errorf("send to %s: %w", to.addrPort(), err)
	}
	return nil
}

// listenSockets binds one socket, whatever n is: without SO_REUSEPORT as Linux
// has it, all packets of a client would go to one of them.
func listenSockets(addr netip.AddrPort, _ int) ([]*socket, error) {
	s, err := openSocket(addr, false, addr.Addr().IsUnspecified())
	if err != nil {
		return nil, err
	}
	return []*socket{s}, nil
}

// outbox sends datagrams one by one. It belongs to one goroutine.
type outbox struct {
	now  int64 // Relay.now of this round, for receivers
	slot int   // which counters to use
}

func newOutbox(slot int) *outbox { return &outbox{slot: slot} }

// put sends p, which is always roomy: nothing puts datagrams together here.
func (o *outbox) put(p *parcel) {
	packet := p.packet[channelHeader:]
	if p.channel != 0 {
		putChannelHeader(p.packet, p.channel, len(packet))
		packet = p.packet
	}
	var r run
	r.start(p)
	if _, err := p.socket.conn.WriteToUDPAddrPort(packet, p.to.zoned()); err != nil {
		r.lost(o.slot)
		return
	}
	r.sent(o.slot)
}

// flush has nothing left to do.
func (o *outbox) flush() {}

// loop has a goroutine for each of its sockets.
type loop struct {
	slot int
	now  func() int64
	done chan struct{}
	once sync.Once

	mu      sync.Mutex
	running bool
	waiting []func()
	tasks   sync.WaitGroup
}

func newLoop(slot int, now func() int64) (*loop, error) {
	return &loop{slot: slot, now: now, done: make(chan struct{})}, nil
}

// add makes the loop read s for r, until s is closed.
func (l *loop) add(s *socket, r receiver) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.done:
		return 0, net.ErrClosed
	default:
	}
	read := func() { l.read(s, r) }
	if l.running {
		l.tasks.Go(read)
	} else {
		l.waiting = append(l.waiting, read)
	}
	return 0, nil
}

// remove has nothing to do: closing the socket ends its goroutine.
func (l *loop) remove(uint64) {}

// stop ends run.
func (l *loop) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.once.Do(func() { close(l.done) })
}

// free has nothing to do.
func (l *loop) free() error { return nil }

// run reads until stop, and until all sockets are closed.
func (l *loop) run() error {
	l.mu.Lock()
	l.running = true
	for _, read := range l.waiting {
		l.tasks.Go(read)
	}
	l.waiting = nil
	l.mu.Unlock()
	<-l.done
	l.tasks.Wait()
	return nil
}

// read hands what s receives to r until s is closed. Other errors belong to an
// earlier send.
func (l *loop) read(s *socket, r receiver) {
	out := newOutbox(l.slot)
	buffer := make([]byte, channelHeader+maxDatagram)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buffer[channelHeader:])
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		out.now = l.now()
		r.receive(out, message{from: endpointOf(from), raw: buffer[:channelHeader+n], segment: max(1, n)})
	}
}

// zoned is what the net package sends to.
func (e endpoint) zoned() netip.AddrPort {
	a := e.addrPort()
	if e.scope == 0 {
		return a
	}
	return netip.AddrPortFrom(a.Addr().WithZone(strconv.FormatUint(uint64(e.scope), 10)), a.Port())
}
