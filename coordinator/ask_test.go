package coordinator

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// reserve asks a link for a place in the background.
func reserve(ctx context.Context, w *workerLink, wait bool) <-chan error {
	out := make(chan error, 1)
	go func() {
		_, err := w.ask(ctx, signal.TypeReserve, "", signal.Reserve{Ticket: "t", Game: "pong", Wait: wait}, time.Second)
		out <- err
	}()
	return out
}

// A place that is asked for is not free, nor is one that was given, until the
// worker says what is.
func TestFreePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := link("w", loose(), nil) // 4 of 4 are free
		given, refused, standing := reserve(t.Context(), w, false), reserve(t.Context(), w, false), reserve(t.Context(), w, true)
		requests := map[bool][]signal.Envelope{}
		for range 3 {
			e := w.sock.sent(t, signal.TypeReserve)
			wait := read[signal.Reserve](t, e).Wait
			requests[wait] = append(requests[wait], e)
		}
		synctest.Wait()
		if n := w.free(); n != 2 {
			t.Errorf("%d are free while two are asked for", n)
		}
		w.resolve(signal.Envelope{Type: signal.TypeReserved, ID: requests[false][0].ID})
		w.resolve(signal.Envelope{Type: signal.TypeError, ID: requests[false][1].ID, Data: []byte(`{"code":"full","message":"m"}`)})
		w.resolve(signal.Envelope{Type: signal.TypeReserved, ID: requests[true][0].ID})
		errs := []error{<-given, <-refused, <-standing}
		slices.SortFunc(errs, func(a, b error) int { // which of the two was first is open
			if (a == nil) == (b == nil) {
				return 0
			}
			if a == nil {
				return -1
			}
			return 1
		})
		if errs[0] != nil || errs[1] != nil || signal.AsError(errs[2]).Code != signal.CodeFull {
			t.Errorf("%v", errs)
		}
		if n := w.free(); n != 3 {
			t.Errorf("%d are free when one is given", n)
		}
		w.setLoad(signal.Load{State: signal.StateReady, Places: 4, Free: 3})
		if n := w.free(); n != 3 {
			t.Errorf("%d are free as the worker says 3", n)
		}
		end := w.begin()
		w.setLoad(signal.Load{State: signal.StateReady, Places: 4, Free: 2})
		end(true) // its place may be in the load already
		if n := w.free(); n != 2 {
			t.Errorf("%d are free as the worker says 2", n)
		}
		w.begin()(true)
		if n := w.free(); n != 1 {
			t.Errorf("%d are free", n)
		}
		time.Sleep(grantsHold)
		if n := w.free(); n != 2 {
			t.Errorf("%d are free long after one was given: the load that counts it seems to be lost", n)
		}
	})
}

func TestAskIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := link("w", loose(), nil)
		measured := 0
		w.answered = func(time.Duration) { measured++ }
		begin := time.Now()
		if err := <-reserve(t.Context(), w, false); signal.AsError(err).Code != signal.CodeFailed || time.Since(begin) != time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		e := w.sock.sent(t, signal.TypeReserve)
		if w.resolve(e) || len(w.pending) != 0 || w.loadNow(time.Now()).Free != 4 {
			t.Error("a late answer finds somebody")
		}
		if w.free() != 0 {
			t.Error("it is asked again at once")
		}
		time.Sleep(missFor)
		ctx, cancel := context.WithCancel(t.Context())
		out := reserve(ctx, w, false)
		w.sock.sent(t, signal.TypeReserve)
		cancel()
		if err := <-out; signal.AsError(err).Code != signal.CodeFailed {
			t.Error(err)
		}
		out = reserve(t.Context(), w, false)
		e = w.sock.sent(t, signal.TypeReserve)
		w.resolve(signal.Envelope{Type: signal.TypeError, ID: e.ID, Data: []byte(`{"code":"NO"}`)})
		if err := <-out; signal.AsError(err).Code != signal.CodeFailed {
			t.Error(err)
		}
		out = reserve(t.Context(), w, false)
		w.sock.sent(t, signal.TypeReserve)
		w.sock.cut(1000, "")
		if err := <-out; signal.AsError(err).Code != signal.CodeNoWorker {
			t.Error(err)
		}
		if err := <-reserve(t.Context(), w, false); signal.AsError(err).Code != signal.CodeNoWorker {
			t.Error(err)
		}
		if measured != 1 {
			t.Errorf("%d answers were measured", measured)
		}
		if w.free() != 4 || len(w.pending) != 0 {
			t.Error("something is left")
		}
	})
}

func TestAwaitReadsAnswers(t *testing.T) {
	w := link("w", loose(), nil)
	for name, test := range map[string]struct {
		e    signal.Envelope
		want signal.Code
	}{
		"another type": {signal.Envelope{Type: signal.TypeDone}, signal.CodeFailed},
		"malformed":    {signal.Envelope{Type: signal.TypeAnswer, Data: []byte(`{}`)}, signal.CodeFailed},
		"refused":      {signal.Envelope{Type: signal.TypeError, Data: []byte(`{"code":"draining","message":"m"}`)}, signal.CodeDraining},
	} {
		id, answer, forget := w.expect()
		test.e.ID = id
		if !w.resolve(test.e) || w.resolve(test.e) {
			t.Errorf("%s: an answer counts once", name)
		}
		if _, err := w.await(t.Context(), answer, patient); signal.AsError(err).Code != test.want {
			t.Errorf("%s: %v", name, err)
		}
		forget()
	}
}

