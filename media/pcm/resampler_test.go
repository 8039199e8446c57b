package pcm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/media"
)

// Rates of real cores, and the limits.
var rates = []float64{MinRate, 22050, 31440, 32040.5, 32768, 44100, 48000, 48079.04, 65536, 131072, MaxRate}

func newResampler(t testing.TB, rate float64) *Resampler {
	t.Helper()
	r, err := NewResampler(rate)
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
	for _, rate := range []float64{0, -48000, 7999, 384001, math.NaN(), math.Inf(1), math.Inf(-1), 1e300} {
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
		for _, frequency := range []float64{100, 1000, 3000} {
			t.Run(fmt.Sprintf("%v/%v", rate, frequency), func(t *testing.T) {
				r := newResampler(t, rate)
				src, _ := sine(int(rate), frequency, rate, 0)
				out := r.Process(nil, src)
				settled := out[9600:]
				if db := purity(settled, frequency); db < 60 {
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

// The vectors and the plain loop compute the same.
func TestConvolveIsPlain(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	for _, ratio := range []float64{0.2, 0.667, 1, 1.37, 8} {
		k := newKernel(ratio)
		left, right := make([]float32, 600), make([]float32, 600)
		for i := range left {
			left[i], right[i] = float32(random.IntN(1<<16)-1<<15), float32(random.IntN(1<<16)-1<<15)
		}
		step := uint64(ratio * (1 << 32))
		n := int((uint64(len(left)-k.taps) << 32) / step)
		got, want := make([]int16, 2*n), make([]int16, 2*n)
		convolve(&k, left, right, got, 12345, step)
		convolvePlain(&k, left, right, want, 12345, step)
		for i := range want {
			if d := int(got[i]) - int(want[i]); d > 1 || d < -1 {
				t.Fatalf("ratio %v: value %d is %d, want %d", ratio, i, got[i], want[i])
			}
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

// A tone goes on while the rate bends, also where the direction of resampling
// turns (48 kHz). A sine keeps x[n+1] = 2cos(w)x[n] - x[n-1]; a click breaks it.
func TestResamplerBendsSmoothly(t *testing.T) {
	for _, rate := range []float64{32040.5, 44100, 48000, 65536} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			const frequency = 500
			r := newResampler(t, rate)
			var out, src []int16
			var phase, want float64
			for i := range 600 { // 10 s, half a percent up and down
				bent := rate * (1 + 0.005*math.Sin(float64(i)/40))
				if err := r.SetInRate(bent); err != nil {
					t.Fatal(err)
				}
				src, phase = sine(800, frequency, bent, phase)
				out = r.Process(out, src)
				want += 800 * media.SampleRate / bent
			}
			if got := float64(len(out) / 2); math.Abs(got-want) > 10 {
				t.Errorf("%v samples, want %.1f", got, want)
			}
			k := 2 * math.Cos(2*math.Pi*frequency/media.SampleRate)
			worst, at := 0.0, 0
			for i := 9600; i+2 < len(out); i += 2 {
				if e := math.Abs(k*float64(out[i]) - float64(out[i-2]) - float64(out[i+2])); e > worst {
					worst, at = e, i/2
				}
			}
			t.Logf("largest step %.1f of %d", worst, amplitude)
			if worst > amplitude/200 {
				t.Errorf("a click of %.1f at sample %d", worst, at)
			}
		})
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
	for _, rate := range []float64{32040.5, 32768, 44100, 48079.04, 65536, 131072} {
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
