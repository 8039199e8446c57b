package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	authentication "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Bounds of reviews.
const (
	maxReviews     = 8                // at once
	reviewTimeout  = 2 * time.Second  // of one, with the wait for its turn
	forbiddenPause = 10 * time.Minute // until one is tried again that was forbidden
)

// errNotAsked says that the API server has not reviewed a token.
var errNotAsked = errors.New("not reviewed")

// reviewer is the client of reviews (kubernetes.io/docs/reference/kubernetes-api,
// TokenReview of authentication.k8s.io/v1).
type reviewer interface {
	Create(ctx context.Context, review *authentication.TokenReview, opts metav1.CreateOptions) (*authentication.TokenReview, error)
}

// reviews shows tokens to the API server, where that is allowed.
type reviews struct {
	server            reviewer
	audience, subject string
	log               *slog.Logger
	room              chan struct{} // one for each at once

	mu        sync.Mutex // guards the rest
	forbidden time.Time  // when a review was, the last time
	told      bool
}

func newReviews(server reviewer, audience, subject string, log *slog.Logger) *reviews {
	return &reviews{server: server, audience: audience, subject: subject, log: log, room: make(chan struct{}, maxReviews)}
}

// ask has the API server check a token. The error is errNotAsked if it does not.
func (r *reviews) ask(ctx context.Context, token string, now time.Time) error {
	if !r.allowed(now) {
		return errNotAsked
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	select {
	case r.room <- struct{}{}:
		defer func() { <-r.room }()
	case <-ctx.Done():
		return errNotAsked
	}
	answer, err := r.server.Create(ctx, &authentication.TokenReview{
		Spec: authentication.TokenReviewSpec{Token: token, Audiences: []string{r.audience}},
	}, metav1.CreateOptions{})
	switch {
	case apierrors.IsForbidden(err):
		r.forbid(now)
		return errNotAsked
	case err != nil:
		r.log.Debug("token not reviewed", "cause", err)
		return errNotAsked
	}
	return r.read(answer.Status)
}

// read says what is wrong with a token by the API server's answer.
func (r *reviews) read(s authentication.TokenReviewStatus) error {
	switch {
	case !s.Authenticated:
		return fmt.Errorf("the API server refuses it: %q", clip(s.Error))
	case !slices.Contains(s.Audiences, r.audience):
		return fmt.Errorf("the API server does not say that it is for audience %q", r.audience)
	case s.User.Username != r.subject:
		return fmt.Errorf("the API server says that it is of %q, not of %q", clip(s.User.Username), r.subject)
	}
	return nil
}

// allowed says whether it is worth asking.
func (r *reviews) allowed(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forbidden.IsZero() || now.Sub(r.forbidden) >= forbiddenPause
}

// forbid notes that this process may not ask.
func (r *reviews) forbid(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forbidden = now
	if !r.told {
		r.told = true
		r.log.Info("tokens of workers are checked with the keys of the API server alone: to create tokenreviews of authentication.k8s.io is forbidden here; " +
			"the token of a pod that was deleted holds until it expires")
	}
}
