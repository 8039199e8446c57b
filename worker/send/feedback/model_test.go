package feedback

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// fate is what a model receiver says of one packet.
type fate struct {
	received bool
	timed    bool
	at       time.Duration // since the reference time
}

// encode writes transport feedback as the draft has it, in chunks chosen at random.
// It shares nothing with the code under test.
func encode(random *rand.Rand, base uint16, reference int32, fates []fate) []byte {
	symbols, deltas := make([]uint16, len(fates)), []byte(nil)
	last := time.Duration(0)
	for i, f := range fates {
		delta := int64((f.at - last) / (250 * time.Microsecond))
		switch {
		case f.received && !f.timed:
			symbols[i] = 3
			continue
		case !f.received:
			continue
		case delta >= 0 && delta < 256 && random.IntN(4) > 0:
			symbols[i] = 1
			deltas = append(deltas, byte(delta))
		default:
			symbols[i] = 2
			deltas = binary.BigEndian.AppendUint16(deltas, uint16(int16(delta)))
		}
		last = f.at
	}
	body := binary.BigEndian.AppendUint16(nil, base)
	body = binary.BigEndian.AppendUint16(body, uint16(len(fates)))
	body = append(body, byte(reference>>16), byte(reference>>8), byte(reference), 0x7f)
	for rest := symbols; len(rest) > 0; {
		run := 1
		for run < len(rest) && rest[run] == rest[0] {
			run++
		}
		narrow := !slices.ContainsFunc(rest[:min(14, len(rest))], func(s uint16) bool { return s > 1 })
		var chunk uint16
		switch {
		case run > 7 || random.IntN(5) == 0:
			run = min(run, 0x1fff)
			chunk = rest[0]<<13 | uint16(run)
		case narrow:
			run = min(14, len(rest))
			chunk = 0x8000
			for i, s := range rest[:run] {
				chunk |= s << (13 - i)
			}
		default:
			run = min(7, len(rest))
			chunk = 0xc000
			for i, s := range rest[:run] {
				chunk |= s << (12 - 2*i)
			}
		}
		body = binary.BigEndian.AppendUint16(body, chunk)
		rest = rest[run:]
	}
	body = append(body, deltas...)
	return padded(0x8f, typeTransport, append([]byte{0, 0, 0, 1, 0, 0, 0, 7}, body...), true)
}

// padded makes an RTCP packet of a body of any length. With tight, padding is what
// is missing to a word, as libwebrtc writes it.
func padded(first, packetType byte, body []byte, tight bool) []byte {
	missing := -len(body) & 3
	if missing > 0 || !tight {
		if !tight {
			missing += 4
		}
		body = append(body, make([]byte, missing)...)
		body[len(body)-1] = byte(missing)
		first |= 0x20
	}
	b := binary.BigEndian.AppendUint16([]byte{first, packetType}, uint16(len(body)/4))
	return append(b, body...)
}

// TestTransportModel reads what a model receiver wrote: each packet's fate comes
// back, in order, over the end of the numbers, with gaps, reordering and clocks
// before zero.
func TestTransportModel(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 9))
	for range 3_000 {
		fates := make([]fate, 1+random.IntN(60)*random.IntN(20))
		at := time.Duration(0)
		lossy := 1 + random.IntN(20)
		for i := range fates {
			at += time.Duration(random.IntN(300)-random.IntN(40)) * 250 * time.Microsecond
			switch random.IntN(lossy) {
			case 1:
				continue // lost
			case 2:
				fates[i] = fate{received: true}
			default:
				fates[i] = fate{true, true, at}
			}
		}
		base, reference := uint16(random.Uint32()), int32(random.Uint32()<<8)>>8
		b := encode(random, base, reference, fates)
		m := only(t, b)
		if m.Kind != TransportCC || m.Count() != len(fates) || m.Feedback() != 0x7f || m.Sender != 1 || m.Media != 7 {
			t.Fatalf("%+v of %d packets", m, len(fates))
		}
		arrivals := m.Arrivals()
		for i, want := range fates {
			got, ok := arrivals.Next()
			if !ok || got.Sequence != base+uint16(i) || got.Received != want.received || got.Timed != want.timed {
				t.Fatalf("packet %d of %d: %+v, want %+v", i, len(fates), got, want)
			}
			if want.timed && got.At != want.at+time.Duration(reference)*64*time.Millisecond {
				t.Fatalf("packet %d: at %s, want %s", i, got.At, want.at)
			}
		}
		if _, ok := arrivals.Next(); ok {
			t.Fatal("a packet too many")
		}
		// What is cut anywhere is refused, or it is read as less: never as more.
		cut := slices.Clone(b[:len(b)-4*(1+random.IntN(3))])
		if len(cut) < headerLen {
			continue
		}
		binary.BigEndian.PutUint16(cut[2:], uint16(len(cut)/4-1))
		cut[0] &^= 0x20
		if _, err := walk(cut); err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatalf("cut: %v", err)
		}
	}
}

