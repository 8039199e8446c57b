package wire

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// Sizes of the binary headers, bytes.
const (
	videoHeaderSize = 13
	audioHeaderSize = 12
	maxAudioPacket  = 1500                   // bytes; the largest Opus packet is 1275 (RFC 6716, section 3.2.1)
	maxAudioFrame   = 120 * time.Millisecond // longest Opus packet (RFC 6716, section 2.1.4)
)

// AppendVideoHeader appends the header of a video message: PTS (int64, ns),
// width and height (uint16), key (1 byte). The access unit follows it.
// f.Data is not looked at.
func AppendVideoHeader(dst []byte, f *media.Frame) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.PTS))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(f.Width))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(f.Height))
	return append(dst, b2u(f.Key))
}

// SetVideoKey changes the key flag of a video payload, which is known only
// after the picture has been encoded behind its header.
func SetVideoKey(payload []byte, key bool) { payload[videoHeaderSize-1] = b2u(key) }

func b2u(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// ParseVideo fills f from a video message; f.Data points into payload.
func ParseVideo(payload []byte, f *media.Frame) error {
	if len(payload) <= videoHeaderSize {
		return fmt.Errorf("%w: video message of %d bytes", ErrProtocol, len(payload))
	}
	f.PTS = time.Duration(binary.LittleEndian.Uint64(payload))
	f.Width = int(binary.LittleEndian.Uint16(payload[8:]))
	f.Height = int(binary.LittleEndian.Uint16(payload[10:]))
	f.Key = payload[12] == 1
	f.Data = payload[videoHeaderSize:]
	if f.PTS < 0 || f.Width == 0 || f.Height == 0 || f.Width > MaxEncoded || f.Height > MaxEncoded || payload[12] > 1 {
		return fmt.Errorf("%w: impossible video header", ErrProtocol)
	}
	return nil
}

// AppendAudioHeader appends the header of an audio message: PTS (int64, ns)
// and duration (uint32, ns). The encoded packet follows it. p.Data is not
// looked at.
func AppendAudioHeader(dst []byte, p *media.Packet) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(p.PTS))
	return binary.LittleEndian.AppendUint32(dst, uint32(p.Duration))
}

// ParseAudio fills p from an audio message; p.Data points into payload.
func ParseAudio(payload []byte, p *media.Packet) error {
	if len(payload) <= audioHeaderSize || len(payload) > audioHeaderSize+maxAudioPacket {
		return fmt.Errorf("%w: audio message of %d bytes", ErrProtocol, len(payload))
	}
	p.PTS = time.Duration(binary.LittleEndian.Uint64(payload))
	p.Duration = time.Duration(binary.LittleEndian.Uint32(payload[8:]))
	p.Data = payload[audioHeaderSize:]
	if p.PTS < 0 || p.Duration <= 0 || p.Duration > maxAudioFrame {
		return fmt.Errorf("%w: impossible audio header", ErrProtocol)
	}
	return nil
}

// ParseText reads a message or a failure and makes it fit to be shown.
func ParseText(payload []byte) (string, error) {
	if len(payload) > MaxText {
		return "", fmt.Errorf("%w: text of %d bytes", ErrProtocol, len(payload))
	}
	return CleanText(string(payload), MaxText), nil
}

// AppendUint32 appends the payload of TypeProfile or TypeBitrate.
func AppendUint32(dst []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(dst, v) }

// ParseUint32 reads what AppendUint32 wrote.
func ParseUint32(payload []byte) (uint32, error) {
	if len(payload) != 4 {
		return 0, fmt.Errorf("%w: number of %d bytes", ErrProtocol, len(payload))
	}
	return binary.LittleEndian.Uint32(payload), nil
}

// ParseProfile reads a profile.
func ParseProfile(payload []byte) (media.Profile, error) {
	v, err := ParseUint32(payload)
	if err != nil {
		return 0, err
	}
	if v > uint32(media.ProfileHigh) {
		return 0, fmt.Errorf("%w: profile %d", ErrProtocol, v)
	}
	return media.Profile(v), nil
}

// Stats are what a core process has counted since it started.
type Stats struct {
	Ticks           uint64 // frames the machine has run
	LateTicks       uint64 // of them begun more than half a frame late
	Reanchored      uint64 // times the clock was set anew because the process had fallen far behind
	RunTime         uint64 // ns spent in the machine
	Frames          uint64 // pictures encoded
	FrameBytes      uint64 // bytes of them
	KeyFrames       uint64 // of them key frames
	Repeated        uint64 // of them the same picture again, because the machine had no new one
	DroppedPictures uint64 // pictures never encoded because a newer one came
	ConvertTime     uint64 // ns spent in conversion
	EncodeTime      uint64 // ns spent in the video encoder
	Packets         uint64 // packets of sound encoded
	SilenceSamples  uint64 // samples per channel inserted because the machine made too few
	DroppedSamples  uint64 // samples per channel dropped because the machine made too many
	AudioTime       uint64 // ns spent resampling and encoding sound
	Snapshots       uint64 // snapshots taken
	SnapshotBytes   uint64 // bytes of the last one
	SnapshotTime    uint64 // ns spent on them
}

// statsFields is the number of fields of Stats.
const statsFields = 18

func (s *Stats) fields() [statsFields]*uint64 {
	return [statsFields]*uint64{
		&s.Ticks, &s.LateTicks, &s.Reanchored, &s.RunTime, &s.Frames, &s.FrameBytes, &s.KeyFrames, &s.Repeated,
		&s.DroppedPictures, &s.ConvertTime, &s.EncodeTime, &s.Packets, &s.SilenceSamples, &s.DroppedSamples,
		&s.AudioTime, &s.Snapshots, &s.SnapshotBytes, &s.SnapshotTime,
	}
}

// Append adds the message's payload to dst.
func (s *Stats) Append(dst []byte) []byte {
	for _, f := range s.fields() {
		dst = binary.LittleEndian.AppendUint64(dst, *f)
	}
	return dst
}

// ParseStats fills s from a stats message.
func ParseStats(payload []byte, s *Stats) error {
	if len(payload) != 8*statsFields {
		return fmt.Errorf("%w: stats of %d bytes", ErrProtocol, len(payload))
	}
	for i, f := range s.fields() {
		*f = binary.LittleEndian.Uint64(payload[8*i:])
	}
	return nil
}

// Add adds what another core process counted; SnapshotBytes is taken over.
func (s *Stats) Add(o *Stats) {
	theirs := o.fields()
	for i, f := range s.fields() {
		if f == &s.SnapshotBytes {
			*f = *theirs[i]
			continue
		}
		*f += *theirs[i]
	}
}
