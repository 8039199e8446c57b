package api

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// rooms lists all to an admin, and to others the one that they are in.
func (a *API) rooms(c *call) error {
	limit, after, err := c.page()
	if err != nil {
		return err
	}
	list := Rooms{Rooms: []Room{}, Totals: a.cfg.Directory.Totals()}
	if c.admin() {
		list.Rooms, list.Next = part(a.cfg.Lobby.Rooms(), limit, after, func(r Room) string { return r.ID })
	} else if r, ok := c.ownRoom(); ok && r.ID > after {
		list.Rooms = append(list.Rooms, r)
	}
	return c.answer(http.StatusOK, list)
}

// ownRoom is the room of the session by which is asked.
func (c *call) ownRoom() (Room, bool) {
	if c.session == nil || c.session.Room == "" {
		return Room{}, false
	}
	r, ok := c.api.cfg.Lobby.Room(c.session.Room)
	return c.roomFor(r), ok
}

// roomFor leaves out what is for admins.
func (c *call) roomFor(r Room) Room {
	if !c.admin() {
		r.Worker = ""
	}
	return r
}

func (a *API) room(c *call) error {
	id, err := c.roomID()
	if err != nil {
		return err
	}
	r, found := a.cfg.Lobby.Room(id)
	if !found || !c.admin() && !c.in(id) {
		return errNoRoom()
	}
	return c.answer(http.StatusOK, c.roomFor(r))
}

// evict ends a room with everybody in it.
func (a *API) evict(c *call) error {
	id, err := c.roomID()
	if err != nil {
		return err
	}
	return c.end("", signal.End{Room: id, Reason: "an operator has closed the room"})
}

// end ends what an admin wants to end; what they say about it is told after our
// own words, so that nobody takes it for the site's.
func (c *call) end(worker string, end signal.End) error {
	if reason := c.r.URL.Query().Get("reason"); reason != "" {
		end.Reason += ": " + reason
	}
	if err := end.Validate(); err != nil {
		return refuse(http.StatusBadRequest, codeBadRequest, err.Error())
	}
	if err := c.api.cfg.Operator.End(c.r.Context(), worker, end); err != nil {
		return err
	}
	if end.Room != "" {
		c.did("close a room", end.Room)
	} else {
		c.did("end a session", end.Session)
	}
	return c.done()
}

// invite makes a link into a room. That who asks is its host its worker finds out.
func (a *API) invite(c *call) error {
	room, session, err := c.hosting()
	if err != nil {
		return err
	}
	var wish Invite
	if err := c.read(&wish); err != nil {
		return err
	}
	invite := signal.Invite{Room: room, Session: session, Player: wish.Player, Watch: wish.Watch, Single: wish.Single, Seconds: wish.Seconds}
	if err := invite.Validate(); err != nil {
		return refuse(http.StatusBadRequest, codeBadRequest, err.Error())
	}
	made, err := a.cfg.Hosts.Invite(c.r.Context(), invite)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, Invitation{
		ID: made.ID, Token: made.Token, Path: "/room/" + room + "#invite=" + made.Token,
		Expires: time.Unix(made.Expires, 0).UTC().Format(time.RFC3339),
	})
}

func (a *API) revoke(c *call) error {
	room, session, err := c.hosting()
	if err != nil {
		return err
	}
	revoke := signal.Revoke{Room: room, Session: session, ID: c.r.PathValue("id")}
	if revoke.Validate() != nil {
		return refuse(http.StatusNotFound, codeNotFound, "there is no such invitation")
	}
	if err := a.cfg.Hosts.Revoke(c.r.Context(), revoke); err != nil {
		return err
	}
	return c.done()
}

// hosting is the room of the path, and the session in it by whose right is
// asked; "" is an admin's.
func (c *call) hosting() (room, session string, err error) {
	if room, err = c.roomID(); err != nil {
		return "", "", err
	}
	switch {
	case c.admin():
		return room, "", nil
	case c.in(room):
		return room, c.session.ID, nil
	case c.session == nil:
		return "", "", refuse(http.StatusUnauthorized, codeDenied, `the token of the host's session is wanted: "Authorization: Bearer TOKEN"`)
	}
	return "", "", errNoRoom()
}

// done answers that something is done.
func (c *call) done() error {
	c.rw.WriteHeader(http.StatusNoContent)
	return nil
}

// part is what of a list, which is in the order of ids, follows after; next is
// the id to go on after, "" at the end. It is never nil.
func part[T any](list []T, limit int, after string, id func(T) string) (some []T, next string) {
	begin := 0
	if after != "" {
		at, found := slices.BinarySearchFunc(list, after, func(one T, after string) int { return strings.Compare(id(one), after) })
		begin = at
		if found {
			begin++
		}
	}
	end := min(len(list), begin+limit)
	some = append([]T{}, list[begin:end]...)
	if end < len(list) {
		next = id(some[len(some)-1])
	}
	return some, next
}
