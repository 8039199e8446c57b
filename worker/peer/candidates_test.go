package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/pion/sdp/v3"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// candidateLines are n different candidates.
func candidateLines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "a=candidate:%d 1 udp 1 127.0.0.1 %d typ host\r\n", i, 20000+i)
	}
	return b.String()
}

// withCandidates adds n of them to the first section of an offer.
func withCandidates(offer string, n int) string {
	return strings.Replace(offer, "a=setup:", candidateLines(n)+"a=setup:", 1)
}

// own is how many candidates an offer has.
func own(t *testing.T, offer string) int {
	t.Helper()
	o, err := readOffer(offer)
	if err != nil {
		t.Fatal(err)
	}
	return o.candidates
}

// TestCandidatesAddUp: we knock at each candidate from each of our addresses, so
// a browser must not get more of them by dealing them out over several offers.
func TestCandidatesAddUp(t *testing.T) {
	plain := peertest.New(t, peertest.Options{}).Offer()
	free := maxRemote - own(t, plain)
	anew := strings.ReplaceAll(plain, "a=ice-pwd:", "a=ice-pwd:another")
	moved := strings.Replace(strings.ReplaceAll(plain, "a=ice-pwd:", "a=x-pwd:"), "a=group:", "a=ice-pwd:"+password(plain)+"\r\na=group:", 1)
	tests := []struct {
		name  string
		steps []string // an offer, or "+n" candidates that trickle
		fails int      // step that is refused, -1 = none
	}{
		{"all in the offer", []string{withCandidates(plain, free)}, -1},
		{"one more", []string{withCandidates(plain, free+1)}, 0},
		{"one more trickles", []string{withCandidates(plain, free), "+1"}, 1},
		{"half of each", []string{withCandidates(plain, free/2), fmt.Sprint("+", free-free/2)}, -1},
		{"early ones count", []string{"+1", withCandidates(plain, free)}, 1},
		{"the same offer again", []string{withCandidates(plain, free/2), withCandidates(plain, free)}, 1},
		{"in later offers", []string{fmt.Sprint("+", free/2), plain, "+1", withCandidates(plain, free)}, 3},
		{"ICE begins anew", []string{withCandidates(plain, free), withCandidates(anew, free)}, -1},
		{"and has room again", []string{withCandidates(plain, free), withCandidates(anew, free-3), "+3", "+1"}, 3},
		{"and is full again", []string{withCandidates(plain, free), withCandidates(anew, free), "+1"}, 2},
		{"and back", []string{withCandidates(plain, free), withCandidates(anew, free), withCandidates(plain, free), "+1"}, 3},
		{"the password is said elsewhere", []string{withCandidates(plain, free), withCandidates(moved, free)}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := idle(t)
			for i, step := range tt.steps {
				if err := take(t, p, step); (err != nil) != (i == tt.fails) {
					t.Fatalf("step %d: %v", i, err)
				} else if err != nil && !errors.Is(err, ErrOffer) {
					t.Errorf("step %d: unclassified %v", i, err)
				}
			}
		})
	}
}

