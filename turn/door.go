package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pion/stun"
	"github.com/pion/turn/v2"

	"github.com/cloudretro/cloudretro/turn/credential"
)

const (
	socketBuffer  = 1 << 20 // bytes; the kernel may give less
	maxReadErrors = 100     // in a row before a listener is given up
)

var (
	errQuota  = errors.New("allocation quota reached")
	errNoTCP  = errors.New("only UDP is relayed")
	errNoIPv4 = errors.New("no IPv4 address to relay from; set turn.relayAddress")
)

// door is one listener as pion/turn sees it: its net.PacketConn, its check of
// credentials and the maker of its relayed sockets.
//
// pion/turn handles a listener's datagrams one by one in the goroutine that
// calls ReadFrom. authenticate and AllocatePacketConn therefore speak of the
// datagram that ReadFrom returned last, which the fields client, packet and
// user tell them without a lock.
type door struct {
	net.PacketConn
	gate *Gate

	client net.Addr
	packet []byte
	user   string // whose credential was looked up last

	ended chan struct{} // closed when ReadFrom has failed for good
	cause error         // why, set before ended is closed

	mu          sync.Mutex
	allocations map[string]*relayed // by the client's address
	open        sync.WaitGroup      // one per relayed socket
}

func newDoor(conn net.PacketConn, g *Gate) *door {
	return &door{PacketConn: conn, gate: g, ended: make(chan struct{}), allocations: map[string]*relayed{}}
}

// ReadFrom waits for a datagram of a client. It is called by one goroutine,
// which ends when it fails.
func (d *door) ReadFrom(p []byte) (int, net.Addr, error) {
	var n int
	var err error
	for range maxReadErrors {
		n, d.client, err = d.PacketConn.ReadFrom(p)
		if err == nil {
			d.packet = p[:n]
			return n, d.client, nil
		}
		if errors.Is(err, net.ErrClosed) {
			break
		}
	}
	d.cause = err
	close(d.ended)
	return n, nil, err
}

// authenticate is pion's AuthHandler: it answers the long-term key of a
// username. A credential that has expired still serves the allocation that was
// made with it, so that a game is not cut; it makes no other one.
func (d *door) authenticate(username, realm string, client net.Addr) ([]byte, bool) {
	g := d.gate
	u, err := credential.Parse(username)
	if err != nil || realm != g.cfg.Realm {
		g.counters.malformed.Add(1)
		return nil, false
	}
	d.mu.Lock()
	held := d.allocations[client.String()]
	d.mu.Unlock()
	switch {
	case held != nil && held.user != username:
		g.counters.owner.Add(1)
		return nil, false
	case held == nil && u.Expired(time.Now()):
		g.counters.expired.Add(1)
		return nil, false
	}
	d.user = username
	return d.key(username)
}

// key finds the secret that the datagram at hand was made with: the key is
// needed for the answer too, so pion must be given the right one.
func (d *door) key(username string) ([]byte, bool) {
	m := &stun.Message{Raw: append([]byte(nil), d.packet...)}
	if err := m.Decode(); err != nil {
		return nil, false
	}
	for _, secret := range d.gate.cfg.Secrets {
		key := credential.Key(secret, username, d.gate.cfg.Realm)
		if stun.MessageIntegrity(key).Check(m) == nil {
			return key, true
		}
	}
	d.gate.counters.secret.Add(1)
	return nil, false
}

// permit is pion's PermissionHandler.
func (d *door) permit(client net.Addr, peer net.IP) bool {
	ip, ok := netip.AddrFromSlice(peer)
	if ok && d.gate.peers.allowsIP(ip.Unmap(), onLoopback(client)) {
		return true
	}
	d.gate.counters.permission.Add(1)
	return false
}

// Validate is part of pion's RelayAddressGenerator.
func (d *door) Validate() error { return nil }

// AllocateConn is part of pion's RelayAddressGenerator, for RFC 6062.
func (d *door) AllocateConn(string, int) (net.Conn, net.Addr, error) { return nil, nil, errNoTCP }

// AllocatePacketConn makes the relayed socket for the client whose request is
// at hand. It is bound to all addresses, so that workers on loopback and on
// any network are reached alike; the address that is announced is the one on
// the way to the client.
func (d *door) AllocatePacketConn(network string, port int) (net.PacketConn, net.Addr, error) {
	announced, err := d.announced()
	if err != nil {
		return nil, nil, err
	}
	r := &relayed{door: d, client: d.client.String(), local: onLoopback(d.client), user: d.user}
	if !d.gate.reserve(r.user) {
		d.gate.counters.quota.Add(1)
		return nil, nil, errQuota
	}
	r.UDPConn, err = net.ListenUDP(network, &net.UDPAddr{Port: port})
	if err != nil {
		d.gate.unreserve(r.user)
		return nil, nil, fmt.Errorf("open relayed socket: %w", err)
	}
	// Smaller buffers than wished are no reason to refuse.
	_ = r.SetReadBuffer(socketBuffer)
	_ = r.SetWriteBuffer(socketBuffer)
	bound, _ := addrPort(r.UDPConn.LocalAddr())
	r.announced = net.UDPAddrFromAddrPort(netip.AddrPortFrom(announced, bound.Port()))
	d.open.Add(1)
	d.mu.Lock()
	d.allocations[r.client] = r
	d.mu.Unlock()
	return r, r.announced, nil
}

// announced is the address of a relayed socket for the client at hand.
func (d *door) announced() (netip.Addr, error) {
	if d.gate.cfg.RelayAddress.IsValid() {
		return d.gate.cfg.RelayAddress, nil
	}
	client, ok := addrPort(d.client)
	if !ok {
		return netip.Addr{}, errNoIPv4
	}
	if client.Addr().Is6() { // pion/turn v2 relays over IPv4 only
		if client.Addr().IsLoopback() {
			return netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
		}
		peer, ok := d.gate.peers.anyIPv4()
		if !ok {
			return netip.Addr{}, errNoIPv4
		}
		client = netip.AddrPortFrom(peer, client.Port())
	}
	local, err := localTowards(client)
	if err != nil || !local.Is4() {
		return netip.Addr{}, errors.Join(errNoIPv4, err)
	}
	return local, nil
}

// release forgets a relayed socket that was closed.
func (d *door) release(r *relayed) {
	d.mu.Lock()
	if d.allocations[r.client] == r {
		delete(d.allocations, r.client)
	}
	d.mu.Unlock()
	d.gate.unreserve(r.user)
	d.open.Done()
}

// finish waits, after the listener was closed, until pion has stopped reading,
// and closes what relayed sockets are left.
func (d *door) finish() {
	<-d.ended
	d.mu.Lock()
	var left []*relayed
	for _, r := range d.allocations {
		left = append(left, r)
	}
	d.mu.Unlock()
	for _, r := range left {
		_ = r.Close() // pion closes them as well
	}
	d.open.Wait()
}

var _ turn.RelayAddressGenerator = (*door)(nil)
