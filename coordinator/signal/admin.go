package signal

import (
	"errors"
	"fmt"
)

// Bounds of the browsers at one worker.
const (
	MaxSessions = 20_000
	MaxListed   = 5_000 // in one Sessions, so that it stays under MaxInternal
)

// Drain tells a worker to take no new games, or to take them again.
type Drain struct {
	Off bool `json:"off,omitempty"`
}

// End tells a worker to end a session, or a room with all that are in it; one
// of the two is set.
type End struct {
	Session string `json:"session,omitempty"`
	Room    string `json:"room,omitempty"`
	Reason  string `json:"reason,omitempty"` // for those whom it hits
}

// Sessions are the browsers at a worker, at most MaxListed of them.
type Sessions struct {
	Sessions []SessionInfo `json:"sessions"`
	Total    int           `json:"total,omitempty"` // how many there are, if not all are listed
}

// SessionInfo is one browser at a worker.
type SessionInfo struct {
	ID      string `json:"id"`
	Room    string `json:"room"`
	Game    string `json:"game"`
	Player  int    `json:"player"` // 0 = watches
	Hosting bool   `json:"hosting,omitempty"`
	Away    bool   `json:"away,omitempty"` // its seat is held for it
	User    *User  `json:"user,omitempty"`
	Since   int64  `json:"since"` // ms since 1970
}

// Validate has nothing to check.
func (Drain) Validate() error { return nil }

// Validate checks the form of the key.
func (a Accepted) Validate() error {
	if a.Invites == "" {
		return nil
	}
	return checkHex("invites", a.Invites, inviteKeySize)
}

// Validate checks that one of the two is named.
func (e End) Validate() error {
	if (e.Session == "") == (e.Room == "") {
		return errors.New("either a session or a room is to be ended")
	}
	if e.Room != "" {
		return first(checkRoom(e.Room), checkText("reason", e.Reason, MaxText))
	}
	return first(checkSession(e.Session), checkText("reason", e.Reason, MaxText))
}

// Validate checks each session and their number.
func (s Sessions) Validate() error {
	if len(s.Sessions) > MaxListed {
		return fmt.Errorf("more than %d sessions", MaxListed)
	}
	for _, one := range s.Sessions {
		if err := one.Validate(); err != nil {
			return err
		}
	}
	return checkRange("total", s.Total, 0, MaxSessions)
}

// Validate checks ids and numbers.
func (s SessionInfo) Validate() error {
	if s.ID == "" {
		return errors.New("a session has no id")
	}
	return first(checkSession(s.ID), checkRoom(s.Room), checkGame(s.Game), checkRange("player", s.Player, 0, MaxPlayers),
		checkUser(s.User), checkTime("since", s.Since))
}

// Validate checks the user's id, name and role.
func (u User) Validate() error {
	if !ValidID(u.ID) {
		return errors.New("the user's id is malformed")
	}
	if u.Role != RolePlayer && u.Role != RoleAdmin {
		return errors.New("the user's role is neither player nor admin")
	}
	return checkText("user name", u.Name, maxID)
}

func checkUser(u *User) error {
	if u == nil {
		return nil
	}
	return u.Validate()
}
