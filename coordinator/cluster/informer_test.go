package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestInsist(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	tests := map[string]struct {
		err   error
		again bool // asked
	}{
		"refused":      {fmt.Errorf("dial: %w", syscall.ECONNREFUSED), true},
		"cut":          {io.ErrUnexpectedEOF, true},
		"overloaded":   {apierrors.NewTooManyRequests("later", 1), true},
		"no etcd":      {apierrors.NewInternalError(errors.New("etcd")), true},
		"starting":     {apierrors.NewServiceUnavailable("soon"), true},
		"slow":         {apierrors.NewTimeoutError("slow", 1), true},
		"slow server":  {apierrors.NewServerTimeout(pods, "list", 1), true},
		"forbidden":    {apierrors.NewForbidden(pods, "", errors.New("no role")), false},
		"unauthorized": {apierrors.NewUnauthorized("expired"), false},
		"too old":      {apierrors.NewResourceExpired("too old"), false},
		"invalid":      {apierrors.NewBadRequest("no such option"), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked, log := 0, &bytes.Buffer{}
				begin := time.Now()
				got, err := insist(t.Context(), &trouble{log: slog.New(slog.NewTextHandler(log, nil)), away: &atomic.Bool{}}, func() (string, error) {
					if asked++; asked < 30 {
						return "", test.err
					}
					return "answer", nil
				})
				if !test.again {
					if asked != 1 || !errors.Is(err, test.err) {
						t.Errorf("%q, %v after %d", got, err, asked)
					}
					return
				}
				if took := time.Since(begin); got != "answer" || err != nil || took < time.Minute || took > 29*5*time.Second {
					t.Errorf("%q, %v after %v", got, err, took)
				}
				if n := strings.Count(log.String(), "cannot be followed"); n != 1 {
					t.Errorf("said %d times:\n%s", n, log)
				}
			})
		})
	}
}

// Who waits for a server ends at once when it is told to.
func TestInsistEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := insist(ctx, &trouble{log: slog.New(slog.DiscardHandler), away: &atomic.Bool{}}, func() (int, error) { return 0, syscall.ECONNREFUSED })
		if err == nil || time.Since(begin) != 10*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// Who has no log says nothing, and keeps nobody else from it.
func TestTroubleWithoutALog(t *testing.T) {
	var api API
	(&trouble{away: &api.away}).note(t.Context(), syscall.ECONNREFUSED)
	if api.away.Load() {
		t.Error("that the server is away counts as told")
	}
}

func TestAddressOf(t *testing.T) {
	for host, want := range map[string]string{
		"https://10.96.0.1:443": "10.96.0.1", "https://[fd96::1]:443": "fd96::1", "https://[fe80::1%25eth0]:443": "fe80::1",
		"https://[::ffff:10.96.0.1]:443": "10.96.0.1", "https://kubernetes.default.svc:443": "invalid IP", "%": "invalid IP", "": "invalid IP",
	} {
		if got := addressOf(host).String(); got != want {
			t.Errorf("the address in %q is %s, want %s", host, got, want)
		}
	}
}

// Each kind of trouble is said once, until it is over.
func TestTroubleIsSaidOnce(t *testing.T) {
	log := &bytes.Buffer{}
	trouble := trouble{log: slog.New(slog.NewTextHandler(log, nil)), away: &atomic.Bool{}}
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no role"))
	for _, err := range []error{syscall.ECONNREFUSED, io.ErrUnexpectedEOF, forbidden, forbidden, io.EOF, apierrors.NewResourceExpired("old"), syscall.ECONNREFUSED} {
		trouble.note(t.Context(), err)
	}
	trouble.over()
	trouble.note(t.Context(), syscall.ECONNREFUSED)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	trouble.note(ended, forbidden)
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("said %d times:\n%s", n, log)
	}
}

// That the server does not answer is said by one informer of all, until it answers
// any of them; what it answers is said by each.
func TestTroubleOfAll(t *testing.T) {
	var api API
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("no role"))
	log := &bytes.Buffer{}
	all := make([]*trouble, 18)
	for i := range all {
		all[i] = &trouble{log: slog.New(slog.NewTextHandler(log, nil)).With("what", i), away: &api.away}
	}
	for _, step := range []struct {
		err  error
		said int
	}{
		{syscall.ECONNREFUSED, 1},
		{apierrors.NewServiceUnavailable("starting"), 0},
		{forbidden, len(all)},
		{nil, 0},
		{io.ErrUnexpectedEOF, 1},
	} {
		log.Reset()
		for _, t1 := range all {
			if step.err == nil {
				t1.over()
				continue
			}
			t1.note(t.Context(), step.err)
		}
		if n := strings.Count(log.String(), "cannot be followed"); n != step.said {
			t.Errorf("%v: said %d times, want %d:\n%s", step.err, n, step.said, log)
		}
	}
}
