package worker

import (
	"context"
	"time"
)

// Bounds of Worker.watch and of lateness.
const (
	lateWindow   = 10  // seconds over which frames are counted
	lateSeconds  = 3   // of them that must be bad
	latePerMille = 100 // of a second's frames that begin late make it bad, if Config does not say
	lateMinimum  = 30  // frames; of fewer in a second nothing is concluded
	maxPace      = 300 // frames of one room in a second; more is nonsense, and must not outweigh the others
)

// pace is how many frames were begun, and how many of them late.
type pace struct{ ticks, late uint64 }

// since is what happened after an earlier look. A core process may say anything.
func (p pace) since(last pace) pace {
	if p.ticks < last.ticks || p.late < last.late {
		return pace{}
	}
	ticks := min(p.ticks-last.ticks, maxPace)
	return pace{ticks, min(p.late-last.late, ticks)}
}

func (p pace) perMille() int {
	if p.ticks == 0 {
		return 0
	}
	return int(1000 * p.late / p.ticks)
}

// lateness judges whether a worker keeps up: not by how busy its processors are
// but by what players feel. One hiccup does not make it overloaded, and it is
// well again only when no second of the window was bad, and all of them together
// were half as bad at the most.
type lateness struct {
	limit  int // per mille
	window [lateWindow]pace
	next   int
	over   bool
}

// second takes what all rooms did in a second and answers how many frames were
// late over the window, per mille, and whether the worker is overloaded.
func (l *lateness) second(n pace, rooms int) (late int, over bool) {
	if rooms == 0 {
		*l = lateness{limit: l.limit}
		return 0, false
	}
	l.window[l.next] = n
	l.next = (l.next + 1) % lateWindow
	bad, sum := 0, pace{}
	for _, s := range l.window {
		sum.ticks += s.ticks
		sum.late += s.late
		if s.ticks >= lateMinimum && s.perMille() > l.limit {
			bad++
		}
	}
	late = sum.perMille()
	switch {
	case bad >= lateSeconds:
		l.over = true
	case bad == 0 && 2*late <= l.limit && sum.ticks >= lateMinimum:
		l.over = false
	}
	return late, l.over
}

// watch counts late frames until ctx ends.
func (w *Worker) watch(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var judge lateness
	overloaded, told := false, w.load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
		}
		judge.limit = w.now().lateLimit
		late, over := w.judge(&judge)
		w.late.Store(int32(late))
		if over != overloaded {
			overloaded = over
			w.log.Warn("frames begin late", "perMille", late, "overloaded", over)
			w.rooms.overload(over)
		}
		if now := w.load(); now != told {
			told = now
			w.announceLoad()
		}
	}
}

// judge looks at all rooms once. What is late in a room that all have left is not
// felt by anybody: who goes from one game to the next on a slow machine is not
// made to wait for the one that they left.
func (w *Worker) judge(j *lateness) (late int, over bool) {
	var sum pace
	played := 0
	for _, r := range w.rooms.running() {
		now := r.pace()
		n := now.since(r.paced)
		r.paced = now
		if _, idle := r.Idle(); idle {
			continue
		}
		played++
		sum.ticks += n.ticks
		sum.late += n.late
	}
	return j.second(sum, played)
}
