package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/cloudretro/cloudretro/coordinator/api"
	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/web"
)

// headquarters is the real API over workers, rooms and sessions that are not
// real, and an admin who is signed in as long as user is there.
type headquarters struct {
	*httptest.Server

	mu       sync.Mutex
	workers  []api.Worker
	rooms    []api.Room
	sessions []api.Session
	silent   []string
	totals   api.Totals
	user     *signal.User
	broken   int // status that a proxy answers everything with, 0 for none
	deaf     bool
	ended    []signal.End
	asked    int
	visits   int
}

func (q *headquarters) locked(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

func read[T any](q *headquarters, f func() T) (v T) {
	q.locked(func() { v = f() })
	return v
}

func (q *headquarters) Zones() []api.Zone { return nil }
func (q *headquarters) Totals() api.Totals {
	return read(q, func() api.Totals { return q.totals })
}

func (q *headquarters) Workers() []api.Worker {
	return read(q, func() []api.Worker { return slices.Clone(q.workers) })
}

func (q *headquarters) Rooms() []api.Room {
	return read(q, func() []api.Room { return slices.Clone(q.rooms) })
}
func (q *headquarters) Room(string) (api.Room, bool) { return api.Room{}, false }

func (q *headquarters) Sessions(_ context.Context, worker string) (list []api.Session, silent []string, err error) {
	q.locked(func() {
		for _, s := range q.sessions {
			if worker == "" || s.Worker == worker {
				list = append(list, s)
			}
		}
		silent = q.silent
	})
	return list, silent, nil
}

func (q *headquarters) End(_ context.Context, _ string, end signal.End) (err error) {
	q.locked(func() {
		q.ended = append(q.ended, end)
		before := len(q.rooms) + len(q.sessions)
		q.rooms = slices.DeleteFunc(q.rooms, func(r api.Room) bool { return r.ID == end.Room })
		q.sessions = slices.DeleteFunc(q.sessions, func(s api.Session) bool { return s.ID == end.Session })
		if before == len(q.rooms)+len(q.sessions) {
			err = signal.Errorf(signal.CodeNotFound, "the room does not exist, or has ended")
		}
	})
	return err
}

func (q *headquarters) Drain(worker string, d signal.Drain) error {
	q.locked(func() {
		for i := range q.workers {
			if q.workers[i].ID == worker && !q.deaf {
				q.workers[i].State = map[bool]string{true: signal.StateReady, false: signal.StateDraining}[d.Off]
			}
		}
	})
	return nil
}

func (q *headquarters) Invite(context.Context, signal.Invite) (signal.Invited, error) {
	return signal.Invited{}, nil
}
func (q *headquarters) Revoke(context.Context, signal.Revoke) error { return nil }
func (q *headquarters) User(*http.Request) *signal.User {
	return read(q, func() *signal.User { return q.user })
}
func (q *headquarters) Required() bool                         { return false }
func (q *headquarters) Session(string) (signal.Session, error) { return signal.Session{}, nil }

func newHeadquarters(t *testing.T) *headquarters {
	t.Helper()
	q := &headquarters{user: &signal.User{ID: "root", Name: "Root Ada", Role: signal.RoleAdmin}}
	mux := http.NewServeMux()
	mux.Handle(api.Prefix, api.New(api.Config{
		Coordinator: "c1", Games: http.NotFound, Directory: q, Lobby: q, Operator: q, Hosts: q, Gatekeeper: q,
		Allow: func(*http.Request) bool { return true }, Ready: func() error { return nil }, Refused: func(string) {},
	}))
	mux.HandleFunc("POST /auth/logout", func(w http.ResponseWriter, _ *http.Request) {
		q.locked(func() { q.user = nil })
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/auth/state", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"method":"password","required":false,"adminPossible":true,"password":true,"user":null}`))
	})
	mux.HandleFunc("/admin", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			q.locked(func() { q.visits++ })
		}
		name := "admin.html"
		if q.User(r) == nil {
			name = "signin.html"
		}
		http.ServeFileFS(w, r, web.Files(), name)
	})
	mux.Handle("/", http.FileServerFS(web.Files()))
	q.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy+"; connect-src 'self'")
		if broken := read(q, func() int { q.asked++; return q.broken }); broken > 0 && strings.HasPrefix(r.URL.Path, api.Prefix) {
			http.Error(w, "<h1>Bad gateway", broken)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(q.Close)
	return q
}

const begun = "2026-01-02T03:04:05Z"

func roomID(i int) string {
	digits := strings.NewReplacer("0", "a", "1", "b", "8", "y", "9", "z").Replace(fmt.Sprintf("%04d", i))
	return strings.Repeat("a", 22) + digits
}

