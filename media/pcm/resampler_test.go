package pcm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// Rates of real cores, and the limits.
var rates = []float64{MinRate, 22050, 31440, 32040.5, 32768, 44100, 48000, 48079.04, 65536, 131072, MaxRate}

func newResampler(t testing.TB, rate float64) *Resampler {
	t.Helper()
	r, err := NewResampler(rate)
	if errors.Is(err, ErrUnavailable) {
		t.Skip("SKIPPED:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

const amplitude = 16000

// sine makes n samples of a sine, left, and its negative, right. phase is that
// of the first one in turns; the next one's comes back.
func sine(n int, frequency, rate, phase float64) ([]int16, float64) {
	pcm := make([]int16, 0, 2*n)
	for range n {
		v := int16(math.Round(amplitude * math.Sin(2*math.Pi*phase)))
		pcm = append(pcm, v, -v)
		phase += frequency / rate
	}
	return pcm, phase
}

func TestNewResamplerRefuses(t *testing.T) {
	newResampler(t, 48000)
	for _, rate := range []float64{0, -48000, 7999, 400001, math.NaN(), math.Inf(1), math.Inf(-1), 1e300} {
		if r, err := NewResampler(rate); !errors.Is(err, ErrRate) || r != nil {
			t.Errorf("NewResampler(%v) = %v, %v, want ErrRate", rate, r, err)
		}
	}
}

func TestResamplerKeepsTheCount(t *testing.T) {
	for _, rate := range rates {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			r := newResampler(t, rate)
			in, out := 0, 0
			for in < int(3*rate) {
				n := int(rate/60) + in%3 // uneven, as cores are
				out += len(r.Process(nil, make([]int16, 2*n))) / 2
				in += n
			}
			if want := float64(in) * media.SampleRate / rate; math.Abs(float64(out)-want) > 2 {
				t.Errorf("%d samples became %d, want %.1f", in, out, want)
			}
		})
	}
}

func TestResamplerKeepsTones(t *testing.T) {
	for _, rate := range rates {
		for _, frequency := range []float64{100, 1000, 3000, 5000, 10000} {
			if frequency > 3*rate/8 { // and what is mirrored is next to it
				continue
			}
			t.Run(fmt.Sprintf("%v/%v", rate, frequency), func(t *testing.T) {
				r := newResampler(t, rate)
				src, _ := sine(int(rate), frequency, rate, 0)
				out := r.Process(nil, src)
				settled := out[9600:]
				db := purity(settled, frequency)
				t.Logf("%.1f dB", db)
				if db < 60 {
					t.Errorf("%.1f dB of tone over the rest, want 60", db)
				}
				for i := 0; i+1 < len(out); i += 2 {
					if sum := out[i] + out[i+1]; sum > 1 || sum < -1 {
						t.Fatalf("sample %d: %d and %d, want opposites", i/2, out[i], out[i+1])
					}
				}
			})
		}
	}
}

// purity is how many dB the given frequency is above everything else in the left channel.
func purity(pcm []int16, frequency float64) float64 {
	var ss, sc, cc, xs, xc, all float64
	for i := 0; i < len(pcm); i += 2 {
		s, c := math.Sincos(2 * math.Pi * frequency * float64(i/2) / media.SampleRate)
		x := float64(pcm[i])
		ss, sc, cc, xs, xc, all = ss+s*s, sc+s*c, cc+c*c, xs+x*s, xc+x*c, all+x*x
	}
	d := ss*cc - sc*sc
	tone := ((xs*cc-xc*sc)*xs + (xc*ss-xs*sc)*xc) / d // power of the best fit
	return 10 * math.Log10(tone/math.Max(all-tone, 1e-9))
}

func TestResamplerDelay(t *testing.T) {
	for _, rate := range rates {
		r := newResampler(t, rate)
		click := make([]int16, 2*int(rate/50))
		at := int(rate / 100)
		for i := at; i < at+max(1, int(rate/16000)); i++ {
			click[2*i] = 30000
		}
		out := r.Process(nil, click)
		peak := 0
		for i := 0; i < len(out); i += 2 {
			if out[i] > out[peak] {
				peak = i
			}
		}
		got := float64(peak/2)/media.SampleRate - float64(at)/rate
		want := r.Delay().Seconds()
		if math.Abs(got-want) > 0.0001 || (rate >= 22050 && r.Delay() > time.Millisecond) {
			t.Errorf("%v Hz: delay %.2f ms, Delay says %v", rate, got*1000, r.Delay())
		}
	}
}

// Full scale stays full scale and does not wrap around.
func TestResamplerClips(t *testing.T) {
	r := newResampler(t, 32000)
	src := make([]int16, 0, 6400)
	for i := range 3200 {
		v := int16(math.MaxInt16)
		if i/40%2 == 1 {
			v = math.MinInt16
		}
		src = append(src, v, v)
	}
	out := r.Process(nil, src)
	for i := 200; i+2 < len(out); i += 2 {
		if d := int(out[i+2]) - int(out[i]); d > 60000 || d < -60000 {
			t.Fatalf("sample %d jumps from %d to %d", i/2, out[i], out[i+2])
		}
	}
}

// A tone goes on while the rate bends each frame, also where the direction of
// resampling turns (48 kHz), where the filter gets longer and shorter (33/32,
// 41/32, 41/16), and where its table changes (96 and 192 kHz). A sine keeps
// x[n+1] = 2cos(w)x[n] - x[n-1]; a click breaks it.
func TestResamplerBendsSmoothly(t *testing.T) {
	for _, rate := range []float64{32040.5, 44100, 48000, 49500, 61500, 65536, 96000, 123000, 131072, 192000} {
		for _, frequency := range []float64{500, 3000} {
			t.Run(fmt.Sprintf("%v/%v", rate, frequency), func(t *testing.T) {
				r := newResampler(t, rate)
				var out, src []int16
				var phase, want float64
				for i := range 600 { // 10 s, half a percent up and down
					bent := rate * (1 + 0.005*math.Sin(float64(i)/40))
					if err := r.SetInRate(bent); err != nil {
						t.Fatal(err)
					}
					src, phase = sine(int(rate/60), frequency, bent, phase)
					out = r.Process(out, src)
					want += float64(len(src)/2) * media.SampleRate / bent
				}
				if got := float64(len(out) / 2); math.Abs(got-want) > 10 {
					t.Errorf("%v samples, want %.1f", got, want)
				}
				worst, at := largestClick(out[9600:], frequency)
				t.Logf("largest click %.1f of %d", worst, amplitude)
				if worst > amplitude/400 {
					t.Errorf("a click of %.1f at sample %d", worst, at)
				}
			})
		}
	}
}

// largestClick is how far the left channel is at most from going on as a sine of
// the given frequency does, and where.
func largestClick(pcm []int16, frequency float64) (worst float64, at int) {
	k := 2 * math.Cos(2*math.Pi*frequency/media.SampleRate)
	for i := 2; i+2 < len(pcm); i += 2 {
		if e := math.Abs(k*float64(pcm[i]) - float64(pcm[i-2]) - float64(pcm[i+2])); e > worst {
			worst, at = e, i/2
		}
	}
	return worst, at
}

// The detector hears what would be a click: a hundredth of the amplitude, or a
// tenth of a sample too much.
func TestLargestClick(t *testing.T) {
	out, phase := sine(1000, 3000, media.SampleRate, 0)
	more, _ := sine(1000, 3000, media.SampleRate, phase)
	if worst, _ := largestClick(append(out, more...), 3000); worst > amplitude/4000 {
		t.Errorf("a click of %.1f where there is none", worst)
	}
	more[300] += amplitude / 100
	if worst, at := largestClick(more, 3000); worst < amplitude/100 || at < 149 || at > 151 {
		t.Errorf("found %.1f at %d", worst, at)
	}
	more, _ = sine(1000, 3000, media.SampleRate, phase+3000./media.SampleRate/10)
	if worst, at := largestClick(append(out, more...), 3000); worst < amplitude/100 || at < 998 || at > 1001 {
		t.Errorf("found %.1f at %d", worst, at)
	}
}

// Whatever the order of bends, jumps and pieces, the count is kept and nothing is
// written but what was appended.
func TestResamplerStaysInBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 11))
	for _, rate := range rates {
		r := newResampler(t, rate)
		src := make([]int16, 1<<11)
		for i := range src {
			src[i] = 7777
		}
		buf := make([]int16, 1<<14)
		got, want := 0, 0.0
		for range 500 {
			var bent float64
			for range 1 + random.IntN(5) { // also several at once
				bent = min(max(rate*(0.976+random.Float64()*0.048), MinRate), MaxRate)
				if err := r.SetInRate(bent); err != nil {
					t.Fatal(err)
				}
			}
			n := random.IntN(len(src) / 2)
			room := 10 + random.IntN(len(buf)-10)
			out := r.Process(buf[:10:room], src[:n*2])
			got += len(out)/2 - 5
			want += float64(n) * media.SampleRate / bent
			if end := min(len(out), room); slices.Max(buf[:10]) != 0 || slices.Max(buf[end:]) != 0 || slices.Min(buf[end:]) != 0 {
				t.Fatalf("%v Hz: written outside of 10 to %d", bent, end)
			}
			clear(buf)
		}
		if math.Abs(float64(got)-want) > 10+want/1e5 {
			t.Errorf("%v Hz: %d samples, want %.1f", rate, got, want)
		}
	}
}

