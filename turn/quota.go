package turn

import (
	"net/netip"
	"sync"
)

// quota counts open allocations: in all, of each credential and of each
// client's network. Its methods may be called concurrently.
type quota struct {
	mu sync.Mutex

	max, perUser, perNetwork int // 0 = no bound

	all      int
	users    map[string]int
	networks map[netip.Addr]int
}

func newQuota(maximum, perUser, perNetwork int) *quota {
	return &quota{
		max: maximum, perUser: perUser, perNetwork: perNetwork,
		users: map[string]int{}, networks: map[netip.Addr]int{},
	}
}

// limit takes other bounds; what is open stays.
func (q *quota) limit(maximum, perUser, perNetwork int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.max, q.perUser, q.perNetwork = maximum, perUser, perNetwork
}

// refuses says why one more allocation would be too many, passed if it would not.
func (q *quota) refuses(who account, client netip.Addr) Refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.check(who, networkOf(client))
}

func (q *quota) check(who account, network netip.Addr) Refusal {
	switch {
	case !who.shared && q.perUser > 0 && q.users[who.name] >= q.perUser:
		return RefusedUserQuota
	case q.perNetwork > 0 && q.networks[network] >= q.perNetwork:
		return RefusedAddressQuota
	case q.max > 0 && q.all >= q.max:
		return RefusedCapacity
	}
	return passed
}

// reserve counts an allocation in, unless it is one too many. Each success is
// undone by one call of release.
func (q *quota) reserve(who account, client netip.Addr) Refusal {
	q.mu.Lock()
	defer q.mu.Unlock()
	network := networkOf(client)
	if why := q.check(who, network); why != passed {
		return why
	}
	q.all++
	q.users[who.name]++
	q.networks[network]++
	return passed
}

// release counts an allocation out.
func (q *quota) release(who account, client netip.Addr) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.all--
	decrease(q.users, who.name)
	decrease(q.networks, networkOf(client))
}

// count is the number of open allocations.
func (q *quota) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all
}

// decrease counts key down and forgets it at zero.
func decrease[K comparable](m map[K]int, key K) {
	if m[key]--; m[key] <= 0 {
		delete(m, key)
	}
}
