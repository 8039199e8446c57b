package peer

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// FuzzAnswer: whatever a browser offers, first or later, costs it its own
// session at the most.
func FuzzAnswer(f *testing.F) {
	offer := peertest.New(f, peertest.Options{}).Offer()
	f.Add(offer, strings.ReplaceAll(offer, "a=ice-pwd:", "a=ice-pwd:another"))
	f.Add(strings.ReplaceAll(offer, "profile-level-id=4", "profile-level-id="), offer)
	f.Add(strings.ReplaceAll(offer, "a=mid:", "a=mid:x"), strings.ReplaceAll(offer, "a=rtpmap:", "a=rtpmap:9"))
	f.Add(strings.ReplaceAll(offer, "a=setup:actpass", "a=setup:nobody"), strings.ReplaceAll(offer, "m=application", "m=video"))
	f.Add(strings.ReplaceAll(offer, "a=fingerprint:sha-256 ", "a=fingerprint:x "), "v=0")
	f.Add(strings.ReplaceAll(offer, "a=extmap:", "a=extmap:99999"), strings.ReplaceAll(offer, "BUNDLE", ""))
	l, err := Listen(Config{Logger: slog.New(slog.DiscardHandler), Address: "127.0.0.1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = l.Close() })
	f.Fuzz(func(t *testing.T, first, second string) {
		p, err := l.Open(newWatcher().events(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		for _, offer := range []string{first, second} {
			if answer, err := p.Answer(t.Context(), offer, "127.0.0.1"); (err == nil) == (answer == "") {
				t.Errorf("answer %q with %v", answer, err)
			} else if err != nil && !errors.Is(err, ErrOffer) {
				t.Logf("not blamed on the offer: %v", err)
			}
			_ = p.AddCandidate("candidate:1 1 udp 1 127.0.0.1 9 typ host", nil, nil)
		}
	})
}
