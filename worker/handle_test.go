package worker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// TestQueueIsPassedOn to all others, not back.
func TestQueueIsPassedOn(t *testing.T) {
	p, second := two(t, nil)
	q := signal.Queue{Coordinator: p.door.id, Since: []int64{1, 5, 5}, At: 7}.Sign("the coordinators' own")
	p.link.send(signal.TypeQueue, "", "", q)
	got, err := signal.Read[signal.Queue](second.want(signal.TypeQueue, ""))
	if err != nil || got.Coordinator != q.Coordinator || !slices.Equal(got.Since, q.Since) || !got.Signed("the coordinators' own") {
		t.Errorf("%+v, %v", got, err)
	}
	second.send(signal.TypeQueue, "", "", q) // it is of the first: not for it
	second.send(signal.TypeQueue, "q", "", map[string]any{"coordinator": "x", "since": []int{2, 1}})
	second.want(signal.TypeError, "")
	p.link.reserve("t", library.TestCardID) // all that came before has been handled
	if slices.ContainsFunc(p.link.kept, func(e signal.Envelope) bool { return e.Type == signal.TypeQueue }) {
		t.Error("a queue came back")
	}
}

func sessionsOf(t *testing.T, c *call) []signal.SessionInfo {
	t.Helper()
	c.send(signal.TypeList, "list", "", nil)
	s, err := signal.Read[signal.Sessions](c.want(signal.TypeSessions, ""))
	if err != nil {
		t.Fatal(err)
	}
	return s.Sessions
}

func TestAdminListsAndEnds(t *testing.T) {
	p, second := two(t, nil)
	if s := sessionsOf(t, second); len(s) != 0 {
		t.Errorf("sessions %+v", s)
	}
	_, a := p.start("s1")
	p.join("s2", a.Room, 0)
	list := sessionsOf(t, second)
	if len(list) != 2 || list[0].ID != "s1" || list[0].Room != a.Room || list[0].Game != library.TestCardID ||
		list[0].Player != 1 || !list[0].Hosting || list[1].Player != 2 || list[1].Hosting {
		t.Fatalf("sessions %+v", list)
	}

	second.send(signal.TypeEnd, "e1", "", signal.End{Session: "s2", Reason: "enough"})
	second.want(signal.TypeDone, "")
	closed, err := signal.Read[signal.Closed](p.link.want(signal.TypeClosed, "s2"))
	if err != nil || closed.Reason != "enough" {
		t.Errorf("closed %+v, %v", closed, err)
	}
	second.send(signal.TypeEnd, "e2", "", signal.End{Room: a.Room})
	second.want(signal.TypeDone, "")
	closed, err = signal.Read[signal.Closed](p.link.want(signal.TypeClosed, "s1"))
	if err != nil || !strings.Contains(closed.Reason, "administrator") {
		t.Errorf("closed %+v, %v", closed, err)
	}
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 0 })
	for i, end := range []signal.End{{Session: "s2"}, {Room: a.Room}} {
		id := fmt.Sprintf("gone%d", i)
		second.send(signal.TypeEnd, id, "", end)
		if r := refusal(t, second.answerTo(id)); r.Code != signal.CodeNotFound {
			t.Errorf("%+v: %v", end, r)
		}
	}
}

func TestListIsBounded(t *testing.T) {
	var table sessions
	if l := table.list(); l.Total != 0 || len(l.Sessions) != 0 {
		t.Errorf("list %+v", l)
	}
	table.byID = map[string]*session{"starting": {id: "starting", since: time.Now()}}
	if l := table.list(); len(l.Sessions) != 0 {
		t.Errorf("a session that has no place is listed: %+v", l)
	}
}

func TestInvitations(t *testing.T) {
	p, second := two(t, nil)
	_, a := p.start("s1")
	second.send(signal.TypeInvite, "i1", "", signal.Invite{Room: a.Room, Watch: true, Single: true})
	invited, err := signal.Read[signal.Invited](second.want(signal.TypeInvited, ""))
	if err != nil {
		t.Fatal(err)
	}
	if i, err := signal.VerifyInvite(signal.InviteKey(secret, a.Room), invited.Token, time.Now()); err != nil || i.Room != a.Room || !i.Watch {
		t.Errorf("invitation %+v, %v", i, err)
	}
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].Closed && r[0].Seats == 4 })
	join := signal.Join{Room: a.Room, SDP: peertest.New(t, peertest.Options{}).Offer()}
	p.link.send(signal.TypeJoin, "1", "s2", join)
	if r := refusal(t, p.link.want(signal.TypeError, "s2")); r.Code != signal.CodeInvite {
		t.Errorf("a bare link: %v", r)
	}
	second.send(signal.TypeRevoke, "r1", "", signal.Revoke{Room: a.Room, ID: invited.ID})
	second.want(signal.TypeDone, "")
	join.Invite = invited.Token
	p.link.send(signal.TypeJoin, "2", "s3", join)
	if r := refusal(t, p.link.want(signal.TypeError, "s3")); r.Code != signal.CodeRevoked {
		t.Errorf("a revoked invitation: %v", r)
	}
}

// TestAdminRefusals: what is malformed, or about what is not there.
func TestAdminRefusals(t *testing.T) {
	p := newPlay(t, nil)
	_, a := p.start("s1")
	nowhere := strings.Repeat("a", 26)
	tests := []struct {
		name    string
		kind    signal.Type
		payload any
		code    signal.Code
	}{
		{"ticket with dots", signal.TypeReserve, signal.Reserve{Ticket: "..", Game: "x"}, signal.CodeBadRequest},
		{"no such game", signal.TypeReserve, signal.Reserve{Ticket: "t", Game: "x"}, signal.CodeNotFound},
		{"cancel of nothing", signal.TypeCancel, signal.Cancel{}, signal.CodeBadRequest},
		{"end of nothing", signal.TypeEnd, signal.End{}, signal.CodeBadRequest},
		{"end of both", signal.TypeEnd, signal.End{Session: "s1", Room: a.Room}, signal.CodeBadRequest},
		{"drain is text", signal.TypeDrain, "x", signal.CodeBadRequest},
		{"invite nowhere", signal.TypeInvite, signal.Invite{Room: nowhere}, signal.CodeNotFound},
		{"invite of player 99", signal.TypeInvite, signal.Invite{Room: a.Room, Player: 99}, signal.CodeBadRequest},
		{"invite by a stranger", signal.TypeInvite, signal.Invite{Room: a.Room, Session: "s9"}, signal.CodeHost},
		{"revoke nowhere", signal.TypeRevoke, signal.Revoke{Room: nowhere, ID: "i"}, signal.CodeNotFound},
		{"revoke nothing", signal.TypeRevoke, signal.Revoke{Room: a.Room}, signal.CodeBadRequest},
		{"revoke what was never there", signal.TypeRevoke, signal.Revoke{Room: a.Room, ID: "i"}, signal.CodeNotFound},
		{"not for workers", signal.TypeGranted, nil, signal.CodeBadRequest},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := fmt.Sprintf("r%d", i)
			p.link.send(tt.kind, id, "", tt.payload)
			if r := refusal(t, p.link.answerTo(id)); r.Code != tt.code {
				t.Errorf("refused with %v, want %v", r, tt.code)
			}
		})
	}
	if s := p.Status(); s.Rooms != 1 || s.State != signal.StateReady || s.Held != 0 {
		t.Errorf("Status = %+v", s)
	}
}
