package input

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

func datagram(seq uint32, buttons ...uint16) *Datagram {
	d := &Datagram{Seq: seq, N: len(buttons)}
	for i, b := range buttons {
		d.States[i].Buttons = b
	}
	return d
}

func TestDecode(t *testing.T) {
	good := (&Datagram{Seq: 0xfffffffe, N: 2, States: [MaxStates]State{
		{Buttons: 0x8001, LX: -32768, LY: 32767, RX: -1, RY: 1}, {Buttons: 2},
	}}).Append(nil)
	tests := []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"two states", good, true},
		{"empty", nil, false},
		{"header only", good[:HeaderSize], false},
		{"one byte short", good[:len(good)-1], false},
		{"one byte long", append(bytes.Clone(good), 0), false},
		{"version 0", append([]byte{0}, good[1:]...), false},
		{"version 2", append([]byte{2}, good[1:]...), false},
		{"no states", []byte{1, 0, 0, 0, 0, 1}, false},
		{"five states", append([]byte{1, 5, 0, 0, 0, 1}, make([]byte, 5*StateSize)...), false},
		{"255 states", append([]byte{1, 255}, make([]byte, 4+255*StateSize)...), false},
		{"text", []byte(`{"type":"ping"}`), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := Datagram{Seq: 77}
			err := d.Decode(tt.in)
			if tt.ok {
				if err != nil || !bytes.Equal(d.Append(nil), tt.in) {
					t.Fatalf("Decode = %+v, %v", d, err)
				}
				return
			}
			if !errors.Is(err, ErrDatagram) || d.Seq != 77 {
				t.Fatalf("Decode = %+v, %v; want ErrDatagram and no change", d, err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(datagram(1, 1).Append(nil))
	f.Add(datagram(0xffffffff, 1, 2, 3, 4).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Datagram
		if d.Decode(b) != nil {
			return
		}
		if d.N < 1 || d.N > MaxStates || !bytes.Equal(d.Append(nil), b) {
			t.Fatalf("%x decoded to %+v", b, d)
		}
	})
}

func TestKeeperApply(t *testing.T) {
	tests := []struct {
		name string
		in   []*Datagram
		want []uint16
	}{
		{"first takes all it carries", []*Datagram{datagram(3, 0, 1, 2)}, []uint16{2, 1, 0}},
		{"in order", []*Datagram{datagram(1, 1), datagram(2, 2, 1), datagram(3, 3, 2, 1)}, []uint16{1, 2, 3}},
		{"a lost press comes with the release", []*Datagram{datagram(1, 0), datagram(3, 0, 1, 0)}, []uint16{0, 1, 0}},
		{"more lost than carried", []*Datagram{datagram(1, 9), datagram(10, 4, 3, 2, 1)}, []uint16{9, 1, 2, 3, 4}},
		{"doubled", []*Datagram{datagram(5, 1), datagram(5, 1)}, []uint16{1}},
		{"reordered", []*Datagram{datagram(1, 1), datagram(3, 3, 2), datagram(2, 2, 1)}, []uint16{1, 2, 3}},
		{"around zero", []*Datagram{datagram(0xffffffff, 1), datagram(1, 3, 2, 1), datagram(0xffffffff, 1)}, []uint16{1, 2, 3}},
		{"half the circle behind", []*Datagram{datagram(0x80000001, 1), datagram(1, 2)}, []uint16{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var k Keeper
			var got []uint16
			for _, d := range tt.in {
				k.Apply(d, time.Time{}, func(s State) { got = append(got, s.Buttons) })
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Fatalf("states %v, want %v", got, tt.want)
			}
			if k.State().Buttons != tt.want[len(tt.want)-1] {
				t.Fatalf("State = %v", k.State())
			}
		})
	}
}

func TestKeeperDeadMan(t *testing.T) {
	var k Keeper
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	var sets int
	set := func(State) { sets++ }

	if _, held := k.Deadline(); held || k.Expire(at(10_000)) {
		t.Fatal("a fresh keeper holds something")
	}
	k.Apply(datagram(1, 1), at(0), set)
	k.Apply(datagram(1, 1), at(300), set) // kept alive, same state
	if k.Expire(at(799)) {
		t.Fatal("let go before the silence was long enough")
	}
	if deadline, held := k.Deadline(); !held || !deadline.Equal(at(800)) {
		t.Fatalf("Deadline = %v, %v", deadline, held)
	}
	if !k.Expire(at(800)) || k.State().Held() || k.Expire(at(900)) {
		t.Fatal("did not let go exactly once")
	}
	k.Apply(datagram(0, 1), at(950), set)
	if k.State().Held() {
		t.Fatal("an old datagram pressed again")
	}
	k.Apply(datagram(1, 1), at(1000), set)
	if !k.State().Held() || sets != 2 {
		t.Fatalf("the same state did not press again after the pause: %v, %d sets", k.State(), sets)
	}
	k.Apply(datagram(2, 0, 1), at(1100), set)
	if _, held := k.Deadline(); held {
		t.Fatal("released, but still a deadline")
	}
}

func TestKeeperRelease(t *testing.T) {
	var k Keeper
	var got []uint16
	set := func(s State) { got = append(got, s.Buttons) }
	k.Apply(datagram(7, 2, 1), time.Time{}, set)
	k.Release()
	if k.State().Held() {
		t.Fatal("still held")
	}
	k.Apply(datagram(7, 2, 1), time.Time{}, set)
	k.Apply(datagram(8, 3, 2), time.Time{}, set)
	if want := []uint16{1, 2, 2, 3}; !reflect.DeepEqual(got, want) {
		t.Fatalf("states %v, want %v", got, want)
	}
}

// TestKeeperLoss sends a random play over a channel that loses and reorders: the
// end state is right and no press shorter than the redundancy is ever lost.
func TestKeeperLoss(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var k Keeper
	history := make([]State, 0, 3000)
	seen := map[uint16]bool{}
	lostInRow := 0
	for i := range 3000 {
		history = append(history, State{Buttons: uint16(i + 1)})
		d := Datagram{Seq: uint32(i) - 1500}
		for d.N < MaxStates && d.N <= i {
			d.States[d.N] = history[i-d.N]
			d.N++
		}
		if i < 2999 && lostInRow < MaxStates-1 && rng.IntN(3) == 0 {
			lostInRow++
			continue
		}
		lostInRow = 0
		k.Apply(&d, time.Time{}, func(s State) { seen[s.Buttons] = true })
	}
	if len(seen) != 3000 || k.State() != history[2999] {
		t.Fatalf("%d of 3000 states arrived, end state %v", len(seen), k.State())
	}
}
