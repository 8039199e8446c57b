// Package uplink keeps a role, a worker or a gate, joined to every coordinator
// that can be found: one WebSocket to each, made again whenever it ends. What is
// said over it is the role's; what it takes to be there is here: the hand-shake,
// queues and their bounds, pings, back-off, and the goodbye.
package uplink

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/discovery"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Role is who joins, and what it does with its links. Introduce, Joined, Message
// and Left of one link are called one after the other, those of different links
// at the same time.
type Role struct {
	// Path of the WebSocket at a coordinator, like "/ws/worker".
	Path string
	// Introduce makes the first message, which answers the challenge; it is
	// called anew for each connection. attempt counts how often a coordinator at
	// this endpoint refused with CodeDenied: who has several secrets takes the
	// one of that number, modulo how many there are. One that was accepted keeps
	// its number.
	Introduce func(c signal.Challenge, attempt int) (signal.Type, any)
	// Joined is called when a coordinator has accepted; the link takes messages
	// by then. It may be nil.
	Joined func(l *Link, a signal.Accepted)
	// Message takes what a coordinator says. An error is answered with
	// TypeError, with the ID and the session of the message. While it runs
	// nothing more is read.
	Message func(l *Link, e signal.Envelope) error
	// Left is called when a link that has joined is over. It may be nil.
	Left func(l *Link)
	// Logger receives what happens; nil means silence.
	Logger *slog.Logger
}

// Keeper keeps a role joined. Its methods may be called from any goroutine.
type Keeper struct {
	role    Role
	log     *slog.Logger
	sources []discovery.Source
	times   times

	mu      sync.Mutex
	sets    [][]discovery.Endpoint         // the last one of each source
	seekers map[discovery.Endpoint]*seeker // one goroutine each
	claims  map[string]chan struct{}       // by coordinator: somebody joins it, or has; closed when that is over
	links   []*Link                        // announcements reach them: introduced, or joined
}

// times of a Keeper; tests have shorter ones.
type times struct {
	dial      time.Duration // to connect, with TLS and HTTP
	handshake time.Duration // from there to Accepted
	ping      time.Duration
	silence   time.Duration // after which a link is dead; also the patience of a write
	flush     time.Duration // for what is queued when we go
	farewell  time.Duration // for the coordinator's answer to our close
	first     time.Duration // back-off
	away      time.Duration // at most, while nobody is there: who starts must know all within a second
	refused   time.Duration // at most, while somebody is there but does not have us
	again     time.Duration // until an endpoint that leads to a coordinator joined by another is looked at again
	settled   time.Duration // a link that lasted as long lets the back-off begin anew
}

func defaultTimes() times {
	return times{
		dial: 5 * time.Second, handshake: 10 * time.Second, ping: 3 * time.Second, silence: 8 * time.Second,
		flush: 2 * time.Second, farewell: time.Second,
		first: 300 * time.Millisecond, away: 700 * time.Millisecond, refused: 30 * time.Second, again: 2 * time.Minute, settled: 5 * time.Second,
	}
}

// New makes a Keeper. It starts nothing. Endpoints that several sources name
// are joined once.
func New(role Role, sources ...discovery.Source) *Keeper {
	k := &Keeper{
		role: role, log: role.Logger, sources: sources, times: defaultTimes(),
		sets: make([][]discovery.Endpoint, len(sources)), seekers: map[discovery.Endpoint]*seeker{},
		claims: map[string]chan struct{}{},
	}
	if k.log == nil {
		k.log = slog.New(slog.DiscardHandler)
	}
	return k
}

// Run joins and joins again until ctx ends, then writes what is queued and
// closes the links in form. It may be called once; the error is always nil.
func (k *Keeper) Run(ctx context.Context) error {
	var group sync.WaitGroup
	for i, source := range k.sources {
		group.Go(func() {
			// The source counts in group while it calls: group is not empty then.
			source.Watch(ctx, func(set []discovery.Endpoint) { k.update(ctx, &group, i, set) })
		})
	}
	group.Wait()
	return nil
}

// update takes the set of one source in place of its last. New endpoints get a
// seeker; one whose endpoint is not named any more ends when it has no link.
func (k *Keeper) update(ctx context.Context, group *sync.WaitGroup, source int, set []discovery.Endpoint) {
	if ctx.Err() != nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sets[source] = slices.Clone(set)
	wanted := map[discovery.Endpoint]bool{}
	for _, set := range k.sets {
		for _, endpoint := range set {
			wanted[endpoint] = true
		}
	}
	for endpoint, s := range k.seekers {
		s.wanted = wanted[endpoint]
		if !s.wanted {
			mark(s.changed)
		}
	}
	for endpoint := range wanted {
		if k.seekers[endpoint] != nil {
			continue
		}
		s := newSeeker(k, endpoint)
		k.seekers[endpoint] = s
		group.Go(func() { s.run(ctx) })
	}
}

// Links are those that have joined just now. Who wants all coordinators to know
// of a change calls Keeper.Announce: that reaches those, too, to which the role
// is introducing itself at this moment.
func (k *Keeper) Links() []*Link {
	k.mu.Lock()
	defer k.mu.Unlock()
	joined := make([]*Link, 0, len(k.links))
	for _, l := range k.links {
		if l.up.Load() {
			joined = append(joined, l)
		}
	}
	return joined
}

// Announce does Link.Announce at every coordinator.
func (k *Keeper) Announce(key string, make func() (signal.Type, any)) {
	k.mu.Lock()
	links := slices.Clone(k.links)
	k.mu.Unlock()
	for _, l := range links {
		l.Announce(key, make)
	}
}

// claim takes a coordinator for the caller. If another link has it, the answer
// is the channel that closes when that one is over.
func (k *Keeper) claim(coordinator string) (taken <-chan struct{}, release func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if over, ok := k.claims[coordinator]; ok {
		return over, nil
	}
	over := make(chan struct{})
	k.claims[coordinator] = over
	return nil, func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.claims, coordinator)
		close(over)
	}
}

// enlist lets announcements reach a link; the result ends that.
func (k *Keeper) enlist(l *Link) (delist func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.links = append(k.links, l)
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.links = slices.DeleteFunc(k.links, func(other *Link) bool { return other == l })
	}
}

// retire takes a seeker out if nobody names its endpoint any more.
func (k *Keeper) retire(s *seeker) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if s.wanted {
		return false
	}
	delete(k.seekers, s.endpoint)
	return true
}

// mark notes that something is to be done; once is enough.
func mark(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