// populate has so many workers and a few rooms and sessions.
func (q *headquarters) populate(workers int) {
	q.locked(func() {
		for i := range workers {
			q.workers = append(q.workers, api.Worker{
				ID: fmt.Sprintf("w%04d", i), Name: fmt.Sprintf("rack-%d", i), Zone: []string{"eu-north", "us-east"}[i%2], Since: begun,
				State: signal.StateReady, Places: 8, Free: 8 - i%8, Rooms: i % 7, Sessions: i % 20, Games: 12, Late: i % 4,
			})
		}
		q.workers[1].State, q.workers[1].Late = signal.StateOverloaded, 140
		q.workers[2].State = "silent"
		for i := range 5 {
			q.rooms = append(q.rooms, api.Room{
				ID: roomID(i), Game: "pong", Title: fmt.Sprintf("Pong %d", i), System: "nes", Worker: "w0001", Players: 1 + i%2, Viewers: i, Seats: 2, Closed: i == 1, Since: begun,
			})
			q.sessions = append(q.sessions, api.Session{
				ID: fmt.Sprintf("s%d", i), Worker: fmt.Sprintf("w%04d", i%3), Room: roomID(i), Game: "pong", Player: i % 3, Hosting: i == 1, Away: i == 2, Since: begun,
			})
		}
		q.sessions[1].User = &signalUser
		q.totals = api.Totals{Workers: workers, Rooms: 5, Players: 7, Viewers: 10, Waiting: 3}
	})
}

// rounds waits until the page has asked for all so many times more.
func rounds(ctx context.Context, t *testing.T, more int) {
	t.Helper()
	until(ctx, t, fmt.Sprintf(`Number(document.body.dataset.rounds ?? 0) >= %d`, eval[int](ctx, t, `Number(document.body.dataset.rounds ?? 0)`)+more))
}

// watched has the page write down what goes wrong in it.
const watched = `(() => { window.wrong = []; addEventListener('error', (e) => wrong.push(e.message)); addEventListener('unhandledrejection', (e) => wrong.push(String(e.reason)));
  addEventListener('securitypolicyviolation', (e) => wrong.push(e.violatedDirective)); return true; })()`

func healthy(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, e := range eval[[]string](ctx, t, `window.wrong ?? []`) {
		t.Errorf("in the page: %s", e)
	}
}

func row(id string) string { return `document.querySelector('tr[data-id="` + id + `"]')` }

func TestAdminPage(t *testing.T) {
	for _, c := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 800}, {"phone", 390, 844}} {
		t.Run(c.name, func(t *testing.T) {
			q := newHeadquarters(t)
			q.populate(4)
			ctx := browser(t, int(c.width), int(c.height), chromedp.EmulateViewport(c.width, c.height))
			run(ctx, t, chromedp.Navigate(q.URL+"/admin"))
			eval[bool](ctx, t, watched)
			until(ctx, t, `document.querySelectorAll('tbody tr').length === 4 && document.title.startsWith('Workers')`)
			until(ctx, t, `/In line\s*3/.test(document.querySelector('.totals').innerText) && document.querySelector('.who').textContent === 'Root Ada'`)
			shoot(ctx, t, "admin-workers-"+c.name)
			drainAndUndrain(ctx, t)
			does(ctx, t, `document.querySelector('.tabs a[href="#rooms"]').click()`)
			until(ctx, t, `document.querySelectorAll('tbody tr').length === 5 && document.querySelector('h1').textContent === 'Rooms'`)
			shoot(ctx, t, "admin-rooms-"+c.name)
			evictOne(ctx, t, q, c.name)
			does(ctx, t, `document.querySelector('.tabs a[href="#sessions"]').click()`)
			until(ctx, t, `document.querySelectorAll('tbody tr').length === 5 && /Una/.test(document.querySelector('tbody').innerText)`)
			shoot(ctx, t, "admin-sessions-"+c.name)
			endOne(ctx, t, q)
			if wide := eval[int](ctx, t, `document.documentElement.scrollWidth`); wide > int(c.width) {
				t.Errorf("the page is %d pixels wide", wide)
			}
			healthy(ctx, t)
		})
	}
}

func drainAndUndrain(ctx context.Context, t *testing.T) {
	t.Helper()
	button := row("w0000") + `.querySelector('.do button')`
	does(ctx, t, button+`.focus(), `+button+`.click()`)
	until(ctx, t, `/Take games again/.test(`+button+`.textContent) && /Draining/.test(`+row("w0000")+`.innerText)`)
	until(ctx, t, `/rack-0 takes no new games/.test(document.querySelector('.said').textContent)`)
	until(ctx, t, `document.activeElement === `+button) // though it is another one
	does(ctx, t, button+`.click()`)
	until(ctx, t, `/^Drain/.test(`+button+`.textContent) && /takes new games again/.test(document.querySelector('.said').textContent)`)
}

