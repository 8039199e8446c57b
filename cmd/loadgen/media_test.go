package loadgen

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// A page's offer is answered, and its picture comes; candidates may come at any time.
func TestSenderAndWatcher(t *testing.T) {
	seen := newTally(Options{})
	w, offer, err := newWatcher(seen)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	if err := (signal.Start{Game: ourGame, SDP: offer}).Validate(); err != nil || isCanned(offer) {
		t.Error(err)
	}
	for _, want := range []string{"m=video", "m=audio", "m=application", "a=recvonly", "a=candidate:"} {
		if !strings.Contains(offer, want) {
			t.Errorf("the offer lacks %s", want)
		}
	}
	for range 100 {
		w.candidate(signal.Candidate{Candidate: "candidate:1 1 udp 1 127.0.0.1 1 typ host"})
	}
	if len(w.early) != 64 {
		t.Errorf("%d candidates are kept", len(w.early))
	}
	s, answer, err := newSender(offer)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if err := w.accept(answer, func() {}); err != nil {
		t.Fatal(err)
	}
	if w.early != nil {
		t.Error("candidates are kept for ever")
	}
	w.candidate(signal.Candidate{})
	w.candidate(signal.Candidate{Candidate: "nonsense"})
	for seen.now().pictures == 0 {
		if !wait(t.Context(), tickPeriod/10) {
			t.Fatal("no picture")
		}
	}
	s.close()
	s.close()
	w.close()
	if n := seen.now(); n.pictures != 1 {
		t.Errorf("%d pictures were the first", n.pictures)
	}
}

// What is no description is an error, and nothing is left behind.
func TestBadDescriptions(t *testing.T) {
	for _, bad := range []string{"", "v=0", canned(3), "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"} {
		if s, _, err := newSender(bad); err == nil {
			s.close()
			t.Errorf("%q is taken as an offer", bad)
		}
		w, _, err := newWatcher(newTally(Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.accept(bad, func() {}); err == nil {
			t.Errorf("%q is taken as an answer", bad)
		}
		w.close()
	}
}

// Descriptions without media are as long as real ones, and told from these.
func TestCanned(t *testing.T) {
	offer, answer := canned(offerLines), canned(answerLines)
	if len(offer) < 2_000 || len(offer) > signal.MaxSDP || len(answer) >= len(offer) {
		t.Errorf("%d and %d bytes", len(offer), len(answer))
	}
	if err := (signal.Offer{SDP: offer}).Validate(); err != nil {
		t.Error(err)
	}
	if !isCanned(offer) || !isCanned(answer) || isCanned("v=0\r\ns=-\r\n") || isCanned("") {
		t.Error("what is canned is not known")
	}
}

// The simulated libraries differ, are valid, and have the game that all start.
func TestShelves(t *testing.T) {
	digests := map[string]bool{}
	for n := range 3 {
		s := newShelf(n)
		if err := (signal.Library{Digest: s.digest, Put: s.games}).Validate(); err != nil {
			t.Error(err)
		}
		if _, ok := s.byID[ourGame]; !ok || len(s.byID) != len(s.games) || digests[s.digest] {
			t.Errorf("shelf %d: %d games, %d by id", n, len(s.games), len(s.byID))
		}
		digests[s.digest] = true
	}
}

// Workers are shared out over zones, libraries and places.
func TestFleet(t *testing.T) {
	o := Options{Workers: 6, Places: 3, Libraries: 2, Zones: 3, Logger: slog.New(slog.DiscardHandler)}
	f := newFleet(o, nil, newTally(o))
	zones, ids, digests := map[string]int{}, map[string]bool{}, map[string]int{}
	for _, w := range f.workers {
		zones[w.zone]++
		ids[w.id] = true
		digests[w.shelf.digest]++
		if err := w.load().Validate(); err != nil || w.load().Free != 3 || len(w.rooms()) != 0 {
			t.Errorf("%+v, %v", w.load(), err)
		}
		_, payload := w.introduce(signal.Challenge{Nonce: signal.NewNonce(), Coordinator: "c"}, 0)
		if r, ok := payload.(signal.Register); !ok || r.Validate() != nil {
			t.Errorf("%+v", payload)
		}
	}
	if len(zones) != 3 || zones["zone-3"] != 2 || len(ids) != 6 || len(digests) != 2 || !f.known() {
		t.Errorf("zones %v, %d ids, %d libraries", zones, len(ids), len(digests))
	}
	o.Zones = 0
	if w := newFleet(o, nil, newTally(o)).workers[5]; w.zone != "" {
		t.Errorf("a zone that nobody asked for: %s", w.zone)
	}
}
