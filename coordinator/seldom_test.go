package coordinator

import (
	"bytes"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func TestSeldom(t *testing.T) {
	var s seldom
	now := time.Now()
	for i, step := range []struct {
		after time.Duration
		thing string
		want  bool
	}{
		{0, "a", true}, {0, "a", false}, {0, "b", true}, {seldomPeriod - 1, "a", false}, {1, "a", true}, {0, "b", true}, {0, "b", false},
	} {
		now = now.Add(step.after)
		if got := s.may(step.thing, now); got != step.want {
			t.Errorf("step %d: %t", i, got)
		}
	}
	for i := range 2 * maxSeldom {
		s.may(strconv.Itoa(i), now)
	}
	if len(s.said) != maxSeldom || s.may("new", now) {
		t.Errorf("%d things are remembered", len(s.said))
	}
	if now = now.Add(seldomPeriod); !s.may("new", now) || len(s.said) != 1 {
		t.Errorf("%d things are remembered when all are old", len(s.said))
	}
}

// lines is a log that tests read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// What strangers do again and again does not fill the log.
func TestRefusalsAreLoggedSeldom(t *testing.T) {
	var log lines
	d := start(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		d.register("another secret", nil).ends()
		d.gate("another secret", "turn:a:1").ends()
		p := d.page()
		p.say(signal.TypeResume, "r", "", signal.Resume{Token: signal.MintToken("another secret", signal.Session{
			ID: signal.NewID(), Expires: time.Now().Add(time.Hour).Unix(),
		})})
		p.refused("r", signal.CodeDenied)
		d.get(http.MethodGet, "/api/v1/me", "Cookie: cloudretro=anything\r\n").Body.Close()
	}
	for _, text := range []string{"path=/ws/worker", "path=/ws/turn", "session token refused", "signed in with is refused"} {
		if n := log.count(text); n != 1 {
			t.Errorf("%d lines with %s", n, text)
		}
	}
	if n := d.Stats().Refused["denied"]; n < 6 {
		t.Errorf("%d are counted", n)
	}
}

// A coordinator whose clock is ahead does not take from others what is theirs.
func TestClocksApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bare()
		room := signal.NewID()
		for _, test := range []struct {
			ago time.Duration
			ok  bool
		}{{clockSkew - time.Second, true}, {clockSkew + time.Second, false}} {
			expired := time.Now().Add(-test.ago)
			_, err := c.verify(signal.MintToken(c.cfg.SessionSecret, signal.Session{ID: signal.NewID(), Expires: expired.Unix()}))
			if ok := err == nil; ok != test.ok {
				t.Errorf("a token of %s ago: %v", test.ago, err)
			}
			err = (&browser{c: c}).checkInvite(signal.Join{Room: room, Invite: signal.MintInvite(signal.InviteKey(c.cfg.Secret, room), signal.Invitation{
				ID: signal.NewID(), Room: room, Expires: expired,
			})})
			if ok := err == nil; ok != test.ok {
				t.Errorf("an invitation of %s ago: %v", test.ago, err)
			}
		}
	})
}