func TestSetInRateRefuses(t *testing.T) {
	r := newResampler(t, 32000)
	for _, rate := range []float64{0, -1, 7999, 1e9, math.NaN(), math.Inf(1)} {
		if err := r.SetInRate(rate); !errors.Is(err, ErrRate) {
			t.Errorf("SetInRate(%v) = %v, want ErrRate", rate, err)
		}
	}
	if n := len(r.Process(nil, make([]int16, 64000))) / 2; n < 47990 || n > 48010 {
		t.Errorf("a second became %d samples: a bad rate was taken", n)
	}
}

// A core may announce quite another rate while it runs.
func TestSetInRateJumps(t *testing.T) {
	r := newResampler(t, 32000)
	for _, rate := range append(rates, rates[0]) {
		if err := r.SetInRate(rate); err != nil {
			t.Fatal(err)
		}
		n := len(r.Process(nil, make([]int16, 2*int(rate)))) / 2
		if math.Abs(float64(n)-media.SampleRate) > 400 { // what the filter held is of the old rate
			t.Errorf("a second at %v Hz became %d samples", rate, n)
		}
	}
}

func TestProcessOddities(t *testing.T) {
	r := newResampler(t, 48000)
	if got := r.Process([]int16{1, 2}, nil); len(got) != 2 {
		t.Errorf("nothing became %d values", len(got)-2)
	}
	if got := r.Process([]int16{1, 2}, []int16{5}); len(got) != 2 {
		t.Errorf("half a sample became %d values", len(got)-2)
	}
	got := r.Process([]int16{1, 2}, make([]int16, 201))
	if got[0] != 1 || got[1] != 2 || len(got) < 2+190 || len(got) > 2+202 {
		t.Errorf("100 samples became %d values after %v", len(got)-2, got[:2])
	}
}

