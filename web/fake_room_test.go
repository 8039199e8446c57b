package web_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// asking is what a page wants of a start or join.
type asking struct {
	signal.Join
	Ticket    string         `json:"ticket"`
	Zone      string         `json:"zone"`
	Latencies map[string]int `json:"latencies"`
}

// asked reads and notes it, without what changes from one time to the next.
func (f *fake) asked(in signal.Envelope) asking {
	var ask asking
	_ = json.Unmarshal(in.Data, &ask)
	note := fmt.Sprintf("%s %d", in.Type, ask.Player)
	for _, more := range [][2]string{{"by", ask.Token}, {"invited", ask.Invite}, {"ticket", ask.Ticket}, {"zone", ask.Zone}} {
		if more[1] != "" {
			note += " " + more[0] + " " + more[1]
		}
	}
	f.note(note)
	if len(ask.Latencies) > 0 {
		f.note(fmt.Sprintf("latencies of %d zones", len(ask.Latencies)))
	}
	return ask
}

// api is what the page asks beside its socket.
func (f *fake) api(mux *http.ServeMux) {
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux.HandleFunc("/api/v1/health", func(w http.ResponseWriter, _ *http.Request) {
		f.note("knock")
		answer(w, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("/api/v1/me", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		answer(w, map[string]any{"user": nil, "signInRequired": f.signIn})
	})
	mux.HandleFunc("/api/v1/zones", func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		zones := []map[string]string{}
		for name := range f.zones {
			zones = append(zones, map[string]string{"name": name, "probe": "/echo/" + name})
		}
		answer(w, zones)
	})
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/echo/")
		f.mu.Lock()
		far := f.zones[name]
		f.mu.Unlock()
		f.note("echo " + name)
		time.Sleep(far)
		w.Header().Set("Timing-Allow-Origin", "*")
		w.WriteHeader(http.StatusNoContent)
	})
}

// person and pass are as a worker's room message has them.
type person struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Player int    `json:"player"`
	Host   bool   `json:"host"`
	Muted  bool   `json:"muted"`
	Away   bool   `json:"away"`
}

type pass struct {
	ID      string `json:"id"`
	Player  int    `json:"player"`
	Watch   bool   `json:"watch"`
	Single  bool   `json:"single"`
	Used    bool   `json:"used"`
	Expires int64  `json:"expires"`
}

// company is who is in the fake's room: the page's person is "m1".
type company struct {
	Members     []person
	Invitations []pass
	Host        bool
	Closed      bool
}

// message is the room as the page hears of it.
func (c *company) message(f *fake) map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	return map[string]any{
		"type": "room", "player": f.room.Player, "seats": f.room.Seats, "players": 1, "viewers": 0,
		"you": "m1", "host": c.Host, "closed": c.Closed, "members": c.Members, "invitations": c.Invitations,
	}
}

// command does what a host wants; the answer is the next message.
func (c *company) command(f *fake, data []byte) any {
	var in struct {
		Type, Ref, ID, Member           string
		Player, Seconds                 int
		Watch, Single, On, Closed, Seat bool
	}
	_ = json.Unmarshal(data, &in)
	f.mu.Lock()
	switch in.Type {
	case "invite":
		id := fmt.Sprintf("i%d", len(c.Invitations)+1)
		c.Invitations = append(c.Invitations, pass{
			ID: id, Player: in.Player, Watch: in.Watch, Single: in.Single, Expires: time.Now().Unix() + int64(in.Seconds),
		})
		c.Closed = c.Closed || in.Watch || in.Single || in.Player > 0
		f.mu.Unlock()
		f.tell(map[string]any{"type": "invited", "ref": in.Ref, "id": id, "token": "i1." + id, "expires": 0})
		return c.message(f)
	case "revoke":
		c.Invitations = c.Invitations[:len(c.Invitations)-1]
	case "door":
		c.Closed = in.Closed
	case "mute":
		c.each(in.Member, func(p *person) { p.Muted = in.On })
	case "remove":
		c.each(in.Member, func(p *person) { p.Name = "" })
		c.Members = c.Members[:len(c.Members)-1]
	case "host":
		for i := range c.Members {
			c.Members[i].Host = c.Members[i].ID == in.Member
		}
		c.Host = false
	}
	f.said = append(f.said, strings.TrimSpace(in.Type+" "+in.Member+in.ID))
	f.mu.Unlock()
	return c.message(f)
}

func (c *company) each(id string, do func(*person)) {
	for i := range c.Members {
		if c.Members[i].ID == id {
			do(&c.Members[i])
		}
	}
}
