package wire

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/cloudretro/cloudretro/media"
)

func message(t testing.TB, kind Type, payload []byte) []byte {
	t.Helper()
	msg, err := AppendMessage(nil, kind, payload)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func TestReaderTakesMessagesHoweverTheyArrive(t *testing.T) {
	sizes := []int{0, 1, 5, 100, 64 << 10, 300 << 10, 3}
	var stream []byte
	for i, size := range sizes {
		stream = append(stream, message(t, Type(i+1), bytes.Repeat([]byte{byte(i)}, size))...)
	}
	sources := map[string]io.Reader{
		"at once":       bytes.NewReader(stream),
		"byte by byte":  iotest.OneByteReader(bytes.NewReader(stream)),
		"half":          iotest.HalfReader(bytes.NewReader(stream)),
		"data with EOF": iotest.DataErrReader(bytes.NewReader(stream)),
	}
	for name, src := range sources {
		t.Run(name, func(t *testing.T) {
			r := NewReader(src, MaxMessage)
			for i, size := range sizes {
				kind, payload, err := r.Next()
				if err != nil || kind != Type(i+1) || !bytes.Equal(payload, bytes.Repeat([]byte{byte(i)}, size)) {
					t.Fatalf("message %d: kind %d, %d bytes, %v", i, kind, len(payload), err)
				}
			}
			if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Fatalf("at the end: %v", err)
			}
		})
	}
}

// countingReader counts the calls, each of which stands for a system call.
type countingReader struct {
	io.Reader
	calls int
}

func (c *countingReader) Read(p []byte) (int, error) { c.calls++; return c.Reader.Read(p) }

