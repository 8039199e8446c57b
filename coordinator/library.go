package coordinator

import (
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of libraries.
const (
	libraryPatience = 3 * time.Second // for a library that was asked for, before another worker is
	libraryFaults   = 3               // libraries that did not come or were not what they say, before a worker is not asked again
)

// library is a list of games, kept once for all workers that announce its
// digest. Its games are never changed, its users are guarded by the registry's
// mutex.
type library struct {
	digest string
	games  map[string]signal.Game   // by id
	users  map[string][]*workerLink // by zone, in no order; each knows its place
}

// wanted is a digest that workers announce and whose games nobody has said yet.
type wanted struct {
	asked   *workerLink // who was asked for them, nil for nobody
	since   time.Time   // when
	waiting map[*workerLink]struct{}
}

// libraries are those of all workers. All of it is guarded by the registry's mutex.
type libraries struct {
	known   map[string]*library // by digest; each has a user
	wanted  map[string]*wanted  // by digest; each has somebody waiting
	changes *atomic.Uint64      // of the set of those known
}

func newLibraries(changes *atomic.Uint64) libraries {
	return libraries{known: map[string]*library{}, wanted: map[string]*wanted{}, changes: changes}
}

// announce notes that a worker has the library with the digest. If its games
// are not known, who is asked for them is answered: that worker, or nobody if
// another one has been asked already. Meanwhile the worker keeps those it had.
func (l *libraries) announce(w *workerLink, digest string, now time.Time) (ask *workerLink) {
	l.forget(w)
	if lib := l.known[digest]; lib != nil {
		l.adopt(w, lib)
		return nil
	}
	one := l.wanted[digest]
	if one == nil {
		one = &wanted{waiting: map[*workerLink]struct{}{}}
		l.wanted[digest] = one
	}
	w.wants = digest
	one.waiting[w] = struct{}{}
	if one.asked != nil {
		return nil
	}
	return one.next(now)
}

// next is who is to be asked now: of those that wait one that has failed least,
// but not too often; nil for nobody. Who was asked before and did not answer has
// failed.
func (o *wanted) next(now time.Time) *workerLink {
	if o.asked != nil {
		o.asked.faults++
	}
	o.asked, o.since = nil, now
	for w := range o.waiting {
		if w.faults < libraryFaults && (o.asked == nil || w.faults < o.asked.faults) {
			o.asked = w
		}
	}
	return o.asked
}

// adopt gives a worker the library in place of the one it had.
func (l *libraries) adopt(w *workerLink, lib *library) {
	if w.library == lib {
		return
	}
	l.drop(w)
	w.library, w.place = lib, len(lib.users[w.zone])
	lib.users[w.zone] = append(lib.users[w.zone], w)
}

// drop takes a worker's library from it; one that nobody has is no more.
func (l *libraries) drop(w *workerLink) {
	lib := w.library
	if lib == nil {
		return
	}
	users := lib.users[w.zone]
	last := len(users) - 1
	users[w.place] = users[last]
	users[w.place].place = w.place
	users[last] = nil
	lib.users[w.zone] = users[:last]
	w.library, w.place = nil, 0
	if last == 0 {
		delete(lib.users, w.zone)
	}
	if len(lib.users) == 0 {
		delete(l.known, lib.digest)
		l.changes.Add(1)
	}
}

// forget takes a worker from those that wait for a library. If it was the one
// that was asked, the next is due at once.
func (l *libraries) forget(w *workerLink) {
	one := l.wanted[w.wants]
	if one == nil {
		return
	}
	delete(one.waiting, w)
	if one.asked == w {
		one.asked = nil
	}
	if len(one.waiting) == 0 {
		delete(l.wanted, w.wants)
	}
	w.wants = ""
}

// learn makes the games with the digest known. All workers that waited for them
// adopt them and are answered.
func (l *libraries) learn(w *workerLink, digest string, games map[string]signal.Game) (adopted []*workerLink) {
	lib := l.known[digest]
	if lib == nil {
		lib = &library{digest: digest, games: games, users: map[string][]*workerLink{}}
		l.known[digest] = lib
		l.changes.Add(1)
	}
	if one := l.wanted[digest]; one != nil {
		for other := range one.waiting {
			other.wants = ""
			l.adopt(other, lib)
			if other != w {
				adopted = append(adopted, other)
			}
		}
		delete(l.wanted, digest)
	}
	l.forget(w)
	l.adopt(w, lib)
	return append(adopted, w)
}

// due are the workers to be asked now: those that were asked before are gone,
// have failed or are silent about it.
func (l *libraries) due(now time.Time) (ask []*workerLink) {
	for _, one := range l.wanted {
		if one.asked != nil && now.Sub(one.since) < one.asked.sock.pace.library {
			continue
		}
		if w := one.next(now); w != nil {
			ask = append(ask, w)
		}
	}
	return ask
}

// incoming is a change of a worker's library of which not all parts are there.
// It belongs to the goroutine that reads from the worker.
type incoming struct {
	base, digest string
	put          map[string]signal.Game
	gone         map[string]struct{}
}

// add takes one more part, which may be of another change than those before.
func (in *incoming) add(part signal.Library) error {
	if in.put == nil || in.base != part.Base || in.digest != part.Digest {
		*in = incoming{
			base: part.Base, digest: part.Digest,
			put: make(map[string]signal.Game, len(part.Put)), gone: make(map[string]struct{}, len(part.Gone)),
		}
	}
	for _, g := range part.Put {
		in.put[g.ID] = g
	}
	for _, id := range part.Gone {
		in.gone[id] = struct{}{}
	}
	if len(in.put) > signal.MaxGames || len(in.gone) > signal.MaxGames {
		*in = incoming{}
		return signal.Errorf(signal.CodeTooLarge, "a library changes more than %d games", signal.MaxGames)
	}
	return nil
}

// apply makes the games after the change, if they are those that its digest names.
func (in *incoming) apply(base map[string]signal.Game) (map[string]signal.Game, error) {
	games := make(map[string]signal.Game, len(base)+len(in.put))
	maps.Copy(games, base)
	for id := range in.gone {
		delete(games, id)
	}
	maps.Copy(games, in.put)
	if len(games) > signal.MaxGames {
		return nil, fmt.Errorf("a library has more than %d games", signal.MaxGames)
	}
	if digest := signal.LibraryDigest(slices.Collect(maps.Values(games))); digest != in.digest {
		return nil, fmt.Errorf("the library's digest is %s, not %s as it says", digest, in.digest)
	}
	return games, nil
}

// allLibraries are those of all workers.
func (r *registry) allLibraries() []*library {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Collect(maps.Values(r.libraries.known))
}

// askLibraries asks for what is due. r.mu is held.
func (r *registry) askLibraries(now time.Time) {
	for _, w := range r.libraries.due(now) {
		w.post(signal.TypeWant, "", nil)
		r.remind(w)
	}
}

// remind has another worker asked if a library that one was just asked for does not
// come. One that has come by then is not missed.
func (r *registry) remind(w *workerLink) {
	time.AfterFunc(w.sock.pace.library, func() { r.sweep(time.Now()) })
}

// knownLibrary is the library with the digest, nil if it is not known.
func (r *registry) knownLibrary(digest string) *library {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.libraries.known[digest]
}

// announceLibrary notes that a worker has the library with the digest, and asks
// for its games if nobody has been asked. A worker that said something wrong of
// them (fault) is the last to be asked again.
func (r *registry) announceLibrary(w *workerLink, digest string, fault bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workers[w.id] != w {
		return
	}
	if fault {
		w.faults++
	}
	if ask := r.libraries.announce(w, digest, time.Now()); ask != nil {
		ask.post(signal.TypeWant, "", nil)
		r.remind(w)
	}
	r.askLibraries(time.Now()) // what it wanted before may be owed to others
}

// learnLibrary makes games known and answers whose library changed thereby.
func (r *registry) learnLibrary(w *workerLink, digest string, games map[string]signal.Game) []*workerLink {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.workers[w.id] != w {
		return nil
	}
	return r.libraries.learn(w, digest, games)
}

// libraryFromWorker takes a change of a worker's library and answers whose
// library changed thereby: others may have waited for the same one. What is
// dear is done by the goroutine of the worker, without the registry's mutex.
func (c *Coordinator) libraryFromWorker(w *workerLink, part signal.Library) ([]*workerLink, error) {
	if lib := c.registry.knownLibrary(part.Digest); lib != nil {
		w.incoming = incoming{}
		return c.registry.learnLibrary(w, part.Digest, lib.games), nil
	}
	var base map[string]signal.Game
	if part.Base != "" {
		lib := c.registry.knownLibrary(part.Base)
		if lib == nil {
			w.incoming = incoming{}
			c.registry.announceLibrary(w, part.Digest, false)
			return nil, nil
		}
		base = lib.games
	}
	if err := w.incoming.add(part); err != nil {
		return nil, err
	}
	if part.More {
		return nil, nil
	}
	change := w.incoming
	w.incoming = incoming{}
	games, err := change.apply(base)
	if err != nil {
		c.registry.announceLibrary(w, part.Digest, true)
		return nil, err
	}
	return c.registry.learnLibrary(w, part.Digest, games), nil
}
