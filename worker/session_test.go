package worker

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// roomNews is what a page is told of its room.
type roomNews struct {
	Type         string
	Player       int
	Host, Closed bool
	You          string
	Members      []struct {
		ID, Name string
		Player   int
	}
}

// hears waits for a message "room" that fits.
func hears(t *testing.T, b *peertest.Browser, what string, fits func(roomNews) bool) roomNews {
	t.Helper()
	for {
		var n roomNews
		if err := json.Unmarshal([]byte(peertest.Wait(t, what, b.Messages)), &n); err != nil {
			t.Fatal(err)
		}
		if n.Type == "room" && fits(n) {
			return n
		}
	}
}

func say(t *testing.T, b *peertest.Browser, message string) {
	t.Helper()
	peertest.Wait(t, "the channel", b.Open)
	if err := b.Channel.SendText(message); err != nil {
		t.Fatal(err)
	}
}

// ask joins with a new browser and answers what comes back.
func (p *play) ask(c *call, session string, join signal.Join) (*peertest.Browser, signal.Envelope) {
	p.t.Helper()
	b := peertest.New(p.t, peertest.Options{})
	join.SDP = b.Offer()
	c.send(signal.TypeJoin, "2", session, join)
	e := c.wait("an answer to "+session, func(e signal.Envelope) bool {
		return e.Session == session && (e.Type == signal.TypeAnswer || e.Type == signal.TypeError)
	})
	if e.Type == signal.TypeAnswer {
		b.Accept(answer(p.t, e).SDP)
	}
	return b, e
}

// TestReloadAfterACrash: the seat and the right of a page that went without a
// word are its own again at once, on whatever coordinator it comes by.
func TestReloadAfterACrash(t *testing.T) {
	other := newDoor(t)
	p := newPlay(t, func(c *Config) { c.Coordinators = append(c.Coordinators, other.address()) })
	second := other.accept()
	_, a := p.start("s1") // and its page crashes
	friend, e := p.ask(second, "s2", signal.Join{Room: a.Room, Player: 1})
	if e.Type != signal.TypeAnswer || answer(t, e).Player != 2 {
		t.Fatalf("the friend is told %s %s", e.Type, e.Data)
	}
	// What cannot be connected ends nothing.
	p.link.send(signal.TypeJoin, "3", "s3", signal.Join{Room: a.Room, Replaces: "s1", SDP: "v=0"})
	if r := refusal(t, p.link.want(signal.TypeError, "s3")); r.Code != signal.CodeBadRequest {
		t.Errorf("malformed offer: %v", r)
	}
	page, e := p.ask(second, "s4", signal.Join{Room: a.Room, Replaces: "s1"})
	if e.Type != signal.TypeAnswer || answer(t, e).Player != 1 {
		t.Fatalf("the page is told %s %s", e.Type, e.Data)
	}
	if c, err := signal.Read[signal.Closed](p.link.want(signal.TypeClosed, "s1")); err != nil || c.Code != signal.CodeElsewhere || c.Reason == "" {
		t.Errorf("the old one hears %+v, %v", c, err)
	}
	hears(t, page, "to be host", func(n roomNews) bool {
		return n.Host && n.Player == 1 && len(n.Members) == 2 && n.Members[0].ID == n.You
	})
	hears(t, friend, "who is there", func(n roomNews) bool { return !n.Host && n.Player == 2 && len(n.Members) == 2 })
	peertest.Wait(t, "a picture", page.Pictures)
}

// TestInvitationOnce: of two coordinators that bring somebody by the same
// invitation, one succeeds.
func TestInvitationOnce(t *testing.T) {
	other := newDoor(t)
	p := newPlay(t, func(c *Config) { c.Coordinators = append(c.Coordinators, other.address()) })
	second := other.accept()
	_, a := p.start("host")
	second.send(signal.TypeInvite, "1", "host", signal.Invite{Room: a.Room, Session: "host", Player: 3, Single: true})
	made, err := signal.Read[signal.Invited](second.want(signal.TypeInvited, "host"))
	if err != nil {
		t.Fatal(err)
	}
	p.link.send(signal.TypeInvite, "1", "x", signal.Invite{Room: a.Room, Session: "x"})
	if r := refusal(t, p.link.want(signal.TypeError, "x")); r.Code != signal.CodeHost {
		t.Errorf("somebody else invites: %v", r)
	}
	_, e := p.ask(p.link, "bare", signal.Join{Room: a.Room})
	if r := refusal(t, e); r.Code != signal.CodeInvite {
		t.Errorf("a bare link: %v", r)
	}
	p.link.send(signal.TypeJoin, "1", "bad", signal.Join{Room: a.Room, Invite: made.Token, SDP: "v=0"})
	if r := refusal(t, p.link.want(signal.TypeError, "bad")); r.Code != signal.CodeBadRequest {
		t.Errorf("malformed offer: %v", r)
	}
	one, two := peertest.New(t, peertest.Options{}), peertest.New(t, peertest.Options{})
	offers := [2]string{one.Offer(), two.Offer()}
	p.link.send(signal.TypeJoin, "1", "g1", signal.Join{Room: a.Room, Invite: made.Token, SDP: offers[0]})
	second.send(signal.TypeJoin, "1", "g2", signal.Join{Room: a.Room, Invite: made.Token, SDP: offers[1]})
	won, used := 0, 0
	for session, c := range map[string]*call{"g1": p.link, "g2": second} {
		e := c.wait("an answer", func(e signal.Envelope) bool {
			return e.Session == session && (e.Type == signal.TypeAnswer || e.Type == signal.TypeError)
		})
		switch {
		case e.Type == signal.TypeAnswer && answer(t, e).Player == 3:
			won++
		case e.Type == signal.TypeError && refusal(t, e).Code == signal.CodeUsed:
			used++
		}
	}
	if won != 1 || used != 1 {
		t.Errorf("%d won, %d were told that it is used", won, used)
	}
	p.link.send(signal.TypeRevoke, "9", "", signal.Revoke{Room: a.Room, ID: made.ID})
	p.link.want(signal.TypeDone, "")
}

