package loadgen

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Most that a run may be made of.
const (
	MaxWorkers  = 10_000
	MaxBrowsers = 200_000
	MaxStarts   = 1_000_000
	MaxRate     = 10_000 // starts a second
	MaxMedia    = 1_000
	MaxTime     = time.Hour
)

// Options say what a run is made of. Zero values of those marked so mean the
// default.
type Options struct {
	Name         string   // of the case in the report; "" = made of the numbers
	Coordinators []string // host:port or URL each; pages spread over them, workers join all
	Spawn        int      // coordinators to start, in place of Coordinators
	Binary       string   // that Spawn starts; "" = this very program
	CPU          string   // that each spawned coordinator is pinned to, as taskset takes it; "" = none
	Secret       string   // secrets.worker; with Spawn "" = a random one

	Workers   int // simulated
	Places    int // of each; 0 = 8
	Total     int // places of all of them together, in place of Places; 0 = as Places says
	Libraries int // different ones among them; 0 = one
	Zones     int // that they are in; 0 = none has a name

	Browsers int           // that are connected and do nothing
	Starts   int           // pages that come, start a game, play and leave
	Rate     float64       // of them, a second; 0 = all are connected first, and start at once
	Hold     time.Duration // a game lasts so long, half of it more or less, with Media from its first picture on; 0 = 2 s
	Game     string        // that is started; "" = the one of the simulated workers
	Media    int           // of the starts, the first so many have picture by pion

	Ramp     time.Duration // over which workers and idle browsers come; 0 = 5 s
	Calm     time.Duration // between the ramp and the first start, for the CPU of who is idle; 0 = 3 s
	Duration time.Duration // the whole takes at most so long; 0 = 5 minutes

	PIDs []int    // of coordinators on this machine: memory and CPU are measured
	Ops  []string // addresses of coordinators' ops.address: the same, and their own histogram

	Progress io.Writer    // a line a second; nil = none
	Logger   *slog.Logger // what simulated workers and spawned coordinators say; nil = silence
}

// Check says what is wrong with the options, before anything is done.
func (o Options) Check() error { return o.complete() }

// complete fills in defaults and refuses what is out of bounds.
func (o *Options) complete() error {
	for _, n := range []struct {
		flag  string
		value *int
		def   int
		max   int
	}{
		{"spawn", &o.Spawn, 0, 16},
		{"workers", &o.Workers, 0, MaxWorkers},
		{"places", &o.Places, 8, signal.MaxRooms},
		{"total", &o.Total, 0, MaxWorkers * signal.MaxRooms},
		{"libraries", &o.Libraries, 1, 256},
		{"zones", &o.Zones, 0, signal.MaxZones},
		{"browsers", &o.Browsers, 0, MaxBrowsers},
		{"starts", &o.Starts, 0, MaxStarts},
		{"media", &o.Media, 0, MaxMedia},
	} {
		if *n.value < 0 || *n.value > n.max {
			return fmt.Errorf("--%s is %d; 0 to %d are possible", n.flag, *n.value, n.max)
		}
		if *n.value == 0 {
			*n.value = n.def
		}
	}
	for _, d := range []struct {
		flag  string
		value *time.Duration
		def   time.Duration
	}{
		{"hold", &o.Hold, 2 * time.Second},
		{"ramp", &o.Ramp, 5 * time.Second},
		{"calm", &o.Calm, 3 * time.Second},
		{"duration", &o.Duration, 5 * time.Minute},
	} {
		if *d.value < 0 || *d.value > MaxTime {
			return fmt.Errorf("--%s is %v; at most %v is possible", d.flag, *d.value, MaxTime)
		}
		if *d.value == 0 {
			*d.value = d.def
		}
	}
	return o.complement()
}

// complement is the part of complete that is no simple bound.
func (o *Options) complement() error {
	switch {
	case !(o.Rate >= 0 && o.Rate <= MaxRate):
		return fmt.Errorf("--rate is %v; 0 to %d a second are possible", o.Rate, MaxRate)
	case o.Total > 0 && o.Workers == 0, o.Total > o.Workers*signal.MaxRooms:
		return fmt.Errorf("%d workers cannot have %d places in all", o.Workers, o.Total)
	case o.Spawn > 0 && len(o.Coordinators) > 0:
		return errors.New("--coordinators or --spawn, not both")
	case o.Spawn == 0 && len(o.Coordinators) == 0:
		return errors.New("where to? Name --coordinators host:port,..., or have some started by --spawn 1")
	case o.Workers > 0 && o.Secret == "" && o.Spawn == 0:
		return errors.New("simulated workers need the coordinators' secrets.worker: --secret, or the same configuration")
	case o.Workers == 0 && o.Game == "" && o.Starts > 0:
		return errors.New("without simulated workers, --game says which game of the real ones is started")
	case o.Workers == 0 && o.Media < o.Starts:
		return errors.New("real workers take no pages without media: --media must be as high as --starts")
	}
	if o.Game == "" {
		o.Game = ourGame
	}
	if o.Name == "" {
		o.Name = fmt.Sprintf("%d browsers, %d workers, %d starts at %v/s", o.Browsers, o.Workers, o.Starts, o.Rate)
	}
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// placesOf is how many places the n-th worker has.
func (o *Options) placesOf(n int) int {
	if o.Total == 0 {
		return o.Places
	}
	places := o.Total / o.Workers
	if n < o.Total%o.Workers {
		places++
	}
	return places
}

// allPlaces are those of all workers.
func (o *Options) allPlaces() int {
	if o.Total > 0 {
		return o.Total
	}
	return o.Workers * o.Places
}

// sockets is how many of them the run has open at once, at the most. Pages that
// come at a rate are counted for as long as they play, and some seconds.
func (o *Options) sockets() int {
	players := o.Starts
	if o.Rate > 0 {
		players = min(players, int(o.Rate*(1.5*o.Hold.Seconds()+2))+1)
	}
	return o.Browsers + players + o.Workers*max(1, len(o.Coordinators), o.Spawn) + 4*o.Media + 200
}
