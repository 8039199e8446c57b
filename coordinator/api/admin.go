package api

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func (a *API) workers(c *call) error {
	limit, after, err := c.page()
	if err != nil {
		return err
	}
	some, next := part(a.cfg.Directory.Workers(), limit, after, func(w Worker) string { return w.ID })
	return c.answer(http.StatusOK, Workers{Workers: some, Next: next})
}

// drain is not answered by the worker; that it drains is seen by its state.
func (a *API) drain(c *call) error {
	worker := c.r.PathValue("worker")
	if !signal.ValidID(worker) {
		return refuse(http.StatusNotFound, codeNotFound, "there is no such worker")
	}
	var wish Drain
	if err := c.read(&wish); err != nil {
		return err
	}
	if err := a.cfg.Operator.Drain(worker, signal.Drain{Off: wish.Off}); err != nil {
		return err
	}
	if wish.Off {
		c.did("use a worker again", worker)
	} else {
		c.did("drain a worker", worker)
	}
	c.rw.WriteHeader(http.StatusAccepted)
	return nil
}

// did reports what an admin has done.
func (c *call) did(what, id string) {
	if c.api.cfg.Did != nil {
		c.api.cfg.Did(*c.user, what, id)
	}
}

// sessions asks the workers, of which one may be named by ?worker=.
func (a *API) sessions(c *call) error {
	limit, after, err := c.page()
	if err != nil {
		return err
	}
	worker, err := c.worker()
	if err != nil {
		return err
	}
	all, silent, err := a.cfg.Operator.Sessions(c.r.Context(), worker)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
	some, next := part(all, limit, after, func(s Session) string { return s.ID })
	return c.answer(http.StatusOK, Sessions{Sessions: some, Next: next, Silent: silent})
}

// worker is ?worker=, "" for all.
func (c *call) worker() (string, error) {
	worker := c.r.URL.Query().Get("worker")
	if worker != "" && !signal.ValidID(worker) {
		return "", refuse(http.StatusBadRequest, codeBadRequest, "worker is the id of one")
	}
	return worker, nil
}

func (a *API) end(c *call) error {
	session := c.r.PathValue("session")
	if !signal.ValidID(session) {
		return refuse(http.StatusNotFound, codeNotFound, "there is no such session")
	}
	worker, err := c.worker()
	if err != nil {
		return err
	}
	return c.end(worker, signal.End{Session: session, Reason: "an operator has ended the session"})
}
