package input

import "time"

// DeadMan is the silence after which everything is let go.
const DeadMan = 500 * time.Millisecond

// Keeper keeps the state of one browser's pad over lost, doubled, reordered
// and missing datagrams. The zero value has nothing held. It is not safe for
// concurrent use.
type Keeper struct {
	state   State
	seq     uint32
	started bool
	expired bool // the dead man let go; the same sequence number may press again
	last    time.Time
}

// Apply takes a datagram that arrived at now and calls set, in order, with
// each state that was not seen yet: a press whose datagram got lost is still
// delivered by the next one. Old datagrams change nothing; a repeated one says
// that the browser is alive. Sequence numbers are compared modulo 2^32 (RFC 1982).
func (k *Keeper) Apply(d *Datagram, now time.Time, set func(State)) {
	fresh := d.N
	if k.started {
		ahead := int32(d.Seq - k.seq)
		switch {
		case ahead < 0:
			return
		case ahead == 0 && k.expired:
			fresh = 1
		case int(ahead) < d.N:
			fresh = int(ahead)
		}
	}
	k.started, k.expired, k.seq, k.last = true, false, d.Seq, now
	for i := fresh - 1; i >= 0; i-- {
		k.state = d.States[i]
		set(k.state)
	}
}

// State is what is held now.
func (k *Keeper) State() State { return k.state }

// Deadline is when Expire will let go; false if nothing is held.
func (k *Keeper) Deadline() (time.Time, bool) {
	return k.last.Add(DeadMan), k.state.Held()
}

// Expire lets go of everything if the browser was silent for DeadMan, and says
// whether it did.
func (k *Keeper) Expire(now time.Time) bool {
	if at, held := k.Deadline(); !held || now.Before(at) {
		return false
	}
	k.Release()
	return true
}

// Release lets go of everything at once. What the browser still holds is
// pressed again by its next datagram, even by a repeated one.
func (k *Keeper) Release() { k.state, k.expired = State{}, true }
