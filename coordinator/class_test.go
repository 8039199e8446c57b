package coordinator

import (
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// Pages without number must not keep the next worker out.
func TestPagesDoNotCrowdOutWorkers(t *testing.T) {
	c, err := New(Config{Address: "127.0.0.1:0", Web: web(), Secret: secret, Logger: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	c.pages = newClass(always(1), always(9), signal.MaxMessage, pageQueue, func(*http.Request) bool { return true })
	d := run(t, c)
	p := d.page()
	conn, response, err := websocket.DefaultDialer.Dial(d.url("ws", "/ws"), nil)
	if err == nil {
		conn.Close()
		t.Fatal("one page too many")
	}
	response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the answer is %d", response.StatusCode)
	}
	w := d.worker(nil)
	p.plays(w)
	p.close()
	until(t, "a free place", func() bool { return c.pages.open.Load() == 0 })
	d.page()
}
