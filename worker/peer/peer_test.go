package peer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/transport/v2/packetio"
	"github.com/pion/webrtc/v3"
	"go.uber.org/goleak"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func listen(t *testing.T, cfg Config) *Listener {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	l, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// watcher records events.
type watcher struct {
	ready, keys     chan struct{}
	inputs, control chan []byte
}

func newWatcher() *watcher {
	return &watcher{
		make(chan struct{}, 99), make(chan struct{}, 99), make(chan []byte, 99), make(chan []byte, 99),
	}
}

func (w *watcher) events() Events {
	return Events{
		Ready: func() { w.ready <- struct{}{} }, KeyFrame: func() { w.keys <- struct{}{} },
		Input: func(b []byte) { w.inputs <- b }, Control: func(b []byte) { w.control <- b },
	}
}

// connect joins a browser to a running peer.
func connect(t *testing.T, l *Listener, o peertest.Options) (*Peer, *peertest.Browser, *watcher, <-chan error) {
	t.Helper()
	w := newWatcher()
	p, b, done := connectWith(t, l, w, Options{}, o)
	return p, b, w, done
}

func connectWith(t *testing.T, l *Listener, w *watcher, ours Options, o peertest.Options) (*Peer, *peertest.Browser, <-chan error) {
	t.Helper()
	p, err := l.Open(w.events(), ours)
	if err != nil {
		t.Fatal(err)
	}
	b := peertest.New(t, o)
	answer, err := p.Answer(t.Context(), b.Offer(), "")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); p.Close() })
	b.Accept(answer)
	peertest.Wait(t, "the connection", w.ready)
	peertest.Wait(t, "the browser's connection", b.Connected)
	return p, b, done
}

// accessUnit is Annex B like x264's: a key frame has SPS, PPS and an IDR slice.
func accessUnit(key bool, size int, fill byte) []byte {
	var b []byte
	slice := byte(0x41)
	if key {
		b = append(b, 0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 1, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80)
		slice = 0x65
	}
	return append(append(b, 0, 0, 0, 1, slice), bytes.Repeat([]byte{fill | 1}, size)...)
}

func TestStreamsAreSeparate(t *testing.T) {
	l := listen(t, Config{})
	_, b, _, _ := connect(t, l, peertest.Options{})
	ids := map[string]bool{}
	for line := range strings.Lines(b.PC.RemoteDescription().SDP) {
		if _, msid, ok := strings.Cut(line, "a=msid:"); ok {
			ids[strings.Fields(msid)[0]] = true
		}
	}
	if len(ids) != 2 {
		t.Errorf("media streams %v, want two: lip-sync delays the picture else", ids)
	}
}

func TestProfiles(t *testing.T) {
	l := listen(t, Config{})
	tests := []struct {
		offer []string
		want  media.Profile
		ok    bool
	}{
		{[]string{"42001f", "42e01f", "4d001f", "f4001f"}, media.ProfileMain, true},
		{[]string{"42e01f"}, media.ProfileBaseline, true},
		{[]string{"42001f"}, media.ProfileBaseline, true},
		{[]string{"640c1f", "42e034"}, media.ProfileBaseline, true},
		{[]string{"f4001f"}, 0, false},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.offer, " "), func(t *testing.T) {
			p, err := l.Open(newWatcher().events(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			_, err = p.Answer(t.Context(), peertest.New(t, peertest.Options{Profiles: tt.offer}).Offer(), "")
			if !tt.ok {
				if !errors.Is(err, ErrOffer) {
					t.Fatalf("err = %v, want ErrOffer", err)
				}
				return
			}
			if err != nil || p.Profile() != tt.want {
				t.Fatalf("profile %v, %v", p.Profile(), err)
			}
		})
	}
}

