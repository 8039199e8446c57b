// Package send carries pictures and sound to browsers: the path of every RTP
// packet of a room, from the encoder to the socket.
//
// One Sender per room has one goroutine. Each browser is a Viewer. A picture is
// cut into payloads once (package packetize); for each viewer only the RTP
// header is written, the packet is sealed into the viewer's ring (packages seal
// and history), and runs of packets of equal size leave in one system call for
// all viewers (package batch). Packets of a large picture are spread over a few
// milliseconds (package pace).
//
//	encoder --Video, Audio--> queue of each viewer --Turn--> ring --> batch.Writer
//	pion's decrypted RTCP --Viewer.Feedback--> inbox --Turn--> resends, key frames, estimate
//
// All that belongs to a stream is private to the goroutine that calls Turn;
// others reach it through bounded queues: pictures (overflow: dropped up to the
// next key frame), sound (overflow: the oldest goes), RTCP (overflow: dropped).
//
// A viewer whose keys cannot be had, or whose selected pair is relayed, is sent
// to through pion's own writer, from a goroutine of its own that may block.
//
// What a packet costs at 20 Mbit/s to each viewer, 60 pictures a second, AES-GCM:
// ns of CPU, and how many times fewer that is than pion's WriteSample with its
// default interceptors takes in the same run; below that the floor, which is
// segmentation offload and AES-GCM alone on the same bursts. Nothing is allocated
// but by pion, to encrypt a sender report each second. make bench-send,
// 2026-11-22, a calm virtual machine with two Xeon cores (2 MB of L2 each).
//
//	viewers                             1            4           16           64
//	bursts pass whole, loopback  436   9.3x   361  10.6x   374  10.7x     -
//	                      floor  329          301          292            -
//	bursts pass whole, veth      451  10.2x   394  11.1x   385  12.2x   579   7.7x
//	                      floor  350          317          308          322
//	cut up by the kernel, veth   801   5.5x   796   5.5x   737   6.5x   860   5.5x
//	                      floor  657          680          614          628
package send

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"github.com/cloudretro/cloudretro/worker/send/batch"
	"github.com/cloudretro/cloudretro/worker/send/pace"
	"github.com/cloudretro/cloudretro/worker/send/packetize"
	"github.com/cloudretro/cloudretro/worker/send/seal"
)

// Config is what a Sender needs.
type Config struct {
	Logger *slog.Logger         // nil = none
	Stats  *Stats               // counters that all rooms of a worker share; nil = its own
	Now    func() time.Duration // the clock of all PTS; nil = CLOCK_MONOTONIC
	Wall   func() time.Time     // the clock of sender reports; nil = time.Now
	Pace   pace.Config          // zero = the defaults
}

// Frame is one encoded picture.
type Frame struct {
	Codec packetize.Codec
	Data  []byte        // one access unit, at most packetize.MaxData bytes; read during the call only
	Key   bool          // decodable without any earlier frame
	PTS   time.Duration // ideal time of the picture, on the clock of Config.Now
}

// Sound is one packet of Opus.
type Sound struct {
	Data     []byte        // read during the call only
	PTS      time.Duration // ideal time of its first sample, on the clock of Config.Now
	Duration time.Duration // of what Data decodes to, at most 120 ms (RFC 6716, section 2.1.4)
}

// Stream is what was negotiated for one stream to one browser. The zero value is
// a stream that the browser does not take.
type Stream struct {
	Codec       packetize.Codec
	SSRC        uint32 // as in the answer; pion must not send under it on the fast path
	PayloadType uint8  // 0..127
	RTX         RTX    // zero = lost packets are sent again as they were

	// Identifiers of the header extensions, 1..14 (RFC 8285, section 4.2);
	// 0 = not negotiated.
	TWCC         uint8 // transport-wide sequence number
	PlayoutDelay uint8 // only written on video: minimum and maximum 0
	AbsSendTime  uint8
}

// RTX is the retransmission stream of a Stream (RFC 4588, section 4).
type RTX struct {
	SSRC        uint32
	PayloadType uint8
}

// Writer sends one packet through pion, which seals it. It may block. Header and
// payload are valid during the call only.
type Writer func(header *rtp.Header, payload []byte) error

// Path is how packets reach the browser. With a Key it is the fast path: we seal
// and send on Conn. Without one it is the fallback: Video and Audio send.
type Path struct {
	Conn   *batch.Conn    // the socket of the selected pair; in the fallback nil, or corked around each burst
	Remote netip.AddrPort // the browser's address of the selected pair

	Profile   seal.Profile
	Key, Salt []byte // SRTP master key and salt of our direction (RFC 5764, section 4.2)

	Video, Audio Writer // the fallback's
}

// ViewerConfig is what a Viewer needs.
type ViewerConfig struct {
	Video, Audio Stream

	// KeyFrame is called when the browser or a full queue needs a key frame. It
	// must not block, nor call the Viewer or the Sender. It comes from the
	// goroutines that call Video, Open and Turn; whoever encodes rate-limits.
	KeyFrame func()
	// Report sends sender reports (pion's PeerConnection.WriteRTCP). On the fast
	// path it must not block. nil = none are sent.
	Report func([]rtcp.Packet) error
	// History is how many bytes of video can be sent again, at least 256 KiB; 0 =
	// 512 KiB.
	History int
}
