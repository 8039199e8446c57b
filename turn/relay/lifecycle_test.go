package relay

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"
)

func TestHostileDatagrams(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
	write := func(p []byte) {
		t.Helper()
		if _, err := c.conn.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	malformed := [][]byte{
		{0x40},
		{0x40, 0, 0},
		{0x40, 0, 0, 1},
		{0x40, 0, 0xff, 0xff, 1},
		{0x80, 1, 2, 3},
		{0xff},
		{0},
		make([]byte, 19), make([]byte, 20), append([]byte{0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...),
		bytes.Repeat([]byte{0}, 3000),
	}
	for _, p := range malformed {
		write(p)
	}
	eventually(t, "what is malformed is dropped", func() bool {
		return l.Stats().Dropped[DropMalformed] == uint64(len(malformed))
	})
	write(channelMessage(0x4fff, []byte("unbound")))
	eventually(t, "what is unbound is dropped", func() bool { return l.Stats().Dropped[DropUnbound] == 1 })
	stranger := dial(t, l)
	stranger.send(t, 0x4000, []byte("not mine"))
	eventually(t, "another client's channel is not ours", func() bool { return l.Stats().Dropped[DropUnbound] == 2 })

	write(append(channelMessage(0x4000, []byte("padded")), 0, 0, 0)) // RFC 8656 12.5 allows that on UDP
	if p, _ := receiveOne(t, worker); string(p) != "padded" {
		t.Errorf("the worker got %q", p)
	}
	write(channelMessage(0x4000, nil))
	if p, _ := receiveOne(t, worker); len(p) != 0 {
		t.Errorf("the worker got %q, want an empty datagram", p)
	}
}

// TestInboxFull has nobody read control messages.
func TestInboxFull(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l, err := g.relay.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, l)
	request := stun.MustBuild(stun.TransactionID, stun.BindingRequest)
	for sent := uint64(0); l.Stats().Dropped[DropQueue] == 0; sent++ {
		if _, err := c.conn.Write(request.Raw); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is counted", func() bool { return l.Stats().Control+l.Stats().Dropped[DropQueue] > sent })
	}
	if s := l.Stats(); s.Control != inboxSize {
		t.Errorf("%d control messages wait, want %d", s.Control, inboxSize)
	}
	p := make([]byte, maxControl)
	if n, from, err := l.ReadFrom(p); err != nil || n != len(request.Raw) || from.String() != c.conn.LocalAddr().String() {
		t.Errorf("%d bytes from %v, %v", n, from, err)
	}
	if r := l.Request(); r.Client != addrOf(c.conn.LocalAddr()) || !bytes.Equal(r.Packet, request.Raw) {
		t.Errorf("the request is %+v", r)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := l.ReadFrom(p); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom after Close: %v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no admission": {}, "loops": {Admission: &admission{}, Loops: -1},
		"bandwidth": {Admission: &admission{}, Bandwidth: -1}, "streams": {Admission: &admission{}, MaxStreams: -1},
	} {
		if r, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
			_ = r.Close()
		}
	}
	r, err := New(Config{Admission: &admission{}})
	if err != nil {
		t.Fatal(err)
	}
	if r.cfg.Loops < 1 || r.cfg.Loops > maxLoops || len(r.loops) != r.cfg.Loops || r.cfg.MaxStreams != defaultMaxStreams {
		t.Errorf("defaults %+v", r.cfg)
	}
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLifecycle(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	if _, err := g.relay.ListenUDP(addrOf(l.LocalAddr())); err == nil {
		t.Error("an address in use was taken")
	} else if !strings.Contains(err.Error(), l.LocalAddr().String()) {
		t.Errorf("the error does not name the address: %v", err)
	}
	if _, err := g.relay.ListenUDP(netip.MustParseAddrPort("192.0.2.1:0")); err == nil {
		t.Error("a foreign address was bound")
	}
	if _, err := l.Open(AllocationConfig{}); err == nil {
		t.Error("an allocation without an address")
	}
	if err := g.relay.Run(context.Background()); err == nil {
		t.Error("Run ran twice")
	}
	g.stop()
	if _, err := g.relay.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("listen on a closed relay: %v", err)
	}
	if _, err := l.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("open on a closed relay: %v", err)
	}
	if err := g.relay.Close(); err != nil {
		t.Error(err)
	}
	if err := g.relay.Run(context.Background()); err == nil {
		t.Error("a closed relay ran")
	}
}

