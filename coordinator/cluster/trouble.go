package cluster

import (
	"context"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Trouble remembers why an API server does not do what it is asked for, so that
// each kind of reason is said once and not at each attempt. Its zero value is
// that all is well. It may be used concurrently.
type Trouble struct {
	said atomic.Pointer[metav1.StatusReason]
}

// New says whether an error is of another kind than the one before, if there was
// one. What fails after ctx has ended was not waited for, and is not new.
func (t *Trouble) New(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	reason := apierrors.ReasonForError(err)
	before := t.said.Swap(&reason)
	return before == nil || *before != reason
}

// There says whether the last request failed.
func (t *Trouble) There() bool { return t.said.Load() != nil }

// Over is to be called when the server answered. It says whether there was any
// trouble before.
func (t *Trouble) Over() bool { return t.said.Swap(nil) != nil }