// TestLostModel names random packets and gets back the same, however pairs overlap.
func TestLostModel(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for range 2_000 {
		var body []byte
		var want []uint16
		for range 1 + random.IntN(40) {
			id, mask := uint16(random.Uint32()), uint16(random.Uint32()&random.Uint32())
			body = binary.BigEndian.AppendUint16(body, id)
			body = binary.BigEndian.AppendUint16(body, mask)
			want = append(want, id)
			for bit := range 16 {
				if mask>>bit&1 != 0 {
					want = append(want, id+uint16(bit)+1)
				}
			}
		}
		m := only(t, padded(0x81, typeTransport, append([]byte{0, 0, 0, 1, 0, 0, 0, 7}, body...), random.IntN(2) == 0))
		var got []uint16
		lost := m.Lost()
		for sequence, ok := lost.Next(); ok; sequence, ok = lost.Next() {
			got = append(got, sequence)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// TestCompounds strings random messages together, some of kinds that nobody reads:
// each of the others is given once, in order, and the bytes stay as they are.
func TestCompounds(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	all := samples()
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for range 500 {
		var b []byte
		var want []Kind
		for range 1 + random.IntN(6) {
			part := marshal(t, all[names[random.IntN(len(names))]]...)
			if k, err := kinds(part); err == nil {
				want = append(want, k...)
			}
			b = append(b, part...)
			b = append(b, 0x80, byte(208+random.IntN(40)), 0, 1, 1, 2, 3, 4)
		}
		before := bytes.Clone(b)
		got, err := kinds(b)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the Reader writes to what it reads")
		}
		// A bad one ends the reading there, what stood before was given.
		got, err = kinds(append(b, 0x81, 206, 0, 1, 0, 0, 0, 1))
		if !errors.Is(err, ErrMalformed) || !slices.Equal(got, want) {
			t.Fatalf("%v, %v behind a bad end", got, err)
		}
	}
}

// TestNoise turns bits of real packets over: whatever comes of it, nothing is read
// beyond the packet and the work is bounded.
func TestNoise(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	good := typical(t)
	backing := append(slices.Clone(good), bytes.Repeat([]byte{0xff}, 64)...)
	for range 20_000 {
		b := backing[:len(good):len(good)]
		copy(b, good)
		for range 1 + random.IntN(4) {
			b[random.IntN(len(b))] ^= 1 << random.IntN(8)
		}
		items, err := walk(b[:1+random.IntN(len(b))])
		if items > MaxSequences+len(b)/reportLen+1 {
			t.Fatalf("%d items, %v", items, err)
		}
		if err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooMany) {
			t.Fatal(err)
		}
	}
}

// TestRefresh finds the command number of each stream of a FIR, the first where one
// is named twice.
func TestRefresh(t *testing.T) {
	m := only(t, marshal(t, &rtcp.FullIntraRequest{SenderSSRC: 1, FIR: []rtcp.FIREntry{
		{SSRC: 7, SequenceNumber: 3}, {SSRC: 8, SequenceNumber: 255}, {SSRC: 7, SequenceNumber: 4},
	}}))
	for ssrc, want := range map[uint32]uint8{7: 3, 8: 255} {
		if got, ok := m.Refresh(ssrc); !ok || got != want {
			t.Errorf("%d: number %d, %v, want %d", ssrc, got, ok, want)
		}
	}
	if _, ok := m.Refresh(1); ok {
		t.Error("the sender is taken for a stream")
	}
}

// TestReferenceBlocks finds the reference time among other blocks of an extended
// report, whose lengths may be wrong.
func TestReferenceBlocks(t *testing.T) {
	const other, reference = "c8000001 01020304", "04000002 11112222 33334444"
	tests := []struct {
		name   string
		blocks string
		want   uint32
	}{
		{"alone", reference, 0x22223333},
		{"behind another", other + reference, 0x22223333},
		{"before another", reference + other, 0x22223333},
		{"the first of two", reference + "04000002 aaaabbbb ccccdddd", 0x22223333},
		{"behind an empty one", "c8000000" + reference, 0x22223333},
		{"longer than it need be", "04000003 11112222 33334444 55556666", 0x22223333},
		{"none", other, 0},
		{"no blocks", "", 0},
		{"cut short", "04000001 11112222", 0},
		{"cut short by the packet", "04000002 11112222", 0},
		{"hidden in one that is too long", "c800ffff" + reference, 0},
	}
	for _, test := range tests {
		body := unhex(t, "00000b0b"+test.blocks)
		r := Read(padded(0x80, typeExtended, body, true))
		found := r.Next()
		if found != (test.want != 0) || r.Err() != nil {
			t.Errorf("%s: found %v, %v", test.name, found, r.Err())
			continue
		}
		if found && (r.Message.ReferenceTime() != test.want || r.Message.Sender != 0xb0b || !r.Message.Concerns(12345)) {
			t.Errorf("%s: %x of %x", test.name, r.Message.ReferenceTime(), r.Message.Sender)
		}
	}
	if (&Message{Kind: PLI}).ReferenceTime() != 0 {
		t.Error("a PLI has a reference time")
	}
}

// TestReportEnds has the ends of what a report block can say.
func TestReportEnds(t *testing.T) {
	m := only(t, unhex(t, "82c9000d 00000001"+
		"00000007 ff7fffff ffffffff ffffffff 00000000 ffffffff"+
		"00000008 00800000 00000000 00000000 ffffffff 00000000"))
	want := []Report{
		{SSRC: 7, Fraction: 255, Lost: 0x7fffff, Highest: 1<<32 - 1, Jitter: 1<<32 - 1, Delay: 1<<32 - 1},
		{SSRC: 8, Lost: -0x800000, LastSR: 1<<32 - 1},
	}
	blocks := m.Blocks()
	for _, w := range want {
		if got, ok := blocks.Next(); !ok || got != w {
			t.Errorf("%+v, want %+v", got, w)
		}
	}
	if _, ok := blocks.Next(); ok {
		t.Error("a block too many")
	}
	if trip, ok := want[1].RoundTrip(1<<31 - 2); !ok || trip <= 0 || trip > 1<<31*time.Second>>16 {
		t.Errorf("the longest round trip: %s, %v", trip, ok)
	}
}
