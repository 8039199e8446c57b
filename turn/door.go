package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/relay"
)

const (
	maxMessage    = 1600             // bytes of a control message, as pion/turn reads
	pionNonceLife = 30 * time.Minute // of the hour that pion/turn v2.1 gives its own
	maxReadErrors = 100              // in a row before a listener is given up
)

// door is one listener as pion/turn sees it. Every control message is examined
// here first and refused here, with the code that the RFC wants; pion gets only
// what passed, under a nonce of its own that no client ever sees.
//
// pion/turn handles a listener's messages one by one in the goroutine that calls
// ReadFrom. What that goroutine alone uses has no lock: see exchange.
type door struct {
	*relay.Listener
	gate     *Gate
	listener Listener
	refused  [Refusals]atomic.Uint64
	opened   atomic.Uint64 // allocations since the start

	// Of the goroutine that calls ReadFrom.
	buf     [maxMessage]byte
	msg     stun.Message
	at      exchange // the request that pion handles, or is about to
	from    net.Addr // its sender
	waiting bool     // for a nonce of pion
	nonce   string   // of pion
	asked   time.Time

	ended chan struct{} // closed when ReadFrom has failed for good
	cause error         // why, set before ended is closed

	mu          sync.Mutex
	allocations map[netip.AddrPort]*allocation // by client
	open        sync.WaitGroup                 // one per allocation
}

func newDoor(conn *relay.Listener, l Listener, g *Gate) *door {
	return &door{
		Listener: conn, gate: g, listener: l,
		ended: make(chan struct{}), allocations: map[netip.AddrPort]*allocation{},
	}
}

// ReadFrom waits for a message that passes. It is called by one goroutine,
// which ends when it fails.
func (d *door) ReadFrom(p []byte) (int, net.Addr, error) {
	if d.waiting {
		d.waiting = false
		if out := d.rewrite(); out != nil {
			return copy(p, out), d.from, nil
		}
	}
	failures := 0
	for {
		n, from, err := d.Listener.ReadFrom(d.buf[:])
		if err == nil {
			failures, d.from = 0, from
			if out, to := d.handle(d.buf[:n], time.Now()); out != nil {
				return copy(p, out), to, nil
			}
			continue
		}
		if failures++; errors.Is(err, net.ErrClosed) || failures >= maxReadErrors {
			d.cause = err
			close(d.ended)
			return 0, nil, err
		}
	}
}

// handle answers what pion/turn is given for a message of a client, and as
// whose; nil if it was refused.
func (d *door) handle(packet []byte, now time.Time) ([]byte, net.Addr) {
	if !wellFormed(packet) {
		d.refused[Ignored].Add(1)
		return nil, nil
	}
	if _, err := d.msg.Write(packet); err != nil {
		d.refused[Ignored].Add(1)
		return nil, nil
	}
	d.at = exchange{client: unmap(d.Request().Client), msg: &d.msg}
	why := Ignored
	switch d.msg.Type {
	case stun.NewType(stun.MethodSend, stun.ClassIndication):
		if d.indication(&d.at, now) {
			return packet, d.from
		}
	case stun.BindingRequest:
		if why = d.binding(&d.at, now); why == passed {
			return packet, d.from
		}
	case stun.NewType(stun.MethodAllocate, stun.ClassRequest), stun.NewType(stun.MethodRefresh, stun.ClassRequest),
		stun.NewType(stun.MethodCreatePermission, stun.ClassRequest), stun.NewType(stun.MethodChannelBind, stun.ClassRequest):
		if why = d.examine(&d.at, now); why == passed {
			return d.forward(now)
		}
	}
	d.refuse(why, now)
	return nil, nil
}

// indication says whether data may be sent on. What is refused is counted and
// not answered, as indications never are.
func (d *door) indication(x *exchange, now time.Time) bool {
	if x.held = d.allocation(x.client); x.held == nil {
		return false
	}
	peers, ok := peerAddresses(x.msg)
	if !ok || len(peers) > 1 || peers[0].Addr().Is6() != x.held.six {
		return false
	}
	if d.refusesPeer(x.client, peers[0], now) != "" {
		d.refused[RefusedPeer].Add(1)
		return false
	}
	return true
}

// binding says whether a client is told its address. Nobody has to prove
// anything for that, so it counts as an answer to a stranger.
func (d *door) binding(x *exchange, now time.Time) Refusal {
	for _, a := range x.msg.Attributes {
		if a.Type == stun.AttrChangeRequest { // RFC 5780, which would need a second address
			x.unknown = stun.UnknownAttributes{a.Type}
			return RefusedUnknown
		}
	}
	if !d.gate.throttle.admit(x.client.Addr(), now) {
		return Throttled
	}
	return passed
}

