package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signin/signintest"
)

const operatorPassword = "only for the tests"

// local is a page at another name of the same machine: browsers keep cookies by name.
func local(m *Member) string { return strings.Replace(m.URL, "127.0.0.1", "localhost", 1) }

// submit fills in fields of the page's form by their ids and sends it.
func submit(t *testing.T, p *Page, fields map[string]string) {
	t.Helper()
	for id, value := range fields {
		until(t, p, fmt.Sprintf("document.getElementById(%q)", id), 10*time.Second)
		eval[bool](t, p, fmt.Sprintf("(document.getElementById(%q).value = %q, true)", id, value))
	}
	eval[bool](t, p, "(document.querySelector('form').requestSubmit(), true)")
}

// press presses the button that begins with a label.
func press(t *testing.T, p *Page, label string) {
	t.Helper()
	button := fmt.Sprintf("[...document.querySelectorAll('button')].find((b) => b.textContent.trim().startsWith(%q))", label)
	until(t, p, button, 10*time.Second)
	eval[bool](t, p, "("+button+".click(), true)")
}

// reads waits for a text on the page.
func reads(t *testing.T, p *Page, text string) {
	t.Helper()
	until(t, p, fmt.Sprintf("document.body.innerText.includes(%q)", text), 10*time.Second)
}

// signInAsAdmin opens the operators' page with the password.
func signInAsAdmin(t *testing.T, url string) *Page {
	t.Helper()
	p := visit(t, url+"/admin")
	submit(t, p, map[string]string{"password": operatorPassword})
	until(t, p, "document.querySelectorAll('tbody tr').length === 1 && /Ready/.test(document.querySelector('tbody').innerText)", 10*time.Second)
	return p
}

// row does something to the row of the operators' page with an id.
func row(t *testing.T, p *Page, id, do string) {
	t.Helper()
	line := fmt.Sprintf("document.querySelector('tr[data-id=%q]')", id)
	until(t, p, line, 10*time.Second)
	eval[bool](t, p, "("+line+do+", true)")
}

// TestAdmin works at /admin: a worker is drained and takes games again, a room is
// evicted, a session ended. The players are at another coordinator.
func TestAdmin(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1, CoordinatorConfig: map[string]string{
		"CLOUDRETRO_COORDINATOR_SIGNIN_ADMINPASSWORD": operatorPassword,
	}})
	c := f.Coordinators[0]
	if _, err := API[any](c, "/workers"); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("workers are listed for everybody: %v", err)
	}
	admin := signInAsAdmin(t, local(f.Coordinators[1]))
	first := open(t, c.URL+"/play/test-card")
	room := eval[string](t, first, "cloudretro.room")
	until(t, admin, "/1 of/.test(document.querySelector('td.places').innerText) && document.querySelector('td.sessions').innerText.startsWith('1')", 10*time.Second)

	press(t, admin, "Drain")
	until(t, admin, "/Draining/.test(document.querySelector('td.state').innerText)", 10*time.Second)
	second := visit(t, c.URL+"/play/test-card")
	until(t, second, "window.cloudretro?.queue?.position === 1 || cloudretro.errors.length > 0", 10*time.Second)
	t.Logf("a game at a worker that drains: %s", eval[string](t, second, "document.body.innerText"))
	until(t, admin, "/In line\\s*1/.test(document.querySelector('.totals').innerText)", 10*time.Second)
	hold(t, first, "KeyZ", presses, rests)
	press(t, admin, "Take games again")
	if err := second.AwaitPicture(); err != nil {
		t.Fatal(err)
	}

	eval[bool](t, admin, "(location.hash = '#rooms', true)")
	until(t, admin, "document.querySelectorAll('tbody tr').length === 2", 10*time.Second)
	until(t, admin, fmt.Sprintf("/\\d+ (s|min)/.test(document.querySelector('tr[data-id=%q] td.since').innerText)", room), 10*time.Second)
	row(t, admin, room, ".querySelector('.do button').click()")
	submit(t, admin, map[string]string{"reason": "back at nine"})
	reads(t, first, "An operator has closed the room: back at nine.")
	until(t, admin, "document.querySelectorAll('tbody tr').length === 1", 10*time.Second)
	t.Logf("evicted: %s", eval[string](t, first, "document.body.innerText"))
	again := visit(t, c.URL+"/room/"+room)
	reads(t, again, "This room is closed")
	again.Close()

	eval[bool](t, admin, "(location.hash = '#sessions', true)")
	until(t, admin, "document.querySelectorAll('tbody tr').length === 1 && /Guest/.test(document.querySelector('tbody').innerText)", 10*time.Second)
	press(t, admin, "End")
	submit(t, admin, map[string]string{"reason": ""})
	reads(t, second, "An operator has ended the session.")
	t.Logf("ended: %s", eval[string](t, second, "document.body.innerText"))
	until(t, admin, "document.querySelectorAll('tbody tr').length === 0", 10*time.Second)
	press(t, admin, "Sign out")
	until(t, admin, "document.querySelector('#signin #password')", 10*time.Second)
}

// dexUser signs in at Dex, where the page is led by the button.
func dexUser(t *testing.T, p *Page, email string) {
	t.Helper()
	press(t, p, "Sign in with Dex")
	click(t, p, `a[href*="/auth/local"]`)
	submit(t, p, map[string]string{"login": email, "password": signintest.Password})
}

