package send

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// browser is what one viewer sends to, on any of its addresses. It keeps the rules
// that a real one relies on.
type browser struct {
	*Viewer
	t       *testing.T
	sockets []*net.UDPConn
	at      int // socket that the viewer was opened with last
	context *srtp.Context

	sealed   map[uint64][]byte // datagrams by SSRC and sequence number
	twcc     map[uint16]uint64 // who had this transport-wide number
	packets  map[uint16]*rtp.Packet
	pictures map[uint32][]*rtp.Packet // by RTP time
	order    []uint32
	sounds   []uint32
	resent   int
}

func newBrowser(t *testing.T, r *rig, video, audio Stream, p seal.Profile) *browser {
	t.Helper()
	b := &browser{
		t: t, sealed: make(map[uint64][]byte), twcc: make(map[uint16]uint64),
		packets: make(map[uint16]*rtp.Packet), pictures: make(map[uint32][]*rtp.Packet),
	}
	for range 2 {
		b.sockets = append(b.sockets, newWatcher(t, r.addr, Stream{}, Stream{}, p).socket)
	}
	key, salt := keys(p)
	var err error
	if b.context, err = srtp.CreateContext(key, salt, srtp.ProtectionProfile(p)); err != nil {
		t.Fatal(err)
	}
	b.Viewer = NewViewer(ViewerConfig{Video: video, Audio: audio, History: minHistory})
	return b
}

func (b *browser) address() netip.AddrPort {
	return b.sockets[b.at].LocalAddr().(*net.UDPAddr).AddrPort()
}

// read takes all that has arrived.
func (b *browser) read() {
	b.t.Helper()
	buffer := make([]byte, 2048)
	for _, s := range b.sockets {
		for {
			// On loopback what was sent is there; a deadline that is over reads it no more.
			raw, err := s.SyscallConn()
			if err != nil {
				b.t.Fatal(err)
			}
			n := 0
			_ = raw.Read(func(fd uintptr) bool {
				n, _, err = syscall.Recvfrom(int(fd), buffer, syscall.MSG_DONTWAIT)
				return true
			})
			if err != nil {
				break
			}
			b.take(bytes.Clone(buffer[:n]))
		}
	}
}

// take checks one datagram. The same number under the same key may only ever carry
// the same bytes.
func (b *browser) take(raw []byte) {
	b.t.Helper()
	sequence, ssrc := binary.BigEndian.Uint16(raw[2:]), binary.BigEndian.Uint32(raw[8:])
	id := uint64(ssrc)<<16 | uint64(sequence)
	if before, ok := b.sealed[id]; ok {
		if !bytes.Equal(before, raw) {
			b.t.Fatalf("two packets sealed under number %d of %x", sequence, ssrc)
		}
		b.resent++
		return
	}
	b.sealed[id] = raw
	plain, err := b.context.DecryptRTP(nil, raw, nil)
	if err != nil {
		b.t.Fatalf("packet %d of %x: %v", sequence, ssrc, err)
	}
	p := new(rtp.Packet)
	if err := p.Unmarshal(plain); err != nil {
		b.t.Fatal(err)
	}
	number := binary.BigEndian.Uint16(p.GetExtension(3))
	if other, ok := b.twcc[number]; ok {
		b.t.Fatalf("transport-wide number %d on %x and on %x", number, other, id)
	}
	b.twcc[number] = id
	switch ssrc {
	case audioSSRC:
		b.sounds = append(b.sounds, p.Timestamp)
	case rtxSSRC:
		b.resent++
		lost := b.packets[binary.BigEndian.Uint16(p.Payload)]
		if lost == nil || !bytes.Equal(lost.Payload, p.Payload[2:]) || lost.Timestamp != p.Timestamp || lost.Marker != p.Marker {
			b.t.Fatalf("resend of %d is not what was sent", binary.BigEndian.Uint16(p.Payload))
		}
	default:
		if b.pictures[p.Timestamp] == nil {
			b.order = append(b.order, p.Timestamp)
		}
		b.packets[sequence] = p
		b.pictures[p.Timestamp] = append(b.pictures[p.Timestamp], p)
	}
}

