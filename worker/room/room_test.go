package room

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/peer/input"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
)

const (
	roomID = "abcdefghijklmnopqrstuvwxyz"
	secret = "a secret of some length"
)

// screen is a browser without a network: its viewer's packets are counted.
type screen struct {
	profile media.Profile
	viewer  *send.Viewer
	quit    chan error

	mu       sync.Mutex
	frames   []uint32 // RTP times
	sounds   int
	messages []string
	room     string // the last message of that type
}

func newScreen(t *testing.T, p media.Profile, keyFrame func()) *screen {
	t.Helper()
	s := &screen{profile: p, quit: make(chan error, 1)}
	s.viewer = send.NewViewer(send.ViewerConfig{
		Video: send.Stream{Codec: packetize.H264, SSRC: 1}, Audio: send.Stream{Codec: packetize.Opus, SSRC: 2}, KeyFrame: keyFrame,
	})
	t.Cleanup(s.viewer.Close)
	if err := s.viewer.Open(send.Path{Video: s.watch, Audio: s.listen}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *screen) watch(h *rtp.Header, _ []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.Marker {
		s.frames = append(s.frames, h.Timestamp)
	}
	return nil
}

func (s *screen) listen(*rtp.Header, []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sounds++
	return nil
}

func (s *screen) Run(ctx context.Context) error {
	defer s.viewer.Close()
	select {
	case <-ctx.Done():
		return peer.ErrClosed
	case err := <-s.quit:
		return err
	}
}

func (s *screen) Profile() media.Profile { return s.profile }

func (s *screen) Viewer() *send.Viewer { return s.viewer }

func (s *screen) Control(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, string(b))
	if strings.HasPrefix(string(b), `{"type":"room"`) {
		s.room = string(b)
	}
}

// said returns the messages of a type since the last call, and forgets the rest.
func (s *screen) said(t *testing.T, kind string) []map[string]any {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []map[string]any
	for _, m := range s.messages {
		v := map[string]any{}
		if err := json.Unmarshal([]byte(m), &v); err != nil {
			t.Fatalf("%q: %v", m, err)
		}
		if v["type"] == kind {
			out = append(out, v)
		}
	}
	s.messages = nil
	return out
}

// stage is a running room in a synctest bubble.
type stage struct {
	*Room
	t      *testing.T
	engine *roomtest.Engine
	cancel context.CancelFunc
	result chan error
}

func newStage(t *testing.T, seats int, tick time.Duration) *stage {
	t.Helper()
	began := time.Now()
	r := New(Config{
		Send:   send.Config{Now: func() time.Duration { return time.Since(began) }, Wall: time.Now},
		Logger: slog.New(slog.DiscardHandler), ID: roomID, Seats: seats, Grace: 30 * time.Second, Profile: media.ProfileMain,
		Game: signal.Game{ID: "game", Title: "A Game", System: "nes"}, MaxMembers: 4, Secret: secret,
	})
	s := &stage{Room: r, t: t, engine: roomtest.New(r.Sink(), tick), result: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.result <- r.Run(ctx, s.engine) }()
	t.Cleanup(cancel)
	return s
}

type guest struct {
	*Member
	screen *screen
	left   chan Leave
}

func (s *stage) join(wish int) guest { return s.joinAs(wish, media.ProfileMain) }

func (s *stage) joinAs(wish int, p media.Profile) guest {
	s.t.Helper()
	m, err := s.Reserve(s.t.Context(), Entry{Player: wish})
	if err != nil {
		s.t.Fatal(err)
	}
	return s.seat(m, p)
}

// enter is join for a session; it must be let in.
func (s *stage) enter(e Entry) guest {
	s.t.Helper()
	m, err := s.Reserve(s.t.Context(), e)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.seat(m, media.ProfileMain)
}

// refused is why an entry is not let in, "" if it is.
func (s *stage) refused(e Entry) signal.Code {
	s.t.Helper()
	m, err := s.Reserve(s.t.Context(), e)
	if err == nil {
		m.Release()
		return ""
	}
	return signal.AsError(err).Code
}

func (s *stage) seat(m *Member, p media.Profile) guest {
	s.t.Helper()
	g := guest{m, newScreen(s.t, p, m.Events().KeyFrame), make(chan Leave, 2)}
	if err := m.Attach(g.screen, func(l Leave) { g.left <- l }); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	return g
}

func (g guest) leave(err error) {
	g.screen.quit <- err
	synctest.Wait()
}

// say says something on channel control, not too fast, and answers the last
// message of a type that came back, nil if none did.
func (g guest) say(t *testing.T, message, kind string) map[string]any {
	t.Helper()
	time.Sleep(2 * time.Second) // of the bubble
	g.screen.said(t, "")
	g.Events().Control([]byte(message))
	synctest.Wait()
	time.Sleep(time.Second)
	synctest.Wait()
	all := g.screen.said(t, kind)
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// sees is the room as its page knows it.
func (g guest) sees(t *testing.T) view {
	t.Helper()
	time.Sleep(time.Second) // of the bubble
	synctest.Wait()
	g.screen.mu.Lock()
	defer g.screen.mu.Unlock()
	var v view
	if err := json.Unmarshal([]byte(g.screen.room), &v); err != nil {
		t.Fatalf("%q: %v", g.screen.room, err)
	}
	return v
}

// view is a message "room".
type view struct {
	Player, Players, Viewers int
	You                      string
	Host, Closed             bool
	Members                  []memberEntry
	Invitations              []invitationEntry
}

func (g guest) press(seq uint32, buttons ...uint16) {
	d := input.Datagram{Seq: seq, N: len(buttons)}
	for i, b := range buttons {
		d.States[i].Buttons = b
	}
	g.Events().Input(d.Append(nil))
}

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
		if reason := (<-b.left).Reason; reason != peer.ErrLost.Error() {
			t.Errorf("left because %q", reason)
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
