package history

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// write reserves, fills and commits one packet whose bytes tell its index.
func write(t testing.TB, r *Ring, index uint64, n int) (follows bool) {
	t.Helper()
	b, follows := r.Reserve(n)
	if len(b) != n || cap(b) != n {
		t.Fatalf("index %d: reserved %d bytes of %d, capacity %d", index, len(b), n, cap(b))
	}
	copy(b, content(index, n))
	r.Commit(index, n)
	return follows
}

// content is n bytes that no other index has.
func content(index uint64, n int) []byte {
	b := make([]byte, n+8)
	for i := 0; i < n; i += 8 {
		binary.BigEndian.PutUint64(b[i:], index<<16|uint64(i))
	}
	return b[:n]
}

// holds fails unless the ring has this packet, whole and right, by both ways.
func holds(t testing.TB, r *Ring, index uint64, n int) {
	t.Helper()
	b, got, ok := r.Get(uint16(index))
	if !ok || got != index || !bytes.Equal(b, content(index, n)) {
		t.Fatalf("Get of %d: index %d, %v, %d bytes", index, got, ok, len(b))
	}
	if b, ok = r.Run(index, index); !ok || !bytes.Equal(b, content(index, n)) {
		t.Fatalf("Run of %d: %v, %d bytes", index, ok, len(b))
	}
}

// lacks fails when the ring gives this packet.
func lacks(t testing.TB, r *Ring, index uint64) {
	t.Helper()
	if _, got, ok := r.Get(uint16(index)); ok && got == index {
		t.Fatalf("Get gives %d", index)
	}
	if _, ok := r.Run(index, index); ok {
		t.Fatalf("Run gives %d", index)
	}
}

func TestNewRounds(t *testing.T) {
	tests := []struct{ bytes, packets, wantBytes, wantPackets int }{
		{0, 0, MinBytes, MinPackets},
		{-1, -1, MinBytes, MinPackets},
		{MinBytes, MinPackets, MinBytes, MinPackets},
		{MinBytes + 1, MinPackets + 1, 2 * MinBytes, 2 * MinPackets},
		{1 << 20, 1024, 1 << 20, 1024},
		{1<<20 - 1, 1023, 1 << 20, 1024},
		{1 << 12, 1 << 20, 1 << 12, MaxPackets},
	}
	for _, test := range tests {
		r := New(test.bytes, test.packets)
		if len(r.data) != test.wantBytes || len(r.slots) != test.wantPackets {
			t.Errorf("New(%d, %d): %d bytes, %d packets", test.bytes, test.packets, len(r.data), len(r.slots))
		}
	}
	if got := power(1<<40, MinBytes, MaxBytes); got != MaxBytes {
		t.Errorf("bytes are bound to %d", got)
	}
}

func TestReserveRefuses(t *testing.T) {
	r := New(MinBytes, MinPackets)
	for _, n := range []int{-1, 0, MinBytes + 1, 1 << 40} {
		if b, follows := r.Reserve(n); b != nil || follows {
			t.Errorf("Reserve(%d): %d bytes, %v", n, len(b), follows)
		}
	}
	if b, _ := r.Reserve(MinBytes); len(b) != MinBytes {
		t.Errorf("the whole ring: %d bytes", len(b))
	}
}

func TestCommitPanics(t *testing.T) {
	tests := []struct {
		name string
		act  func(r *Ring)
	}{
		{"nothing reserved", func(r *Ring) { r.Commit(11, 1) }},
		{"more than reserved", func(r *Ring) { r.Reserve(10); r.Commit(11, 11) }},
		{"more than the last reservation", func(r *Ring) { r.Reserve(100); r.Reserve(10); r.Commit(11, 50) }},
		{"nothing", func(r *Ring) { r.Reserve(10); r.Commit(11, 0) }},
		{"twice", func(r *Ring) { r.Reserve(10); r.Commit(11, 5); r.Commit(12, 5) }},
		{"same index", func(r *Ring) { r.Reserve(10); r.Commit(10, 10) }},
		{"smaller index", func(r *Ring) { r.Reserve(10); r.Commit(9, 10) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := New(MinBytes, MinPackets)
			write(t, r, 10, 100)
			defer func() {
				if recover() == nil {
					t.Fatal("no panic")
				}
			}()
			test.act(r)
		})
	}
}

