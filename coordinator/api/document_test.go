package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

func loadDocument(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(Document())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("openapi.json is not valid: %v", err)
	}
	return doc
}

// TestDocumentNamesEveryRoute, and no other.
func TestDocumentNamesEveryRoute(t *testing.T) {
	var described, served []string
	for path, item := range loadDocument(t).Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for path, m := range newHouse().serve().routes() {
		for method := range m {
			served = append(served, method+" /"+strings.TrimPrefix(path, Prefix))
		}
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("openapi.json describes\n%s\nbut there are\n%s", strings.Join(described, "\n"), strings.Join(served, "\n"))
	}
}

// TestDocumentSaysWhoMay: what the document says of security is what is asked for.
func TestDocumentSaysWhoMay(t *testing.T) {
	doc := loadDocument(t)
	for path, m := range newHouse().serve().routes() {
		for method, op := range m {
			security := *doc.Paths.Value("/" + strings.TrimPrefix(path, Prefix)).GetOperation(method).Security
			anonymous := len(security) == 0 || slices.ContainsFunc(security, func(r openapi3.SecurityRequirement) bool { return len(r) == 0 })
			token := slices.ContainsFunc(security, func(r openapi3.SecurityRequirement) bool { _, ok := r["token"]; return ok })
			inviting := strings.Contains(path, "/invitations")
			if (op.access == open) != (len(security) == 0) || op.access == admins && (token || anonymous) || op.access == players && anonymous == inviting {
				t.Errorf("%s %s: security %v, access %d", method, path, security, op.access)
			}
		}
	}
}

// TestSchemasAreClosed: an answer with a field that nobody described is wrong.
func TestSchemasAreClosed(t *testing.T) {
	for name, schema := range loadDocument(t).Components.Schemas {
		s := schema.Value
		if !s.Type.Is("object") || s.AdditionalProperties.Has == nil || *s.AdditionalProperties.Has {
			t.Errorf("schema %s lets other properties in", name)
		}
	}
}

// A call of an operation whose answer is held against the document.
type example struct {
	house  *fakeHouse
	req    *http.Request
	status int
}

func failing(h *fakeHouse, code signal.Code) *fakeHouse {
	h.err = signal.Errorf(code, "as you wish")
	return h
}

func required(h *fakeHouse) *fakeHouse { h.required = true; return h }

