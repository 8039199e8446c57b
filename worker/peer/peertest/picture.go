package peertest

import (
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"
)

// video puts pictures together as they come in.
type video struct {
	tb                      testing.TB
	out                     *Browser
	track                   *webrtc.TrackRemote
	delay, number, sendTime uint8 // ids of extensions

	h264 codecs.H264Packet
	pic  Picture
	next uint16
	any  bool
}

func (v *video) read() {
	for {
		p, attributes, err := v.track.ReadRTP()
		if err != nil {
			return
		}
		again := v.any && int16(p.SequenceNumber-v.next) < 0
		if rtx := attributes.Get(webrtc.AttributeRtxSsrc) != nil; rtx || again {
			push(v.out.Resent, Resent{Seq: p.SequenceNumber, Payload: p.Payload, RTX: rtx})
			continue
		}
		v.any, v.next = true, p.SequenceNumber+1
		if !v.add(p) {
			return
		}
	}
}

func (v *video) add(p *rtp.Packet) bool {
	data, err := p.Payload, error(nil)
	if v.track.Codec().MimeType == webrtc.MimeTypeH264 {
		data, err = v.h264.Unmarshal(p.Payload)
	}
	if err != nil {
		v.tb.Errorf("RTP payload: %v", err)
		return false
	}
	if v.pic.Packets == 0 {
		v.pic.First = p.SequenceNumber
	}
	v.pic.Delayed = v.pic.Delayed || string(p.GetExtension(v.delay)) != "\x00\x00\x00"
	v.pic.Bare = v.pic.Bare || len(p.GetExtension(v.number)) != 2 || len(p.GetExtension(v.sendTime)) != 3
	v.pic.Data = append(v.pic.Data, data...)
	v.pic.Packets++
	if p.Marker {
		v.pic.Time, v.pic.Key = p.Timestamp, isKey(v.pic.Data)
		push(v.out.Pictures, v.pic)
		v.pic = Picture{}
	}
	return true
}

// isKey finds an SPS at the start, as every key frame has it.
func isKey(au []byte) bool { return len(au) > 4 && au[4]&0x1f == 7 }