func TestPendingIsBounded(t *testing.T) {
	w := link("w", loose(), nil)
	for range maxPending {
		w.expect()
	}
	_, answer, forget := w.expect()
	defer forget()
	if _, err := w.await(t.Context(), answer, patient); signal.AsError(err).Code != signal.CodeBusy {
		t.Errorf("one more: %v", err)
	}
}

// staff is n workers at a door that answer List and End as they are told to.
func staff(d *door, n int, answer func(w *worker, e signal.Envelope)) (all []*worker, wait func()) {
	var group sync.WaitGroup
	for range n {
		w := d.worker(nil)
		all = append(all, w)
		group.Go(func() {
			for e := range w.in {
				answer(w, e)
			}
		})
	}
	return all, group.Wait
}

func TestListSessions(t *testing.T) {
	d := start(t, func(c *Config) { c.Logger = nil })
	var quiet sync.Map
	all, wait := staff(d, 5, func(w *worker, e signal.Envelope) {
		if _, ok := quiet.Load(w.id); ok || e.Type != signal.TypeList {
			return
		}
		w.say(signal.TypeSessions, e.ID, "", signal.Sessions{Sessions: []signal.SessionInfo{
			{ID: w.id + "-s", Room: signal.NewID(), Game: "pong", Since: 5}, {ID: "first", Room: signal.NewID(), Game: "pong", Since: 1},
		}})
	})
	sessions, missing := d.registry.list(t.Context())
	if len(sessions) != 10 || len(missing) != 0 || sessions[0].ID != "first" || sessions[9].ID != sessions[9].Worker+"-s" {
		t.Errorf("%+v, missing %v", sessions, missing)
	}
	quiet.Store(all[2].id, true)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if sessions, missing = d.registry.list(ctx); len(sessions) != 8 || !slices.Equal(missing, []string{all[2].id}) {
		t.Errorf("%d sessions, missing %v", len(sessions), missing)
	}
	d.stop()
	wait()
}

func TestEnd(t *testing.T) {
	d := start(t, func(c *Config) { c.Logger = nil })
	room := signal.NewID()
	all, wait := staff(d, 3, func(w *worker, e signal.Envelope) {
		if e.Type != signal.TypeEnd {
			return
		}
		switch end := read[signal.End](t, e); {
		case end.Session == w.id || end.Room == room:
			w.say(signal.TypeDone, e.ID, "", nil)
		case end.Session == "broken":
			w.say(signal.TypeError, e.ID, "", signal.Errorf(signal.CodeFailed, "broken"))
		case end.Session == "odd":
			w.say(signal.TypeReserved, e.ID, "", signal.Reserved{Ticket: "t", Seconds: 1})
		default:
			w.no(e, signal.CodeNotFound)
		}
	})
	_ = d.registry.addRoom(d.registry.worker(all[1].id), room)
	for name, test := range map[string]struct {
		end  signal.End
		want signal.Code
	}{
		"session":         {signal.End{Session: all[2].id, Reason: "enough"}, ""},
		"no such session": {signal.End{Session: "nobody"}, signal.CodeNotFound},
		"a worker fails":  {signal.End{Session: "broken"}, signal.CodeFailed},
		"odd answer":      {signal.End{Session: "odd"}, signal.CodeFailed},
		"room":            {signal.End{Room: room}, ""},
		"no such room":    {signal.End{Room: signal.NewID()}, signal.CodeNotFound},
		"neither":         {signal.End{}, signal.CodeBadRequest},
	} {
		err := d.registry.end(t.Context(), test.end)
		if err == nil && test.want == "" {
			continue
		}
		if err == nil || signal.AsError(err).Code != test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, test := range []struct {
		worker string
		end    signal.End
		want   signal.Code
	}{
		{all[0].id, signal.End{Session: all[0].id}, ""},
		{all[0].id, signal.End{Session: all[1].id}, signal.CodeNotFound},
		{all[0].id, signal.End{}, signal.CodeBadRequest},
		{"nobody", signal.End{Session: "x"}, signal.CodeNotFound},
	} {
		if err := d.registry.endAt(t.Context(), test.worker, test.end); (err == nil) != (test.want == "") || err != nil && signal.AsError(err).Code != test.want {
			t.Errorf("%+v: %v", test, err)
		}
	}
	d.stop()
	wait()
}

func TestDrain(t *testing.T) {
	d := start(t, nil)
	w := d.worker(nil)
	for _, off := range []bool{false, true} {
		if err := d.registry.drain(w.id, off); err != nil {
			t.Fatal(err)
		}
		if got := read[signal.Drain](t, w.next(signal.TypeDrain)); got.Off != off {
			t.Errorf("%+v", got)
		}
	}
	w.say(signal.TypeLoad, "", "", signal.Load{State: signal.StateDraining, Places: 4, Free: 4})
	until(t, "no candidates", func() bool {
		list, err := d.registry.candidates("pong", "", nil)
		return err == nil && len(list) == 0
	})
	if err := d.registry.drain("nobody", false); signal.AsError(err).Code != signal.CodeNotFound {
		t.Error(err)
	}
}
