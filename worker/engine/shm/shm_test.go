//go:build linux

package shm

import (
	"bytes"
	"errors"
	"math"
	"os"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// pair returns the worker's and the core process's view of one memory.
func pair(t testing.TB, snapshot int) (worker, core *Memory, file *os.File) {
	t.Helper()
	worker, file, err := Create(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	core, err = Open(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, c := range []interface{ Close() error }{worker, core, file} {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return worker, core, file
}

func TestPadsReachTheCoreProcess(t *testing.T) {
	worker, core, _ := pair(t, 0)
	want := Pad{Buttons: 0xa5a5, LX: math.MinInt16, LY: math.MaxInt16, RX: -1, RY: 12345}
	worker.SetPad(3, want)
	worker.SetPad(Ports-1, Pad{Buttons: 1})
	worker.SetPad(-1, Pad{Buttons: 0xffff})
	worker.SetPad(Ports, Pad{Buttons: 0xffff})
	var got [Ports]Pad
	core.ReadPads(&got)
	for port, p := range got {
		switch {
		case port == 3 && p != want, port == Ports-1 && p.Buttons != 1, port != 3 && port != Ports-1 && p != (Pad{}):
			t.Errorf("port %d: %+v", port, p)
		}
	}
}

func TestPressesAreLatched(t *testing.T) {
	const a, b = 1 << 8, 1 << 0
	type step struct {
		set  []uint16 // states before the frame
		want uint16   // what the frame sees
	}
	tests := map[string][]step{
		"held":                     {{[]uint16{a}, a}, {nil, a}, {[]uint16{0}, 0}},
		"shorter than a frame":     {{[]uint16{a, 0}, a}, {nil, 0}},
		"two short ones":           {{[]uint16{a, 0, b, 0}, a | b}, {nil, 0}},
		"repeated state":           {{[]uint16{a}, a}, {[]uint16{a, 0}, 0}},
		"released and pressed":     {{[]uint16{a}, a}, {[]uint16{0, a}, a}, {[]uint16{0}, 0}},
		"press while other held":   {{[]uint16{a}, a}, {[]uint16{a | b, a}, a | b}, {nil, a}},
		"nothing":                  {{nil, 0}},
		"last state wins, release": {{[]uint16{a, b, 0}, a | b}, {nil, 0}},
	}
	for name, steps := range tests {
		t.Run(name, func(t *testing.T) {
			worker, core, _ := pair(t, 0)
			for i, s := range steps {
				for _, buttons := range s.set {
					worker.SetPad(1, Pad{Buttons: buttons})
				}
				var got [Ports]Pad
				core.ReadPads(&got)
				if got[1].Buttons != s.want {
					t.Fatalf("frame %d sees %#x, want %#x", i, got[1].Buttons, s.want)
				}
			}
		})
	}
}

// No press is lost while both sides are at it.
func TestPressesAreNotLostInARace(t *testing.T) {
	worker, core, _ := pair(t, 0)
	const presses = 2000
	var wg sync.WaitGroup
	seen := make(chan struct{})
	wg.Go(func() {
		for range presses {
			worker.SetPad(0, Pad{Buttons: 1})
			worker.SetPad(0, Pad{})
			<-seen
		}
	})
	var pads [Ports]Pad
	for range presses {
		for pads[0].Buttons == 0 {
			core.ReadPads(&pads)
		}
		pads[0].Buttons = 0
		seen <- struct{}{}
	}
	wg.Wait()
}

func TestProgress(t *testing.T) {
	worker, core, _ := pair(t, 0)
	for i := range uint64(3) {
		if got := worker.Progress(); got != i {
			t.Fatalf("progress %d, want %d", got, i)
		}
		core.Advance()
	}
}

func write(t *testing.T, m *Memory, data []byte) {
	t.Helper()
	n, err := m.WriteSnapshot(func(dst []byte) (int, error) { return copy(dst, data), nil })
	if err != nil || n != len(data) {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(data), err)
	}
}

func TestNewestSnapshotIsRead(t *testing.T) {
	_, core, file := pair(t, 100000)
	if _, _, err := core.ReadSnapshot(); !errors.Is(err, ErrNoSnapshot) {
		t.Fatalf("before the first: %v", err)
	}
	for i := range 5 {
		write(t, core, bytes.Repeat([]byte{byte(i)}, 1000+i))
		next, err := Open(file) // as the next core process
		if err != nil {
			t.Fatal(err)
		}
		data, seq, err := next.ReadSnapshot()
		if err != nil || seq != uint64(i+1) || !bytes.Equal(data, bytes.Repeat([]byte{byte(i)}, 1000+i)) {
			t.Fatalf("snapshot %d: %d bytes, seq %d, %v", i, len(data), seq, err)
		}
		if err := next.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeathWhileWritingLeavesTheOtherSnapshot(t *testing.T) {
	_, core, _ := pair(t, 4096)
	write(t, core, []byte("first"))
	write(t, core, []byte("second"))
	died := errors.New("died")
	if _, err := core.WriteSnapshot(func(dst []byte) (int, error) { copy(dst, "thi"); return 0, died }); !errors.Is(err, died) {
		t.Fatal(err)
	}
	if data, seq, err := core.ReadSnapshot(); err != nil || string(data) != "second" || seq != 2 {
		t.Fatalf("%q, %d, %v", data, seq, err)
	}
	write(t, core, []byte("fourth"))
	if data, _, err := core.ReadSnapshot(); err != nil || string(data) != "fourth" {
		t.Fatalf("%q, %v", data, err)
	}
}

func TestDamagedSnapshotIsNotRead(t *testing.T) {
	_, core, _ := pair(t, 4096)
	write(t, core, []byte("first"))
	write(t, core, []byte("second"))
	_, newer := core.order()
	newer.data[0] ^= 1
	if data, _, err := core.ReadSnapshot(); err != nil || string(data) != "first" {
		t.Fatalf("%q, %v", data, err)
	}
	older, _ := core.order()
	older.header.length.Store(math.MaxUint64)
	if data, _, err := core.ReadSnapshot(); !errors.Is(err, ErrNoSnapshot) {
		t.Fatalf("%q, %v", data, err)
	}
}

func TestSnapshotBounds(t *testing.T) {
	worker, core, _ := pair(t, 5000)
	if got := core.SnapshotSize(); got != 8192 {
		t.Errorf("room of %d bytes", got)
	}
	for _, n := range []int{-1, 0, 8193} {
		if _, err := core.WriteSnapshot(func([]byte) (int, error) { return n, nil }); err == nil {
			t.Errorf("%d bytes passed", n)
		}
	}
	if _, err := worker.WriteSnapshot(nil); !errors.Is(err, ErrNoSnapshot) || worker.SnapshotSize() != 0 {
		t.Errorf("the worker writes: %v", err)
	}
	if _, _, err := worker.ReadSnapshot(); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("the worker reads: %v", err)
	}
	_, none, _ := pair(t, 0)
	if _, err := none.WriteSnapshot(nil); !errors.Is(err, ErrNoSnapshot) {
		t.Errorf("without room: %v", err)
	}
	for _, size := range []int{-1, MaxSnapshot + 1} {
		if _, _, err := Create(size); err == nil {
			t.Errorf("room for %d bytes", size)
		}
	}
}

func TestMemoryCannotBeResized(t *testing.T) {
	_, _, file := pair(t, 4096)
	for _, size := range []int64{0, 4096, 1 << 30} {
		if err := file.Truncate(size); !errors.Is(err, unix.EPERM) {
			t.Errorf("truncate to %d: %v", size, err)
		}
	}
}

func TestOpenRefusesOtherFiles(t *testing.T) {
	for name, size := range map[string]int64{"empty": 0, "page": 4096, "odd": fixedSize + 1, "zeros": fixedSize} {
		t.Run(name, func(t *testing.T) {
			file, err := os.Create(t.TempDir() + "/f")
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if err := file.Truncate(size); err != nil {
				t.Fatal(err)
			}
			if m, err := Open(file); !errors.Is(err, ErrLayout) {
				t.Errorf("%v, %v", m, err)
			}
		})
	}
}

func TestCloseTwice(t *testing.T) {
	m, file, err := Create(0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 2 {
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	worker, core, _ := pair(t, 4096)
	var pads [Ports]Pad
	serialize := func(dst []byte) (int, error) { return 100, nil }
	if n := testing.AllocsPerRun(100, func() {
		worker.SetPad(0, Pad{Buttons: 1})
		core.ReadPads(&pads)
		core.Advance()
		_, _ = core.WriteSnapshot(serialize)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReadPads(b *testing.B) {
	_, core, _ := pair(b, 0)
	var pads [Ports]Pad
	for b.Loop() {
		core.ReadPads(&pads)
	}
}

func BenchmarkWriteSnapshot(b *testing.B) {
	_, core, _ := pair(b, 1<<20)
	b.SetBytes(1 << 20)
	for b.Loop() {
		_, _ = core.WriteSnapshot(func(dst []byte) (int, error) { return len(dst), nil })
	}
}
