package coordinator_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator"
	"github.com/cloudretro/cloudretro/coordinator/signin"
	"github.com/cloudretro/cloudretro/coordinator/signin/signintest"
	"github.com/cloudretro/cloudretro/web"
)

// patience bounds how long a condition of the page may take on a busy machine.
const patience = 30 * time.Second

// begun is where people are when they are asked to sign in: that is where they
// are afterwards, too.
const begun = "/play/pong?x=1#y=2"

// tab is a page in a fresh Chromium.
type tab struct {
	context.Context
	t    *testing.T
	base string
}

func openTab(t *testing.T, base string, width, height int) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED: -short, the sign-in was not opened in a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("SKIPPED: chromium is not installed, the sign-in was not opened in a browser")
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute), chromedp.WindowSize(width, height), chromedp.NoSandbox,
	}
	for _, flag := range []string{
		"headless", "disable-gpu", "no-first-run", "disable-quic", "disable-sync", "disable-background-networking", "disable-component-update", "hide-scrollbars",
	} {
		options = append(options, chromedp.Flag(flag, true))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), int64(height))); err != nil { // a window is not as narrow
		t.Fatal(err)
	}
	return &tab{ctx, t, base}
}

func (b *tab) open(path string) {
	b.t.Helper()
	if err := chromedp.Do(b, chromedp.Navigate(b.base+path)); err != nil {
		b.t.Fatal(err)
	}
}

func (b *tab) text(expression string) string {
	b.t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		return "" // the page is about to change
	}
	return v
}

// until waits for an expression to be true in whatever page there is.
func (b *tab) until(expression string) {
	b.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); b.text("Boolean("+expression+")") != "true"; <-tick.C {
		if time.Now().After(end) || b.Err() != nil {
			b.t.Fatalf("never true: %s\nat %s\n%s", expression, b.text("location.href"), b.text("document.body.innerText"))
		}
	}
}

func (b *tab) do(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b, chromedp.Evaluate[bool]("("+expression+", true)")); err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
}

// press clicks the button with this label.
func (b *tab) press(label string) {
	b.t.Helper()
	button := `[...document.querySelectorAll('button')].find((b) => b.textContent.trim().startsWith('` + label + `'))`
	b.until(button)
	b.do(button + ".click()")
}

// give types a password and sends it with the Enter key.
func (b *tab) give(password string) {
	b.t.Helper()
	b.until(`document.activeElement?.id === 'password'`) // it has the focus by itself
	b.do(`document.activeElement.value = ''`)
	if err := chromedp.Do(b, chromedp.KeyEvent(password+"\r")); err != nil {
		b.t.Fatal(err)
	}
}

// shoot writes a picture into the folder CLOUDRETRO_SCREENSHOTS, if that is set.
func (b *tab) shoot(name string) {
	b.t.Helper()
	folder := os.Getenv("CLOUDRETRO_SCREENSHOTS")
	if folder == "" {
		return
	}
	b.until(`document.getAnimations().every((a) => a.playState === 'finished')`)
	png, err := chromedp.Run(b, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Error(err)
	}
}

const (
	game     = `document.getElementById('app')`
	question = `document.querySelector('#signin h1')`
)

// serve runs a coordinator with the real page at 127.0.0.1.
func serve(t *testing.T, address string, cfg signin.Config) string {
	t.Helper()
	c, err := coordinator.New(coordinator.Config{Address: address, Web: web.Files(), Secret: "a secret of the workers", SignIn: cfg})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return "http://" + c.Addr().String()
}

