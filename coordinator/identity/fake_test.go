package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.uber.org/goleak"
	authentication "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://kubernetes.default.svc"

// server is an API server as far as it signs and reviews: what fails and how
// often it is asked cannot be had of a real one.
type server struct {
	*httptest.Server
	fetches, reviews atomic.Int32
	down, forbidden  atomic.Bool

	mu   sync.Mutex
	keys map[string]crypto.Signer
}

func newServer(t testing.TB) *server {
	s := &server{keys: map[string]crypto.Signer{}}
	s.rotate(t, "one")
	mux := http.NewServeMux()
	mux.HandleFunc(issuerPath, func(rw http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		_ = json.NewEncoder(rw).Encode(map[string]string{"issuer": issuer})
	})
	mux.HandleFunc(keysPath, func(rw http.ResponseWriter, _ *http.Request) {
		var set jose.JSONWebKeySet
		s.mu.Lock()
		defer s.mu.Unlock()
		for id, key := range s.keys {
			set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: id, Key: key.Public()})
		}
		_ = json.NewEncoder(rw).Encode(set)
	})
	mux.HandleFunc("/apis/authentication.k8s.io/v1/tokenreviews", s.review)
	s.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if s.down.Load() {
			http.Error(rw, "down", http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(rw, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *server) review(rw http.ResponseWriter, _ *http.Request) {
	s.reviews.Add(1)
	rw.Header().Set("Content-Type", "application/json")
	if s.forbidden.Load() {
		rw.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(rw).Encode(metav1.Status{
			TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: http.StatusForbidden,
		})
		return
	}
	_ = json.NewEncoder(rw).Encode(authentication.TokenReview{
		TypeMeta: metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"},
		Status: authentication.TokenReviewStatus{
			Authenticated: true, Audiences: []string{"cloudretro"}, User: authentication.UserInfo{Username: "system:serviceaccount:arcade:worker"},
		},
	})
}

// rotate adds a key.
func (s *server) rotate(t testing.TB, id string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[id] = key
}

// token is one that the server signs, for a minute.
func (s *server) token(t testing.TB, key string, change func(*claims)) string {
	s.mu.Lock()
	signer := s.keys[key]
	s.mu.Unlock()
	return mint(t, jose.SigningKey{Algorithm: jose.ES256, Key: signer}, key, change)
}

func mint(t testing.TB, key jose.SigningKey, id string, change func(*claims)) string {
	var c claims
	c.Issuer, c.Subject, c.Audience = issuer, "system:serviceaccount:arcade:worker", jwt.Audience{"cloudretro"}
	c.Expiry = jwt.NewNumericDate(time.Now().Add(time.Minute))
	c.NotBefore = jwt.NewNumericDate(time.Now())
	c.Kubernetes.Namespace, c.Kubernetes.ServiceAccount.Name = "arcade", "worker"
	c.Kubernetes.Pod.Name, c.Kubernetes.Pod.UID = "worker-1", "u"
	if change != nil {
		change(&c)
	}
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithHeader("kid", id))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(c).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// clock is what a Verifier believes that it is. It stands still.
type clock struct {
	began time.Time
	ahead atomic.Int64
}

func (c *clock) now() time.Time       { return c.began.Add(time.Duration(c.ahead.Load())) }
func (c *clock) pass(d time.Duration) { c.ahead.Add(int64(d)) }

func (s *server) verifier(t testing.TB) (*Verifier, *clock) {
	t.Helper()
	client, err := cluster.NewAPI(&rest.Config{Host: s.URL}, http.DefaultClient)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(Config{API: client, Namespace: "arcade", ServiceAccount: "worker", Audience: "cloudretro"})
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{began: time.Now()}
	v.now = c.now
	return v, c
}