// examples are the answers of every operation but those that all share.
func examples() []example {
	large := `{"seconds":` + strings.Repeat("1", maxBody) + `}`
	inviteA, revokeA := "/rooms/"+roomA+"/invitations", "/rooms/"+roomA+"/invitations/i1"
	stopping := newHouse()
	stopping.stopping = errors.New("stopping")
	silent := newHouse().asAdmin()
	silent.silent = []string{"w3"}
	return []example{
		{newHouse(), request("GET", "/openapi.json", ""), 200},
		{newHouse(), request("GET", "/health", ""), 200},
		{stopping, request("GET", "/health", ""), 503},
		{newHouse(), request("GET", "/me", ""), 200},
		{newHouse().asPlayer(), request("GET", "/me", ""), 200},
		{newHouse(), request("GET", "/games", ""), 200},
		{newHouse(), request("GET", "/games", "", "If-None-Match: x"), 304},
		{required(newHouse()), request("GET", "/games", ""), 401},
		{newHouse(), request("GET", "/zones", ""), 200},
		{required(newHouse()), request("GET", "/zones", ""), 401},
		{newHouse(), request("GET", "/rooms", ""), 200},
		{newHouse(), request("GET", "/rooms", "", bearer(tokenA)), 200},
		{newHouse().asAdmin(), request("GET", "/rooms?limit=1", ""), 200},
		{newHouse(), request("GET", "/rooms?limit=0", ""), 400},
		{newHouse(), request("GET", "/rooms", "", bearer("forged")), 401},
		{newHouse(), request("GET", "/rooms/"+roomA, "", bearer(tokenA)), 200},
		{newHouse().asAdmin(), request("GET", "/rooms/"+roomB, ""), 200},
		{newHouse(), request("GET", "/rooms/"+roomA, "", bearer("forged")), 401},
		{newHouse(), request("GET", "/rooms/"+roomB, "", bearer(tokenA)), 404},
		{newHouse().asAdmin(), request("DELETE", "/rooms/"+roomB, ""), 204},
		{newHouse(), request("DELETE", "/rooms/"+roomB, ""), 401},
		{newHouse().asPlayer(), request("DELETE", "/rooms/"+roomB, ""), 403},
		{failing(newHouse().asAdmin(), signal.CodeNotFound), request("DELETE", "/rooms/"+roomGone, ""), 404},
		{newHouse(), request("POST", inviteA, `{"player":2,"single":true,"seconds":60}`, bearer(tokenA)), 201},
		{newHouse().asAdmin(), request("POST", inviteA, ""), 201},
		{newHouse(), request("POST", inviteA, `{"player":9}`, bearer(tokenA)), 400},
		{newHouse(), request("POST", inviteA, `{}`), 401},
		{failing(newHouse(), signal.CodeHost), request("POST", inviteA, `{}`, bearer(tokenA)), 403},
		{newHouse(), request("POST", "/rooms/"+roomB+"/invitations", `{}`, bearer(tokenA)), 404},
		{newHouse(), request("POST", inviteA, large, bearer(tokenA)), 413},
		{newHouse(), request("POST", inviteA, `{}`, bearer(tokenA), "Content-Type: text/plain"), 415},
		{newHouse(), request("DELETE", revokeA, "", bearer(tokenA)), 204},
		{newHouse(), request("DELETE", revokeA, ""), 401},
		{failing(newHouse(), signal.CodeHost), request("DELETE", revokeA, "", bearer(tokenA)), 403},
		{failing(newHouse(), signal.CodeNotFound), request("DELETE", revokeA, "", bearer(tokenA)), 404},
		{newHouse().asAdmin(), request("GET", "/workers", ""), 200},
		{newHouse().asAdmin(), request("GET", "/workers?limit=1", ""), 200},
		{newHouse().asAdmin(), request("GET", "/workers?after=No", ""), 400},
		{newHouse(), request("GET", "/workers", ""), 401},
		{newHouse().asPlayer(), request("GET", "/workers", ""), 403},
		{newHouse().asAdmin(), request("POST", "/workers/w1/drain", `{"off":true}`), 202},
		{newHouse().asAdmin(), request("POST", "/workers/w1/drain", `{"of":true}`), 400},
		{newHouse(), request("POST", "/workers/w1/drain", ""), 401},
		{newHouse().asPlayer(), request("POST", "/workers/w1/drain", ""), 403},
		{failing(newHouse().asAdmin(), signal.CodeNotFound), request("POST", "/workers/w9/drain", ""), 404},
		{newHouse().asAdmin(), request("POST", "/workers/w1/drain", large), 413},
		{newHouse().asAdmin(), request("POST", "/workers/w1/drain", `{}`, "Content-Type: text/plain"), 415},
		{newHouse().asAdmin(), request("GET", "/sessions", ""), 200},
		{silent, request("GET", "/sessions?worker=w1&limit=1", ""), 200},
		{newHouse().asAdmin(), request("GET", "/sessions?worker=No", ""), 400},
		{newHouse(), request("GET", "/sessions", ""), 401},
		{newHouse().asPlayer(), request("GET", "/sessions", ""), 403},
		{failing(newHouse().asAdmin(), signal.CodeNotFound), request("GET", "/sessions?worker=w9", ""), 404},
		{newHouse().asAdmin(), request("DELETE", "/rooms/"+roomA+"?reason=enough", ""), 204},
		{newHouse().asAdmin(), request("DELETE", "/rooms/"+roomA+"?reason="+strings.Repeat("x", signal.MaxText), ""), 400},
		{newHouse().asAdmin(), request("DELETE", "/sessions/s1", ""), 204},
		{newHouse().asAdmin(), request("DELETE", "/sessions/s1?worker=w1", ""), 204},
		{newHouse().asAdmin(), request("DELETE", "/sessions/s1?worker=No", ""), 400},
		{newHouse(), request("DELETE", "/sessions/s1", ""), 401},
		{newHouse().asPlayer(), request("DELETE", "/sessions/s1", ""), 403},
		{failing(newHouse().asAdmin(), signal.CodeNotFound), request("DELETE", "/sessions/s9", ""), 404},
	}
}

