package feedback

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"github.com/pion/rtcp"
)

// ours lists what a Reader gives, one line per fact, in the words of theirs.
func ours(b []byte) (facts []string, err error) {
	r := Read(b)
	for r.Next() {
		m := r.Message
		switch m.Kind {
		case Reports:
			facts = append(facts, fmt.Sprintf("reports from %d", m.Sender))
			for blocks := m.Blocks(); ; {
				block, ok := blocks.Next()
				if !ok {
					break
				}
				facts = append(facts, fmt.Sprintf("report %d %d %d %d %d %d %d", block.SSRC, block.Fraction,
					uint32(block.Lost)&0xffffff, block.Highest, block.Jitter, block.LastSR, block.Delay))
			}
		case NACK:
			facts = append(facts, fmt.Sprintf("nack from %d of %d", m.Sender, m.Media))
			for lost := m.Lost(); ; {
				sequence, ok := lost.Next()
				if !ok {
					break
				}
				facts = append(facts, fmt.Sprint("lost ", sequence))
			}
		case PLI:
			facts = append(facts, fmt.Sprintf("pli from %d of %d", m.Sender, m.Media))
		case FIR:
			facts = append(facts, fmt.Sprintf("fir from %d", m.Sender))
			for entries := m.body; len(entries) > 0; entries = entries[firLen:] {
				ssrc := binary.BigEndian.Uint32(entries)
				number, ok := m.Refresh(ssrc)
				facts = append(facts, fmt.Sprint("refresh ", ssrc, number, ok, m.Concerns(ssrc)))
			}
		case REMB:
			facts = append(facts, fmt.Sprintf("remb from %d: %d", m.Sender, m.Bitrate()))
		case ReferenceTime:
			facts = append(facts, fmt.Sprintf("time of %d: %x", m.Sender, m.ReferenceTime()))
		case TransportCC:
			facts = append(facts, ourArrivals(m)...)
		}
	}
	return facts, r.Err()
}

func ourArrivals(m Message) []string {
	facts := []string{fmt.Sprintf("cc from %d of %d: %d packets, number %d", m.Sender, m.Media, m.Count(), m.Feedback())}
	for arrivals := m.Arrivals(); ; {
		a, ok := arrivals.Next()
		if !ok {
			return facts
		}
		facts = append(facts, fmt.Sprint("arrival ", a.Sequence, a.Received, a.Timed, a.At.Microseconds()))
	}
}

// theirs is the same from what pion parsed.
func theirs(packets []rtcp.Packet) (facts []string) {
	reports := func(sender uint32, blocks []rtcp.ReceptionReport) {
		facts = append(facts, fmt.Sprintf("reports from %d", sender))
		for _, b := range blocks {
			facts = append(facts, fmt.Sprintf("report %d %d %d %d %d %d %d", b.SSRC, b.FractionLost, b.TotalLost,
				b.LastSequenceNumber, b.Jitter, b.LastSenderReport, b.Delay))
		}
	}
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			reports(p.SSRC, p.Reports)
		case *rtcp.ReceiverReport:
			reports(p.SSRC, p.Reports)
		case *rtcp.TransportLayerNack:
			facts = append(facts, fmt.Sprintf("nack from %d of %d", p.SenderSSRC, p.MediaSSRC))
			for _, pair := range p.Nacks {
				for _, sequence := range pair.PacketList() {
					facts = append(facts, fmt.Sprint("lost ", sequence))
				}
			}
		case *rtcp.PictureLossIndication:
			facts = append(facts, fmt.Sprintf("pli from %d of %d", p.SenderSSRC, p.MediaSSRC))
		case *rtcp.FullIntraRequest:
			facts = append(facts, fmt.Sprintf("fir from %d", p.SenderSSRC))
			first := map[uint32]uint8{}
			for _, e := range p.FIR {
				if _, ok := first[e.SSRC]; !ok {
					first[e.SSRC] = e.SequenceNumber
				}
				facts = append(facts, fmt.Sprint("refresh ", e.SSRC, first[e.SSRC], true, true))
			}
		case *rtcp.ReceiverEstimatedMaximumBitrate:
			rate := uint64(math.MaxUint64)
			if p.Bitrate < 1<<64 {
				rate = uint64(p.Bitrate)
			}
			facts = append(facts, fmt.Sprintf("remb from %d: %d", p.SenderSSRC, rate))
		case *rtcp.ExtendedReport:
			for _, block := range p.Reports {
				if b, ok := block.(*rtcp.ReceiverReferenceTimeReportBlock); ok {
					facts = append(facts, fmt.Sprintf("time of %d: %x", p.SenderSSRC, uint32(b.NTPTimestamp>>16)))
					break
				}
			}
		case *rtcp.TransportLayerCC:
			facts = append(facts, theirArrivals(p)...)
		}
	}
	return facts
}

