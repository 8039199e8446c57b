package feedback

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func marshal(t testing.TB, packets ...rtcp.Packet) []byte {
	t.Helper()
	b, err := rtcp.Marshal(packets)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func kinds(b []byte) (kinds []Kind, err error) {
	r := Read(b)
	for r.Next() {
		kinds = append(kinds, r.Message.Kind)
	}
	return kinds, r.Err()
}

// only reads a packet with one message.
func only(t testing.TB, b []byte) Message {
	t.Helper()
	r := Read(b)
	if !r.Next() {
		t.Fatalf("no message: %v", r.Err())
	}
	m := r.Message
	if r.Next() || r.Err() != nil {
		t.Fatalf("not one message: %v", r.Err())
	}
	return m
}

const pli = "81ce0002 00000001 00000007"

func TestRead(t *testing.T) {
	tests := []struct {
		name  string
		bytes string
		want  []Kind
		err   error
	}{
		{"nothing", "", nil, ErrMalformed},
		{"cut header", "81ce00", nil, ErrMalformed},
		{"version 1", "41ce0002 00000001 00000007", nil, ErrMalformed},
		{"length past the end", "81ce0003 00000001 00000007", nil, ErrMalformed},
		{"PLI", pli, []Kind{PLI}, nil},
		{"PLI with content", "81ce0003 00000001 00000007 deadbeef", []Kind{PLI}, nil},
		{"PLI without media", "81ce0001 00000001", nil, ErrMalformed},
		{"two", pli + pli, []Kind{PLI, PLI}, nil},
		{"a good one before a bad one", pli + "81ce00", []Kind{PLI}, ErrMalformed},
		{"a good one behind a bad one", "81ce0001 00000001" + pli, nil, ErrMalformed},
		{"unknown type", "80d30000" + pli, []Kind{PLI}, nil},
		{"unknown transport format", "9fcd0000" + pli, []Kind{PLI}, nil},
		{"unknown payload format", "9fce0001 00000001" + pli, []Kind{PLI}, nil},
		{"APP, BYE and XR", "80cc0002 00000001 41424344 81cb0001 00000001 80cf0001 00000001" + pli, []Kind{PLI}, nil},
		{"XR without sender", "80cf0000", nil, ErrMalformed},
		{"reference time", "80cf0004 00000001 04000002 11112222 33334444", []Kind{ReferenceTime}, nil},
		{"reference time behind another block", "80cf0006 00000001 09000001 deadbeef 04000002 11112222 33334444", []Kind{ReferenceTime}, nil},
		{"reference time that is cut", "80cf0003 00000001 04000002 11112222", nil, nil},
		{"reference time that is too short", "80cf0004 00000001 04000001 11112222 33334444", nil, nil},
		{"block beyond the packet", "80cf0004 00000001 0900ffff 11112222 33334444" + pli, []Kind{PLI}, nil},
		{"RR", "80c90001 00000001", []Kind{Reports}, nil},
		{"RR without sender", "80c90000", nil, ErrMalformed},
		{"RR with a block too few", "81c90001 00000001", nil, ErrMalformed},
		{"SR without sender info", "80c80001 00000001", nil, ErrMalformed},
		{"NACK without pairs", "81cd0002 00000001 00000007", nil, ErrMalformed},
		{"FIR without entries", "84ce0002 00000001 00000000", nil, ErrMalformed},
		{"FIR with half an entry", "84ce0003 00000001 00000000 00000007", nil, ErrMalformed},
		{"another AFB", "8fce0003 00000001 00000000 474f4f47", nil, nil},
		{"empty AFB", "8fce0002 00000001 00000000", nil, nil},
		{"REMB without bitrate", "8fce0003 00000001 00000000 52454d42", nil, ErrMalformed},
		{"REMB with an SSRC too few", "8fce0004 00000001 00000000 52454d42 01000001", nil, ErrMalformed},
		{"padding", "a1ce0003 00000001 00000007 00000004", []Kind{PLI}, nil},
		{"padding not of words", "a1cd0004 00000001 00000007 00050000 00000003", nil, ErrMalformed},
		{"padding of 0", "a1ce0003 00000001 00000007 00000000", nil, ErrMalformed},
		{"padding over the packet", "a1ce0003 00000001 00000007 0000000d", nil, ErrMalformed},
		{"padding and no body", "a1ce0000", nil, ErrMalformed},
		{"padding eats the SSRC", "a1ce0003 00000001 00000007 00000008", nil, ErrMalformed},
		{"feedback without count", "8fcd0003 00000001 00000007 00000000", nil, ErrMalformed},
		{"feedback of nothing", "8fcd0004 00000001 00000007 00000000 00000000", []Kind{TransportCC}, nil},
		{"feedback without chunk", "8fcd0004 00000001 00000007 00000001 00000000", nil, ErrMalformed},
		{"feedback without its last chunk", "8fcd0005 00000001 00000007 00000003 00000000 00010001", nil, ErrMalformed},
		{"feedback of empty runs", "8fcd0005 00000001 00000007 00000001 00000000 00002000", nil, ErrMalformed},
		{"feedback without deltas", "8fcd0005 00000001 00000007 00000003 00000000 20030101", nil, ErrMalformed},
		{"feedback with half a delta", "8fcd0005 00000001 00000007 00000002 00000000 d8000101", nil, ErrMalformed},
		{"feedback whose delta is padding", "afcd0005 00000001 00000007 00000002 00000000 20020101", nil, ErrMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := kinds(unhex(t, test.bytes))
			if !slices.Equal(got, test.want) || !errors.Is(err, test.err) {
				t.Fatalf("got %v, %v, want %v, %v", got, err, test.want, test.err)
			}
		})
	}
}

