package relay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// selfSigned is a TLS configuration for tests.
func selfSigned(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	for name, secure := range map[string]*tls.Config{"TCP": nil, "TLS": selfSigned(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			l := g.tcp(t, secure)
			c := dial(t, l)
			if secure != nil {
				c.conn = tls.Client(c.conn, &tls.Config{InsecureSkipVerify: true})
			}
			c.allocate(t)
			exchange(t, c, peer(t, "127.0.0.1:0"))
			eventually(t, "all are counted", func() bool { return l.Stats().Packets == [2]uint64{64, 64} })
			s := l.Stats()
			if s.Streams != 1 || s.Allocations != 1 || s.Dropped != [Drops]uint64{} {
				t.Errorf("stats %+v", s)
			}
			if s.Sends[Down] == 0 || s.Sends[Down] > 70 {
				t.Errorf("%d sends down", s.Sends[Down])
			}
		})
	}
}

// TestStreamLong relays a datagram that is larger than the buffer that a
// stream has all the time, both ways.
func TestStreamLong(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.tcp(t, nil)
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
	for _, n := range []int{smallBuffer - channelHeader, smallBuffer, 9001, 60000, 1} {
		want := bytes.Repeat([]byte{byte(n)}, n)
		c.send(t, 0x4000, want)
		if p, _ := receiveOne(t, worker); !bytes.Equal(p, want) {
			t.Errorf("%d bytes up: got %d", n, len(p))
		}
		if _, err := worker.WriteToUDPAddrPort(want, c.relayed); err != nil {
			t.Fatal(err)
		}
		if _, p := c.receiveData(t); !bytes.Equal(p, want) {
			t.Errorf("%d bytes down: got %d", n, len(p))
		}
	}
}

// TestStreamLongOfStranger has a client announce a long message when it has no
// allocation: no memory is kept for that.
func TestStreamLongOfStranger(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.tcp(t, nil)
	c := dial(t, l)
	if _, err := c.conn.Write(channelMessage(0x4000, make([]byte, smallBuffer))[:channelHeader]); err != nil {
		t.Fatal(err)
	}
	if p, err := c.message(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection goes on: %x, %v", p, err)
	}
	eventually(t, "it is counted", func() bool { return l.Stats().Dropped[DropMalformed] == 1 })
	c = dial(t, l)
	c.send(t, 0x4000, make([]byte, smallBuffer-channelHeader))
	c.allocate(t)
	if n := l.Stats().Dropped[DropUnbound]; n != 1 {
		t.Errorf("%d messages without a channel", n)
	}
}

// TestStreamPieces writes byte by byte what belongs together, and in one go
// what does not.
func TestStreamPieces(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.tcp(t, nil)
	c := dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
	whole := append(channelMessage(0x4000, []byte("12345")), 0, 0, 0)
	for i := range whole {
		if _, err := c.conn.Write(whole[i : i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if p, _ := receiveOne(t, worker); string(p) != "12345" {
		t.Errorf("byte by byte: %q", p)
	}
	const many = 500
	if _, err := c.conn.Write(bytes.Repeat(whole, many)); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		if p, _ := receiveOne(t, worker); string(p) != "12345" {
			t.Fatalf("in one go, %d: %q", i, p)
		}
	}
}

// TestStreamEnd closes connections from either end.
func TestStreamEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*gate, *Listener, *client){
		"client leaves": func(_ *gate, _ *Listener, c *client) { _ = c.conn.Close() },
		"TLS on TCP": func(_ *gate, _ *Listener, c *client) {
			_, _ = c.conn.Write([]byte("\x16\x03\x02\x00\x01\x00\x01\xfc\x03\x03"))
		},
		"too long":         func(_ *gate, _ *Listener, c *client) { _, _ = c.conn.Write([]byte{0x40, 0, 0xff, 0xff}) },
		"listener closes":  func(_ *gate, l *Listener, _ *client) { _ = l.Close() },
		"the relay closes": func(g *gate, _ *Listener, _ *client) { g.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t)
			l := g.tcp(t, nil)
			c := dial(t, l).allocate(t)
			a := <-g.opened
			c.bind(t, 0x4000, addrOf(c.conn.LocalAddr()))
			end(g, l, c)
			<-a.done
			eventually(t, "nothing is left", func() bool {
				s := l.Stats()
				return s.Streams == 0 && s.Allocations == 0 && l.bindings.len() == 0
			})
			if name != "client leaves" {
				if _, err := c.message(); err == nil {
					t.Error("the connection is still there")
				}
			}
		})
	}
}

// TestSlowStream has a client that reads nothing. Reader threads go on, what
// does not fit is dropped, and what was queued comes when it reads again.
func TestSlowStream(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	l := g.tcp(t, nil)
	slow, quick := dial(t, l).allocate(t), dial(t, l).allocate(t)
	worker := peer(t, "127.0.0.1:0")
	for _, c := range []*client{slow, quick} {
		c.bind(t, 0x4000, addrOf(worker.LocalAddr()))
	}
	sent := uint64(0)
	payload := make([]byte, 8000)
	for l.Stats().Dropped[DropSlow] < 10 {
		if _, err := worker.WriteToUDPAddrPort(payload, slow.relayed); err != nil {
			t.Fatal(err)
		}
		sent++
		eventually(t, "each is accounted for", func() bool {
			s := l.Stats()
			return s.Packets[Down]+s.Dropped[DropSlow] == sent
		})
	}
	queued := l.Stats().Packets[Down]
	if _, err := worker.WriteToUDPAddrPort([]byte("quick"), quick.relayed); err != nil {
		t.Fatal(err)
	}
	if _, p := quick.receiveData(t); string(p) != "quick" {
		t.Errorf("the quick client got %q", p)
	}
	for range queued {
		if _, p := slow.receiveData(t); len(p) != len(payload) {
			t.Fatalf("%d bytes", len(p))
		}
	}
	if _, err := worker.WriteToUDPAddrPort([]byte("again"), slow.relayed); err != nil {
		t.Fatal(err)
	}
	if _, p := slow.receiveData(t); string(p) != "again" {
		t.Errorf("the slow client got %d bytes", len(p))
	}
}

