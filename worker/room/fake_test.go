package room

import (
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/media"
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

func (s *screen) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = nil
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
		Game: signal.Game{ID: "game", Title: "A Game", System: "nes"}, MaxMembers: 4, InviteKey: secret,
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
	Saved                    int64
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