func TestReaderReadsWhatThereIsAtOnce(t *testing.T) {
	stream := append(message(t, TypeVideo, make([]byte, 1000)), message(t, TypeAudio, make([]byte, 100))...)
	src := &countingReader{Reader: bytes.NewReader(stream)}
	r := NewReader(src, MaxMessage)
	for range 2 {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if src.calls != 1 {
		t.Errorf("%d reads for two messages", src.calls)
	}
}

func TestReaderRefuses(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 1}
	tests := map[string]struct {
		stream []byte
		want   error
	}{
		"empty":       {nil, io.EOF},
		"half header": {huge[:3], io.ErrUnexpectedEOF},
		"too long":    {huge, ErrProtocol},
		"cut short":   {message(t, TypeVideo, make([]byte, 10))[:12], io.ErrUnexpectedEOF},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, _, err := NewReader(bytes.NewReader(test.stream), MaxMessage).Next(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, _, err := NewReader(bytes.NewReader(message(t, 1, make([]byte, 101))), 100).Next(); !errors.Is(err, ErrProtocol) {
		t.Errorf("over the reader's own limit: %v", err)
	}
	if _, _, err := NewReader(iotest.TimeoutReader(bytes.NewReader(message(t, 1, make([]byte, 1<<20)))), MaxMessage).Next(); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("an error of the source: %v", err)
	}
}

// What is promised takes no memory, only what arrives.
func TestReaderDoesNotTrustTheLength(t *testing.T) {
	r := NewReader(bytes.NewReader(append(message(t, 1, nil)[:0], 0, 0, 0x7f, 0, 1)), MaxMessage)
	_, _, err := r.Next()
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(r.buf) > 128<<10 {
		t.Errorf("%v, buffer of %d bytes", err, cap(r.buf))
	}
}

func TestFinishRefusesWhatNobodyWouldRead(t *testing.T) {
	if err := Finish(make([]byte, HeaderSize-1)); err == nil {
		t.Error("a message without header passed")
	}
	if _, err := AppendMessage(nil, TypeVideo, make([]byte, MaxMessage+1)); err == nil {
		t.Error("a message over the limit passed")
	}
}

func TestMediaRoundTrip(t *testing.T) {
	frame := media.Frame{PTS: 123456789012345, Width: 512, Height: 480}
	payload := append(AppendVideoHeader(nil, &frame), 1, 2, 3)
	SetVideoKey(payload, true)
	var gotFrame media.Frame
	if err := ParseVideo(payload, &gotFrame); err != nil || gotFrame.PTS != frame.PTS || gotFrame.Width != 512 ||
		gotFrame.Height != 480 || !gotFrame.Key || !bytes.Equal(gotFrame.Data, []byte{1, 2, 3}) {
		t.Errorf("frame %+v, %v", gotFrame, err)
	}
	packet := media.Packet{PTS: 987654321, Duration: 10 * time.Millisecond}
	var gotPacket media.Packet
	if err := ParseAudio(append(AppendAudioHeader(nil, &packet), 9), &gotPacket); err != nil ||
		gotPacket.PTS != packet.PTS || gotPacket.Duration != packet.Duration || !bytes.Equal(gotPacket.Data, []byte{9}) {
		t.Errorf("packet %+v, %v", gotPacket, err)
	}
}

func TestMediaIsValidated(t *testing.T) {
	video := func(f media.Frame, rest ...byte) error {
		return ParseVideo(append(AppendVideoHeader(nil, &f), rest...), &media.Frame{})
	}
	audio := func(p media.Packet, size int) error {
		return ParseAudio(append(AppendAudioHeader(nil, &p), make([]byte, size)...), &media.Packet{})
	}
	good := media.Frame{Width: 2, Height: 2}
	if err := video(good, 1); err != nil {
		t.Fatal(err)
	}
	bad := map[string]error{
		"empty video":      ParseVideo(nil, &media.Frame{}),
		"no access unit":   video(good),
		"zero width":       video(media.Frame{Height: 2}, 1),
		"too high":         video(media.Frame{Width: 2, Height: MaxEncoded + 1}, 1),
		"negative PTS":     video(media.Frame{PTS: -1, Width: 2, Height: 2}, 1),
		"empty audio":      ParseAudio(nil, &media.Packet{}),
		"no packet":        audio(media.Packet{Duration: 1}, 0),
		"too large":        audio(media.Packet{Duration: 1}, 2000),
		"no duration":      audio(media.Packet{}, 1),
		"too long":         audio(media.Packet{Duration: time.Second}, 1),
		"negative sound":   audio(media.Packet{PTS: -1, Duration: 1}, 1),
		"odd number":       errorOf(ParseUint32(make([]byte, 3))),
		"unknown profile":  errorOf(ParseProfile(AppendUint32(nil, 3))),
		"short profile":    errorOf(ParseProfile(nil)),
		"short stats":      ParseStats(make([]byte, 8), &Stats{}),
		"text too long":    errorOf(ParseText(make([]byte, MaxText+1))),
		"info too long":    errorOf(ParseInfo(make([]byte, MaxInfo+1))),
		"info is no JSON":  errorOf(ParseInfo([]byte("x"))),
		"info is all zero": errorOf(ParseInfo([]byte("{}"))),
	}
	for name, err := range bad {
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

func TestStats(t *testing.T) {
	var s, got Stats
	for i, f := range s.fields() {
		*f = uint64(i + 1)
	}
	if err := ParseStats(s.Append(nil), &got); err != nil || got != s {
		t.Fatalf("%+v, %v", got, err)
	}
	got.Add(&s)
	for i, f := range got.fields() {
		want := uint64(2 * (i + 1))
		if f == &got.SnapshotBytes { // a size, not a count
			want = uint64(i + 1)
		}
		if *f != want {
			t.Errorf("field %d: %d, want %d", i, *f, want)
		}
	}
}

func validInfo() Info {
	return Info{
		Width: 256, Height: 240, EncodedWidth: 512, EncodedHeight: 480, Aspect: 4.0 / 3, FPS: 60.0988,
		SampleRate: 48000, Rotation: 1, Library: "x264", CoreName: "Nestopia", Unconfined: "landlock: no", Snapshot: 7,
	}
}

func TestInfo(t *testing.T) {
	want := validInfo()
	payload, err := want.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseInfo(payload); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	spoil := map[string]func(*Info){
		"width":       func(i *Info) { i.Width = 0 },
		"height":      func(i *Info) { i.Height = 1 << 20 },
		"encoded":     func(i *Info) { i.EncodedWidth = -2 },
		"aspect":      func(i *Info) { i.Aspect = 0 },
		"fps":         func(i *Info) { i.FPS = 1e9 },
		"sample rate": func(i *Info) { i.SampleRate = -1 },
		"rotation":    func(i *Info) { i.Rotation = 4 },
	}
	for name, f := range spoil {
		info := validInfo()
		f(&info)
		payload, _ := info.Append(nil)
		if _, err := ParseInfo(payload); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
	info := validInfo()
	info.FPS = math.NaN()
	if _, err := info.Append(nil); err == nil || info.plausible() {
		t.Error("NaN passed")
	}
}

func TestSpec(t *testing.T) {
	good := Spec{Kind: KindLibretro, Core: "/c.so", Game: "/g"}.WithDefaults()
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	if good.Video.Scale != 2 || good.Audio.Frame != 10*time.Millisecond || good.Video.Library != "auto" {
		t.Errorf("defaults %+v", good)
	}
	start := Start{Spec: good, Restore: true}
	payload, err := start.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseStart(payload); err != nil || !got.Restore || got.Spec.Core != "/c.so" {
		t.Errorf("%+v, %v", got, err)
	}
	spoil := map[string]func(*Spec){
		"kind":       func(s *Spec) { s.Kind = "x" },
		"core":       func(s *Spec) { s.Core = "" },
		"game":       func(s *Spec) { s.Builtin = "too" },
		"path":       func(s *Spec) { s.SaveDir = "a\x00b" },
		"codec":      func(s *Spec) { s.Video.Codec = "mpeg1" },
		"scale":      func(s *Spec) { s.Video.Scale = 99 },
		"crf":        func(s *Spec) { s.Video.CRF = math.NaN() },
		"bitrate":    func(s *Spec) { s.Video.MaxBitrate = -1 },
		"profile":    func(s *Spec) { s.Video.Profile = 9 },
		"frame":      func(s *Spec) { s.Audio.Frame = time.Second },
		"audio rate": func(s *Spec) { s.Audio.Bitrate = 1 },
		"complexity": func(s *Spec) { s.Audio.Complexity = 11 },
		"options":    func(s *Spec) { s.Options = manyOptions() },
	}
	for name, f := range spoil {
		s := good
		f(&s)
		if err := s.Check(); !errors.Is(err, ErrSpec) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseStart([]byte(`{"spec":{"kind":"x"}}`)); !errors.Is(err, ErrSpec) {
		t.Errorf("start of nothing: %v", err)
	}
}

func manyOptions() map[string]string {
	m := map[string]string{}
	for i := range maxOptions + 1 {
		m[strings.Repeat("x", i)] = ""
	}
	return m
}

func TestCleanText(t *testing.T) {
	tests := []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 100, "plain"},
		{" a\nb\tc\x00\x7f", 100, "a b c"},
		{"bad\xff utf8", 100, "bad utf8"},
		{"cut here", 3, "cut"},
		{"äöü", 5, "äö"},
		{"日本", 5, "日"},
	}
	for _, test := range tests {
		if got := CleanText(test.in, test.limit); got != test.want {
			t.Errorf("CleanText(%q, %d) = %q, want %q", test.in, test.limit, got, test.want)
		}
	}
}

func FuzzReader(f *testing.F) {
	info := validInfo()
	payload, _ := info.Append(nil)
	f.Add(message(f, TypeReady, payload))
	f.Add(message(f, TypeVideo, append(AppendVideoHeader(nil, &media.Frame{Width: 2, Height: 2}), 1)))
	f.Add(message(f, TypeAudio, append(AppendAudioHeader(nil, &media.Packet{Duration: 1}), 1)))
	f.Add(message(f, TypeStats, (&Stats{}).Append(nil)))
	f.Add(message(f, TypeFailed, []byte("no")))
	f.Add(message(f, TypeOutcome, Outcome{Order: Order{1, 2, 3}, Text: "no"}.Append(nil)))
	f.Add(message(f, TypeLoad, Order{1, 2, 3}.Append(nil)))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, stream []byte) {
		r := NewReader(iotest.HalfReader(bytes.NewReader(stream)), 1<<16)
		for {
			kind, payload, err := r.Next()
			if err != nil {
				return
			}
			parseAny(t, kind, payload)
		}
	})
}

// parseAny parses a payload of any kind and checks what passes.
func parseAny(t *testing.T, kind Type, payload []byte) {
	switch kind {
	case TypeReady, TypeChanged:
		if i, err := ParseInfo(payload); err == nil && !i.plausible() {
			t.Errorf("impossible info passed: %+v", i)
		}
	case TypeVideo:
		var f media.Frame
		if ParseVideo(payload, &f) == nil && (f.Width < 1 || f.Height < 1 || len(f.Data) == 0 || f.PTS < 0) {
			t.Errorf("impossible frame passed: %+v", f)
		}
	case TypeAudio:
		var p media.Packet
		if ParseAudio(payload, &p) == nil && (p.Duration <= 0 || len(p.Data) == 0 || p.PTS < 0) {
			t.Errorf("impossible packet passed: %+v", p)
		}
	case TypeMessage, TypeFailed:
		if text, err := ParseText(payload); err == nil && (!utf8.ValidString(text) || len(text) > MaxText) {
			t.Errorf("unclean text passed: %q", text)
		}
	case TypeStats:
		_ = ParseStats(payload, &Stats{})
	case TypeStart:
		if s, err := ParseStart(payload); err == nil && s.Spec.Check() != nil {
			t.Errorf("bad spec passed: %+v", s)
		}
	case TypeProfile, TypeBitrate:
		_, _ = ParseProfile(payload)
	case TypeOutcome:
		if o, err := ParseOutcome(payload); err == nil && (!utf8.ValidString(o.Text) || len(o.Text) > MaxText) {
			t.Errorf("unclean text passed: %q", o.Text)
		}
	case TypeSave, TypeLoad:
		_, _ = ParseOrder(payload)
	}
}

func TestReaderAllocatesNothing(t *testing.T) {
	msg := message(t, TypeVideo, make([]byte, 2000))
	src := bytes.NewReader(msg)
	r := NewReader(src, MaxMessage)
	if n := testing.AllocsPerRun(100, func() {
		src.Reset(msg)
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
}

func BenchmarkReader(b *testing.B) {
	msg := message(b, TypeVideo, make([]byte, 2000))
	src := bytes.NewReader(msg)
	r := NewReader(src, MaxMessage)
	for b.Loop() {
		src.Reset(msg)
		_, _, _ = r.Next()
	}
}
