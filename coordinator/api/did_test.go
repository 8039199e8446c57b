package api

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// What an admin has done is reported with their name, what was refused is not.
func TestDid(t *testing.T) {
	h := newHouse().asAdmin()
	a := h.serve()
	var heard []string
	a.cfg.Did = func(by signal.User, what, id string) { heard = append(heard, by.ID+" "+what+" "+id) }
	for _, r := range [][3]string{
		{"POST", "/workers/w1/drain", ""},
		{"POST", "/workers/w1/drain", `{"off":true}`},
		{"POST", "/workers/No/drain", ""},
		{"DELETE", "/rooms/" + roomA, ""},
		{"DELETE", "/sessions/s1", ""},
		{"DELETE", "/sessions/s1?reason=%00", ""},
		{"GET", "/sessions", ""},
	} {
		a.ServeHTTP(httptest.NewRecorder(), request(r[0], r[1], r[2]))
	}
	h.user = &signal.User{ID: "p", Name: "P", Role: signal.RolePlayer}
	a.ServeHTTP(httptest.NewRecorder(), request("DELETE", "/sessions/s1", ""))
	want := []string{"root drain a worker w1", "root use a worker again w1", "root close a room " + roomA, "root end a session s1"}
	if !slices.Equal(heard, want) {
		t.Errorf("heard %q", heard)
	}
}
