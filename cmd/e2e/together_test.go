package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// pointer clicks an element as a hand would: it must be there, and nothing over it.
func pointer(t *testing.T, p *Page, selector string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patient)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(selector))); err != nil {
		t.Fatalf("click %s: %v", selector, err)
	}
}

// choose takes an entry of one of the selects of the form for invitations.
func choose(t *testing.T, p *Page, nth int, value string) {
	t.Helper()
	eval[bool](t, p, fmt.Sprintf("(document.querySelectorAll('.make select')[%d].value = %q, true)", nth, value))
}

// invite makes an invitation in the host's panel and returns its link.
func invite(t *testing.T, host *Page, what string, single bool) string {
	t.Helper()
	const made = "document.querySelector('[data-key=made-text]')?.value ?? ''"
	before := eval[string](t, host, made)
	if eval[bool](t, host, "!document.querySelector('.together')") {
		pointer(t, host, "[aria-label='Share the room']")
	}
	until(t, host, "document.querySelector('.together')", 3*time.Second)
	pointer(t, host, "[data-key=invite]")
	choose(t, host, 0, what)
	if eval[bool](t, host, "document.querySelector('.make input').checked") != single {
		pointer(t, host, ".make .check")
	}
	pointer(t, host, "[data-key=make]")
	until(t, host, fmt.Sprintf("document.activeElement.dataset.key === 'made' && (%s) !== %q", made, before), 3*time.Second)
	return eval[string](t, host, made)
}

// refused opens a link that leads nowhere and checks what its page says.
func refused(t *testing.T, link, code, title string) {
	t.Helper()
	p := visit(t, link)
	until(t, p, "cloudretro.state === 'error' && document.querySelector('[role=alertdialog]')", 8*time.Second)
	got := eval[map[string]string](t, p, "({ code: cloudretro.error.code, title: document.querySelector('#panel-title').innerText, focus: document.activeElement.innerText })")
	if got["code"] != code || got["title"] != title || got["focus"] != "Menu" {
		t.Errorf("the page says %v, want %s: %s", got, code, title)
	}
}

// TestHostRemoves lets a spectator in by a link for watching and removes them.
func TestHostRemoves(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1})
	host := open(t, f.Coordinators[0].URL+"/play/test-card")
	link := invite(t, host, "watch", false)
	room := eval[string](t, host, "cloudretro.room")
	plain := f.Coordinators[1].URL + "/room/" + room
	refused(t, plain, "invite", "This room is by invitation only")
	refused(t, plain+"#invite=i1.forged", "denied", "This invitation is not valid")

	// The other coordinator lets them in as well.
	guest := open(t, strings.Replace(link, f.Coordinators[0].URL, f.Coordinators[1].URL, 1))
	until(t, guest, "cloudretro.player === 0 && cloudretro.members.length === 2 && !location.hash", 5*time.Second)
	takeSeat(t, guest, 2)
	until(t, guest, "document.querySelector('.note.error')", 3*time.Second) // for watching only
	until(t, host, "cloudretro.members.length === 2", 3*time.Second)
	t.Run("reload", func(t *testing.T) {
		reload(t, guest) // the door is closed, and the invitation no longer in the address
		until(t, guest, "cloudretro.state === 'playing' && cloudretro.player === 0", 5*time.Second)
		reload(t, host)
		until(t, host, "cloudretro.state === 'playing' && cloudretro.player === 1 && cloudretro.host && cloudretro.closed && cloudretro.invitations.length === 1", 5*time.Second)
		until(t, host, "cloudretro.members.length === 2 && cloudretro.members.every((m) => !m.away)", 5*time.Second)
	})
	pointer(t, host, "[aria-label='Share the room']")
	id := eval[string](t, host, "cloudretro.members.find((m) => !m.host).id")
	pointer(t, host, "[data-key=remove-"+id+"]")
	until(t, host, "document.querySelector('[data-key=remove-"+id+"]').innerText === 'Really remove'", 3*time.Second)
	pointer(t, host, "[data-key=remove-"+id+"]")
	until(t, guest, "cloudretro.state === 'error' && cloudretro.error.code === 'removed'", 3*time.Second)
	if text := eval[string](t, guest, "document.querySelector('[role=alertdialog]').innerText"); !strings.Contains(text, "You were removed from the room") {
		t.Errorf("who is removed reads %q", text)
	}
	until(t, host, "cloudretro.members.length === 1 && cloudretro.invitations.length === 0", 3*time.Second)
	refused(t, link, "revoked", "This invitation was taken back")
	eval[bool](t, guest, "(window.old = true, setTimeout(() => location.reload()), true)")
	until(t, guest, "!window.old && window.cloudretro?.state === 'error'", 8*time.Second)
	hold(t, host, "KeyZ", presses, rests) // the panel is open; the game goes on
}

