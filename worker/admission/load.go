package admission

import (
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Counts are the places of a desk.
type Counts struct {
	State    string // signal.StateReady, StateDraining or StateOverloaded
	Places   int
	Taken    int // by rooms; more than Places only if one was occupied without Return
	Held     int
	Standing int // requests
}

// Free is how many places are neither taken nor held.
func (c Counts) Free() int { return max(0, c.Places-c.Taken-c.Held) }

// Counts counts.
func (d *Desk[C]) Counts(now time.Time) Counts {
	c := Counts{State: signal.StateReady, Places: d.cfg.Places, Held: len(d.held), Standing: len(d.standing)}
	switch {
	case d.draining:
		c.State = signal.StateDraining
	case d.overloaded:
		c.State = signal.StateOverloaded
	}
	for _, r := range d.rooms {
		if r.counts(now) {
			c.Taken++
		}
	}
	return c
}

// Free is how many places are neither taken nor held.
func (d *Desk[C]) Free(now time.Time) int { return d.Counts(now).Free() }