func password(offer string) string {
	_, rest, _ := strings.Cut(offer, "a=ice-pwd:")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// take does a step of TestCandidatesAddUp.
func take(t *testing.T, p *Peer, step string) error {
	t.Helper()
	var n int
	if _, err := fmt.Sscanf(step, "+%d", &n); err != nil {
		_, err := p.Answer(t.Context(), step, "")
		return err
	}
	for i := range n {
		if err := p.AddCandidate(fmt.Sprintf("candidate:%d 1 udp 1 127.0.0.1 %d typ host", i, 30000+i), nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// TestRefusedOfferIsCounted: what pion may have taken before it refused counts.
func TestRefusedOfferIsCounted(t *testing.T) {
	p := idle(t)
	plain := peertest.New(t, peertest.Options{}).Offer()
	if err := take(t, p, withCandidates(plain, 5)); err != nil {
		t.Fatal(err)
	}
	before := p.remote
	if err := take(t, p, withCandidates(strings.Replace(plain, "a=mid:", "a=x-mid:", 1), 7)); !errors.Is(err, ErrOffer) {
		t.Fatalf("an offer without mid: %v", err)
	}
	if p.remote != before+own(t, plain)+7 {
		t.Errorf("%d candidates, before %d", p.remote, before)
	}
}

// TestCredentials are read like pion reads them: else an offer could seem to begin
// anew that does not.
func TestCredentials(t *testing.T) {
	const head, a, b = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", "m=audio 9 RTP/AVP 0\r\n", "m=video 9 RTP/AVP 0\r\n"
	const ufrag, pwd = "a=ice-ufrag:u\r\n", "a=ice-pwd:p\r\n"
	tests := []struct{ name, sdp, want string }{
		{"of a section", head + a + ufrag + pwd + b, "u p"},
		{"of the second section", head + a + b + ufrag + pwd, "u p"},
		{"of the session", head + ufrag + pwd + a, "u p"},
		{"the session's come first", head + ufrag + pwd + a + "a=ice-ufrag:v\r\na=ice-pwd:q\r\n", "u p"},
		{"mixed", head + pwd + a + ufrag + b, "u p"},
		{"apart", head + a + pwd + b + ufrag, "u p"},
		{"none", head + a + b, " "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s sdp.SessionDescription
			if err := s.UnmarshalString(tt.sdp); err != nil {
				t.Fatal(err)
			}
			if got := credentials(&s); got != tt.want {
				t.Errorf("credentials %q, want %q", got, tt.want)
			}
		})
	}
}

// TestHiddenAddrs: loopback leads a browser elsewhere to its own machine.
func TestHiddenAddrs(t *testing.T) {
	parse := func(list ...string) (out []netip.AddrPort) {
		for _, ip := range list {
			out = append(out, netip.AddrPortFrom(netip.MustParseAddr(ip), 8443))
		}
		return out
	}
	both, alone := parse("127.0.0.1", "10.0.0.1", "::1"), parse("127.0.0.1", "::1")
	tests := []struct {
		name, host string
		own        []netip.AddrPort
		want       int
	}{
		{"a node", "10.200.0.2", both, 2},
		{"a node, IPv6", "[2001:db8::1]", both, 2},
		{"a name", "play.example.org", both, 2},
		{"nothing else to announce", "play.example.org", alone, 0},
		{"unknown", "", both, 0},
		{"localhost", "LocalHost", both, 0},
		{"a name of localhost", "play.localhost", both, 0},
		{"loopback", "127.0.0.2", both, 0},
		{"loopback, IPv6", "[::1]", both, 0},
		{"loopback as IPv6", "::ffff:127.0.0.1", both, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := hiddenAddrs(tt.own, tt.host)
			if len(got) != tt.want || slices.ContainsFunc(got, func(ip netip.Addr) bool { return !ip.IsLoopback() }) {
				t.Errorf("hidden %v, want %d", got, tt.want)
			}
		})
	}
}

// TestAnswerHidesLoopback: what pion announces of itself is hidden, too.
func TestAnswerHidesLoopback(t *testing.T) {
	l := listen(t, Config{})
	if len(hiddenAddrs(l.own, "192.0.2.1")) == 0 {
		t.Skip("SKIPPED: this machine has loopback alone, or none")
	}
	for host, want := range map[string]bool{"192.0.2.1": false, "play.example.org": false, "127.0.0.1": true, "": true} {
		p, err := l.Open(newWatcher().events(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		b := peertest.New(t, peertest.Options{})
		answer, err := p.Answer(t.Context(), b.Offer(), host)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(answer, " 127.0.0.1 "); got != want {
			t.Errorf("%q: loopback announced: %v\n%s", host, got, answer)
		}
		b.Accept(answer)
		p.Close()
	}
}
