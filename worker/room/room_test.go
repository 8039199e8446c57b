package room

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/peer/input"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
)

func TestSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host := s.join(0)
		if host.Player() != 1 {
			t.Errorf("host has seat %d", host.Player())
		}
		second := s.join(1) // taken: another one
		watcher := s.join(2)
		if second.Player() != 2 || watcher.Player() != 0 {
			t.Errorf("seats %d and %d, want 2 and 0", second.Player(), watcher.Player())
		}
		if p, v := s.Count(); p != 2 || v != 1 {
			t.Errorf("%d play, %d watch", p, v)
		}
		time.Sleep(tellEach)
		synctest.Wait()
		last := host.screen.said(t, "room")
		want := map[string]any{
			"type": "room", "room": roomID, "game": "game", "title": "A Game", "system": "nes",
			"player": 1.0, "seats": 2.0, "players": 2.0, "viewers": 1.0,
		}
		for k, v := range want {
			if last[len(last)-1][k] != v {
				t.Errorf("%s = %v, want %v", k, last[len(last)-1][k], v)
			}
		}
		host.leave(peer.ErrLeft)
		if (<-host.left).Reason == "" {
			t.Error("no reason")
		}
		if again := s.join(0); again.Player() != 1 {
			t.Errorf("the freed seat was not given: %d", again.Player())
		}
		if _, err := s.Reserve(t.Context(), Entry{}); err != nil {
			t.Errorf("fourth: %v", err)
		}
		if _, err := s.Reserve(t.Context(), Entry{}); !errors.Is(err, ErrFull) {
			t.Errorf("fifth of four: %v", err)
		}
		for _, wish := range []int{-1, 3, 99} {
			var refused *signal.Error
			if _, err := s.Reserve(t.Context(), Entry{Player: wish}); !errors.As(err, &refused) {
				t.Errorf("player %d: %v", wish, err)
			}
		}
	})
}

func TestSeatRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3, 0)
		a, b := s.join(0), s.join(0)
		tests := []struct {
			message string
			code    string
			seat    int
		}{
			{`{"type":"seat","player":3}`, "", 3},
			{`{"type":"seat","player":3}`, "", 3},
			{`{"type":"seat","player":2}`, "full", 3},
			{`{"type":"seat","player":99}`, "bad-request", 3},
			{`{"type":"seat","player":-1}`, "bad-request", 3},
			{`{"type":"seat","player":1e9}`, "bad-request", 3},
			{`{"type":"seat"}`, "bad-request", 3},
			{`{"type":"seat","player":"1"}`, "bad-request", 3},
			{`{"type":"ping"}`, "bad-request", 3},
			{`{"type":"reboot"}`, "bad-request", 3},
			{`[]`, "bad-request", 3},
			{`no json`, "bad-request", 3},
			{strings.Repeat(" ", maxControl+1), "too-large", 3},
			{`{"type":"seat","player":0}`, "", 0},
			{`{"type":"seat","player":1}`, "", 1},
		}
		_ = b
		for _, tt := range tests {
			time.Sleep(2 * time.Second) // of the bubble: complaints come once a second
			a.screen.said(t, "")
			a.Events().Control([]byte(tt.message))
			synctest.Wait()
			errs := a.screen.said(t, "error")
			if tt.code == "" && len(errs) != 0 || tt.code != "" && (len(errs) != 1 || errs[0]["code"] != tt.code) {
				t.Errorf("%.40s: %v, want %q", tt.message, errs, tt.code)
			}
			if a.Player() != tt.seat {
				t.Errorf("%.40s: seat %d, want %d", tt.message, a.Player(), tt.seat)
			}
		}
	})
}

func TestPingAndFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		g := s.join(0)
		for range 100 {
			g.Events().Control([]byte(`{"type":"ping","t":12.5}`))
			g.Events().Input([]byte("junk"))
		}
		synctest.Wait()
		g.screen.mu.Lock()
		var pongs, errs int
		for _, m := range g.screen.messages {
			switch {
			case m == `{"type":"pong","t":12.5}`:
				pongs++
			case strings.Contains(m, `"error"`):
				errs++
			}
		}
		g.screen.mu.Unlock()
		if pongs != talkBurst || errs != 1 {
			t.Errorf("%d pongs, %d errors", pongs, errs)
		}
	})
}

func TestInputGoesToItsSeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		a, b, w := s.join(0), s.join(0), s.join(0)
		a.press(1, 1)
		b.press(1, 2)
		w.press(1, 4)
		b.press(2, 0, 2)
		want := []roomtest.Press{
			{Port: 0, Pad: engine.Pad{Buttons: 1}}, {Port: 1, Pad: engine.Pad{Buttons: 2}}, {Port: 1},
		}
		if got := s.engine.Pads(); !slices.Equal(got, want) {
			t.Fatalf("pads %v, want %v", got, want)
		}
		time.Sleep(input.DeadMan + time.Millisecond)
		synctest.Wait()
		want = append(want, roomtest.Press{Port: 0}) // the dead man
		if got := s.engine.Pads(); !slices.Equal(got, want) {
			t.Fatalf("after silence: pads %v, want %v", got, want)
		}
		a.press(2, 8, 1)
		a.Events().Control([]byte(`{"type":"seat","player":0}`))
		a.press(3, 8, 8)
		want = append(want, roomtest.Press{Port: 0, Pad: engine.Pad{Buttons: 8}}, roomtest.Press{Port: 0})
		if got := s.engine.Pads(); !slices.Equal(got, want) {
			t.Fatalf("after standing up: pads %v, want %v", got, want)
		}
		b.press(3, 16)
		b.leave(peer.ErrLost)
		b.press(4, 32)
		want = append(want, roomtest.Press{Port: 1, Pad: engine.Pad{Buttons: 16}}, roomtest.Press{Port: 1})
		if got := s.engine.Pads(); !slices.Equal(got, want) {
			t.Fatalf("after leaving: pads %v, want %v", got, want)
		}
		if why := <-b.left; why != (Leave{Reason: peer.ErrLost.Error(), Code: signal.CodeLost}) {
			t.Errorf("left because %+v", why)
		}
	})
}

func TestHeldKeysStayWhileTheBrowserSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		g := s.join(0)
		for i := range uint32(40) {
			g.press(i+1, 1)
			time.Sleep(50 * time.Millisecond)
		}
		for _, p := range s.engine.Pads() {
			if p.Pad.Buttons != 1 {
				t.Fatalf("let go: %v", s.engine.Pads())
			}
		}
	})
}

func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 10*time.Millisecond)
		time.Sleep(29 * time.Second) // nobody came yet
		g := s.join(0)
		time.Sleep(time.Minute)
		g.leave(peer.ErrLeft)
		time.Sleep(29 * time.Second)
		g = s.join(0) // in time
		time.Sleep(time.Minute)
		g.leave(peer.ErrLeft)
		start := time.Now()
		if err := <-s.result; err != nil || !s.engine.Stopped() {
			t.Errorf("Run = %v", err)
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("ended %v after the last viewer", d)
		}
		if _, err := s.Reserve(t.Context(), Entry{}); !errors.Is(err, ErrClosed) {
			t.Errorf("Reserve in an ended room: %v", err)
		}
		g.Release() // harmless
	})
}

func TestEngineFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		a, b := s.join(0), s.join(0)
		pending, err := s.Reserve(t.Context(), Entry{})
		if err != nil {
			t.Fatal(err)
		}
		s.engine.Fail(errors.New("not a game of this core"))
		if err := <-s.result; err == nil {
			t.Error("Run hides the engine's error")
		}
		for _, g := range []guest{a, b} {
			if reason := (<-g.left).Reason; !strings.Contains(reason, "not a game of this core") {
				t.Errorf("left because %q", reason)
			}
			if e := g.screen.said(t, "error"); len(e) != 1 || e[0]["code"] != "failed" {
				t.Errorf("page was told %v", e)
			}
		}
		if err := pending.Attach(newScreen(t, 0, nil), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("Attach to a failed room: %v", err)
		}
	})
}

func TestContextEndsTheRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		g := s.join(0)
		s.cancel()
		if err := <-s.result; err != nil {
			t.Errorf("Run = %v", err)
		}
		if reason := (<-g.left).Reason; !strings.Contains(reason, "going down") {
			t.Errorf("left because %q", reason)
		}
	})
}

func TestEventsReachThePages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		synctest.Wait()
		g := s.join(0) // after Ready: geometry all the same
		if m := g.screen.said(t, "geometry"); len(m) != 1 || m[0]["width"] != 256.0 || m[0]["fps"] != 60.0 {
			t.Errorf("geometry %v", m)
		}
		changed := roomtest.Info()
		changed.Width, changed.Rotation = 512, 1
		tests := []struct {
			ev   engine.Event
			kind string
		}{
			{engine.Event{Kind: engine.EventChanged, Info: changed}, "geometry"},
			{engine.Event{Kind: engine.EventRestarting, Text: "signal: killed"}, "message"},
			{engine.Event{Kind: engine.EventRestarted, Info: changed}, "restarted"},
			{engine.Event{Kind: engine.EventMessage, Text: "hi"}, "message"},
		}
		for _, tt := range tests {
			s.engine.Send(tt.ev)
			synctest.Wait()
			if m := g.screen.said(t, tt.kind); len(m) != 1 {
				t.Errorf("%v: %v", tt.ev.Kind, m)
			}
		}
	})
}

func TestProfileIsTheLowest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		s.join(0)
		low := s.joinAs(0, media.ProfileBaseline)
		s.joinAs(0, media.ProfileHigh) // above what the room was configured with
		low.leave(peer.ErrLeft)
		want := []media.Profile{media.ProfileBaseline, media.ProfileMain}
		if got := s.engine.Profiles(); !slices.Equal(got, want) {
			t.Errorf("profiles %v, want %v", got, want)
		}
	})
}

func TestEveryViewerGetsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 10*time.Millisecond)
		a, b := s.join(0), s.join(0)
		time.Sleep(time.Second)
		b.leave(peer.ErrLeft)
		time.Sleep(time.Second)
		a.screen.mu.Lock()
		defer a.screen.mu.Unlock()
		if n := len(a.screen.frames); n < 199 || a.screen.sounds != n || a.screen.frames[n-1]-a.screen.frames[n-2] != 900 {
			t.Errorf("%d frames, %d sounds", n, a.screen.sounds)
		}
		if n := len(b.screen.frames); n < 99 || n > 101 {
			t.Errorf("%d frames after leaving", n)
		}
	})
}

func TestReserveThenRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		m, err := s.Reserve(t.Context(), Entry{})
		if err != nil {
			t.Fatal(err)
		}
		m.Release()
		m.Release()
		g := s.join(0)
		if g.Player() != 1 {
			t.Errorf("seat %d: the released one is lost", g.Player())
		}
		g.Release()
		<-g.left
		if p, v := s.Count(); p != 0 || v != 0 {
			t.Errorf("%d play, %d watch", p, v)
		}
	})
}
