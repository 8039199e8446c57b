package coordinator

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/api"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// house is what the API asks about: what workers have announced, the workers
// themselves, and who may come in.
type house struct{ c *Coordinator }

// newAPI is everything below api.Prefix.
func newAPI(c *Coordinator) *api.API {
	h := house{c}
	return api.New(api.Config{
		Coordinator: c.id, Games: func(rw http.ResponseWriter, r *http.Request) { c.registry.games.Load().serve(rw, r) },
		Directory: h, Lobby: h, Operator: h, Hosts: h, Gatekeeper: h,
		Allow:   func(r *http.Request) bool { return c.questions.take(addressOf(r), 1, time.Now()) },
		Ready:   c.stopping,
		Refused: c.stats.refuse,
		Did: func(by signal.User, what, id string) {
			c.log.Info("done by an admin", "what", what, "id", id, "user", by.ID, "name", by.Name)
		},
	})
}

// Zones are by name.
func (h house) Zones() []api.Zone {
	views := h.c.registry.zones()
	zones := make([]api.Zone, 0, len(views))
	for _, z := range views {
		zones = append(zones, api.Zone{Name: z.Name, Probe: z.Probe})
	}
	return zones
}

// Workers are in the order of their ids.
func (h house) Workers() []api.Worker {
	views := h.c.registry.workersView()
	workers := make([]api.Worker, 0, len(views))
	for _, w := range views {
		state := w.Load.State
		if w.Silent {
			state = stateSilent
		}
		workers = append(workers, api.Worker{
			ID: w.ID, Name: w.Name, Zone: w.Zone, Probe: w.Probe, Since: timestamp(w.Since), State: state,
			Places: w.Load.Places, Free: w.Load.Free, Rooms: w.Rooms, Sessions: w.Load.Sessions, Games: w.Games, Late: w.Load.Late,
		})
	}
	slices.SortFunc(workers, func(a, b api.Worker) int { return cmp.Compare(a.ID, b.ID) })
	return workers
}

// Totals count what all workers have announced.
func (h house) Totals() api.Totals {
	t := h.c.registry.totals()
	_, elsewhere := h.c.board.ahead(0)
	all := api.Totals{Rooms: t.Rooms, Players: t.Players, Viewers: t.Viewers, Waiting: h.c.queue.length() + elsewhere}
	for _, n := range t.Workers {
		all.Workers += n
	}
	return all
}

// Rooms are in the order of their ids.
func (h house) Rooms() []api.Room {
	views := h.c.registry.roomsView()
	rooms := make([]api.Room, 0, len(views))
	for _, r := range views {
		rooms = append(rooms, toldRoom(r))
	}
	slices.SortFunc(rooms, func(a, b api.Room) int { return cmp.Compare(a.ID, b.ID) })
	return rooms
}

// Room is one of Rooms.
func (h house) Room(id string) (api.Room, bool) {
	r, ok := h.c.registry.room(id)
	return toldRoom(r), ok
}

func toldRoom(r roomView) api.Room {
	told := api.Room{
		ID: r.ID, Game: r.Game, Title: r.Title, System: r.System, Worker: r.Worker,
		Players: r.Players, Viewers: r.Viewers, Seats: r.Seats, Closed: r.Closed,
	}
	if !r.Since.IsZero() {
		told.Since = timestamp(r.Since)
	}
	return told
}

// Sessions asks one worker, or all with "".
func (h house) Sessions(ctx context.Context, worker string) ([]api.Session, []string, error) {
	if worker == "" {
		views, silent := h.c.registry.list(ctx)
		return toldSessions(views), silent, nil
	}
	w := h.c.registry.worker(worker)
	if w == nil {
		return nil, nil, errNoSuchWorker()
	}
	said, err := askFor[signal.Sessions](ctx, w, signal.TypeList, nil)
	if err != nil {
		return nil, nil, err
	}
	views := make([]sessionView, 0, len(said.Sessions))
	for _, info := range said.Sessions {
		views = append(views, sessionView{worker, info})
	}
	return toldSessions(views), nil, nil
}

func toldSessions(views []sessionView) []api.Session {
	sessions := make([]api.Session, 0, len(views))
	for _, s := range views {
		one := api.Session{
			ID: s.ID, Worker: s.Worker, Room: s.Room, Game: s.Game, Player: s.Player, Hosting: s.Hosting, Away: s.Away,
			Since: timestamp(time.UnixMilli(s.Since)),
		}
		if u := s.User; u != nil {
			one.User = &api.User{ID: u.ID, Name: u.Name, Role: u.Role}
		}
		sessions = append(sessions, one)
	}
	return sessions
}

// End ends a session or a room at a worker, or with "" wherever it is.
func (h house) End(ctx context.Context, worker string, end signal.End) error {
	if worker != "" {
		return h.c.registry.endAt(ctx, worker, end)
	}
	return h.c.registry.end(ctx, end)
}

// Drain has a worker take no new games, or take them again.
func (h house) Drain(worker string, drain signal.Drain) error {
	return h.c.registry.drain(worker, drain.Off)
}

// Invite has the worker of a room make an invitation.
func (h house) Invite(ctx context.Context, i signal.Invite) (signal.Invited, error) {
	w, err := h.c.registry.forRoom(i.Room)
	if err != nil {
		return signal.Invited{}, err
	}
	return askFor[signal.Invited](ctx, w, signal.TypeInvite, i)
}

// Revoke has the worker of a room take an invitation back.
func (h house) Revoke(ctx context.Context, r signal.Revoke) error {
	w, err := h.c.registry.forRoom(r.Room)
	if err != nil {
		return err
	}
	return done(w.ask(ctx, signal.TypeRevoke, "", r, w.sock.pace.manage))
}

// User is who has signed in.
func (h house) User(r *http.Request) *signal.User { return h.c.door.User(r) }

// Required says whether players must be signed in.
func (h house) Required() bool { return h.c.door.Required() }

// Session is the one that a token names.
func (h house) Session(token string) (signal.Session, error) {
	return signal.VerifyToken(h.c.cfg.SessionSecret, token, time.Now())
}

// askFor asks a worker and reads its answer. The error is an *signal.Error.
func askFor[T any, P interface {
	*T
	Validate() error
}](ctx context.Context, w *workerLink, t signal.Type, payload any) (T, error) {
	var zero T
	e, err := w.ask(ctx, t, "", payload, w.sock.pace.manage)
	if err != nil {
		return zero, err
	}
	answer, err := signal.Read[T, P](e)
	if err != nil {
		return zero, signal.Errorf(signal.CodeFailed, "the worker's answer is malformed: %v", err)
	}
	return answer, nil
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