func evictOne(ctx context.Context, t *testing.T, q *headquarters, name string) {
	t.Helper()
	button := row(roomID(3)) + `.querySelector('.do button')`
	does(ctx, t, button+`.focus(), `+button+`.click()`)
	until(ctx, t, `document.querySelector('dialog[open] h2')?.textContent === 'Evict everybody from Pong 3?' && document.activeElement.id === 'reason'`)
	shoot(ctx, t, "admin-evict-"+name)
	run(ctx, t, chromedp.KeyEvent("\x1b"))
	until(ctx, t, `!document.querySelector('dialog') && document.activeElement === `+button)
	if n := read(q, func() int { return len(q.ended) }); n != 0 {
		t.Errorf("%d rooms were ended though nobody said so", n)
	}
	does(ctx, t, button+`.click()`)
	until(ctx, t, `document.activeElement.id === 'reason'`)
	run(ctx, t, chromedp.KeyEvent("back at nine\r"))
	until(ctx, t, `!`+row(roomID(3))+` && document.querySelectorAll('tbody tr').length === 4`)
	until(ctx, t, `/Pong 3 was closed/.test(document.querySelector('.said').textContent)`)
	if !eval[bool](ctx, t, `document.querySelector('tbody').contains(document.activeElement)`) {
		t.Errorf("the focus is lost: at %s", eval[string](ctx, t, `document.activeElement.outerHTML.slice(0, 100)`))
	}
	want := signal.End{Room: roomID(3), Reason: "an operator has closed the room: back at nine"}
	if got := read(q, func() signal.End { return q.ended[0] }); got != want {
		t.Errorf("ended %+v", got)
	}
	// Somebody else was faster.
	q.locked(func() { q.rooms = q.rooms[:len(q.rooms)-1] })
	does(ctx, t, row(roomID(4))+`?.querySelector('.do button').click()`)
	if eval[bool](ctx, t, `Boolean(document.querySelector('dialog'))`) {
		does(ctx, t, `document.querySelector('dialog .danger').click()`)
		until(ctx, t, `/had ended already/.test(document.querySelector('.said').textContent)`)
	}
}

func endOne(ctx context.Context, t *testing.T, q *headquarters) {
	t.Helper()
	does(ctx, t, row("s1")+`.querySelector('.do button').click()`)
	until(ctx, t, `document.querySelector('dialog[open] h2')?.textContent === 'End the session of Una?'`)
	does(ctx, t, `document.querySelector('dialog .danger').click()`)
	until(ctx, t, `!`+row("s1"))
	if got := read(q, func() signal.End { return q.ended[len(q.ended)-1] }); got != (signal.End{Session: "s1", Reason: "an operator has ended the session"}) {
		t.Errorf("ended %+v", got)
	}
	q.locked(func() { q.silent = []string{"w0001"} })
	until(ctx, t, `/1 worker has not answered: rack-1\./.test(document.querySelector('.note').innerText)`)
	does(ctx, t, `location.hash = '#sessions/w0000'`)
	until(ctx, t, `document.querySelectorAll('tbody tr').length === 2 && /Of worker rack-0 only/.test(document.querySelector('.scope').innerText)`)
}

var signalUser = api.User{ID: "una", Name: "Una", Role: signal.RolePlayer}

