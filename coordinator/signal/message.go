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
	MaxToken     = 1 << 10  // bytes of a session token or an invitation
	MaxJWT       = 8 << 10  // bytes of the token of a service account
	MaxPlayers   = 8        // seats of a room
)

// Type names a message.
type Type string

// Messages between a browser and a coordinator. B is the browser, C the coordinator.
const (
	TypeHello     Type = "hello"     // C>B on connect: Hello
	TypeStart     Type = "start"     // B>C: Start; answered by TypeAnswer, TypeGranted, TypeQueued or TypeError
	TypeJoin      Type = "join"      // B>C: Join; answered by TypeAnswer or TypeError
	TypeAnswer    Type = "answer"    // C>B (and worker>C): Answer
	TypeOffer     Type = "offer"     // B>C>worker: Offer, a new offer in a running session (ICE restart)
	TypeCandidate Type = "candidate" // both ways, trickle ICE: Candidate
	TypeResume    Type = "resume"    // B>C after a lost WebSocket: Resume; answered by TypeResumed or TypeError
	TypeResumed   Type = "resumed"   // C>B: Resumed
	TypeLeave     Type = "leave"     // B>C>worker: the session ends
	TypeClosed    Type = "closed"    // worker>C>B: Closed, the session ended
	TypeError     Type = "error"     // to whoever asked: Error
	TypeQueued    Type = "queued"    // C>B: Queued, as the answer to a Start and again whenever the position changes
	TypeGranted   Type = "granted"   // C>B: Granted, a place is held: send Start with its ticket
	TypeServers   Type = "servers"   // B>C without payload, before an ICE restart; answered by C>B: Servers
)

// Messages between a coordinator and a worker (W) or a gate (T, role turn).
//
// A place is taken in two steps: TypeReserve, which the worker alone decides and
// answers at once, then TypeStart with the same ticket. Start, Join, Offer, Candidate, Leave, Answer, Closed and Error travel there
// too, with Envelope.Session set. A worker answers Start, Join and Offer with
// the request's ID; candidates carry none. TypeResume (C>W, no payload, not
// answered) says that the session is reached through this coordinator from now
// on; a worker that does not know the session answers TypeClosed.
const (
	TypeChallenge Type = "challenge" // C>W, C>T on connect: Challenge
	TypeRegister  Type = "register"  // W>C: Register
	TypeGate      Type = "gate"      // T>C: Gate
	TypeAccepted  Type = "accepted"  // C>W, C>T: Accepted, the registration holds
	TypeLibrary   Type = "library"   // W>C: Library, when it changed or TypeWant asked for all of it
	TypeWant      Type = "want"      // C>W: the full Library, please; no payload
	TypeRooms     Type = "rooms"     // W>C: Rooms, when they changed
	TypeLoad      Type = "load"      // W>C: Load, when it changed
	TypePeers     Type = "peers"     // C>T: Peers, whenever the set of workers changed
	TypeDrain     Type = "drain"     // T>C without payload: the gate opens no more relays. C>W: Drain. Not answered
	TypeReserve   Type = "reserve"   // C>W: Reserve; answered by TypeReserved or TypeError
	TypeReserved  Type = "reserved"  // W>C: Reserved
	TypeCancel    Type = "cancel"    // C>W: Cancel; not answered
	TypeQueue     Type = "queue"     // C>W: Queue, which the worker passes on, as it is, to its other coordinators (W>C)
	TypeList      Type = "list"      // C>W without payload; answered by TypeSessions
	TypeSessions  Type = "sessions"  // W>C: Sessions
	TypeEnd       Type = "end"       // C>W: End; answered by TypeDone or TypeError
	TypeInvite    Type = "invite"    // C>W: Invite; answered by TypeInvited or TypeError
	TypeInvited   Type = "invited"   // W>C: Invited
	TypeRevoke    Type = "revoke"    // C>W: Revoke; answered by TypeDone or TypeError
	TypeDone      Type = "done"      // W>C: what was asked for is done; no payload
)

// Envelope is what every message travels in.
type Envelope struct {
	V       int             `json:"v"`
	Type    Type            `json:"type"`
	ID      string          `json:"id,omitempty"`      // chosen by who asks, repeated in the answer
	Session string          `json:"session,omitempty"` // between roles only: the browser's session
	Data    json.RawMessage `json:"data,omitempty"`
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
	CodeDraining   Code = "draining"    // the worker takes no new games
	CodeBusy       Code = "overloaded"  // the worker misses frame deadlines
	CodeExpired    Code = "expired"     // an invitation or a place that was held has run out
	CodeRevoked    Code = "revoked"     // an invitation was taken back by the host
	CodeUsed       Code = "used"        // an invitation for one person has been used
	CodeInvite     Code = "invite"      // the room is entered by invitation only
	CodeRemoved    Code = "removed"     // the host has removed this person
	CodeElsewhere  Code = "elsewhere"   // the session goes on in another page
	CodeSignIn     Code = "sign-in"     // nobody is signed in, or no longer
	CodeLost       Code = "lost"        // the way between worker and browser was lost
	CodeHost       Code = "not-host"    // only the host of the room may do that
)

// Error answers a request that could not be done. Message is for people: what
// happened and what helps.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}
