package peer

import "errors"

// Video queues a frame and says whether it did. It never blocks: when the
// viewer is too slow, whole frames are dropped up to the next key frame, which
// is asked for with each of them: a request that was lost on the way costs a
// viewer one frame and not the picture.
func (p *Peer) Video(f *Frame) bool {
	if !p.ready.Load() {
		return false
	}
	if p.needKey.Load() && !f.Key {
		p.count.framesDropped.Add(1)
		p.events.KeyFrame()
		return false
	}
	if f.Key {
		p.makeRoom()
		p.needKey.Store(false) // before the frame is seen by the sender, which may set it again
	}
	select {
	case p.frames <- f:
		return true
	default:
		p.count.framesDropped.Add(1)
		p.needKey.Store(true)
		p.events.KeyFrame()
		return false
	}
}

// makeRoom throws the queue away if it is full: a key frame replaces it.
func (p *Peer) makeRoom() {
	for len(p.frames) == cap(p.frames) {
		for range cap(p.frames) {
			select {
			case <-p.frames:
				p.count.framesDropped.Add(1)
			default:
				return
			}
		}
	}
}

// Audio queues a packet of sound. It never blocks: when the viewer is too slow,
// the oldest one goes.
func (p *Peer) Audio(s *Sound) {
	if !p.ready.Load() {
		return
	}
	for {
		select {
		case p.sounds <- s:
			return
		default:
		}
		select {
		case <-p.sounds:
			p.count.soundsDropped.Add(1)
		default:
		}
	}
}

func (p *Peer) sendFrames() {
	for {
		select {
		case <-p.end:
			return
		case f := <-p.frames:
			p.sendFrame(f)
		}
	}
}

func (p *Peer) sendFrame(f *Frame) {
	n, err := p.video.write(f.Payloads, f.Time, true)
	p.count.bytes.Add(uint64(n))
	if err == nil {
		p.count.frames.Add(1)
		return
	}
	// What follows cannot be decoded without this frame.
	p.count.framesDropped.Add(1)
	p.needKey.Store(true)
	if !errors.Is(err, errNotReady) {
		p.count.writeErrors.Add(1)
	}
	p.events.KeyFrame()
}

func (p *Peer) sendSounds() {
	for {
		select {
		case <-p.end:
			return
		case s := <-p.sounds:
			p.sendSound(s)
		}
	}
}

func (p *Peer) sendSound(s *Sound) {
	payload := [1][]byte{s.Payload}
	n, err := p.audio.write(payload[:], s.Time, s.Jump)
	p.count.bytes.Add(uint64(n))
	switch {
	case err == nil:
		p.count.sounds.Add(1)
	case errors.Is(err, errNotReady):
		p.count.soundsDropped.Add(1) // or the browser takes no sound
	default:
		p.count.soundsDropped.Add(1)
		p.count.writeErrors.Add(1)
	}
}
