package signin

import "net/http"

func (d *Door) serveStart(rw http.ResponseWriter, _ *http.Request) {
	d.refuse(rw, http.StatusNotImplemented, "failed", "not yet")
}

func (d *Door) serveCallback(rw http.ResponseWriter, _ *http.Request) {
	d.refuse(rw, http.StatusNotImplemented, "failed", "not yet")
}