// TestRemoved: the page of who is removed hears so, and comes back no way.
func TestRemoved(t *testing.T) {
	p := newPlay(t, nil)
	host, a := p.start("host")
	guest, _ := p.join("guest", a.Room, 0)
	you := hears(t, guest, "who it is", func(n roomNews) bool { return n.You != "" }).You
	say(t, host, `{"type":"remove","member":"`+you+`"}`)
	if c, err := signal.Read[signal.Closed](p.link.want(signal.TypeClosed, "guest")); err != nil || c.Code != signal.CodeRemoved {
		t.Errorf("closed with %+v, %v", c, err)
	}
	for !strings.Contains(peertest.Wait(t, "the reason", guest.Messages), `"removed"`) {
	}
	for session, join := range map[string]signal.Join{
		"guest": {Room: a.Room}, "g2": {Room: a.Room, Replaces: "guest"},
	} {
		if _, e := p.ask(p.link, session, join); e.Type != signal.TypeError || refusal(t, e).Code != signal.CodeRemoved {
			t.Errorf("%s is told %s %s", session, e.Type, e.Data)
		}
	}
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].Closed && r[0].Players == 1 && r[0].Seats == 4 })
}

// TestListNamesAndEnd: what an admin sees and does.
func TestListNamesAndEnd(t *testing.T) {
	p := newPlay(t, nil)
	host, a := p.start("host")
	user := &signal.User{ID: "bob", Name: "Bob", Role: signal.RolePlayer}
	_, e := p.ask(p.link, "guest", signal.Join{Room: a.Room, User: user})
	if e.Type != signal.TypeAnswer {
		t.Fatalf("told %s %s", e.Type, e.Data)
	}
	hears(t, host, "the user's name", func(n roomNews) bool { return len(n.Members) == 2 && n.Members[1].Name == "Bob" })
	p.link.send(signal.TypeList, "5", "", nil)
	list, err := signal.Read[signal.Sessions](p.link.want(signal.TypeSessions, ""))
	if err != nil || len(list.Sessions) != 2 {
		t.Fatalf("%+v, %v", list, err)
	}
	h, g := list.Sessions[0], list.Sessions[1]
	if h.ID != "host" || !h.Hosting || h.Player != 1 || h.Room != a.Room || h.Game != a.Game || h.User != nil || h.Away {
		t.Errorf("the host is listed as %+v", h)
	}
	if since := time.Since(time.UnixMilli(g.Since)); g.ID != "guest" || g.Hosting || g.Player != 2 || *g.User != *user || since < 0 || since > time.Minute {
		t.Errorf("the guest is listed as %+v", g)
	}
	p.link.send(signal.TypeEnd, "6", "", signal.End{Session: "guest", Reason: "it is late"})
	p.link.want(signal.TypeDone, "")
	if c, err := signal.Read[signal.Closed](p.link.want(signal.TypeClosed, "guest")); err != nil || c.Reason != "it is late" {
		t.Errorf("closed with %+v, %v", c, err)
	}
	wait(t, "the guest to be forgotten", func() bool { return p.sessions.find("guest") == nil }) // a moment later
	p.link.send(signal.TypeEnd, "7", "", signal.End{Session: "guest"})
	if r := refusal(t, p.link.want(signal.TypeError, "")); r.Code != signal.CodeNotFound {
		t.Errorf("ended twice: %v", r)
	}
	p.link.send(signal.TypeEnd, "8", "", signal.End{Room: a.Room, Reason: "so is this"})
	if c, err := signal.Read[signal.Closed](p.link.want(signal.TypeClosed, "host")); err != nil || c.Reason != "so is this" {
		t.Errorf("closed with %+v, %v", c, err)
	}
}

