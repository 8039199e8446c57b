//go:build cgo

package libretro_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cloudretro/cloudretro/worker/libretro"
	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

func state(tb testing.TB, core *libretro.Core) []byte {
	tb.Helper()
	buf := make([]byte, core.StateSize())
	n, err := core.Serialize(buf)
	if err != nil {
		tb.Fatalf("Serialize: %v", err)
	}
	return buf[:n]
}

func TestSerialize(t *testing.T) {
	core := play(t)
	core.SetPad(0, libretro.ButtonRight, [4]int16{})
	run(t, core, 10)
	saved := state(t, core)
	picture := bytes.Clone(run(t, core, 5).Picture.Data)
	run(t, core, 20)
	if err := core.Unserialize(saved); err != nil {
		t.Fatalf("Unserialize: %v", err)
	}
	if !bytes.Equal(saved, state(t, core)) {
		t.Error("the state is not what was restored")
	}
	out := run(t, core, 5)
	if got := libretrotest.Counter(out.Picture); got != 15 || !bytes.Equal(out.Picture.Data, picture) {
		t.Errorf("after restoring, the counter is %d, want 15, and the picture the same", got)
	}
}

func TestSerializeErrors(t *testing.T) {
	core := play(t, "state_size=1000")
	if size := core.StateSize(); size != 1000 {
		t.Errorf("StateSize = %d, want 1000", size)
	}
	for _, size := range []int{0, 1, 999} {
		if n, err := core.Serialize(make([]byte, size)); !errors.Is(err, libretro.ErrState) || n != 0 {
			t.Errorf("Serialize into %d bytes: %d, %v", size, n, err)
		}
	}
	if n, err := core.Serialize(make([]byte, 5000)); err != nil || n != 1000 {
		t.Errorf("Serialize into 5000 bytes: %d, %v", n, err)
	}
	for _, src := range [][]byte{nil, {}, {1}, make([]byte, 1000), make([]byte, libretro.MaxStateSize+1)} {
		if err := core.Unserialize(src); !errors.Is(err, libretro.ErrState) {
			t.Errorf("Unserialize of %d bytes: %v", len(src), err)
		}
	}
}

func TestReset(t *testing.T) {
	core := play(t)
	run(t, core, 10)
	if err := core.Reset(); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	if got := libretrotest.Counter(run(t, core, 1).Picture); got != 1 {
		t.Errorf("counter = %d, want 1", got)
	}
}

func TestMemory(t *testing.T) {
	core := play(t)
	ram := core.Memory(libretro.MemorySaveRAM)
	if len(ram) != 32 {
		t.Fatalf("save RAM has %d bytes, want 32", len(ram))
	}
	copy(ram, "saved")
	if got := core.Memory(libretro.MemorySaveRAM); string(got[:5]) != "saved" {
		t.Errorf("save RAM = %q", got)
	}
	for _, id := range []libretro.MemoryID{libretro.MemoryRTC, libretro.MemorySystemRAM, libretro.MemoryVideoRAM, 99} {
		if got := core.Memory(id); got != nil {
			t.Errorf("memory %d has %d bytes", id, len(got))
		}
	}
}
