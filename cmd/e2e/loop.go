package e2e

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/cloudretro/cloudretro/worker/peer"
	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/batch"
)

//go:embed loop.js
var loopScript string

//go:embed loop_worker.js
var loopWorker string

// leastKeyGap is the least time between two answers to key frame requests, as of
// package room.
const leastKeyGap = 250 * time.Millisecond

// LoopOptions say what a Loop plays and how.
type LoopOptions struct {
	Recording *Recording
	NoRTX     bool  // the browser does not offer RFC 4588
	Path      *Path // nil = straight through loopback
	Fault     func(segments int) error
	Logger    *slog.Logger // nil = none
}

// Loop plays a Recording to one browser page in real time, over packages peer and
// send, again and again. The page keeps count of what it was shown.
type Loop struct {
	URL string // of the page

	o        LoopOptions
	start    time.Time
	listener *peer.Listener
	lossy    *Lossy
	sender   *send.Sender
	server   *http.Server
	group    *errgroup.Group
	ctx      context.Context
	cancel   context.CancelFunc

	mu   sync.Mutex
	peer *peer.Peer

	key  atomic.Bool // a key frame is asked for
	late atomic.Int64
}

// StartLoop opens sockets and plays until Close. Nobody watches until the page of
// URL is opened.
func StartLoop(ctx context.Context, o LoopOptions) (*Loop, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Loop{o: o, start: time.Now()}
	l.sender = send.New(send.Config{Logger: o.Logger, Now: l.now})
	var err error
	if l.listener, err = peer.Listen(peer.Config{Logger: o.Logger, Address: "127.0.0.1", Fault: o.Fault}); err != nil {
		return nil, err
	}
	if o.Path != nil {
		if l.lossy, err = NewLossy(l.listener.Addrs()[0], *o.Path); err != nil {
			return nil, errors.Join(err, l.listener.Close())
		}
	}
	web, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open page: %w", err), l.listener.Close())
	}
	l.URL = "http://" + web.Addr().String() + "/"
	l.server = &http.Server{Handler: l.pages(), ReadHeaderTimeout: time.Second}
	ctx, l.cancel = context.WithCancel(ctx)
	l.group, l.ctx = errgroup.WithContext(ctx)
	l.group.Go(func() error { return l.sender.Run(l.ctx) })
	l.group.Go(func() error { l.play(l.ctx); return nil })
	l.group.Go(func() error { _ = l.server.Serve(web); return nil })
	if l.lossy != nil {
		l.group.Go(func() error { return l.lossy.Run(l.ctx) })
	}
	return l, nil
}

// now is the clock of all PTS.
func (l *Loop) now() time.Duration { return time.Since(l.start) }

// Close ends it all, and reports what went wrong meanwhile.
func (l *Loop) Close() error {
	l.cancel()
	l.mu.Lock()
	if l.peer != nil {
		l.peer.Close()
	}
	l.mu.Unlock()
	return errors.Join(l.server.Close(), l.group.Wait(), l.listener.Close())
}

// Stats is what happened to the viewer so far.
func (l *Loop) Stats() peer.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peer == nil {
		return peer.Stats{}
	}
	return l.peer.Stats()
}

// Socket is what happened to the media socket so far.
func (l *Loop) Socket() batch.Stats { return l.listener.Sockets()[0] }

// Loss is what happened on the path so far.
func (l *Loop) Loss() Loss {
	if l.lossy == nil {
		return Loss{}
	}
	return l.lossy.Counts()
}

// Late is the longest time by which the machine has held a picture up before the
// send path got it, 0 if that was never more than two ticks.
func (l *Loop) Late() time.Duration { return time.Duration(l.late.Load()) }

// play offers a picture with each tick. The only key frame is the first one, so it
// answers a request with the start of the recording.
func (l *Loop) play(ctx context.Context) {
	period := time.Second / recordingRate
	pictures, codec := l.o.Recording.Pictures, l.o.Recording.Codec
	timer := time.NewTimer(0)
	defer timer.Stop()
	var lastKey time.Duration
	for i, tick := 0, l.now(); ; i, tick = i+1, tick+period {
		timer.Reset(tick - l.now())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if late := l.now() - tick; late > 2*period { // the machine stood still: go on from here
			l.late.Store(max(l.late.Load(), int64(late)))
			tick += late
		}
		if tick-lastKey >= leastKeyGap && l.key.Swap(false) {
			i = 0
		}
		if i %= len(pictures); i == 0 {
			lastKey = tick
		}
		l.sender.Video(send.Frame{Codec: codec, Data: pictures[i], Key: i == 0, PTS: tick})
	}
}

// pages serves the page, its scripts, and takes its offer.
func (l *Loop) pages() http.Handler {
	text := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			_, _ = io.WriteString(w, body)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", text("text/html", "<!DOCTYPE html><title>loop</title><video></video><script src=loop.js></script>"))
	mux.HandleFunc("GET /loop.js", text("text/javascript", loopScript))
	mux.HandleFunc("GET /loop_worker.js", text("text/javascript", loopWorker))
	mux.HandleFunc("GET /recording", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"mime": "video/" + l.o.Recording.Codec.String(), "rtx": !l.o.NoRTX, "rate": recordingRate,
			"sums": l.o.Recording.Sums, "plain": l.o.Recording.Plain,
		})
	})
	mux.HandleFunc("POST /offer", func(w http.ResponseWriter, r *http.Request) {
		offer, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		answer := ""
		if err == nil {
			answer, err = l.answer(r.Context(), string(offer))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, answer)
	})
	return mux
}

// answer lets the page in, the only one.
func (l *Loop) answer(ctx context.Context, offer string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.peer != nil {
		return "", errors.New("somebody watches already")
	}
	p, err := l.listener.Open(peer.Events{
		Ready: func() {}, KeyFrame: func() { l.key.Store(true) }, Input: func([]byte) {}, Control: func([]byte) {},
	}, peer.Options{Video: l.o.Recording.Codec})
	if err != nil {
		return "", err
	}
	answer, err := p.Answer(ctx, offer, "")
	if err != nil {
		p.Close()
		return "", err
	}
	l.peer = p
	l.sender.Attach(p.Viewer())
	l.group.Go(func() error { _ = p.Run(l.ctx); return nil })
	if l.lossy != nil { // the worker's only address becomes that of the path
		answer = strings.ReplaceAll(answer, fmt.Sprintf("127.0.0.1 %d typ host", l.listener.Port()),
			"127.0.0.1 "+strconv.Itoa(l.lossy.Port())+" typ host")
	}
	return answer, nil
}
