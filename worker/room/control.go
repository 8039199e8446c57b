package room

import (
	"encoding/json"
	"fmt"
	"math"

	"github.com/cloudretro/cloudretro/coordinator/signal"
	"github.com/cloudretro/cloudretro/worker/engine"
)

// maxControl is the size of the largest message taken on channel `control`.
const maxControl = 16 << 10 // bytes

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
		Type    string      `json:"type"` // "error"
		Code    signal.Code `json:"code"`
		Message string      `json:"message"`
	}
	pongMessage struct {
		Type string  `json:"type"` // "pong"
		T    float64 `json:"t"`
	}
)

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
	Type   string   `json:"type"` // "seat", "ping"
	Player *int     `json:"player"`
	T      *float64 `json:"t"`
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
	switch {
	case r.Type == "ping" && r.T != nil, r.Type == "seat" && r.Player != nil && *r.Player >= 0 && *r.Player <= seats:
		return r, nil
	case r.Type == "ping":
		return r, signal.Errorf(signal.CodeBadRequest, "ping lacks t")
	case r.Type == "seat" && r.Player != nil:
		return r, signal.Errorf(signal.CodeBadRequest, "there is no player %d here: 1..%d play, 0 watches", *r.Player, seats)
	case r.Type == "seat":
		return r, signal.Errorf(signal.CodeBadRequest, "seat lacks player")
	}
	return r, signal.Errorf(signal.CodeBadRequest, "unknown message type %q", clip(r.Type))
}

func clip(s string) string {
	if len(s) > 32 {
		s = s[:32]
	}
	return signal.Clip(s)
}
