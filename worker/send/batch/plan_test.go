package batch

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"
)

func TestPayloadLimit(t *testing.T) {
	for addr, want := range map[string]int{"0.0.0.0": 65507, "127.0.0.1": 65507, "::": 65487, "2001:db8::1": 65487} {
		if got := payloadLimit(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %d, want %d", addr, got, want)
		}
	}
}

func TestPlan(t *testing.T) {
	of := func(size, segment int) entry { return entry{packets: make([]byte, size), segment: segment} }
	refused := of(3000, 1000)
	refused.single = true
	tests := []struct {
		name      string
		entries   []entry
		at        cursor
		room      int
		segmented bool
		want      []message
	}{
		{"nothing", nil, cursor{}, 4, true, nil},
		{"one datagram", []entry{of(1200, 1200)}, cursor{}, 4, true, []message{{0, 0, 1200, 1}}},
		{"a run", []entry{of(36*1200, 1200)}, cursor{}, 4, true, []message{{0, 0, 43200, 36}}},
		{"a run with a short end", []entry{of(2401, 1200)}, cursor{}, 4, true, []message{{0, 0, 2401, 3}}},
		{"64 segments", []entry{of(6500, 100)}, cursor{}, 4, true, []message{{0, 0, 6400, 64}, {0, 6400, 6500, 1}}},
		{"64 KiB", []entry{of(65507+1, 1200)}, cursor{}, 4, true, []message{{0, 0, 64800, 54}, {0, 64800, 65508, 1}}},
		{"exactly the limit", []entry{of(65507, 1309)}, cursor{}, 4, true, []message{{0, 0, 65450, 50}, {0, 65450, 65507, 1}}},
		{"a datagram over the limit is the kernel's to refuse", []entry{of(140000, 70000)}, cursor{}, 4, true, []message{{0, 0, 70000, 1}, {0, 70000, 140000, 1}}},
		{"no segmentation", []entry{of(2500, 1000)}, cursor{}, 4, false, []message{{0, 0, 1000, 1}, {0, 1000, 2000, 1}, {0, 2000, 2500, 1}}},
		{"an entry that was refused", []entry{refused, of(3000, 1000)}, cursor{}, 4, true, []message{{0, 0, 1000, 1}, {0, 1000, 2000, 1}, {0, 2000, 3000, 1}, {1, 0, 3000, 3}}},
		{"full", []entry{of(2500, 1000)}, cursor{}, 2, false, []message{{0, 0, 1000, 1}, {0, 1000, 2000, 1}}},
		{"from the middle", []entry{of(10, 1), of(2500, 1000), of(5, 5)}, cursor{1, 1000}, 4, true, []message{{1, 1000, 2500, 2}, {2, 0, 5, 1}}},
		{"from an end", []entry{of(10, 1), of(5, 5)}, cursor{0, 10}, 4, true, []message{{1, 0, 5, 1}}},
		{"at the end", []entry{of(10, 1)}, cursor{0, 10}, 4, true, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			messages := make([]message, test.room)
			n := plan(messages, test.entries, test.at, 65507, test.segmented)
			if !slices.Equal(messages[:n], test.want) {
				t.Errorf("got %v, want %v", messages[:n], test.want)
			}
		})
	}
}

// FuzzPlan sends entries made from its input to nobody, in batches, and wants
// every byte once, in order, cut where the datagrams are.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{36, 120, 7, 1, 255, 255}, uint16(5), uint8(3), true)
	f.Add([]byte{200, 1, 0, 2, 2, 2, 9, 9, 9}, uint16(65507), uint8(64), true)
	f.Add([]byte{64, 10, 0, 65, 10, 0}, uint16(300), uint8(1), false)
	f.Fuzz(func(t *testing.T, shape []byte, limit uint16, room uint8, segmented bool) {
		var entries []entry
		for ; len(shape) >= 3 && len(entries) < 50; shape = shape[3:] {
			segment := int(shape[1]) + 1
			size := int(shape[0])*segment + int(shape[2])%segment
			if size > 0 {
				entries = append(entries, entry{packets: make([]byte, size), segment: segment, single: shape[2] > 250})
			}
		}
		messages := make([]message, int(room)+1)
		for at := (cursor{}); ; {
			n := plan(messages, entries, at, int(limit), segmented)
			if n == 0 {
				if at.entry < len(entries)-1 || len(entries) > 0 && at.offset != len(entries[at.entry].packets) {
					t.Fatalf("ended at %v of %d entries", at, len(entries))
				}
				return
			}
			for _, m := range messages[:n] {
				if m.entry == at.entry+1 && at.offset == len(entries[at.entry].packets) {
					at = cursor{m.entry, 0}
				}
				check(t, entries, m, at, int(limit), segmented)
				at.offset = m.to
			}
		}
	})
}

// check says whether m is a message that may come at the cursor.
func check(t *testing.T, entries []entry, m message, at cursor, limit int, segmented bool) {
	t.Helper()
	e := entries[at.entry]
	size := m.to - m.from
	switch {
	case m.entry != at.entry || m.from != at.offset:
		t.Fatalf("%+v at %+v", m, at)
	case size <= 0 || m.to > len(e.packets):
		t.Fatalf("%+v of %d bytes", m, len(e.packets))
	case m.datagrams != (size-1)/e.segment+1 || m.datagrams > maxSegments:
		t.Fatalf("%+v with segments of %d", m, e.segment)
	case m.datagrams > 1 && (size > limit || !segmented || e.single):
		t.Fatalf("%+v: limit %d, segmented %v, single %v", m, limit, segmented, e.single)
	case m.to%e.segment != 0 && m.to != len(e.packets):
		t.Fatalf("%+v ends inside a datagram of %d", m, e.segment)
	}
}

func TestExtend(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int
		want  []run
	}{
		{"one", []int{5}, []run{{0, 5, 5, false}}},
		{"equal", []int{5, 5, 5}, []run{{0, 15, 5, false}}},
		{"a shorter one ends a run", []int{5, 5, 3, 3}, []run{{0, 13, 5, true}, {13, 16, 3, false}}},
		{"a longer one begins a run", []int{3, 5, 5}, []run{{0, 3, 3, false}, {3, 13, 5, false}}},
		{"nothing fits", []int{1, 2, 3}, []run{{0, 1, 1, false}, {1, 3, 2, false}, {3, 6, 3, false}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var runs []run
			for _, n := range test.sizes {
				runs = extend(runs, n)
			}
			if !slices.Equal(runs, test.want) {
				t.Errorf("got %v, want %v", runs, test.want)
			}
		})
	}
}

// FuzzExtend cuts the runs of its input's sizes again and wants those sizes.
func FuzzExtend(f *testing.F) {
	f.Add([]byte{9, 9, 9, 4, 4, 9})
	f.Add([]byte{1, 2, 3, 3, 2, 1})
	f.Fuzz(func(t *testing.T, sizes []byte) {
		sizes = bytes.ReplaceAll(sizes, []byte{0}, []byte{1})
		var runs []run
		for _, n := range sizes {
			runs = extend(runs, int(n))
		}
		var got []byte
		end := 0
		for _, r := range runs {
			if r.from != end {
				t.Fatalf("run %+v behind %d", r, end)
			}
			for at := r.from; at < r.to; at += r.segment {
				got = append(got, byte(min(r.segment, r.to-at)))
			}
			end = r.to
		}
		if !bytes.Equal(got, sizes) {
			t.Fatalf("got %v, want %v", got, sizes)
		}
	})
}
