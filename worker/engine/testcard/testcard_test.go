package testcard

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/cloudretro/cloudretro/worker/engine/shm"
)

// luma returns the green channel scaled to limited range, and enlarged.
func luma(pixels []byte, scale int) []byte {
	out := make([]byte, Width*scale*Height*scale)
	for y := range Height * scale {
		for x := range Width * scale {
			out[y*Width*scale+x] = 16 + byte(int(pixels[(y/scale)*stride+(x/scale)*4+1])*219/255)
		}
	}
	return out
}

func TestWatermarkIsReadAtEveryScale(t *testing.T) {
	for _, scale := range []int{1, 2, 3} {
		c := New()
		for frame := range uint32(20) {
			pads := [shm.Ports]shm.Pad{{Buttons: uint16(frame * 0x123)}}
			picture, _ := c.Step(&pads)
			got, err := ReadWatermark(luma(picture.Data, scale), Width*scale, Width*scale)
			if want := (Watermark{frame, pads[0].Buttons}); err != nil || got != want {
				t.Fatalf("scale %d: got %v, %v, want %v", scale, got, err, want)
			}
		}
	}
}

func TestWatermarkSurvivesNoiseAndRefusesDamage(t *testing.T) {
	c := New()
	c.counter = 0xdeadbeef
	picture, _ := c.Step(&[shm.Ports]shm.Pad{})
	plane := luma(picture.Data, 2)
	for i := range plane {
		plane[i] = byte(min(max(int(plane[i])+i*7919%81-40, 0), 255))
	}
	if got, err := ReadWatermark(plane, 2*Width, 2*Width); err != nil || got.Frame != 0xdeadbeef {
		t.Fatalf("with noise: %v, %v", got, err)
	}
	for y := range 16 { // the first block turned over
		for x := range 16 {
			plane[y*2*Width+x] = 255 - plane[y*2*Width+x]
		}
	}
	if _, err := ReadWatermark(plane, 2*Width, 2*Width); !errors.Is(err, ErrWatermark) {
		t.Fatalf("damaged: %v", err)
	}
}

func FuzzReadWatermark(f *testing.F) {
	picture, _ := New().Step(&[shm.Ports]shm.Pad{})
	f.Add(luma(picture.Data, 1), Width, Width)
	f.Add([]byte{}, 0, 0)
	f.Add(make([]byte, 100), 10, 256)
	f.Fuzz(func(t *testing.T, plane []byte, stride, width int) {
		if stride > 1<<20 || width > 1<<20 {
			t.Skip()
		}
		_, _ = ReadWatermark(plane, stride, width) // must not panic
	})
}

func TestCRC16(t *testing.T) {
	if got := crc16([]byte("123456789")); got != 0x29b1 { // check value of CRC-16/CCITT-FALSE
		t.Fatalf("got %#x", got)
	}
}

func TestEveryFrameDiffers(t *testing.T) {
	c := New()
	var last []byte
	for range 300 {
		picture, sound := c.Step(&[shm.Ports]shm.Pad{})
		if err := picture.Check(); err != nil {
			t.Fatal(err)
		}
		if len(sound) != 1600 {
			t.Fatalf("%d samples", len(sound))
		}
		below := picture.Data[barsTop*stride:]
		if bytes.Equal(below, last) {
			t.Fatal("two frames are the same below the watermark")
		}
		last = append(last[:0], below...)
	}
}

func TestInputIsEchoed(t *testing.T) {
	draw := func(pads [shm.Ports]shm.Pad) []byte {
		picture, _ := New().Step(&pads)
		return bytes.Clone(picture.Data[barsTop*stride:])
	}
	idle := draw([shm.Ports]shm.Pad{})
	seen := map[string]string{string(idle): "idle"}
	for port := range shm.Ports {
		for button := range 16 {
			var pads [shm.Ports]shm.Pad
			pads[port].Buttons = 1 << button
			got := draw(pads)
			if button == 8 {
				if !allWhite(got) {
					t.Fatalf("port %d: A does not turn the picture white", port)
				}
				continue
			}
			if other, ok := seen[string(got)]; ok {
				t.Fatalf("port %d button %d looks like %s", port, button, other)
			}
			seen[string(got)] = "another button"
		}
		for axis := range 4 {
			for _, v := range []int16{math.MinInt16, math.MaxInt16} {
				var pads [shm.Ports]shm.Pad
				*[]*int16{&pads[port].LX, &pads[port].LY, &pads[port].RX, &pads[port].RY}[axis] = v
				got := draw(pads)
				if other, ok := seen[string(got)]; ok {
					t.Fatalf("port %d axis %d at %d looks like %s", port, axis, v, other)
				}
				seen[string(got)] = "another axis"
			}
		}
	}
}

func allWhite(pixels []byte) bool {
	for i := 0; i < len(pixels); i += 4 {
		if pixels[i] != 255 || pixels[i+1] != 255 || pixels[i+2] != 255 {
			return false
		}
	}
	return true
}

func TestStateGoesOn(t *testing.T) {
	a, b := New(), New()
	for range 77 {
		a.Step(&[shm.Ports]shm.Pad{})
	}
	state := make([]byte, 100)
	n, err := a.Serialize(state)
	if err != nil {
		t.Fatal(err)
	}
	state = state[:n]
	if err := b.Unserialize(state); err != nil {
		t.Fatal(err)
	}
	pa, sa := a.Step(&[shm.Ports]shm.Pad{})
	pb, sb := b.Step(&[shm.Ports]shm.Pad{})
	if !bytes.Equal(pa.Data, pb.Data) || sa[100] != sb[100] || b.Counter() != 78 {
		t.Fatal("the copy goes on differently")
	}
	for _, bad := range [][]byte{nil, make([]byte, 8), make([]byte, 9)} {
		if err := b.Unserialize(bad); !errors.Is(err, ErrState) {
			t.Fatalf("%v: %v", bad, err)
		}
	}
	if _, err := a.Serialize(nil); !errors.Is(err, ErrState) {
		t.Fatalf("serialize into nothing: %v", err)
	}
}

// The tone has no click between frames: no step is larger than the steepest of its sine.
func TestToneIsContinuous(t *testing.T) {
	c := New()
	last := [2]int16{}
	steepest := toneLevel * math.MaxInt16 * 2 * math.Pi * rightHz / SampleRate
	limit := int16(steepest) + 2
	for range 10 {
		_, sound := c.Step(&[shm.Ports]shm.Pad{})
		for i, v := range sound {
			if d := v - last[i%2]; d > limit || d < -limit {
				t.Fatalf("step of %d", d)
			}
			last[i%2] = v
		}
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	c := New()
	var pads [shm.Ports]shm.Pad
	if n := testing.AllocsPerRun(100, func() { c.Step(&pads) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkStep(b *testing.B) {
	c := New()
	var pads [shm.Ports]shm.Pad
	for b.Loop() {
		c.Step(&pads)
	}
}
