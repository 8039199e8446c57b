package coordinator

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/identity"
	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// workerLink is the connection of one worker.
type workerLink struct {
	id, name, zone string
	pod            string // that its token named, "" without one
	part           string // of the pod that its rooms must be of, "" = any; see signal.PodPart
	invites        string // see signal.Accepted
	probe          string // URL
	mediaAddrs     []string
	sock           *socket
	since          time.Time
	answered       func(time.Duration) // measures

	// What it announced, guarded by the registry's mutex.
	rooms   map[string]signal.Room
	library *library // nil while its games are not known
	place   int      // in the library's users of its zone
	wants   string   // digest of the library it has, if its games are not known
	faults  int      // libraries that it owed us

	incoming incoming // belongs to the goroutine that reads

	mu      sync.Mutex // guards the rest
	nextID  uint64
	pending map[string]chan signal.Envelope
	load    signal.Load
	loads   uint64 // how often it said its load
	asking  int    // places that it was asked for
	given   int    // places that it gave since it said its load
	givenAt time.Time
	missed  time.Time // until when it is not asked, as it did not answer
}

func (c *Coordinator) newWorkerLink(reg signal.Register, sock *socket) *workerLink {
	return &workerLink{
		id: reg.ID, name: reg.Name, zone: reg.Zone, probe: reg.Probe, mediaAddrs: reg.MediaAddrs,
		sock: sock, since: time.Now(), answered: c.stats.answered,
		pending: map[string]chan signal.Envelope{}, load: reg.Load,
	}
}

// standing is what placement looks at, and whether the worker may be asked at
// all. The registry's mutex is held.
func (w *workerLink) standing(now time.Time) (s standing, healthy bool) {
	load := w.loadNow(now)
	healthy = load.State == signal.StateReady && !w.sock.isSilent(now)
	return standing{zone: w.zone, places: load.Places, free: load.Free, rooms: len(w.rooms)}, healthy
}

// healthy says whether the worker may be asked for a place.
func (w *workerLink) healthy(now time.Time) bool {
	return w.loadNow(now).State == signal.StateReady && !w.sock.isSilent(now)
}

// serveWorker is /ws/worker.
func (c *Coordinator) serveWorker(rw http.ResponseWriter, r *http.Request) {
	c.serveRole(rw, r, func(nonce string, e signal.Envelope) (func(context.Context, *socket), error) {
		if e.Type != signal.TypeRegister {
			return nil, signal.Errorf(signal.CodeBadRequest, "the first message here is %q, not %q", signal.TypeRegister, e.Type)
		}
		proof, err := signal.Read[signal.Proof](e)
		if err != nil {
			return nil, err
		}
		knows := signal.CheckMAC(c.cfg.Secret, nonce, signal.RoleWorker, proof.ID, proof.MAC)
		pod, err := c.provesWorker(r.Context(), knows, proof)
		if err != nil {
			return nil, err
		}
		reg, err := signal.Read[signal.Register](e)
		if err != nil {
			return nil, err
		}
		if !knows {
			if err := c.registry.admit(reg.ID, pod); err != nil {
				return nil, err
			}
			reg.Name, reg.MediaAddrs = pod.Pod, addressesAt(r.RemoteAddr, reg.MediaAddrs)
		}
		return func(_ context.Context, sock *socket) { c.runWorker(sock, reg, pod, !knows) }, nil
	})
}

// tokenPatience is how long a token may take to be checked: less than the time
// that a role has for its proof.
const tokenPatience = 8 * time.Second

// provesWorker says whether a worker knows the secret, as was found out, or has a
// token of the workers' service account, and then which pod the token names.
func (c *Coordinator) provesWorker(ctx context.Context, knows bool, proof signal.Proof) (pod identity.Identity, err error) {
	if proof.Token == "" || c.cfg.Tokens == nil {
		switch {
		case knows:
			return pod, nil
		case proof.Token != "" && proof.MAC == "":
			return pod, signal.Errorf(signal.CodeDenied,
				"this coordinator takes no tokens: set kubernetes.token.audience on it, or give worker and coordinator the same secrets.worker")
		}
		return pod, signal.Errorf(signal.CodeDenied,
			"the worker's secret is wrong: give worker and coordinator the same secrets.worker")
	}
	ctx, cancel := context.WithTimeout(ctx, tokenPatience)
	defer cancel()
	who, err := c.cfg.Tokens.Verify(ctx, proof.Token)
	switch {
	case err == nil:
		return who, nil
	case knows:
		if c.seldom.may("token", time.Now()) {
			c.log.Warn("the token of a worker is refused, but it knows the secret", "cause", err, "quietFor", seldomPeriod)
		}
		return pod, nil
	case errors.Is(err, identity.ErrUnknown):
		return pod, signal.Errorf(signal.CodeFailed, "the worker's token cannot be checked now: %v", err)
	}
	return pod, signal.Errorf(signal.CodeDenied, "the worker's token is refused: %v", err)
}

