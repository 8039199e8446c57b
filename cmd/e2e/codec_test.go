package e2e

import (
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// watchTime is how long the pictures of each codec are watched:
// CLOUDRETRO_E2E_WATCH, 8 s if it is not set.
func watchTime(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("CLOUDRETRO_E2E_WATCH")
	if text == "" {
		return 8 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("CLOUDRETRO_E2E_WATCH: %v", err)
	}
	return d
}

// record makes four seconds of pictures.
func record(t *testing.T, codec packetize.Codec) *Recording {
	t.Helper()
	if suite.browser == nil {
		t.Skip("SKIPPED: CLOUDRETRO_E2E is not set; make e2e sets it")
	}
	r, err := Record(t.Context(), codec, 4*recordingRate)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// show plays until the test ends.
func show(t *testing.T, o LoopOptions) *Show {
	t.Helper()
	s, err := StartShow(t.Context(), suite.browser, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *Show) await(t *testing.T, expression string) {
	t.Helper()
	if err := s.Await(expression, 30*time.Second); err != nil {
		t.Fatal(err)
	}
}

// check demands that every picture was right, and logs the figures. How many
// pictures came and how late is up to the machine as well: bench-loss tells.
func (s *Show) check(t *testing.T) Seen {
	t.Helper()
	seen, err := s.Seen()
	if err != nil {
		t.Fatal(err)
	}
	sent, socket := s.Stats(), s.Socket()
	t.Logf("seen: %+v", seen)
	t.Logf("sent: %+v", sent)
	t.Logf("socket: %+v; path: %+v; the machine was late by up to %v", socket, s.Loss(), s.Late())
	if seen.Corrupted != 0 {
		t.Errorf("%v of %v pictures are corrupted, at %v", seen.Corrupted, seen.Pictures, seen.Where)
	}
	if len(seen.Errors) > 0 {
		t.Errorf("the page: %v", seen.Errors)
	}
	if !sent.Fast || sent.SealErrors > 0 || sent.FeedbackBad > 0 || sent.FramesRefused > 0 {
		t.Errorf("not the fast path without an error: %+v", sent)
	}
	if sent.Packets < 3*sent.Frames {
		t.Errorf("%d packets for %d pictures: they are too small to prove anything", sent.Packets, sent.Frames)
	}
	return seen
}

// TestCodecs plays each codec to Chromium, all at once, and compares every pixel
// with what the encoded pictures decode to.
func TestCodecs(t *testing.T) {
	codecs := []packetize.Codec{packetize.H264, packetize.VP8, packetize.VP9, packetize.AV1}
	var recordings []*Recording
	for _, codec := range codecs {
		recordings = append(recordings, record(t, codec))
	}
	var shows []*Show
	for _, r := range recordings {
		shows = append(shows, show(t, LoopOptions{Recording: r}))
	}
	for i, s := range shows {
		if _, err := s.Watch(watchTime(t)); err != nil {
			t.Fatalf("%s: %v", codecs[i], err)
		}
	}
	for i, s := range shows {
		t.Run(codecs[i].String(), func(t *testing.T) { s.check(t) })
	}
}

// TestLoss loses a fiftieth of all datagrams both ways, 10 ms each way: what is
// lost is sent again, with RTX or without, and no picture is ever wrong.
func TestLoss(t *testing.T) {
	for _, tc := range []struct {
		name  string
		codec packetize.Codec
		noRTX bool
	}{
		{"RTX", packetize.VP8, false},
		{"no RTX", packetize.H264, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := show(t, LoopOptions{
				Recording: record(t, tc.codec), NoRTX: tc.noRTX,
				Path: &Path{Delay: 10 * time.Millisecond, Loss: 0.02, Seed: 1},
			})
			if tc.noRTX {
				s.await(t, "c.nacks >= 30 && c.pictures > 240")
			} else {
				s.await(t, "c.retransmitted >= 30 && c.pictures > 240")
			}
			seen, sent := s.check(t), s.Stats()
			if resent := sent.ResentRTX + sent.ResentPlain; resent < 20 || (sent.ResentRTX == 0) != tc.noRTX || (sent.ResentPlain == 0) == tc.noRTX {
				t.Errorf("sent again: %d on RTX, %d plain", sent.ResentRTX, sent.ResentPlain)
			}
			if sent.RefusedGone+sent.RefusedUnknown > 0 {
				t.Errorf("resends were impossible: %+v", sent.Counts)
			}
			if seen.Lost > seen.Packets/10 {
				t.Errorf("%v of %v packets stay lost", seen.Lost, seen.Packets)
			}
		})
	}
}

// TestSegmentationDies takes segmentation offload away while a viewer watches,
// who does not notice.
func TestSegmentationDies(t *testing.T) {
	var broken atomic.Bool
	s := show(t, LoopOptions{Recording: record(t, packetize.H264), Fault: func(int) error {
		if broken.Load() {
			return syscall.EIO
		}
		return nil
	}})
	s.await(t, "c.pictures > 120")
	if !s.Socket().Segmentation {
		t.Skip("SKIPPED: this kernel has no segmentation offload for UDP")
	}
	before, err := s.Seen()
	if err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	s.await(t, "c.pictures > 480")
	after := s.check(t)
	if s.Socket().Segmentation {
		t.Error("segmentation is still on")
	}
	if after.NACKs != before.NACKs || after.PLIs != before.PLIs || after.Lost != before.Lost {
		t.Errorf("it was noticed: %v NACKs, %v PLIs, %v lost before, %v, %v, %v after",
			before.NACKs, before.PLIs, before.Lost, after.NACKs, after.PLIs, after.Lost)
	}
	t.Logf("longest gap before %v ms, after %v ms", before.Longest, after.Longest)
}
