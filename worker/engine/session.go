package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// errHung says that the watchdog ended a core process.
var errHung = errors.New("hung")

// Bounds of what a core process may send.
const (
	maxSkew         = 10 * time.Second // of a PTS from now
	messagesASecond = 5000
	bytesASecond    = 64 << 20
)

// session is the run of core processes on one shared memory. It belongs to the
// goroutine of Run.
type session struct {
	engine     *Engine
	memory     *os.File
	generation int
	restore    bool   // the next process goes on from the snapshot
	info       Info   // last known; FPS is 0 before the first ready
	unconfined string // Info.Unconfined of the running process

	lastVideo, lastAudio time.Duration // PTS
	frame                media.Frame
	packet               media.Packet
	flow                 flow
}

// serve runs one core process until it ends and returns why. The error wraps
// ErrLoad or ErrEnded if there is no point in another one.
func (s *session) serve(ctx context.Context) error {
	e := s.engine
	p, err := e.spawn(s.memory)
	if err != nil {
		return err
	}
	e.setPid(p.child.Pid)
	defer e.setPid(0)
	var helpers sync.WaitGroup
	defer helpers.Wait()
	helpers.Go(func() { // ends the process when ctx ends
		select {
		case <-ctx.Done():
			p.stop(e.cfg.StopTimeout)
		case <-p.exited:
		}
	})
	ready := time.Time{}
	err = s.load(p)
	if err == nil {
		ready = time.Now()
		memory := e.memory
		helpers.Go(func() { p.watch(ctx, memory.Progress, e.cfg.HangTimeout) })
		helpers.Go(func() { e.tell(p) })
		err = s.receive(ctx, p)
	}
	e.orders.close()
	if ctx.Err() == nil {
		p.lingerThenKill()
	}
	<-p.exited
	p.conn.Close()
	e.retire()
	s.restore = !ready.IsZero() && (s.info.Snapshot == 0 || time.Since(ready) >= suspectTime) || ready.IsZero() && s.restore
	return p.explain(err)
}

// load sends Start, waits for ready and tells the sink. Orders are taken from
// before that on: who hears that the game runs may save it at once.
func (s *session) load(p *process) error {
	e := s.engine
	start := wire.Start{Spec: e.spec, Restore: s.restore}
	e.commands.begin(&start.Spec.Video)
	payload, err := start.Append(nil)
	if err != nil {
		return err
	}
	if err := p.conn.SetReadDeadline(time.Now().Add(e.cfg.LoadTimeout)); err != nil {
		return err
	}
	if err := p.send(wire.TypeStart, payload); err != nil {
		return fmt.Errorf("send start: %w", err)
	}
	t, payload, err := p.reader.Next()
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: not ready after %v", ErrLoad, e.cfg.LoadTimeout)
	case err != nil:
		return err
	case t == wire.TypeFailed:
		return failure(payload)
	case t != wire.TypeReady:
		return fmt.Errorf("%w: message %d before ready", wire.ErrProtocol, t)
	}
	kind := EventReady
	if s.info.FPS != 0 {
		kind = EventRestarted
	}
	if err := s.learn(payload); err != nil {
		return err
	}
	s.judge(p)
	e.orders.open(s.memory)
	e.sink.Event(Event{Kind: kind, Info: s.info})
	return p.conn.SetReadDeadline(time.Time{})
}

// judge adds to Info what the worker's side of the sandbox lacks, and logs it
// once.
func (s *session) judge(p *process) {
	if s.info.Unconfined != "" {
		p.unconfined = append(p.unconfined, s.info.Unconfined)
	}
	s.unconfined = p.unconfined.String()
	s.info.Unconfined = s.unconfined
	if s.unconfined != "" && s.generation == 0 {
		s.engine.cfg.Logger.Debug("this host lacks a part of the sandbox", "missing", s.unconfined)
	}
}

// failure makes an error of a failed message.
func failure(payload []byte) error {
	text, err := wire.ParseText(payload)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: %s", ErrLoad, text)
}

func (s *session) learn(payload []byte) error {
	info, err := wire.ParseInfo(payload)
	if err != nil {
		return err
	}
	info.Generation = s.generation
	s.info = info
	return nil
}

