package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/identity"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// passes are tokens and what they come to.
type passes map[string]error

func (p passes) Verify(_ context.Context, token string) (identity.Identity, error) {
	if err, ok := p[token]; !ok || err != nil {
		return identity.Identity{}, errors.Join(err, errors.New("not ours"))
	}
	n := token[len(token)-1:]
	return identity.Identity{Pod: "pod-" + n, UID: uidOf(n)}, nil
}

// uidOf is the UID of the pod that the token a.b.n names.
func uidOf(n string) string { return "uid-of-" + n }

// idOf is the id of a worker in that pod.
func idOf(n, name string) string { return "pod-" + signal.PodPart(uidOf(n)) + "-" + name }

// roomOf is the id of a room of a worker in that pod.
func roomOf(n string) string { return signal.NewRoomID(signal.PodPart(uidOf(n))) }

// presents has a worker come with a token, and a MAC if there is a secret.
func (d *door) presents(id, secret, token string, change ...func(*signal.Register)) *client {
	d.t.Helper()
	c := d.dial("/ws/worker", nil)
	challenge := read[signal.Challenge](d.t, c.next(signal.TypeChallenge))
	r := signal.Register{
		ID: id, Name: "name-" + id, Token: token, Library: signal.LibraryDigest(nil),
		Load: signal.Load{State: signal.StateReady, Places: 4, Free: 3, Sessions: 2},
	}
	for _, f := range change {
		f(&r)
	}
	if secret != "" {
		r.MAC = signal.MAC(secret, challenge.Nonce, signal.RoleWorker, id)
	}
	c.say(signal.TypeRegister, "r", "", r)
	return c
}

func TestWorkersByToken(t *testing.T) {
	d := start(t, func(c *Config) {
		c.Tokens = passes{"a.b.1": nil, "a.b.2": nil, "a.b.x": fmt.Errorf("%w: away", identity.ErrUnknown)}
	})
	a := read[signal.Accepted](t, d.presents(idOf("1", "one"), "", "a.b.1").next(signal.TypeAccepted))
	if a.Invites != signal.InviteKey(secret, roomOf("1")) || a.Invites == signal.InviteKey(secret, roomOf("2")) {
		t.Errorf("told the key %q", a.Invites)
	}
	d.presents(idOf("2", "two"), "wrong", "a.b.2").next(signal.TypeAccepted)
	d.presents("three", secret, "a.b.forged").next(signal.TypeAccepted)
	if a := read[signal.Accepted](t, d.presents("pod-1", secret, "").next(signal.TypeAccepted)); a.Invites != "" {
		t.Errorf("a worker that knows the secret is told %q", a.Invites)
	}
	for name, tt := range map[string]struct {
		secret, token, says string
		code                signal.Code
	}{
		"forged":            {"", "a.b.forged", "not ours", signal.CodeDenied},
		"forged, and wrong": {"wrong", "a.b.forged", "not ours", signal.CodeDenied},
		"not known yet":     {"", "a.b.x", "cannot be checked now", signal.CodeFailed},
		"neither":           {"", "", "mac", signal.CodeBadRequest},
		"garbage":           {"", "garbage", "JWT", signal.CodeBadRequest},
		"a megabyte":        {"", "a.b." + strings.Repeat("c", 1<<20), "bytes", signal.CodeBadRequest},
	} {
		if r := d.presents("four", tt.secret, tt.token).refused("r", tt.code); !strings.Contains(r.Message, tt.says) {
			t.Errorf("%s: %q", name, r.Message)
		}
	}
	want := []WorkerPod{
		{"name-pod-1", signal.StateReady, 2, 0, 4, 3},
		{"name-three", signal.StateReady, 2, 0, 4, 3},
		{"pod-1", signal.StateReady, 2, 0, 4, 3},
		{"pod-2", signal.StateReady, 2, 0, 4, 3},
	}
	until(t, "all workers", func() bool { return slices.Equal(d.WorkerPods(), want) })
}

func TestNoTokensAreTaken(t *testing.T) {
	d := start(t, nil)
	if r := d.presents("one", "", "a.b.1").refused("r", signal.CodeDenied); !strings.Contains(r.Message, "kubernetes.token.audience") {
		t.Errorf("no remedy in %q", r.Message)
	}
	d.presents("two", secret, "a.b.1").next(signal.TypeAccepted)
}