func TestResamplerClose(t *testing.T) {
	r := newResampler(t, 48000)
	for range 2 {
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.Process([]int16{1, 2}, make([]int16, 100)); len(got) != 2 {
		t.Error("Process after Close appends")
	}
	if err := r.SetInRate(44100); !errors.Is(err, ErrClosed) {
		t.Errorf("SetInRate after Close: %v, want ErrClosed", err)
	}
}

func TestResamplerDoesNotAllocate(t *testing.T) {
	r := newResampler(t, 32040.5)
	src, _ := sine(534, 440, 32040.5, 0)
	dst := make([]int16, 0, 2000)
	bend := 0.0
	allocs := testing.AllocsPerRun(200, func() {
		bend += 0.1
		if err := r.SetInRate(32040.5 + bend); err != nil {
			t.Fatal(err)
		}
		r.Process(dst, src)
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
}

func FuzzResampler(f *testing.F) {
	f.Add(48000.0, 44100.0, 800)
	f.Add(8000.0, 384000.0, 1)
	f.Fuzz(func(t *testing.T, first, second float64, n int) {
		if n < 0 || n > 4096 {
			return
		}
		r, err := NewResampler(first)
		if err != nil {
			return
		}
		defer r.Close()
		src := make([]int16, n)
		before := len(r.Process(nil, src))
		err = r.SetInRate(second)
		after := len(r.Process(nil, src))
		limit := (n + 2) * media.SampleRate / MinRate
		if before > limit || after > limit || (err == nil) != (second >= MinRate && second <= MaxRate) {
			t.Errorf("%d values became %d, then %d; %v", n, before, after, err)
		}
	})
}

func BenchmarkResampler(b *testing.B) {
	for _, rate := range []float64{32040.5, 32768, 44100, 48079.04, 65536, 131072, 380000} {
		b.Run(fmt.Sprint(rate), func(b *testing.B) {
			r := newResampler(b, rate)
			src, _ := sine(int(rate/60), 440, rate, 0)
			dst := make([]int16, 0, 4096)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if err := r.SetInRate(rate * (1 + float64(i%5)/10000)); err != nil { // bent each frame
					b.Fatal(err)
				}
				r.Process(dst, src)
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)*60*1000, "ms/s")
		})
	}
}
