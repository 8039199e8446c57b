// Package signal is what browsers, coordinators, workers and gates say to one
// another over WebSockets: JSON messages in an Envelope, version 1. It does no
// I/O. Everything that comes from outside passes Decode, which bounds and
// validates it before anyone looks at it.
package signal

import "encoding/json"

// Version of the protocol; a message of another one is refused with CodeVersion.
const Version = 1

// Limits of what is accepted.
const (
	MaxMessage   = 64 << 10 // bytes of one WebSocket message from a browser
	MaxInternal  = 4 << 20  // bytes of one message between roles (a library can be long)
	MaxSDP       = 32 << 10 // bytes
	MaxCandidate = 1 << 10  // bytes
	MaxText      = 512      // bytes of any other text
	MaxPlayers   = 8        // seats of a room
)

// Type names a message.
type Type string

// Messages between a browser and a coordinator. B is the browser, C the coordinator.
const (
	TypeHello     Type = "hello"     // C>B on connect: Hello
	TypeStart     Type = "start"     // B>C: Start; answered by TypeAnswer or TypeError
	TypeJoin      Type = "join"      // B>C: Join; answered by TypeAnswer or TypeError
	TypeAnswer    Type = "answer"    // C>B (and worker>C): Answer
	TypeOffer     Type = "offer"     // B>C>worker: Offer, a new offer in a running session (ICE restart)
	TypeCandidate Type = "candidate" // both ways, trickle ICE: Candidate
	TypeResume    Type = "resume"    // B>C after a lost WebSocket: Resume; answered by TypeResumed or TypeError
	TypeResumed   Type = "resumed"   // C>B: Resumed
	TypeLeave     Type = "leave"     // B>C>worker: the session ends
	TypeClosed    Type = "closed"    // worker>C>B: Closed, the session ended
	TypeError     Type = "error"     // to whoever asked: Error
)

// Messages between a coordinator and a worker (W) or a gate (T, role turn).
// Start, Join, Offer, Candidate, Leave, Answer, Closed and Error travel there
// too, with Envelope.Session set. A worker answers Start, Join and Offer with
// the request's ID; candidates carry none. TypeResume (C>W, no payload, not
// answered) says that the session is reached through this coordinator from now
// on; a worker that does not know the session answers TypeClosed.
const (
	TypeChallenge Type = "challenge" // C>W, C>T on connect: Challenge
	TypeRegister  Type = "register"  // W>C: Register
	TypeGate      Type = "gate"      // T>C: Gate
	TypeAccepted  Type = "accepted"  // C>W, C>T: the registration holds
	TypeLibrary   Type = "library"   // W>C: Library, when it changed
	TypeRooms     Type = "rooms"     // W>C: Rooms, when they changed
	TypePeers     Type = "peers"     // C>T: Peers, whenever the set of workers changed
	TypeDrain     Type = "drain"     // T>C: the gate opens no more relays; no payload, not answered
)

// Envelope is what every message travels in.
type Envelope struct {
	V       int             `json:"v"`
	Type    Type            `json:"type"`
	ID      string          `json:"id,omitempty"`      // chosen by who asks, repeated in the answer
	Session string          `json:"session,omitempty"` // between roles only: the browser's session
	Data    json.RawMessage `json:"data,omitempty"`
}

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
}

// SRTPSHA1 asks for SRTP_AES128_CM_HMAC_SHA1_80 (RFC 5764, section 4.1.2) in
// place of AES-GCM, which a worker demands first because it costs a third. A
// browser whose DTLS knows no GCM hears CodeSRTP; its seat is kept for the moment
// that a new connection takes: it makes one and sends its Offer with this.
const SRTPSHA1 = "sha1"

// Start opens a room for a game and takes the first seat.
type Start struct {
	Game string `json:"game"`
	SDP  string `json:"sdp"`            // the browser's offer
	SRTP string `json:"srtp,omitempty"` // "" or SRTPSHA1
	Host string `json:"host,omitempty"` // set by the coordinator: host name the browser reached it by
}

// Join takes a seat, or a view, in a running room.
type Join struct {
	Room   string `json:"room"`
	Player int    `json:"player,omitempty"` // wished seat 1..MaxPlayers; 0 = any free one, or watch
	SDP    string `json:"sdp"`
	SRTP   string `json:"srtp,omitempty"` // "" or SRTPSHA1
	Host   string `json:"host,omitempty"`
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
}

// Code classifies an Error.
type Code string

// Codes of errors.
const (
	CodeBadRequest Code = "bad-request" // malformed or out of range
	CodeTooLarge   Code = "too-large"   // over MaxMessage
	CodeVersion    Code = "version"     // another protocol version
	CodeNotFound   Code = "not-found"   // no such game, room or session
	CodeNoWorker   Code = "no-worker"   // no worker is there
	CodeFull       Code = "full"        // no seat or room is free
	CodeDenied     Code = "denied"      // wrong secret or token
	CodeFailed     Code = "failed"      // it broke on our side; the message says how
	CodeSRTP       Code = "srtp"        // W>C>B, not answering anything: see SRTPSHA1
)

// Error answers a request that could not be done. Message is for people: what
// happened and what helps.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

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
}

// Challenge opens the hand-shake of a worker or gate: who connects proves that
// it knows the secret with MAC = hex(HMAC-SHA256(secret, nonce || role || id)).
// Which secret is said by the role: secrets.worker or secrets.turn.
type Challenge struct {
	Nonce string `json:"nonce"` // 32 random bytes, hex
}

// Register announces a worker.
type Register struct {
	ID         string   `json:"id"` // random, new at each start of the worker
	Name       string   `json:"name"`
	Zone       string   `json:"zone,omitempty"`
	MAC        string   `json:"mac"`
	MediaAddrs []string `json:"mediaAddrs"` // ip:port where its media can be reached, for the gate's admission
	MaxRooms   int      `json:"maxRooms"`
	Games      []Game   `json:"games"`
	Rooms      []Room   `json:"rooms"`
}

// Gate announces a turn role.
type Gate struct {
	ID   string   `json:"id"`
	MAC  string   `json:"mac"`
	URLs []string `json:"urls"` // turn: URLs; an empty host ("turn::3478?transport=udp") means: where the browser found the coordinator
}

// Library is the full list of a worker's games.
type Library struct {
	Games []Game `json:"games"`
}

// Rooms is the full list of a worker's rooms.
type Rooms struct {
	Rooms []Room `json:"rooms"`
}

// Peers is the full set of addresses that a gate may relay to.
type Peers struct {
	Addrs []string `json:"addrs"` // ip:port
}
