package room

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/peer/input"
	"github.com/cloudretro/cloudretro/worker/room/roomtest"
)

// TestSuccession: the longest-present player, then the longest-present viewer.
func TestSuccession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host := s.enter(Entry{Session: "a"})
		viewer := s.enter(Entry{Session: "b"})
		viewer.say(t, `{"type":"seat","player":0}`, "room")
		last := s.enter(Entry{Session: "c", Player: 2})
		pending, err := s.Reserve(t.Context(), Entry{Session: "d"})
		if err != nil {
			t.Fatal(err)
		}
		if v := host.sees(t); !v.Host || !host.Status().Host || len(v.Members) != 4 {
			t.Fatalf("who opened the room sees %+v", v)
		}
		host.leave(peer.ErrLeft)
		if v := last.sees(t); !v.Host || viewer.sees(t).Host {
			t.Fatalf("the player is not the host: %+v", v)
		}
		last.leave(peer.ErrLost)
		if v := viewer.sees(t); !v.Host {
			t.Fatalf("the viewer is not the host: %+v", v)
		}
		viewer.leave(peer.ErrLost)
		if !pending.Status().Host {
			t.Error("who connects just now is not the host")
		}
		pending.Release()
		if g := s.enter(Entry{Session: "e"}); !g.sees(t).Host {
			t.Error("who comes to an empty room is not the host")
		}
	})
}

func TestPassOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		a, b, c := s.enter(Entry{Session: "a"}), s.enter(Entry{Session: "b"}), s.enter(Entry{Session: "c"})
		c.Events().Lost()
		pass := func(g guest) string { return fmt.Sprintf(`{"type":"host","member":%q}`, g.sees(t).You) }
		if e := a.say(t, pass(c), "error"); e["code"] != "bad-request" {
			t.Errorf("to somebody who is away: %v", e)
		}
		a.say(t, pass(b), "")
		if a.sees(t).Host || !b.sees(t).Host || a.Status().Host || !b.Status().Host {
			t.Error("the right did not go over")
		}
		if e := a.say(t, pass(a), "error"); e["code"] != "not-host" {
			t.Errorf("who was the host hears %v", e)
		}
		if _, err := s.Invite(signal.Invite{Room: roomID, Session: "a"}); signal.AsError(err).Code != signal.CodeHost {
			t.Errorf("who was the host invites: %v", err)
		}
		if err := s.Revoke(signal.Revoke{Session: "b", ID: "x"}); signal.AsError(err).Code != signal.CodeNotFound {
			t.Errorf("the new one revokes: %v", err)
		}
	})
}

func TestMute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host, g := s.enter(Entry{Session: "a"}), s.enter(Entry{Session: "b"})
		mute := func(on bool) { host.say(t, fmt.Sprintf(`{"type":"mute","member":%q,"on":%v}`, g.sees(t).You, on), "") }
		g.press(1, 1)
		time.Sleep(input.DeadMan / 2)
		g.press(1, 1)
		before := len(s.engine.Pads())
		host.Events().Control([]byte(fmt.Sprintf(`{"type":"mute","member":%q,"on":true}`, g.Member.id(t))))
		synctest.Wait()
		if pads := s.engine.Pads()[before:]; len(pads) != 1 || pads[0] != (roomtest.Press{Port: 1}) {
			t.Errorf("held keys: %v, want let go at once", pads)
		}
		g.press(2, 2, 1)
		g.press(3, 4)
		if pads := s.engine.Pads()[before+1:]; len(pads) != 0 {
			t.Errorf("a muted player presses %v", pads)
		}
		if v := g.sees(t); !v.Members[1].Muted || v.Members[0].Muted {
			t.Errorf("members %+v", v.Members)
		}
		// Neither another seat nor a reload helps.
		g.say(t, `{"type":"seat","player":0}`, "")
		g.say(t, `{"type":"seat","player":2}`, "")
		again := s.enter(Entry{Session: "c", Replaces: "b"})
		<-g.left
		g = again
		g.press(1, 8)
		if n := len(pressed(s.engine.Pads(), 8)); n != 0 {
			t.Error("presses after a reload")
		}
		mute(false)
		g.press(2, 16)
		if n := len(pressed(s.engine.Pads(), 16)); n != 1 {
			t.Error("cannot press any more")
		}
	})
}