// TestSignIn plays through a real provider: nobody gets in without it, the room
// knows people by their names, and one of them is an admin.
func TestSignIn(t *testing.T) {
	if suite.browser == nil {
		t.Skip("SKIPPED: CLOUDRETRO_E2E is not set; make e2e sets it")
	}
	port, err := freePort(false)
	if err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	player, operator := fmt.Sprintf("http://localhost:%d", port), "http://"+address // two names, two people
	issuer := signintest.StartDex(t, player+"/auth/callback", operator+"/auth/callback")
	f := fleet(t, FleetOptions{Coordinators: 1, Workers: 1, Pages: []string{address}, CoordinatorConfig: map[string]string{
		"CLOUDRETRO_COORDINATOR_SIGNIN_METHOD":            "oidc",
		"CLOUDRETRO_COORDINATOR_SIGNIN_OIDC_ISSUER":       issuer,
		"CLOUDRETRO_COORDINATOR_SIGNIN_OIDC_CLIENTID":     signintest.ClientID,
		"CLOUDRETRO_COORDINATOR_SIGNIN_OIDC_CLIENTSECRET": signintest.ClientSecret,
		"CLOUDRETRO_COORDINATOR_SIGNIN_OIDC_NAME":         "Dex",
		"CLOUDRETRO_COORDINATOR_SIGNIN_OIDC_ADMINS":       signintest.Admin,
	}})
	for _, path := range []string{"/games", "/rooms", "/zones", "/workers"} {
		if _, err := API[any](f.Coordinators[0], path); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("%s is answered to everybody: %v", path, err)
		}
	}
	host := visit(t, player+"/play/test-card")
	dexUser(t, host, signintest.Player)
	if err := host.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	if path := eval[string](t, host, "location.pathname"); !strings.HasPrefix(path, "/play/") && !strings.HasPrefix(path, "/room/") {
		t.Errorf("after the sign-in at %s", path)
	}
	hold(t, host, "KeyZ", presses, rests)
	room := eval[string](t, host, "cloudretro.room")
	guest := visit(t, operator+"/room/"+room)
	dexUser(t, guest, signintest.Admin)
	if err := guest.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Page{host, guest} {
		until(t, p, "JSON.stringify(cloudretro.members.map((m) => m.name).sort()) === '[\"admin\",\"player\"]'", 5*time.Second)
	}

	admin := visit(t, operator+"/admin#sessions")
	until(t, admin, "document.querySelectorAll('tbody tr').length === 2 && /player/.test(document.querySelector('tbody').innerText) && /admin/.test(document.querySelector('tbody').innerText)", 10*time.Second)
	other := visit(t, player+"/admin")
	reads(t, other, "This page is for admins")
	if status := eval[int](t, other, "fetch('/api/v1/workers').then((r) => r.status)"); status != 403 {
		t.Errorf("a player who asks for the workers is answered %d", status)
	}
	press(t, other, "Sign out")
	reads(t, other, "Sign in with Dex")
	press(t, admin, "Sign out")
	reads(t, admin, "Sign in with Dex")
}

// TestSignInElsewhere kills the coordinator where somebody has signed in. The
// other one has another name, so that no cookie comes along.
func TestSignInElsewhere(t *testing.T) {
	var pages []string
	for range 2 {
		port, err := freePort(false)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, fmt.Sprintf("127.0.0.1:%d", port))
	}
	other := strings.Replace("http://"+pages[1], "127.0.0.1", "localhost", 1)
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1, Pages: pages, CoordinatorConfig: map[string]string{
		"CLOUDRETRO_COORDINATOR_SIGNIN_METHOD":   "password",
		"CLOUDRETRO_COORDINATOR_SIGNIN_PASSWORD": "for the players",
		"CLOUDRETRO_COORDINATOR_ALTERNATES":      "http://" + pages[0] + "," + other,
	}})
	p := visit(t, f.Coordinators[0].URL+"/play/test-card")
	submit(t, p, map[string]string{"password": "for the players"})
	if err := p.AwaitPicture(); err != nil {
		t.Fatal(err)
	}
	until(t, p, "probe.frames.length > 60 && cloudretro.state === 'playing'", 10*time.Second)
	since := eval[float64](t, p, "performance.now()")
	killed := time.Now()
	f.Coordinators[0].Kill()
	until(t, p, "cloudretro.socket !== 'ready'", 3*time.Second)
	stopwatch(t, p, killed, "connected again", "cloudretro.socket === 'ready' && cloudretro.state === 'playing'", 3*time.Second)
	hold(t, p, "KeyZ", presses, rests)
	notDisturbed(t, p, since)
	until(t, p, "JSON.stringify(cloudretro.members.map((m) => m.name)) === '[\"Player\"]'", 5*time.Second)
	stroke(t, p, "Escape", "Escape")
	until(t, p, "cloudretro.state === 'menu'", 5*time.Second)
	t.Logf("the menu without its coordinator: %s", eval[string](t, p, "document.body.innerText"))
	click(t, p, ".banner a")
	until(t, p, "cloudretro.state === 'playing'", 15*time.Second)

	stranger := visit(t, other+"/play/test-card")
	until(t, stranger, "document.querySelector('#signin #password')", 10*time.Second)
	if refused := eval[string](t, stranger, `new Promise((done) => { const s = new WebSocket(location.origin.replace('http', 'ws') + '/ws'); s.onclose = () => done('closed');
		s.onmessage = (m) => { if (JSON.parse(m.data).type === 'hello') s.send(JSON.stringify({v: 1, type: 'start', id: '1', data: {game: 'test-card', sdp: 'v=0'}})); else done(m.data); }; })`); !strings.Contains(refused, "sign-in") && refused != "closed" {
		t.Errorf("a stranger is answered %s", refused)
	}
}
