package send

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestFallbackEnds closes fallback viewers in every state that they can be in. The
// bubble fails when a goroutine is left, or when Close returns while one may still
// call the writer.
func TestFallbackEnds(t *testing.T) {
	open := func(v *Viewer, p *pion) {
		if err := v.Open(Path{Video: p.write, Audio: p.write}); err != nil {
			t.Error(err)
		}
	}
	tests := map[string]func(s *Sender, v *Viewer, p *pion){
		"neither attached nor opened": func(*Sender, *Viewer, *pion) {},
		"opened only":                 func(_ *Sender, v *Viewer, p *pion) { open(v, p) },
		"attached only":               func(s *Sender, v *Viewer, _ *pion) { s.Attach(v) },
		"attached, then opened":       func(s *Sender, v *Viewer, p *pion) { s.Attach(v); open(v, p) },
		"opened, then attached":       func(s *Sender, v *Viewer, p *pion) { open(v, p); s.Attach(v) },
		"all of it twice":             func(s *Sender, v *Viewer, p *pion) { s.Attach(v); open(v, p); s.Attach(v); open(v, p) },
		"detached":                    func(s *Sender, v *Viewer, p *pion) { s.Attach(v); open(v, p); s.Detach(v) },
		"amid a picture":              func(s *Sender, v *Viewer, p *pion) { s.Attach(v); open(v, p); fill(s) },
		"detached amid a picture":     func(s *Sender, v *Viewer, p *pion) { s.Attach(v); open(v, p); fill(s); s.Detach(v) },
	}
	for name, begin := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := room(t), new(pion)
				v := NewViewer(ViewerConfig{Video: videoStream(), Audio: audioStream()})
				begin(s, v, p)
				var closing sync.WaitGroup
				for range 3 { // several at once
					closing.Go(v.Close)
				}
				closing.Wait()
				sent := len(p.packets())
				fill(s)
				synctest.Wait()
				if len(p.packets()) != sent {
					t.Error("the writer was called after Close")
				}
				if got := s.cfg.Stats.Snapshot(); got.ViewersFallback != 0 || got.ViewersFast != 0 {
					t.Errorf("%d viewers are left", got.ViewersFallback)
				}
				if err := v.Open(Path{Video: p.write}); !errors.Is(err, ErrClosed) {
					t.Errorf("opened after Close: %v", err)
				}
			})
		})
	}
}

// fill offers more than a viewer can send at once.
func fill(s *Sender) {
	for i := range videoQueue {
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(60_000, true), Key: i == 0})
		s.Audio(Sound{Data: []byte{1}, Duration: packet})
	}
}

// TestCloseWaits closes a viewer whose writer is stuck: Close returns only when the
// writer has, and the rest of the picture is not sent.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := room(t), &pion{block: make(chan struct{})}
		v := NewViewer(ViewerConfig{Video: videoStream()})
		s.Attach(v)
		if err := v.Open(Path{Video: p.write}); err != nil {
			t.Fatal(err)
		}
		fill(s)
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			v.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Fatal("Close returned while the writer was in use")
		default:
		}
		close(p.block)
		<-closed
		if n := len(p.packets()); n == 0 || n > 16 {
			t.Errorf("%d packets: want no more than the chunk that was on its way", n)
		}
	})
}

// TestFallbackFeedback floods a fallback viewer: its goroutine is bounded as the
// Sender is, and the Sender takes no turn that is not its own.
func TestFallbackFeedback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := room(t), new(pion)
		v := openFallback(t, s, ViewerConfig{Video: videoStream()}, p)
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(5_000, true), Key: true})
		synctest.Wait()
		first := p.packets()[0].SequenceNumber
		b, err := rtcp.Marshal([]rtcp.Packet{nack(first, first+1), &rtcp.PictureLossIndication{MediaSSRC: videoSSRC}})
		if err != nil {
			t.Fatal(err)
		}
		sent := len(p.packets())
		for range 1000 {
			if err := v.Feedback(b, videoSSRC); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		got := v.Stats()
		again := len(p.packets()) - sent
		if most := 2 * 2 * int(time.Second/leastRepeat); again == 0 || again > most || got.ResentPlain != uint64(again) {
			t.Errorf("%d packets again, at most %d: %+v", again, most, got.Counts)
		}
		if passed := got.KeyFramesAsked - got.KeyFramesRefused; passed > maxAsks+askRate {
			t.Errorf("%d key frames within a second", passed)
		}
	})
}

