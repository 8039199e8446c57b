package corehost

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/trim"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// wishes are what the worker wants. The goroutine that reads the socket sets
// them, the encoders take them before the next picture, the ticker takes the
// order before the next frame.
type wishes struct {
	key     atomic.Bool
	profile atomic.Int32 // 1 + media.Profile, 0 = no wish
	bitrate atomic.Uint32
	order   atomic.Pointer[order]
}

// encoders is the second half of a core process: it takes from the handoff,
// encodes and writes. Everything that goes to the worker after ready goes
// through it, so that the socket has one writer.
type encoders struct {
	handoff *handoff
	video   *videoStage
	sound   *soundtrack
	audio   media.AudioEncoder
	wishes  *wishes
	out     io.Writer
	log     *slog.Logger
	clock   clock

	batch    batch
	info     wire.Info     // that the worker knows
	end      time.Duration // of the timeline so far
	begun    bool          // end is known
	packet   time.Duration // of sound
	buf      []byte        // of a message
	stats    wire.Stats    // of this side
	reported time.Duration // when stats were sent
	reports  int
}

const (
	statsEvery = time.Second
	trimAfter  = 3 // reports: everything that a game needs has run by then
)

// run encodes until ctx ends or the worker cannot be reached.
func (e *encoders) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.handoff.wake:
		}
		for e.handoff.take(&e.batch) {
			if err := e.encode(&e.batch); err != nil {
				return err
			}
		}
	}
}

// encode sends everything in b, the picture first.
func (e *encoders) encode(b *batch) error {
	if err := e.encodePicture(b); err != nil {
		return err
	}
	if err := e.encodeSound(b); err != nil {
		return err
	}
	for _, text := range b.texts {
		if err := e.send(wire.TypeMessage, wire.CleanText(text, wire.MaxText)); err != nil {
			return err
		}
	}
	for _, o := range b.outcomes {
		e.buf = o.Append(wire.Begin(e.buf[:0], wire.TypeOutcome))
		if err := e.write(e.buf); err != nil {
			return err
		}
	}
	return e.report(b)
}

func (e *encoders) encodePicture(b *batch) error {
	started := e.clock.now()
	e.heedWishes()
	e.video.setRate(b.traits.fps)
	if b.picture == nil {
		e.stats.Repeated++
	} else if err := e.video.convert(b.picture); err != nil {
		return err
	}
	if err := e.announce(&b.traits); err != nil {
		return err
	}
	converted := e.clock.now()
	frame := media.Frame{PTS: b.pts, Width: e.video.encodedWidth, Height: e.video.encodedHeight}
	buf := wire.AppendVideoHeader(wire.Begin(e.buf[:0], wire.TypeVideo), &frame)
	buf, key, err := e.video.encode(buf, e.wishes.key.Swap(false))
	e.buf = buf
	if err != nil {
		return err
	}
	e.stats.ConvertTime += uint64(converted - started)
	e.stats.EncodeTime += uint64(e.clock.now() - converted)
	wire.SetVideoKey(buf[wire.HeaderSize:], key)
	if err := e.write(buf); err != nil {
		return err
	}
	e.stats.Frames++
	e.stats.FrameBytes += uint64(len(buf))
	if key {
		e.stats.KeyFrames++
	}
	return nil
}

func (e *encoders) heedWishes() {
	if p := e.wishes.profile.Swap(0); p != 0 {
		e.video.setProfile(media.Profile(p - 1))
	}
	if bps := e.wishes.bitrate.Swap(0); bps != 0 {
		if err := e.video.setBitrate(int(bps)); err != nil {
			e.log.Warn("bitrate refused", "bps", bps, "error", err)
		}
	}
}

// describe returns what the worker should know now.
func (e *encoders) describe(t *traits) wire.Info {
	i := e.info
	i.Width, i.Height = e.video.width, e.video.height
	i.EncodedWidth, i.EncodedHeight = e.video.encodedWidth, e.video.encodedHeight
	i.Aspect, i.FPS, i.SampleRate, i.Rotation = t.aspect, t.fps, t.sampleRate, t.rotation
	i.Library, i.CoreName = e.video.library, t.name
	return i
}

// announce tells the worker what changed, before the picture that shows it.
func (e *encoders) announce(t *traits) error {
	info := e.describe(t)
	if info == e.info {
		return nil
	}
	e.info = info
	return e.sendInfo(wire.TypeChanged)
}

func (e *encoders) sendInfo(t wire.Type) error {
	payload, err := e.info.Append(nil)
	if err != nil {
		return err
	}
	return e.send(t, string(payload))
}

func (e *encoders) encodeSound(b *batch) error {
	started := e.clock.now()
	elapsed := b.end - e.end
	if b.jumped || !e.begun {
		from := b.pts
		if b.jumped {
			from = b.start
		}
		e.sound.begin(from)
		elapsed, e.begun = b.end-from, true
	}
	e.end = b.end
	if err := e.sound.push(b.sound, b.traits.sampleRate, elapsed); err != nil {
		return fmt.Errorf("resample: %w", err)
	}
	for {
		pcm, pts, ok := e.sound.next(b.end)
		if !ok {
			break
		}
		packet := media.Packet{PTS: pts, Duration: e.packet}
		buf, err := e.audio.Encode(wire.AppendAudioHeader(wire.Begin(e.buf[:0], wire.TypeAudio), &packet), pcm)
		e.buf = buf
		if err != nil {
			return fmt.Errorf("encode sound: %w", err)
		}
		if err := e.write(buf); err != nil {
			return err
		}
		e.stats.Packets++
	}
	e.sound.settle(b.end, elapsed)
	e.stats.AudioTime += uint64(e.clock.now() - started)
	return nil
}

// report sends the counters once a second.
func (e *encoders) report(b *batch) error {
	if b.end-e.reported < statsEvery && e.reported != 0 {
		return nil
	}
	e.reported = b.end
	if e.reports++; e.reports == trimAfter {
		debug.FreeOSMemory() // first: it reads tables that the trim then drops
		if _, err := trim.FilePages(); err != nil {
			e.log.Debug("start-up code stays resident", "error", err)
		}
	}
	s := e.stats
	s.Add(&b.stats)
	s.SilenceSamples += e.sound.silence
	s.DroppedSamples += e.sound.dropped
	e.buf = s.Append(wire.Begin(e.buf[:0], wire.TypeStats))
	return e.write(e.buf)
}

func (e *encoders) send(t wire.Type, payload string) error {
	e.buf = append(wire.Begin(e.buf[:0], t), payload...)
	return e.write(e.buf)
}

// write sends a message that Begin began.
func (e *encoders) write(msg []byte) error {
	if err := wire.Finish(msg); err != nil {
		return err
	}
	if _, err := e.out.Write(msg); err != nil {
		return fmt.Errorf("write to worker: %w", err)
	}
	return nil
}

func (e *encoders) close() {
	e.video.close()
	_ = e.audio.Close()
	_ = e.sound.resampler.Close()
}
