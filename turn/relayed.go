package turn

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// relayed is the socket of one allocation. It passes data to and from allowed
// addresses only: pion/turn checks the IP, this also the port, for each
// datagram and in both directions, so that an address that stops being a
// worker's is cut from running allocations too.
type relayed struct {
	*net.UDPConn
	door      *door
	client    string // the client's address, key in door.allocations
	local     bool   // the client is on this machine
	user      string
	announced *net.UDPAddr
	once      sync.Once
}

// ReadFrom waits for a datagram from an allowed address; others are dropped
// and counted.
func (r *relayed) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := r.ReadFromUDPAddrPort(p)
		if err != nil {
			return n, nil, err
		}
		from = unmap(from)
		if r.door.gate.peers.allows(from, r.local) {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
		r.door.gate.counters.fromPeer.Add(1)
	}
}

// WriteTo sends to an allowed address. For others the datagram is dropped and
// counted, as a firewall would.
func (r *relayed) WriteTo(p []byte, to net.Addr) (int, error) {
	addr, ok := addrPort(to)
	if !ok || !r.door.gate.peers.allows(addr, r.local) {
		r.door.gate.counters.toPeer.Add(1)
		return len(p), nil
	}
	return r.WriteToUDPAddrPort(p, addr)
}

// LocalAddr is the address that was announced to the client.
func (r *relayed) LocalAddr() net.Addr { return r.announced }

// Close may be called more than once.
func (r *relayed) Close() error {
	var err error
	r.once.Do(func() {
		err = r.UDPConn.Close()
		r.door.release(r)
	})
	return err
}

// onLoopback says whether a client reached us over loopback.
func onLoopback(client net.Addr) bool {
	addr, ok := addrPort(client)
	return ok && addr.Addr().IsLoopback()
}

// addrPort is the unmapped address and port of a net.UDPAddr.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	udp, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}, false
	}
	ap := unmap(udp.AddrPort())
	return ap, ap.IsValid()
}

// localTowards is the IPv4 address that this machine uses on the way to addr.
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
