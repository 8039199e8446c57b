package relay

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"sync"
	"testing"

	"github.com/pion/stun"
)

func FuzzChannelData(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x40, 0, 0, 0})
	f.Add(channelMessage(0x4fff, []byte("payload")))
	f.Add([]byte{0x7f, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{0x80, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		channel, payload, ok := channelData(p)
		if !ok {
			return
		}
		if channel < 0x4000 || channel > 0x7fff {
			t.Errorf("channel %#x", channel)
		}
		if !bytes.HasPrefix(p, channelMessage(channel, payload)) {
			t.Errorf("%x is read as channel %#x, %x", p, channel, payload)
		}
		if isSTUN(p) {
			t.Errorf("%x is STUN, too", p)
		}
	})
}

func FuzzSTUN(f *testing.F) {
	f.Add([]byte{})
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest).Raw)
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingRequest, stun.Fingerprint).Raw)
	f.Add(make([]byte, stunHeader))
	f.Fuzz(func(t *testing.T, p []byte) {
		m := &stun.Message{Raw: bytes.Clone(p)}
		if m.Decode() == nil && p[0]>>6 == 0 && stunHeader+int(m.Length) == len(p) && !isSTUN(p) {
			t.Errorf("pion reads %x", p)
		}
		if isSTUN(p) && (isChannelData(p) || len(p) < stunHeader) {
			t.Errorf("%x is both", p)
		}
	})
}

// requests are what bindings are learnt from.
func requests() (bind, permission []byte) {
	peer := netip.MustParseAddrPort("192.0.2.1:9")
	other := netip.MustParseAddrPort("[2001:db8::1]:9")
	bind = stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodChannelBind, stun.ClassRequest),
		channelAttribute(0x4001), peerAttribute(peer), peerAttribute(other)).Raw
	permission = stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodCreatePermission, stun.ClassRequest),
		peerAttribute(peer), peerAttribute(other)).Raw
	return bind, permission
}

func TestRequests(t *testing.T) {
	t.Parallel()
	bind, permission := requests()
	channel, peer, ok := bindingOf(bind)
	if !ok || channel != 0x4001 || peer.addrPort().String() != "192.0.2.1:9" {
		t.Errorf("bind: %#x, %v, %v", channel, peer.addrPort(), ok)
	}
	peers := peersOf(permission)
	if len(peers) != 2 || peers[1].addrPort().String() != "[2001:db8::1]:9" {
		t.Errorf("permission: %v", peers)
	}
	kind := stun.NewType(stun.MethodChannelBind, stun.ClassRequest)
	good := netip.MustParseAddrPort("192.0.2.1:9")
	for name, p := range map[string][]byte{
		"nothing":         {},
		"no attributes":   stun.MustBuild(stun.TransactionID, kind).Raw,
		"no peer":         stun.MustBuild(stun.TransactionID, kind, channelAttribute(0x4001)).Raw,
		"no channel":      stun.MustBuild(stun.TransactionID, kind, peerAttribute(good)).Raw,
		"channel too low": stun.MustBuild(stun.TransactionID, kind, channelAttribute(0x3fff), peerAttribute(good)).Raw,
		"channel too big": stun.MustBuild(stun.TransactionID, kind, channelAttribute(0x8000), peerAttribute(good)).Raw,
		"short channel":   stun.MustBuild(stun.TransactionID, kind, attribute{stun.AttrChannelNumber, []byte{0x40, 0}}, peerAttribute(good)).Raw,
		"short peer":      stun.MustBuild(stun.TransactionID, kind, channelAttribute(0x4001), attribute{stun.AttrXORPeerAddress, []byte{0, 1}}).Raw,
		"port 0":          stun.MustBuild(stun.TransactionID, kind, channelAttribute(0x4001), peerAttribute(netip.AddrPortFrom(good.Addr(), 0))).Raw,
		"truncated":       bind[:len(bind)-5],
		"unprotected": stun.MustBuild(stun.TransactionID, kind, stun.NewShortTermIntegrity("key"),
			channelAttribute(0x4001), peerAttribute(good)).Raw,
	} {
		if _, _, ok := bindingOf(p); ok {
			t.Errorf("%s: accepted", name)
		}
		if (name == "truncated" || name == "unprotected") && peersOf(p) != nil {
			t.Errorf("%s: peers", name)
		}
	}
}