// The work that one compound packet asks for is bounded, whatever it is made of.
func TestTooMany(t *testing.T) {
	if got, err := kinds(flood()); len(got) != 0 || !errors.Is(err, ErrTooMany) {
		t.Errorf("transport feedback: %v, %v", got, err)
	}
	nack := &rtcp.TransportLayerNack{Nacks: make([]rtcp.NackPair, 200)}
	many := marshal(t, nack, nack, nack, nack, nack, nack)
	if got, err := kinds(many); len(got) != MaxSequences/(200*pairMax) || !errors.Is(err, ErrTooMany) {
		t.Errorf("NACK: %d messages, %v", len(got), err)
	}
	for count, want := range map[uint16]error{MaxSequences: nil, MaxSequences + 1: ErrTooMany} {
		b := unhex(t, "8fcd0006 00000001 00000007 00000000 00000000 1fff1fff 1fff0000")
		binary.BigEndian.PutUint16(b[14:], count)
		if _, err := kinds(b); !errors.Is(err, want) {
			t.Errorf("%d packets: %v", count, err)
		}
	}
}

func TestReferenceTime(t *testing.T) {
	m := only(t, marshal(t, &rtcp.ExtendedReport{SenderSSRC: 5, Reports: []rtcp.ReportBlock{
		&rtcp.DLRRReportBlock{Reports: []rtcp.DLRRReport{{SSRC: 1, LastRR: 2, DLRR: 3}}},
		&rtcp.ReceiverReferenceTimeReportBlock{NTPTimestamp: 0x1111_2222_3333_4444},
	}}))
	if m.Kind != ReferenceTime || m.Sender != 5 || m.ReferenceTime() != 0x2222_3333 {
		t.Errorf("%+v, time %x", m, m.ReferenceTime())
	}
	if !m.Concerns(7) || (&Message{}).ReferenceTime() != 0 {
		t.Error("it concerns every stream, and others have no time")
	}
}

func TestLost(t *testing.T) {
	m := only(t, marshal(t, &rtcp.TransportLayerNack{SenderSSRC: 1, MediaSSRC: 7, Nacks: []rtcp.NackPair{
		{PacketID: 65534, LostPackets: 0x8005}, {PacketID: 40}, {PacketID: 40, LostPackets: 0x4000},
	}}))
	var got []uint16
	lost := m.Lost()
	for sequence, ok := lost.Next(); ok; sequence, ok = lost.Next() {
		got = append(got, sequence)
	}
	if want := []uint16{65534, 65535, 1, 14, 40, 40, 55}; !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	if m.Sender != 1 || m.Media != 7 {
		t.Errorf("from %d of %d", m.Sender, m.Media)
	}
}

