package room

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/peer"
)

// token makes an invitation as an admin, else the test fails.
func (s *stage) token(i signal.Invite) signal.Invited {
	s.t.Helper()
	i.Room = roomID
	made, err := s.Invite(i)
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

func TestInvitationByTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3, 0)
		host := s.enter(Entry{Session: "host"})
		guest := s.enter(Entry{Session: "guest"})
		if e := guest.say(t, `{"type":"invite","ref":"x","player":3}`, "error"); e["code"] != "not-host" || e["ref"] != "x" {
			t.Fatalf("a guest who invites hears %v", e)
		}
		made := host.say(t, `{"type":"invite","ref":7,"player":3,"single":true,"seconds":60}`, "invited")
		if made["ref"] != 7.0 || made["id"] == "" || made["token"] == "" {
			t.Fatalf("invited %v", made)
		}
		if left := time.Until(time.Unix(int64(made["expires"].(float64)), 0)); left < 55*time.Second || left > 61*time.Second {
			t.Errorf("expires in %v", left)
		}
		v := host.sees(t)
		if !v.Closed || len(v.Invitations) != 1 || v.Invitations[0].ID != made["id"] || v.Invitations[0].Used {
			t.Errorf("the host sees %+v", v)
		}
		if v := guest.sees(t); v.Invitations != nil || v.Host || !v.Closed {
			t.Errorf("a guest sees %+v", v)
		}
		if code := s.refused(Entry{Session: "bare", Player: 3}); code != signal.CodeInvite {
			t.Errorf("a bare link: %q", code)
		}
		friend := s.enter(Entry{Session: "friend", Player: 1, Invite: made["token"].(string)})
		if friend.Player() != 3 {
			t.Errorf("player %d, invited as 3", friend.Player())
		}
		if v := host.sees(t); !v.Invitations[0].Used {
			t.Errorf("the host sees %+v", v.Invitations)
		}
	})
}

// TestInvitationsBind: who is invited to watch, or as one player, is that.
func TestInvitationsBind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3, 0)
		host := s.enter(Entry{Session: "host"})
		watch, second := s.token(signal.Invite{Watch: true}), s.token(signal.Invite{Player: 2})
		w := s.enter(Entry{Session: "w", Player: 2, Invite: watch.Token})
		a := s.enter(Entry{Session: "a", Invite: second.Token})
		if w.Player() != 0 || a.Player() != 2 {
			t.Fatalf("players %d and %d, want 0 and 2", w.Player(), a.Player())
		}
		for g, message := range map[guest]string{w: "watching", a: "player 2"} {
			if e := g.say(t, `{"type":"seat","player":3}`, "error"); e["code"] != "denied" || !strings.Contains(e["message"].(string), message) {
				t.Errorf("bound to %s: %v", message, e)
			}
		}
		a.say(t, `{"type":"seat","player":0}`, "room")
		a.say(t, `{"type":"seat","player":2}`, "room")
		if a.Player() != 2 {
			t.Error("the invited seat cannot be taken again")
		}
		// The invited seat is taken: it watches, and no other seat is given.
		if b := s.enter(Entry{Session: "b", Invite: second.Token}); b.Player() != 0 {
			t.Errorf("player %d", b.Player())
		} else {
			b.leave(peer.ErrLeft)
		}
		// A better link in the same page.
		third := s.token(signal.Invite{Player: 3})
		w2 := s.enter(Entry{Session: "w2", Replaces: "w", Invite: third.Token})
		if w2.Player() != 3 {
			t.Errorf("player %d by the new invitation", w2.Player())
		}
		// The host is bound by nothing.
		host.say(t, fmt.Sprintf(`{"type":"host","member":%q}`, a.sees(t).You), "room")
		if e := a.say(t, `{"type":"seat","player":1}`, "error"); e["code"] != "full" {
			t.Errorf("the new host asks for a seat: %v", e)
		}
	})
}

func TestInvitationsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		s.enter(Entry{Session: "host"})
		mint := func(edit func(*signal.Invitation)) string {
			i := signal.Invitation{ID: signal.NewID(), Room: roomID, Expires: time.Now().Add(time.Hour)}
			edit(&i)
			return signal.MintInvite(secret, i)
		}
		short := s.token(signal.Invite{Seconds: 1})
		time.Sleep(3 * time.Second)
		revoked := s.token(signal.Invite{})
		if err := s.Revoke(signal.Revoke{Room: roomID, ID: revoked.ID}); err != nil {
			t.Fatal(err)
		}
		tests := []struct {
			name, token string
			want        signal.Code
		}{
			{"no token", "nonsense", signal.CodeDenied},
			{"too long", strings.Repeat("x", 1<<20), signal.CodeDenied},
			{"forged", signal.MintInvite("another secret", signal.Invitation{ID: "a", Room: roomID, Expires: time.Now().Add(time.Hour)}), signal.CodeDenied},
			{"expired", short.Token, signal.CodeExpired},
			{"revoked", revoked.Token, signal.CodeRevoked},
			{"never made here", mint(func(*signal.Invitation) {}), signal.CodeRevoked},
			{"of another room", mint(func(i *signal.Invitation) { i.Room = strings.Repeat("b", 26) }), signal.CodeDenied},
		}
		for _, tt := range tests {
			if got := s.refused(Entry{Session: "x", Invite: tt.token}); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		}
		if p, v := s.Count(); p+v != 1 {
			t.Errorf("%d play, %d watch", p, v)
		}
	})
}

func TestInvitationsAreChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		s.enter(Entry{Session: "host"})
		s.enter(Entry{Session: "guest"})
		tests := []struct {
			name string
			i    signal.Invite
			want signal.Code
		}{
			{"a guest", signal.Invite{Session: "guest"}, signal.CodeHost},
			{"nobody", signal.Invite{Session: "nobody"}, signal.CodeHost},
			{"player 3 of 2", signal.Invite{Player: 3}, signal.CodeBadRequest},
			{"player -1", signal.Invite{Player: -1}, signal.CodeBadRequest},
			{"player who watches", signal.Invite{Player: 1, Watch: true}, signal.CodeBadRequest},
			{"8 days", signal.Invite{Seconds: 8 * 24 * 3600}, signal.CodeBadRequest},
			{"the past", signal.Invite{Seconds: -1}, signal.CodeBadRequest},
		}
		for _, tt := range tests {
			tt.i.Room = roomID
			if _, err := s.Invite(tt.i); signal.AsError(err) == nil || signal.AsError(err).Code != tt.want {
				t.Errorf("%s: %v, want %s", tt.name, err, tt.want)
			}
		}
		if err := s.Revoke(signal.Revoke{ID: "nothing"}); signal.AsError(err).Code != signal.CodeNotFound {
			t.Errorf("revoke nothing: %v", err)
		}
		if err := s.Revoke(signal.Revoke{Session: "guest", ID: "nothing"}); signal.AsError(err).Code != signal.CodeHost {
			t.Errorf("revoke by a guest: %v", err)
		}
		if s.Closed() {
			t.Error("closed by invitations that were not made")
		}
		s.token(signal.Invite{Session: "host"})
		if s.Closed() {
			t.Error("closed by an invitation that restricts nobody")
		}
		s.cancel()
		if err := <-s.result; err != nil {
			t.Error(err)
		}
		if _, err := s.Invite(signal.Invite{Room: roomID}); signal.AsError(err) == nil {
			t.Error("the room has ended, and invites")
		}
	})
}

// TestInvitationsAreBounded: those that are used up make room, those that
// expired are gone.
func TestInvitationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		host := s.enter(Entry{Session: "host"})
		for range maxInvites {
			s.token(signal.Invite{Seconds: 60})
		}
		if _, err := s.Invite(signal.Invite{Room: roomID}); signal.AsError(err).Code != signal.CodeFull {
			t.Errorf("one too many: %v", err)
		}
		time.Sleep(2 * time.Minute)
		for i := range 2 * maxUsed {
			made := s.token(signal.Invite{Single: true})
			g := s.enter(Entry{Session: fmt.Sprint("s", i), Invite: made.Token})
			g.leave(peer.ErrLeft)
		}
		if v := host.sees(t); len(v.Invitations) > maxUsed+1 {
			t.Errorf("%d invitations are shown", len(v.Invitations))
		}
	})
}

