package room

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
)

// keep is the newest call of Save or Load, after so many before it.
func (s *stage) keep(before int) roomtest.Keep {
	s.t.Helper()
	synctest.Wait()
	all := s.engine.Keeps()
	if len(all) != before+1 {
		s.t.Fatalf("the engine was asked %d times, want %d", len(all), before+1)
	}
	return all[before]
}

// ask says something a second after the last time.
func (g guest) ask(message string) {
	time.Sleep(saveEach)
	g.screen.forget()
	g.Events().Control([]byte(message))
	synctest.Wait()
}

func TestSaveAndLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host := s.enter(Entry{Session: "a", User: &signal.User{ID: "1", Name: "Ann"}})
		other := s.enter(Entry{Session: "b"})
		if v := host.sees(t); v.Saved != 0 {
			t.Errorf("saved at %d before it was", v.Saved)
		}
		if e := other.say(t, `{"type":"load","ref":"r"}`, "error"); e["code"] != "not-found" || e["ref"] != "r" {
			t.Errorf("a load before a save: %v", e)
		}
		host.ask(`{"type":"save"}`)
		at := time.Now().UnixMilli()
		s.keep(0).Done([]byte("state"), nil)
		synctest.Wait()
		for name, g := range map[string]guest{"who did it": host, "the other": other} {
			if said := g.screen.said(t, "saved"); len(said) != 1 || said[0]["by"] != "Ann" || said[0]["member"] != "m1" || said[0]["at"] != float64(at) {
				t.Errorf("%s hears %v", name, said)
			}
		}
		late := s.enter(Entry{Session: "c"})
		if v := late.sees(t); v.Saved != at {
			t.Errorf("who comes later sees a save at %d, want %d", v.Saved, at)
		}
		keys := len(s.engine.Keys())
		other.ask(`{"type":"load"}`)
		k := s.keep(1)
		if string(k.State) != "state" {
			t.Errorf("loads %q", k.State)
		}
		k.Done(nil, nil)
		synctest.Wait()
		if said := host.screen.said(t, "loaded"); len(said) != 1 || said[0]["by"] != "Guest 2" || said[0]["member"] != "m2" {
			t.Errorf("the host hears %v", said)
		}
		if len(s.engine.Keys()) != keys+1 {
			t.Error("no key frame after a load")
		}
	})
}

// The save outlives the core process, and one that fails leaves the old one.
func TestSaveOutlivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		g := s.join(0)
		g.ask(`{"type":"save"}`)
		s.keep(0).Done([]byte("first"), nil)
		s.engine.Send(engine.Event{Kind: engine.EventRestarting, Text: "it died"})
		g.ask(`{"type":"save","ref":7}`)
		s.keep(1).Done(nil, fmt.Errorf("save state: %w", engine.ErrNotRunning))
		synctest.Wait()
		if said := g.screen.said(t, "error"); len(said) != 1 || said[0]["ref"] != 7.0 || said[0]["code"] != "failed" ||
			!strings.Contains(said[0]["message"].(string), "started again") {
			t.Errorf("while it is restarted: %v", said)
		}
		s.engine.Send(engine.Event{Kind: engine.EventRestarted, Info: roomtest.Info()})
		g.ask(`{"type":"load"}`)
		if k := s.keep(2); string(k.State) != "first" {
			t.Errorf("loads %q", k.State)
		}
	})
}

func TestSavesThatFail(t *testing.T) {
	for name, c := range map[string]struct {
		state []byte
		err   error
		code  string
		text  string
	}{
		"no state":  {nil, engine.ErrState, "failed", "cannot be saved: its core does not allow it"},
		"too large": {make([]byte, maxSave+1), nil, "failed", "at most 33554432"},
		"other":     {nil, errors.New("broken"), "failed", "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, 1, 0)
				g := s.join(0)
				g.ask(`{"type":"save"}`)
				s.keep(0).Done(c.state, c.err)
				synctest.Wait()
				said := g.screen.said(t, "error")
				if len(said) != 1 || said[0]["code"] != c.code || !strings.Contains(said[0]["message"].(string), c.text) {
					t.Errorf("hears %v", said)
				}
				if v := g.sees(t); v.Saved != 0 {
					t.Errorf("saved at %d", v.Saved)
				}
			})
		})
	}
}

func TestWhoMayNotSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host, muted := s.enter(Entry{Session: "a"}), s.enter(Entry{Session: "b"})
		watcher := s.enter(Entry{Session: "c"})
		host.say(t, `{"type":"mute","member":"m2","on":true}`, "")
		for name, g := range map[string]guest{"who watches": watcher, "who is muted": muted} {
			for _, what := range []string{"save", "load"} {
				if e := g.say(t, `{"type":"`+what+`"}`, "error"); e["code"] != "denied" {
					t.Errorf("%s, %s: %v", name, what, e)
				}
			}
		}
		if n := len(s.engine.Keeps()); n != 0 {
			t.Errorf("the engine was asked %d times", n)
		}
	})
}

// One a second, and one at a time.
func TestSavesAreRare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host, other := s.join(0), s.join(0)
		host.ask(`{"type":"save"}`)
		other.ask(`{"type":"save"}`) // a second later, but the first is not done
		busy := other.screen.said(t, "error")
		s.keep(0).Done([]byte("state"), nil)
		synctest.Wait()
		host.ask(`{"type":"load"}`)
		s.keep(1).Done(nil, nil)
		synctest.Wait()
		other.screen.said(t, "")
		other.Events().Control([]byte(`{"type":"load"}`))
		synctest.Wait()
		soon := other.screen.said(t, "error")
		if len(busy) != 1 || busy[0]["code"] != "bad-request" || len(soon) != 1 || soon[0]["code"] != "bad-request" {
			t.Errorf("heard %v and %v", busy, soon)
		}
		other.ask(`{"type":"load"}`)
		s.keep(2).Done(nil, nil)
	})
}

// An engine that does not answer, and a room that ends meanwhile.
func TestSavesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		g := s.join(0)
		if e := g.say(t, `{"type":"save"}`, "error"); e != nil {
			t.Fatalf("answered %v too soon", e)
		}
		time.Sleep(savePatience)
		synctest.Wait()
		if said := g.screen.said(t, "error"); len(said) != 1 || !strings.Contains(said[0]["message"].(string), "does not answer") {
			t.Errorf("hears %v", said)
		}
		g.ask(`{"type":"save"}`)
		s.keep(1)
		s.cancel()
		if err := <-s.result; err != nil {
			t.Error(err)
		}
	})
}
