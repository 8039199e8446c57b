package opus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"os/exec"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

func open(t testing.TB, cfg Config) *Encoder {
	t.Helper()
	e, err := New(cfg)
	if errors.Is(err, ErrUnavailable) {
		t.Skip("SKIPPED:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// tone makes n stereo samples of a sine from sample number start on: 440 Hz left, 1 kHz right.
func tone(start, n int) []int16 {
	pcm := make([]int16, 0, n*media.Channels)
	for i := start; i < start+n; i++ {
		at := 2 * math.Pi * float64(i) / media.SampleRate
		pcm = append(pcm, int16(12000*math.Sin(440*at)), int16(12000*math.Sin(1000*at)))
	}
	return pcm
}

func TestComplete(t *testing.T) {
	cfg, err := complete(Config{})
	if err != nil || cfg != (Config{DefaultFrame, DefaultBitrate, DefaultComplexity}) {
		t.Errorf("complete of nothing = %+v, %v, want the defaults", cfg, err)
	}
	bad := map[string]Config{
		"2.5 ms":              {Frame: 2500 * time.Microsecond},
		"negative":            {Frame: -time.Second},
		"60 ms":               {Frame: 60 * time.Millisecond},
		"low rate":            {Bitrate: MinBitrate - 1},
		"high rate":           {Bitrate: math.MaxInt},
		"negative rate":       {Bitrate: -1},
		"complexity 11":       {Complexity: 11},
		"negative complexity": {Complexity: -4},
	}
	for name, cfg := range bad {
		t.Run(name, func(t *testing.T) {
			if _, err := complete(cfg); !errors.Is(err, ErrConfig) {
				t.Errorf("complete(%+v) = %v, want ErrConfig", cfg, err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	open(t, Config{})
	if e, err := New(Config{Complexity: 11}); !errors.Is(err, ErrConfig) || e != nil {
		t.Errorf("New = %v, %v, want ErrConfig", e, err)
	}
}

// The first byte says mode, bandwidth and duration of a packet (RFC 6716, 3.1).
func TestPackets(t *testing.T) {
	tests := []struct {
		frame    time.Duration
		tocClass byte // configuration number: fullband CELT of this duration
	}{
		{5 * time.Millisecond, 29}, {10 * time.Millisecond, 30}, {20 * time.Millisecond, 31},
	}
	for _, tt := range tests {
		t.Run(tt.frame.String(), func(t *testing.T) {
			e := open(t, Config{Frame: tt.frame})
			n := samples(tt.frame) / media.Channels
			packets := int(2 * time.Second / tt.frame)
			size := 0
			for i := range packets {
				data, err := e.Encode(nil, tone(i*n, n))
				if err != nil {
					t.Fatal(err)
				}
				if len(data) < 3 || len(data) > MaxPacket {
					t.Fatalf("packet %d has %d bytes", i, len(data))
				}
				if stereo := data[0]&4 != 0; data[0]>>3 != tt.tocClass || !stereo || data[0]&3 != 0 {
					t.Fatalf("packet %d begins with %08b, want one stereo frame of configuration %d", i, data[0], tt.tocClass)
				}
				size += len(data)
			}
			if rate := size * 8 / 2; rate < DefaultBitrate/2 || rate > DefaultBitrate*12/10 {
				t.Errorf("%d bit/s, want about %d", rate, DefaultBitrate)
			}
			if e.Delay() != 2500*time.Microsecond {
				t.Errorf("delay %v, want 2.5ms", e.Delay())
			}
		})
	}
}

func TestSilenceIsSentToo(t *testing.T) {
	e := open(t, Config{})
	silence := make([]int16, samples(DefaultFrame))
	for i := range 200 {
		data, err := e.Encode(nil, silence)
		if err != nil || len(data) < 3 { // what DTX would leave out has at most 2 bytes
			t.Fatalf("packet %d: %d bytes, %v", i, len(data), err)
		}
	}
}

func TestEncodeRefusesOtherLengths(t *testing.T) {
	e := open(t, Config{})
	for _, n := range []int{0, 1, 958, 959, 961, 1920, 1 << 20} {
		data, err := e.Encode([]byte{7}, make([]int16, n))
		if !errors.Is(err, ErrSamples) || len(data) != 1 {
			t.Errorf("%d samples: %d bytes, %v, want ErrSamples", n, len(data), err)
		}
	}
	data, err := e.Encode([]byte{7}, make([]int16, 960))
	if err != nil || len(data) < 2 || data[0] != 7 {
		t.Errorf("a good packet after bad ones: % x, %v", data, err)
	}
}

func TestClose(t *testing.T) {
	e := open(t, Config{})
	for range 2 {
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Encode(nil, make([]int16, 960)); !errors.Is(err, ErrClosed) {
		t.Errorf("Encode after Close: %v, want ErrClosed", err)
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	e := open(t, Config{})
	pcm := tone(0, 480)
	dst := make([]byte, 0, MaxPacket)
	if allocs := testing.AllocsPerRun(100, func() { _, _ = e.Encode(dst, pcm) }); allocs != 0 {
		t.Errorf("%v allocations a packet, want 0", allocs)
	}
}

// TestDecodes has ffmpeg turn the packets back into the two tones.
func TestDecodes(t *testing.T) {
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("SKIPPED: ffmpeg is not installed; install it to check the packets with another decoder")
	}
	e := open(t, Config{})
	var file oggWriter
	file.head()
	const packets = 100
	for i := range packets {
		data, err := e.Encode(nil, tone(i*480, 480))
		if err != nil {
			t.Fatal(err)
		}
		file.packet(data, uint64(i+1)*480)
	}
	cmd := exec.CommandContext(t.Context(), path, "-hide_banner", "-loglevel", "error", "-f", "ogg", "-i", "pipe:0", "-f", "s16le", "pipe:1")
	cmd.Stdin = &file.Buffer
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("ffmpeg: %v", err)
	}
	pcm := make([]int16, len(raw)/2)
	if err := binary.Read(bytes.NewReader(raw), binary.LittleEndian, pcm); err != nil {
		t.Fatal(err)
	}
	if len(pcm) != packets*960 {
		t.Fatalf("%d samples, want %d", len(pcm), packets*960)
	}
	for channel, frequency := range []float64{440, 1000} {
		if level := level(pcm[9600:], channel, frequency); level < 11000 || level > 13000 {
			t.Errorf("channel %d has %.0f at %v Hz, want 12000", channel, level, frequency)
		}
	}
}

// level is the amplitude of a frequency in one channel.
func level(pcm []int16, channel int, frequency float64) float64 {
	var re, im float64
	n := len(pcm) / 2
	for i := range n {
		at := 2 * math.Pi * frequency * float64(i) / media.SampleRate
		re += float64(pcm[2*i+channel]) * math.Cos(at)
		im += float64(pcm[2*i+channel]) * math.Sin(at)
	}
	return 2 * math.Hypot(re, im) / float64(n)
}

// oggWriter lays packets, one a page, into an Ogg file (RFC 3533, RFC 7845).
type oggWriter struct {
	bytes.Buffer
	pages uint32
}

func (o *oggWriter) head() {
	head := []byte("OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00")
	o.packet(head, 0)
	o.packet([]byte("OpusTags\x00\x00\x00\x00\x00\x00\x00\x00"), 0)
}

func (o *oggWriter) packet(data []byte, position uint64) {
	var flags byte
	if o.pages == 0 {
		flags = 2 // first page
	}
	page := append([]byte("OggS\x00"), flags)
	page = binary.LittleEndian.AppendUint64(page, position)
	page = binary.LittleEndian.AppendUint32(page, 1) // serial
	page = binary.LittleEndian.AppendUint32(page, o.pages)
	page = binary.LittleEndian.AppendUint32(page, 0) // checksum, below
	lacing := bytes.Repeat([]byte{255}, len(data)/255)
	page = append(page, byte(len(lacing)+1))
	page = append(append(page, lacing...), byte(len(data)%255))
	page = append(page, data...)
	binary.LittleEndian.PutUint32(page[22:], oggChecksum(page))
	o.Write(page)
	o.pages++
}

func oggChecksum(page []byte) (sum uint32) {
	for _, b := range page {
		sum ^= uint32(b) << 24
		for range 8 {
			if sum>>31 == 1 {
				sum = sum<<1 ^ 0x04c11db7
			} else {
				sum <<= 1
			}
		}
	}
	return sum
}

func BenchmarkEncode(b *testing.B) {
	for _, frame := range []time.Duration{5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond} {
		b.Run(frame.String(), func(b *testing.B) {
			e := open(b, Config{Frame: frame})
			pcm := tone(0, samples(frame)/media.Channels)
			dst := make([]byte, 0, MaxPacket)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Encode(dst, pcm); err != nil {
					b.Fatal(err)
				}
			}
			perSecond := float64(b.Elapsed()) / float64(b.N) * float64(time.Second/frame) / float64(time.Millisecond)
			b.ReportMetric(perSecond, "ms/s")
		})
	}
}
