package worker

import (
	"encoding/base64"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// mount puts a token where the kubelet would: by a rename.
func mount(t *testing.T, file, token string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(file+".new", []byte(token+"\n"), 0o600), os.Rename(file+".new", file)); err != nil {
		t.Fatal(err)
	}
}

// podToken is a token of a pod; n tells two of them apart.
func podToken(uid, n string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"kubernetes.io":{"pod":{"uid":"`+uid+`"}}}`)) + "." + n
}

// TestTokenInPlaceOfTheSecret: the newest one is shown at each connection, no
// MAC, and invitations are signed with what the coordinator tells.
func TestTokenInPlaceOfTheSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	first, second, part := podToken("uid", "first"), podToken("uid", "second"), signal.PodPart("uid")
	mount(t, file, first)
	p := newPlay(t, func(c *Config) { c.Secret, c.TokenFile = "", file })
	id := p.link.register.ID
	if r := p.link.register; r.MAC != "" || r.Token != first || !signal.WorkerOf(part, id) {
		t.Errorf("%q registered with %q, %q", id, r.MAC, r.Token)
	}
	_, a := p.start("s1")
	if !signal.RoomOf(part, a.Room) {
		t.Errorf("the room %q is not one of the pod", a.Room)
	}
	p.link.send(signal.TypeInvite, "i1", "", signal.Invite{Room: a.Room, Watch: true})
	invited, err := signal.Read[signal.Invited](p.link.want(signal.TypeInvited, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signal.VerifyInvite(signal.InviteKey(secret, a.Room), invited.Token, time.Now()); err != nil {
		t.Errorf("invitation: %v", err)
	}
	mount(t, file, second)
	p.link.conn.Close()
	p.link = p.door.accept()
	if r := p.link.register; r.Token != second || r.ID != id {
		t.Errorf("the old token %q is shown again, or the id changed to %q", r.Token, r.ID)
	}
}

// TestNames: the id is of the pod as soon as a token says which one that is, and
// does not change after a coordinator may have learnt it.
func TestNames(t *testing.T) {
	of, other := podToken("uid", "x"), podToken("other", "x")
	for name, tt := range map[string]struct {
		secret bool
		tokens []string // as they are shown
		stays  int      // the first of them whose id stays
		uid    string   // of the pod that it is of then
	}{
		"a token":                        {false, []string{of, of}, 0, "uid"},
		"a token that comes late":        {false, []string{"", of, of}, 1, "uid"},
		"a token that goes":              {false, []string{of, "", of}, 0, "uid"},
		"no token of a pod":              {false, []string{"a.b.c", "a.b.c", of}, 2, "uid"},
		"the secret":                     {true, []string{"", ""}, 0, ""},
		"both":                           {true, []string{of, "", of}, 0, "uid"},
		"both, and the token comes late": {true, []string{"", of}, 0, ""},
		"the token of another pod":       {false, []string{of, other}, 0, "uid"},
	} {
		t.Run(name, func(t *testing.T) {
			s, part := &self{id: signal.NewID()}, signal.PodPart(tt.uid)
			var id string
			for i, token := range tt.tokens {
				next := s.name(token, tt.secret)
				if i > tt.stays && next != id {
					t.Errorf("%d: the id changes from %q to %q", i, id, next)
				}
				id = next
			}
			if signal.WorkerOf(part, id) != (part != "") || s.pod() != part || !signal.ValidID(id) {
				t.Errorf("id %q, part %q", id, s.pod())
			}
		})
	}
}

// TestNoTokenToRead: the worker says why it is not let in, and comes in when the
// token is there.
func TestNoTokenToRead(t *testing.T) {
	w := &Worker{cfg: Config{TokenFile: filepath.Join(t.TempDir(), "token")}}
	log := &logBuffer{said: make(chan struct{}, 1)}
	w.log = slog.New(slog.NewTextHandler(log, nil))
	if token := w.token(); token != "" || !strings.Contains(log.b.String(), "kubernetes.token.file") || !strings.Contains(log.b.String(), "no such file") {
		t.Errorf("token %q, log %s", token, log.b.String())
	}
	mount(t, w.cfg.TokenFile, "a.b.c")
	if token := w.token(); token != "a.b.c" {
		t.Errorf("token %q", token)
	}
	w.cfg.TokenFile = ""
	if token := w.token(); token != "" {
		t.Errorf("token %q of no file", token)
	}
}
