package peer

import (
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"github.com/cloudretro/cloudretro/worker/send/batch"
)

// STUN (RFC 8489), as far as a probe needs it.
const (
	stunHeader     = 20
	stunCookie     = 0x2112a442
	bindingRequest = 0x0001
	bindingSuccess = 0x0101
	attrUsername   = 0x0006
	attrXORMapped  = 0x0020
	maxProbeAnswer = stunHeader + 4 + 4 + 16 // of an IPv6 sender
)

// Probes that one socket answers a second, and at once. `cloudretro check turn`
// sends 520 a second.
const (
	probeRate  = 1000
	probeBurst = 100
)

// probed answers STUN Binding requests that name no user, so that it can be
// found out whether media would arrive (cloudretro check turn). All of them are
// taken out of what pion reads: no ICE agent sends such, and pion would log each.
// Only a request that is at least as long as the answer gets one, so that forged
// senders gain nothing, and only probeRate of them a second; the others are
// dropped. One goroutine reads, pion's.
type probed struct {
	*batch.Conn
	full   time.Time // when probeBurst may be answered again
	answer [maxProbeAnswer]byte
}

var _ net.PacketConn = (*probed)(nil)

// ReadFrom is that of batch.Conn, without probes.
func (c *probed) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.Conn.ReadFrom(p)
		if err != nil || !isProbe(p[:n]) {
			return n, from, err
		}
		if answer := c.answerTo(p[:n], from.(*net.UDPAddr).AddrPort(), time.Now()); answer != nil {
			_, _ = c.WriteTo(answer, from) // lost like any datagram; who asks counts that
		}
	}
}

// isProbe says whether a datagram is a well-formed Binding request without USERNAME.
func isProbe(p []byte) bool {
	if len(p) < stunHeader || binary.BigEndian.Uint16(p) != bindingRequest ||
		int(binary.BigEndian.Uint16(p[2:])) != len(p)-stunHeader || binary.BigEndian.Uint32(p[4:]) != stunCookie {
		return false
	}
	for rest := p[stunHeader:]; len(rest) > 0; {
		if len(rest) < 4 {
			return false
		}
		size := 4 + (int(binary.BigEndian.Uint16(rest[2:]))+3)&^3
		if size > len(rest) || binary.BigEndian.Uint16(rest) == attrUsername {
			return false
		}
		rest = rest[size:]
	}
	return true
}

// answerTo is the Binding response to a probe, good until the next call; nil if
// the probe is too short or one too many.
func (c *probed) answerTo(probe []byte, from netip.AddrPort, now time.Time) []byte {
	addr := from.Addr().Unmap()
	size := stunHeader + 8 + addr.BitLen()/8
	if len(probe) < size || !c.take(now) {
		return nil
	}
	a := c.answer[:size]
	binary.BigEndian.PutUint16(a, bindingSuccess)
	binary.BigEndian.PutUint16(a[2:], uint16(size-stunHeader))
	copy(a[4:stunHeader], probe[4:stunHeader]) // cookie and transaction
	binary.BigEndian.PutUint16(a[20:], attrXORMapped)
	binary.BigEndian.PutUint16(a[22:], uint16(size-stunHeader-4))
	a[24], a[25] = 0, 1 // IPv4 (RFC 8489 14.1)
	if addr.Is6() {
		a[25] = 2
	}
	binary.BigEndian.PutUint16(a[26:], from.Port()^stunCookie>>16)
	raw := addr.As16()
	for i, b := range raw[16-addr.BitLen()/8:] {
		a[28+i] = b ^ probe[4+i]
	}
	return a
}

// take takes one of probeBurst tokens, which come back probeRate a second.
func (c *probed) take(now time.Time) bool {
	const interval = time.Second / probeRate
	if c.full.Before(now) {
		c.full = now
	}
	if c.full.Add(interval).After(now.Add(probeBurst * interval)) {
		return false
	}
	c.full = c.full.Add(interval)
	return true
}
