package send

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// pion is the writer that pion would be: it keeps what it is given.
type pion struct {
	mu    sync.Mutex
	got   []*rtp.Packet
	block chan struct{} // not nil: writes wait until it is closed
	err   error
}

func (p *pion) write(h *rtp.Header, payload []byte) error {
	p.mu.Lock()
	block := p.block
	p.mu.Unlock()
	if block != nil {
		<-block
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, &rtp.Packet{Header: h.Clone(), Payload: bytes.Clone(payload)})
	return p.err
}

func (p *pion) packets() []*rtp.Packet {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got
}

// room runs a Sender in a bubble of synctest, whose clock it has.
func room(t *testing.T) *Sender {
	t.Helper()
	begin := time.Now()
	s := New(Config{Now: func() time.Duration { return time.Since(begin) + time.Hour }})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func openFallback(t *testing.T, s *Sender, cfg ViewerConfig, p *pion) *Viewer {
	t.Helper()
	v := NewViewer(cfg)
	s.Attach(v)
	if err := v.Open(Path{Video: p.write, Audio: p.write}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	return v
}

// TestFallback sends pictures and sound through pion's writer, and answers a NACK
// with the packet as it was.
func TestFallback(t *testing.T) {
	for _, rtx := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, p := room(t), new(pion)
			video := videoStream()
			if rtx {
				video = withRTX(video)
			}
			v := openFallback(t, s, ViewerConfig{Video: video, Audio: audioStream()}, p)
			picture := accessUnit(30_000, true)
			if !s.Video(Frame{Codec: packetize.H264, Data: picture, Key: true}) {
				t.Fatal("not taken")
			}
			s.Audio(Sound{Data: []byte{1, 2}, Duration: packet})
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			got := p.packets()
			var f packetize.Frame
			if err := f.Split(packetize.H264, picture, maxPayload, 0); err != nil {
				t.Fatal(err)
			}
			if len(got) != f.Len()+1 {
				t.Fatalf("%d packets, want %d", len(got), f.Len()+1)
			}
			n := 0
			for _, q := range got {
				if q.SSRC == audioSSRC {
					continue
				}
				if !bytes.Equal(q.Payload, f.Payload(n)) || len(q.GetExtension(3)) != 2 || q.Marker != (n == f.Len()-1) {
					t.Fatalf("packet %d: %+v", n, q.Header)
				}
				n++
			}
			lost := got[len(got)-1]
			b, err := rtcp.Marshal([]rtcp.Packet{nack(lost.SequenceNumber)})
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Feedback(b, videoSSRC); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			again := p.packets()[len(got)]
			if rtx {
				if again.SSRC != rtxSSRC || binary.BigEndian.Uint16(again.Payload) != lost.SequenceNumber {
					t.Errorf("%+v", again.Header)
				}
				again.Payload = again.Payload[2:]
			} else if again.SequenceNumber != lost.SequenceNumber || again.SSRC != lost.SSRC {
				t.Errorf("%+v", again.Header)
			}
			if !bytes.Equal(again.Payload, lost.Payload) {
				t.Error("another payload")
			}
			if got := v.Stats(); got.Fast || !got.Open || got.Frames != 1 || got.Sounds != 1 {
				t.Errorf("%+v", got)
			}
			if got := s.cfg.Stats.Snapshot(); got.ViewersFallback != 1 || got.ViewersFast != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestFallbackBlocks has a viewer whose writer blocks: it loses whole pictures,
// and nobody else waits for it.
func TestFallbackBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, stuck, well := room(t), &pion{block: make(chan struct{})}, new(pion)
		a := openFallback(t, s, ViewerConfig{Video: videoStream()}, stuck)
		b := openFallback(t, s, ViewerConfig{Video: videoStream()}, well)
		for i := range 40 {
			s.Video(Frame{Codec: packetize.H264, Data: accessUnit(500, i == 0), Key: i == 0})
			time.Sleep(time.Second / 60)
		}
		synctest.Wait()
		if n := len(well.packets()); n != 40 || b.Stats().FramesDroppedSlow != 0 {
			t.Errorf("%d packets, %+v", n, b.Stats())
		}
		close(stuck.block)
		synctest.Wait()
		// One that blocks, and half a second of pictures behind it.
		if n := len(stuck.packets()); n != 32 || a.Stats().FramesDroppedSlow != 1 {
			t.Errorf("%d packets, %+v", n, a.Stats())
		}
	})
}

func TestFallbackErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := room(t), &pion{err: errors.New("no")}
		v := openFallback(t, s, ViewerConfig{Video: videoStream(), Report: func([]rtcp.Packet) error { return p.err }}, p)
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(500, true), Key: true})
		synctest.Wait()
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(500, true), Key: true})
		synctest.Wait()
		if got := v.Stats().WriteErrors; got != 3 {
			t.Errorf("%d errors, want those of two packets and a report", got)
		}
		if err := v.Open(Path{Conn: nil, Key: []byte{1}}); !errors.Is(err, ErrPath) {
			t.Errorf("the fast path after the fallback: %v", err)
		}
	})
}

// TestFallbackCorked writes to a socket of ours: a picture leaves in runs.
func TestFallbackCorked(t *testing.T) {
	s, conn := New(Config{}), listen(t, "127.0.0.1", batch.Config{})
	w := newWatcher(t, "127.0.0.1", videoStream(), Stream{}, seal.AEADAES128GCM)
	to := net.UDPAddrFromAddrPort(w.address())
	write := func(h *rtp.Header, payload []byte) error {
		b, err := (&rtp.Packet{Header: *h, Payload: payload}).Marshal()
		if err != nil {
			return err
		}
		_, err = conn.WriteTo(b, to)
		return err
	}
	if err := w.Open(Path{Conn: conn, Remote: w.address(), Video: write}); err != nil {
		t.Fatal(err)
	}
	s.Attach(w.Viewer) // after Open: the order does not matter
	picture := accessUnit(10_000, true)
	s.Video(Frame{Codec: packetize.H264, Data: picture, Key: true})
	n := packetsOf(picture)
	for i := range n {
		var p rtp.Packet
		if err := p.Unmarshal(w.raw()); err != nil || p.Marker != (i == n-1) {
			t.Fatalf("packet %d: %v, %+v", i, err, p.Header)
		}
	}
	w.Close()
	if got := conn.Stats(); got.Packets != uint64(n) || got.Segmentation && got.Syscalls != 1 {
		t.Errorf("%d packets in %d system calls", got.Packets, got.Syscalls)
	}
}

// TestRun checks that the loop sleeps until something is due, on a virtual clock:
// the chunks of a large picture leave a tick apart, sound at its own time.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := room(t), new(pion)
		openFallback(t, s, ViewerConfig{Video: videoStream()}, p)
		picture := accessUnit(45*1100, true)
		s.Video(Frame{Codec: packetize.H264, Data: picture, Key: true})
		synctest.Wait()
		if n := len(p.packets()); n == 0 || n > 16 {
			t.Errorf("%d packets at once", n)
		}
		time.Sleep(4 * time.Millisecond)
		synctest.Wait()
		if n := len(p.packets()); n != packetsOf(picture) {
			t.Errorf("%d packets within 4 ms, want %d", n, packetsOf(picture))
		}
	})
}