func theirArrivals(p *rtcp.TransportLayerCC) []string {
	facts := []string{fmt.Sprintf("cc from %d of %d: %d packets, number %d", p.SenderSSRC, p.MediaSSRC, p.PacketStatusCount, p.FbPktCount)}
	var symbols []uint16
	for _, chunk := range p.PacketChunks {
		switch chunk := chunk.(type) {
		case *rtcp.RunLengthChunk:
			for range chunk.RunLength {
				symbols = append(symbols, chunk.PacketStatusSymbol)
			}
		case *rtcp.StatusVectorChunk:
			symbols = append(symbols, chunk.SymbolList...)
		}
	}
	at, deltas := int64(int32(p.ReferenceTime<<8)>>8)*64_000, p.RecvDeltas
	for i, symbol := range symbols[:p.PacketStatusCount] {
		sequence := p.BaseSequenceNumber + uint16(i)
		if symbol != rtcp.TypeTCCPacketReceivedSmallDelta && symbol != rtcp.TypeTCCPacketReceivedLargeDelta {
			facts = append(facts, fmt.Sprint("arrival ", sequence, symbol != 0, false, 0))
			continue
		}
		at += deltas[0].Delta
		deltas = deltas[1:]
		facts = append(facts, fmt.Sprint("arrival ", sequence, true, true, at))
	}
	return facts
}

// excused says why a packet that pion takes may be refused, or read otherwise,
// by us; "" when there is no reason. Only these are known:
//
//   - padding: pion takes it for content in NACK, FIR, reports and transport
//     feedback, and does not check its length. Here it is cut off first, as RFC
//     3550 section 6.4.1 has it, and a length of 0 or over the packet is malformed.
//   - sequence numbers: pion expands any number of them, we bound the work.
//   - REMB: a mantissa of 0 is 2^(exponent+23) in pion, and 0 here.
func excused(b []byte) string {
	sequences := 0
	for len(b) >= headerLen {
		size := headerLen + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			return ""
		}
		kind, format := b[1], b[0]&0x1f
		switch {
		case b[0]&0x20 != 0:
			return "padding"
		case kind == typeTransport && format == formatNACK:
			sequences += (size - 12) / pairLen * pairMax
		case kind == typeTransport && format == formatTransportCC && size >= 20:
			sequences += int(binary.BigEndian.Uint16(b[14:]))
		case kind == typePayload && format == formatApplication && size >= 20:
			if binary.BigEndian.Uint32(b[16:])&0x3ffff == 0 {
				return "REMB of 0"
			}
		}
		if sequences > MaxSequences {
			return "too many sequence numbers"
		}
		b = b[size:]
	}
	return ""
}

// check compares a compound packet with what pion makes of it.
func check(t *testing.T, b []byte) {
	t.Helper()
	got, err := ours(b)
	packets, pionErr := rtcp.Unmarshal(b)
	if pionErr != nil || excused(b) != "" {
		return // pion may refuse more: packets that are passed over here, and rules that nobody keeps
	}
	if err != nil {
		t.Fatalf("refused: %v; pion reads %v", err, packets)
	}
	want := theirs(packets)
	if len(got) != len(want) {
		t.Fatalf("%d facts, pion has %d\n%q\n%q", len(got), len(want), got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("fact %d: %s, pion: %s", i, got[i], want[i])
		}
	}
}

// FuzzRead reads anything without a panic and within the bound, and what pion
// takes it takes and reads the same.
func FuzzRead(f *testing.F) {
	for _, packets := range samples() {
		b, err := rtcp.Marshal(packets)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{})
	f.Add(flood())
	f.Fuzz(func(t *testing.T, b []byte) {
		check(t, b)
		if len(b) > 0 {
			b[0] = b[0]&0x1f | 0x80 // no padding: the rest of pion's reading can be compared more often
			check(t, b)
		}
	})
}

func TestSamplesAsPion(t *testing.T) {
	for name, packets := range samples() {
		t.Run(name, func(t *testing.T) {
			b, err := rtcp.Marshal(packets)
			if err != nil {
				t.Fatal(err)
			}
			if reason := excused(b); reason != "" {
				t.Fatalf("the sample is excused: %s", reason)
			}
			check(t, b)
			for n := range b { // pion takes no cut one, nor do we
				if _, err := ours(b[:n]); err == nil && whole(b[:n]) == 0 {
					t.Fatalf("%d of %d bytes are taken", n, len(b))
				}
			}
		})
	}
}

