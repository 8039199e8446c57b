package web_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// patience bounds how long a condition of the page may take on a busy machine.
const patience = time.Minute

// browser returns a context that drives a fresh headless Chromium.
func browser(t *testing.T, width, height int, actions ...action) context.Context {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short, the page was not opened in a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: chromium is not installed, the page was not opened in a browser")
	}
	allocator, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute), chromedp.WindowSize(width, height),
		chromedp.Flag("headless", true), chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true),
		chromedp.Flag("no-first-run", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("mute-audio", true))
	t.Cleanup(cancel)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	run(ctx, t, actions...)
	ctx, cancel = context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// action is something done in the page.
type action = chromedp.Action[chromedp.Void]

func run(ctx context.Context, t *testing.T, actions ...action) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// eval returns the value of an expression in the page.
func eval[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// until waits for an expression in the page to become true. One that throws, as
// what it looks at is not there yet or no longer, is not true.
func until(ctx context.Context, t *testing.T, expression string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	attempt := "(() => { try { return Boolean(" + expression + ") } catch { return false } })()"
	for !eval[bool](ctx, t, attempt) {
		if time.Now().After(deadline) {
			t.Fatalf("never became true: %s\nthe page: %s", expression, eval[string](ctx, t,
				`JSON.stringify([location.pathname, window.cloudretro?.state, window.cloudretro?.phase, window.cloudretro?.errors, document.body.innerText.slice(0, 300)])`))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// wait waits for a condition outside the page.
func wait(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// shoot writes a picture of the page into the folder CLOUDRETRO_SCREENSHOTS, if that is set.
func shoot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("CLOUDRETRO_SCREENSHOTS")
	if dir == "" {
		return
	}
	run(ctx, t, chromedp.Sleep(400*time.Millisecond))
	png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Error(err)
	}
}

// noErrors fails if the page met a script error or broke its own policy.
func noErrors(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, e := range eval[[]string](ctx, t, `window.cloudretro.errors.filter((e) => e.code === 'script').map((e) => e.message)`) {
		t.Errorf("script error: %s", e)
	}
}
