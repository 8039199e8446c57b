// Package input reads what a browser sends on the data channel `input` and
// keeps the state of its pad. It is pure: no clock, no I/O, no goroutine; time
// comes in as an argument.
//
// A datagram, big endian:
//
//	byte 0     version, 1
//	byte 1     n, number of states, 1..MaxStates
//	bytes 2-5  sequence number of the newest state, wraps around
//	then n states of StateSize bytes, newest first: the k-th has sequence number seq-k
//
// and a state: buttons, left x, left y, right x, right y, 16 bits each. Its
// length is exactly HeaderSize + n*StateSize.
package input

import (
	"encoding/binary"
	"errors"
)

// Shape of a datagram.
const (
	Version    = 1  // first byte
	MaxStates  = 4  // the newest state and up to three earlier ones
	HeaderSize = 6  // bytes
	StateSize  = 10 // bytes
	MaxSize    = HeaderSize + MaxStates*StateSize
)

// ErrDatagram says that the bytes are no input datagram.
var ErrDatagram = errors.New("input: malformed datagram")

// State is a whole pad at one moment. Bit n of Buttons is
// RETRO_DEVICE_ID_JOYPAD n of libretro.h; axes are -32768..32767, right and
// down positive. Its fields are those of engine.Pad, so that one converts to
// the other.
type State struct {
	Buttons        uint16
	LX, LY, RX, RY int16
}

// Held says whether anything is pressed or pushed.
func (s State) Held() bool { return s != State{} }

// Datagram is one decoded message. The states 0..N-1 are valid, newest first.
type Datagram struct {
	Seq    uint32
	N      int
	States [MaxStates]State
}

// Decode fills d from b, which it does not keep. It returns ErrDatagram and
// leaves d alone unless every byte is accounted for.
func (d *Datagram) Decode(b []byte) error {
	if len(b) < HeaderSize || b[0] != Version {
		return ErrDatagram
	}
	n := int(b[1])
	if n < 1 || n > MaxStates || len(b) != HeaderSize+n*StateSize {
		return ErrDatagram
	}
	d.Seq, d.N = binary.BigEndian.Uint32(b[2:6]), n
	for k := range n {
		s := b[HeaderSize+k*StateSize:]
		d.States[k] = State{
			Buttons: binary.BigEndian.Uint16(s[0:2]),
			LX:      int16(binary.BigEndian.Uint16(s[2:4])),
			LY:      int16(binary.BigEndian.Uint16(s[4:6])),
			RX:      int16(binary.BigEndian.Uint16(s[6:8])),
			RY:      int16(binary.BigEndian.Uint16(s[8:10])),
		}
	}
	return nil
}

// Append writes d behind dst, the inverse of Decode. N must be 1..MaxStates.
func (d *Datagram) Append(dst []byte) []byte {
	dst = append(dst, Version, byte(d.N))
	dst = binary.BigEndian.AppendUint32(dst, d.Seq)
	for _, s := range d.States[:d.N] {
		for _, v := range [...]uint16{s.Buttons, uint16(s.LX), uint16(s.LY), uint16(s.RX), uint16(s.RY)} {
			dst = binary.BigEndian.AppendUint16(dst, v)
		}
	}
	return dst
}