// linkOf is the link of a worker that has proved itself. Of one that proved its pod
// alone, and no secret, nothing counts that is not of the pod.
func (c *Coordinator) linkOf(reg signal.Register, sock *socket, pod identity.Identity, alone bool) *workerLink {
	w := c.newWorkerLink(reg, sock)
	if pod == (identity.Identity{}) {
		return w
	}
	part := signal.PodPart(pod.UID)
	w.pod, w.invites = pod.Pod, signal.InviteKey(c.cfg.Secret, part)
	if alone {
		w.part = part
	}
	return w
}

// runWorker serves a worker that has proved itself until its socket ends.
func (c *Coordinator) runWorker(sock *socket, reg signal.Register, pod identity.Identity, alone bool) {
	w := c.linkOf(reg, sock, pod, alone)
	log := c.log.With("worker", w.id, "name", w.name)
	if w.pod != "" {
		log = log.With("pod", w.pod)
	}
	if old := c.registry.addWorker(w, reg.Library, reg.Rooms); old != nil {
		old.sock.cut(closeReplaced, "the worker connected again")
	}
	c.sessions.rebind(w)
	c.queue.workerChanged(w)
	log.Info("worker joined", "zone", reg.Zone, "rooms", len(reg.Rooms), "places", reg.Load.Places)
	cause := c.hear(sock, log, func(e signal.Envelope) error { return c.fromWorker(w, e) })
	if c.registry.removeWorker(w) {
		c.sessions.left(w, time.Now())
	}
	c.queue.workerGone(w)
	log.Info("worker left", "cause", cause)
}

// fromWorker handles one message of a worker.
func (c *Coordinator) fromWorker(w *workerLink, e signal.Envelope) error {
	switch e.Type {
	case signal.TypeLibrary:
		return take(e, func(library signal.Library) error {
			adopted, err := c.libraryFromWorker(w, library)
			for _, one := range adopted {
				c.queue.workerChanged(one)
			}
			return err
		})
	case signal.TypeRooms:
		return take(e, func(rooms signal.Rooms) error {
			return c.registry.setRooms(w, rooms.Rooms)
		})
	case signal.TypeLoad:
		return take(e, func(load signal.Load) error {
			w.setLoad(load)
			c.queue.workerChanged(w)
			return nil
		})
	case signal.TypeQueue:
		return take(e, func(queue signal.Queue) error {
			return c.board.heard(queue)
		})
	case signal.TypeReserved:
		if w.resolve(e) {
			return nil
		}
		return take(e, func(held signal.Reserved) error { // of a request that stood
			return c.queue.reserved(w, held)
		})
	case signal.TypeAnswer, signal.TypeSessions, signal.TypeInvited, signal.TypeDone:
		if !w.resolve(e) {
			c.registry.countLate()
			c.log.Debug("late answer of a worker", "worker", w.id, "type", e.Type, "session", e.Session)
		}
		return nil
	case signal.TypeError:
		return c.errorFromWorker(w, e)
	case signal.TypeCandidate, signal.TypeClosed:
		return c.sessionFromWorker(w, e)
	}
	return signal.Errorf(signal.CodeBadRequest, "a worker does not send %q", e.Type)
}

// sessionFromWorker hands on what a worker says to a page.
func (c *Coordinator) sessionFromWorker(w *workerLink, e signal.Envelope) error {
	if e.Type == signal.TypeClosed {
		return take(e, func(closed signal.Closed) error {
			c.sessions.closed(w, e.Session, closed)
			return nil
		})
	}
	return take(e, func(candidate signal.Candidate) error {
		c.sessions.candidateToPage(w, e.Session, candidate)
		return nil
	})
}

// take reads the payload of a message and hands it on.
func take[T any, P interface {
	*T
	Validate() error
}](e signal.Envelope, to func(T) error) error {
	v, err := signal.Read[T, P](e)
	if err != nil {
		return err
	}
	return to(v)
}

// errorFromWorker: the answer to a request, or about something that was only posted.
func (c *Coordinator) errorFromWorker(w *workerLink, e signal.Envelope) error {
	if w.resolve(e) || c.queue.refused(w, e.ID) {
		return nil
	}
	if e.ID != "" {
		c.registry.countLate()
	}
	return take(e, func(refusal signal.Error) error {
		c.log.Debug("worker refused", "worker", w.id, "session", e.Session, "cause", refusal.Error())
		if e.Session != "" {
			c.sessions.refused(w, e.Session, refusal)
		}
		return nil
	})
}
