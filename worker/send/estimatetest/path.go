// Package estimatetest simulates the way to a browser and the browser's transport
// feedback, on a virtual clock.
package estimatetest

import (
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
)

// Path is a link with a queue, and a receiver behind it.
// The zero value carries anything at once. Fields may be changed at any time.
type Path struct {
	Rate   int64         // bit/s; 0 = any
	Queue  time.Duration // longest wait for the link: what would wait longer is lost; 0 = any
	Delay  time.Duration // in each direction
	Jitter time.Duration // added to Delay, up to that much, at random; packets stay in order
	Loss   float64       // share of packets lost at random
	// Read is when the receiver reads what arrives then; nil = at once.
	Read func(arrives time.Duration) time.Duration
	// Mute loses that share of the feedback.
	Mute float64
	// Ahead is by how much the receiver's clock is ahead of ours.
	Ahead time.Duration
	// SSRC is the media source that feedback names.
	SSRC uint32

	Sent, Lost int // packets so far

	random  *rand.Rand
	free    time.Duration // when the link has sent what waits
	last    time.Duration // arrival
	packets []arrival     // not yet reported
	count   uint8
}

type arrival struct {
	number uint16
	at     time.Duration // by our clock; 0 = lost
}

// Send takes a packet with a transport-wide number on its way, and says whether
// it arrives.
func (p *Path) Send(number uint16, size int, now time.Duration) bool {
	if p.random == nil {
		p.random = rand.New(rand.NewPCG(1, 2))
	}
	p.Sent++
	p.free = max(p.free, now)
	if p.Queue > 0 && p.free-now > p.Queue || p.random.Float64() < p.Loss {
		p.Lost++
		p.packets = append(p.packets, arrival{number: number})
		return false
	}
	if p.Rate > 0 {
		p.free += time.Duration(int64(size) * 8 * int64(time.Second) / p.Rate)
	}
	at := p.free + p.Delay
	if p.Jitter > 0 {
		at += time.Duration(p.random.Int64N(int64(p.Jitter)))
	}
	if p.Read != nil {
		at = p.Read(at)
	}
	p.last = max(p.last, at)
	p.packets = append(p.packets, arrival{number, p.last})
	return true
}

// Report is the transport feedback that arrives now: of all packets up to the
// newest that had arrived when it was sent, as one RTCP packet; nil if there is
// none or it was lost.
func (p *Path) Report(now time.Duration) []byte {
	n := 0
	for i, a := range p.packets {
		if a.at > 0 && a.at <= now-p.Delay {
			n = i + 1
		}
	}
	if n == 0 {
		return nil
	}
	told := p.packets[:n]
	p.packets = p.packets[n:]
	p.count++
	if p.random.Float64() < p.Mute {
		return nil
	}
	return p.marshal(told)
}

func (p *Path) marshal(told []arrival) []byte {
	m := &rtcp.TransportLayerCC{
		MediaSSRC: p.SSRC, BaseSequenceNumber: told[0].number, PacketStatusCount: uint16(len(told)), FbPktCount: p.count,
	}
	last := time.Duration(-1)
	for _, a := range told {
		symbol := uint16(rtcp.TypeTCCPacketNotReceived)
		if at := a.at + p.Ahead; a.at > 0 {
			if last < 0 {
				last = at.Truncate(64 * time.Millisecond)
				m.ReferenceTime = uint32(last/(64*time.Millisecond)) & 0xffffff
			}
			symbol = rtcp.TypeTCCPacketReceivedLargeDelta
			delta := (at - last).Truncate(250 * time.Microsecond)
			last += delta
			m.RecvDeltas = append(m.RecvDeltas, &rtcp.RecvDelta{Type: symbol, Delta: delta.Microseconds()})
		}
		m.PacketChunks = append(m.PacketChunks, &rtcp.RunLengthChunk{PacketStatusSymbol: symbol, RunLength: 1})
	}
	m.Header = rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: uint16(m.MarshalSize()/4 - 1)}
	b, err := m.Marshal()
	if err != nil {
		panic(err) // deltas of 8 s
	}
	return b
}
