package signal

// ICEServer is an entry of RTCConfiguration.iceServers (W3C WebRTC 4.2.1).
type ICEServer struct {
	URLs       []string `json:"urls"`
	Username   string   `json:"username,omitempty"`
	Credential string   `json:"credential,omitempty"`
}

// Hello greets a browser.
type Hello struct {
	Session    string      `json:"session"`
	Token      string      `json:"token"` // for Resume; a newer one comes with each Answer
	ICEServers []ICEServer `json:"iceServers"`
	// Alternates are other addresses of this site, like "https://b.example.org",
	// that a page turns to when this one does not answer.
	Alternates []string `json:"alternates,omitempty"`
	User       *User    `json:"user,omitempty"` // who is signed in; nil where nobody is asked to
}

// User is who a browser belongs to, as the door knows it.
type User struct {
	ID   string `json:"id"`   // stable, unique within an installation: ValidID
	Name string `json:"name"` // for people, at most 64 bytes
	Role string `json:"role"` // RolePlayer or RoleAdmin
}

// Roles of users.
const (
	RolePlayer = "player"
	RoleAdmin  = "admin"
)

// Servers are the ICE servers with credentials that are fresh.
type Servers struct {
	ICEServers []ICEServer `json:"iceServers"`
}

// SRTPSHA1 asks for SRTP_AES128_CM_HMAC_SHA1_80 (RFC 5764, section 4.1.2) in
// place of AES-GCM, which a worker demands first because it costs a third. A
// browser whose DTLS knows no GCM hears CodeSRTP; its seat is kept for the moment
// that a new connection takes: it makes one and sends its Offer with this.
const SRTPSHA1 = "sha1"

// Start opens a room for a game and takes the first seat.
//
// With SDP it is answered by an Answer, or by Queued if no place is free: then
// the page may drop its connection, and when Granted comes it sends Start with a
// new offer and the ticket. Without SDP it asks for a place alone: it is answered
// by Granted or Queued.
type Start struct {
	Game   string `json:"game"`
	SDP    string `json:"sdp,omitempty"`    // the browser's offer
	SRTP   string `json:"srtp,omitempty"`   // "" or SRTPSHA1
	Ticket string `json:"ticket,omitempty"` // of Granted; between roles always set: of the Reserved it uses
	Zone   string `json:"zone,omitempty"`   // the only one that will do; "" = the nearest
	// Latencies are the round trips to zones as the browser measured them, in
	// ms; at most MaxZones.
	Latencies map[string]int `json:"latencies,omitempty"`
	Host      string         `json:"host,omitempty"` // set by the coordinator: host name the browser reached it by
	User      *User          `json:"user,omitempty"` // set by the coordinator
}

// Join takes a seat, or a view, in a running room.
type Join struct {
	Room   string `json:"room"`
	Player int    `json:"player,omitempty"` // wished seat 1..MaxPlayers; 0 = any free one, or watch
	SDP    string `json:"sdp"`
	SRTP   string `json:"srtp,omitempty"` // "" or SRTPSHA1
	// Invite is an invitation (see MintInvite), "" for none.
	Invite string `json:"invite,omitempty"`
	// Token is of a session that this page, or the one it was loaded anew from,
	// had in the room: its seat and its rights are taken over. B>C only.
	Token    string `json:"token,omitempty"`
	Replaces string `json:"replaces,omitempty"` // set by the coordinator: the session that Token names
	Host     string `json:"host,omitempty"`     // set by the coordinator
	User     *User  `json:"user,omitempty"`     // set by the coordinator
}

// Offer renegotiates a running session, or brings a new connection into it.
type Offer struct {
	SDP  string `json:"sdp"`
	SRTP string `json:"srtp,omitempty"` // SRTPSHA1: of the new connection after CodeSRTP
}

// Answer is a worker's yes.
type Answer struct {
	SDP    string `json:"sdp"`
	Room   string `json:"room"`
	Game   string `json:"game"`
	Title  string `json:"title"`
	System string `json:"system"`
	Player int    `json:"player"`          // seat 1..n, 0 = viewer
	Seats  int    `json:"seats"`           // seats the game has
	Token  string `json:"token,omitempty"` // set by the coordinator for the browser
}

// Candidate is one ICE candidate; an empty one says there are no more.
type Candidate struct {
	Candidate     string  `json:"candidate"`
	SDPMid        *string `json:"sdpMid,omitempty"`
	SDPMLineIndex *uint16 `json:"sdpMLineIndex,omitempty"`
}

// Resume binds a new WebSocket to a running session.
type Resume struct {
	Token string `json:"token"`
}

// Resumed confirms a Resume.
type Resumed struct {
	Session string `json:"session"`
	Token   string `json:"token"`
}

// Closed says why a session ended.
type Closed struct {
	Reason string `json:"reason"`
	Code   Code   `json:"code,omitempty"` // CodeRemoved, CodeElsewhere, CodeLost, or "" for a common end
}
