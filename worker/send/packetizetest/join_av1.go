package packetizetest

import (
	"fmt"
	"math"
)

// joinAV1 follows the AOMedia RTP specification, section 4.4.
func joinAV1(payloads [][]byte) ([]byte, error) {
	var out, fragment []byte
	for i, p := range payloads {
		if len(p) < 2 {
			return nil, fmt.Errorf("%w: %d is empty", ErrPayload, i)
		}
		head := p[0]
		elements, err := elementsAV1(p)
		if err != nil {
			return nil, fmt.Errorf("payload %d: %w", i, err)
		}
		switch {
		case head&0x07 != 0:
			return nil, fmt.Errorf("%w: %d has reserved bits", ErrPayload, i)
		case head&0x08 != 0 && i > 0: // N
			return nil, fmt.Errorf("%w: %d starts a sequence within a picture", ErrPayload, i)
		case (head&0x80 != 0) != (fragment != nil): // Z
			return nil, fmt.Errorf("%w: %d does not continue the one before", ErrPayload, i)
		}
		elements[0] = append(fragment, elements[0]...)
		fragment = nil
		if head&0x40 != 0 { // Y
			fragment = elements[len(elements)-1]
			elements = elements[:len(elements)-1]
		}
		for _, e := range elements {
			if out, err = appendOBU(out, e); err != nil {
				return nil, fmt.Errorf("payload %d: %w", i, err)
			}
		}
	}
	if fragment != nil {
		return nil, fmt.Errorf("%w: last fragment missing", ErrPayload)
	}
	return out, nil
}

// elementsAV1 returns copies of a payload's OBU elements, of which none may be
// empty.
func elementsAV1(p []byte) ([][]byte, error) {
	count := int(p[0] >> 4 & 3)
	var elements [][]byte
	for rest := p[1:]; len(rest) > 0; {
		size := len(rest)
		if count == 0 || len(elements)+1 < count {
			n, used := sizeAV1(rest)
			if used == 0 || n == 0 || n > len(rest)-used {
				return nil, fmt.Errorf("%w: size of an OBU element", ErrPayload)
			}
			size, rest = n, rest[used:]
		}
		elements = append(elements, append([]byte(nil), rest[:size]...))
		rest = rest[size:]
	}
	if count > 0 && len(elements) != count {
		return nil, fmt.Errorf("%w: %d OBU elements, header says %d", ErrPayload, len(elements), count)
	}
	return elements, nil
}

// sizeAV1 reads a leb128 number below 2^32 in any of its forms (AV1
// specification, section 4.10.5); used is 0 if there is none.
func sizeAV1(b []byte) (v, used int) {
	for used < min(len(b), 8) {
		v += int(b[used]&0x7f) << (7 * used)
		used++
		if b[used-1] < 0x80 {
			if v > math.MaxUint32 {
				return 0, 0
			}
			return v, used
		}
	}
	return 0, 0
}

// appendOBU appends an element as an OBU with a size field. What must not travel
// is an error.
func appendOBU(out, e []byte) ([]byte, error) {
	head := 1 + int(e[0]>>2&1)
	switch kind := e[0] >> 3 & 15; {
	case e[0]&0x80 != 0 || e[0]&0x02 != 0 || len(e) < head:
		return nil, fmt.Errorf("%w: OBU header %#02x", ErrPayload, e[0])
	case kind == 2 || kind == 8 || kind == 15:
		return nil, fmt.Errorf("%w: OBU type %d", ErrPayload, kind)
	}
	out = append(out, e[0]|0x02)
	out = append(out, e[1:head]...)
	size := len(e) - head
	for ; size >= 0x80; size >>= 7 {
		out = append(out, byte(size)|0x80)
	}
	out = append(out, byte(size))
	return append(out, e[head:]...), nil
}

// canonicalAV1 rewrites a temporal unit in the low-overhead format.
func canonicalAV1(data []byte) ([]byte, error) {
	var out []byte
	for len(data) > 0 {
		head := 1 + int(data[0]>>2&1)
		if len(data) < head {
			return nil, fmt.Errorf("%w: OBU header", ErrClip)
		}
		e := append([]byte{data[0] &^ 0x02}, data[1:head]...)
		size, used := len(data)-head, 0
		if data[0]&0x02 != 0 {
			size, used = sizeAV1(data[head:])
			if used == 0 || size > len(data)-head-used {
				return nil, fmt.Errorf("%w: OBU size", ErrClip)
			}
		}
		body := data[head+used:]
		e = append(e, body[:size]...)
		data = body[size:]
		if kind := e[0] >> 3 & 15; kind == 2 || kind == 8 || kind == 15 {
			continue
		}
		var err error
		if out, err = appendOBU(out, e); err != nil {
			return nil, err
		}
	}
	return out, nil
}