func TestChannels(t *testing.T) {
	l := listen(t, Config{})
	p, b, w, _ := connect(t, l, peertest.Options{NoAudio: true})
	p.Control([]byte(`{"type":"room"}`)) // perhaps before the channel is open
	peertest.Wait(t, "the channel", b.Open)
	if got := peertest.Wait(t, "a message", b.Messages); got != `{"type":"room"}` {
		t.Errorf("message %q", got)
	}
	if err := b.Channel.SendText("hello"); err != nil {
		t.Fatal(err)
	}
	if got := peertest.Wait(t, "the message", w.control); string(got) != "hello" {
		t.Errorf("control %q", got)
	}
	if err := b.Input.Send([]byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	if got := peertest.Wait(t, "the datagram", w.inputs); !bytes.Equal(got, []byte{1, 2, 3}) {
		t.Errorf("input %v", got)
	}
}

func TestLastWordsArrive(t *testing.T) {
	l := listen(t, Config{})
	p, b, _, done := connect(t, l, peertest.Options{})
	peertest.Wait(t, "the channel", b.Open)
	p.Control([]byte("why"))
	p.Close()
	if got := peertest.Wait(t, "the last message", b.Messages); got != "why" {
		t.Errorf("message %q", got)
	}
	if err := peertest.Wait(t, "Run", done); !errors.Is(err, ErrClosed) {
		t.Errorf("Run = %v", err)
	}
	p.Close()
	if show(t, p).Video(picture(accessUnit(true, 10, 1), true, 0)) {
		t.Error("a peer that has ended takes a picture")
	}
}

// The browser's farewell is one datagram, which nobody repeats: a busy machine may
// lose it, but not each time.
func TestBrowserLeaves(t *testing.T) {
	l := listen(t, Config{})
	for range 3 {
		_, b, _, done := connect(t, l, peertest.Options{})
		peertest.Wait(t, "the channel", b.Open)
		b.Close()
		select {
		case err := <-done:
			if !errors.Is(err, ErrLeft) {
				t.Errorf("Run = %v, want ErrLeft", err)
			}
			return
		case <-time.After(5 * time.Second):
		}
	}
	t.Error("nobody who leaves is heard")
}

func TestUninvitedChannel(t *testing.T) {
	l := listen(t, Config{})
	_, b, _, done := connect(t, l, peertest.Options{})
	peertest.Wait(t, "the channel", b.Open)
	if _, err := b.PC.CreateDataChannel("more", nil); err != nil {
		t.Fatal(err)
	}
	if err := peertest.Wait(t, "Run", done); !errors.Is(err, ErrLost) {
		t.Errorf("Run = %v", err)
	}
}

func TestTrickle(t *testing.T) {
	l := listen(t, Config{})
	w := newWatcher()
	p, err := l.Open(w.events(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	mid, line := "0", uint16(0)
	host := "candidate:1 1 udp 2130706431 127.0.0.1 40000 typ host"
	for _, c := range []string{host, "", "candidate:2 1 udp 1 x-y.local 4 typ host", "nonsense", "candidate:"} {
		if err := p.AddCandidate(c, &mid, &line); err != nil {
			t.Errorf("early %q: %v", c, err)
		}
	}
	if _, err := p.Answer(t.Context(), peertest.New(t, peertest.Options{}).Offer(), ""); err != nil {
		t.Fatal(err)
	}
	if err := p.AddCandidate(host, nil, nil); err != nil {
		t.Error(err)
	}
	if err := p.AddCandidate(strings.Repeat("x", maxCandidate+1), nil, nil); !errors.Is(err, ErrOffer) {
		t.Errorf("huge candidate: %v", err)
	}
	for range maxRemote {
		err = p.AddCandidate("", &mid, nil)
	}
	if !errors.Is(err, ErrOffer) {
		t.Errorf("too many candidates: %v", err)
	}
}

func TestAnswerAnnouncesHost(t *testing.T) {
	l := listen(t, Config{IPMap: []string{"198.51.100.7/10.0.0.1"}})
	tests := []struct {
		host string
		want []string
	}{
		{"", []string{"198.51.100.7"}},
		{"203.0.113.9", []string{"198.51.100.7", "203.0.113.9"}},
		{"[2001:db8::1]", []string{"198.51.100.7", "2001:db8::1"}},
		{"play.example.org", []string{"198.51.100.7"}},
		{"0.0.0.0", []string{"198.51.100.7"}},
		{"224.0.0.1", []string{"198.51.100.7"}},
		{"fe80::1%eth0", []string{"198.51.100.7"}},
		{"1.2.3.4 9 typ host\r\na=x", []string{"198.51.100.7"}},
	}
	for _, tt := range tests {
		t.Run(tt.host, func(t *testing.T) {
			p, err := l.Open(newWatcher().events(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			b := peertest.New(t, peertest.Options{})
			answer, err := p.Answer(t.Context(), b.Offer(), tt.host)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for line := range strings.Lines(answer) {
				f := strings.Fields(line)
				if strings.HasPrefix(line, "a=candidate:90") && len(f) > 5 {
					got = append(got, f[4])
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("extra candidates %v, want %v", got, tt.want)
			}
			b.Accept(answer)
		})
	}
	public := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.7"), uint16(l.Port()))
	if !slices.Contains(l.Addrs(), public) {
		t.Errorf("Addrs = %v lack %v", l.Addrs(), public)
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	log := slog.New(slog.DiscardHandler)
	port := taken.LocalAddr().(*net.UDPAddr).Port
	if _, err := Listen(Config{Logger: log, Port: port}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port in use: %v", err)
	}
	for _, cfg := range []Config{
		{Address: "nowhere"}, {Address: "198.51.100.1"}, {IPMap: []string{"x"}}, {IPMap: []string{"1.2.3.4/y"}},
	} {
		cfg.Logger = log
		if l, err := Listen(cfg); err == nil {
			_ = l.Close()
			t.Errorf("%+v was accepted", cfg)
		}
	}
	l := listen(t, Config{Address: "127.0.0.1"})
	if a := l.Addrs(); len(a) != 1 || a[0].Addr() != netip.MustParseAddr("127.0.0.1") {
		t.Errorf("Addrs = %v", a)
	}
}

// TestCertificateIsRenewed: a worker outlives the month that pion's
// certificates last.
func TestCertificateIsRenewed(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	config := func(now time.Time) webrtc.Certificate {
		t.Helper()
		c, err := l.configuration(now)
		if err != nil {
			t.Fatal(err)
		}
		return c.Certificates[0]
	}
	now := time.Now()
	first := config(now)
	if again := config(now.Add(24 * time.Hour)); !again.Equals(first) {
		t.Error("a new certificate a day later")
	}
	almost := first.Expires().Add(-certificateRest / 2)
	if renewed := config(almost); renewed.Equals(first) {
		t.Errorf("still the first certificate at %v, which expires at %v", almost, first.Expires())
	}
	connect(t, l, peertest.Options{})
}

// TestManyStreams: a browser that names stream after stream does not fill our
// memory, and is shown out.
func TestManyStreams(t *testing.T) {
	l := listen(t, Config{Address: "127.0.0.1"})
	_, b, _, done := connect(t, l, peertest.Options{})
	for ssrc := range uint32(maxStreams + 1) {
		if err := b.PC.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: 1 + ssrc}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := peertest.Wait(t, "the end", done); !errors.Is(err, errStreams) || !errors.Is(err, ErrLost) {
		t.Errorf("Run = %v", err)
	}
}

func TestBuffers(t *testing.T) {
	over := 0
	b := buffers{over: func() { over++ }}
	for i := range maxStreams + 3 {
		buffer := b.make(packetio.RTCPBufferPacket, uint32(i))
		n, err := buffer.Write([]byte("abc"))
		if n != 3 || err != nil {
			t.Fatalf("write to %d: %d, %v", i, n, err)
		}
		if n, err := buffer.Read(make([]byte, 9)); (i < maxStreams) != (n == 3 && err == nil) {
			t.Errorf("read of %d: %d, %v", i, n, err)
		}
		if err := buffer.Close(); err != nil {
			t.Error(err)
		}
	}
	if over != 3 {
		t.Errorf("%d too many, want 3", over)
	}
}
