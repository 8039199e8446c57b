package send

import (
	"encoding/binary"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// TestEveryByte sends more than three rollovers of the sequence number to a
// receiver that is pion's, over real sockets.
func TestEveryByte(t *testing.T) {
	for _, addr := range []string{"127.0.0.1", "::1"} {
		for _, p := range []seal.Profile{seal.AEADAES128GCM, seal.AEADAES256GCM, seal.AES128CMHMACSHA180} {
			t.Run(addr+"/"+p.String(), func(t *testing.T) {
				total := 205_000
				if testing.Short() || raceEnabled {
					total = 10_000
				}
				if raceEnabled && p == seal.AEADAES128GCM {
					total = 70_000 // one rollover
				}
				r := newRig(t, addr, batch.Config{})
				sendAndCompare(t, r, r.watch(videoStream(), Stream{}, p), total)
			})
		}
	}
}

// sendAndCompare sends pictures of all sizes until total packets were compared.
func sendAndCompare(t *testing.T, r *rig, w *watcher, total int) {
	t.Helper()
	var sequence, number uint16
	var time uint32
	count := 0
	for i := 0; count < total; i++ {
		data := accessUnit(200+i*7919%150_000, i == 0)
		binary.BigEndian.PutUint32(data[5:], uint32(i)|0x01010101)
		if !r.picture(data, i == 0) {
			t.Fatal("picture not taken")
		}
		pts := videoTime(r.now)
		r.turns()
		for k, p := range w.want(data, maxPayload) {
			twcc := binary.BigEndian.Uint16(p.GetExtension(3))
			if count+k > 0 && (p.SequenceNumber != sequence+1 || twcc != number+1) {
				t.Fatalf("packet %d: sequence %d after %d, transport-wide %d after %d", count, p.SequenceNumber, sequence, twcc, number)
			}
			if i == 0 && k == 0 {
				time = p.Timestamp - pts
			}
			if p.SSRC != videoSSRC || p.PayloadType != 96 || p.Timestamp != time+pts {
				t.Fatalf("packet %d: header %+v", count, p.Header)
			}
			if delay := p.GetExtension(5); len(delay) != 3 || delay[0]|delay[1]|delay[2] != 0 {
				t.Fatalf("playout delay %x", delay)
			}
			sequence, number = p.SequenceNumber, twcc
		}
		count += packetsOf(data)
	}
	if got := w.Stats(); got.Packets != uint64(count) || got.SealErrors+got.Unsent != 0 {
		t.Errorf("%d packets, stats %+v", count, got)
	}
	w.silent()
}

// packetsOf is into how many fragments one slice is cut.
func packetsOf(data []byte) int {
	if len(data)-4 <= maxPayload {
		return 1
	}
	return (len(data) - 5 + maxPayload - 3) / (maxPayload - 2)
}

// TestSegmentationDies turns segmentation off at run time, as a route without
// checksum offload does; the viewer must not see it.
func TestSegmentationDies(t *testing.T) {
	var asked atomic.Int32
	r := newRig(t, "127.0.0.1", batch.Config{Fault: func(int) error {
		if asked.Add(1) > 100 {
			return syscall.EIO
		}
		return nil
	}})
	if !r.conn.Stats().Segmentation {
		t.Skip("no segmentation offload here")
	}
	sendAndCompare(t, r, r.watch(videoStream(), Stream{}, seal.AEADAES128GCM), 20_000)
	if r.conn.Stats().Segmentation {
		t.Error("segmentation is still on")
	}
}

// TestSmallMTU refuses segments as too large, as a path with a small MTU does:
// this viewer's packets shrink, the others' do not, nothing is lost.
func TestSmallMTU(t *testing.T) {
	var refuse atomic.Bool
	r := newRig(t, "127.0.0.1", batch.Config{Fault: func(int) error {
		if refuse.Load() {
			return syscall.EINVAL
		}
		return nil
	}})
	small := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	picture := accessUnit(30_000, true)
	limit := maxPayload
	for range 8 { // more than there are limits
		refuse.Store(true)
		r.picture(picture, true)
		r.turns()
		small.want(picture, limit)
		next := int(small.limit.Load())
		if next >= limit && next != smallest {
			t.Fatalf("limit %d after %d", next, limit)
		}
		limit = next
	}
	if limit != smallest || small.Stats().TooLarge == 0 {
		t.Errorf("limit %d, stats %+v", limit, small.Stats())
	}
	refuse.Store(false)
	large := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	r.picture(picture, true)
	r.turns()
	small.want(picture, smallest)
	large.want(picture, maxPayload)
	if got := r.sender.cfg.Stats.Snapshot(); got.Unsent != 0 || got.ViewersFast != 2 {
		t.Errorf("%+v", got)
	}
}

func TestManyViewers(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	var all []*watcher
	for range 64 {
		all = append(all, r.watch(videoStream(), Stream{}, seal.AEADAES128GCM))
	}
	for i := range 30 {
		picture := accessUnit(8_333, i == 0) // 4 Mbit/s
		r.picture(picture, i == 0)
		r.turns()
		for _, w := range all {
			w.want(picture, maxPayload)
		}
	}
	if got := r.sender.cfg.Stats.Snapshot(); got.Frames != 64*30 || got.FramesDroppedSlow != 0 || got.Unsent != 0 {
		t.Errorf("%+v", got)
	}
	calls := r.conn.Stats().Syscalls
	if calls > 30*8 {
		t.Errorf("%d system calls for 30 pictures to 64 viewers", calls)
	}
}

func TestClosedSocket(t *testing.T) {
	r := newRig(t, "127.0.0.1", batch.Config{})
	w := r.watch(videoStream(), Stream{}, seal.AEADAES128GCM)
	if err := r.conn.Close(); err != nil {
		t.Fatal(err)
	}
	r.picture(accessUnit(30_000, true), true)
	r.turns()
	if got := w.Stats().Unsent; got != uint64(packetsOf(accessUnit(30_000, true))) {
		t.Errorf("%d packets reported as not sent", got)
	}
	if !errors.Is(w.Viewer.open(&Path{Video: nil, Audio: nil}), ErrPath) {
		t.Error("the fallback after the fast path was accepted")
	}
}
