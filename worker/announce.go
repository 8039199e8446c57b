package worker

import (
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/coordinator/uplink"
)

// catalogue is the library as coordinators know it; nobody writes to it.
type catalogue struct {
	games  []signal.Game
	digest string
}

func newCatalogue(games []signal.Game) *catalogue {
	games = games[:min(len(games), signal.MaxGames)]
	return &catalogue{games, signal.LibraryDigest(games)}
}

// introduce is how the worker answers a challenge. What changes after it was
// called is announced.
func (w *Worker) introduce(c signal.Challenge, _ int) (signal.Type, any) {
	token := w.token()
	id := w.self.name(token, w.cfg.Secret != "")
	r := signal.Register{
		ID: id, Name: w.cfg.Name, Zone: w.cfg.Zone, Token: token,
		Probe: w.probeURL(), Library: w.catalogue.Load().digest, Load: w.load(), Rooms: w.rooms.list(),
	}
	if w.cfg.Secret != "" {
		r.MAC = signal.MAC(w.cfg.Secret, c.Nonce, signal.RoleWorker, id)
	}
	for _, a := range w.media.Addrs() {
		if len(r.MediaAddrs) < signal.MaxMediaAddrs {
			r.MediaAddrs = append(r.MediaAddrs, a.String())
		}
	}
	return signal.TypeRegister, r
}

// token is what proves the worker besides the secret, "" if there is none. It is
// read anew each time, as the kubelet puts a new one in its place.
func (w *Worker) token() string {
	if w.cfg.TokenFile == "" {
		return ""
	}
	data, err := os.ReadFile(w.cfg.TokenFile)
	if err != nil {
		w.log.Error("the token of the service account cannot be read; mount a projected token, or set secrets.worker in place of kubernetes.token.file",
			"cause", err)
	}
	return strings.TrimSpace(string(data))
}

// inviteKey signs invitations to a room, "" if it is not known: it follows from
// the secret, or coordinators tell it.
func (w *Worker) inviteKey(room string) string {
	if told := w.invites.Load(); told != nil && w.cfg.Secret == "" {
		return *told
	}
	return signal.InviteKey(w.cfg.Secret, room)
}

// probeURL is where browsers measure the way to here, "" if they cannot.
func (w *Worker) probeURL() string {
	if w.cfg.ProbeURL != "" || w.probe == nil || !signal.ValidHost(w.cfg.PublicAddress) {
		return w.cfg.ProbeURL
	}
	_, port, err := net.SplitHostPort(w.probe.Addr().String())
	if err != nil {
		return ""
	}
	return "http://" + net.JoinHostPort(w.cfg.PublicAddress, port) + "/echo"
}

// load is how busy the worker is now.
func (w *Worker) load() signal.Load {
	c := w.rooms.counts()
	return signal.Load{
		State: c.State, Places: c.Places, Free: c.Free(),
		Sessions: min(w.sessions.len(), signal.MaxSessions), Late: int(w.late.Load()),
	}
}

// announceLoad tells all coordinators how busy the worker is.
func (w *Worker) announceLoad() {
	w.keeper.Announce("load", func() (signal.Type, any) { return signal.TypeLoad, w.load() })
}

// announceRooms tells all coordinators what is played.
func (w *Worker) announceRooms() {
	w.keeper.Announce("rooms", func() (signal.Type, any) { return signal.TypeRooms, signal.Rooms{Rooms: w.rooms.list()} })
}

// joined is called when a coordinator has accepted the worker.
func (w *Worker) joined(l *uplink.Link, a signal.Accepted) {
	if a.Invites != "" {
		w.invites.Store(&a.Invites)
	}
	w.life.joined.Store(true)
	if a.Library {
		w.announceLibrary(l, nil)
	}
}

// left is called when a link has ended.
func (w *Worker) left(l *uplink.Link) { w.rooms.gone(l) }

// libraryChanged tells all coordinators what has changed in the library.
func (w *Worker) libraryChanged() {
	before, now := w.catalogue.Load(), newCatalogue(w.library.Games())
	w.catalogue.Store(now)
	w.rooms.refresh()
	if before.digest != now.digest {
		w.announceLibrary(w.keeper, before)
	}
}

// announcer is a link, or all of them.
type announcer interface {
	Announce(key string, make func() (signal.Type, any))
}

var _, _ announcer = (*uplink.Link)(nil), (*uplink.Keeper)(nil)

// announceLibrary tells what has changed since base, nil for nothing known. Its
// parts are made when they are written: a long library does not wait in memory.
func (w *Worker) announceLibrary(to announcer, base *catalogue) {
	now := w.catalogue.Load()
	whole := signal.Library{Digest: now.digest, Put: now.games}
	if base != nil {
		whole = difference(base, now)
	}
	n := w.announcements.Add(1)
	for i, part := range parts(whole, signal.LibraryPart) {
		key := fmt.Sprintf("library %d %d", n, i) // never replaced: parts of two changes must not mix
		to.Announce(key, func() (signal.Type, any) { return signal.TypeLibrary, part })
	}
}

// difference is what makes after of before.
func difference(before, after *catalogue) signal.Library {
	l := signal.Library{Base: before.digest, Digest: after.digest}
	old := make(map[string]signal.Game, len(before.games))
	for _, g := range before.games {
		old[g.ID] = g
	}
	for _, g := range after.games {
		if was, ok := old[g.ID]; !ok || was != g {
			l.Put = append(l.Put, g)
		}
		delete(old, g.ID)
	}
	for _, g := range before.games {
		if _, ok := old[g.ID]; ok {
			l.Gone = append(l.Gone, g.ID)
		}
	}
	return l
}

// parts cuts a message into several with at most size games each.
func parts(l signal.Library, size int) []signal.Library {
	var out []signal.Library
	for {
		part := signal.Library{Base: l.Base, Digest: l.Digest}
		n := min(len(l.Put), size)
		part.Put, l.Put = l.Put[:n:n], l.Put[n:]
		n = min(len(l.Gone), size-n)
		part.Gone, l.Gone = l.Gone[:n:n], l.Gone[n:]
		part.More = len(l.Put)+len(l.Gone) > 0
		out = append(out, part)
		if !part.More {
			return out
		}
	}
}
