package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// What is said again and again is said once in a minute, whatever numbers are in
// it; so is what each of many informers says below level warn; the rest at once.
func TestSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(newSeldom(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))).With("part", "cluster")
		refused := func(port int) {
			log.Error("list failed", "err", fmt.Errorf("dial tcp 10.96.0.1:443: from port %d: refused", port))
		}
		for i := range 100 {
			refused(40_000 + i)
			log.Info("watch ended", "type", i%18, "err", fmt.Errorf("cause %c", 'a'+i%18))
			log.Debug("hello")
			time.Sleep(500 * time.Millisecond)
		}
		log.WithGroup("g").Error("watch failed", "err", "another cause")
		if n := strings.Count(out.String(), "list failed"); n != 1 {
			t.Errorf("said %d times in 50 s", n)
		}
		for want, n := range map[string]int{"msg=hello": 100, "watch ended": 1, "another cause": 1, "part=cluster": 103, "before=": 0} {
			if got := strings.Count(out.String(), want); got != n {
				t.Errorf("%q is there %d times, want %d", want, got, n)
			}
		}
		time.Sleep(10 * time.Second)
		refused(1)
		if !strings.Contains(out.String(), "before=99") {
			t.Errorf("it is not told how often it happened:\n%s", out.String()[max(0, out.Len()-500):])
		}
	})
}

func TestSeldomIsBounded(t *testing.T) {
	c := causes{all: map[string]*cause{}}
	for i := range 10 * maxCauses {
		if _, ok := c.may(strings.Repeat("x", i), time.Now()); !ok {
			t.Fatalf("cause %d is not said", i)
		}
	}
	if len(c.all) > maxCauses {
		t.Errorf("%d are remembered", len(c.all))
	}
}
