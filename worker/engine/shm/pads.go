package shm

import "sync/atomic"

// Ports is the number of controllers a machine has at most.
const Ports = 8

// Pad is the state of one controller.
type Pad struct {
	// Buttons held; bit n is RETRO_DEVICE_ID_JOYPAD_n: B 0, Y 1, SELECT 2,
	// START 3, UP 4, DOWN 5, LEFT 6, RIGHT 7, A 8, X 9, L 10, R 11, L2 12,
	// R2 13, L3 14, R3 15.
	Buttons uint16
	// Left and right stick, -32768..32767; right and down are positive.
	LX, LY, RX, RY int16
}

// pad is a Pad in shared memory. The worker writes, the core process reads.
type pad struct {
	buttons atomic.Uint32 // held now
	pressed atomic.Uint32 // pressed since the core process looked last
	axes    atomic.Uint64 // LX, LY, RX, RY from the low bits up
}

// SetPad writes the state of a controller. A press is kept until ReadPads has
// seen it once, however short it was. It is called by one goroutine at a time.
// A port that does not exist is ignored.
func (m *Memory) SetPad(port int, p Pad) {
	if port < 0 || port >= Ports {
		return
	}
	c := &m.control.pads[port]
	now := uint32(p.Buttons)
	c.axes.Store(uint64(uint16(p.LX)) | uint64(uint16(p.LY))<<16 | uint64(uint16(p.RX))<<32 | uint64(uint16(p.RY))<<48)
	if pressed := now &^ c.buttons.Load(); pressed != 0 {
		c.pressed.Or(pressed)
	}
	c.buttons.Store(now)
}

// ReadPads fills dst with the controllers for the next frame: what is held and
// what was pressed since the last call.
func (m *Memory) ReadPads(dst *[Ports]Pad) {
	for i := range dst {
		c := &m.control.pads[i]
		axes := c.axes.Load()
		dst[i] = Pad{
			Buttons: uint16(c.pressed.Swap(0) | c.buttons.Load()),
			LX:      int16(axes), LY: int16(axes >> 16), RX: int16(axes >> 32), RY: int16(axes >> 48),
		}
	}
}
