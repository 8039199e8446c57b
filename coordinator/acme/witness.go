package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	maxAnswer      = 1 << 20 // bytes of an answer of the authority
	maxProblems    = 32      // kept
	longestPoll    = 5       // seconds between questions whether it is done
	requestTimeout = 30 * time.Second
)

// witness carries the requests to the authority. It keeps what the authority
// finds fault with, which autocert throws away, and bounds what it may send. It
// may be used concurrently.
type witness struct {
	transport *http.Transport
	life      context.Context // of all requests
	close     func()

	mu       sync.Mutex // guards problems
	problems []problem  // the newest last
}

// newWitness trusts the certificates in caFile, or the system's if that is "".
func newWitness(caFile string) (*witness, error) {
	w := &witness{transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: requestTimeout, MaxResponseHeaderBytes: 64 << 10, IdleConnTimeout: time.Minute,
		ForceAttemptHTTP2: true,
	}}
	if caFile != "" {
		data, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("certificates to trust the authority by: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("certificates to trust the authority by: there is none in %q; name a PEM file", caFile)
		}
		w.transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	var cancel context.CancelFunc
	w.life, cancel = context.WithCancel(context.Background())
	w.close = func() {
		cancel()
		w.transport.CloseIdleConnections()
	}
	return w, nil
}

func (w *witness) client() *http.Client {
	return &http.Client{Transport: w, Timeout: requestTimeout}
}

// RoundTrip implements http.RoundTripper.
func (w *witness) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(request.Context())
	defer cancel()
	defer context.AfterFunc(w.life, cancel)()
	if err := w.life.Err(); err != nil {
		return nil, err
	}
	response, err := w.transport.RoundTrip(request.WithContext(ctx))
	if err != nil {
		if w.life.Err() == nil {
			w.keep(problem{detail: err.Error()})
		}
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	_ = response.Body.Close() // read to its end, or too long to be one
	if err != nil {
		return nil, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	for _, p := range problemsOf(response.StatusCode, body) {
		w.keep(p)
	}
	if response.StatusCode < http.StatusMultipleChoices {
		boundPoll(response.Header)
	}
	return response, nil
}

// boundPoll bounds how long the client waits before it asks again whether the
// authority is done, so that a stop does not wait for long either.
func boundPoll(header http.Header) {
	text := header.Get("Retry-After")
	if text == "" {
		return
	}
	seconds, err := strconv.Atoi(text)
	if err != nil {
		seconds = longestPoll
	}
	header.Set("Retry-After", strconv.Itoa(min(max(seconds, 1), longestPoll)))
}

// problem is what the authority, or the way to it, finds fault with (RFC 8555 6.7).
type problem struct {
	kind   string // last part of its type; "" if the authority was not reached
	domain string // that it is about, "" if that is not said
	detail string
}

// String is the problem on one line, "" if it is none.
func (p problem) String() string {
	if p.kind == "" {
		return p.detail
	}
	return p.kind + ": " + p.detail
}

// remedy is what helps against a problem.
func (p problem) remedy() string {
	switch {
	case p == problem{}:
		return "see the cause"
	case p.kind == "":
		return "check that this machine reaches the authority (acme.directoryURL, acme.caFile)"
	case p.kind == "dns" || p.kind == "caa":
		return "check the domain's A, AAAA and CAA records"
	case slices.Contains([]string{"connection", "tls", "unauthorized", "incorrectResponse"}, p.kind):
		return "the authority must reach this coordinator at the domain's port 443, or at port 80; check DNS records, firewall and port mapping"
	case p.kind == "rateLimited":
		return "wait; keep the folder acme.cacheDir between starts, and try things out with a staging authority"
	case p.kind == "rejectedIdentifier":
		return "the authority does not issue for this name; take it out of the domains"
	case p.kind == "invalidContact" || p.kind == "unsupportedContact":
		return "correct acme.email"
	}
	return "see what the authority says"
}

// keep remembers a problem; if there are too many, the oldest is forgotten.
func (w *witness) keep(p problem) {
	if p.kind == "badNonce" {
		return // is tried again at once (RFC 8555 6.5)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.Contains(w.problems, p) {
		return
	}
	w.problems = append(w.problems, p)
	w.problems = w.problems[max(0, len(w.problems)-maxProblems):]
}

// last takes the problems of a domain, and those of none, and answers the newest.
func (w *witness) last(domain string) problem {
	w.mu.Lock()
	defer w.mu.Unlock()
	var newest problem
	w.problems = slices.DeleteFunc(w.problems, func(p problem) bool {
		mine := p.domain == domain || p.domain == ""
		if mine {
			newest = p
		}
		return mine
	})
	return newest
}

// wireProblem is an error as it is sent (RFC 7807).
type wireProblem struct {
	Type   string `json:"type"`
	Detail string `json:"detail"`
}

// problemsOf reads what an answer finds fault with: the answer itself, an order,
// or an authorization with its challenges. The answer is not trusted.
func problemsOf(status int, body []byte) []problem {
	var answer struct {
		wireProblem
		Error      *wireProblem `json:"error"`
		Identifier struct {
			Value string `json:"value"`
		} `json:"identifier"`
		Identifiers []struct {
			Value string `json:"value"`
		} `json:"identifiers"`
		Challenges []struct {
			Error *wireProblem `json:"error"`
		} `json:"challenges"`
	}
	err := json.Unmarshal(body, &answer)
	domain := answer.Identifier.Value
	if len(answer.Identifiers) == 1 {
		domain = answer.Identifiers[0].Value
	}
	var list []problem
	add := func(w *wireProblem) {
		if w != nil && (w.Type != "" || w.Detail != "") {
			list = append(list, problem{kind: lastPart(w.Type), domain: cut(domain), detail: cut(w.Detail)})
		}
	}
	if status >= http.StatusBadRequest {
		if err != nil || answer.wireProblem == (wireProblem{}) {
			return []problem{{kind: "status " + strconv.Itoa(status), detail: "the answer says no more"}}
		}
		add(&answer.wireProblem)
		return list
	}
	add(answer.Error)
	for _, c := range answer.Challenges {
		add(c.Error)
	}
	return list
}

// lastPart of urn:ietf:params:acme:error:dns is dns; never "".
func lastPart(urn string) string {
	name := cut(urn[strings.LastIndexByte(urn, ':')+1:])
	if name == "" {
		return "problem"
	}
	return name
}

// cut bounds a text of the authority that goes to the log.
func cut(text string) string {
	const longest = 400
	return strings.ToValidUTF8(text[:min(len(text), longest)], "")
}
