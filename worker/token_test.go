package worker

import (
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

// TestTokenInPlaceOfTheSecret: the newest one is shown at each connection, no
// MAC, and invitations are signed with what the coordinator tells.
func TestTokenInPlaceOfTheSecret(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	mount(t, file, "a.b.first")
	p := newPlay(t, func(c *Config) { c.Secret, c.TokenFile = "", file })
	if r := p.link.register; r.MAC != "" || r.Token != "a.b.first" {
		t.Errorf("registered with %q, %q", r.MAC, r.Token)
	}
	_, a := p.start("s1")
	p.link.send(signal.TypeInvite, "i1", "", signal.Invite{Room: a.Room, Watch: true})
	invited, err := signal.Read[signal.Invited](p.link.want(signal.TypeInvited, ""))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signal.VerifyInvite(signal.InviteKey(secret), invited.Token, time.Now()); err != nil {
		t.Errorf("invitation: %v", err)
	}
	mount(t, file, "a.b.second")
	p.link.conn.Close()
	p.link = p.door.accept()
	if r := p.link.register; r.Token != "a.b.second" {
		t.Errorf("the old token %q is shown again", r.Token)
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
