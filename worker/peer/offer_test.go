package peer

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/worker/peer/peertest"
)

// idle is a peer that does not run.
func idle(t *testing.T) *Peer {
	t.Helper()
	p, err := listen(t, Config{Address: "127.0.0.1"}).Open(newWatcher().events(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestControlQueueIsBounded(t *testing.T) {
	p := idle(t)
	for range controlQueue + 7 {
		p.Control([]byte("x"))
	}
	if got := p.Stats().ControlsDropped; got != 7 {
		t.Errorf("%d dropped, want 7", got)
	}
}

func TestCloseBeforeAnything(t *testing.T) {
	p, err := listen(t, Config{Address: "127.0.0.1"}).Open(newWatcher().events(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close()
	if err := p.Run(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Run after Close = %v", err)
	}
	if _, err := p.Answer(t.Context(), peertest.New(t, peertest.Options{}).Offer(), ""); err == nil {
		t.Error("Answer after Close succeeded")
	}
}

const minimalOffer = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

func TestCheckOffer(t *testing.T) {
	video := "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=recvonly\r\n"
	tests := []struct {
		name, sdp string
		ok        bool
	}{
		{"video only", minimalOffer + video, true},
		{"empty", "", false},
		{"no sections", minimalOffer, false},
		{"two videos", minimalOffer + video + video, false},
		{"sends video", minimalOffer + strings.Replace(video, "recvonly", "sendrecv", 1), false},
		{"sends audio", minimalOffer + video + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=sendonly\r\n", false},
		{"sends and does not", minimalOffer + strings.Replace(video, "a=recvonly", "a=sendrecv\r\na=recvonly", 1), false},
		{"does not and sends", minimalOffer + video + "a=sendonly\r\n", false},
		{"does not and is silent", minimalOffer + video + "a=inactive\r\n", false},
		{"no direction", minimalOffer + strings.Replace(video, "a=recvonly\r\n", "", 1), false},
		{"direction of the session", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=recvonly\r\n" + strings.Replace(video, "a=recvonly\r\n", "", 1), false},
		{"sound and data alone", minimalOffer + "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=recvonly\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", false},
		{"two data sections", minimalOffer + video + strings.Repeat("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", 2), false},
		{"many candidates", minimalOffer + video + candidateLines(maxRemote), true},
		{"too many candidates", minimalOffer + video + candidateLines(maxRemote+1), false},
		{"too many, in two sections", minimalOffer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=candidate:9 1 udp 9 127.0.0.9 9 typ host\r\n" + video + candidateLines(maxRemote), false},
		{"the same in two sections", minimalOffer + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n" + candidateLines(maxRemote) + video + candidateLines(maxRemote), true},
		{"unknown section", minimalOffer + video + "m=text 9 RTP/AVP 1\r\n", false},
		{"huge", minimalOffer + video + strings.Repeat("a=x\r\n", maxSDP/5), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := CheckOffer(tt.sdp)
			if (err == nil) != tt.ok || (err != nil && !errors.Is(err, ErrOffer)) {
				t.Errorf("CheckOffer = %v", err)
			}
		})
	}
}

func FuzzCheckOffer(f *testing.F) {
	f.Add(minimalOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=recvonly\r\n")
	f.Add(minimalOffer + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=sendrecv\r\na=recvonly\r\na=ice-ufrag:x\r\na=setup:active\r\n" + candidateLines(3))
	f.Add("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=ice-pwd:p\r\nm=audio 9 RTP/AVP 0\r\na=inactive\r\nm=video 0 RTP/AVP 0\r\na=recvonly\r\n")
	f.Fuzz(func(t *testing.T, offer string) {
		o, err := readOffer(offer)
		if err != nil {
			if !errors.Is(err, ErrOffer) || o != (offered{}) {
				t.Errorf("%+v, unclassified: %v", o, err)
			}
			return
		}
		if o.candidates > maxRemote || len(offer) > maxSDP || !strings.Contains(offer, "recvonly") || !strings.Contains(offer, "video") {
			t.Errorf("passed as %+v", o)
		}
	})
}

// TestPionLogsAreQuiet: a stranger cannot write to the log, but who looks for his
// traces finds them.
func TestPionLogsAreQuiet(t *testing.T) {
	for level, want := range map[slog.Level]int{slog.LevelInfo: 0, slog.LevelDebug: 6} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
		l := pionLogs{log}.NewLogger("ice")
		l.Error("bad datagram")
		l.Errorf("%d", 1)
		l.Warn("bad datagram")
		l.Warnf("%d", 2)
		l.Info("bad datagram")
		l.Infof("%d", 3)
		l.Debug("each packet")
		l.Debugf("%d", 4)
		l.Trace("each packet")
		l.Tracef("%d", 5)
		if got := strings.Count(out.String(), "pion=ice"); got != want || strings.Contains(out.String(), "each packet") {
			t.Errorf("level %v: %d lines, want %d:\n%s", level, got, want, out.String())
		}
	}
}