// TestFallbackMoves opens a fallback viewer again: what comes first is a key frame,
// numbers go on.
func TestFallbackMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := room(t), new(pion)
		asked := 0
		v := openFallback(t, s, ViewerConfig{Video: videoStream(), KeyFrame: func() { asked++ }}, p)
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(500, true), Key: true})
		synctest.Wait()
		last := p.packets()[0].SequenceNumber
		if err := v.Open(Path{}); err != nil { // the writers stay
			t.Fatal(err)
		}
		if asked != 2 || s.Video(Frame{Codec: packetize.H264, Data: accessUnit(500, false)}) {
			t.Errorf("went on without a key frame; %d asked for", asked)
		}
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(500, true), Key: true})
		synctest.Wait()
		if got := p.packets(); len(got) != 2 || got[1].SequenceNumber != last+1 {
			t.Errorf("%d packets", len(got))
		}
	})
}

// TestNoncesUnderLoad does to viewers all that goroutines can do at once, with the
// Sender running, and compares every datagram that arrives: no number of a stream
// ever seals two packets.
func TestNoncesUnderLoad(t *testing.T) {
	const viewers = 3
	s := New(Config{})
	conn := listen(t, "127.0.0.1", batch.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var running, receiving, busy sync.WaitGroup
	running.Go(func() { _ = s.Run(ctx) })
	done := make(chan struct{})
	for range viewers {
		socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if err := socket.SetReadBuffer(8 << 20); err != nil {
			t.Fatal(err)
		}
		receiving.Go(func() { compareNumbers(t, socket) })
		busy.Go(func() {
			defer socket.Close()
			disturb(t, s, conn, socket.LocalAddr().(*net.UDPAddr).AddrPort(), done)
		})
	}
	for i := 0; s.cfg.Stats.Snapshot().Frames < 150; i++ {
		s.Video(Frame{Codec: packetize.H264, Data: accessUnit(1_000+i*97%30_000, true), Key: i%3 == 0, PTS: s.cfg.Now()})
		s.Audio(Sound{Data: []byte{1, 2, 3}, PTS: s.cfg.Now(), Duration: packet})
	}
	close(done)
	busy.Wait()
	receiving.Wait()
	cancel()
	running.Wait()
	if got := s.cfg.Stats.Snapshot(); got.SealErrors != 0 || got.Frames == 0 || got.ViewersFast != 0 {
		t.Errorf("%+v", got)
	}
}

// compareNumbers reads until the socket is closed.
func compareNumbers(t *testing.T, socket *net.UDPConn) {
	seen := make(map[uint64][]byte)
	for buffer := make([]byte, 2048); ; {
		n, err := socket.Read(buffer)
		if err != nil {
			if len(seen) == 0 {
				t.Error("nothing arrived")
			}
			return
		}
		raw := bytes.Clone(buffer[:n])
		id := uint64(binary.BigEndian.Uint32(raw[8:]))<<16 | uint64(binary.BigEndian.Uint16(raw[2:]))
		if before, ok := seen[id]; ok && !bytes.Equal(before, raw) {
			t.Errorf("two packets under one number: %x", id)
		}
		seen[id] = raw
	}
}

// disturb opens, moves, attaches and asks a viewer until done, then closes it.
func disturb(t *testing.T, s *Sender, conn *batch.Conn, to netip.AddrPort, done <-chan struct{}) {
	key, salt := keys(seal.AEADAES128GCM)
	v := NewViewer(ViewerConfig{Video: withRTX(videoStream()), Audio: audioStream()})
	defer func() {
		v.Close()
		s.Detach(v)
	}()
	path := Path{Conn: conn, Remote: to, Profile: seal.AEADAES128GCM, Key: key, Salt: salt}
	for i := uint16(0); ; i += 17 {
		select {
		case <-done:
			return
		default:
		}
		if err := v.Open(path); err != nil {
			t.Error(err)
		}
		s.Attach(v)
		lost, err := rtcp.Marshal([]rtcp.Packet{&rtcp.TransportLayerNack{MediaSSRC: videoSSRC, Nacks: []rtcp.NackPair{{PacketID: i, LostPackets: 0xffff}}}})
		if err != nil {
			t.Error(err)
		}
		_ = v.Feedback(lost, videoSSRC)
		if i%5 == 0 {
			s.Detach(v)
		}
		if err := v.Open(Path{Video: func(*rtp.Header, []byte) error { return nil }}); !errors.Is(err, ErrPath) {
			t.Errorf("the fallback under the same keys: %v", err)
		}
	}
}
