package corehost

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

func TestNewestPictureWins(t *testing.T) {
	h := newHandoff()
	var b batch
	if h.take(&b) {
		t.Fatal("something waits in a new handoff")
	}
	for i := range 3 {
		h.put(tick{pts: time.Duration(i)}, &output{picture: picture(2, 2, byte(i)), sound: []int16{int16(i), 0}}, &wire.Stats{})
	}
	if !h.take(&b) || b.picture.Data[0] != 2 || b.pts != 2 || b.stats.DroppedPictures != 2 {
		t.Errorf("took %+v", b)
	}
	if len(b.sound) != 6 || b.sound[0] != 0 || b.sound[4] != 2 {
		t.Errorf("sound %v: sound is never dropped with its picture", b.sound)
	}
	if h.take(&b) {
		t.Error("the same batch twice")
	}
}

func TestRepeatedPicture(t *testing.T) {
	h := newHandoff()
	var b batch
	h.put(tick{}, &output{picture: picture(2, 2, 7)}, &wire.Stats{})
	h.put(tick{}, &output{}, &wire.Stats{})
	if h.take(&b); b.picture == nil || b.picture.Data[0] != 7 {
		t.Error("a repeat hides the picture before it")
	}
	h.put(tick{}, &output{}, &wire.Stats{})
	if h.take(&b); b.picture != nil {
		t.Error("a repeat has a picture")
	}
	h.put(tick{}, &output{picture: &media.Picture{Width: 9, Height: 9}}, &wire.Stats{})
	if h.take(&b); b.picture != nil {
		t.Error("an impossible picture passed")
	}
}

// The picture taken is not written to while it is encoded.
func TestTakenPictureStays(t *testing.T) {
	h := newHandoff()
	var b batch
	h.put(tick{}, &output{picture: picture(2, 2, 1)}, &wire.Stats{})
	h.take(&b)
	for i := range 5 {
		h.put(tick{}, &output{picture: picture(2, 2, byte(10+i))}, &wire.Stats{})
	}
	if b.picture.Data[0] != 1 {
		t.Error("it was overwritten")
	}
}

func TestPaddedRowsAreCompacted(t *testing.T) {
	h := newHandoff()
	var b batch
	src := &media.Picture{Format: media.FormatRGB565, Width: 2, Height: 2, Stride: 6, Data: []byte{1, 2, 3, 4, 0, 0, 5, 6, 7, 8}}
	h.put(tick{}, &output{picture: src}, &wire.Stats{})
	h.take(&b)
	if got := fmt.Sprint(b.picture.Data); got != "[1 2 3 4 5 6 7 8]" || b.picture.Stride != 4 || b.picture.Check() != nil {
		t.Errorf("%s, stride %d", got, b.picture.Stride)
	}
}

func TestJumpIsNotForgotten(t *testing.T) {
	h := newHandoff()
	var b batch
	h.put(tick{pts: 100, jumped: true}, &output{}, &wire.Stats{})
	h.put(tick{pts: 200}, &output{}, &wire.Stats{})
	if h.take(&b); !b.jumped || b.start != 100 || b.pts != 200 {
		t.Errorf("%+v", b)
	}
	h.put(tick{pts: 300}, &output{}, &wire.Stats{})
	if h.take(&b); b.jumped {
		t.Error("the jump is told twice")
	}
}

func TestWaitingIsBounded(t *testing.T) {
	h := newHandoff()
	var b batch
	for range 3 {
		h.put(tick{}, &output{sound: make([]int16, maxSoundWaiting/2+2), messages: make([]string, maxTextsWaiting)}, &wire.Stats{})
	}
	h.take(&b)
	if len(b.sound) > maxSoundWaiting || len(b.texts) != maxTextsWaiting || b.stats.DroppedSamples != 2*(maxSoundWaiting/2+2)/2 {
		t.Errorf("%d samples, %d texts, %d dropped", len(b.sound), len(b.texts), b.stats.DroppedSamples)
	}
}

func TestHandoffBetweenGoroutines(t *testing.T) {
	h := newHandoff()
	const frames = 500
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range frames {
			h.put(tick{pts: time.Duration(i)}, &output{picture: picture(8, 8, byte(i)), sound: []int16{1, 1}}, &wire.Stats{Ticks: uint64(i + 1)})
		}
	})
	var b batch
	samples, taken := 0, uint64(0)
	for b.stats.Ticks < frames {
		<-h.wake
		for h.take(&b) {
			taken++
			samples += len(b.sound) / 2
			for _, v := range b.picture.Data {
				if v != byte(b.pts) {
					t.Fatalf("picture %d is torn", b.pts)
				}
			}
		}
	}
	wg.Wait()
	if samples != frames || taken+b.stats.DroppedPictures != frames {
		t.Errorf("%d samples, %d taken, %d dropped", samples, taken, b.stats.DroppedPictures)
	}
}

func TestHandoffAllocatesNothing(t *testing.T) {
	h := newHandoff()
	var b batch
	out := output{picture: picture(256, 240, 1), sound: make([]int16, 1600)}
	var stats wire.Stats
	if n := testing.AllocsPerRun(100, func() {
		h.put(tick{}, &out, &stats)
		<-h.wake
		h.take(&b)
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
