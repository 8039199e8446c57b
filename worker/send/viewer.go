package send

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/estimate"
	"github.com/cloudretro/cloudretro/worker/send/pace"
)

// What Open refuses.
var (
	// ErrClosed says that the viewer was closed.
	ErrClosed = errors.New("send: viewer is closed")
	// ErrPath says that a viewer that was sent to on one path is to change to the
	// other. Sequence numbers and rollover counters do not move along, and under
	// the same keys nonces would be used twice: a new connection is needed.
	ErrPath = errors.New("send: viewer cannot change between the fast path and the fallback")
)

// Viewer is one browser. Its methods may be called from any goroutine.
type Viewer struct {
	cfg   ViewerConfig
	tally tally
	limit atomic.Int32 // payload bytes; shrinks with the path's MTU
	round atomic.Int64 // round-trip time
	loss  atomic.Uint32
	rate  atomic.Int64

	sender atomic.Pointer[Sender] // set once, by Attach

	mu      sync.Mutex // guards what others hand over to the turns
	way     way
	closed  bool
	fresh   *link // opened, not yet taken
	needKey bool
	queue   fifo // pictures
	sounds  fifo
	inbox   inbox
	wakes   bucket    // turns that are taken because mail came
	fall    *fallback // its goroutine, if there is one

	turns
}

// turns is what belongs to the goroutine that takes a viewer's turns.
type turns struct {
	link     *link
	video    *stream
	audio    *stream
	current  *unit // the picture that is on its way, in chunks
	cut      *cut
	pacer    pace.Pacer
	next     int    // payload of cut
	tried    int    // limit of the cut that was sent last
	number   uint16 // transport-wide number of the next packet
	estimate estimate.Estimate
	budget   bucket        // bytes of resends
	names    bucket        // sequence numbers that mail may name
	asks     bucket        // key frames for what the browser says
	answers  bucket        // reports that the browser asks for
	report   time.Duration // when the next sender report is due
	measured measured
	mail     mail
}

// way is how a viewer is sent to; once chosen it stays.
type way int

const (
	wayNone way = iota
	wayFast
	wayFallback
)

// link is where packets go.
type link struct {
	conn         *batch.Conn
	remote       netip.AddrPort
	video, audio *stream // nil if only the address changed
}

// NewViewer makes a viewer. It is sent nothing until it was attached to a Sender
// and opened, in any order. It must be closed.
func NewViewer(cfg ViewerConfig) *Viewer {
	if cfg.KeyFrame == nil {
		cfg.KeyFrame = func() {}
	}
	if cfg.History == 0 {
		cfg.History = defaultHistory
	}
	cfg.History = max(cfg.History, minHistory)
	v := &Viewer{cfg: cfg, wakes: bucket{rate: wakeRate, size: maxWakes}}
	v.budget = bucket{rate: budgetRate, size: budgetBytes}
	v.names = bucket{rate: nameRate, size: maxNamed}
	v.asks = bucket{rate: askRate, size: maxAsks}
	v.answers = bucket{rate: answerRate, size: maxAnswers}
	v.limit.Store(maxPayload)
	return v
}

// attach says whether the viewer belongs to s from now on.
func (v *Viewer) attach(s *Sender) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	owner := v.sender.Load()
	if v.closed || owner != nil && owner != s {
		return false
	}
	if owner == nil {
		v.sender.Store(s)
		v.pacer = pace.New(s.cfg.Pace)
		v.counted(1)
	}
	v.start()
	return true
}

// detach forgets what waits: later pictures will not follow on it.
func (v *Viewer) detach() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.needKey = true
	v.queue.clear()
	v.sounds.clear()
}

// Open says that the browser is connected, or that the selected pair changed. The
// first call chooses between the fast path and the fallback for good, and its keys
// and writers count; a later one only changes Conn and Remote. The picture begins
// with a key frame, which Open asks for. It keeps nothing of the path's slices.
func (v *Viewer) Open(path Path) error {
	if err := v.open(&path); err != nil {
		return fmt.Errorf("open viewer: %w", err)
	}
	v.cfg.KeyFrame()
	return nil
}

func (v *Viewer) open(path *Path) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	chosen := wayFallback
	if len(path.Key) > 0 {
		chosen = wayFast
	}
	switch {
	case v.closed:
		return ErrClosed
	case v.way != wayNone && v.way != chosen:
		return ErrPath
	case chosen == wayFast && (path.Conn == nil || !path.Remote.IsValid()):
		return errors.New("fast path without a socket or an address")
	case chosen == wayFallback && path.Video == nil && path.Audio == nil && v.way == wayNone:
		return errors.New("neither keys nor a writer")
	case !distinct(v.cfg.Video, v.cfg.Audio):
		return errors.New("two streams under one SSRC: they would share nonces")
	}
	l := &link{conn: path.Conn, remote: path.Remote}
	if v.way == wayNone {
		var err error
		if l.video, err = newStream(v.cfg.Video, path, v.cfg.History); err != nil {
			return err
		}
		if l.audio, err = newStream(v.cfg.Audio, path, 0); err != nil {
			return err
		}
	} else if v.fresh != nil {
		l.video, l.audio = v.fresh.video, v.fresh.audio
	}
	v.fresh, v.needKey = l, true
	if v.way == wayNone {
		v.way = chosen
		v.counted(1)
		v.start()
	}
	return nil
}

// distinct says whether the streams and their retransmissions all have an SSRC of
// their own.
func distinct(streams ...Stream) bool {
	var taken []uint32
	for _, s := range streams {
		if s.Codec == 0 {
			continue
		}
		if slices.Contains(taken, s.SSRC) {
			return false
		}
		taken = append(taken, s.SSRC)
		if s.RTX.SSRC == 0 {
			continue
		}
		if slices.Contains(taken, s.RTX.SSRC) {
			return false
		}
		taken = append(taken, s.RTX.SSRC)
	}
	return true
}

// counted adds n to the number of viewers on this way, once it is known and there
// is somebody who counts. The caller holds mu.
func (v *Viewer) counted(n int64) {
	s := v.sender.Load()
	switch {
	case s == nil || v.way == wayNone:
	case v.way == wayFast:
		s.cfg.Stats.fast.Add(n)
	default:
		s.cfg.Stats.fallback.Add(n)
	}
}

// Close ends the viewer; what it had queued is dropped. On the fallback it returns
// after the last call of a Writer: what blocks that must be closed first.
func (v *Viewer) Close() {
	v.mu.Lock()
	if !v.closed {
		v.closed = true
		v.counted(-1)
		v.queue.clear()
		v.sounds.clear()
		if v.fall != nil {
			v.fall.cancel()
		}
	}
	fall := v.fall
	v.mu.Unlock()
	if fall != nil {
		<-fall.done
	}
}

// Stats returns what happened so far.
func (v *Viewer) Stats() ViewerStats {
	v.mu.Lock()
	way, closed := v.way, v.closed
	v.mu.Unlock()
	return ViewerStats{
		Counts: v.tally.counts(), Open: way != wayNone && !closed, Fast: way == wayFast,
		RoundTrip: time.Duration(v.round.Load()), Loss: float64(v.loss.Load()) / 256, Rate: v.rate.Load(),
	}
}

// bump counts n of something, for the viewer and for the worker.
func (v *Viewer) bump(c counter, n int) {
	v.tally[c].Add(uint64(n))
	if s := v.sender.Load(); s != nil {
		s.cfg.Stats.tally[c].Add(uint64(n))
	}
}