// refuse counts a refusal and answers it. Strangers are answered so often only.
func (d *door) refuse(why Refusal, now time.Time) {
	if why != Ignored && d.at.key == nil && why != Throttled && !d.gate.throttle.admit(d.at.client.Addr(), now) {
		why = Throttled
	}
	d.refused[why].Add(1)
	if why == Ignored || why == Throttled {
		return
	}
	m, err := d.answer(&d.at, why, now)
	if err != nil {
		d.gate.log.Error("no answer for a client", "refusal", why.String(), "cause", err)
		return
	}
	_, _ = d.Listener.WriteTo(m.Raw, d.from) // lost like any datagram; the client asks again
}

// forward gives pion/turn the request at hand, after asking pion for a nonce
// where the last one is old.
func (d *door) forward(now time.Time) ([]byte, net.Addr) {
	if d.nonce != "" && now.Sub(d.asked) < pionNonceLife {
		if out := d.rewrite(); out != nil {
			return out, d.from
		}
		return nil, nil
	}
	d.waiting, d.asked = true, now
	ask, err := stun.Build(stun.TransactionID, stun.NewType(stun.MethodAllocate, stun.ClassRequest))
	if err != nil {
		d.gate.log.Error("no request for a nonce", "cause", err)
		return nil, nil
	}
	return ask.Raw, nobody()
}

// nobody is the client as which pion/turn is asked for a nonce: no real one has
// port 0.
func nobody() *net.UDPAddr { return &net.UDPAddr{IP: net.IPv4zero} }

// rewrite is the request at hand as pion/turn is given it.
func (d *door) rewrite() []byte {
	m, err := forPion(d.at.msg, d.at.who.name, d.gate.cfg.Realm, d.nonce, d.at.key)
	if err != nil {
		d.gate.log.Error("request not handed on", "cause", err)
		return nil
	}
	return m.Raw
}

// key is pion's AuthHandler: the request was checked already.
func (d *door) key(string, string, net.Addr) ([]byte, bool) { return d.at.key, d.at.key != nil }

// permit is pion's PermissionHandler: the request was checked already, with the
// port that pion would not tell.
func (d *door) permit(net.Addr, net.IP) bool { return true }

// Types of the answers that WriteTo looks at. pion/turn writes them from the
// goroutine that calls ReadFrom only, unlike data.
const (
	typeAllocateSuccess = 0x0103
	typeAllocateError   = 0x0113
)

// WriteTo sends what pion/turn answers, except the nonce that it gives nobody.
func (d *door) WriteTo(p []byte, to net.Addr) (int, error) {
	if len(p) < 2 {
		return d.Listener.WriteTo(p, to)
	}
	switch int(p[0])<<8 | int(p[1]) {
	case typeAllocateError:
		if client, ok := to.(*net.UDPAddr); ok && client.Port == 0 {
			d.learnNonce(p)
			return len(p), nil
		}
	case typeAllocateSuccess:
		if d.at.wish.dual {
			if _, err := d.Listener.WriteTo(d.oneFamily(p), to); err != nil {
				return 0, err
			}
			return len(p), nil
		}
	}
	return d.Listener.WriteTo(p, to)
}

func (d *door) learnNonce(p []byte) {
	var m stun.Message
	var nonce stun.Nonce
	if _, err := m.Write(p); err == nil && nonce.GetFrom(&m) == nil {
		d.nonce = nonce.String()
	}
}

// oneFamily tells a client that asked for a relay in both families that it got
// the IPv4 one only: ADDRESS-ERROR-CODE with 440 (RFC 8656 7.2 and 18.12). If
// that fails the answer stays as it is, which is no lie either.
func (d *door) oneFamily(p []byte) []byte {
	var m stun.Message
	if _, err := m.Write(p); err != nil {
		return p
	}
	out := &stun.Message{TransactionID: m.TransactionID, Type: m.Type}
	out.WriteHeader()
	for _, a := range m.Attributes {
		if a.Type != stun.AttrMessageIntegrity {
			out.Add(a.Type, a.Value)
		}
	}
	out.Add(attrAddressError, []byte{familyIPv6, 0, 4, 40})
	if err := stun.MessageIntegrity(d.at.key).AddTo(out); err != nil {
		return p
	}
	return out.Raw
}

// allocation is the client's, nil if it has none.
func (d *door) allocation(client netip.AddrPort) *allocation {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.allocations[client]
}

// finish waits, after the listener was closed, until pion has stopped reading,
// and closes what allocations are left.
func (d *door) finish() {
	<-d.ended
	d.mu.Lock()
	var left []*allocation
	for _, a := range d.allocations {
		left = append(left, a)
	}
	d.mu.Unlock()
	for _, a := range left {
		_ = a.Close() // pion closes them as well
	}
	d.open.Wait()
}