func TestEmpty(t *testing.T) {
	r := New(MinBytes, MinPackets)
	for _, sequence := range []uint16{0, 1, 65535} {
		if _, _, ok := r.Get(sequence); ok {
			t.Errorf("an empty ring gives %d", sequence)
		}
	}
	if _, ok := r.Run(0, 0); ok {
		t.Error("an empty ring gives a run")
	}
}

// Packets behind one another are one slice; where the ring wraps a run ends.
func TestRuns(t *testing.T) {
	r := New(4096, 64)
	if write(t, r, 1, 1000) {
		t.Error("the first packet follows nothing")
	}
	for index := uint64(2); index <= 4; index++ {
		if !write(t, r, index, 1000) {
			t.Errorf("packet %d does not follow", index)
		}
	}
	var want []byte
	for index := uint64(1); index <= 4; index++ {
		want = append(want, content(index, 1000)...)
	}
	if b, ok := r.Run(1, 4); !ok || !bytes.Equal(b, want) || cap(b) != 4000 {
		t.Fatalf("Run(1, 4): %v, %d bytes", ok, len(b))
	}
	if b, ok := r.Run(2, 3); !ok || !bytes.Equal(b, want[1000:3000]) {
		t.Fatalf("Run(2, 3): %v, %d bytes", ok, len(b))
	}
	if _, ok := r.Run(3, 2); ok {
		t.Error("a run backwards")
	}
	if _, ok := r.Run(4, 5); ok {
		t.Error("a run past the newest")
	}
	if write(t, r, 5, 1000) { // 96 bytes were left: it lies at the start
		t.Error("packet 5 follows across the end")
	}
	lacks(t, r, 1)
	holds(t, r, 2, 1000)
	holds(t, r, 5, 1000)
	if _, ok := r.Run(4, 5); ok {
		t.Error("a run across the end")
	}
	if _, ok := r.Run(1, 2); ok {
		t.Error("a run whose first packet is overwritten")
	}
	if !write(t, r, 6, 24) {
		t.Error("packet 6 does not follow")
	}
	lacks(t, r, 2) // its first 24 bytes are gone
	if _, ok := r.Run(5, 6); !ok {
		t.Error("no run behind the start")
	}
}

// A packet that ends with the memory does not end a run too early, and the next
// one does not follow.
func TestExactFit(t *testing.T) {
	r := New(4096, 16)
	for index := uint64(0); index < 4; index++ {
		write(t, r, index, 1024)
	}
	if b, ok := r.Run(0, 3); !ok || len(b) != 4096 {
		t.Fatalf("the whole ring as a run: %v, %d bytes", ok, len(b))
	}
	if write(t, r, 4, 1024) {
		t.Error("the packet at the start follows the one at the end")
	}
	lacks(t, r, 0)
	holds(t, r, 1, 1024)
}

// Reserving is overwriting: the caller writes before it commits, or never does.
func TestReservedIsLost(t *testing.T) {
	r := New(4096, 16)
	for index := uint64(0); index < 4; index++ {
		write(t, r, index, 1024)
	}
	r.Reserve(1)
	lacks(t, r, 0)
	holds(t, r, 1, 1024)
	r.Reserve(1025)
	lacks(t, r, 1)
	b, _ := r.Reserve(5)
	copy(b, content(4, 5))
	r.Commit(4, 5)
	holds(t, r, 4, 5)
	lacks(t, r, 1)
	holds(t, r, 2, 1024)
}

