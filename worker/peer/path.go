package peer

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/pion/webrtc/v3"

	"github.com/cloudretro/cloudretro/worker/send"
	"github.com/cloudretro/cloudretro/worker/send/batch"
)

// openPath tells the viewer where the browser is: when it is connected, and
// whenever ICE has selected another pair of addresses since.
func (p *Peer) openPath() {
	p.opening.Lock()
	defer p.opening.Unlock()
	viewer := p.viewer.Load()
	if viewer == nil || !p.ready.Load() {
		return
	}
	pair := p.pair.Load()
	if pair == nil {
		return // one that is selected later is told
	}
	err := viewer.Open(p.path(pair))
	switch {
	case errors.Is(err, send.ErrClosed):
	case errors.Is(err, send.ErrPath): // it needs new keys
		p.finish(fmt.Errorf("%w: %w", ErrLost, err))
	case err != nil:
		p.log.Warn("media path refused", "error", err)
		p.finish(fmt.Errorf("%w: %w", ErrLost, err))
	}
}

// path is the fast one if the selected pair begins at a socket of ours and the
// keys can be had. The first call decides; the keys are those of the connection
// and outlive its addresses.
func (p *Peer) path(pair *webrtc.ICECandidatePair) send.Path {
	conn, remote := p.owner.socket(pair)
	path := send.Path{Conn: conn, Remote: remote}
	if p.keys == nil && !p.fallback {
		keys, err := p.owner.keysOf(p.transport(), p.client)
		if err == nil && conn == nil {
			err = fmt.Errorf("local candidate %s %s is no socket of ours", pair.Local.Typ, pair.Local.Protocol)
		}
		if err != nil {
			p.fallback = true
			p.log.Info("media goes through pion", "cause", err)
		} else {
			p.keys = &keys
		}
	}
	if p.fallback {
		path.Video, path.Audio = p.video.write, p.audio.write
		return path
	}
	path.Profile, path.Key, path.Salt = p.keys.profile, p.keys.key, p.keys.salt
	return path
}

// socket is ours at the local end of a pair, nil if there is none, as behind a
// relay or TCP, and the browser's address.
func (l *Listener) socket(pair *webrtc.ICECandidatePair) (*batch.Conn, netip.AddrPort) {
	local, err := addrPort(pair.Local)
	remote, errRemote := addrPort(pair.Remote)
	if errors.Join(err, errRemote) != nil || pair.Local.Typ == webrtc.ICECandidateTypeRelay || pair.Local.Protocol != webrtc.ICEProtocolUDP {
		return nil, netip.AddrPort{}
	}
	return l.conn(local), remote
}

func addrPort(c *webrtc.ICECandidate) (netip.AddrPort, error) {
	ip, err := netip.ParseAddr(c.Address)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("candidate address: %w", err)
	}
	return netip.AddrPortFrom(ip.Unmap(), c.Port), nil
}
