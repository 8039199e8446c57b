package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudretro/cloudretro/worker/library/builtin"
)

// usage is what a process has used, from /proc.
type usage struct {
	cpu      time.Duration // user and system
	rss, pss int           // KiB
	switches int           // voluntary context switches of all threads
}

func readUsage(tb testing.TB, pid int) usage {
	tb.Helper()
	read := func(name string) string {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			tb.Fatal(err)
		}
		return string(data)
	}
	stat := read("stat")
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+2:])
	var u usage
	for _, f := range fields[11:13] { // utime, stime in ticks of 10 ms
		n, _ := strconv.Atoi(f)
		u.cpu += time.Duration(n) * 10 * time.Millisecond
	}
	rollup := read("smaps_rollup")
	u.rss, u.pss = lineValue(rollup, "Rss:"), lineValue(rollup, "Pss:")
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	for _, task := range tasks {
		if data, err := os.ReadFile(task); err == nil {
			u.switches += lineValue(string(data), "voluntary_ctxt_switches:")
		}
	}
	return u
}

func lineValue(text, key string) int {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// BenchmarkCoreProcess runs a core process in real time, an iteration is a
// second of it, and reports what it and the worker's side of it cost, in percent
// of one processor, and how long after it was due a frame reached the Sink. Run it as: go test -run - -bench CoreProcess -benchtime 10x
func BenchmarkCoreProcess(b *testing.B) {
	needCodecs(b)
	for _, scale := range []int{1, 2} {
		spec := Spec{Kind: KindTestCard, Video: VideoSpec{Scale: scale}}
		b.Run(fmt.Sprintf("testcard/%dx", scale), func(b *testing.B) { benchmarkProcess(b, spec) })
		if spec, ok := installedGame(b); ok {
			spec.Video.Scale = scale
			b.Run(fmt.Sprintf("%s/%dx", filepath.Base(spec.Core), scale), func(b *testing.B) { benchmarkProcess(b, spec) })
		}
	}
}

// BenchmarkStart measures the time from Run to the first picture.
func BenchmarkStart(b *testing.B) {
	needCodecs(b)
	specs := map[string]Spec{"testcard": {Kind: KindTestCard}}
	if spec, ok := installedGame(b); ok {
		specs[filepath.Base(spec.Core)] = spec
	}
	for name, spec := range specs {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				r := startRig(b, Config{}, spec)
				r.rec.wait(b, "a picture", func() bool { return len(r.rec.frames) > 0 })
				b.StopTimer()
				r.stop()
				b.StartTimer()
			}
		})
	}
}

func benchmarkProcess(b *testing.B, spec Spec) {
	r := startRig(b, Config{}, spec)
	r.rec.forget = true
	r.rec.wait(b, "the first second", func() bool { return r.rec.count > 60 })
	before, own, stats, began := readUsage(b, r.Pid()), readUsage(b, os.Getpid()), r.Stats(), time.Now()
	b.ResetTimer()
	time.Sleep(time.Duration(b.N) * time.Second) // what is measured is real time
	b.StopTimer()
	after, ownAfter, statsAfter, took := readUsage(b, r.Pid()), readUsage(b, os.Getpid()), r.Stats(), time.Since(began)
	b.ReportMetric(100*float64(after.cpu-before.cpu)/float64(took), "%child")
	b.ReportMetric(100*float64(ownAfter.cpu-own.cpu)/float64(took), "%worker")
	b.ReportMetric(float64(after.rss)/1024, "MB-rss")
	b.ReportMetric(float64(after.pss)/1024, "MB-pss")
	b.ReportMetric(float64(after.switches-before.switches)/took.Seconds(), "switches/s")
	if n := float64(statsAfter.Frames - stats.Frames); n > 0 {
		b.ReportMetric(float64(statsAfter.Stats.EncodeTime-stats.Stats.EncodeTime)/n/1000, "us-encode")
		b.ReportMetric(float64(statsAfter.ConvertTime-stats.ConvertTime)/n/1000, "us-convert")
		b.ReportMetric(float64(statsAfter.RunTime-stats.RunTime)/n/1000, "us-run")
		b.ReportMetric(float64(statsAfter.AudioTime-stats.AudioTime)/n/1000, "us-audio")
		b.ReportMetric(float64(statsAfter.FrameBytes-stats.FrameBytes)*8/took.Seconds()/1000, "kbit/s")
	}
	r.stop()
	slices.Sort(r.rec.delays)
	b.ReportMetric(float64(r.rec.delays[len(r.rec.delays)/2])/1e6, "ms-p50")
	b.ReportMetric(float64(r.rec.delays[len(r.rec.delays)*99/100])/1e6, "ms-p99")
	b.ReportMetric(0, "ns/op")
}

// installedCores returns the core libraries of this host whose name matches.
func installedCores(name string) []string {
	var out []string
	for _, folder := range []string{"/usr/lib/*/libretro", "/usr/lib/libretro", "/usr/local/lib/libretro"} {
		found, _ := filepath.Glob(filepath.Join(folder, name+"_libretro.so"))
		out = append(out, found...)
	}
	return out
}

// installedGame returns a game to run on a real core, if there is one: the
// built-in game on nestopia, or a .gba file in the folder that
// CLOUDRETRO_TEST_GAMES names on mgba.
func installedGame(tb testing.TB) (Spec, bool) {
	tb.Helper()
	spec := Spec{Kind: KindLibretro, SaveDir: tb.TempDir()}
	if cores := installedCores("nestopia"); len(cores) > 0 {
		spec.Core, spec.Builtin = cores[0], builtin.Games()[0].ID
		return spec, true
	}
	folder := os.Getenv("CLOUDRETRO_TEST_GAMES")
	games, _ := filepath.Glob(filepath.Join(folder, "*.gba"))
	cores := installedCores("mgba")
	if folder == "" || len(games) == 0 || len(cores) == 0 {
		return Spec{}, false
	}
	spec.Core, spec.Game = cores[0], games[0]
	return spec, true
}
