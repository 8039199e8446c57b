package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// shared is what the tests of this package have in common: one binary, one browser.
type shared struct {
	bin     string
	browser *Browser
}

var suite shared

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	if os.Getenv("CLOUDRETRO_E2E") == "" {
		return m.Run(), nil // every test skips
	}
	dir, err := os.MkdirTemp("", "cloudretro-e2e")
	if err != nil {
		return 1, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if suite.bin, err = Build(ctx, dir); err != nil {
		return 1, err
	}
	if suite.browser, err = StartBrowser(ctx); err != nil {
		return 1, err
	}
	defer suite.browser.Close()
	return m.Run(), nil
}

// stage starts an installation that ends with the test; the test fails if it does not end cleanly.
func stage(t *testing.T, o Options) *Stage {
	t.Helper()
	if suite.browser == nil {
		t.Skip("SKIPPED: CLOUDRETRO_E2E is not set; make e2e sets it")
	}
	o.Bin, o.Dir = suite.bin, t.TempDir()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// open loads a page of the stage and waits for its first frame.
func open(t *testing.T, url string) *Page {
	t.Helper()
	p, err := suite.browser.Open(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	return p
}

func eval[T any](t *testing.T, p *Page, js string) T {
	t.Helper()
	v, err := Eval[T](p, js)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// until waits for a condition that a page of a machine with nothing else to do
// meets within a time; another one has longer.
func until(t *testing.T, p *Page, js string, within time.Duration) {
	t.Helper()
	if err := p.Until(js, max(within, patient)); err != nil {
		t.Fatal(err)
	}
}

// slack is by how much a busy machine may exceed a limit in time.
const slack = 5

// calm checks that the picture did not stand still since the page's time from, but
// for what a busy machine does: a game that hung would stand for good.
func calm(t *testing.T, p *Page, from float64) {
	t.Helper()
	gap := longestGap(t, p, from)
	t.Logf("longest time without a new picture: %.0f ms", gap)
	if gap > slack*1000 {
		t.Errorf("the picture stood still for %.0f ms", gap)
	}
}

// longestGap is the longest time without a new frame since the page's time
// from, both in ms.
func longestGap(t *testing.T, p *Page, from float64) float64 {
	t.Helper()
	gap, err := p.LongestGap(from)
	if err != nil {
		t.Fatal(err)
	}
	return gap
}

// hold presses a key, waits for a condition, releases it and waits for the other.
func hold(t *testing.T, p *Page, code, during, after string) {
	t.Helper()
	if err := errors.Join(p.Key(code, code, true), p.Until(during, patient),
		p.Key(code, code, false), p.Until(after, patient)); err != nil {
		t.Fatal(err)
	}
}
