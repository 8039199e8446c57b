package api

import "github.com/cloudretro/cloudretro/coordinator/signal"

// Health says that requests are answered here.
type Health struct {
	Status      string `json:"status"`      // "ok"
	Coordinator string `json:"coordinator"` // which process answers, new at each of its starts
	Workers     int    `json:"workers"`     // connected to it
}

// Me is who asks.
type Me struct {
	User     *User `json:"user"`           // nil is nobody
	Required bool  `json:"signInRequired"` // whether nobody may play
}

// User is somebody who is signed in.
type User struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Role string `json:"role"` // player or admin
}

func userOf(u *signal.User) *User {
	if u == nil {
		return nil
	}
	return &User{ID: u.ID, Name: u.Name, Role: u.Role}
}

// Zone is a region of workers and the URL by which pages measure the way to it.
type Zone struct {
	Name  string `json:"name"`
	Probe string `json:"probe"` // "" = it cannot be measured
}

// Room is one running game.
type Room struct {
	ID      string `json:"id"`
	Game    string `json:"game"`
	Title   string `json:"title"`            // of the game
	System  string `json:"system"`           // "" = its library is not known yet
	Worker  string `json:"worker,omitempty"` // for admins
	Players int    `json:"players"`
	Viewers int    `json:"viewers"`
	Seats   int    `json:"seats"`
	Closed  bool   `json:"closed"`          // entered by invitation only
	Since   string `json:"since,omitempty"` // opened, RFC 3339
}

// Totals count all there is, whoever asks.
type Totals struct {
	Workers int `json:"workers"`
	Rooms   int `json:"rooms"`
	Players int `json:"players"`
	Viewers int `json:"viewers"`
	Waiting int `json:"waiting"` // players in line for a place, at all coordinators
}

// Rooms is a part of the rooms.
type Rooms struct {
	Rooms  []Room `json:"rooms"`
	Next   string `json:"next,omitempty"` // for ?after=, "" at the end
	Totals Totals `json:"totals"`
}

// Worker is a worker as it announced itself.
type Worker struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Zone     string `json:"zone"`
	Probe    string `json:"probe"`  // as in Zone
	Since    string `json:"since"`  // connected, RFC 3339
	State    string `json:"state"`  // ready, draining, overloaded or silent
	Places   int    `json:"places"` // games at once
	Free     int    `json:"free"`
	Rooms    int    `json:"rooms"`
	Sessions int    `json:"sessions"`
	Games    int    `json:"games"` // in its library
	Late     int    `json:"late"`  // frames that began too late, per mille
}

// Workers is a part of the workers.
type Workers struct {
	Workers []Worker `json:"workers"`
	Next    string   `json:"next,omitempty"`
}

// Session is one browser in a room.
type Session struct {
	ID      string `json:"id"`
	Worker  string `json:"worker"`
	Room    string `json:"room"`
	Game    string `json:"game"`
	Player  int    `json:"player"` // 0 = watches
	Hosting bool   `json:"hosting"`
	Away    bool   `json:"away"` // its seat is held for it
	User    *User  `json:"user"`
	Since   string `json:"since"` // RFC 3339
}

// Sessions is a part of the sessions.
type Sessions struct {
	Sessions []Session `json:"sessions"`
	Next     string    `json:"next,omitempty"`
	Silent   []string  `json:"silent,omitempty"` // workers that did not answer
}

// Invite is the body that asks for an invitation.
type Invite struct {
	Player  int  `json:"player"`
	Watch   bool `json:"watch"`
	Single  bool `json:"single"`
	Seconds int  `json:"seconds"`
}

// Invitation is a link into a room.
type Invitation struct {
	ID      string `json:"id"`
	Token   string `json:"token"`
	Path    string `json:"path"`    // of the link, fragment and all
	Expires string `json:"expires"` // RFC 3339
}

// Drain is the body that asks a worker to take no new games, or to take them again.
type Drain struct {
	Off bool `json:"off"`
}
