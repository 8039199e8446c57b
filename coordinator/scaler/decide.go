package scaler

import (
	"slices"
	"time"
)

// learning is how long a pod that is ready may be unknown, since its worker still
// has to join this coordinator: after a new leader, or a new worker, began.
const learning = 30 * time.Second

// view is what is known when something is to be decided.
type view struct {
	replicas int // that the Deployment is asked for
	pods     []seen
}

// seen is a pod of the Deployment that is not ending.
type seen struct {
	ready   bool
	worker  *Pod      // what it announced; nil = it has not joined this coordinator
	unknown time.Time // since when it is ready without
	kept    bool      // its annotation says that it has games, if it has
}

// busy says whether players would notice the end of the pod.
func (w Pod) busy() bool { return w.Rooms > 0 || w.Sessions > 0 }

// offers says whether new games may start there, sooner or later.
func (w Pod) offers() bool { return w.Places > 0 && w.State != stateDraining }

// memory is what goes from one decision to the next. Its zero value is that of a
// leader who has just begun.
type memory struct {
	places int       // of a worker, as they announced it last; 0 = never
	fewer  time.Time // since when fewer replicas are enough; zero = they are not
	enough int       // the most that were needed since then
}

// verdict is what was decided.
type verdict struct {
	replicas int // that the Deployment should have now
	wanted   int // that are enough
	free     int // places that are free now
}

// tally is a view in numbers.
type tally struct {
	used, free int  // places
	useless    int  // pods that count as replicas and give no place
	idle       int  // pods that nobody would miss
	learning   bool // a worker is about to join
	exposed    bool // a pod with games is not yet marked as one
}

// decide says how many replicas keep s.FreeSeats places free. More come at once;
// fewer once they have been enough for s.ScaleInDelay, and never so few that a
// pod with games would have to go. Without any word of workers it only keeps
// the bounds, and zero
// replicas stay zero, as with a HorizontalPodAutoscaler.
func decide(now time.Time, s Settings, m memory, v view) (verdict, memory) {
	m = m.learn(v.pods)
	t := count(now, v.pods, m.places)
	within := func(n int) int { return min(max(n, s.MinReplicas), s.MaxReplicas) }
	wanted := within(v.replicas)
	if m.places > 0 {
		wanted = within((t.used+s.FreeSeats+m.places-1)/m.places + t.useless)
	}
	out := verdict{replicas: v.replicas, wanted: wanted, free: t.free}
	switch {
	case v.replicas == 0:
		return out, memory{} // somebody has switched the workers off
	case wanted >= v.replicas:
		out.replicas, m.fewer = wanted, time.Time{}
		return out, m
	case m.fewer.IsZero():
		m.fewer, m.enough = now, wanted
	}
	m.enough = max(m.enough, wanted)
	if t.learning || t.exposed || now.Sub(m.fewer) < s.ScaleInDelay {
		return out, m
	}
	if out.replicas = max(m.enough, v.replicas-t.idle); out.replicas < v.replicas {
		m.fewer = time.Time{}
	}
	return out, m
}

// learn notes how many places a worker has: the median, if they differ, so that
// one that announces nonsense says nothing of the others.
func (m memory) learn(pods []seen) memory {
	var places []int
	for _, p := range pods {
		if p.worker != nil && p.worker.offers() {
			places = append(places, p.worker.Places)
		}
	}
	slices.Sort(places)
	if n := len(places); n > 0 {
		m.places = (places[(n-1)/2] + places[n/2]) / 2
	}
	return m
}

// count sums the pods up. One that is not ready is about to give places; one
// that is ready and never joins is none that anybody can play at. However many
// places a worker says are taken, it is one replica, of so many places as others.
func count(now time.Time, pods []seen, places int) (t tally) {
	for _, p := range pods {
		switch {
		case p.worker == nil && !p.ready:
			t.idle++
			continue
		case p.worker == nil && now.Sub(p.unknown) < learning:
			t.learning = true
			continue
		case p.worker == nil:
			t.useless++
			continue
		}
		w := *p.worker
		if !w.busy() && (!w.offers() || w.Free == w.Places) {
			t.idle++
		}
		t.exposed = t.exposed || w.busy() && !p.kept
		if !w.offers() {
			t.useless++
			continue
		}
		t.used += min(w.Places-w.Free, places)
		t.free += w.Free
	}
	return t
}
