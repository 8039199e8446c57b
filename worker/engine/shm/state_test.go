//go:build linux

package shm

import (
	"errors"
	"testing"
)

func TestStatesGoBothWays(t *testing.T) {
	_, core, file := pair(t, 5000) // rounded up to 8192
	for _, want := range []string{"a state", "a longer state", "b"} {
		size, sum, err := core.PutState(func(dst []byte) (int, error) { return copy(dst, want), nil })
		if err != nil {
			t.Fatal(err)
		}
		if got, err := TakeState(file, 5000, size, sum); err != nil || string(got) != want {
			t.Errorf("took %q, %v", got, err)
		}
		sum, err = GiveState(file, 5000, []byte(want+"!"))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := core.State(len(want)+1, sum); err != nil || string(got) != want+"!" {
			t.Errorf("was given %q, %v", got, err)
		}
	}
	full := func(dst []byte) (int, error) { return len(dst), nil }
	if size, _, err := core.PutState(full); err != nil || size != 8192 {
		t.Errorf("%d bytes, %v", size, err)
	}
}

// A state on its way leaves the snapshots alone.
func TestStatesAreNoSnapshots(t *testing.T) {
	_, core, file := pair(t, 4096)
	fill := func(b byte) func([]byte) (int, error) {
		return func(dst []byte) (int, error) {
			for i := range dst {
				dst[i] = b
			}
			return len(dst), nil
		}
	}
	for b := range byte(2) {
		if _, err := core.WriteSnapshot(fill(b + 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := GiveState(file, 4096, make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := core.PutState(fill(9)); err != nil {
		t.Fatal(err)
	}
	data, _, err := core.ReadSnapshot()
	if err != nil || len(data) != 4096 || data[0] != 2 || data[4095] != 2 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
}

func TestDamagedStates(t *testing.T) {
	_, core, file := pair(t, 4096)
	size, sum, err := core.PutState(func(dst []byte) (int, error) { return copy(dst, "state"), nil })
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		size int
		sum  uint32
	}{"sum": {size, sum + 1}, "short": {size - 1, sum}, "none": {0, sum}, "negative": {-1, sum}, "huge": {1 << 40, sum}} {
		if _, err := TakeState(file, 4096, c.size, c.sum); !errors.Is(err, ErrState) {
			t.Errorf("%s: taken: %v", name, err)
		}
		if _, err := core.State(c.size, c.sum); !errors.Is(err, ErrState) {
			t.Errorf("%s: given: %v", name, err)
		}
	}
	for _, size := range []int{0, 4097} {
		if _, err := GiveState(file, 4096, make([]byte, size)); !errors.Is(err, ErrState) {
			t.Errorf("gave %d bytes: %v", size, err)
		}
	}
}

func TestStatesThatCannotBePut(t *testing.T) {
	broken := errors.New("broken")
	_, core, _ := pair(t, 4096)
	for name, c := range map[string]struct {
		size int
		err  error
		want error
	}{"refused": {5, broken, broken}, "nothing": {0, nil, ErrState}, "too much": {4097, nil, ErrState}} {
		if _, _, err := core.PutState(func([]byte) (int, error) { return c.size, c.err }); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	worker, none, _ := pair(t, 0)
	for name, m := range map[string]*Memory{"without room": none, "the worker's side": worker} {
		if _, _, err := m.PutState(nil); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