// TestLeaveAndReload: a page that says goodbye while it is loaded anew has its
// seat and right back.
func TestLeaveAndReload(t *testing.T) {
	p := newPlay(t, nil)
	_, a := p.start("s1")
	friend, _ := p.join("s2", a.Room, 0)
	p.link.send(signal.TypeLeave, "", "s1", nil)
	hears(t, friend, "to be host", func(n roomNews) bool { return n.Host && len(n.Members) == 1 })
	page, e := p.ask(p.link, "s3", signal.Join{Room: a.Room, Replaces: "s1"})
	if e.Type != signal.TypeAnswer || answer(t, e).Player != 1 {
		t.Fatalf("told %s %s", e.Type, e.Data)
	}
	hears(t, page, "to be host", func(n roomNews) bool { return n.Host })
	hears(t, friend, "to be none", func(n roomNews) bool { return !n.Host && len(n.Members) == 2 })
}

// TestSameSessionAgain: a page whose coordinator died before it heard the answer
// asks once more by another one; what it left there does not stand in its way.
func TestSameSessionAgain(t *testing.T) {
	other := newDoor(t)
	p := newPlay(t, func(c *Config) { c.Coordinators = append(c.Coordinators, other.address()) })
	second := other.accept()
	_, a := p.start("host")
	if _, e := p.ask(p.link, "s1", signal.Join{Room: a.Room}); e.Type != signal.TypeAnswer || answer(t, e).Player != 2 {
		t.Fatalf("told %s %s", e.Type, e.Data)
	}
	if _, e := p.ask(p.link, "s1", signal.Join{Room: a.Room}); e.Type != signal.TypeError || refusal(t, e).Code != signal.CodeBadRequest {
		t.Errorf("twice by one coordinator: told %s %s", e.Type, e.Data)
	}
	page, e := p.ask(second, "s1", signal.Join{Room: a.Room})
	if e.Type != signal.TypeAnswer || answer(t, e).Player != 2 {
		t.Fatalf("told %s %s", e.Type, e.Data)
	}
	peertest.Wait(t, "a picture", page.Pictures)
	// Left, and back before the connection has closed.
	second.send(signal.TypeLeave, "", "s1", nil)
	page, e = p.ask(second, "s1", signal.Join{Room: a.Room})
	if e.Type != signal.TypeAnswer || answer(t, e).Player != 2 {
		t.Fatalf("told %s %s", e.Type, e.Data)
	}
	peertest.Wait(t, "a picture", page.Pictures)
	if n := p.sessions.len(); n != 2 {
		t.Errorf("%d sessions", n)
	}
	for _, e := range slices.Concat(second.kept, p.link.kept) {
		if e.Type == signal.TypeClosed {
			t.Errorf("%s is closed", e.Session)
		}
	}
}

// TestAwayAndBack: who has lost the network keeps the seat and is shown as away
// until it is back.
func TestAwayAndBack(t *testing.T) {
	t.Parallel() // ICE takes its time to notice
	p := newPlay(t, nil)
	_, a := p.start("host")
	cable := peertest.NewCable(t)
	b := peertest.New(t, peertest.Options{Cable: cable})
	p.link.send(signal.TypeJoin, "1", "s1", signal.Join{Room: a.Room, SDP: b.Offer()})
	b.Accept(answer(t, p.link.want(signal.TypeAnswer, "s1")).SDP)
	peertest.Wait(t, "a picture", b.Pictures)
	s := p.sessions.find("s1")
	for _, out := range []bool{true, false} {
		cable.Pull(out)
		wait(t, "to be away, or back", func() bool { return s.info().Away == out })
		if i := s.info(); i.Player != 2 {
			t.Errorf("%+v", i)
		}
	}
	for len(b.Pictures) > 0 {
		<-b.Pictures
	}
	peertest.Wait(t, "a picture after it is back", b.Pictures)
}

// TestLeaveOfAnotherCoordinator: the coordinator by which a page came first gives
// its start up late. That does not end the game that the page has by the second,
// nor does what is told of it go astray.
func TestLeaveOfAnotherCoordinator(t *testing.T) {
	p, second := two(t, nil)
	p.start("s1")
	b := peertest.New(t, peertest.Options{})
	second.ask("again", library.TestCardID, 1, false)
	second.answerTo("again")
	second.send(signal.TypeStart, "1", "s1", signal.Start{Game: library.TestCardID, Ticket: "again", SDP: b.Offer()})
	a := answer(t, second.want(signal.TypeAnswer, "s1"))
	b.Accept(a.SDP)
	p.link.send(signal.TypeCandidate, "", "s1", signal.Candidate{Candidate: "malformed"})
	p.link.send(signal.TypeLeave, "", "s1", nil)
	p.link.send(signal.TypeList, "2", "", nil)
	p.link.answerTo("2") // the leave has been heard
	peertest.Wait(t, "a picture", b.Pictures)
	second.wantRooms(func(r []signal.Room) bool {
		return slices.ContainsFunc(r, func(r signal.Room) bool { return r.ID == a.Room && r.Players == 1 })
	})
	if s := p.sessions.find("s1"); s == nil || s.leaves.Load() {
		t.Fatal("the session has ended")
	}
	second.send(signal.TypeLeave, "", "s1", nil)
	second.wantRooms(func(r []signal.Room) bool {
		return !slices.ContainsFunc(r, func(r signal.Room) bool { return r.ID == a.Room && r.Players == 1 })
	})
}
