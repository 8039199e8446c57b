package packetizetest

import (
	"fmt"
)

// joinVP8 follows RFC 7741, section 4.2. All optional fields are understood; the
// picture id has to be the same in all packets.
func joinVP8(payloads [][]byte) ([]byte, error) {
	var out []byte
	picture := -1
	for i, p := range payloads {
		d := descriptor{data: p}
		head := d.next()
		id := -1
		if head&0x80 != 0 { // X
			id = d.vp8Extension()
		}
		body := d.data
		switch {
		case d.short || len(body) == 0:
			return nil, fmt.Errorf("%w: %d is cut short", ErrPayload, i)
		case head&0x48 != 0: // reserved
			return nil, fmt.Errorf("%w: %d has reserved bits", ErrPayload, i)
		case head&0x07 == 0 && (head&0x10 != 0) != (i == 0): // S
			return nil, fmt.Errorf("%w: %d starts a frame", ErrPayload, i)
		case i > 0 && id != picture:
			return nil, fmt.Errorf("%w: %d is of another picture", ErrPayload, i)
		}
		picture = id
		out = append(out, body...)
	}
	return out, nil
}

// joinVP9 follows RFC 9628, section 4.2, for one spatial layer in non-flexible
// mode.
func joinVP9(payloads [][]byte) ([]byte, error) {
	var out []byte
	picture, predicted := -1, byte(0)
	for i, p := range payloads {
		d := descriptor{data: p}
		head := d.next()
		id := -1
		if head&0x80 != 0 { // I
			id = d.pictureID()
		}
		if head&0x20 != 0 { // L
			d.next() // layer
			d.next() // TL0PICIDX
		}
		if head&0x02 != 0 { // V
			d.vp9Structure()
		}
		body := d.data
		first, last := i == 0, i == len(payloads)-1
		switch {
		case d.short || len(body) == 0:
			return nil, fmt.Errorf("%w: %d is cut short", ErrPayload, i)
		case head&0x10 != 0: // F
			return nil, fmt.Errorf("%w: %d is in flexible mode", ErrPayload, i)
		case (head&0x08 != 0) != first || (head&0x04 != 0) != last: // B, E
			return nil, fmt.Errorf("%w: %d has the wrong place", ErrPayload, i)
		case head&0x02 != 0 && !first:
			return nil, fmt.Errorf("%w: %d has a late scalability structure", ErrPayload, i)
		case i > 0 && (id != picture || head&0x40 != predicted): // P
			return nil, fmt.Errorf("%w: %d is of another picture", ErrPayload, i)
		}
		picture, predicted = id, head&0x40
		out = append(out, body...)
	}
	return out, nil
}

// descriptor reads payload descriptors. Reading past the end gives zeros and sets
// short.
type descriptor struct {
	data  []byte
	short bool
}

func (d *descriptor) next() byte {
	if len(d.data) == 0 {
		d.short = true
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return b
}

// pictureID reads 7 or 15 bits.
func (d *descriptor) pictureID() int {
	b := d.next()
	if b&0x80 == 0 {
		return int(b)
	}
	return int(b&0x7f)<<8 | int(d.next())
}

// vp8Extension reads what the extension octet announces and returns the picture
// id, -1 without one.
func (d *descriptor) vp8Extension() int {
	flags := d.next()
	id := -1
	if flags&0x80 != 0 {
		id = d.pictureID()
	}
	if flags&0x40 != 0 {
		d.next() // TL0PICIDX
	}
	if flags&0x30 != 0 {
		d.next() // TID, KEYIDX
	}
	return id
}

// vp9Structure skips the scalability structure (section 4.2.1).
func (d *descriptor) vp9Structure() {
	head := d.next()
	if head&0x10 != 0 { // Y
		for range 4 * (int(head>>5) + 1) {
			d.next()
		}
	}
	if head&0x08 == 0 { // G
		return
	}
	for range int(d.next()) {
		for range d.next() >> 2 & 3 {
			d.next()
		}
	}
}
