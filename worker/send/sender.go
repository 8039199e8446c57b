package send

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// Sender sends what one room shows to all who watch it. Video, Audio, Attach and
// Detach may be called from any goroutine; Turn and Run from one at a time.
type Sender struct {
	cfg     Config
	viewers atomic.Pointer[[]*Viewer] // a new slice with each change
	wake    chan struct{}             // there is something to do

	mu       sync.Mutex // guards viewers against lost changes, and what follows
	units    pool
	sounds   pool
	pictures [256]uint16 // number of the next picture, by codec
	timing   timing

	out output // Turn's
}

// New makes a Sender. It starts nothing.
func New(cfg Config) *Sender {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Stats == nil {
		cfg.Stats = new(Stats)
	}
	if cfg.Now == nil {
		cfg.Now = monotonic
	}
	if cfg.Wall == nil {
		cfg.Wall = time.Now
	}
	s := &Sender{cfg: cfg, wake: make(chan struct{}, 1)}
	s.viewers.Store(new([]*Viewer))
	s.out.init(&s.cfg)
	return s
}

// Run sends until ctx ends, then returns nil.
func (s *Sender) Run(ctx context.Context) error {
	wait := time.NewTimer(never)
	defer wait.Stop()
	for {
		now := s.cfg.Now()
		if next := s.Turn(now); next > 0 {
			wait.Reset(next - s.cfg.Now()) // the turn took its time
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-wait.C:
		}
	}
}

// never is longer than anything runs.
const never = 1<<63 - 1

// Attach makes v a viewer of this room; it is sent to once it was opened. A
// Viewer belongs to one Sender all its life: two would use its keys at once, so
// that one of another Sender is not taken, nor one that was closed.
func (s *Sender) Attach(v *Viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !v.attach(s) {
		s.cfg.Logger.Warn("viewer refused: closed, or of another room")
		return
	}
	old := *s.viewers.Load()
	if !slices.Contains(old, v) {
		viewers := append(slices.Clone(old), v)
		s.viewers.Store(&viewers)
	}
	s.rouse()
}

// Detach takes v away, with what waits for it. A Turn under way may still send to
// it. Attached again, it begins with a key frame.
func (s *Sender) Detach(v *Viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := *s.viewers.Load()
	if !slices.Contains(old, v) {
		return
	}
	viewers := slices.DeleteFunc(slices.Clone(old), func(w *Viewer) bool { return w == v })
	s.viewers.Store(&viewers)
	v.detach()
}

// Video offers a picture to all viewers of its codec and never blocks. taken says
// whether any will be sent it. A viewer whose queue is full loses pictures up to
// the next key frame, which is asked for with each of them: a request that was
// lost on its way costs one picture and not the rest.
func (s *Sender) Video(f Frame) (taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	viewers := *s.viewers.Load()
	if len(viewers) == 0 {
		return false
	}
	u := s.units.get()
	u.picture, u.pts, u.marker = s.pictures[f.Codec], f.PTS, true
	u.time, u.arrived, u.due = videoTime(f.PTS), s.cfg.Now(), 0
	for _, v := range viewers {
		ok, err := v.offer(u, f)
		if err != nil {
			s.refuse(err)
			break
		}
		taken = taken || ok
	}
	if u.used > 0 {
		s.pictures[f.Codec] = (s.pictures[f.Codec] + 1) & 0x7fff
	}
	u.release()
	if taken {
		s.rouse()
	}
	return taken
}

// Audio offers a packet of sound to all viewers and never blocks.
func (s *Sender) Audio(p Sound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Now()
	place, ok := s.timing.next(p, now)
	if !ok {
		s.refuse(packetize.ErrMalformed)
		return
	}
	viewers := *s.viewers.Load()
	if len(viewers) == 0 {
		return
	}
	u := s.sounds.get()
	defer u.release()
	u.pts, u.arrived = p.PTS, now
	u.time, u.due, u.marker = place.time, place.due, place.jump
	c, err := u.cut(packetize.Opus, p.Data, maxPayload)
	if err != nil {
		s.refuse(err)
		return
	}
	taken := false
	for _, v := range viewers {
		taken = v.hear(u, c) || taken
	}
	if taken {
		s.rouse()
	}
}

// refuse counts what cannot be sent to anybody; empty pictures are no error.
func (s *Sender) refuse(err error) {
	if !errors.Is(err, packetize.ErrEmpty) {
		s.cfg.Stats.tally[framesBad].Add(1)
		s.cfg.Logger.Debug("picture or sound refused", "error", err)
	}
}

// rouse makes Run take a turn.
func (s *Sender) rouse() {
	select {
	case s.wake <- struct{}{}:
	default: // it will
	}
}

// videoTime is pts in units of the 90 kHz video clock, modulo 2^32.
func videoTime(pts time.Duration) uint32 {
	return uint32(uint64(pts) * 9 / 100_000)
}