// Commit may keep less than was reserved; the next packet follows directly.
func TestCommitLess(t *testing.T) {
	r := New(4096, 16)
	for index := uint64(0); index < 3; index++ {
		b, _ := r.Reserve(500)
		copy(b, content(index, 100))
		r.Commit(index, 100)
		holds(t, r, index, 100)
	}
	if b, ok := r.Run(0, 2); !ok || len(b) != 300 {
		t.Fatalf("run of short packets: %v, %d bytes", ok, len(b))
	}
}

// A sequence number means the newest packet that has it, and only if that is
// among the last.
func TestSequenceNumbers(t *testing.T) {
	r := New(1<<20, 64)
	for index := uint64(65500); index < 65600; index++ {
		write(t, r, index, 20)
	}
	for index := uint64(65600 - 64); index < 65600; index++ {
		holds(t, r, index, 20)
	}
	tests := []struct {
		name     string
		sequence uint16
	}{
		{"older than the last 64", 65535},
		{"not sent yet", uint16(65600 & 0xffff)},
		{"far ahead", 30000},
	}
	for _, test := range tests {
		if _, index, ok := r.Get(test.sequence); ok {
			t.Errorf("%s: Get(%d) gives %d", test.name, test.sequence, index)
		}
	}
}

// With gaps between the indexes an old slot stays; its number now belongs to
// another rollover.
func TestEarlierRollover(t *testing.T) {
	r := New(1<<20, MaxPackets)
	write(t, r, 5, 100)
	write(t, r, 6, 100)
	write(t, r, 65536+6, 100)
	write(t, r, 65536+10, 100)
	if _, index, ok := r.Get(5); ok {
		t.Errorf("Get(5) gives %d", index)
	}
	if _, index, ok := r.Get(6); !ok || index != 65536+6 {
		t.Errorf("Get(6) gives %d, %v", index, ok)
	}
	lacks(t, r, 6)
	if _, ok := r.Run(5, 5); !ok {
		t.Error("Run knows whole indexes: 5 is still there")
	}
}

// Before the first rollover nothing counts back below 0.
func TestBeforeTheFirst(t *testing.T) {
	r := New(MinBytes, MaxPackets)
	write(t, r, 3, 10)
	for _, sequence := range []uint16{0, 4, 65535} {
		if _, index, ok := r.Get(sequence); ok {
			t.Errorf("Get(%d) gives %d", sequence, index)
		}
	}
	holds(t, r, 3, 10)
}

// Three rollovers of a stream, as a viewer writes it.
func TestLongStream(t *testing.T) {
	r := New(1<<16, 128)
	random := rand.New(rand.NewPCG(1, 2))
	sizes := map[uint64]int{}
	for index := uint64(65000); index < 65000+200_000; index++ {
		sizes[index] = 1 + random.IntN(300)
		write(t, r, index, sizes[index])
		back := uint64(random.IntN(100))
		if index-back >= 65000 {
			holds(t, r, index-back, sizes[index-back])
		}
		delete(sizes, index-128)
	}
}

func TestNoAllocations(t *testing.T) {
	r := New(1<<16, 256)
	index := uint64(0)
	allocations := testing.AllocsPerRun(2000, func() {
		r.Reserve(1200)
		r.Commit(index, 1180)
		r.Run(index-min(index, 3), index)
		r.Get(uint16(index))
		index++
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

func BenchmarkReserveCommit(b *testing.B) {
	r, index := New(1<<20, 1024), uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		r.Reserve(1200)
		r.Commit(index, 1200)
		index++
	}
}

func BenchmarkGet(b *testing.B) {
	r := New(1<<20, 1024)
	for index := range uint64(500) {
		write(b, r, index, 1200)
	}
	sequence := uint16(0)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, ok := r.Get(sequence % 500); !ok {
			b.Fatal("lost")
		}
		sequence++
	}
}

func BenchmarkRun(b *testing.B) {
	r := New(1<<20, 1024)
	for index := range uint64(500) {
		write(b, r, index, 1200)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := r.Run(100, 136); !ok {
			b.Fatal("lost")
		}
	}
}