func TestAnnounced(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	a, err := l.Open(AllocationConfig{Local: netip.MustParseAddrPort("0.0.0.0:0"), Announced: netip.MustParseAddr("192.0.2.7")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = a.Close() }()
	announced := addrOf(a.LocalAddr())
	if announced.Addr() != netip.MustParseAddr("192.0.2.7") || announced.Port() == 0 || announced.Port() != a.socket.bound.Port() {
		t.Errorf("announced %v, bound %v", announced, a.socket.bound)
	}
	if n, err := a.WriteTo([]byte("x"), &net.IPAddr{}); n != 1 || err != nil || a.Stats().Dropped != 1 {
		t.Errorf("a send to no address: %d, %v", n, err)
	}
	if _, err := l.WriteTo([]byte("x"), &net.IPAddr{}); err == nil {
		t.Error("an answer to no address")
	}
	for _, c := range []net.PacketConn{a, l} {
		if errors.Join(c.SetDeadline(time.Now()), c.SetReadDeadline(time.Now()), c.SetWriteDeadline(time.Now())) != nil {
			t.Error("a deadline was refused")
		}
	}
}

// TestCloseWhileWaiting ends ReadFrom that waits.
func TestCloseWhileWaiting(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l, err := g.relay.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.PacketConn{a, l} {
		ended := make(chan error, 1)
		go func() {
			_, _, err := c.ReadFrom(make([]byte, 10))
			ended <- err
		}()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		select {
		case err := <-ended:
			if err == nil {
				t.Error("ReadFrom succeeded")
			}
		case <-time.After(patience):
			t.Fatal("ReadFrom still waits")
		}
	}
}

func TestListenStreamsClosed(t *testing.T) {
	t.Parallel()
	r, err := New(Config{Admission: &admission{}})
	if err != nil {
		t.Fatal(err)
	}
	before, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ListenStreams(before, Stream); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil { // Run never ran
		t.Fatal(err)
	}
	after, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.ListenStreams(after, Stream); err == nil {
		t.Error("a closed relay listens")
	}
	for _, ln := range []net.Listener{before, after} {
		if conn, err := net.Dial("tcp", ln.Addr().String()); err == nil {
			t.Error("the listener is still open")
			_ = conn.Close()
		}
	}
}

// TestRefreshKeepsBindings has pion/turn refresh an allocation, which is
// nothing to its bindings.
func TestRefreshKeepsBindings(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	exchange(t, c, worker)
	before := *(<-g.opened).bindings.Load()
	c.refresh(t, 600)
	exchange(t, c, worker)
	if n := l.bindings.len(); n != 1 || l.bindings.load(channelKey{before[0].allocation.client, 0x4001}) != before[0] {
		t.Errorf("%d bindings, or another one", n)
	}
}

// TestRefusedBinding has pion/turn refuse a binding, which is then not learnt:
// the channel or the peer has another one.
func TestRefusedBinding(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	one, two := peer(t, "127.0.0.1:0"), peer(t, "127.0.0.1:0")
	c.bind(t, 0x4000, addrOf(one.LocalAddr()))
	for name, attributes := range map[string][]stun.Setter{
		"another peer":    {channelAttribute(0x4000), peerAttribute(addrOf(two.LocalAddr()))},
		"another channel": {channelAttribute(0x4001), peerAttribute(addrOf(one.LocalAddr()))},
		"no peer":         {channelAttribute(0x4002)},
	} {
		attributes = append(attributes, stun.NewUsername(testUser), &c.realm, &c.nonce, &c.key)
		answer, err := c.ask(stun.MethodChannelBind, attributes...)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Type.Class != stun.ClassErrorResponse {
			t.Errorf("%s: %v", name, answer.Type)
		}
	}
	if n := l.bindings.len(); n != 1 {
		t.Errorf("%d bindings", n)
	}
	c.send(t, 0x4000, []byte("to one"))
	if p, _ := receiveOne(t, one); string(p) != "to one" {
		t.Errorf("one got %q", p)
	}
}

// TestForgedBinding binds with a wrong password: neither pion/turn nor we take it.
func TestForgedBinding(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.udp(t, "127.0.0.1:0")
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	c.key = stun.NewLongTermIntegrity(testUser, testRealm, "guess")
	answer, err := c.ask(stun.MethodChannelBind, channelAttribute(0x4000), peerAttribute(addrOf(worker.LocalAddr())),
		stun.NewUsername(testUser), &c.realm, &c.nonce, &c.key)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Type.Class != stun.ClassErrorResponse || l.bindings.len() != 0 {
		t.Errorf("%v, %d bindings", answer.Type, l.bindings.len())
	}
	c.send(t, 0x4000, []byte("x"))
	eventually(t, "data is dropped", func() bool { return l.Stats().Dropped[DropUnbound] == 1 })
}