func TestConcerns(t *testing.T) {
	block := rtcp.ReceptionReport{SSRC: 7}
	tests := []struct {
		name     string
		packet   rtcp.Packet
		concerns bool // 7; none is about 9
	}{
		{"NACK", &rtcp.TransportLayerNack{MediaSSRC: 7, Nacks: []rtcp.NackPair{{PacketID: 9}}}, true},
		{"NACK from it", &rtcp.TransportLayerNack{SenderSSRC: 7, Nacks: []rtcp.NackPair{{}}}, false},
		{"PLI", &rtcp.PictureLossIndication{MediaSSRC: 7}, true},
		{"FIR", &rtcp.FullIntraRequest{FIR: []rtcp.FIREntry{{SSRC: 1}, {SSRC: 7}}}, true},
		{"FIR in the header", &rtcp.FullIntraRequest{MediaSSRC: 7, FIR: []rtcp.FIREntry{{SSRC: 1}}}, false},
		{"RR", &rtcp.ReceiverReport{Reports: []rtcp.ReceptionReport{{SSRC: 1}, block}}, true},
		{"RR from it", &rtcp.ReceiverReport{SSRC: 7}, false},
		{"SR", &rtcp.SenderReport{Reports: []rtcp.ReceptionReport{block}}, true},
		{"REMB", &rtcp.ReceiverEstimatedMaximumBitrate{SSRCs: []uint32{1, 7}}, true},
		{"REMB of none", &rtcp.ReceiverEstimatedMaximumBitrate{}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := only(t, marshal(t, test.packet))
			if m.Concerns(7) != test.concerns || m.Concerns(9) {
				t.Fatalf("concerns 7: %v, 9: %v", m.Concerns(7), m.Concerns(9))
			}
		})
	}
	feedback := only(t, unhex(t, "8fcd0004 00000001 00000007 00000000 00000000"))
	if !feedback.Concerns(9) || (&Message{}).Concerns(0) {
		t.Error("transport feedback concerns every stream, an empty message none")
	}
}

// What belongs to another kind is empty, not wrong.
func TestOtherKinds(t *testing.T) {
	for _, kind := range []Kind{0, Reports, NACK, PLI, FIR, REMB, TransportCC} {
		m := Message{Kind: kind}
		if kind == PLI || kind == 0 {
			m.body = unhex(t, "00000007 00000007 00000007")
		}
		lost, blocks, arrivals := Lost{}, Blocks{}, Arrivals{}
		if kind != NACK {
			lost = m.Lost()
		}
		if kind != Reports {
			blocks = m.Blocks()
		}
		if kind != TransportCC {
			arrivals = m.Arrivals()
			if m.Count() != 0 || m.Feedback() != 0 {
				t.Errorf("kind %d has a count", kind)
			}
		}
		_, a := lost.Next()
		_, b := blocks.Next()
		_, c := arrivals.Next()
		_, d := m.Refresh(7)
		if a || b || c || d || kind != REMB && m.Bitrate() != 0 {
			t.Errorf("kind %d is read as another", kind)
		}
	}
}

