package send

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

// unit is one picture, or one packet of sound, cut for all viewers. Once it was
// offered to a viewer nobody writes to it until the last one let it go.
type unit struct {
	cuts    []*cut // made with different payload limits; only the first used are valid
	used    int
	picture uint16 // number of a VP8 or VP9 picture
	time    uint32 // RTP time without a stream's random start
	pts     time.Duration
	arrived time.Duration // when it was given to the Sender
	due     time.Duration // sound leaves no sooner
	marker  bool          // on the last packet
	refs    atomic.Int32
	home    *pool
}

// cut is a unit as payloads of at most limit bytes.
type cut struct {
	limit int
	bytes int // of all payloads
	frame packetize.Frame
}

// cut returns the unit cut for this limit, made on first use. Only whoever makes
// the unit calls it.
func (u *unit) cut(codec packetize.Codec, data []byte, limit int) (*cut, error) {
	for _, c := range u.cuts[:u.used] {
		if c.limit == limit {
			return c, nil
		}
	}
	if u.used == len(u.cuts) {
		u.cuts = append(u.cuts, new(cut))
	}
	c := u.cuts[u.used]
	if err := c.frame.Split(codec, data, limit, u.picture); err != nil {
		return nil, err
	}
	c.limit, c.bytes = limit, 0
	for i := range c.frame.Len() {
		c.bytes += len(c.frame.Payload(i))
	}
	u.used++
	return c, nil
}

// release lets go of one use; the last one gives the unit back.
func (u *unit) release() {
	if u.refs.Add(-1) == 0 {
		u.home.put(u)
	}
}

// pool keeps units that nobody uses, so that none is allocated per picture. A unit
// lost with a viewer that was closed amid it is the garbage collector's.
type pool struct {
	mu    sync.Mutex
	spare []*unit
}

// poolSize is more than the units that are on their way at once, over all viewers.
const poolSize = videoQueue + 8

// get returns an empty unit with one use, that of the caller.
func (p *pool) get() *unit {
	p.mu.Lock()
	defer p.mu.Unlock()
	var u *unit
	if n := len(p.spare); n > 0 {
		u = p.spare[n-1]
		p.spare = p.spare[:n-1]
	} else {
		u = &unit{home: p}
	}
	u.refs.Store(1)
	return u
}

func (p *pool) put(u *unit) {
	u.used = 0
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.spare) < poolSize {
		p.spare = append(p.spare, u)
	}
}
