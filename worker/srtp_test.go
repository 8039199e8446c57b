package worker

import (
	"testing"

	"github.com/pion/dtls/v2"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/library"
	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// old is a browser without AES-GCM.
func old(t *testing.T) *peertest.Browser {
	t.Helper()
	return peertest.New(t, peertest.Options{SRTP: []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}})
}

// TestBrowserWithoutGCM plays at the second try, in the same room and seat; one
// that knows of itself at the first.
func TestBrowserWithoutGCM(t *testing.T) {
	p := newPlay(t, nil)
	b := old(t)
	p.link.send(signal.TypeStart, "1", "s1", signal.Start{
		Game: library.TestCardID, SDP: b.Offer(), Ticket: p.ticket(library.TestCardID),
	})
	a := answer(t, p.link.want(signal.TypeAnswer, "s1"))
	b.Accept(a.SDP)
	if r := refusal(t, p.link.want(signal.TypeError, "s1")); r.Code != signal.CodeSRTP {
		t.Fatalf("told %v", r)
	}
	b.Close()

	b = old(t)
	p.link.send(signal.TypeOffer, "2", "s1", signal.Offer{SDP: b.Offer()}) // the page forgot why
	if r := refusal(t, p.link.want(signal.TypeError, "s1")); r.Code != signal.CodeSRTP {
		t.Fatalf("told %v", r)
	}
	b = old(t)
	p.link.send(signal.TypeOffer, "3", "s1", signal.Offer{SDP: b.Offer(), SRTP: signal.SRTPSHA1})
	again := answer(t, p.link.want(signal.TypeAnswer, "s1"))
	b.Accept(again.SDP)
	if again.Room != a.Room || again.Player != 1 {
		t.Errorf("room %s player %d, before %s", again.Room, again.Player, a.Room)
	}
	if pic := peertest.Wait(t, "a picture", b.Pictures); !pic.Key {
		t.Error("the first picture is no key frame")
	}
	p.link.send(signal.TypeOffer, "4", "s1", signal.Offer{SDP: b.Restart()})
	b.Accept(answer(t, p.link.want(signal.TypeAnswer, "s1")).SDP)
	peertest.Wait(t, "a picture after the ICE restart", b.Pictures)

	guest := old(t)
	p.link.send(signal.TypeJoin, "1", "s2", signal.Join{Room: a.Room, SDP: guest.Offer(), SRTP: signal.SRTPSHA1})
	guest.Accept(answer(t, p.link.want(signal.TypeAnswer, "s2")).SDP)
	peertest.Wait(t, "a picture", guest.Pictures)
	b.Close()
	p.link.want(signal.TypeClosed, "s1")
}

// TestNoGCMAndGone: a page that gives up, or a game that ends, while a new
// connection is awaited leaves nothing behind.
func TestNoGCMAndGone(t *testing.T) {
	p := newPlay(t, nil)
	fail := func(session string) signal.Answer {
		b := old(t)
		p.link.send(signal.TypeStart, "1", session, signal.Start{
			Game: library.TestCardID, SDP: b.Offer(), Ticket: p.ticket(library.TestCardID),
		})
		a := answer(t, p.link.want(signal.TypeAnswer, session))
		b.Accept(a.SDP)
		p.link.want(signal.TypeError, session)
		b.Close()
		return a
	}
	a := fail("s1")
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].Players == 1 })
	p.link.send(signal.TypeLeave, "", "s1", nil)
	p.link.wantRooms(func(r []signal.Room) bool { return len(r) == 1 && r[0].ID == a.Room && r[0].Players == 0 })

	fail("s2")
	p.stop()
	p.link.want(signal.TypeClosed, "s2")
}
