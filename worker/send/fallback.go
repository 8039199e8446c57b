package send

import (
	"time"

	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
)

// fallback sends to one viewer through pion's writer, which may block: in a
// goroutine of its own, so that nobody else waits.
type fallback struct {
	wake chan struct{}
	end  chan struct{}
	done chan struct{}

	header rtp.Header
}

// start begins the fallback's goroutine once the viewer is attached and opened on
// that path. Close waits for it. The caller holds mu.
func (v *Viewer) start() {
	s := v.sender.Load()
	if s == nil || v.way != wayFallback || v.fall != nil || v.closed {
		return
	}
	v.fall = &fallback{wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	go v.fall.run(v, s)
}

// rouse makes the goroutine take a turn; on the fast path there is none.
func (f *fallback) rouse() {
	if f == nil {
		return
	}
	select {
	case f.wake <- struct{}{}:
	default: // it will
	}
}

// cancel ends the goroutine; called once.
func (f *fallback) cancel() { close(f.end) }

func (f *fallback) run(v *Viewer, s *Sender) {
	defer close(f.done)
	o := new(output)
	o.init(&s.cfg)
	wait := time.NewTimer(never)
	defer wait.Stop()
	for {
		o.now = s.cfg.Now()
		if next := v.fallbackTurn(o); next != never {
			wait.Reset(next - s.cfg.Now()) // the turn took its time
		}
		select {
		case <-f.end:
			return
		case <-f.wake:
		case <-wait.C:
		}
	}
}

// fallbackTurn is what Turn does for a viewer of the fast path. Packets leave in
// runs where pion writes to a socket of ours.
func (v *Viewer) fallbackTurn(o *output) (next time.Duration) {
	if !v.ready(wayFallback) {
		return never
	}
	if conn, remote := v.link.conn, v.link.remote; conn != nil && remote.IsValid() {
		conn.Cork(remote)
		defer func() {
			if err := conn.Uncork(remote); err != nil {
				v.failed(batch.Failure{Packets: 1, Err: err}) // of one at least
			}
		}()
	}
	next = v.urgent(o)
	if v.video != nil {
		next = min(next, v.show(o))
	}
	o.flush()
	return next
}

// plain gives one packet to pion, which seals it.
func (v *Viewer) plain(s *stream, packet []byte) {
	h := &v.fall.header
	n, err := h.Unmarshal(packet)
	if err == nil && s.write != nil {
		err = s.write(h, packet[n:])
	}
	if err != nil {
		v.bump(writeErrors, 1)
	}
}
