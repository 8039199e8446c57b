package signal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Invite is what its host asks for: a link by which somebody may enter a room.
type Invite struct {
	Room    string `json:"room"`
	Session string `json:"session,omitempty"` // who asks, which must be the room's host; "" = an admin
	Player  int    `json:"player,omitempty"`  // seat 1..MaxPlayers; 0 = any free one, or watch
	Watch   bool   `json:"watch,omitempty"`   // watches only; Player is 0
	Single  bool   `json:"single,omitempty"`  // for one person
	Seconds int    `json:"seconds,omitempty"` // how long it holds; 0 = DefaultInvite
}

// DefaultInvite is how long an invitation holds if nobody says.
const DefaultInvite = 24 * time.Hour

// Invited is an invitation that was made.
type Invited struct {
	ID      string `json:"id"`      // for Revoke
	Token   string `json:"token"`   // for Join; goes into the link
	Expires int64  `json:"expires"` // seconds since 1970
}

// Revoke takes an invitation back: nobody enters by it any more.
type Revoke struct {
	Room    string `json:"room"`
	Session string `json:"session,omitempty"` // who asks, which must be the room's host; "" = an admin
	ID      string `json:"id"`
}

// Invitation is what the token of an invitation says.
type Invitation struct {
	ID      string
	Room    string
	Player  int // as in Invite
	Watch   bool
	Single  bool
	Expires time.Time // whole seconds
}

// Errors of VerifyInvite, which can be shown.
var (
	ErrInviteInvalid = &Error{Code: CodeDenied, Message: "the invitation is not one of ours; ask for a new link"}
	ErrInviteExpired = &Error{Code: CodeExpired, Message: "the invitation has expired; ask for a new link"}
)

var errWatcherPlays = errors.New("who only watches has no seat")

const (
	inviteVersion = "i1"
	inviteKeySize = sha256.Size
)

// InviteKey is what signs invitations to a room where secrets.worker is secret, in
// hex; "" of no secret. It is the same for all rooms of a pod, whose PodPart may
// stand for the room: who has it can let people into those, and nothing else.
func InviteKey(secret, room string) string {
	if secret == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("key of invitations\n" + room[:min(len(room), podLength)]))
	return hex.EncodeToString(mac.Sum(nil))
}

// MintInvite makes the token of an invitation: its fields and an HMAC over them.
// The ids must be valid. Coordinators and workers check it by the same InviteKey;
// whether it was revoked or used only its worker knows.
func MintInvite(key string, i Invitation) string {
	kind := "p"
	if i.Watch {
		kind = "w"
	}
	if i.Single {
		kind += "1"
	}
	body := strings.Join([]string{
		inviteVersion, i.ID, i.Room, strconv.Itoa(i.Player), kind, strconv.FormatInt(i.Expires.Unix(), 10),
	}, ".")
	return body + "." + inviteMAC(key, body)
}

// VerifyInvite checks a token and answers the invitation. Its errors are
// ErrInviteInvalid and ErrInviteExpired.
func VerifyInvite(key, token string, now time.Time) (Invitation, error) {
	if len(token) > MaxToken || key == "" {
		return Invitation{}, ErrInviteInvalid
	}
	end := strings.LastIndexByte(token, '.')
	if end < 0 || !hmac.Equal([]byte(inviteMAC(key, token[:end])), []byte(token[end+1:])) {
		return Invitation{}, ErrInviteInvalid
	}
	i, err := parseInvitation(strings.Split(token[:end], "."))
	if err != nil {
		return Invitation{}, ErrInviteInvalid
	}
	if !now.Before(i.Expires) {
		return Invitation{}, ErrInviteExpired
	}
	return i, nil
}

func parseInvitation(part []string) (Invitation, error) {
	if len(part) != 6 || part[0] != inviteVersion || !ValidID(part[1]) || !ValidRoomID(part[2]) {
		return Invitation{}, errors.New("malformed")
	}
	player, err := strconv.Atoi(part[3])
	if err != nil {
		return Invitation{}, err
	}
	seconds, err := strconv.ParseInt(part[5], 10, 64)
	if err != nil {
		return Invitation{}, err
	}
	kind, single := strings.CutSuffix(part[4], "1")
	if kind != "p" && kind != "w" {
		return Invitation{}, errors.New("malformed")
	}
	i := Invitation{
		ID: part[1], Room: part[2], Player: player, Watch: kind == "w", Single: single, Expires: time.Unix(seconds, 0),
	}
	if i.Watch && i.Player != 0 {
		return Invitation{}, errWatcherPlays
	}
	return i, first(checkRange("player", player, 0, MaxPlayers), checkTime("expires", seconds))
}

// inviteMAC is separated from other uses of a key by its prefix.
func inviteMAC(key, body string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte("invitation\n" + body))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Validate checks ids and numbers.
func (i Invite) Validate() error {
	if i.Watch && i.Player != 0 {
		return errWatcherPlays
	}
	return first(checkRoom(i.Room), checkSession(i.Session), checkRange("player", i.Player, 0, MaxPlayers),
		checkRange("seconds", i.Seconds, 0, maxSeconds))
}

// Validate checks the id and sizes.
func (i Invited) Validate() error {
	if !ValidID(i.ID) {
		return errors.New("id is malformed")
	}
	return first(checkText("token", i.Token, MaxToken), checkTime("expires", i.Expires))
}

// Validate checks ids.
func (r Revoke) Validate() error {
	if !ValidID(r.ID) {
		return errors.New("id is malformed")
	}
	return first(checkRoom(r.Room), checkSession(r.Session))
}
