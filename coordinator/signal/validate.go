package signal

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of lists and of numbers that only roles send.
const (
	MaxGames      = 100_000 // of a library
	MaxRooms      = 10_000  // of a worker
	MaxViewers    = 100_000 // of a room
	MaxMediaAddrs = 64      // of a worker
	MaxPeers      = 65_536  // of a gate
	MaxURLs       = 16      // of a gate or an ICE server
	MaxICEServers = 64      // of a Hello
)

const (
	maxID        = 64  // bytes of an id or a MAC in hex
	maxURL       = 320 // bytes: a host name of 253 and what is around it
	roomIDLength = 26  // 130 bits in base32
)

// ValidID says whether s may name a session, worker, gate or game:
// [a-z0-9][a-z0-9-]{0,63}.
func ValidID(s string) bool {
	if s == "" || len(s) > maxID || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// ValidRoomID says whether s may name a room: 26 characters of lower-case base32.
func ValidRoomID(s string) bool {
	return len(s) == roomIDLength && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

// ValidHost says whether s is a host name or an IP address (without brackets,
// port or zone).
func ValidHost(s string) bool {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Zone() == ""
	}
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// validTag: the id of a request is printable ASCII, so that it can be logged.
func validTag(s string) bool {
	if len(s) > maxID {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func isControl(r rune) bool { return r < ' ' || (r >= 0x7f && r < 0xa0) || r == 0x2028 || r == 0x2029 }

func checkText(name, s string, limit int) error {
	switch {
	case len(s) > limit:
		return fmt.Errorf("%s has more than %d bytes", name, limit)
	case !utf8.ValidString(s) || strings.IndexFunc(s, isControl) >= 0:
		return fmt.Errorf("%s has control characters", name)
	}
	return nil
}

func checkRange(name string, n, low, high int) error {
	if n < low || n > high {
		return fmt.Errorf("%s %d is not within %d..%d", name, n, low, high)
	}
	return nil
}

func checkSDP(s string) error {
	switch {
	case s == "":
		return errors.New("sdp is missing")
	case len(s) > MaxSDP:
		return fmt.Errorf("sdp has more than %d bytes", MaxSDP)
	case strings.IndexByte(s, 0) >= 0:
		return errors.New("sdp has a NUL byte")
	}
	return nil
}

func checkSRTP(s string) error {
	if s != "" && s != SRTPSHA1 {
		return fmt.Errorf("srtp is neither empty nor %q", SRTPSHA1)
	}
	return nil
}

func checkHost(s string) error {
	if s != "" && !ValidHost(s) {
		return errors.New("host is neither a host name nor an IP address")
	}
	return nil
}

func checkGame(id string) error {
	if !ValidID(id) {
		return errors.New("game is not an id of the library ([a-z0-9][a-z0-9-]{0,63})")
	}
	return nil
}

// checkSession: an id that may be left out.
func checkSession(id string) error {
	if id != "" && !ValidID(id) {
		return errors.New("the id of a session or ticket is malformed")
	}
	return nil
}

// checkProbe: an absolute http or https URL of a host and a plain path. It ends
// up in pages and in the header that says where they may connect to.
func checkProbe(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	plain := err == nil && len(s) <= maxURL && (u.Scheme == "http" || u.Scheme == "https") && ValidHost(u.Hostname()) &&
		u.User == nil && strings.Trim(s, urlCharacters) == ""
	if !plain {
		return fmt.Errorf("probe %q is not like https://host/echo", Clip(s))
	}
	return nil
}

// urlCharacters are those of a URL without query and fragment that mean nothing
// to anybody else (RFC 3986, without most of the delimiters).
const urlCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~%:/[]"

func checkRoom(id string) error {
	if !ValidRoomID(id) {
		return fmt.Errorf("room is not an id (%d characters a-z2-7)", roomIDLength)
	}
	return nil
}

func checkHex(name, s string, bytes int) error {
	raw, err := hex.DecodeString(s)
	if err != nil || len(raw) != bytes {
		return fmt.Errorf("%s is not %d bytes in hex", name, bytes)
	}
	return nil
}

// checkMediaAddr: an address that media can be sent to, so none that means
// many hosts or none.
func checkMediaAddr(s string) error {
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return fmt.Errorf("media address %q is not ip:port", Clip(s))
	}
	ip := addr.Addr()
	host := ip.Unmap() // [::ffff:0.0.0.0] is no better than 0.0.0.0
	if addr.Port() == 0 || host.IsUnspecified() || host.IsMulticast() || host == broadcast() || ip.Zone() != "" {
		return fmt.Errorf("media address %q is not the address of one host", Clip(s))
	}
	return nil
}

func broadcast() netip.Addr { return netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// checkURL: stun(s): and turn(s): as in RFC 7064 and RFC 7065. The host may be
// empty where bare says so.
func checkURL(s string, bare bool) error {
	bad := fmt.Errorf("ICE URL %q is not like turn:host:3478?transport=udp", Clip(s))
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || len(s) > maxURL {
		return bad
	}
	rest, query, _ := strings.Cut(rest, "?")
	switch scheme {
	case "turn", "turns":
		if query != "" && query != "transport=udp" && query != "transport=tcp" {
			return bad
		}
	case "stun", "stuns":
		if query != "" || bare {
			return bad
		}
	default:
		return bad
	}
	host, port := splitHostPort(rest)
	if n, err := strconv.ParseUint(port, 10, 16); port != "" && (err != nil || n == 0) {
		return bad
	}
	if host == "" && bare && port != "" || ValidHost(host) {
		return nil
	}
	return bad
}

// splitHostPort: host or host:port, IPv6 in brackets. What is neither comes
// out as a host that is invalid.
func splitHostPort(s string) (host, port string) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, port, _ = strings.Cut(rest, "]")
		if port != "" && port[0] != ':' || !strings.Contains(host, ":") {
			return "", ""
		}
		return host, strings.TrimPrefix(port, ":")
	}
	host, port, _ = strings.Cut(s, ":")
	return host, port
}

// URL is where a role finds the WebSocket at path of a coordinator: address is
// "host:port" (plain ws) or a URL with scheme ws, wss, http or https.
func URL(address, path string) (string, error) {
	raw := address
	if !strings.Contains(raw, "://") {
		raw = "ws://" + raw
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", fmt.Errorf("coordinator address %q: want host:port or a ws, wss, http or https URL", address)
	}
	switch u.Scheme {
	case "http":
		u.Scheme = "ws"
	case "https":
		u.Scheme = "wss"
	}
	plain := (u.Scheme == "ws" || u.Scheme == "wss") && u.User == nil && u.RawQuery == "" && u.Fragment == ""
	if !plain || !ValidHost(u.Hostname()) {
		return "", fmt.Errorf("coordinator address %q: want host:port or a ws, wss, http or https URL", address)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	return u.String(), nil
}
