package relay

// Direction is which way data flows.
type Direction uint8

const (
	// Up is from the client to the peer.
	Up Direction = iota
	// Down is from the peer to the client.
	Down
	// Directions is their number, to size arrays.
	Directions
)

// String is "up" or "down".
func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Drop is why a packet was not relayed.
type Drop uint8

const (
	// DropMalformed is ChannelData whose length lies, or no TURN message at all.
	DropMalformed Drop = iota
	// DropUnbound is ChannelData of a channel that is not bound, or no longer.
	DropUnbound
	// DropPeer is a peer that Admission does not allow.
	DropPeer
	// DropBandwidth is over the bandwidth of the allocation or of all.
	DropBandwidth
	// DropQueue is a control message or indication that pion had no time for.
	DropQueue
	// DropSlow is a stream whose client does not read.
	DropSlow
	// DropSend is refused by the kernel: no buffer, no route.
	DropSend
	// Drops is their number, to size arrays.
	Drops
)

// String is a short lower-case name, fit for a metric's label.
func (d Drop) String() string {
	return [...]string{"malformed", "unbound", "peer", "bandwidth", "queue", "slow", "send", "?"}[min(d, Drops)]
}

// Stats are the counters of a listener.
type Stats struct {
	// Packets and Bytes (payload) relayed as ChannelData, by Direction.
	Packets, Bytes [Directions]uint64
	// Dropped packets by reason.
	Dropped [Drops]uint64
	// Overflow is what the kernel dropped because receive buffers of the
	// listener's sockets and of its open and closed allocations were full.
	Overflow uint64
	// Sends is the number of messages that Packets were given to the kernel
	// in, by Direction: Packets/Sends is the number of segments per send.
	Sends [Directions]uint64
	// Control messages that reached pion/turn.
	Control uint64
	// Allocations and Streams that are open now.
	Allocations, Streams int
	// GSO and GRO say whether segmentation and receive offload are in use.
	GSO, GRO bool
}

// AllocationStats are the counters of one allocation.
type AllocationStats struct {
	// Packets and Bytes (payload) relayed, indications included, by Direction.
	Packets, Bytes [Directions]uint64
	// Dropped is the sum of all reasons.
	Dropped uint64
}
