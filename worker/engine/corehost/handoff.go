package corehost

import (
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// Bounds of what waits between the machine and the encoders.
const (
	maxSoundWaiting    = 400000 * media.Channels // samples, a second of the fastest machine
	maxTextsWaiting    = 16
	maxOutcomesWaiting = 4 // a worker waits for one at a time
)

// tick is what the machine's side hands over after each frame, besides picture
// and sound.
type tick struct {
	traits traits
	pts    time.Duration // when the frame was due
	end    time.Duration // when the next one is due
	jumped bool          // the clock was set anew: the timeline goes on at pts
	done   *wire.Outcome // of an order before this frame, nil = there was none
}

// batch is what the encoders take at once: the newest picture and all sound.
type batch struct {
	tick
	start    time.Duration  // if jumped: where the timeline goes on
	picture  *media.Picture // nil = the last one again; valid until the next take
	sound    []int16        // valid until the next take
	texts    []string
	outcomes []wire.Outcome
	stats    wire.Stats // of the machine's side
}

// handoff is the one place where the machine's goroutine and the encoders'
// meet. It holds one picture: if the encoders are slow, the newest wins and the
// game never waits. Sound is kept up to a second, then dropped.
type handoff struct {
	wake chan struct{} // capacity 1: there is something to take

	mu       sync.Mutex
	waiting  batch
	pending  bool             // a tick waits
	fresh    bool             // pictures[back] holds a picture not yet taken
	pictures [2]media.Picture // back one is written by put, front one is being encoded
	back     int
	dropped  uint64 // pictures overwritten
	lost     uint64 // samples per channel that found no room
}

func newHandoff() *handoff {
	return &handoff{wake: make(chan struct{}, 1)}
}

// put hands over a frame. It copies the picture and the sound and never blocks
// for longer than the other side needs to swap buffers.
func (h *handoff) put(t tick, out *output, stats *wire.Stats) {
	h.mu.Lock()
	w := &h.waiting
	if h.pending {
		h.dropped++
	}
	if t.jumped {
		w.start = t.pts
	}
	t.jumped = t.jumped || h.pending && w.jumped
	w.tick, w.stats = t, *stats
	if p := out.picture; p != nil && p.Check() == nil {
		copyPicture(&h.pictures[h.back], p)
		h.fresh = true
	}
	if room := maxSoundWaiting - len(w.sound); len(out.sound) <= room {
		w.sound = append(w.sound, out.sound...)
	} else {
		h.lost += uint64(len(out.sound) / media.Channels)
	}
	for _, text := range out.messages {
		if len(w.texts) < maxTextsWaiting {
			w.texts = append(w.texts, text)
		}
	}
	if t.done != nil && len(w.outcomes) < maxOutcomesWaiting {
		w.outcomes = append(w.outcomes, *t.done)
	}
	h.pending = true
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take moves what waits into b, whose buffers it takes in exchange, and
// returns false if nothing does.
func (h *handoff) take(b *batch) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.pending {
		return false
	}
	sound, texts, outcomes := b.sound[:0], b.texts[:0], b.outcomes[:0]
	*b = h.waiting
	b.stats.DroppedPictures, b.stats.DroppedSamples = h.dropped, h.lost
	if h.fresh {
		b.picture = &h.pictures[h.back]
		h.back = 1 - h.back
	}
	h.waiting = batch{sound: sound, texts: texts, outcomes: outcomes}
	h.pending, h.fresh = false, false
	return true
}

// copyPicture copies src into dst, whose buffer it reuses.
func copyPicture(dst, src *media.Picture) {
	row := src.Width * src.Format.BytesPerPixel()
	size := row * src.Height
	data := dst.Data
	if cap(data) < size {
		data = make([]byte, size)
	}
	data = data[:size]
	if src.Stride == row {
		copy(data, src.Data)
	} else {
		for y := range src.Height {
			copy(data[y*row:(y+1)*row], src.Data[y*src.Stride:])
		}
	}
	*dst = media.Picture{Format: src.Format, Width: src.Width, Height: src.Height, Stride: row, Data: data}
}