// id is what the member is called, from outside of the room's goroutine.
func (m *Member) id(t *testing.T) (id string) {
	t.Helper()
	if err := m.room.do(func() { id = m.pass.id() }); err != nil {
		t.Fatal(err)
	}
	return id
}

func pressed(pads []roomtest.Press, buttons uint16) (out []roomtest.Press) {
	for _, p := range pads {
		if p.Pad == (engine.Pad{Buttons: buttons}) {
			out = append(out, p)
		}
	}
	return out
}

// TestMutedUser: somebody who is signed in stays muted in another page.
func TestMutedUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host, user := s.enter(Entry{Session: "a"}), &signal.User{ID: "bob", Name: "Bob"}
		g := s.enter(Entry{Session: "b", User: user})
		host.say(t, fmt.Sprintf(`{"type":"mute","member":%q,"on":true}`, g.id(t)), "")
		g.leave(peer.ErrLeft)
		again := s.enter(Entry{Session: "c", User: user})
		if v := host.sees(t); !v.Members[1].Muted {
			t.Errorf("members %+v", v.Members)
		}
		again.leave(peer.ErrLeft)
		if g := s.enter(Entry{Session: "d", User: &signal.User{ID: "eve"}}); g.isMuted() {
			t.Error("somebody else is muted")
		}
	})
}

// TestRemove: who is removed hears so, is out at once and stays out.
func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3, 0)
		host := s.enter(Entry{Session: "host"})
		link := s.token(signal.Invite{})
		g := s.enter(Entry{Session: "g", Invite: link.Token})
		g.press(1, 1)
		id := g.id(t)
		if e := g.say(t, fmt.Sprintf(`{"type":"remove","member":%q}`, host.id(t)), "error"); e["code"] != "not-host" {
			t.Errorf("a guest removes: %v", e)
		}
		if e := host.say(t, fmt.Sprintf(`{"type":"remove","member":%q}`, host.id(t)), "error"); e["code"] != "bad-request" {
			t.Errorf("the host removes itself: %v", e)
		}
		host.say(t, fmt.Sprintf(`{"type":"remove","member":%q}`, id), "")
		if l := <-g.left; l.Code != signal.CodeRemoved || l.Again || l.Reason == "" {
			t.Errorf("left with %+v", l)
		}
		if e := g.screen.said(t, "error"); len(e) != 1 || e[0]["code"] != "removed" {
			t.Errorf("its page hears %v", e)
		}
		before := len(s.engine.Pads())
		g.press(9, 9)
		if len(s.engine.Pads()) != before || g.Player() != 0 {
			t.Error("presses on")
		}
		for name, e := range map[string]Entry{
			"the same session": {Session: "g"}, "its token": {Session: "h", Replaces: "g"},
		} {
			if code := s.refused(e); code != signal.CodeRemoved {
				t.Errorf("by %s: %q", name, code)
			}
		}
		if code := s.refused(Entry{Session: "h", Invite: link.Token}); code != signal.CodeRevoked {
			t.Errorf("by the invitation: %q", code)
		}
		if code := s.refused(Entry{Session: "h"}); code != signal.CodeInvite {
			t.Errorf("by a bare link: %q", code)
		}
		if e := host.say(t, fmt.Sprintf(`{"type":"remove","member":%q}`, id), "error"); e["code"] != "not-found" {
			t.Errorf("once more: %v", e)
		}
		host.say(t, `{"type":"door","closed":false}`, "")
		if code := s.refused(Entry{Session: "h"}); code != "" || s.Closed() {
			t.Errorf("the door is open again: %q", code)
		}
		host.say(t, `{"type":"door","closed":true}`, "")
		if !s.Closed() || !host.sees(t).Closed {
			t.Error("the door is open")
		}
	})
}

