package api

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPI []byte

// Document is the OpenAPI document. It must not be changed.
func Document() []byte { return openAPI }

func (a *API) document(c *call) error {
	c.rw.Header().Set("Cache-Control", "no-cache")
	c.rw.Header().Set("Content-Type", "application/json")
	if c.r.Method != http.MethodHead {
		_, _ = c.rw.Write(openAPI)
	}
	return nil
}

// health may be asked by pages of other origins, without their cookies: those of
// alternates look for a coordinator that lives.
func (a *API) health(c *call) error {
	c.rw.Header().Set("Access-Control-Allow-Origin", "*")
	if err := a.cfg.Ready(); err != nil {
		return refuse(http.StatusServiceUnavailable, codeStopping, err.Error())
	}
	return c.answer(http.StatusOK, Health{"ok", a.cfg.Coordinator, a.cfg.Directory.Totals().Workers})
}

func (a *API) me(c *call) error {
	return c.answer(http.StatusOK, Me{User: userOf(c.user), Required: a.cfg.Gatekeeper.Required()})
}

// games may be kept by browsers, which ask each time whether the list has changed.
func (a *API) games(c *call) error {
	c.rw.Header().Set("Cache-Control", "no-cache")
	if a.cfg.Gatekeeper.Required() {
		c.rw.Header().Set("Cache-Control", "private, no-cache")
		c.rw.Header().Add("Vary", "Authorization, Cookie")
	}
	a.cfg.Games(c.rw, c.r)
	return nil
}

func (a *API) zones(c *call) error {
	zones := a.cfg.Directory.Zones()
	if zones == nil {
		zones = []Zone{}
	}
	return c.answer(http.StatusOK, zones)
}
