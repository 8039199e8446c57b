package peer

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/pion/dtls/v2"
	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// srtpLabel is what the SRTP keys are exported under (RFC 5764, section 4.2).
const srtpLabel = "EXTRACTOR-dtls_srtp"

// errNoKeys says that the SRTP keys of a connection cannot be had; the text that
// wraps it says why. Media then leaves through pion.
var errNoKeys = errors.New("no SRTP keys")

// srtpKeys are the SRTP master key and salt of one direction.
type srtpKeys struct {
	profile   seal.Profile
	key, salt []byte
}

// localKeys reads the keys that we send with from a connected transport; client
// says that we are the client of DTLS. pion has them behind a private field, so
// every assumption about it is checked here; the error wraps errNoKeys.
func localKeys(t *webrtc.DTLSTransport, client bool) (srtpKeys, error) {
	conn, err := dtlsConn(t)
	if err != nil {
		return srtpKeys{}, err
	}
	chosen, ok := conn.SelectedSRTPProtectionProfile()
	profile := seal.Profile(chosen) // both number them like the registry
	if !ok || profile.KeyLen() == 0 {
		return srtpKeys{}, fmt.Errorf("%w: %v", errNoKeys, profile)
	}
	state := conn.ConnectionState()
	material, err := state.ExportKeyingMaterial(srtpLabel, nil, 2*(profile.KeyLen()+profile.SaltLen()))
	if err != nil {
		return srtpKeys{}, fmt.Errorf("%w: %w", errNoKeys, err)
	}
	return splitKeys(profile, material, client), nil
}

// splitKeys takes our half of exported keying material: the client's key, the
// server's, the client's salt, the server's.
func splitKeys(profile seal.Profile, material []byte, client bool) srtpKeys {
	k, s := profile.KeyLen(), profile.SaltLen()
	keys, salts := material[:2*k], material[2*k:]
	if client {
		return srtpKeys{profile, keys[:k:k], salts[:s:s]}
	}
	return srtpKeys{profile, keys[k:], salts[s:]}
}

// dtlsConn is the connection of a transport. It is set before the state becomes
// connected and never changed, and asking for the state takes the lock that
// guards both.
func dtlsConn(t *webrtc.DTLSTransport) (*dtls.Conn, error) {
	if t == nil {
		return nil, fmt.Errorf("%w: no DTLS transport", errNoKeys)
	}
	if state := t.State(); state != webrtc.DTLSTransportStateConnected {
		return nil, fmt.Errorf("%w: DTLS is %s", errNoKeys, state)
	}
	return field[dtls.Conn](t, "conn")
}

// field is the value of a private field of the struct that holder points to, if
// it is a pointer to T and not nil.
func field[T any](holder any, name string) (*T, error) {
	f := reflect.ValueOf(holder).Elem().FieldByName(name)
	want := reflect.TypeFor[*T]()
	switch {
	case !f.IsValid():
		return nil, fmt.Errorf("%w: %T has no field %s", errNoKeys, holder, name)
	case f.Type() != want:
		return nil, fmt.Errorf("%w: field %s of %T is %v, not %v", errNoKeys, name, holder, f.Type(), want)
	case f.IsNil():
		return nil, fmt.Errorf("%w: field %s of %T is nil", errNoKeys, name, holder)
	}
	return *(**T)(unsafe.Pointer(f.UnsafeAddr())), nil
}