// TestLearnOnlyAnswers gives learn what is not the answer to the request.
func TestLearnOnlyAnswers(t *testing.T) {
	t.Parallel()
	r, err := New(Config{Admission: &admission{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	l, err := r.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	bind, permission := requests()
	l.current = request{from: endpoint{port: 1}, packet: bind}
	success := bytes.Clone(bind[:stunHeader])
	success[0] |= 1
	l.learn(success) // there is no allocation
	if _, err := l.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")}); err != nil {
		t.Fatal(err)
	}
	failure := bytes.Clone(success)
	binary.BigEndian.PutUint16(failure, 0x0119)
	other := bytes.Clone(success)
	other[19]++
	for name, p := range map[string][]byte{
		"nothing": nil, "short": success[:19], "failure": failure, "another transaction": other,
		"ChannelData": channelMessage(0x4001, success), "permission": append([]byte{1, 8}, success[2:]...),
	} {
		l.learn(p)
		if l.bindings.len() != 0 {
			t.Errorf("%s: learnt", name)
		}
	}
	l.learn(success)
	b := l.bindings.load(channelKey{endpoint{port: 1}, 0x4001})
	if b == nil || b.peer.addrPort().String() != "192.0.2.1:9" {
		t.Fatalf("learnt %+v", b)
	}
	b.permitted.Store(0)
	l.current.packet = permission
	l.learn(append([]byte{1, 8}, permission[2:stunHeader]...))
	if b.permitted.Load() == 0 {
		t.Error("the permission was not refreshed")
	}
}

func FuzzRequests(f *testing.F) {
	bind, permission := requests()
	f.Add(bind)
	f.Add(permission)
	f.Add([]byte{0, 9, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		if channel, peer, ok := bindingOf(p); ok && (channel < 0x4000 || channel > 0x7fff || peer.port == 0) {
			t.Errorf("channel %#x, peer %v", channel, peer.addrPort())
		}
		for _, peer := range peersOf(p) {
			if peer.port == 0 {
				t.Errorf("peer %v", peer.addrPort())
			}
		}
	})
}

// cutAll gives stream to a framer in pieces, and says what comes out.
func cutAll(f *framer, stream []byte, piece int) (messages [][]byte, err error) {
	defer f.free()
	for len(stream) > 0 {
		space := f.space()
		if len(space) == 0 {
			panic("no room to read into")
		}
		n := copy(space, stream[:min(piece, len(stream))])
		stream = stream[n:]
		f.filled(n)
		for {
			p, err := f.next()
			if err != nil {
				return messages, err
			}
			if p == nil {
				break
			}
			messages = append(messages, bytes.Clone(p))
		}
		f.rewind()
	}
	return messages, nil
}

func testFramer(kind Framing) *framer {
	pool := &sync.Pool{New: func() any { return new(chunk) }}
	f := newFramer(kind, pool, func(c *chunk) { pool.Put(c) })
	f.long = true
	return f
}

func TestFramer(t *testing.T) {
	t.Parallel()
	var stream []byte
	var want [][]byte
	add := func(p []byte) {
		want = append(want, p)
		stream = append(append(stream, p...), make([]byte, padded(len(p))-len(p))...)
	}
	bind, permission := requests()
	add(bind)
	for _, n := range []int{0, 1, 2, 3, 4, 1200, smallBuffer - 4, smallBuffer - 3, 10000, maxDatagram - 4, 5} {
		add(channelMessage(0x4000, bytes.Repeat([]byte{byte(n)}, n)))
	}
	add(permission)
	for _, piece := range []int{1, 3, 7, 1000, smallBuffer, chunkSize, len(stream)} {
		f := testFramer(Stream)
		got, err := cutAll(f, stream, piece)
		if err != nil || len(got) != len(want) {
			t.Fatalf("pieces of %d: %d messages, want %d, %v", piece, len(got), len(want), err)
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Errorf("pieces of %d: message %d differs", piece, i)
			}
		}
		if f.large != nil {
			t.Errorf("pieces of %d: the large buffer was kept", piece)
		}
	}
	for name, p := range map[string][]byte{
		"neither":        {0x80},
		"odd STUN":       {0, 1, 0, 1},
		"long STUN":      {0, 1, 0x10, 0},
		"no cookie":      {0, 1, 0, 0, 1, 2, 3, 4},
		"endless data":   {0x40, 0, 0xff, 0xff},
		"after data":     append(channelMessage(0x4000, []byte("good")), 0xff),
		"too long by 1":  {0x40, 0, 0xff, 0xfc},
		"HTTP/2 preface": {0xc0, 0x52},
	} {
		if _, err := cutAll(testFramer(Stream), p, 100); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzFramer(f *testing.F) {
	bind, _ := requests()
	f.Add(append(channelMessage(0x4000, []byte("four")), bind...), uint16(3))
	f.Add(channelMessage(0x4000, make([]byte, 5000)), uint16(1000))
	f.Add([]byte{0x40, 0, 0xff, 0xfb}, uint16(1))
	f.Fuzz(func(t *testing.T, p []byte, piece uint16) {
		one, err1 := cutAll(testFramer(Stream), p, int(piece)+1)
		all, err2 := cutAll(testFramer(Stream), p, len(p)+1)
		if (err1 == nil) != (err2 == nil) || len(one) != len(all) {
			t.Fatalf("%d messages, %v; in one go %d, %v", len(one), err1, len(all), err2)
		}
		for i := range one {
			if !bytes.Equal(one[i], all[i]) {
				t.Fatalf("message %d differs", i)
			}
			if !isChannelData(one[i]) && !isSTUN(one[i]) {
				t.Errorf("message %d is %x", i, one[i][:min(20, len(one[i]))])
			}
		}
		if _, err := cutAll(testFramer(Datagram), p, int(piece)+1); err != nil && len(p) == 0 {
			t.Error("nothing is an error")
		}
	})
}

// FuzzListener gives a listener any datagram of a client with a binding.
func FuzzListener(f *testing.F) {
	bind, _ := requests()
	f.Add(bind, uint16(1000))
	f.Add(channelMessage(0x4001, []byte("payload")), uint16(11))
	f.Add(bytes.Repeat(channelMessage(0x4001, nil), 10), uint16(4))
	f.Fuzz(func(t *testing.T, p []byte, segment uint16) {
		r, err := New(Config{Admission: &admission{}, Loops: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Close() }()
		l, err := r.ListenUDP(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			t.Fatal(err)
		}
		l.current = request{from: endpoint{port: 1}, packet: bind}
		a, err := l.Open(AllocationConfig{Local: netip.MustParseAddrPort("127.0.0.1:0")})
		if err != nil {
			t.Fatal(err)
		}
		a.bind(0x4001, endpointOf(addrOf(l.LocalAddr())))
		out := r.boxes.Get().(*outbox)
		m := message{from: endpoint{port: 1}, raw: append(make([]byte, channelHeader), p...), segment: int(segment) + 1}
		l.receive(out, m)
		out.flush()
		s := l.Stats()
		sum := s.Packets[Up] + s.Control
		for _, n := range s.Dropped {
			sum += n
		}
		if sum != uint64(m.count()) {
			t.Errorf("%d of %d datagrams are accounted for: %+v", sum, m.count(), s)
		}
	})
}