// whole counts the RTCP packets that b is cut into without a rest; 0 = there is
// a rest.
func whole(b []byte) (packets int) {
	for len(b) >= headerLen {
		size := headerLen + 4*int(binary.BigEndian.Uint16(b[2:]))
		if size > len(b) {
			return 0
		}
		b = b[size:]
		packets++
	}
	if len(b) > 0 {
		return 0
	}
	return packets
}

// samples are compound packets as receivers send them, made by pion.
func samples() map[string][]rtcp.Packet {
	report := rtcp.ReceptionReport{
		SSRC: 7, FractionLost: 12, TotalLost: 0xfffffe, LastSequenceNumber: 0x10ffff, Jitter: 90, LastSenderReport: 0x12345678, Delay: 0x8000,
	}
	return map[string][]rtcp.Packet{
		"empty RR": {&rtcp.ReceiverReport{SSRC: 1}},
		"RR and PLI": {
			&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{report, {SSRC: 8}}},
			&rtcp.PictureLossIndication{SenderSSRC: 1, MediaSSRC: 7},
		},
		"RR with extensions": {&rtcp.ReceiverReport{SSRC: 1, Reports: []rtcp.ReceptionReport{report}, ProfileExtensions: []byte{1, 2, 3, 4}}},
		"SR, SDES, BYE": {
			&rtcp.SenderReport{SSRC: 1, NTPTime: 3, RTPTime: 4, PacketCount: 5, OctetCount: 6, Reports: []rtcp.ReceptionReport{report}},
			rtcp.NewCNAMESourceDescription(1, "a viewer"),
			&rtcp.Goodbye{Sources: []uint32{1}},
		},
		"NACK": {&rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: 7, Nacks: []rtcp.NackPair{
			{PacketID: 65530, LostPackets: 0xffff}, {PacketID: 20}, {PacketID: 100, LostPackets: 0x8001},
		}}},
		"XR": {&rtcp.ReceiverReport{SSRC: 1}, &rtcp.ExtendedReport{SenderSSRC: 1, Reports: []rtcp.ReportBlock{
			&rtcp.UnknownReportBlock{XRHeader: rtcp.XRHeader{BlockType: 200}, Bytes: []byte{1, 2, 3, 4}},
			&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 0x1111_2222_3333_4444},
		}}},
		"FIR":  {&rtcp.FullIntraRequest{SenderSSRC: 1, FIR: []rtcp.FIREntry{{SSRC: 7, SequenceNumber: 3}, {SSRC: 8, SequenceNumber: 255}}}},
		"REMB": {&rtcp.ReceiverEstimatedMaximumBitrate{SenderSSRC: 1, Bitrate: 20_000_000, SSRCs: []uint32{7, 8}}},
		"transport feedback": {&rtcp.TransportLayerCC{
			Header:     rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 10},
			SenderSSRC: 1, MediaSSRC: 7, BaseSequenceNumber: 65534, PacketStatusCount: 20, ReferenceTime: 0xfffff0, FbPktCount: 9,
			PacketChunks: []rtcp.PacketStatusChunk{
				&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 4},
				&rtcp.StatusVectorChunk{Type: 1, SymbolSize: 1, SymbolList: []uint16{0, 1, 2, 3, 0, 2, 1}},
				&rtcp.RunLengthChunk{RunLength: 4},
				&rtcp.StatusVectorChunk{Type: 1, SymbolList: []uint16{1, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
			},
			RecvDeltas: []*rtcp.RecvDelta{
				{Type: 1, Delta: 250},
				{Type: 1, Delta: 0},
				{Type: 1, Delta: 63750},
				{Type: 1, Delta: 1000},
				{Type: 1, Delta: 500},
				{Type: 2, Delta: -8192000},
				{Type: 2, Delta: 8191750},
				{Type: 1, Delta: 750},
				{Type: 1, Delta: 250},
				{Type: 1, Delta: 250},
				{Type: 1, Delta: 250},
			},
		}},
	}
}

// flood is sixty transport feedback messages of 24 bytes, each for 65535
// packets.
func flood() (b []byte) {
	for range 60 {
		message := make([]byte, 36)
		copy(message, []byte{0x8f, typeTransport, 0, 8})
		binary.BigEndian.PutUint16(message[14:], 65535)
		for i := 20; i < 36; i += 2 {
			binary.BigEndian.PutUint16(message[i:], 0x1fff)
		}
		b = append(b, message...)
	}
	return b
}