// TestAdminPageOfThousandWorkers: nothing that has not changed is touched.
func TestAdminPageOfThousandWorkers(t *testing.T) {
	q := newHeadquarters(t)
	q.populate(1000)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(q.URL+"/admin"))
	eval[bool](ctx, t, watched)
	until(ctx, t, `document.querySelectorAll('tbody tr').length === 50 && /1–50 of 1,000/.test(document.querySelector('.pager').innerText)`)
	does(ctx, t, `window.changes = 0, new MutationObserver((all) => { changes += all.length; }).observe(document.querySelector('main'), {subtree: true, childList: true, characterData: true, attributes: true}),
		scrollTo(0, 900), document.querySelectorAll('.do button')[20].focus({preventScroll: true}), window.kept = document.activeElement`)
	before := eval[int](ctx, t, `scrollY`)
	rounds(ctx, t, 2)
	if n := eval[int](ctx, t, `changes`); n > 150 { // "3 h 4 min" may become 5
		t.Errorf("%d changes of the page though nothing has changed", n)
	}
	q.locked(func() { q.workers[20].Sessions = 77 })
	until(ctx, t, row("w0020")+`.querySelector('.sessions').innerText.startsWith('77')`)
	if !eval[bool](ctx, t, fmt.Sprintf(`document.activeElement === kept && scrollY === %d`, before)) {
		t.Error("focus or scroll have moved")
	}
	does(ctx, t, `document.querySelector('.pager button:last-child').click()`)
	until(ctx, t, `/51–100/.test(document.querySelector('.pager').innerText) && !`+row("w0000"))
	does(ctx, t, `document.querySelector('th.late button').click()`)
	until(ctx, t, `document.querySelector('tbody tr').dataset.id === 'w0001' && document.querySelector('th.late').getAttribute('aria-sort') === 'descending'`)
	shoot(ctx, t, "admin-thousand")
	run(ctx, t, chromedp.Focus(chromedp.CSS("#filter")), chromedp.KeyEvent("us rack-99"))
	until(ctx, t, `document.querySelectorAll('tbody tr').length === 6 && document.querySelector('.found').textContent === '6 of 1,000'`)
	run(ctx, t, chromedp.KeyEvent("x"))
	until(ctx, t, `document.querySelector('.found').textContent === 'None of the 1,000 has that in it.'`)
	took := eval[float64](ctx, t, `(() => { const b = performance.now(); filter.value = ''; filter.dispatchEvent(new Event('input')); return performance.now() - b; })()`)
	t.Logf("a thousand rows are found, sorted and painted in %.0f ms", took)
	healthy(ctx, t)
}

func TestAdminPageInTrouble(t *testing.T) {
	q := newHeadquarters(t)
	q.populate(3)
	ctx := browser(t, 1280, 800)
	run(ctx, t, chromedp.Navigate(q.URL+"/admin"))
	eval[bool](ctx, t, watched)
	until(ctx, t, `document.querySelectorAll('tbody tr').length === 3`)
	alert := `document.querySelector('[role=alert]:not([hidden])')`
	q.locked(func() { q.broken = http.StatusServiceUnavailable })
	until(ctx, t, `/error \(503\).*this page keeps asking/.test(`+alert+`?.innerText) && document.querySelectorAll('tbody tr').length === 3`)
	shoot(ctx, t, "admin-trouble")
	q.locked(func() { q.broken = 0; q.deaf = true })
	until(ctx, t, `!`+alert)
	does(ctx, t, row("w0000")+`.querySelector('.do button').click()`)
	until(ctx, t, row("w0000")+`.querySelector('.do button').getAttribute('aria-disabled') === 'true'`)
	until(ctx, t, `/rack-0 has not said that it drains/.test(document.querySelector('.said').textContent)`)
	// Nobody looks.
	does(ctx, t, `Object.defineProperty(document, 'hidden', {value: true, configurable: true}), document.dispatchEvent(new Event('visibilitychange'))`)
	asked := read(q, func() int { return q.asked })
	does(ctx, t, `window.later = false, setTimeout(() => { later = true; }, 4500)`)
	until(ctx, t, `later`)
	if now := read(q, func() int { return q.asked }); now > asked+2 { // of a round on its way
		t.Errorf("%d requests while nobody looks", now-asked)
	}
	does(ctx, t, `delete document.hidden, document.dispatchEvent(new Event('visibilitychange'))`)
	rounds(ctx, t, 1)
	healthy(ctx, t)
	q.locked(func() { q.user.Role = signal.RolePlayer })
	until(ctx, t, `/not signed in as an admin any more/.test(`+alert+`?.innerText)`)
	q.locked(func() { q.user = nil })
	does(ctx, t, alert+`.querySelector('button').click()`)
	until(ctx, t, `document.querySelector('#signin h1')?.textContent === 'Sign in'`)
}

// TestAdminPageStays: who has it open for long stays signed in until they sign out.
func TestAdminPageStays(t *testing.T) {
	q := newHeadquarters(t)
	ctx := browser(t, 390, 844, chromedp.EmulateViewport(390, 844))
	run(ctx, t, chromedp.Navigate(q.URL+"/admin#rooms"))
	until(ctx, t, `/Nobody plays at the moment/.test(document.querySelector('.found')?.innerText)`)
	if n := read(q, func() int { return q.visits }); n != 0 {
		t.Errorf("%d visits at once", n)
	}
	does(ctx, t, `performance.now = ((now) => () => now() + 61_000)(performance.now.bind(performance))`)
	wait(t, "a visit", func() bool { return read(q, func() int { return q.visits }) == 1 })
	does(ctx, t, `[...document.querySelectorAll('button')].find((b) => b.textContent === 'Sign out').click()`)
	until(ctx, t, `document.querySelector('#signin h1')?.textContent === 'Sign in'`)
}
