package relay

import (
	"sync/atomic"
	"time"
)

// Lifetimes on this side, the same as pion/turn's.
const (
	channelLifetime    = 10 * time.Minute // RFC 8656 12
	permissionLifetime = 5 * time.Minute  // RFC 8656 9
)

// verdictLife is how long an answer of Admission is kept at most.
const verdictLife = time.Second

// channelKey finds a binding by what a client sends.
type channelKey struct {
	client  endpoint
	channel uint16
}

// binding ties a channel of an allocation to a peer (RFC 8656 12). All but the
// atomics is immutable.
type binding struct {
	allocation *Allocation
	channel    uint16
	peer       endpoint

	until     atomic.Int64 // the channel expires, in Relay.now
	permitted atomic.Int64 // the permission expires, in Relay.now
	verdict   atomic.Uint64
}

// refresh starts both lifetimes anew: a ChannelBind installs a permission, too
// (RFC 8656 12).
func (b *binding) refresh(now int64) {
	b.until.Store(now + int64(channelLifetime))
	b.permit(now)
}

// permit starts the permission's lifetime anew.
func (b *binding) permit(now int64) { b.permitted.Store(now + int64(permissionLifetime)) }

// live says whether channel and permission are in force.
func (b *binding) live(now int64) bool {
	return now < b.until.Load() && now < b.permitted.Load()
}

// expired says whether the channel may be bound to something else.
func (b *binding) expired(now int64) bool { return now >= b.until.Load() }

// admitted says whether Admission allows the peer. Its last answer, when that
// ends and its generation are one word, so that threads which ask at the same
// time cannot mix theirs: 24 bits of generation, 39 of milliseconds, 1 of answer.
func (b *binding) admitted(now int64) bool {
	admission := b.allocation.listener.relay.cfg.Admission
	generation := admission.Generation()
	word, millis := b.verdict.Load(), uint64(now/int64(time.Millisecond))
	const timeMask = 1<<39 - 1
	if word>>40 == generation&(1<<24-1) && millis < word>>1&timeMask {
		return word&1 == 1
	}
	until := millis + uint64(verdictLife/time.Millisecond)
	word = generation<<40 | (until&timeMask)<<1
	allowed := admission.Allows(b.allocation.client.addrPort(), b.peer.addrPort())
	if allowed {
		word |= 1
	}
	b.verdict.Store(word)
	return allowed
}
