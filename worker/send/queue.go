package send

import "time"

const (
	videoQueue = 64 // pictures that wait behind the one on its way; overflow: see offer
	soundQueue = 16 // packets of sound; overflow: the oldest goes
	fifoSize   = max(videoQueue, soundQueue)

	// stale is how old a backlog of pictures may be where the path is known to be
	// narrow. Where it is not, the machine kept us from sending, and we catch up:
	// there the backlog must have lasted, too.
	stale   = 130 * time.Millisecond
	lasting = 500 * time.Millisecond

	// maxPayload is what a packet leaves to the encoder at first: room for all
	// extensions and for a retransmission's number, so that all viewers share one
	// cut.
	maxPayload = maxPacket - maxHeader - osnLen
)

// fifo is a bounded queue of units, each with one use of the queue's own.
type fifo struct {
	items [fifoSize]queued
	from  int
	n     int
	since time.Duration // when it was empty last; means something while it is not
}

type queued struct {
	unit *unit
	cut  *cut
}

func (q *fifo) push(u *unit, c *cut) {
	u.refs.Add(1)
	if q.n == 0 {
		q.since = u.arrived
	}
	q.items[(q.from+q.n)%fifoSize] = queued{u, c}
	q.n++
}

// pop hands the oldest over, with its use.
func (q *fifo) pop() queued {
	i := q.items[q.from]
	q.items[q.from] = queued{}
	q.from = (q.from + 1) % fifoSize
	q.n--
	return i
}

func (q *fifo) front() *unit { return q.items[q.from].unit }

func (q *fifo) clear() {
	for q.n > 0 {
		q.pop().unit.release()
	}
}

// offer queues a picture, cut for this viewer. The viewer loses it when the queue
// is full or old, and all that follow up to a key frame, which takes a full queue's place.
// Each loss asks for a key frame. An error is the picture's.
func (v *Viewer) offer(u *unit, f Frame) (taken bool, err error) {
	v.mu.Lock()
	if v.way == wayNone || v.closed || f.Codec != v.cfg.Video.Codec {
		v.mu.Unlock()
		return false, nil
	}
	c, err := u.cut(f.Codec, f.Data, int(v.limit.Load()))
	if err != nil {
		v.mu.Unlock()
		return false, err
	}
	taken = v.admit(u, c, f.Key)
	v.mu.Unlock()
	if !taken {
		v.cfg.KeyFrame()
	}
	return taken, nil
}

// full says whether no picture should wait behind those that do.
func (v *Viewer) full(now time.Duration) bool {
	q := &v.queue
	if q.n == 0 || q.n == videoQueue {
		return q.n > 0
	}
	return now-q.front().arrived > stale && (v.rate.Load() > 0 || now-q.since > lasting)
}

func (v *Viewer) admit(u *unit, c *cut, key bool) bool {
	full := v.full(u.arrived)
	switch {
	case v.needKey && !key:
		v.bump(framesWaiting, 1)
		return false
	case full && !key:
		v.needKey = true
		v.bump(framesSlow, 1)
		return false
	case full:
		v.bump(framesSlow, v.queue.n)
		v.queue.clear()
	}
	v.needKey = v.needKey && !key
	v.queue.push(u, c)
	v.fall.rouse()
	return true
}

// hear queues a packet of sound and says whether the viewer takes it.
func (v *Viewer) hear(u *unit, c *cut) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.way == wayNone || v.closed || v.cfg.Audio.Codec == 0 {
		return false
	}
	if v.sounds.n == soundQueue {
		v.sounds.pop().unit.release()
		v.bump(soundsDropped, 1)
	}
	v.sounds.push(u, c)
	v.fall.rouse()
	return true
}

// takePicture is the next picture, if there is one.
func (v *Viewer) takePicture() (queued, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.queue.n == 0 {
		return queued{}, false
	}
	return v.queue.pop(), true
}

// takeSound is the next packet of sound if it is due; else next is when it will
// be, never if there is none.
func (v *Viewer) takeSound(now time.Duration) (q queued, next time.Duration, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sounds.n == 0 {
		return queued{}, never, false
	}
	if due := v.sounds.front().due; due > now+slack {
		return queued{}, due, false
	}
	return v.sounds.pop(), 0, true
}
