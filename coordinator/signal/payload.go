package signal

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// Validate checks the greeting.
func (h Hello) Validate() error {
	if !ValidID(h.Session) {
		return errors.New("session is malformed")
	}
	if len(h.Alternates) > MaxURLs {
		return fmt.Errorf("more than %d alternates", MaxURLs)
	}
	for _, a := range h.Alternates {
		if err := checkText("alternate", a, maxURL); err != nil {
			return err
		}
	}
	return first(checkServers(h.ICEServers), checkText("token", h.Token, MaxToken), checkUser(h.User))
}

// Validate checks each server and their number.
func (s Servers) Validate() error { return checkServers(s.ICEServers) }

func checkServers(servers []ICEServer) error {
	if len(servers) > MaxICEServers {
		return fmt.Errorf("more than %d ICE servers", MaxICEServers)
	}
	for _, s := range servers {
		if err := s.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks URLs and the lengths of the credential.
func (s ICEServer) Validate() error {
	if len(s.URLs) == 0 || len(s.URLs) > MaxURLs {
		return fmt.Errorf("an ICE server needs 1..%d URLs", MaxURLs)
	}
	for _, u := range s.URLs {
		if err := checkURL(u, false); err != nil {
			return err
		}
	}
	return errors.Join(checkText("username", s.Username, MaxText), checkText("credential", s.Credential, MaxText))
}

// Validate checks ids, sizes, the profile, zones and what the coordinator sets.
func (s Start) Validate() error {
	if s.SDP != "" {
		if err := checkSDP(s.SDP); err != nil {
			return err
		}
	}
	return first(checkGame(s.Game), checkSRTP(s.SRTP), checkSession(s.Ticket), checkText("zone", s.Zone, maxID),
		checkLatencies(s.Latencies), checkHost(s.Host), checkUser(s.User))
}

// Validate checks ids, the seat, sizes, the profile and what the coordinator sets.
func (j Join) Validate() error {
	return first(checkRoom(j.Room), checkRange("player", j.Player, 0, MaxPlayers), checkSDP(j.SDP), checkSRTP(j.SRTP),
		checkText("invite", j.Invite, MaxToken), checkText("token", j.Token, MaxToken), checkSession(j.Replaces),
		checkHost(j.Host), checkUser(j.User))
}

// Validate checks the SDP's size and the profile.
func (o Offer) Validate() error { return first(checkSDP(o.SDP), checkSRTP(o.SRTP)) }

// Validate checks ids, seats and sizes.
func (a Answer) Validate() error {
	return first(
		checkSDP(a.SDP), checkRoom(a.Room), checkGame(a.Game),
		checkText("title", a.Title, MaxText), checkText("system", a.System, MaxText), checkText("token", a.Token, MaxToken),
		checkRange("seats", a.Seats, 0, MaxPlayers), checkRange("player", a.Player, 0, a.Seats))
}

// Validate checks sizes only: what the line says is for the ICE agent.
func (c Candidate) Validate() error {
	if err := checkText("candidate", c.Candidate, MaxCandidate); err != nil || c.SDPMid == nil {
		return err
	}
	return checkText("sdpMid", *c.SDPMid, maxID)
}

// Validate checks the token's size; VerifyToken does the rest.
func (r Resume) Validate() error { return checkText("token", r.Token, MaxToken) }

// Validate checks the session and the token's size.
func (r Resumed) Validate() error {
	if !ValidID(r.Session) {
		return errors.New("session is malformed")
	}
	return checkText("token", r.Token, MaxToken)
}

// Validate checks the text, and the code's form.
func (c Closed) Validate() error {
	if c.Code != "" && !ValidID(string(c.Code)) {
		return errors.New("code is malformed")
	}
	return checkText("reason", c.Reason, MaxText)
}

// Validate checks the code's form, so that newer codes pass, and the text.
func (e *Error) Validate() error {
	if !ValidID(string(e.Code)) {
		return errors.New("code is malformed")
	}
	return checkText("message", e.Message, MaxText)
}

// Validate checks id, texts and the number of players.
func (g Game) Validate() error {
	if err := checkGame(g.ID); err != nil {
		return err
	}
	if g.Title == "" || g.System == "" {
		return fmt.Errorf("game %s has no title or system", g.ID)
	}
	return first(checkText("title", g.Title, MaxText), checkText("system", g.System, maxID),
		checkRange("players", g.Players, 0, MaxPlayers))
}

// Validate checks ids and counts.
func (r Room) Validate() error {
	return first(checkRoom(r.ID), checkGame(r.Game),
		checkRange("players", r.Players, 0, MaxPlayers), checkRange("viewers", r.Viewers, 0, MaxViewers),
		checkRange("seats", r.Seats, 0, MaxPlayers), checkTime("since", r.Since))
}

// Validate checks the nonce's form and the id.
func (c Challenge) Validate() error {
	if !ValidID(c.Coordinator) {
		return errors.New("coordinator is malformed")
	}
	return checkHex("nonce", c.Nonce, nonceSize)
}

// Validate checks forms and bounds, neither the MAC nor who signed the token.
func (r Register) Validate() error {
	if !ValidID(r.ID) {
		return errors.New("worker id is malformed")
	}
	if len(r.MediaAddrs) > MaxMediaAddrs {
		return fmt.Errorf("more than %d media addresses", MaxMediaAddrs)
	}
	for _, a := range r.MediaAddrs {
		if err := checkMediaAddr(a); err != nil {
			return err
		}
	}
	return first(
		checkText("name", r.Name, MaxText), checkText("zone", r.Zone, maxID), checkProof(r.MAC, r.Token),
		checkProbe(r.Probe), checkHex("library", r.Library, sha256.Size), r.Load.Validate(), Rooms{r.Rooms}.Validate())
}

// Validate checks the state and the numbers.
func (l Load) Validate() error {
	if l.State != StateReady && l.State != StateDraining && l.State != StateOverloaded {
		return fmt.Errorf("state %q is none of a worker", Clip(l.State))
	}
	return first(checkRange("places", l.Places, 0, MaxRooms), checkRange("free", l.Free, 0, l.Places),
		checkRange("sessions", l.Sessions, 0, MaxSessions), checkRange("late", l.Late, 0, 1000))
}

// Validate checks forms and bounds, not the MAC.
func (g Gate) Validate() error {
	if !ValidID(g.ID) {
		return errors.New("gate id is malformed")
	}
	if len(g.URLs) == 0 || len(g.URLs) > MaxURLs {
		return fmt.Errorf("a gate needs 1..%d URLs", MaxURLs)
	}
	for _, u := range g.URLs {
		if err := checkURL(u, true); err != nil {
			return err
		}
	}
	return checkHex("mac", g.MAC, macSize)
}

// Validate checks each room and their number.
func (r Rooms) Validate() error {
	if len(r.Rooms) > MaxRooms {
		return fmt.Errorf("more than %d rooms", MaxRooms)
	}
	for _, room := range r.Rooms {
		if err := room.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks each address and their number.
func (p Peers) Validate() error {
	if len(p.Addrs) > MaxPeers {
		return fmt.Errorf("more than %d peers", MaxPeers)
	}
	for _, a := range p.Addrs {
		if err := checkMediaAddr(a); err != nil {
			return err
		}
	}
	return nil
}

// first is the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
