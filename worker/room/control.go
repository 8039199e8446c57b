package room

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
)

// Sizes of what is taken on channel `control`.
const (
	maxControl = 16 << 10 // bytes of a message
	maxRef     = 64       // bytes of a reference
)

// Messages to the page, JSON objects told apart by "type".
type (
	roomMessage struct {
		Type    string `json:"type"` // "room"
		Room    string `json:"room"`
		Game    string `json:"game"`
		Title   string `json:"title"`
		System  string `json:"system"`
		Player  int    `json:"player"`  // the receiver's seat, 0 = watches
		Seats   int    `json:"seats"`   // of the game
		Players int    `json:"players"` // seats taken
		Viewers int    `json:"viewers"` // who watch without a seat
		You     string `json:"you"`     // the receiver among the members
		Host    bool   `json:"host"`    // the receiver is the host
		Closed  bool   `json:"closed"`  // entered by invitation only
		Saved   int64  `json:"saved"`   // when the game was saved, ms since 1970; 0 = it was not
		// Invitations that somebody may come by, or has; for the host alone.
		Invitations []invitationEntry `json:"invitations,omitzero"`
	}
	// "members" of a room message: a list of these, who came first is first.
	memberEntry struct {
		ID     string `json:"id"`
		Name   string `json:"name"`
		Player int    `json:"player"` // 0 = watches
		Host   bool   `json:"host"`
		Muted  bool   `json:"muted"`
		Away   bool   `json:"away"` // its connection is lost, its place is kept
	}
	invitationEntry struct {
		ID      string `json:"id"`
		Player  int    `json:"player"`
		Watch   bool   `json:"watch"`
		Single  bool   `json:"single"`
		Used    bool   `json:"used"`
		Expires int64  `json:"expires"` // seconds since 1970
	}
	invitedMessage struct {
		Type    string          `json:"type"` // "invited"
		Ref     json.RawMessage `json:"ref,omitempty"`
		ID      string          `json:"id"`
		Token   string          `json:"token"`
		Expires int64           `json:"expires"` // seconds since 1970
	}
	savedMessage struct {
		Type   string `json:"type"`   // "saved"
		At     int64  `json:"at"`     // ms since 1970
		By     string `json:"by"`     // name of who did it
		Member string `json:"member"` // and their id
	}
	loadedMessage struct {
		Type   string `json:"type"` // "loaded"
		By     string `json:"by"`
		Member string `json:"member"`
	}
	geometryMessage struct {
		Type     string  `json:"type"`  // "geometry"
		Width    int     `json:"width"` // pixels of the core's picture
		Height   int     `json:"height"`
		Aspect   float64 `json:"aspect"`
		Rotation int     `json:"rotation"` // quarter turns counter-clockwise
		FPS      float64 `json:"fps"`
	}
	textMessage struct {
		Type string `json:"type"` // "message", "restarted"
		Text string `json:"text"`
	}
	errorMessage struct {
		Type    string          `json:"type"` // "error"
		Code    signal.Code     `json:"code"`
		Message string          `json:"message"`
		Ref     json.RawMessage `json:"ref,omitempty"` // of the request, if it had one
	}
	pongMessage struct {
		Type string  `json:"type"` // "pong"
		T    float64 `json:"t"`
	}
)

func newError(e *signal.Error, ref json.RawMessage) errorMessage {
	return errorMessage{Type: "error", Code: e.Code, Message: e.Message, Ref: ref}
}

func newGeometry(i engine.Info) geometryMessage {
	return geometryMessage{
		Type: "geometry", Width: i.Width, Height: i.Height, Aspect: finite(i.Aspect),
		Rotation: int(i.Rotation), FPS: finite(i.FPS),
	}
}

// finite keeps a core's nonsense out of JSON, which has no NaN.
func finite(f float64) float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return f
}

// encode makes the bytes of one of the messages above, which always can be.
func encode(message any) []byte {
	b, err := json.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("room: encode %T: %v", message, err))
	}
	return b
}

// request is what a page says on channel `control`.
type request struct {
	Type    string          `json:"type"`   // a key of requests
	Player  *int            `json:"player"` // of seat and invite
	T       *float64        `json:"t"`      // of ping
	Ref     json.RawMessage `json:"ref"`    // a string or number, repeated in the answer
	Watch   bool            `json:"watch"`  // of invite, as Single and Seconds
	Single  bool            `json:"single"`
	Seconds int             `json:"seconds"`
	ID      string          `json:"id"`     // of revoke
	Member  string          `json:"member"` // of host, mute and remove
	On      *bool           `json:"on"`     // of mute
	Closed  *bool           `json:"closed"` // of door
}

// invite is what a request of that type asks for.
func (r request) invite(room string) signal.Invite {
	i := signal.Invite{Room: room, Watch: r.Watch, Single: r.Single, Seconds: r.Seconds}
	if r.Player != nil {
		i.Player = *r.Player
	}
	return i
}

// decodeRequest reads a message of the page; the error is an *signal.Error
// that can be shown to it.
func decodeRequest(b []byte, seats int) (request, error) {
	var r request
	if len(b) > maxControl {
		return r, signal.Errorf(signal.CodeTooLarge, "the message has %d bytes, at most %d are taken", len(b), maxControl)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, signal.Errorf(signal.CodeBadRequest, "the message is not the JSON object that is expected: %v", err)
	}
	if len(r.Ref) > 0 && (len(r.Ref) > maxRef || r.Ref[0] == '{' || r.Ref[0] == '[') {
		r.Ref = nil
		return r, signal.Errorf(signal.CodeBadRequest, "ref is neither a short string nor a number")
	}
	return r, r.check(seats)
}

// check says what is wrong with a request, nil if it can be done.
func (r request) check(seats int) error {
	lacks := ""
	switch r.Type {
	case "save", "load":
	case "ping":
		lacks = missing("t", r.T != nil)
	case "seat", "invite":
		lacks = missing("player", r.Player != nil || r.Type == "invite")
	case "revoke":
		lacks = missing("id", signal.ValidID(r.ID))
	case "host", "remove":
		lacks = missing("member", r.Member != "")
	case "mute":
		lacks = missing("member", r.Member != "") + missing("on", r.On != nil)
	case "door":
		lacks = missing("closed", r.Closed != nil)
	default:
		return signal.Errorf(signal.CodeBadRequest, "unknown message type %q", clip(r.Type))
	}
	if lacks != "" {
		return signal.Errorf(signal.CodeBadRequest, "%s lacks%s", r.Type, lacks)
	}
	if r.Player != nil && (*r.Player < 0 || *r.Player > seats) {
		return signal.Errorf(signal.CodeBadRequest, "there is no player %d here: 1..%d play, 0 watches", *r.Player, seats)
	}
	if err := r.invite(anyRoom).Validate(); err != nil && r.Type == "invite" {
		return signal.Errorf(signal.CodeBadRequest, "%v", err)
	}
	return nil
}

const anyRoom = "aaaaaaaaaaaaaaaaaaaaaaaaaa" // passes as an id

func missing(what string, there bool) string {
	if there {
		return ""
	}
	return " " + what
}

func clip(s string) string {
	if len(s) > 32 {
		s = s[:32]
	}
	return signal.Clip(s)
}
