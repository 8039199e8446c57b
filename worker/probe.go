package worker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Bounds of the probe.
const (
	probeTimeout   = 5 * time.Second
	probeMaxHeader = 8 << 10
)

// serveProbe answers what pages ask to measure the way to this worker, until
// ctx ends.
func (w *Worker) serveProbe(ctx context.Context) error {
	if w.probe == nil {
		<-ctx.Done()
		return nil
	}
	server := &http.Server{
		Handler: probeHandler(), ReadTimeout: probeTimeout, WriteTimeout: probeTimeout,
		IdleTimeout: time.Minute, MaxHeaderBytes: probeMaxHeader,
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(w.probe); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("worker: serve probe: %w", err)
	}
	return nil
}

func probeHandler() http.Handler {
	mux := http.NewServeMux()
	answer := func(rw http.ResponseWriter, r *http.Request) {
		h := rw.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Methods", "GET")
		h.Set("Access-Control-Allow-Private-Network", "true")
		h.Set("Timing-Allow-Origin", "*")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Type", "text/plain; charset=utf-8")
		if r.Method == http.MethodOptions {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = rw.Write([]byte("ok\n"))
	}
	for _, route := range []string{"/echo", "/health"} {
		mux.HandleFunc("GET "+route, answer)
		mux.HandleFunc("OPTIONS "+route, answer)
	}
	return mux
}