// sharedExamples are what every operation may answer: 429, and what broke.
func sharedExamples(doc *openapi3.T) []example {
	var all []example
	fill := strings.NewReplacer("{room}", roomA, "{id}", "i1", "{worker}", "w1", "{session}", "s1")
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			full := newHouse().asAdmin()
			full.full = true
			all = append(all, example{full, request(method, fill.Replace(path), ""), 429})
			broken := failing(newHouse().asAdmin(), signal.CodeFailed)
			broken.stopping = errors.New("stopping")
			all = append(all, example{broken, request(method, fill.Replace(path), ""), 0})
		}
	}
	return all
}

// TestAnswersAreAsDescribed holds real answers, good and bad ones of every
// operation, against the schemas of the document.
func TestAnswersAreAsDescribed(t *testing.T) {
	doc := loadDocument(t)
	router, err := legacy.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]bool{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				missing[method+" "+path+" "+status] = status != "default"
			}
		}
	}
	for _, e := range append(examples(), sharedExamples(doc)...) {
		route, status := checkAgainst(t, router, e)
		if e.status != 0 && status != e.status {
			t.Errorf("%s %s answers %d, want %d", e.req.Method, e.req.URL, status, e.status)
		}
		delete(missing, fmt.Sprintf("%s %s %d", e.req.Method, route, status))
	}
	maps.DeleteFunc(missing, func(_ string, yes bool) bool { return !yes })
	if len(missing) > 0 {
		t.Errorf("described, but never seen: %s", slices.Sorted(maps.Keys(missing)))
	}
}

// checkAgainst serves an example and answers the path of its operation and the
// status.
func checkAgainst(t *testing.T, router routers.Router, e example) (path string, status int) {
	t.Helper()
	route, params, err := router.FindRoute(e.req)
	if err != nil {
		t.Errorf("%s %s: %v", e.req.Method, e.req.URL, err)
		return "", 0
	}
	rec := do(e.house, e.req)
	what := fmt.Sprintf("%s %s answers %d", e.req.Method, e.req.URL, rec.Code)
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: e.req, PathParams: params, Route: route},
		Status:                 rec.Code, Header: rec.Header(),
		Body:    io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		t.Errorf("%s, which is not as described: %v\n%s", what, err, rec.Body)
	}
	checkHeaders(t, what, rec)
	return route.Path, rec.Code
}

// checkHeaders: no answer to one caller is for another's cache, and errors are JSON.
func checkHeaders(t *testing.T, what string, rec *httptest.ResponseRecorder) {
	t.Helper()
	h := rec.Header()
	public := strings.Contains(what, "/games") && rec.Code < 400 || strings.Contains(what, "/openapi.json") && rec.Code == 200
	if want := map[bool]string{true: "no-cache", false: "no-store"}[public]; h.Get("Cache-Control") != want {
		t.Errorf("%s with Cache-Control %q, want %q", what, h.Get("Cache-Control"), want)
	}
	if rec.Code >= 400 && h.Get("Content-Type") != "application/json" {
		t.Errorf("%s as %q", what, h.Get("Content-Type"))
	}
	if rec.Code == http.StatusTooManyRequests {
		if _, err := strconv.Atoi(h.Get("Retry-After")); err != nil {
			t.Errorf("%s with Retry-After %q", what, h.Get("Retry-After"))
		}
	}
	if bodyless := rec.Code == 204 || rec.Code == 202 || rec.Code == 304; bodyless && rec.Body.Len() > 0 {
		t.Errorf("%s with a body", what)
	}
}

// TestRequestsAreAsDescribed: the requests that are answered well are those that
// the document allows.
func TestRequestsAreAsDescribed(t *testing.T) {
	router, err := legacy.NewRouter(loadDocument(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range examples() {
		route, params, err := router.FindRoute(e.req)
		if err != nil {
			t.Fatal(err)
		}
		input := &openapi3filter.RequestValidationInput{
			Request: e.req, PathParams: params, Route: route,
			Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
		}
		err = openapi3filter.ValidateRequest(t.Context(), input)
		switch malformed := slices.Contains([]int{400, 415}, e.status); {
		case e.status < 300 && err != nil:
			t.Errorf("%s %s is answered with %d, but not described: %v", e.req.Method, e.req.URL, e.status, err)
		case malformed && err == nil:
			t.Errorf("%s %s is described, but answered with %d", e.req.Method, e.req.URL, e.status)
		}
	}
}
