package signin

import (
	"crypto/sha256"
	"crypto/subtle"
	"math"
	"net/http"
	"strconv"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// serveLogin lets somebody in by a password. Which one fits says what they are.
func (d *Door) serveLogin(rw http.ResponseWriter, r *http.Request) {
	var said struct {
		Password string `json:"password"`
	}
	if !d.read(rw, r, &said) {
		return
	}
	if d.cfg.Password == "" && d.cfg.AdminPassword == "" {
		d.refuse(rw, http.StatusNotFound, "not-found", "nobody signs in here with a password")
		return
	}
	from := d.cfg.Address(r)
	if wait := d.throttle.try(from, d.now()); wait > 0 {
		seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
		rw.Header().Set("Retry-After", seconds)
		d.refuse(rw, http.StatusTooManyRequests, "rate", "too many wrong passwords; try again in "+seconds+" s")
		return
	}
	role := d.role(said.Password)
	if role == "" {
		d.cfg.Logger.Warn("a wrong password was given", "address", from.String())
		d.refuse(rw, http.StatusUnauthorized, "password", "that is not the password")
		return
	}
	d.throttle.forgive(from)
	// Everybody has the same password, but each browser is somebody else.
	user := signal.User{ID: signal.NewID(), Name: "Player", Role: role}
	if role == signal.RoleAdmin {
		user.Name = "Admin"
	}
	d.admit(rw, r, user)
	answer(rw, http.StatusOK, struct {
		User signal.User `json:"user"`
	}{user})
}

// role is what a password makes of who gives it, "" if it fits nothing. It
// takes as long for every password of a length.
func (d *Door) role(given string) string {
	role := ""
	if equal(given, d.cfg.Password) {
		role = signal.RolePlayer
	}
	if equal(given, d.cfg.AdminPassword) {
		role = signal.RoleAdmin
	}
	if given == "" {
		return "" // one that is not set
	}
	return role
}

func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
