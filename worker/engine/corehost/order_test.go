package corehost

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloudretro/cloudretro/worker/engine/shm"
	"github.com/cloudretro/cloudretro/worker/engine/wire"
)

// obeyed gives a ticker an order, runs a frame and returns what became of it.
func obeyed(t *testing.T, tk *ticker, o order) wire.Outcome {
	t.Helper()
	tk.orders.Store(&o)
	runFrames(t, tk, 1)
	var b batch
	if !tk.handoff.take(&b) || len(b.outcomes) != 1 {
		t.Fatalf("outcomes %+v", b.outcomes)
	}
	return b.outcomes[0]
}

// place puts bytes where a worker would and returns the order to load them.
func place(t *testing.T, m *shm.Memory, id uint32, state string) order {
	t.Helper()
	size, sum, err := m.PutState(func(dst []byte) (int, error) { return copy(dst, state), nil })
	if err != nil {
		t.Fatal(err)
	}
	return order{wire.Order{ID: id, Size: uint32(size), Sum: sum}, true}
}

func newOrderTicker(t *testing.T, m *fakeMachine) *ticker {
	t.Helper()
	tk, _, _ := newTicker(t, m)
	tk.orders = &atomic.Pointer[order]{}
	runFrames(t, tk, 1)
	var b batch
	tk.handoff.take(&b)
	return tk
}

func TestTickerSavesAndLoads(t *testing.T) {
	m := &fakeMachine{state: []byte("now")}
	tk := newOrderTicker(t, m)
	out := obeyed(t, tk, order{Order: wire.Order{ID: 5}})
	if saved, err := tk.memory.State(int(out.Size), out.Sum); err != nil || string(saved) != "now" || out.ID != 5 || out.Text != "" {
		t.Errorf("saved %q, %v, outcome %+v", saved, err, out)
	}
	m.onStep = func(*[shm.Ports]shm.Pad, *output) error { // what is loaded before a frame is seen in it
		if string(m.restored) != "then" {
			t.Errorf("the frame ran at %q", m.restored)
		}
		return nil
	}
	before := tk.stats.Snapshots
	m.state = []byte("then")
	if out := obeyed(t, tk, place(t, tk.memory, 6, "then")); out.ID != 6 || out.Text != "" {
		t.Errorf("outcome %+v", out)
	}
	if data, _, err := tk.memory.ReadSnapshot(); err != nil || string(data) != "then" || tk.stats.Snapshots != before+2 {
		t.Errorf("the snapshot is %q, %v", data, err)
	}
}

func TestTickerRefusesOrders(t *testing.T) {
	m := &fakeMachine{state: []byte("now"), stateErr: errors.New("this core saves nothing")}
	tk := newOrderTicker(t, m)
	if out := obeyed(t, tk, order{}); !strings.Contains(out.Text, "saves nothing") || out.Size != 0 {
		t.Errorf("outcome %+v", out)
	}
	m.stateErr, m.refuse = nil, 1
	out := obeyed(t, tk, place(t, tk.memory, 2, "foreign"))
	if !strings.Contains(out.Text, "not yet") || string(m.restored) != "now" {
		t.Errorf("outcome %+v, the machine is at %q", out, m.restored)
	}
	damaged := place(t, tk.memory, 3, "damaged")
	damaged.Sum++
	if out := obeyed(t, tk, damaged); out.Text == "" || string(m.restored) != "now" {
		t.Errorf("outcome %+v, the machine is at %q", out, m.restored)
	}
	m.refuse = 2 // it does not even take its own state back
	if out := obeyed(t, tk, place(t, tk.memory, 4, "foreign")); out.Text == "" {
		t.Errorf("outcome %+v", out)
	}
	m.refuse, m.stateErr, m.restored = 1, errors.New("cannot"), nil
	if out := obeyed(t, tk, place(t, tk.memory, 5, "foreign")); out.Text == "" || m.restored != nil {
		t.Errorf("outcome %+v: it went back to an old snapshot", out)
	}
}

// An order waits for the first frame: before it, some cores have no state.
func TestOrdersBeforeTheFirstFrame(t *testing.T) {
	m := &fakeMachine{state: []byte("now")}
	tk, _, _ := newTicker(t, m)
	tk.orders = &atomic.Pointer[order]{}
	tk.orders.Store(&order{Order: wire.Order{ID: 1}})
	var b batch
	runFrames(t, tk, 1)
	if tk.handoff.take(&b); len(b.outcomes) != 0 {
		t.Errorf("outcomes %+v after no frame", b.outcomes)
	}
	runFrames(t, tk, 1)
	if tk.handoff.take(&b); len(b.outcomes) != 1 {
		t.Errorf("outcomes %+v", b.outcomes)
	}
}

// Outcomes wait for encoders that are slow, but not without bound.
func TestOutcomesWait(t *testing.T) {
	tk := newOrderTicker(t, &fakeMachine{state: []byte("now")})
	for i := range uint32(2 * maxOutcomesWaiting) {
		tk.orders.Store(&order{Order: wire.Order{ID: i}})
		runFrames(t, tk, 2)
	}
	var b batch
	if tk.handoff.take(&b); len(b.outcomes) != maxOutcomesWaiting || b.outcomes[1].ID != 1 {
		t.Errorf("outcomes %+v", b.outcomes)
	}
	runFrames(t, tk, 1)
	if tk.handoff.take(&b); len(b.outcomes) != 0 {
		t.Errorf("told twice: %+v", b.outcomes)
	}
}

// A whole core process answers an order over its socket.
func TestHostAnswersOrders(t *testing.T) {
	conn, r, code := host(t, &fakes{}, startMessage(t, wire.Spec{Kind: wire.KindTestCard}))
	if _, _, err := r.Next(); err != nil {
		t.Fatal(err)
	}
	for _, o := range []struct {
		kind wire.Type
		ok   bool
	}{{wire.TypeSave, true}, {wire.TypeLoad, false}} {
		msg, err := wire.AppendMessage(nil, o.kind, wire.Order{ID: uint32(o.kind)}.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		written := make(chan error, 1)
		go func() { _, err := conn.Write(msg); written <- err }() // it may be writing
		kind, payload := wire.Type(0), []byte(nil)
		for kind != wire.TypeOutcome {
			if kind, payload, err = r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		out, err := wire.ParseOutcome(payload)
		if err != nil || out.ID != uint32(o.kind) || (out.Text == "") != o.ok {
			t.Errorf("order %d: %+v, %v", o.kind, out, err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	conn.Close()
	<-code
}