func TestBitrate(t *testing.T) {
	tests := []struct {
		word string
		want uint64
	}{
		{"00000000", 0},
		{"00000001", 1},
		{"0003ffff", 262143},
		{"00040001", 2},
		{"00fc0000", 0},
		{"00b80001", 1 << 46},
		{"00fc0001", 1 << 63},
		{"00fc0002", 1<<64 - 1},
		{"00ffffff", 1<<64 - 1},
	}
	for _, test := range tests {
		m := only(t, unhex(t, "8fce0004 00000001 00000000 52454d42"+test.word))
		if m.Bitrate() != test.want {
			t.Errorf("%s: got %d, want %d", test.word, m.Bitrate(), test.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	tests := []struct {
		name   string
		report Report
		now    uint32
		want   time.Duration
		ok     bool
	}{
		// RFC 3550 section 6.4.1, figure 2: 11.375 s after the report, of which the receiver held it 5.250 s.
		{"of the RFC", Report{LastSR: 0xb7052000, Delay: 0x00054000}, 0xb7108000, 6125 * time.Millisecond, true},
		{"no sender report", Report{Delay: 1}, 100, 0, false},
		{"held longer than it took", Report{LastSR: 100, Delay: 50}, 149, 0, false},
		{"at once", Report{LastSR: 100, Delay: 50}, 150, 0, true},
		{"over the wrap", Report{LastSR: 0xffff0000, Delay: 0}, 0x8000, 1500 * time.Millisecond, true},
	}
	for _, test := range tests {
		if got, ok := test.report.RoundTrip(test.now); got != test.want || ok != test.ok {
			t.Errorf("%s: got %v, %v, want %v, %v", test.name, got, ok, test.want, test.ok)
		}
	}
}

// The reserved symbol 3 has no delta; negative deltas go back; padding that is
// not of words, as libwebrtc sends it, is cut off.
func TestArrivals(t *testing.T) {
	m := only(t, unhex(t, "afcd0006 00000001 00000007 ffff0005 fffffe2a db00 04 ffff 000003"))
	want := []Arrival{
		{Sequence: 65535, Received: true, Timed: true, At: -128*time.Millisecond + time.Millisecond},
		{Sequence: 0, Received: true, Timed: true, At: -128*time.Millisecond + 750*time.Microsecond},
		{Sequence: 1, Received: true},
		{Sequence: 2},
		{Sequence: 3},
	}
	arrivals := m.Arrivals()
	for i, w := range want {
		if got, ok := arrivals.Next(); !ok || got != w {
			t.Errorf("packet %d: got %+v, %v, want %+v", i, got, ok, w)
		}
	}
	if a, ok := arrivals.Next(); ok {
		t.Errorf("one more: %+v", a)
	}
	if m.Count() != 5 || m.Feedback() != 0x2a {
		t.Errorf("%d packets, number %d", m.Count(), m.Feedback())
	}
}

// typical is a compound packet as Chromium sends it: a report, lost packets and
// the arrival of a hundred.
func typical(t testing.TB) []byte {
	all := samples()
	b := marshal(t, append(append(all["RR and PLI"], all["NACK"]...), all["REMB"]...)...)
	feedback := unhex(t, "8fcd001e 00000001 00000007 00100064 00001001 2064"+strings.Repeat("0a", 100)+"0000")
	return append(b, feedback...)
}

// walk reads everything there is.
func walk(b []byte) (items int, err error) {
	r := Read(b)
	for r.Next() {
		m := r.Message
		m.Concerns(7)
		blocks, lost, arrivals := m.Blocks(), m.Lost(), m.Arrivals()
		for _, ok := blocks.Next(); ok; _, ok = blocks.Next() {
			items++
		}
		for _, ok := lost.Next(); ok; _, ok = lost.Next() {
			items++
		}
		for _, ok := arrivals.Next(); ok; _, ok = arrivals.Next() {
			items++
		}
	}
	return items, r.Err()
}

func TestNoAllocations(t *testing.T) {
	good, bad := typical(t), flood()
	if n, err := walk(good); n != 2+17+1+3+100 || err != nil {
		t.Fatalf("%d items, %v", n, err)
	}
	allocations := testing.AllocsPerRun(100, func() {
		_, readable := walk(good)
		_, flooded := walk(bad)
		if readable != nil || flooded == nil {
			t.Fatal(readable, flooded)
		}
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkRead(b *testing.B) {
	packet := typical(b)
	b.SetBytes(int64(len(packet)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := walk(packet); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFlood(b *testing.B) {
	packet := flood()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := walk(packet); err == nil {
			b.Fatal("taken")
		}
	}
}
