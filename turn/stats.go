package turn

import "sync/atomic"

// Stats counts since the start of the gate, but for Allocations and Peers.
type Stats struct {
	Allocations int64 // that are open now
	Peers       int   // addresses of workers that are relayed to now

	RefusedMalformed  uint64 // requests with a username or realm that is none of ours
	RefusedExpired    uint64 // new allocations with a credential that has expired
	RefusedOwner      uint64 // requests for an allocation of another credential
	RefusedSecret     uint64 // requests whose integrity fits none of the secrets
	RefusedQuota      uint64 // allocations beyond MaxAllocations or MaxPerUser
	RefusedPermission uint64 // permissions for the address of no worker
	DroppedToPeer     uint64 // datagrams of clients to an address that is not allowed
	DroppedFromPeer   uint64 // datagrams of an address that is not allowed
}

// counters is Stats while it counts.
type counters struct {
	allocations atomic.Int64

	malformed, expired, owner, secret, quota, permission, toPeer, fromPeer atomic.Uint64
}

// Stats may be called at any time.
func (g *Gate) Stats() Stats {
	c := &g.counters
	return Stats{
		Allocations: c.allocations.Load(), Peers: g.peers.count(),
		RefusedMalformed: c.malformed.Load(), RefusedExpired: c.expired.Load(), RefusedOwner: c.owner.Load(),
		RefusedSecret: c.secret.Load(), RefusedQuota: c.quota.Load(), RefusedPermission: c.permission.Load(),
		DroppedToPeer: c.toPeer.Load(), DroppedFromPeer: c.fromPeer.Load(),
	}
}
