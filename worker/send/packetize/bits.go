package packetize

// bitReader reads header fields, the most significant bit first. Reading past the
// end gives zeros and sets short, which the caller looks at once, at the end.
type bitReader struct {
	data  []byte
	at    int // in bits
	short bool
}

// read returns the next n bits, n <= 32.
func (r *bitReader) read(n int) uint32 {
	var v uint32
	for ; n > 0; n-- {
		v <<= 1
		if r.at>>3 >= len(r.data) {
			r.short = true
			continue
		}
		v |= uint32(r.data[r.at>>3]>>(7-r.at&7)) & 1
		r.at++
	}
	return v
}

// flag returns the next bit.
func (r *bitReader) flag() bool { return r.read(1) == 1 }
