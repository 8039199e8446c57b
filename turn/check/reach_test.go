package check

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pion/stun"
)

func stamp(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// relayed is XOR-RELAYED-ADDRESS.
type relayed netip.AddrPort

// AddTo implements stun.Setter.
func (r relayed) AddTo(m *stun.Message) error {
	a := netip.AddrPort(r)
	return stun.XORMappedAddress{IP: a.Addr().AsSlice(), Port: int(a.Port())}.AddToAs(m, stun.AttrXORRelayedAddress)
}

// serve gives each connection to handle, until the test ends.
func serve(t *testing.T, l net.Listener, handle func(net.Conn)) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				handle(conn)
				_ = conn.Close()
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
}

func port(a net.Addr) string {
	_, p, _ := net.SplitHostPort(a.String())
	return p
}

// pairOfPorts is a TCP listener and a UDP socket on the same port.
func pairOfPorts(t *testing.T) (net.Listener, *net.UDPConn) {
	t.Helper()
	for range 20 {
		l := listenTCP(t)
		conn, err := net.ListenPacket("udp4", l.Addr().String())
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
			return l, conn.(*net.UDPConn)
		}
	}
	t.Fatal("no port that is free for both")
	return nil, nil
}

func TestSilent(t *testing.T) {
	short := func(url string) Config {
		cfg := quick(url)
		cfg.Timeout = 600 * time.Millisecond
		return cfg
	}
	t.Run("UDP and TCP", func(t *testing.T) {
		conn := listenUDP(t)
		r := walk(t, short("turn:"+conn.LocalAddr().String()))
		wantLegs(t, r, "resolve stun!")
		wantCause(t, r, 0, "UDP port "+port(conn.LocalAddr())+" is silent", "TCP at the same port is, too")
	})
	t.Run("UDP only", func(t *testing.T) {
		l, conn := pairOfPorts(t)
		over(t, l, "turn", "tcp")
		r := walk(t, short("turn:"+conn.LocalAddr().String()))
		wantLegs(t, r, "resolve stun!")
		wantCause(t, r, 0, "UDP blocked but TCP works", "?transport=tcp")
	})
	t.Run("DTLS", func(t *testing.T) {
		l, conn := pairOfPorts(t)
		serve(t, l, func(net.Conn) {})
		r := walk(t, short("turns:"+conn.LocalAddr().String()+"?transport=udp"))
		wantLegs(t, r, "resolve dtls!")
		wantCause(t, r, 0, "UDP blocked but TCP works", "turns:")
	})
	t.Run("TCP", func(t *testing.T) {
		l := listenTCP(t)
		serve(t, l, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		r := walk(t, short("turn:"+l.Addr().String()+"?transport=tcp"))
		wantLegs(t, r, "resolve connect stun!")
		wantCause(t, r, 0, "silent")
	})
	t.Run("TLS", func(t *testing.T) {
		l := listenTCP(t)
		serve(t, l, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		r := walk(t, short("turns:"+l.Addr().String()))
		wantLegs(t, r, "resolve connect tls!")
		wantCause(t, r, 0, "silent")
	})
}

func TestNobodyListens(t *testing.T) {
	l, conn := pairOfPorts(t)
	_, _ = l.Close(), conn.Close()
	for url, legs := range map[string]string{
		"turn:%?transport=udp": "resolve stun!", "turn:%?transport=tcp": "resolve connect!", "turns:%?transport=tcp": "resolve connect!",
		"turns:%?transport=udp": "resolve dtls!",
	} {
		r := walk(t, quick(strings.Replace(url, "%", l.Addr().String(), 1)))
		wantLegs(t, r, legs)
		wantCause(t, r, 0, "no program listens", "turn.listeners")
	}
}

func TestAnotherService(t *testing.T) {
	l := listenTCP(t)
	serve(t, l, func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1))
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_, _ = io.Copy(io.Discard, c)
	})
	r := walk(t, quick("turn:"+l.Addr().String()+"?transport=tcp"))
	wantLegs(t, r, "resolve connect stun!")
	wantCause(t, r, 0, "no TURN server", "turn.listeners")
	r = walk(t, quick("turns:"+l.Addr().String()))
	wantLegs(t, r, "resolve connect tls!")
	wantCause(t, r, 0, "does not speak TLS", "turn:")
}

func TestConnectionClosed(t *testing.T) {
	l := listenTCP(t)
	serve(t, l, func(c net.Conn) { _, _ = c.Read(make([]byte, stunHeader)) })
	r := walk(t, quick("turn:"+l.Addr().String()+"?transport=tcp"))
	wantLegs(t, r, "resolve connect stun!")
	wantCause(t, r, 0, "gave up", "turns:")
	r = walk(t, quick("turns:"+l.Addr().String()))
	wantLegs(t, r, "resolve connect tls!")
	wantCause(t, r, 0, "handshake failed", "turn:")
}

// The second address is tried when the first is silent.
func TestSecondAddress(t *testing.T) {
	url := overUDP(t, nil)
	target, err := parseTarget(url)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{cfg: quick(url), target: target, each: func(Leg) {}}
	if err := r.cfg.complete(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	r.addrs = []netip.Addr{netip.MustParseAddr("127.0.0.2"), netip.MustParseAddr("127.0.0.1")}
	if state := r.walk(t.Context(), step{"stun", r.stun}); state != Passed {
		t.Errorf("%s: %+v", state, r.report.Legs)
	}
}

func FuzzFrameSize(f *testing.F) {
	f.Add([]byte{0, 1, 0, 0})
	f.Add([]byte{0x40, 0, 0xff, 0xff})
	f.Add([]byte("HTTP"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if len(head) < channelHeader {
			return
		}
		size, err := frameSize(head)
		if err == nil && (size < channelHeader || size > stunHeader+65535) {
			t.Errorf("frame of %d bytes", size)
		}
	})
}
