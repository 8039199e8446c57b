package history

import (
	"bytes"
	"testing"
)

// model is what a Ring has to do, done the slow way: it keeps a copy of every
// packet and, for each byte of the memory, whose it is.
type model struct {
	size    int
	packets int
	owner   []int // per byte of the memory: the packet's number in sent, -1 = nobody's
	sent    []packet
	offset  int // where the next packet goes, unless it does not fit
}

type packet struct {
	index  uint64
	data   []byte
	offset int
}

func newModel(size, packets int) *model {
	m := &model{size: size, packets: packets, owner: make([]int, size)}
	for i := range m.owner {
		m.owner[i] = -1
	}
	return m
}

// reserve takes the bytes away from their owners and tells where they lie.
func (m *model) reserve(n int) (offset int, follows bool) {
	offset = m.offset
	if offset+n > m.size {
		m.take(offset, m.size) // what does not fit is skipped, and counts as written
		offset = 0
	}
	m.take(offset, offset+n)
	return offset, len(m.sent) > 0 && offset > 0 && offset == m.offset
}

func (m *model) take(from, to int) {
	for i := from; i < to; i++ {
		m.owner[i] = -1
	}
}

func (m *model) commit(index uint64, offset int, data []byte) {
	for i := range data {
		m.owner[offset+i] = len(m.sent)
	}
	m.sent = append(m.sent, packet{index: index, data: bytes.Clone(data), offset: offset})
	m.offset = (offset + len(data)) % m.size
}

// owned says whether the packet still has all its bytes.
func (m *model) owned(number int) bool {
	p := m.sent[number]
	for i := range p.data {
		if m.owner[p.offset+i] != number {
			return false
		}
	}
	return true
}

// whole says whether it also has its slot: no later packet's index is the same
// modulo the slots.
func (m *model) whole(number int) bool {
	p := m.sent[number]
	for _, later := range m.sent[number+1:] {
		if later.index%uint64(m.packets) == p.index%uint64(m.packets) {
			return false
		}
	}
	return m.owned(number)
}

// get is the packet that a receiver means by the sequence number: the newest
// that has it, if not further back than the ring has slots.
func (m *model) get(sequence uint16) (packet, bool) {
	for number := len(m.sent) - 1; number >= 0; number-- {
		p := m.sent[number]
		if m.sent[len(m.sent)-1].index-p.index >= uint64(m.packets) {
			break
		}
		if uint16(p.index) == sequence {
			return p, m.whole(number)
		}
	}
	return packet{}, false
}

// run is the bytes of consecutive packets, if they lie behind one another. Those
// between the two that are named need no slot.
func (m *model) run(first, last int) ([]byte, bool) {
	if !m.whole(first) || !m.whole(last) {
		return nil, false
	}
	var b []byte
	for number := first; number <= last; number++ {
		p := m.sent[number]
		if !m.owned(number) || p.offset != m.sent[first].offset+len(b) {
			return nil, false
		}
		b = append(b, p.data...)
	}
	return b, true
}

// FuzzRing does what the bytes say to a small Ring and to the model. Four bytes
// are one packet: its length, how much of it is committed, how far the index
// goes on.
func FuzzRing(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{4, 176, 255, 1}, 40))                               // packets of 1200 bytes
	f.Add(bytes.Repeat([]byte{4, 0, 255, 1}, 20))                                 // four to a lap, exactly
	f.Add(bytes.Repeat([]byte{0, 1, 255, 1}, 100))                                // one byte each
	f.Add(bytes.Repeat([]byte{2, 17, 128, 1, 0, 90, 0, 1}, 30))                   // committed in part, or not at all
	f.Add(bytes.Repeat([]byte{1, 200, 255, 1, 1, 100, 255, 250}, 30))             // gaps
	f.Add(bytes.Repeat([]byte{15, 255, 255, 1, 0, 30, 255, 1, 7, 0, 60, 129}, 9)) // nearly the whole ring
	f.Fuzz(func(t *testing.T, script []byte) {
		r, m := New(MinBytes, MinPackets), newModel(MinBytes, MinPackets)
		index := uint64(65500)
		for ; len(script) >= 4 && len(m.sent) < 300; script = script[4:] {
			n := int(script[0])<<8 | int(script[1])
			b, follows := r.Reserve(n)
			if n == 0 || n > MinBytes {
				if b != nil || follows {
					t.Fatalf("Reserve(%d) gives %d bytes", n, len(b))
				}
				continue
			}
			offset, wantFollows := m.reserve(n)
			if len(b) != n || follows != wantFollows || &b[0] != &r.data[offset] {
				t.Fatalf("Reserve(%d): %d bytes, follows %v, want %v", n, len(b), follows, wantFollows)
			}
			copy(b, content(index, n))
			if keep := n * int(script[2]) / 255; keep > 0 {
				index += 1 + skip(script[3])
				r.Commit(index, keep)
				m.commit(index, offset, b[:keep])
			}
			compare(t, r, m)
		}
	})
}

// skip makes most steps of the index small and some large, near the rollover of
// 65536 among them.
func skip(b byte) uint64 {
	switch {
	case b < 200:
		return uint64(b % 2)
	case b < 240:
		return uint64(b)
	}
	return 65536 - 250 + uint64(b)
}

// compare asks Ring and model for the last packets and for runs of them.
func compare(t *testing.T, r *Ring, m *model) {
	t.Helper()
	for number := max(0, len(m.sent)-2*MinPackets); number < len(m.sent); number++ {
		sequence := uint16(m.sent[number].index)
		want, ok := m.get(sequence)
		got, index, found := r.Get(sequence)
		if found != ok || found && (index != want.index || !bytes.Equal(got, want.data)) {
			t.Fatalf("Get(%d) gives packet %d, %d bytes, %v; the model %d, %v", sequence, index, len(got), found, want.index, ok)
		}
		for last := number; last < min(number+5, len(m.sent)); last++ {
			want, ok := m.run(number, last)
			got, found := r.Run(m.sent[number].index, m.sent[last].index)
			if found != ok || !bytes.Equal(got, want) {
				t.Fatalf("Run(%d, %d) gives %d bytes, %v; the model %v", m.sent[number].index, m.sent[last].index, len(got), found, ok)
			}
		}
	}
}
