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
	return identity.Identity{Pod: "pod-" + token[len(token)-1:], UID: "u"}, nil
}

// presents has a worker come with a token, and a MAC if there is a secret.
func (d *door) presents(id, secret, token string) *client {
	d.t.Helper()
	c := d.dial("/ws/worker", nil)
	challenge := read[signal.Challenge](d.t, c.next(signal.TypeChallenge))
	r := signal.Register{
		ID: id, Name: "name-" + id, Token: token, Library: signal.LibraryDigest(nil),
		Load: signal.Load{State: signal.StateReady, Places: 4, Free: 3, Sessions: 2},
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
	a := read[signal.Accepted](t, d.presents("one", "", "a.b.1").next(signal.TypeAccepted))
	if a.Invites != signal.InviteKey(secret) {
		t.Errorf("told the key %q", a.Invites)
	}
	d.presents("two", "wrong", "a.b.2").next(signal.TypeAccepted)
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

// TestIDsOfOtherPods: a pod's worker that has learnt the id of another one does
// not take its place; the same pod's does, and who knows the secret.
func TestIDsOfOtherPods(t *testing.T) {
	d := start(t, func(c *Config) { c.Tokens = passes{"a.b.1": nil, "a.b.2": nil} })
	first := d.presents("one", "", "a.b.1")
	first.next(signal.TypeAccepted)
	d.presents("two", secret, "").next(signal.TypeAccepted)
	for _, id := range []string{"one", "two"} {
		if r := d.presents(id, "", "a.b.2").refused("r", signal.CodeDenied); !strings.Contains(r.Message, "another pod") {
			t.Errorf("%s: %q", id, r.Message)
		}
	}
	again := d.presents("one", "", "a.b.1")
	again.next(signal.TypeAccepted)
	if code := first.ends(); code != closeReplaced {
		t.Errorf("the old connection ended with %d", code)
	}
	for i := range maxOfPod - 1 {
		d.presents(fmt.Sprint("more-", i), "", "a.b.1").next(signal.TypeAccepted)
	}
	if r := d.presents("too-many", "", "a.b.1").refused("r", signal.CodeDenied); !strings.Contains(r.Message, "pod-1 are here") {
		t.Errorf("%q", r.Message)
	}
	d.presents("three", "", "a.b.2").next(signal.TypeAccepted)
	d.presents("one", secret, "").next(signal.TypeAccepted)
	if code := again.ends(); code != closeReplaced {
		t.Errorf("the second connection ended with %d", code)
	}
}

// TestWorkersThatComeAtOnce: what holds for workers that are here holds for those
// that are admitted and not here yet.
func TestWorkersThatComeAtOnce(t *testing.T) {
	r := newRegistry()
	for i := range maxOfPod {
		if err := r.admit(fmt.Sprint("id-", i), "pod-1"); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ id, pod, says string }{
		{"id-0", "pod-1", ""}, // it comes a second time
		{"id-0", "pod-2", "another pod"},
		{"too-many", "pod-1", "pod-1 are here"},
		{"too-many", "pod-2", ""},
	} {
		if err := r.admit(tt.id, tt.pod); (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s of %s: %v", tt.id, tt.pod, err)
		}
	}
	w := link("id-0", loose(), nil)
	w.pod = "pod-1"
	r.addWorker(w, signal.LibraryDigest(nil), nil)
	r.removeWorker(w)
	if err := r.admit("id-0", "pod-2"); err != nil {
		t.Errorf("the id of one that has left: %v", err)
	}
}

func TestNoTokensAreTaken(t *testing.T) {
	d := start(t, nil)
	if r := d.presents("one", "", "a.b.1").refused("r", signal.CodeDenied); !strings.Contains(r.Message, "kubernetes.token.audience") {
		t.Errorf("no remedy in %q", r.Message)
	}
	d.presents("two", secret, "a.b.1").next(signal.TypeAccepted)
}

// TestPodsOfWorkers: nobody speaks for the pod of another one's token, and a name
// that no pod can have is none.
func TestPodsOfWorkers(t *testing.T) {
	d := start(t, func(c *Config) { c.Tokens = passes{"a.b.1": nil} })
	put := func(id, name, pod string, free int) {
		w := link(id, loose(), func(r *signal.Register) { r.Name, r.Load.Free = name, free })
		w.pod = pod
		d.registry.addWorker(w, signal.LibraryDigest(nil), nil)
	}
	put("liar", "pod-1", "", 1)
	put("true", "whatever", "pod-1", 2)
	put("liar-too", "pod-1", "", 3)
	put("old", "pod-2", "", 1)
	put("new", "pod-2", "", 4)
	put("person", "My worker", "", 1)
	pods := d.WorkerPods()
	if len(pods) != 2 || pods[0].Pod != "pod-1" || pods[0].Free != 2 || pods[1].Pod != "pod-2" || pods[1].Free != 4 {
		t.Errorf("pods %+v", pods)
	}
}
