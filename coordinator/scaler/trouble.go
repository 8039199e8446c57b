package scaler

import (
	"context"
	"log/slog"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// trouble logs why the API server does not do what it is asked for: once for each
// kind of reason, until it does.
type trouble struct {
	log  *slog.Logger
	said atomic.Pointer[metav1.StatusReason]
}

// answered notes an answer; what is what it means that it was an error.
func (t *trouble) answered(ctx context.Context, what string, err error) {
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		if t.said.Swap(nil) != nil {
			t.log.Info("the API server does again what it is asked for")
		}
		return
	}
	reason := apierrors.ReasonForError(err)
	if before := t.said.Swap(&reason); before == nil || *before != reason {
		t.log.Warn("the API server does not do what it is asked for", "what", what, "cause", err)
	}
}