// check looks at all pictures that came: each is whole, its packets in a row, and
// one that does not follow the picture before is a key frame. last may be on its
// way still.
func (b *browser) check(offered map[uint32]shown, offset uint32, done bool) {
	b.t.Helper()
	before := -1
	for k, time := range b.order {
		picture := offered[time-offset]
		packets := b.pictures[time]
		for i, p := range packets {
			if p.SequenceNumber != packets[0].SequenceNumber+uint16(i) || p.Marker && i != len(packets)-1 {
				b.t.Fatalf("picture %d: packet %d is %d", picture.index, i, p.SequenceNumber)
			}
		}
		if last := packets[len(packets)-1]; !last.Marker {
			if k == len(b.order)-1 && !done {
				return
			}
			b.t.Fatalf("half of picture %d", picture.index)
		}
		if !bytes.Equal(joinH264(packets), picture.data[4:]) {
			b.t.Fatalf("picture %d: other bytes", picture.index)
		}
		if picture.index != before+1 && !picture.key {
			b.t.Fatalf("picture %d after %d is no key frame", picture.index, before)
		}
		before = picture.index
	}
}

// joinH264 is the one slice of a picture.
func joinH264(packets []*rtp.Packet) []byte {
	if len(packets) == 1 {
		return packets[0].Payload
	}
	first := packets[0].Payload
	slice := []byte{first[0]&0xe0 | first[1]&0x1f}
	for _, p := range packets {
		slice = append(slice, p.Payload[2:]...)
	}
	return slice
}

// shown is a picture that was offered.
type shown struct {
	index int
	key   bool
	data  []byte
}

// TestModel does at random all that can happen to a viewer, in any order: pictures
// of all sizes, sound, requests for what was sent and what never was, a new address,
// attaching anew, a path whose MTU shrinks, a timer that is late, a full queue. What
// arrives must keep a browser's rules whatever happens.
func TestModel(t *testing.T) {
	for seed := range uint64(24) {
		p := profiles()[seed%3]
		random := rand.New(rand.NewPCG(seed, 7))
		shrink := false
		r := newRig(t, "127.0.0.1", batch.Config{Fault: func(int) error {
			if shrink {
				return syscall.EMSGSIZE
			}
			return nil
		}})
		video := videoStream()
		if seed%2 == 0 {
			video = withRTX(video)
		}
		b := newBrowser(t, r, video, audioStream(), p)
		r.sender.Attach(b.Viewer)
		openFast(t, b.Viewer, r.conn, b.address(), p)
		m := model{t: t, rig: r, browser: b, random: random, profile: p, offered: make(map[uint32]shown)}
		for range 400 {
			shrink = random.IntN(30) == 0
			m.step()
			b.read()
		}
		r.turns()
		b.read()
		b.check(m.offered, b.video.offset, true)
		got := b.Stats()
		if got.SealErrors+got.Unsent != 0 || int(got.Frames) != len(b.order) || int(got.Sounds) != len(b.sounds) {
			t.Errorf("seed %d: %+v, %d pictures and %d packets of sound arrived", seed, got.Counts, len(b.order), len(b.sounds))
		}
		if int(got.ResentPlain+got.ResentRTX) != b.resent || b.resent == 0 {
			t.Errorf("seed %d: %d resends arrived, %+v", seed, b.resent, got.Counts)
		}
		if m.taken != len(b.order)+m.dropped() {
			t.Errorf("seed %d: %d pictures taken, %d arrived, %+v", seed, m.taken, len(b.order), got.Counts)
		}
		b.Close()
	}
}

// model is one play of TestModel.
type model struct {
	t       *testing.T
	rig     *rig
	browser *browser
	random  *rand.Rand
	profile seal.Profile
	offered map[uint32]shown
	index   int
	taken   int
	gone    int // pictures that waited when the viewer was detached
	refused int // pictures that were not taken because the queue was full
}

// dropped is how many pictures were taken and then dropped.
func (m *model) dropped() int {
	return int(m.browser.Stats().FramesDroppedSlow) - m.refused + m.gone
}

