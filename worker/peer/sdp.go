package peer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"github.com/cloudretro/cloudretro/worker/send"
)

// Limits of what a browser may offer.
const (
	maxSDP       = 32 << 10 // bytes
	maxCandidate = 1 << 10  // bytes of one ICE candidate
	maxRemote    = 64       // ICE candidates of one browser until ICE begins anew
)

// ErrOffer says that a browser's offer is not one we can answer; the text that
// wraps it says why.
var ErrOffer = errors.New("the WebRTC offer of the browser is refused")

// CheckOffer refuses what would make pion do more than send one picture and one
// sound: at most one video, one audio and one data section, receive-only, and few
// candidates, each of which we would knock at from each of our addresses. It is
// cheap: whoever is about to start a game for an offer asks it first. The error
// wraps ErrOffer.
func CheckOffer(offer string) error {
	_, err := readOffer(offer)
	return err
}

// offered is what we must know of an offer beside pion.
type offered struct {
	client      bool   // we are the client of DTLS
	credentials string // of ICE; when they change, ICE begins anew
	candidates  int
}

// readOffer checks an offer like CheckOffer.
func readOffer(offer string) (offered, error) {
	if len(offer) > maxSDP {
		return offered{}, fmt.Errorf("%w: %d bytes of SDP, at most %d", ErrOffer, len(offer), maxSDP)
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(offer); err != nil {
		return offered{}, fmt.Errorf("%w: it is not SDP: %w", ErrOffer, err)
	}
	if err := checkSections(&s); err != nil {
		return offered{}, err
	}
	o := offered{client: dtlsClient(&s), credentials: credentials(&s), candidates: candidates(&s)}
	if o.candidates > maxRemote {
		return offered{}, tooManyCandidates()
	}
	return o, nil
}

func tooManyCandidates() error {
	return fmt.Errorf("%w: more than %d candidates", ErrOffer, maxRemote)
}

func checkSections(s *sdp.SessionDescription) error {
	seen := map[string]bool{}
	for _, m := range s.MediaDescriptions {
		kind := m.MediaName.Media
		switch kind {
		case "video", "audio":
			if !recvonly(m) {
				return fmt.Errorf("%w: its %s section is not recvonly", ErrOffer, kind)
			}
		case "application":
		default:
			return fmt.Errorf("%w: media section of an unknown kind", ErrOffer)
		}
		if seen[kind] {
			return fmt.Errorf("%w: more than one %s section", ErrOffer, kind)
		}
		seen[kind] = true
	}
	if !seen["video"] {
		return fmt.Errorf("%w: no video section", ErrOffer)
	}
	return nil
}

// recvonly says whether a section has that direction and no other: of several,
// pion takes sometimes the first one and sometimes this one.
func recvonly(m *sdp.MediaDescription) bool {
	other := slices.ContainsFunc(m.Attributes, func(a sdp.Attribute) bool {
		return a.Key == "sendrecv" || a.Key == "sendonly" || a.Key == "inactive"
	})
	_, ok := m.Attribute("recvonly")
	return ok && !other
}

// candidates counts the different ones of all sections, which may repeat them.
func candidates(s *sdp.SessionDescription) int {
	seen := map[string]bool{}
	for _, m := range s.MediaDescriptions {
		for _, a := range m.Attributes {
			if a.IsICECandidate() {
				seen[a.Value] = true
			}
		}
	}
	return len(seen)
}

// credentials are those of ICE. pion refuses an offer that names several.
func credentials(s *sdp.SessionDescription) string {
	return first(s, "ice-ufrag") + " " + first(s, "ice-pwd")
}

// first is the value of an attribute of the session, else of the first section
// that has it, "" if none has.
func first(s *sdp.SessionDescription, key string) string {
	value, ok := s.Attribute(key)
	for i := 0; !ok && i < len(s.MediaDescriptions); i++ {
		value, ok = s.MediaDescriptions[i].Attribute(key)
	}
	return value
}

// extraAddrs are the addresses beside our own sockets' at which the browser may
// find us: the mapped ones, and the one it found the coordinator at if that is
// an IP: the port may well be forwarded there too (a container at home).
func extraAddrs(own []netip.AddrPort, mapped []netip.Addr, host string) []netip.Addr {
	out := slices.Clone(mapped)
	host = strings.Trim(host, "[]")
	if strings.EqualFold(host, "localhost") {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Zone() == "" {
		ip = ip.Unmap()
		if (ip.IsGlobalUnicast() || ip.IsLoopback()) && !slices.Contains(out, ip) {
			out = append(out, ip)
		}
	}
	return slices.DeleteFunc(out, func(ip netip.Addr) bool {
		return slices.ContainsFunc(own, func(a netip.AddrPort) bool { return a.Addr() == ip })
	})
}

// hiddenAddrs are those of our own that are of no use to a browser which found the
// coordinator at host, and not announced to it: loopback ones, unless it came by
// loopback, or that is unknown, or there are no others. From elsewhere they would
// lead a browser to its own machine, and it would ask its gates for them.
func hiddenAddrs(own []netip.AddrPort, host string) []netip.Addr {
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip, _ := netip.ParseAddr(host)
	if host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") || ip.Unmap().IsLoopback() {
		return nil
	}
	var hidden []netip.Addr
	for _, a := range own {
		if a.Addr().IsLoopback() {
			hidden = append(hidden, a.Addr())
		}
	}
	if len(hidden) == len(own) {
		return nil
	}
	return hidden
}

// Priority of the extra candidates (RFC 8445, 5.1.2): type preference of a host
// candidate, local preference below that of our own sockets.
const (
	hostPreference  = 126
	extraPreference = 32768
)

// finishAnswer says in our answer what pion does not: the retransmission stream
// of the video, and addrs as host candidates. Those at hidden ones are taken out.
func finishAnswer(answer string, video send.Stream, addrs, hidden []netip.Addr, port int) (string, error) {
	if len(addrs) == 0 && len(hidden) == 0 && video.RTX.SSRC == 0 {
		return answer, nil
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(answer); err != nil {
		return "", fmt.Errorf("read own answer: %w", err)
	}
	if len(s.MediaDescriptions) == 0 {
		return "", errors.New("own answer has no media section")
	}
	addCandidates(s.MediaDescriptions[0], addrs, port)
	for _, m := range s.MediaDescriptions {
		removeCandidates(m, hidden)
		if m.MediaName.Media == "video" {
			addRetransmission(m, video)
		}
	}
	out, err := s.Marshal()
	if err != nil {
		return "", fmt.Errorf("write own answer: %w", err)
	}
	return string(out), nil
}

// addCandidates announces addrs in the first media section of an answer: all of
// them share one transport.
func addCandidates(m *sdp.MediaDescription, addrs []netip.Addr, port int) {
	extra := make([]sdp.Attribute, 0, len(addrs))
	for i, ip := range addrs {
		priority := hostPreference<<24 | (extraPreference-i)<<8 | 255
		extra = append(extra, sdp.NewAttribute("candidate",
			fmt.Sprintf("%d 1 udp %d %s %d typ host", 9000+i, priority, ip, port)))
	}
	at := slices.IndexFunc(m.Attributes, func(a sdp.Attribute) bool { return a.Key == "end-of-candidates" })
	if at < 0 {
		at = len(m.Attributes)
	}
	m.Attributes = slices.Insert(m.Attributes, at, extra...)
}

// removeCandidates takes those at addrs out (RFC 8839, section 5.1: the address is
// the fifth word).
func removeCandidates(m *sdp.MediaDescription, addrs []netip.Addr) {
	if len(addrs) == 0 {
		return
	}
	m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool {
		words := strings.Fields(a.Value)
		if !a.IsICECandidate() || len(words) < 5 {
			return false
		}
		ip, err := netip.ParseAddr(words[4])
		return err == nil && slices.Contains(addrs, ip)
	})
}

// addRetransmission groups the stream with that of its resends (RFC 5576, section
// 4.2), which has the same attributes.
func addRetransmission(m *sdp.MediaDescription, video send.Stream) {
	first := -1
	var more []sdp.Attribute
	for i, a := range m.Attributes {
		ssrc, rest, _ := strings.Cut(a.Value, " ")
		if a.Key != "ssrc" || ssrc != strconv.FormatUint(uint64(video.SSRC), 10) {
			continue
		}
		if first < 0 {
			first = i
		}
		more = append(more, sdp.NewAttribute("ssrc", fmt.Sprintf("%d %s", video.RTX.SSRC, rest)))
	}
	if first < 0 || video.RTX.SSRC == 0 {
		return
	}
	m.Attributes = slices.Insert(m.Attributes, first+len(more), more...)
	group := sdp.NewAttribute("ssrc-group", fmt.Sprintf("FID %d %d", video.SSRC, video.RTX.SSRC))
	m.Attributes = slices.Insert(m.Attributes, first, group)
}

// dtlsClient says whether we are the client of DTLS: unless the browser's offer
// takes that part for itself. It reads the first setup attribute, like pion
// (dtlsRoleFromRemoteSDP), whose own choice is fixed in newConnection.
func dtlsClient(s *sdp.SessionDescription) bool {
	for _, m := range s.MediaDescriptions {
		if setup, ok := m.Attribute("setup"); ok {
			return setup != "active"
		}
	}
	return true
}
