package main

import (
	"errors"
	"sync"

	"github.com/pion/rtcp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"
	"github.com/pion/webrtc/v3/pkg/media/samplebuilder"
)

// reorder is how many packets a receiver waits for a lost one.
const reorder = 1024

// verdict is what receivers saw of the pictures that they were to expect.
type verdict struct {
	Good     int    // every byte as sent
	Bad      int    // some byte not
	Missing  int    // never came, or came in part
	Repaired uint64 // packets that came as RTX
	Lost     uint64 // packets that were thrown away on the way in
	FirstBad string
}

// viewer is one of them.
type viewer struct {
	owner *receivers
	pc    *webrtc.PeerConnection

	mu       sync.Mutex
	pictures *pictures // what to expect; nil = do not look
	seen     map[uint64]bool
	bad      int
	firstBad error
}

// receive runs for each track.
func (v *viewer) receive(track *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	go func() { // the interceptors see sender reports only as they are read
		buf := make([]byte, 1500)
		for {
			if _, _, err := receiver.Read(buf); err != nil {
				return
			}
		}
	}()
	builder := samplebuilder.New(reorder, &codecs.H264Packet{}, 90000)
	for {
		p, attributes, err := track.ReadRTP()
		if err != nil {
			return
		}
		if attributes.Get(webrtc.AttributeRtxSsrc) != nil {
			v.owner.repaired.Add(1)
		}
		builder.Push(p)
		for s := builder.Pop(); s != nil; s = builder.Pop() {
			v.look(s.Data, track)
		}
	}
}

// look compares a picture. A wrong one is followed by another key frame, as a
// decoder would ask for it.
func (v *viewer) look(au []byte, track *webrtc.TrackRemote) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.pictures == nil {
		return
	}
	n, _, err := v.pictures.check(au)
	if err == nil {
		v.seen[n] = true
		return
	}
	if !errors.Is(err, errPart) {
		v.bad++
		if v.firstBad == nil {
			v.firstBad = err
		}
	}
	_ = v.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(track.SSRC())}})
}

// expect forgets what was seen.
func (v *viewer) expect(p *pictures) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.pictures, v.seen, v.bad, v.firstBad = p, map[uint64]bool{}, 0, nil
}

// judge adds what this viewer saw of the pictures first to last.
func (v *viewer) judge(to *verdict, first, last uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for n := first; n <= last; n++ {
		if v.seen[n] {
			to.Good++
		} else {
			to.Missing++
		}
	}
	to.Bad += v.bad
	if v.firstBad != nil && to.FirstBad == "" {
		to.FirstBad = v.firstBad.Error()
	}
}