func (m *model) step() {
	r, b := m.rig, m.browser
	switch m.random.IntN(20) {
	case 0: // the selected pair changed
		b.at = m.random.IntN(2)
		key, salt := keys(m.profile)
		if err := b.Open(Path{Conn: r.conn, Remote: b.address(), Profile: m.profile, Key: key, Salt: salt}); err != nil {
			m.t.Fatal(err)
		}
	case 1:
		m.gone += b.queue.n
		r.sender.Detach(b.Viewer)
		r.sender.Attach(b.Viewer)
	case 2, 3, 4:
		m.ask()
	case 5, 6, 7:
		r.sender.Audio(Sound{Data: make([]byte, 1+m.random.IntN(300)), PTS: r.now, Duration: packet})
	case 8:
		r.advance(time.Duration(m.random.Int64N(int64(50 * time.Millisecond))))
	case 9, 10, 11, 12, 13, 14:
		m.picture()
	default:
		if next := r.sender.Turn(r.now); next > r.now && m.random.IntN(3) > 0 {
			r.advance(next - r.now)
		}
	}
}

// picture offers the next one; key frames come now and then, asked for or not.
func (m *model) picture() {
	r, b := m.rig, m.browser
	size := 10 + m.random.IntN(3_000)
	if m.random.IntN(8) == 0 {
		size = 10 + m.random.IntN(200_000)
	}
	key := m.index == 0 || m.random.IntN(6) == 0
	data := accessUnit(size, key)
	binary.BigEndian.PutUint32(data[5:], uint32(m.index)|0x01010101)
	slow := b.Stats().FramesDroppedSlow
	waiting := b.queue.n
	taken := r.picture(data, key)
	m.offered[videoTime(r.now)] = shown{m.index, key, data}
	m.index++
	switch dropped := int(b.Stats().FramesDroppedSlow - slow); {
	case taken:
		m.taken++
		if dropped != 0 && dropped != waiting {
			m.t.Fatalf("%d pictures dropped of %d that waited", dropped, waiting)
		}
	default:
		m.refused += dropped
		if key {
			m.t.Fatal("a key frame was not taken")
		}
	}
}

// ask is a NACK for some packets that arrived, old and new, and for one that was
// never sent.
func (m *model) ask() {
	b := m.browser
	var lost []uint16
	for sequence := range b.packets {
		if lost = append(lost, sequence); len(lost) == 5 {
			break
		}
	}
	if b.video != nil {
		lost = append(lost, uint16(b.video.index-1), uint16(b.video.index)+3)
	}
	if len(lost) == 0 {
		return
	}
	w := watcher{t: m.t, Viewer: b.Viewer}
	w.feed(videoSSRC, nack(lost...))
}

// TestPictureOutlivesPool has a viewer whose writer is stuck amid a picture while
// others are sent a hundred: what it sends afterwards is still its own picture.
func TestPictureOutlivesPool(t *testing.T) {
	s := New(Config{})
	var got []*rtp.Packet
	inside := func() {}
	slow := NewViewer(ViewerConfig{Video: videoStream()})
	fast := NewViewer(ViewerConfig{Video: videoStream()})
	drain := byHand(fast, s)
	turn := byHand(slow, s)
	write := func(h *rtp.Header, payload []byte) error {
		got = append(got, &rtp.Packet{Header: h.Clone(), Payload: bytes.Clone(payload)})
		if len(got) == 3 {
			inside()
		}
		return nil
	}
	if err := slow.Open(Path{Video: write}); err != nil {
		t.Fatal(err)
	}
	if err := fast.Open(Path{Video: func(*rtp.Header, []byte) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	picture := func(i int, size int) []byte {
		data := accessUnit(size, true)
		for k := 5; k < len(data); k++ {
			data[k] = byte(i) | 1
		}
		return data
	}
	inside = func() {
		for i := range 100 {
			s.Video(Frame{Codec: packetize.H264, Data: picture(2*i+2, 1_000+i*700), Key: true})
			drain()
		}
	}
	first := picture(0, 30_000)
	s.Video(Frame{Codec: packetize.H264, Data: first, Key: true})
	turn()
	var whole []*rtp.Packet
	for _, p := range got {
		if whole = append(whole, p); p.Marker {
			break
		}
	}
	if !bytes.Equal(joinH264(whole), first[4:]) {
		t.Error("the picture was overwritten while it was sent")
	}
	if n := len(s.units.spare); n == 0 || n > poolSize {
		t.Errorf("%d units are kept", n)
	}
	for _, u := range s.units.spare {
		if u.refs.Load() != 0 {
			t.Errorf("a kept unit has %d uses", u.refs.Load())
		}
	}
}
