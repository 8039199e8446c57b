package worker

import (
	"sync"

	"github.com/cloudretro/cloudretro/coordinator/signal"
)

// self is which worker this is. Its methods may be called concurrently.
type self struct {
	mu      sync.Mutex
	id      string // new at each start
	part    string // of the pod, see signal.PodPart; "" for none
	settled bool   // coordinators may know the id
}

// name is the worker's id, for a coordinator that is shown a token, or a proof of
// the secret. It is of the pod that the first token names, which coordinators take
// the pod from as well, so that the two do not differ. While there is no token
// nobody takes the worker, unless it knows the secret: then its id stays.
func (s *self) name(token string, secret bool) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if part := signal.PodPart(signal.TokenPod(token)); !s.settled && part != "" {
		s.id, s.part = signal.NewWorkerID(part), part
	}
	s.settled = s.settled || s.part != "" || secret
	return s.id
}

// pod is what the ids of rooms begin with.
func (s *self) pod() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.part
}
