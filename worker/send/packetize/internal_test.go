package packetize

import (
	"bytes"
	"testing"
)

func TestBitReader(t *testing.T) {
	r := bitReader{data: []byte{0b1010_0101, 0xff, 0x12}}
	if r.read(1) != 1 || r.read(3) != 0b010 || r.flag() || r.read(7) != 0b1011111 || r.read(0) != 0 {
		t.Error("wrong bits")
	}
	if r.read(12) != 0xf12 || r.short {
		t.Error("wrong bits at the end")
	}
	if r.read(32) != 0 || !r.short {
		t.Error("bits behind the end")
	}
}

func TestLEB128(t *testing.T) {
	for _, v := range []int{0, 1, 127, 128, 16383, 16384, MaxData, 1<<28 - 1} {
		b := appendLEB128(nil, v)
		if got, n := leb128(b); got != uint64(v) || n != len(b) || lenLEB128(v) != n {
			t.Errorf("%d becomes %x, which is %d; length %d", v, b, got, lenLEB128(v))
		}
		if _, n := leb128(b[:len(b)-1]); n != 0 {
			t.Errorf("%d cut short is read", v)
		}
	}
	if v, n := leb128(append(bytes.Repeat([]byte{0x80}, 7), 1)); v != 1<<49 || n != 8 {
		t.Errorf("eight octets: %d of %d", v, n)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct{ total, max, want int }{
		{1, 100, 1}, {100, 100, 100}, {101, 100, 51}, {200, 100, 100}, {201, 100, 67}, {1000, 999, 500},
	} {
		if got := cut(c.total, c.max); got != c.want {
			t.Errorf("%d at %d: %d, want %d", c.total, c.max, got, c.want)
		}
	}
}