// TestRemoveAUser: somebody who is signed in stays out with every page.
func TestRemoveAUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3, 0)
		mallory := &signal.User{ID: "mallory", Name: "Mallory", Role: signal.RolePlayer}
		host := s.enter(Entry{Session: "host", User: &signal.User{ID: "alice", Name: "Alice"}})
		first := s.enter(Entry{Session: "g1", User: mallory})
		second := s.enter(Entry{Session: "g2", User: mallory})
		if v := host.sees(t); v.Members[0].Name != "Alice" || v.Members[1].Name != "Mallory" || first.User() != mallory {
			t.Errorf("members %+v", v.Members)
		}
		link := s.token(signal.Invite{})
		host.say(t, fmt.Sprintf(`{"type":"remove","member":%q}`, first.id(t)), "")
		for _, g := range []guest{first, second} {
			if l := <-g.left; l.Code != signal.CodeRemoved {
				t.Errorf("left with %+v", l)
			}
		}
		if code := s.refused(Entry{Session: "g3", User: mallory, Invite: link.Token}); code != signal.CodeRemoved {
			t.Errorf("by an invitation: %q", code)
		}
		if code := s.refused(Entry{Session: "g3", User: &signal.User{ID: "bob"}, Invite: link.Token}); code != "" {
			t.Errorf("somebody else: %q", code)
		}
		// The host's own other page: not the user is kept out.
		tab := s.enter(Entry{Session: "tab", User: &signal.User{ID: "alice"}, Invite: link.Token})
		host.say(t, fmt.Sprintf(`{"type":"remove","member":%q}`, tab.id(t)), "")
		<-tab.left
		again := s.enter(Entry{Session: "host2", Replaces: "host", User: &signal.User{ID: "alice"}})
		if !again.Status().Host {
			t.Error("the host is none any more")
		}
	})
}

// TestHostileCommands change nothing.
func TestHostileCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host, g := s.enter(Entry{Session: "a"}), s.enter(Entry{Session: "b"})
		tests := []struct{ message, code string }{
			{`{"type":"invite","player":3}`, "bad-request"},
			{`{"type":"invite","player":-1}`, "bad-request"},
			{`{"type":"invite","player":1,"watch":true}`, "bad-request"},
			{`{"type":"invite","seconds":-1}`, "bad-request"},
			{`{"type":"invite","seconds":604801}`, "bad-request"},
			{`{"type":"invite","seconds":1e99}`, "bad-request"},
			{`{"type":"invite","ref":{"a":1}}`, "bad-request"},
			{`{"type":"invite","ref":"` + strings.Repeat("x", maxRef) + `"}`, "bad-request"},
			{`{"type":"revoke"}`, "bad-request"},
			{`{"type":"revoke","id":"../.."}`, "bad-request"},
			{`{"type":"revoke","id":"nothing"}`, "not-found"},
			{`{"type":"host"}`, "bad-request"},
			{`{"type":"host","member":"m99"}`, "not-found"},
			{`{"type":"host","member":"-1"}`, "not-found"},
			{`{"type":"mute","member":"m2"}`, "bad-request"},
			{`{"type":"mute","member":"m0","on":true}`, "not-found"},
			{`{"type":"remove","member":"` + strings.Repeat("m", 9000) + `"}`, "not-found"},
			{`{"type":"remove","member":2}`, "bad-request"},
			{`{"type":"door"}`, "bad-request"},
			{`{"type":"door","closed":"yes"}`, "bad-request"},
		}
		for _, tt := range tests {
			if e := host.say(t, tt.message, "error"); e == nil || e["code"] != tt.code {
				t.Errorf("%.50s: %v, want %s", tt.message, e, tt.code)
			}
		}
		for _, message := range []string{
			`{"type":"invite"}`, `{"type":"revoke","id":"x"}`, `{"type":"door","closed":true}`, `{"type":"host","member":"m2"}`,
			`{"type":"mute","member":"m1","on":true}`, `{"type":"remove","member":"m1"}`, `{"type":"remove","member":"m2"}`,
		} {
			if e := g.say(t, message, "error"); e == nil || e["code"] != "not-host" {
				t.Errorf("a guest says %s: %v", message, e)
			}
		}
		if v := host.sees(t); !v.Host || v.Closed || v.Players != 2 || len(v.Invitations) != 0 || v.Members[0].Muted {
			t.Errorf("the room is %+v", v)
		}
	})
}

// TestEndAndDismiss: what an admin does.
func TestEndAndDismiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		a, b := s.enter(Entry{Session: "a"}), s.enter(Entry{Session: "b"})
		a.Dismiss(Leave{Reason: "go home"})
		if l := <-a.left; l.Reason != "go home" || l.Code != "" {
			t.Errorf("left with %+v", l)
		}
		a.Dismiss(Leave{Reason: "again"})
		s.End("the house closes")
		if l := <-b.left; l.Reason != "the house closes" {
			t.Errorf("left with %+v", l)
		}
		if err := <-s.result; err != nil {
			t.Error(err)
		}
		s.End("twice")
		b.Dismiss(Leave{})
	})
}
