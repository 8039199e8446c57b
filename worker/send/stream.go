package send

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/history"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// How much of a stream can be sent again.
const (
	// defaultHistory is in bytes of video: 200 ms at 20 Mbit/s, many round trips,
	// and a second at 4 Mbit/s. The rings of 16 viewers fit the processor's cache;
	// with twice as much each packet costs a seventh more.
	defaultHistory = 512 << 10
	minHistory     = 256 << 10
	soundHistory   = 32 << 10 // bytes
	videoPackets   = 1024
	soundPackets   = 256
)

// stream is one of our streams to one browser. It belongs to the goroutine that
// takes its viewer's turns.
type stream struct {
	cfg      Stream
	head     header
	ring     *history.Ring
	sealer   *seal.Sealer // nil = packets stay plain, pion seals them
	overhead int
	index    uint64 // of the next packet: ROC<<16 | sequence number
	offset   uint32 // random start of the RTP time (RFC 3550, section 5.1)
	rtx      *retransmission
	write    Writer // of the fallback

	// For sender reports.
	packets, octets uint32
	time            uint32        // RTP time of the last unit
	pts             time.Duration // and its ideal time
	begun           bool

	resent [resentSlots]resent
}

// retransmission is the stream that lost packets of another are sent on.
type retransmission struct {
	head   header
	sealer *seal.Sealer
	index  uint64
}

// newStream makes a stream that seals with the path's keys, or, without, leaves
// that to pion. nil if the browser does not take it.
func newStream(cfg Stream, path *Path, bytes int) (*stream, error) {
	if cfg.Codec == 0 {
		return nil, nil
	}
	s := &stream{cfg: cfg, head: newHeader(cfg, cfg.SSRC, cfg.PayloadType), index: firstIndex(), offset: rand.Uint32()}
	slots := videoPackets
	if cfg.Codec == packetize.Opus {
		bytes, slots = soundHistory, soundPackets
		s.write = path.Audio
	} else {
		s.write = path.Video
	}
	s.ring = history.New(bytes, slots)
	if cfg.RTX.SSRC != 0 {
		s.rtx = &retransmission{head: newHeader(cfg, cfg.RTX.SSRC, cfg.RTX.PayloadType), index: firstIndex()}
	}
	if len(path.Key) == 0 {
		return s, nil
	}
	var err error
	if s.sealer, err = seal.New(path.Profile, path.Key, path.Salt, cfg.SSRC); err != nil {
		return nil, fmt.Errorf("make sealer: %w", err)
	}
	s.overhead = s.sealer.Overhead()
	if s.rtx == nil {
		return s, nil
	}
	if s.rtx.sealer, err = seal.New(path.Profile, path.Key, path.Salt, cfg.RTX.SSRC); err != nil {
		return nil, fmt.Errorf("make sealer of retransmissions: %w", err)
	}
	return s, nil
}

// firstIndex is a random start below 2^15, so that a receiver who misses the
// first packets cannot take the rollover counter wrong (RFC 3711, section 3.3.1).
func firstIndex() uint64 { return uint64(rand.Uint32N(1<<15-1)) + 1 }

// run is packets of one size, back to back in the ring.
type run struct {
	first, last uint64 // index
	n           int
	segment     int  // bytes of each but the last
	short       bool // the last one is shorter: the run is complete
}

// maxRun keeps a run within what the kernel segments in one call (UDP_MAX_SEGMENTS,
// include/linux/udp.h) and bounds what waits in the ring.
const maxRun = 64

func (r *run) takes(size int) bool {
	return r.n == 0 || !r.short && r.n < maxRun && size <= r.segment
}

func (r *run) add(index uint64, size int) {
	if r.n == 0 {
		r.first, r.segment = index, size
	}
	r.last, r.short = index, size < r.segment
	r.n++
}

// burst makes packets of the unit's payloads from..to and hands them on in runs.
// It reports false when a packet could not be made.
func (v *Viewer) burst(o *output, s *stream, u *unit, c *cut, from, to int) bool {
	s.head.stamp(o.now)
	s.time, s.pts, s.begun = u.time, u.pts, true
	var r run
	ok := true
	for i := from; i < to && ok; i++ {
		payload := c.frame.Payload(i)
		size := s.head.size + len(payload) + s.overhead
		packet, follows := s.ring.Reserve(size)
		if !follows || !r.takes(size) {
			v.hand(o, s, &r)
		}
		if ok = packet != nil; !ok {
			break
		}
		marker := u.marker && i == c.frame.Len()-1
		s.head.write(packet, uint16(s.index), u.time+s.offset, marker, v.number)
		if ok = v.protect(s, packet, payload); !ok {
			break
		}
		s.ring.Commit(s.index, size)
		v.numbered(o, s, size)
		r.add(s.index, size)
		s.index++
		s.packets++
		s.octets += uint32(len(payload))
	}
	v.hand(o, s, &r)
	return ok
}

// protect fills the packet behind its header.
func (v *Viewer) protect(s *stream, packet, payload []byte) bool {
	if s.sealer == nil {
		copy(packet[s.head.size:], payload)
		return true
	}
	if _, err := s.sealer.Seal(packet, s.head.size, payload, s.index); err != nil {
		v.bump(sealErrors, 1)
		return false
	}
	return true
}

// numbered notes that a packet with the viewer's next transport-wide number left.
func (v *Viewer) numbered(o *output, s *stream, size int) {
	v.pacer.Spent(size)
	if s.head.twcc != 0 {
		v.estimate.Sent(v.number, size, o.now)
		v.number++
	}
}

// hand gives a run to the socket, or packet by packet to pion, and empties it.
func (v *Viewer) hand(o *output, s *stream, r *run) {
	if r.n == 0 {
		return
	}
	bytes, ok := s.ring.Run(r.first, r.last)
	n, segment := r.n, r.segment
	*r = run{}
	if !ok {
		return // cannot be: output flushes long before the ring comes round
	}
	v.bump(packets, n)
	v.bump(octets, len(bytes))
	v.bump(bursts, 1)
	if s.sealer != nil {
		o.add(v, bytes, segment)
		return
	}
	for len(bytes) > 0 {
		k := min(segment, len(bytes))
		v.plain(s, bytes[:k])
		bytes = bytes[k:]
	}
}
