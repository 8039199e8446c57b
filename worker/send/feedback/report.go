package feedback

import (
	"encoding/binary"
	"time"
)

// Report is what a receiver says about one stream (RFC 3550 section 6.4.1).
type Report struct {
	SSRC     uint32
	Fraction uint8  // lost since the last report, in 1/256
	Lost     int32  // lost since the beginning; negative with duplicates
	Highest  uint32 // the highest sequence number received, extended by its cycles
	Jitter   uint32 // in units of the stream's RTP clock
	LastSR   uint32 // middle 32 bits of the NTP time of the last sender report, 0 = none came
	Delay    uint32 // since that report came, in 1/65536 s
}

// RoundTrip is the round-trip time at the moment the report came, whose middle
// 32 bits of the NTP time, by the clock of the sender reports, are now. It is
// false when no sender report was answered, or the times contradict one another.
func (r Report) RoundTrip(now uint32) (time.Duration, bool) {
	trip := now - r.LastSR - r.Delay
	if r.LastSR == 0 || trip > 1<<31 {
		return 0, false
	}
	return time.Duration(trip) * time.Second >> 16, true
}

// Blocks walks over the report blocks of a Reports message.
type Blocks struct {
	rest []byte
}

// Blocks starts at the first report block; it is empty for other kinds.
func (m *Message) Blocks() Blocks {
	if m.Kind != Reports {
		return Blocks{}
	}
	return Blocks{rest: m.body}
}

// Next gives the next block.
func (b *Blocks) Next() (Report, bool) {
	if len(b.rest) < reportLen {
		return Report{}, false
	}
	p := b.rest[:reportLen]
	b.rest = b.rest[reportLen:]
	return Report{
		SSRC:     binary.BigEndian.Uint32(p),
		Fraction: p[4],
		Lost:     signed24(binary.BigEndian.Uint32(p[4:])),
		Highest:  binary.BigEndian.Uint32(p[8:]),
		Jitter:   binary.BigEndian.Uint32(p[12:]),
		LastSR:   binary.BigEndian.Uint32(p[16:]),
		Delay:    binary.BigEndian.Uint32(p[20:]),
	}, true
}

// signed24 is the low 24 bits as a two's complement number.
func signed24(word uint32) int32 { return int32(word<<8) >> 8 }
