package api

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Bounds of requests.
const (
	maxBody      = 4 << 10 // bytes
	maxLimit     = 1000    // entries of a page
	defaultLimit = 100
)

// call is one request on its way.
type call struct {
	rw      http.ResponseWriter
	r       *http.Request
	api     *API
	user    *signal.User    // by cookie, nil is nobody
	session *signal.Session // by Authorization, nil is none
}

// identify finds out who asks and whether they may.
func (c *call) identify(needed access) error {
	c.user = c.api.cfg.Gatekeeper.User(c.r)
	if err := c.readToken(); err != nil && needed != open {
		return err
	}
	known := c.user != nil || c.session != nil && c.session.User != nil
	switch {
	case needed == players && !known && c.api.cfg.Gatekeeper.Required(),
		needed == admins && c.user == nil:
		return refuse(http.StatusUnauthorized, codeSignIn, "nobody is signed in; sign in on the page first")
	case needed == admins && !c.admin():
		return refuse(http.StatusForbidden, codeDenied, "that is for admins")
	}
	return nil
}

// readToken takes the session's token, if there is one.
func (c *call) readToken() error {
	header := c.r.Header.Get("Authorization")
	if header == "" {
		return nil
	}
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return refuse(http.StatusUnauthorized, codeDenied, `the token of a session is wanted: "Authorization: Bearer TOKEN"`)
	}
	s, err := c.api.cfg.Gatekeeper.Session(strings.TrimSpace(token))
	if err != nil {
		return refuse(http.StatusUnauthorized, codeDenied, err.Error())
	}
	c.session = &s
	return nil
}

// admin says whether an admin asks. The token of a session never makes one: pages
// keep it where scripts can read it.
func (c *call) admin() bool { return c.user != nil && c.user.Role == signal.RoleAdmin }

// in says whether who asks plays or watches in a room.
func (c *call) in(room string) bool { return c.session != nil && room != "" && c.session.Room == room }

// roomID is the {room} of the path.
func (c *call) roomID() (string, error) {
	room := c.r.PathValue("room")
	if !signal.ValidRoomID(room) {
		return "", errNoRoom()
	}
	return room, nil
}

func errNoRoom() error {
	return refuse(http.StatusNotFound, codeNotFound, "there is no such room, or it is not yours to see")
}

// page is what ?limit= and ?after= ask for.
func (c *call) page() (limit int, after string, err error) {
	query := c.r.URL.Query()
	limit = defaultLimit
	if text := query.Get("limit"); text != "" {
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 || limit > maxLimit {
			return 0, "", refuse(http.StatusBadRequest, codeBadRequest, "limit is 1.."+strconv.Itoa(maxLimit))
		}
	}
	after = query.Get("after")
	if after != "" && !signal.ValidID(after) {
		return 0, "", refuse(http.StatusBadRequest, codeBadRequest, "after is the next of the page before")
	}
	return limit, after, nil
}

// read decodes the body; an empty one leaves into as it is.
func (c *call) read(into any) error {
	if c.r.Body == nil || c.r.Body == http.NoBody {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse(http.StatusUnsupportedMediaType, codeBadRequest, "the body is to be JSON, and Content-Type application/json")
	}
	decoder := json.NewDecoder(http.MaxBytesReader(c.rw, c.r.Body, maxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, codeTooLarge, "the body has more than "+strconv.Itoa(maxBody)+" bytes")
	case errors.Is(err, io.EOF):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(http.StatusRequestTimeout, codeSlow, "the body came too slowly")
	case err != nil:
		return refuse(http.StatusBadRequest, codeBadRequest, "the body is not the JSON that openapi.json describes")
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, codeBadRequest, "something stands behind the JSON of the body")
	}
	return nil
}

// answer sends v as JSON.
func (c *call) answer(status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err // fails only for what is no JSON
	}
	c.rw.Header().Set("Content-Type", "application/json")
	c.rw.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, _ = c.rw.Write(body) // the client may be gone
	}
	return nil
}

// fail answers with an error.
func (c *call) fail(err error) {
	refused := asRefusal(err)
	c.api.cfg.Refused(refused.body.Code)
	if refused.status == http.StatusUnauthorized {
		c.rw.Header().Set("WWW-Authenticate", "Bearer")
	}
	_ = c.answer(refused.status, refused.body) // texts only
}