// receive hands what the core process sends to the sink until the stream ends.
func (s *session) receive(ctx context.Context, p *process) error {
	s.flow = flow{}
	for {
		t, payload, err := p.reader.Next()
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			continue // nobody listens any more; the process is ending
		}
		if !s.flow.admit(monotonicNow(), len(payload)) {
			return fmt.Errorf("%w: too much of it", wire.ErrProtocol)
		}
		if err := s.dispatch(t, payload); err != nil {
			return err
		}
	}
}

func (s *session) dispatch(t wire.Type, payload []byte) error {
	e := s.engine
	switch t {
	case wire.TypeVideo:
		if err := wire.ParseVideo(payload, &s.frame); err != nil {
			return err
		}
		if err := onTime(s.frame.PTS, &s.lastVideo); err != nil {
			return err
		}
		e.sink.Video(&s.frame)
	case wire.TypeAudio:
		if err := wire.ParseAudio(payload, &s.packet); err != nil {
			return err
		}
		if err := onTime(s.packet.PTS, &s.lastAudio); err != nil {
			return err
		}
		e.sink.Audio(&s.packet)
	case wire.TypeChanged:
		if err := s.learn(payload); err != nil {
			return err
		}
		s.info.Unconfined = s.unconfined
		e.sink.Event(Event{Kind: EventChanged, Info: s.info})
	case wire.TypeMessage:
		text, err := wire.ParseText(payload)
		if err != nil {
			return err
		}
		e.sink.Event(Event{Kind: EventMessage, Info: s.info, Text: text})
	case wire.TypeStats:
		return e.account(payload, s.flow.total)
	case wire.TypeOutcome:
		return s.settle(payload)
	case wire.TypeFailed:
		return failure(payload)
	case wire.TypeEnded:
		return ErrEnded
	default:
		return fmt.Errorf("%w: unknown message %d", wire.ErrProtocol, t)
	}
	return nil
}

// settle takes what became of an order.
func (s *session) settle(payload []byte) error {
	out, err := wire.ParseOutcome(payload)
	if err != nil {
		return err
	}
	s.engine.orders.answered(out)
	return nil
}

// onTime checks that a PTS is about now and not before the last one.
func onTime(pts time.Duration, last *time.Duration) error {
	now := monotonicNow()
	if pts < *last || pts < now-maxSkew || pts > now+maxSkew {
		return fmt.Errorf("%w: PTS %v after %v, now %v", wire.ErrProtocol, pts, *last, now)
	}
	*last = pts
	return nil
}

// flow bounds what one core process sends in a second.
type flow struct {
	since    time.Duration
	messages int
	bytes    int
	total    uint64 // bytes
}

func (f *flow) admit(now time.Duration, size int) bool {
	if now-f.since >= time.Second {
		f.since, f.messages, f.bytes = now, 0, 0
	}
	f.messages++
	f.bytes += size
	f.total += uint64(size) + wire.HeaderSize
	return f.messages <= messagesASecond && f.bytes <= bytesASecond
}

// tell sends commands until the process ends.
func (e *Engine) tell(p *process) {
	for {
		select {
		case <-p.exited:
			return
		case <-e.commands.wake:
			if err := e.commands.flush(p.send); err != nil {
				e.cfg.Logger.Debug("command not sent", "error", err)
			}
		}
	}
}

func (e *Engine) setPid(pid int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid = pid
}

// account takes the counters of the running process.
func (e *Engine) account(payload []byte, received uint64) error {
	var s wire.Stats
	if err := wire.ParseStats(payload, &s); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.child, e.received = s, received
	return nil
}

// retire adds the counters of a process that has ended to those of the engine.
func (e *Engine) retire() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stats.Stats.Add(&e.child)
	e.stats.Received += e.received
	e.child, e.received = wire.Stats{}, 0
}

// lingerThenKill ends the process after its stream has ended: one that is dying
// shall die of its own cause, so that the cause can be told.
func (p *process) lingerThenKill() {
	select {
	case <-p.exited:
	case <-time.After(lingerTime):
		p.kill()
	}
}

const lingerTime = 100 * time.Millisecond
