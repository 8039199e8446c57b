package e2e

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

//go:embed probe.js
var probe string

// Browser is a headless Chromium with a profile of its own.
type Browser struct {
	ctx  context.Context
	stop func()
}

// Page is one tab, with probe.js in it.
type Page struct {
	ctx   context.Context
	close func()
}

// ErrNoChromium says that there is no browser to test with.
var ErrNoChromium = errors.New("e2e: no /usr/bin/chromium; install the package chromium, or name one in CLOUDRETRO_CHROMIUM")

// StartBrowser starts Chromium with a fresh profile.
func StartBrowser(ctx context.Context) (*Browser, error) {
	path, err := chromium()
	if err != nil {
		return nil, err
	}
	return startBrowser(ctx, path)
}

// chromium is the path of the program.
func chromium() (string, error) {
	path := os.Getenv("CLOUDRETRO_CHROMIUM")
	if path == "" {
		path = "/usr/bin/chromium"
	}
	if _, err := os.Stat(path); err != nil {
		return "", ErrNoChromium
	}
	return path, nil
}

// startBrowser leaves the profile's folder to chromedp, which removes it when the
// last of Chromium's processes has written to it.
func startBrowser(ctx context.Context, path string) (*Browser, error) {
	opts := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute), chromedp.NoSandbox,
	}
	for _, flag := range []string{
		"headless", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking",
		"disable-component-update", "disable-sync", "disable-background-timer-throttling",
		"disable-backgrounding-occluded-windows", "disable-renderer-backgrounding", "mute-audio",
	} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(ctx, opts...)
	tab, cancelTab := chromedp.NewContext(alloc)
	if err := chromedp.Do(tab); err != nil {
		cancelAlloc()
		return nil, fmt.Errorf("start chromium: %w", err)
	}
	return &Browser{ctx: tab, stop: func() { cancelTab(); cancelAlloc() }}, nil
}

// Close ends the browser.
func (b *Browser) Close() { b.stop() }

// Open loads a URL in a new tab.
func (b *Browser) Open(url string) (*Page, error) {
	ctx, cancel := chromedp.NewContext(b.ctx)
	p := &Page{ctx: ctx, close: cancel}
	inject := func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: probe})
		return chromedp.Void{}, err
	}
	if err := chromedp.Do(ctx, inject, chromedp.Navigate(url)); err != nil {
		cancel()
		return nil, fmt.Errorf("open %s: %w", url, err)
	}
	return p, nil
}

// Close closes the tab.
func (p *Page) Close() { p.close() }

// Eval evaluates JavaScript in the page, awaiting a promise.
func Eval[T any](p *Page, js string) (T, error) {
	v, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
	if err != nil {
		return v, fmt.Errorf("in the page, %s: %w", js, err)
	}
	return v, nil
}

// Until waits until a JavaScript expression, or what its promise becomes, is true.
func (p *Page) Until(js string, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		ok, err := Eval[bool](p, "Promise.resolve("+js+").then(Boolean)")
		if err == nil && ok {
			return nil
		}
		if time.Now().After(deadline) {
			state, _ := Eval[string](p, "JSON.stringify({url: location.href, state: window.cloudretro?.state, errors: window.cloudretro?.errors, text: document.body?.innerText?.slice(0, 300)})")
			return errors.Join(fmt.Errorf("not within %v: %s; page: %s", timeout, js, state), err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// AwaitPicture returns when the first frame of a game was shown.
func (p *Page) AwaitPicture() error {
	return p.Until("probe.frames.length > 0 && window.cloudretro?.room", 45*time.Second)
}

// Key presses or releases a key as the operating system would.
func (p *Page) Key(code, key string, down bool) error {
	params := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyUp, Code: code, Key: key}
	if down {
		params.Type = input.DispatchKeyEventTypeRawKeyDown
	}
	return chromedp.Do(p.ctx, func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, input.DispatchKeyEvent, params)
		return chromedp.Void{}, err
	})
}

// Screenshot returns the page as PNG.
func (p *Page) Screenshot() ([]byte, error) { return chromedp.Run(p.ctx, chromedp.CaptureScreenshot()) }