func TestChromiumPassword(t *testing.T) {
	base := serve(t, "127.0.0.1:0", signin.Config{Method: signin.MethodPassword, Password: "for players", AdminPassword: "for admins"})
	b := openTab(t, base, 1280, 800)
	b.open(begun)
	b.until(question + `?.textContent === 'Sign in'`)
	b.shoot("signin-password")
	b.give("a wrong one")
	b.until(`document.querySelector('.signin-wrong:not([hidden])')?.textContent.includes('not the password')`)
	b.until(`document.activeElement?.id === 'password' && document.activeElement.getAttribute('aria-invalid') === 'true'`)
	b.shoot("signin-wrong")
	b.give("for players")
	b.until(game)
	if got := b.text("location.href"); got != base+begun {
		t.Errorf("after the sign-in at %s", got)
	}
	if cookies := b.text("document.cookie"); cookies != "" {
		t.Errorf("scripts see %q", cookies)
	}
	b.open("/admin")
	b.until(question + `?.textContent === 'This page is for admins'`)
	b.shoot("signin-not-admin")
	b.give("for players")
	b.until(`document.querySelector('.signin-wrong:not([hidden])')?.textContent.includes('password of players')`)
	b.open("/signin")
	b.until(question + `?.textContent === 'Welcome' && document.body.textContent.includes('Signed in as Player')`)
	b.shoot("signin-signed-in")
	b.press("Sign out")
	b.until(`document.getElementById('password')`)
	b.open("/")
	b.until(question)
}

// Who is signed in and follows a link of another site has no cookie with them
// at first. They do not see a question for it, and their fragment stays.
func TestChromiumLinkFromAnotherSite(t *testing.T) {
	base := serve(t, "127.0.0.1:0", signin.Config{Method: signin.MethodPassword, Password: "for players"})
	b := openTab(t, base, 1280, 800)
	b.open("/signin")
	b.give("for players")
	b.until(game)
	b.open("/admin") // the same, for who is signed in
	b.until(question + `?.textContent === 'This page is for admins' && document.body.textContent.includes('coordinator.signIn.adminPassword')`)
	other := serve(t, "127.0.0.1:0", signin.Config{})
	b.base = strings.Replace(other, "127.0.0.1", "localhost", 1) // another site
	b.open("/admin")                                             // where nobody can be an admin
	b.until(question + `?.textContent === 'No admins' && document.body.textContent.includes('coordinator.signIn.adminPassword')`)
	b.shoot("signin-no-admins")
	b.do(`sessionStorage.clear(), location.assign('` + base + begun + `')`)
	b.until(game + ` && location.host === '` + strings.TrimPrefix(base, "http://") + `'`)
	if got := b.text("location.href"); got != base+begun {
		t.Errorf("after the link at %s", got)
	}
}

func TestChromiumDex(t *testing.T) {
	// The provider must know where we are before we know where it is.
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := taken.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	base := "http://localhost:" + port // Dex is another site, then
	issuer := signintest.StartDex(t, base+"/auth/callback")
	taken.Close()
	serve(t, address, signin.Config{Method: signin.MethodOIDC, OIDC: signin.OIDC{
		Issuer: issuer, ClientID: signintest.ClientID, ClientSecret: signintest.ClientSecret, Name: "Dex", Admins: []string{signintest.Admin},
	}})
	b := openTab(t, base, 360, 640)
	b.open(begun)
	b.until(question)
	b.until(`document.documentElement.scrollWidth <= 360`)
	b.shoot("signin-provider-phone")
	b.press("Sign in with Dex")
	b.until(`location.pathname.startsWith('/dex/')`)
	b.until(`document.querySelector('a[href*="/auth/local"]')`)
	b.do(`document.querySelector('a[href*="/auth/local"]').click()`)
	b.until(`document.getElementById('login')`)
	b.do(`document.getElementById('login').value = '` + signintest.Player + `', document.getElementById('password').value = '` +
		signintest.Password + `', document.getElementById('submit-login').click()`)
	b.until(game)
	if got := b.text("location.href"); got != base+begun {
		t.Errorf("after the sign-in at %s", got)
	}
	b.open("/signin")
	b.until(`document.body.textContent.includes('Signed in as player')`)
	b.shoot("signin-signed-in-phone")
	// A link to the callback that somebody else has made.
	b.press("Sign out")
	b.open("/auth/callback?code=x&state=y")
	b.until(`document.querySelector('[role=alert]')?.textContent.includes('not begun in this browser')`)
	b.shoot("signin-forged-phone")
	if got := b.text("location.search"); got != "" {
		t.Errorf("the code stays in the address: %s", got)
	}
	b.press("Try again")
	b.until(question + `?.textContent === 'Sign in'`)
	b.open("/admin")
	b.until(question)
	b.shoot("signin-admin-phone")
}
