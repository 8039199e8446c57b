package signal

import "strings"

// Game is one title of a library, as /api/games lists it.
type Game struct {
	ID      string `json:"id"` // [a-z0-9][a-z0-9-]{0,63}
	Title   string `json:"title"`
	System  string `json:"system"`
	Players int    `json:"players,omitempty"`
}

// Room is one running game as its worker announces it.
type Room struct {
	ID      string `json:"id"` // lower-case base32, 26 characters
	Game    string `json:"game"`
	Players int    `json:"players"`
	Viewers int    `json:"viewers"`
	Seats   int    `json:"seats"`            // who can play
	Closed  bool   `json:"closed,omitempty"` // entered by invitation only
	Since   int64  `json:"since,omitempty"`  // ms since 1970 when it was opened, 0 = not said
}

// Challenge opens the hand-shake of a worker or gate: who connects proves that
// it knows the secret with MAC = hex(HMAC-SHA256(secret, nonce || role || id)).
// Which secret is said by the role: secrets.worker or secrets.turn.
type Challenge struct {
	Nonce string `json:"nonce"` // 32 random bytes, hex
	// Coordinator names the process that asks, new at each start: a role that
	// meets the same one by two addresses stays at one of them.
	Coordinator string `json:"coordinator"`
}

// Accepted says that a registration holds.
type Accepted struct {
	Library bool `json:"library,omitempty"` // the full Library is wanted: nobody has announced its digest here
	// Invites is the InviteKey of its pod, for a worker that proved itself with a
	// token: it may not know secrets.worker.
	Invites string `json:"invites,omitempty"`
}

// Register announces a worker.
type Register struct {
	ID         string   `json:"id"` // new at each start of the worker, see NewWorkerID
	Name       string   `json:"name"`
	Zone       string   `json:"zone,omitempty"`
	MAC        string   `json:"mac,omitempty"`   // see Challenge; may be left out beside a Token
	Token      string   `json:"token,omitempty"` // of the worker's service account in Kubernetes, a JWT (RFC 7519)
	MediaAddrs []string `json:"mediaAddrs"`      // ip:port where its media can be reached, for the gate's admission
	// Probe is the URL by which browsers measure the way to the worker's zone,
	// like "https://eu.example.org/echo"; "" = it cannot be measured.
	Probe   string `json:"probe,omitempty"`
	Library string `json:"library"` // LibraryDigest of its games
	Load    Load   `json:"load"`
	Rooms   []Room `json:"rooms"`
}

// States of a worker.
const (
	StateReady      = "ready"
	StateDraining   = "draining"   // takes no new games, those that run go on
	StateOverloaded = "overloaded" // misses frame deadlines
)

// Load is how busy a worker is.
type Load struct {
	State    string `json:"state"`
	Places   int    `json:"places"`   // games at once, 0..MaxRooms
	Free     int    `json:"free"`     // of them, that are neither taken nor held
	Sessions int    `json:"sessions"` // browsers
	Late     int    `json:"late"`     // frames that began too late, per mille of the last while
}

// Gate announces a turn role.
type Gate struct {
	ID   string   `json:"id"`
	MAC  string   `json:"mac"`
	URLs []string `json:"urls"` // turn: URLs; an empty host ("turn::3478?transport=udp") means: where the browser found the coordinator
}

// ShownURLs are URLs of gates as people read them: where the host is empty they
// say whose it is.
func ShownURLs(urls []string) []string {
	shown := make([]string, 0, len(urls))
	for _, u := range urls {
		if scheme, rest, _ := strings.Cut(u, ":"); strings.HasPrefix(rest, ":") {
			u = scheme + ":HOST-OF-THE-PAGE" + rest
		}
		shown = append(shown, u)
	}
	return shown
}

// Library is a change of a worker's games: those of Put are new or different,
// those of Gone are no more. A list that is too long for one message comes as
// several with the same Base and Digest, all but the last with More; until the
// last is there, none counts.
type Library struct {
	Base   string   `json:"base"`   // LibraryDigest of what is changed, "" = of nothing
	Digest string   `json:"digest"` // LibraryDigest after the last of the messages
	Put    []Game   `json:"put,omitempty"`
	Gone   []string `json:"gone,omitempty"` // ids
	More   bool     `json:"more,omitempty"`
}

// Rooms is the full list of a worker's rooms.
type Rooms struct {
	Rooms []Room `json:"rooms"`
}

// Peers is the full set of addresses that a gate may relay to.
type Peers struct {
	Addrs []string `json:"addrs"` // ip:port
}
