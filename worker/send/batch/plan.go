package batch

import "net/netip"

// maxSegments is UDP_MAX_SEGMENTS of Linux before 6.9 (include/linux/udp.h); it
// has been 128 since, which 64 KiB hold only for datagrams under 512 bytes.
const maxSegments = 64

// payloadLimit returns the largest payload of one message: what a length field
// of 16 bits leaves after the IP and the UDP header. The kernel tests the whole
// of a segmented message against it, not only its datagrams.
func payloadLimit(local netip.Addr) int {
	if local.Is4() {
		return 65535 - 20 - 8
	}
	return 65535 - 40 - 8
}

// entry is one call of Add: datagrams of segment bytes back to back, the last
// one may be shorter, to one address.
type entry struct {
	to      destination
	packets []byte
	segment int
	tag     int
	single  bool // segmented messages of it were refused
}

// message is bytes [from:to] of one entry, sent as that many datagrams.
type message struct {
	entry, from, to, datagrams int
}

// cursor is the first byte that is not yet sent.
type cursor struct {
	entry, offset int
}

// plan fills messages with what comes at the cursor, in order, and returns how
// many it filled. No message is larger than limit or has more than 64 datagrams,
// and none begins or ends inside a datagram. It moves nothing: who sends advances
// the cursor past what was sent and plans again.
func plan(messages []message, entries []entry, at cursor, limit int, segmented bool) int {
	n := 0
	for ; at.entry < len(entries); at = (cursor{at.entry + 1, 0}) {
		e := &entries[at.entry]
		most := 1
		if segmented && !e.single {
			most = max(1, min(maxSegments, limit/e.segment))
		}
		for at.offset < len(e.packets) {
			if n == len(messages) {
				return n
			}
			to := min(at.offset+most*e.segment, len(e.packets))
			messages[n] = message{at.entry, at.offset, to, count(to-at.offset, e.segment)}
			at.offset = to
			n++
		}
	}
	return n
}

// count returns how many datagrams of segment bytes n bytes are.
func count(n, segment int) int { return (n + segment - 1) / segment }

// run is datagrams that can be one entry: bytes [from:to] of a buffer.
type run struct {
	from, to, segment int
	closed            bool // ended by a shorter datagram
}

// extend adds a datagram of n bytes that lies behind those of runs, to the last
// run if it has that size or ends it, else as a new one. Empty datagrams are no
// part of a run and must not be given.
func extend(runs []run, n int) []run {
	if len(runs) == 0 {
		return append(runs, run{0, n, n, false})
	}
	last := &runs[len(runs)-1]
	if last.closed || n > last.segment {
		return append(runs, run{last.to, last.to + n, n, false})
	}
	last.to += n
	last.closed = n < last.segment
	return runs
}
