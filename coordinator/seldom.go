package coordinator

import (
	"maps"
	"sync"
	"time"
)

// Bounds of what is said seldom.
const (
	seldomPeriod = 10 * time.Minute
	maxSeldom    = 256 // things that are remembered; of further ones nothing is said
)

// seldom keeps what strangers bring about as often as they like from filling
// the log: each thing is said once in a while. All of it is counted elsewhere. The
// zero value has said nothing. It may be used concurrently.
type seldom struct {
	mu   sync.Mutex
	said map[string]time.Time
}

// may says whether it is time to say something.
func (s *seldom) may(thing string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.said[thing]; ok && now.Sub(at) < seldomPeriod {
		return false
	}
	if len(s.said) >= maxSeldom {
		maps.DeleteFunc(s.said, func(_ string, at time.Time) bool { return now.Sub(at) >= seldomPeriod })
	}
	if len(s.said) >= maxSeldom {
		return false
	}
	if s.said == nil {
		s.said = map[string]time.Time{}
	}
	s.said[thing] = now
	return true
}