func TestMaxStreams(t *testing.T) {
	t.Parallel()
	g := newGate(t, func(cfg *Config) { cfg.MaxStreams = 2 })
	l := g.tcp(t, nil)
	one, two := dial(t, l).allocate(t), dial(t, l).allocate(t)
	if _, err := dial(t, l).message(); err == nil {
		t.Error("a third connection was served")
	}
	_ = one.conn.Close()
	eventually(t, "the first is gone", func() bool { return l.Stats().Streams == 1 })
	dial(t, l).allocate(t)
	two.refresh(t, 600)
}

// TestStrangersGiveWay has strangers take all places: who comes later gets one,
// who has an allocation keeps it.
func TestStrangersGiveWay(t *testing.T) {
	t.Parallel()
	g := newGate(t, func(cfg *Config) { cfg.MaxStreams = 3 })
	l := g.tcp(t, nil)
	player := dial(t, l).allocate(t)
	for range 10 {
		stranger := dial(t, l)
		if _, err := stranger.conn.Write([]byte{0x40}); err != nil {
			t.Fatal(err)
		}
	}
	second := dial(t, l).allocate(t)
	eventually(t, "the others are gone", func() bool { return l.Stats().Streams <= 3 })
	for _, c := range []*client{player, second} {
		exchange(t, c, peer(t, "127.0.0.1:0"))
	}
}

func TestDatagramFraming(t *testing.T) {
	t.Parallel()
	g := newGate(t)
	ln := &pipes{conns: make(chan net.Conn, 10), closed: make(chan struct{})}
	l, err := g.relay.ListenStreams(ln, Datagram)
	if err != nil {
		t.Fatal(err)
	}
	g.serve(t, l)
	p := newPipe()
	ln.conns <- p
	c := newClient(t, messageConn{p}, false).allocate(t)
	if at := <-p.deadlines; time.Until(at) > openPatience || at.IsZero() {
		t.Errorf("a connection without an allocation may stay until %v", at)
	}
	if at := <-p.deadlines; !at.IsZero() {
		t.Errorf("a connection with an allocation may stay until %v", at)
	}
	exchange(t, c, peer(t, "127.0.0.1:0"))
	c.refresh(t, 0)
	if at := <-p.deadlines; at.IsZero() || time.Until(at) > openPatience {
		t.Errorf("a connection whose allocation ended may stay until %v", at)
	}
	twin := newPipe() // the same 5-tuple
	ln.conns <- twin
	<-twin.closed
	p.in <- []byte{0x80, 0, 0, 0}
	<-p.closed
	eventually(t, "nothing is left", func() bool { return l.Stats().Streams == 0 })
	if s := l.Stats(); s.Dropped[DropMalformed] != 1 {
		t.Errorf("stats %+v", s)
	}
	// An answer to somebody who is gone.
	if _, err := l.WriteTo([]byte("x"), p.remote); err != nil {
		t.Error(err)
	}
	if s := l.Stats(); s.Dropped[DropSlow] != 1 {
		t.Errorf("stats %+v", s)
	}
	odd := newPipe()
	odd.remote = &net.IPAddr{}
	ln.conns <- odd
	<-odd.closed
}

// TestStreamQueue looks at the queue alone.
func TestStreamQueue(t *testing.T) {
	t.Parallel()
	r, err := New(Config{Admission: &admission{}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	l := r.newListener(&net.TCPAddr{})
	l.streams = &streams{listener: l, ln: &pipes{closed: make(chan struct{})}, conns: map[endpoint]*stream{}}
	s := newStream(l.streams, newPipe(), endpoint{port: 1})
	payload := make([]byte, 1197)
	var queued int
	for s.push(0x4000, payload) {
		queued++
	}
	if want := maxChunks * (chunkSize / (channelHeader + 1200)); queued != want && queued != want-maxChunks {
		t.Errorf("%d messages fit, want %d", queued, want)
	}
	for n := maxChunks; n > 0; n-- {
		c := s.take()
		if c == nil || c.size%1204 != 0 || c.size < chunkSize-2*1204 {
			t.Fatalf("chunk %d: %+v", n, c)
		}
		if channel, p, ok := channelData(c.data[:c.size]); !ok || channel != 0x4000 || len(p) != len(payload) {
			t.Errorf("chunk %d begins with %x", n, c.data[:8])
		}
		s.recycle(c)
	}
	if s.take() != nil {
		t.Error("more came out than went in")
	}
	if !s.push(0x4000, payload) {
		t.Error("an empty queue is full")
	}
	if s.push(0x4000, make([]byte, chunkSize)) {
		t.Error("a message larger than a chunk fits")
	}
	s.close()
	s.close()
	if s.push(0x4000, payload) {
		t.Error("a closed stream takes data")
	}
}