// TestSingleUse: of two who come by it at the same moment one wins; who fails to
// connect gives it back; who used it may come again.
func TestSingleUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		s.enter(Entry{Session: "host"})
		made := s.token(signal.Invite{Single: true})
		won := make(chan *Member, 32)
		var used atomic.Int32
		var all sync.WaitGroup
		for i := range 32 {
			all.Go(func() {
				m, err := s.Reserve(t.Context(), Entry{Session: fmt.Sprint("s", i), Invite: made.Token})
				if err == nil {
					won <- m
				} else if signal.AsError(err).Code == signal.CodeUsed {
					used.Add(1)
				}
			})
		}
		all.Wait()
		if len(won) != 1 || used.Load() != 31 {
			t.Fatalf("%d won, %d were told that it is used", len(won), used.Load())
		}
		(<-won).Release() // its browser could not be connected
		g := s.enter(Entry{Session: "second", Invite: made.Token})
		if code := s.refused(Entry{Session: "third", Invite: made.Token}); code != signal.CodeUsed {
			t.Errorf("used: %q", code)
		}
		g.leave(peer.ErrLost)
		time.Sleep(time.Hour)
		again := s.enter(Entry{Session: "reloaded", Replaces: "second", Invite: made.Token})
		if code := s.refused(Entry{Session: "third", Replaces: "second", Invite: made.Token}); code != signal.CodeUsed {
			t.Errorf("by a session that is none any more: %q", code)
		}
		again.leave(peer.ErrLost)
		// What the room forgot of it, the invitation still knows; and a join that
		// fails then gives nothing to anybody else.
		if err := s.do(func() { s.past = nil }); err != nil {
			t.Fatal(err)
		}
		m, err := s.Reserve(t.Context(), Entry{Session: "reloaded", Invite: made.Token})
		if err != nil {
			t.Fatal(err)
		}
		m.Release()
		if code := s.refused(Entry{Session: "third", Invite: made.Token}); code != signal.CodeUsed {
			t.Errorf("after a failed return: %q", code)
		}
	})
}

// TestFullRoomUsesNothing: an invitation is good after the room was full.
func TestFullRoomUsesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1, 0)
		s.enter(Entry{Session: "host"})
		made := s.token(signal.Invite{})
		guests := []guest{}
		for range 3 {
			guests = append(guests, s.enter(Entry{Session: signal.NewID(), Invite: made.Token}))
		}
		single := s.token(signal.Invite{Single: true})
		if _, err := s.Reserve(t.Context(), Entry{Session: "late", Invite: single.Token}); !errors.Is(err, ErrFull) {
			t.Fatalf("fifth of four: %v", err)
		}
		guests[0].leave(peer.ErrLost)
		s.enter(Entry{Session: "late", Invite: single.Token})
	})
}

// TestRevokedAndGone: who is in stays, who left does not come back by it.
func TestRevokedAndGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 3, 0)
		s.enter(Entry{Session: "host"})
		made := s.token(signal.Invite{Player: 2})
		g := s.enter(Entry{Session: "a", Invite: made.Token})
		if err := s.Revoke(signal.Revoke{Session: "host", Room: roomID, ID: made.ID}); err != nil {
			t.Fatal(err)
		}
		b := s.enter(Entry{Session: "b", Replaces: "a", Invite: made.Token}) // a reload
		if b.Player() != 2 {
			t.Errorf("player %d", b.Player())
		}
		<-g.left
		b.leave(peer.ErrLeft)
		c := s.enter(Entry{Session: "c", Replaces: "b"}) // a reload that said goodbye
		c.leave(peer.ErrLeft)
		time.Sleep(kept)
		if code := s.refused(Entry{Session: "d", Replaces: "c", Invite: made.Token}); code != signal.CodeRevoked {
			t.Errorf("with the link: %q", code)
		}
		if code := s.refused(Entry{Session: "d", Replaces: "c"}); code != signal.CodeInvite {
			t.Errorf("without: %q", code)
		}
	})
}

// TestNoSecretNoInvitations: what cannot be checked is not made.
func TestNoSecretNoInvitations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 2, 0)
		s.join(0)
		s.cfg.InviteKey = ""
		if _, err := s.Invite(signal.Invite{Room: roomID}); signal.AsError(err).Code != signal.CodeFailed {
			t.Errorf("Invite = %v", err)
		}
		if code := s.refused(Entry{Invite: signal.MintInvite("", signal.Invitation{ID: "a", Room: roomID, Expires: time.Now().Add(time.Hour)})}); code != signal.CodeDenied {
			t.Errorf("signed with nothing: %q", code)
		}
	})
}