// TestInvitations uses those that are for one person, end, or are taken back.
func TestInvitations(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1})
	host := open(t, f.Coordinators[0].URL+"/play/test-card")
	link := invite(t, host, "3", true)
	guest := open(t, link)
	until(t, guest, "cloudretro.player === 3 && !cloudretro.host", 5*time.Second)
	refused(t, link, "used", "This invitation has been used")
	until(t, host, "document.querySelector('.together .link').hidden", 3*time.Second)

	t.Run("expired", func(t *testing.T) {
		token := eval[string](t, host, `new Promise((done) => {
			probe.channels.control.addEventListener('message', ({ data }) => { const m = JSON.parse(data); if (m.ref === 'short') done(m.token); });
			cloudretro.sendControl({ type: 'invite', ref: 'short', watch: true, seconds: 1 });
		})`)
		until(t, host, "new Promise((r) => setTimeout(() => r(true), 2100))", 3*time.Second) // its end is told in whole seconds
		refused(t, f.Coordinators[1].URL+"/room/"+eval[string](t, host, "cloudretro.room")+"#invite="+token, "expired", "This invitation has expired")
	})
	t.Run("taken back", func(t *testing.T) {
		link := invite(t, host, "", false)
		id := eval[string](t, host, "cloudretro.invitations.find((i) => !i.watch && !i.player).id")
		pointer(t, host, "[data-key='revoke-"+id+"']")
		until(t, host, "!cloudretro.invitations.some((i) => i.id === '"+id+"') && document.querySelector('.together .link').hidden", 3*time.Second)
		refused(t, link, "revoked", "This invitation was taken back")
	})
	t.Run("a tab is duplicated", func(t *testing.T) {
		// Duplicating copies the session's storage with the address.
		saved := eval[string](t, guest, "JSON.stringify({ ...sessionStorage })")
		twin := visit(t, f.Coordinators[0].URL+"/api/v1/health")
		eval[bool](t, twin, fmt.Sprintf("(Object.entries(%s).forEach(([k, v]) => sessionStorage.setItem(k, v)), setTimeout(() => location.replace(%q)), true)",
			saved, eval[string](t, guest, "location.href")))
		until(t, twin, "window.cloudretro?.state === 'playing' && cloudretro.player === 3", 10*time.Second)
		until(t, guest, "cloudretro.state === 'error' && cloudretro.error.code === 'elsewhere'", 5*time.Second)
		until(t, host, "cloudretro.members.length === 2", 3*time.Second)
		hold(t, twin, "KeyZ", presses, rests)
	})
}

// TestInviteAfterCoordinatorDied makes an invitation while the coordinator that
// the game came by is dead: the link leads to the one that is in use.
func TestInviteAfterCoordinatorDied(t *testing.T) {
	f := fleet(t, FleetOptions{Coordinators: 2, Workers: 1})
	host := open(t, f.Coordinators[0].URL+"/play/test-card")
	until(t, host, "cloudretro.state === 'playing' && cloudretro.host", 5*time.Second)
	f.Coordinators[0].Kill()
	until(t, host, "cloudretro.socket === 'ready' && cloudretro.coordinator.includes('"+address(f.Coordinators[1])+"')", 5*time.Second)
	link := invite(t, host, "2", true)
	if !strings.HasPrefix(link, f.Coordinators[1].URL+"/room/") {
		t.Errorf("the link is %s", link)
	}
	guest := open(t, link)
	until(t, guest, "cloudretro.player === 2", 5*time.Second)
	hold(t, guest, "KeyZ", presses, rests)

	// While none is there, the host still has the room in hand.
	f.Coordinators[1].Kill()
	until(t, host, "cloudretro.socket !== 'ready' && document.querySelector('.badge').textContent", 5*time.Second)
	id := eval[string](t, host, "cloudretro.members.find((m) => !m.host).id")
	pointer(t, host, "[data-key=mute-"+id+"]")
	until(t, guest, "/muted your buttons/.test(document.querySelector('.notes').innerText)", 3*time.Second)
	pointer(t, host, "[data-key=remove-"+id+"]")
	pointer(t, host, "[data-key=remove-"+id+"]")
	until(t, guest, "cloudretro.state === 'error' && cloudretro.error.code === 'removed'", 3*time.Second)
}
