package gateway

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxSecrets bounds how many Secrets are followed; what is beyond counts as
// missing.
const maxSecrets = 512

// secrets follows the Secrets that resources refer to, each by its name: rights
// on just those (resourceNames) are enough, and no other is ever sent to us. Its
// methods belong to one goroutine.
type secrets struct {
	*feeds
	follows map[types.NamespacedName]*feed
}

// arrange follows exactly these. It says whether each is known, or known not to
// be there.
func (s *secrets) arrange(ctx context.Context, wanted []types.NamespacedName) (known bool, err error) {
	if len(wanted) > maxSecrets {
		s.log.Warn("too many Secrets are referred to; the last ones count as missing", "secrets", len(wanted), "limit", maxSecrets)
		wanted = wanted[:maxSecrets]
	}
	for name, fd := range s.follows {
		if !slices.Contains(wanted, name) {
			fd.stop()
			delete(s.follows, name)
		}
	}
	known = true
	for _, name := range wanted {
		fd := s.follows[name]
		if fd == nil {
			if fd, err = follow(ctx, s.feeds, s.api.Secrets(name.Namespace), view{
				what: "secret " + name.String(), example: &corev1.Secret{}, narrow: byItsName(name.Name), convert: trim,
			}); err != nil {
				return false, fmt.Errorf("follow secret %s: %w", name, err)
			}
			s.follows[name] = fd
		}
		known = known && fd.known()
	}
	return known, nil
}

// unreadable are those that we may not read.
func (s *secrets) unreadable() map[types.NamespacedName]bool {
	names := map[types.NamespacedName]bool{}
	for name, fd := range s.follows {
		if fd.refused.Load() && !fd.informer.HasSynced() {
			names[name] = true
		}
	}
	return names
}

// list are those that are there.
func (s *secrets) list() []*corev1.Secret {
	var all []*corev1.Secret
	for _, fd := range s.follows {
		all = append(all, objects[*corev1.Secret](fd)...)
	}
	return all
}
