package send

import (
	"errors"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/estimate"
)

const (
	// slack is how early things may leave, so that one turn serves what is due
	// within it: a timer costs more than a packet.
	slack = 300 * time.Microsecond
	// maxPending bounds what waits for one system call: neither the first packet
	// in it grows old nor a ring comes round.
	maxPending = minHistory / 2
)

// output collects what one turn sends. It belongs to the goroutine of the turns.
type output struct {
	cfg     *Config
	now     time.Duration
	writers []writer
	pending int // bytes
	viewers []*Viewer
	tag     int             // index of the viewer whose turn it is
	showing []int           // indices of those with pictures
	done    []time.Duration // when the pictures that are complete with this flush came
	space   [spaceSize]byte // packets that are in no ring: retransmissions
	used    int
}

const spaceSize = 64 << 10

// writer is the batch that goes out on one socket.
type writer struct {
	conn *batch.Conn
	*batch.Writer
}

func (o *output) init(cfg *Config) {
	o.cfg = cfg
	o.done = make([]time.Duration, 0, 128)
}

// Turn sends everything that is due now, and says when the next turn is due if
// nothing is offered before; 0 = not before that. Sound, resends and reports of all
// viewers come before pictures.
func (s *Sender) Turn(now time.Duration) (next time.Duration) {
	o := &s.out
	o.now, o.viewers, next = now, *s.viewers.Load(), never
	o.showing = o.showing[:0]
	for i, v := range o.viewers {
		if o.tag = i; !v.ready(wayFast) {
			continue
		}
		next = min(next, v.urgent(o))
		if v.video != nil {
			o.showing = append(o.showing, i)
		}
	}
	for _, i := range o.showing {
		o.tag = i
		next = min(next, o.viewers[i].show(o))
	}
	o.flush()
	o.viewers = nil
	if next == never {
		return 0
	}
	return next
}

// ready takes what Open has handed over and says whether the viewer is to be sent
// to this way.
func (v *Viewer) ready(w way) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.way != w || v.closed {
		return false
	}
	if l := v.fresh; l != nil {
		v.fresh = nil
		if l.video != nil {
			v.video = l.video
		}
		if l.audio != nil {
			v.audio = l.audio
		}
		if old := v.link; old != nil && (old.conn != l.conn || old.remote != l.remote) {
			v.forget()
		}
		v.link = l
	}
	v.mail.swap(&v.inbox)
	return v.link != nil
}

// forget drops what was learnt about a path that is no longer used.
func (v *Viewer) forget() {
	v.estimate = estimate.Estimate{}
	v.rate.Store(0)
	v.round.Store(0)
	v.limit.Store(maxPayload)
}

// urgent does what never waits behind a picture. Sound that comes all the while
// waits for the next turn: until a turn has sent its packets they must stay in the
// ring.
func (v *Viewer) urgent(o *output) (next time.Duration) {
	v.readMail(o)
	v.sendReports(o)
	if v.audio == nil {
		return never
	}
	for range soundQueue {
		q, next, ok := v.takeSound(o.now)
		if !ok {
			return next
		}
		if v.burst(o, v.audio, q.unit, q.cut, 0, q.cut.frame.Len()) {
			v.bump(sounds, 1)
		}
		q.unit.release()
	}
	return o.now
}

// show sends of the pictures what the pacer lets go, and says when it lets more.
func (v *Viewer) show(o *output) (next time.Duration) {
	for {
		if v.current == nil {
			q, ok := v.takePicture()
			if !ok {
				return never
			}
			v.current, v.cut, v.next, v.tried = q.unit, q.cut, 0, q.cut.limit
			v.pacer.Begin(o.now, q.cut.frame.Len(), q.cut.bytes, v.estimate.Rate())
		}
		n := v.pacer.Due(o.now + slack)
		if n == 0 {
			return v.pacer.Next()
		}
		ok := v.burst(o, v.video, v.current, v.cut, v.next, v.next+n)
		v.next += n
		switch {
		case !ok:
			v.abandon()
		case v.pacer.Left() == 0:
			o.finished(v.current.arrived)
			v.bump(frames, 1)
			v.current.release()
			v.current, v.cut = nil, nil
		}
	}
}

// abandon gives up the picture on its way: it cannot be sent.
func (v *Viewer) abandon() {
	v.current.release()
	v.current, v.cut = nil, nil
	v.mu.Lock()
	v.needKey = true
	v.bump(framesSlow, 1+v.queue.n)
	v.queue.clear()
	v.mu.Unlock()
	v.cfg.KeyFrame()
}

// add queues a run of packets for the viewer whose turn it is.
func (o *output) add(v *Viewer, packets []byte, segment int) {
	o.writer(v.link.conn).Add(v.link.remote, packets, segment, o.tag)
	if o.pending += len(packets); o.pending >= maxPending {
		o.flush()
	}
}

// writer is the batch of a socket; a worker has few.
func (o *output) writer(conn *batch.Conn) *batch.Writer {
	for i := range o.writers {
		if o.writers[i].conn == conn {
			return o.writers[i].Writer
		}
	}
	o.writers = append(o.writers, writer{conn, conn.NewWriter()})
	return o.writers[len(o.writers)-1].Writer
}

// room is memory for a packet that is in no ring, valid until the next flush.
func (o *output) room(n int) []byte {
	if o.used+n > len(o.space) {
		o.flush()
	}
	b := o.space[o.used : o.used+n : o.used+n]
	o.used += n
	return b
}

// finished notes that the last packet of a picture that came then is queued.
func (o *output) finished(came time.Duration) { o.done = append(o.done, came) }

// flush sends what is queued, and tells viewers what became of it.
func (o *output) flush() {
	if o.pending > 0 {
		for _, w := range o.writers {
			for _, f := range w.Flush() {
				o.viewers[f.Tag].failed(f)
			}
		}
	}
	o.pending, o.used = 0, 0
	if len(o.done) == 0 {
		return
	}
	now := o.cfg.Now()
	for _, came := range o.done {
		o.cfg.Stats.took(now - came)
	}
	o.done = o.done[:0]
}

// failed hears of packets that the socket did not send as they were.
func (v *Viewer) failed(f batch.Failure) {
	if !errors.Is(f.Err, batch.ErrTooLarge) {
		v.bump(unsent, f.Packets)
		return
	}
	v.bump(tooLarge, f.Packets)
	// Pictures that were cut before the last shrinking say nothing new.
	if v.tried <= int(v.limit.Load()) {
		v.limit.Store(smaller(v.limit.Load()))
	}
}

// smaller is the next payload limit below. They are few, so that viewers behind
// small MTUs share their cuts; the last one fits the 576 bytes that every IPv4 path
// carries.
func smaller(limit int32) int32 {
	for _, l := range [...]int32{1100, 1000, 850, 700} {
		if l < limit {
			return l
		}
	}
	return smallest
}

const smallest = 500