// TestRunFast is the same on the fast path with its own clock and real time: it
// ends with its context and has sent what it was given.
func TestRunFast(t *testing.T) {
	stats := new(Stats)
	s := New(Config{Stats: stats})
	w := newWatcher(t, "127.0.0.1", videoStream(), audioStream(), seal.AEADAES128GCM)
	s.Attach(w.Viewer)
	openFast(t, w.Viewer, listen(t, "127.0.0.1", batch.Config{}), w.address(), seal.AEADAES128GCM)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	picture := accessUnit(50_000, true)
	for range 5 {
		s.Video(Frame{Codec: packetize.H264, Data: picture, Key: true, PTS: s.cfg.Now()})
		w.want(picture, maxPayload)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	got := stats.Snapshot()
	var n uint64
	for _, bucket := range got.Latency {
		n += bucket
	}
	if got.Frames != 5 || n != 5 || got.LatencySum <= 0 {
		t.Errorf("%+v", got)
	}
}

// TestFallbackTooLarge has a path with a small MTU under pion's writer: what went
// in fragments is no loss, and packets become smaller.
func TestFallbackTooLarge(t *testing.T) {
	var refuse atomic.Bool
	refuse.Store(true)
	conn := listen(t, "127.0.0.1", batch.Config{Fault: func(int) error {
		if refuse.Load() {
			return syscall.EMSGSIZE
		}
		return nil
	}})
	if !conn.Stats().Segmentation {
		t.Skip("no segmentation offload here")
	}
	s := New(Config{})
	w := newWatcher(t, "127.0.0.1", videoStream(), Stream{}, seal.AEADAES128GCM)
	to := net.UDPAddrFromAddrPort(w.address())
	write := func(h *rtp.Header, payload []byte) error {
		b, err := (&rtp.Packet{Header: *h, Payload: payload}).Marshal()
		if err != nil {
			return err
		}
		_, err = conn.WriteTo(b, to)
		return err
	}
	if err := w.Open(Path{Conn: conn, Remote: w.address(), Video: write}); err != nil {
		t.Fatal(err)
	}
	turn := byHand(w.Viewer, s)
	picture := accessUnit(10_000, true)
	whole := func(limit int) {
		t.Helper()
		if !s.Video(Frame{Codec: packetize.H264, Data: picture, Key: true}) {
			t.Fatal("not taken")
		}
		turn()
		var f packetize.Frame
		if err := f.Split(packetize.H264, picture, limit, 0); err != nil {
			t.Fatal(err)
		}
		for i := range f.Len() {
			var p rtp.Packet
			if err := p.Unmarshal(w.raw()); err != nil || !bytes.Equal(p.Payload, f.Payload(i)) {
				t.Fatalf("packet %d of %d bytes: %v", i, len(p.Payload), err)
			}
		}
	}
	whole(maxPayload)
	refuse.Store(false)
	whole(int(smaller(maxPayload)))
	if got := w.Stats(); got.TooLarge == 0 || got.Unsent != 0 {
		t.Errorf("%+v", got.Counts)
	}
}

// byHand attaches a viewer of the fallback without its goroutine; turn is what that
// would do.
func byHand(v *Viewer, s *Sender) (turn func()) {
	v.fall = &fallback{wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	close(v.fall.done)
	s.Attach(v)
	o := new(output)
	o.init(&s.cfg)
	return func() {
		for next := time.Duration(0); next != never; next = v.fallbackTurn(o) {
			o.now = max(next, s.cfg.Now())
		}
	}
}

// TestTimerAfterTurn has a writer that takes a while: the next chunk leaves at its
// time nevertheless, not that much later.
func TestTimerAfterTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := room(t)
		v := NewViewer(ViewerConfig{Video: videoStream()})
		var left []time.Duration
		begin := time.Now()
		write := func(*rtp.Header, []byte) error {
			left = append(left, time.Since(begin))
			time.Sleep(50 * time.Microsecond)
			return nil
		}
		s.Attach(v)
		if err := v.Open(Path{Video: write}); err != nil {
			t.Fatal(err)
		}
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(36*1165, true), Key: true})
		time.Sleep(20 * time.Millisecond)
		v.Close()
		for _, chunk := range []int{0, 12, 24} {
			due := time.Duration(chunk/12) * time.Millisecond
			if late := left[chunk] - due; late > 100*time.Microsecond {
				t.Errorf("packet %d leaves %s after its time", chunk, late)
			}
		}
	})
}
