package send

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/pace"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

const (
	videoSSRC = 0x11111111
	audioSSRC = 0x22222222
	rtxSSRC   = 0x33333333
)

func videoStream() Stream {
	return Stream{Codec: packetize.H264, SSRC: videoSSRC, PayloadType: 96, TWCC: 3, PlayoutDelay: 5, AbsSendTime: 2}
}

func audioStream() Stream {
	return Stream{Codec: packetize.Opus, SSRC: audioSSRC, PayloadType: 111, TWCC: 3}
}

func withRTX(s Stream) Stream {
	s.RTX = RTX{SSRC: rtxSSRC, PayloadType: 97}
	return s
}

func listen(tb testing.TB, addr string, cfg batch.Config) *batch.Conn {
	tb.Helper()
	conn, err := batch.Listen(netip.AddrPortFrom(netip.MustParseAddr(addr), 0), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// keys are as good as any.
func keys(p seal.Profile) (key, salt []byte) {
	key, salt = make([]byte, p.KeyLen()), make([]byte, p.SaltLen())
	for i := range key {
		key[i] = byte(i + 1)
	}
	for i := range salt {
		salt[i] = byte(i + 101)
	}
	return key, salt
}

func openFast(tb testing.TB, v *Viewer, conn *batch.Conn, to netip.AddrPort, p seal.Profile) {
	tb.Helper()
	key, salt := keys(p)
	if err := v.Open(Path{Conn: conn, Remote: to, Profile: p, Key: key, Salt: salt}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(v.Close)
}

// rig is one room, its clock, and the socket it sends from.
type rig struct {
	t      testing.TB
	addr   string
	now    time.Duration
	wall   time.Time
	sender *Sender
	conn   *batch.Conn
}

func newRig(t testing.TB, addr string, cfg batch.Config) *rig {
	r := &rig{t: t, addr: addr, now: time.Hour, wall: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), conn: listen(t, addr, cfg)}
	r.sender = New(Config{
		Now:  func() time.Duration { return r.now },
		Wall: func() time.Time { return r.wall },
		Pace: pace.Config{},
	})
	return r
}

// step is one picture at 60 Hz, and whether it was taken; nothing is sent yet.
func (r *rig) picture(data []byte, key bool) bool {
	r.advance(time.Second / 60)
	return r.sender.Video(Frame{Codec: packetize.H264, Data: data, Key: key, PTS: r.now})
}

func (r *rig) advance(d time.Duration) { r.now, r.wall = r.now+d, r.wall.Add(d) }

// turns takes turns until nothing is due any more.
func (r *rig) turns() {
	for next := r.sender.Turn(r.now); next > 0; next = r.sender.Turn(r.now) {
		if next > r.now {
			r.advance(next - r.now)
		}
	}
}

// watcher is a browser: a viewer and the socket that receives what it is sent.
type watcher struct {
	*Viewer
	t       testing.TB
	socket  *net.UDPConn
	context *srtp.Context
	asked   int // key frames
	reports []rtcp.SenderReport
	answers []rtcp.ExtendedReport
	buffer  [2048]byte
}

// watch makes a viewer on the fast path.
func (r *rig) watch(video, audio Stream, p seal.Profile) *watcher {
	r.t.Helper()
	w := newWatcher(r.t, r.addr, video, audio, p)
	r.sender.Attach(w.Viewer)
	openFast(r.t, w.Viewer, r.conn, w.address(), p)
	return w
}

func newWatcher(t testing.TB, addr string, video, audio Stream, p seal.Profile) *watcher {
	t.Helper()
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(addr)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	if err := socket.SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, socket: socket}
	key, salt := keys(p)
	if w.context, err = srtp.CreateContext(key, salt, srtp.ProtectionProfile(p)); err != nil {
		t.Fatal(err)
	}
	w.Viewer = NewViewer(ViewerConfig{
		Video: video, Audio: audio,
		KeyFrame: func() { w.asked++ },
		Report: func(compound []rtcp.Packet) error {
			for _, p := range compound {
				switch p := p.(type) {
				case *rtcp.SenderReport:
					w.reports = append(w.reports, *p)
				case *rtcp.ExtendedReport:
					w.answers = append(w.answers, *p)
				}
			}
			return nil
		},
	})
	t.Cleanup(w.Close)
	return w
}

func (w *watcher) address() netip.AddrPort { return w.socket.LocalAddr().(*net.UDPAddr).AddrPort() }

// raw reads one datagram as it came.
func (w *watcher) raw() []byte {
	w.t.Helper()
	if err := w.socket.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		w.t.Fatal(err)
	}
	n, err := w.socket.Read(w.buffer[:])
	if err != nil {
		w.t.Fatal(err)
	}
	return w.buffer[:n]
}

// receive reads and decrypts one packet.
func (w *watcher) receive() *rtp.Packet {
	w.t.Helper()
	return w.decrypt(w.raw())
}

func (w *watcher) decrypt(raw []byte) *rtp.Packet {
	w.t.Helper()
	plain, err := w.context.DecryptRTP(nil, raw, nil)
	if err != nil {
		w.t.Fatalf("decrypt: %v", err)
	}
	p := new(rtp.Packet)
	if err := p.Unmarshal(plain); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// silent fails when there is anything to read: on loopback what was sent is there.
func (w *watcher) silent() {
	w.t.Helper()
	if err := w.socket.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		w.t.Fatal(err)
	}
	if n, err := w.socket.Read(w.buffer[:]); err == nil {
		w.t.Fatalf("%d bytes that nobody expected", n)
	}
}

// want is what Split makes of the data; the packets that arrive must carry it.
func (w *watcher) want(data []byte, limit int) []*rtp.Packet {
	w.t.Helper()
	var f packetize.Frame
	if err := f.Split(packetize.H264, data, limit, 0); err != nil {
		w.t.Fatal(err)
	}
	var got []*rtp.Packet
	for i := range f.Len() {
		p := w.receive()
		if !bytes.Equal(p.Payload, f.Payload(i)) {
			w.t.Fatalf("packet %d: payload of %d bytes differs, want %d", i, len(p.Payload), len(f.Payload(i)))
		}
		if last := i == f.Len()-1; p.Marker != last {
			w.t.Fatalf("packet %d of %d: marker %v", i, f.Len(), p.Marker)
		}
		got = append(got, p)
	}
	return got
}

// feed hands RTCP to the viewer as pion would.
func (w *watcher) feed(ssrc uint32, packets ...rtcp.Packet) {
	w.t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.Feedback(b, ssrc); err != nil {
		w.t.Fatal(err)
	}
}

func nack(sequences ...uint16) *rtcp.TransportLayerNack {
	return &rtcp.TransportLayerNack{MediaSSRC: videoSSRC, Nacks: rtcp.NackPairsFromSequenceNumbers(sequences)}
}
