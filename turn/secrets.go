package turn

import (
	"crypto/md5" //nolint:gosec // RFC 8489 9.2.2 defines the long-term key with it
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pion/stun"

	"github.com/cloudretro/cloudretro/turn/credential"
)

// User is a static user, whose credential does not expire.
type User struct {
	Name     string // no ':', so that it is never taken for a minted one
	Password string
}

// Credentials are what clients may prove themselves with.
type Credentials struct {
	// Secrets that credentials may be minted with, the newest first. The gate
	// proves itself to coordinators with one of them.
	Secrets []string
	// Users besides them.
	Users []User
}

// validate refuses what cannot work. Who joins coordinators needs a secret.
func (c Credentials) validate(joins bool) error {
	if len(c.Secrets) == 0 && (joins || len(c.Users) == 0) {
		return errors.New("no secret; set secrets.turn or secrets.worker")
	}
	for _, s := range c.Secrets {
		if s == "" {
			return errors.New("a secret is empty; set secrets.turn or secrets.worker")
		}
	}
	for i, u := range c.Users {
		if !validUser(u.Name) || u.Password == "" {
			return fmt.Errorf("turn.users.%d: the name %q must have 1 to %d printable characters without ':', and a password", i, u.Name, credential.MaxUsername)
		}
	}
	return nil
}

func validUser(name string) bool {
	if name == "" || len(name) > credential.MaxUsername {
		return false
	}
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' || name[i] == ':' {
			return false
		}
	}
	return true
}

// account is who has proved a credential.
type account struct {
	name   string
	shared bool // a static user, who may be many people
}

// keyring is Credentials as requests are checked with them. It may be used and
// replaced concurrently.
type keyring struct {
	now atomic.Pointer[keys]
}

// keys is a snapshot.
type keys struct {
	realm   string
	secrets []string
	users   map[string][]byte // long-term keys
}

func newKeyring(realm string, c Credentials) *keyring {
	k := &keyring{}
	k.set(realm, c)
	return k
}

// set replaces realm and credentials. Running allocations keep the key that they
// were opened with.
func (k *keyring) set(realm string, c Credentials) {
	next := &keys{realm: realm, secrets: append([]string(nil), c.Secrets...), users: map[string][]byte{}}
	for _, u := range c.Users {
		sum := md5.Sum([]byte(u.Name + ":" + realm + ":" + u.Password)) //nolint:gosec // see the import
		next.users[u.Name] = sum[:]
	}
	k.now.Store(next)
}

// realm is the one that clients are told.
func (k *keyring) realm() string { return k.now.Load().realm }

// verify finds the key that a request was made with. All secrets are tried
// whichever fits, and compared in constant time. That a credential has expired
// is told with its key, for an allocation that it opened lives on.
func (k *keyring) verify(m *stun.Message, username string, now time.Time) (key []byte, who account, why Refusal) {
	current := k.now.Load()
	if key, ok := current.users[username]; ok {
		if stun.MessageIntegrity(key).Check(m) != nil {
			return nil, account{}, RefusedSecret
		}
		return key, account{username, true}, passed
	}
	u, err := credential.Parse(username)
	if err != nil {
		return nil, account{}, RefusedUser
	}
	for _, secret := range current.secrets {
		candidate := credential.Key(secret, username, current.realm)
		if stun.MessageIntegrity(candidate).Check(m) == nil {
			key = candidate
		}
	}
	switch {
	case key == nil:
		return nil, account{}, RefusedSecret
	case u.Expired(now):
		return key, account{name: username}, RefusedExpired
	}
	return key, account{name: username}, passed
}
