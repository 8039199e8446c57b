package engine

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloudretro/cloudretro/worker/libretro/libretrotest"
)

// try runs the test core, lets it make each attempt at a frame of its own and
// returns how they ended. The game must play on after the last.
func try(t *testing.T, spec Spec, attempts ...string) map[string]syscall.Errno {
	t.Helper()
	const first = 10
	lines := make([]string, 0, len(attempts))
	for i, a := range attempts {
		lines = append(lines, fmt.Sprintf("try_at=%d:%s", first+i, a))
	}
	spec.Game = libretrotest.WriteGame(t, lines...)
	r := startRig(t, Config{}, spec)
	holes := r.info(t).Unconfined
	for _, part := range []string{"seccomp:", "landlock:", "limits:", "no new privileges:"} {
		if strings.Contains(holes, part) {
			t.Skip("SKIPPED, the sandbox of this host has holes: ", holes)
		}
	}
	r.rec.wait(t, "frames after the last attempt", func() bool { return len(r.rec.frames) > first+len(attempts)+60 })
	r.stop()
	outcomes := make(map[string]syscall.Errno)
	for _, ev := range r.rec.events {
		if ev.Kind == EventRestarting {
			t.Errorf("it ended: %s", ev.Text)
		}
		if text, ok := strings.CutPrefix(ev.Text, "try "); ok {
			var errno int
			at := strings.LastIndex(text, ": ")
			if _, err := fmt.Sscan(text[at+2:], &errno); err != nil {
				t.Fatalf("message %q", ev.Text)
			}
			outcomes[text[:at]] = syscall.Errno(errno)
		}
	}
	return outcomes
}

// expect runs attempts and compares what came of each.
func expect(t *testing.T, spec Spec, want map[string]syscall.Errno) {
	t.Helper()
	got := try(t, spec, slices.Sorted(maps.Keys(want))...)
	for attempt, errno := range want {
		if outcome, ok := got[attempt]; !ok {
			t.Errorf("%s: no answer", attempt)
		} else if outcome != errno {
			t.Errorf("%s: %v, want %v", attempt, outcome, errno)
		}
	}
}

func TestSandboxRefusesWhatNoCoreNeeds(t *testing.T) {
	t.Parallel()
	expect(t, script(t), map[string]syscall.Errno{
		"exec":        unix.EPERM,
		"fork":        unix.EPERM,
		"clone3":      unix.ENOSYS,
		"thread":      0,
		"socket":      unix.EPERM,
		"connect":     unix.EPERM,
		"sendmsg":     unix.EPERM,
		"constructor": unix.EPERM, // a socket, while the library is loaded
		"int80":       unix.EPERM,
		"ptrace":      unix.EPERM,
		"peek":        unix.EACCES,
		"kill_parent": unix.EPERM,
		"kill_self":   0,
		"sigio":       unix.EPERM,
		"pdeathsig":   unix.EPERM,
		"alloc:100":   0,
		"alloc:512":   0,
		"alloc:2048":  unix.ENOMEM,
		"files":       unix.EMFILE,
		"raise_limit": unix.EPERM,
	})
}

func TestSandboxRefusesSystemCalls(t *testing.T) {
	t.Parallel()
	want := make(map[string]syscall.Errno)
	for _, call := range []int{
		unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_SOCKETPAIR, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
		unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
		unix.SYS_TKILL, unix.SYS_TGKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_SETPRIORITY, unix.SYS_SCHED_SETAFFINITY,
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_OPEN_TREE,
		unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT, unix.SYS_SWAPON,
		unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
		unix.SYS_PERSONALITY, unix.SYS_QUOTACTL, unix.SYS_ACCT, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX,
		unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET, unix.SYS_SHMGET, unix.SYS_MSGGET, unix.SYS_SEMGET,
		unix.SYS_FCHMODAT, unix.SYS_FCHOWNAT, unix.SYS_SETXATTR, unix.SYS_MKNODAT, unix.SYS_SYSLOG, unix.SYS_SETHOSTNAME,
	} {
		want[fmt.Sprintf("call:%d", call)] = unix.EPERM
	}
	want[fmt.Sprintf("call:%d", unix.SYS_OPENAT2)] = unix.ENOSYS
	want["call:500"] = unix.ENOSYS                           // of a later kernel
	want[fmt.Sprintf("call:%d", 0x40000000|1)] = unix.ENOSYS // of the x32 interface
	expect(t, script(t), want)
}

func TestSandboxRestrictsFiles(t *testing.T) {
	t.Parallel()
	spec := script(t)
	other, keep := t.TempDir(), "keep"
	for _, dir := range []string{other, spec.SaveDir, spec.SystemDir} {
		if err := os.WriteFile(filepath.Join(dir, keep), []byte("content"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	saves, system := spec.SaveDir+"/", spec.SystemDir+"/"
	expect(t, spec, map[string]syscall.Errno{
		"write:" + saves + "new":              0,
		"read:" + saves + keep:                0,
		"list:" + saves:                       0,
		"remove:" + saves + keep:              0,
		"link:" + saves + "link":              unix.EACCES,
		"chmod:" + saves + "new":              unix.EPERM,
		"read:" + system + keep:               0,
		"write:" + system + keep:              unix.EACCES,
		"write:" + system + "new":             unix.EACCES,
		"remove:" + system + keep:             unix.EACCES,
		"truncate:" + system + keep:           unix.EPERM,
		"read:" + other + "/" + keep:          unix.EACCES,
		"list:" + other:                       unix.EACCES,
		"read:/etc/passwd":                    unix.EACCES,
		"list:/":                              unix.EACCES,
		"list:/home":                          unix.EACCES,
		"write:/usr/cloudretro-test":          unix.EACCES,
		"write:/tmp/cloudretro-test":          unix.EACCES,
		"write:/proc/self/oom_score_adj":      unix.EACCES,
		"read:/proc/self/smaps":               0,
		"read:/dev/urandom":                   0,
		"read:/sys/devices/system/cpu/online": 0,
	})
	if data, err := os.ReadFile(system + keep); err != nil || string(data) != "content" {
		t.Errorf("the system folder's file is %q, %v", data, err)
	}
}

// A core without a folder for saves writes nowhere.
func TestSandboxWithoutSaveDir(t *testing.T) {
	t.Parallel()
	spec := script(t)
	folder := spec.SaveDir
	spec.SaveDir = ""
	expect(t, spec, map[string]syscall.Errno{"write:" + folder + "/new": unix.EACCES})
}

// The encoder is opened anew, its library perhaps too, when the picture changes.
func TestSandboxAndChangesOfThePicture(t *testing.T) {
	t.Parallel()
	for _, library := range []string{"x264", "openh264"} {
		t.Run(library, func(t *testing.T) {
			t.Parallel()
			spec := script(t, "geometry_at=20:64x48", "geometry_at=40:320x240", "geometry_at=60:8x8", "geometry_at=80:256x224")
			spec.Video.Library = library
			r := startRig(t, Config{}, spec)
			r.rec.wait(t, "frames or an error", func() bool { return len(r.rec.frames) >= 120 || r.rec.has(EventFailed)() })
			r.stop()
			if ev, ok := r.rec.event(EventFailed); ok {
				t.Skip("SKIPPED: ", ev.Text)
			}
			if last := r.rec.frames[len(r.rec.frames)-1]; last.Width != 512 {
				t.Errorf("the last picture is %d wide", last.Width)
			}
		})
	}
}

// Every installed core plays, and goes on from its snapshot after a crash.
func TestSandboxAndInstalledCores(t *testing.T) {
	needCodecs(t)
	cores := installedCores("*")
	if len(cores) == 0 {
		t.Skip("SKIPPED: no cores: apt-get install libretro-nestopia")
	}
	slots := make(chan struct{}, 2) // more at once would be a test of the host
	for _, core := range cores {
		t.Run(filepath.Base(core), func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			spec, ok := gameFor(t, core)
			if !ok {
				t.Skip("SKIPPED: no game for it; CLOUDRETRO_TEST_GAMES names a folder of them")
			}
			r := startRig(t, Config{}, spec)
			r.frames(t, 300)
			r.rec.wait(t, "a snapshot", func() bool { return r.Stats().Snapshots >= 2 })
			if err := syscall.Kill(r.Pid(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			r.rec.wait(t, "frames after a restart", func() bool { return r.rec.afterRestart > 60 })
			r.stop()
			ev, _ := r.rec.event(EventRestarted)
			if ev.Info.Snapshot == 0 {
				t.Error("it began anew")
			}
			t.Logf("%s, sandbox without %q", ev.Info.CoreName, ev.Info.Unconfined)
		})
	}
}

func TestCoreProcessIsEndedFirst(t *testing.T) {
	r := startRig(t, Config{}, Spec{Kind: KindTestCard})
	holes := r.info(t).Unconfined
	if score := strings.TrimSpace(proc(t, r.Pid(), "oom_score_adj")); score != "500" {
		t.Errorf("oom_score_adj is %s", score)
	}
	status := proc(t, r.Pid(), "status")
	if !strings.Contains(holes, "seccomp:") && !strings.Contains(status, "Seccomp:\t2") {
		t.Errorf("no filter:\n%s", status)
	}
	for line := range strings.Lines(status) {
		if set, ok := strings.CutPrefix(line, "CapEff:\t"); ok && os.Geteuid() == 0 && !strings.Contains(holes, "capabilities:") && strings.TrimSpace(set) != "0000000000000006" {
			t.Errorf("effective capabilities %s", set)
		}
	}
}

// What the host lacks is told, and logged once.
func TestUnconfinedIsTold(t *testing.T) {
	var s session
	s.engine = &Engine{cfg: Config{}}
	log := &logBuffer{}
	s.engine.cfg.Logger = debugLogger(log)
	p := &process{unconfined: []string{"landlock: no"}}
	s.info.Unconfined = "seccomp: no"
	for s.generation = range 3 {
		s.info.Unconfined = "seccomp: no"
		p.unconfined = p.unconfined[:1]
		s.judge(p)
	}
	if s.info.Unconfined != "landlock: no; seccomp: no" {
		t.Errorf("told %q", s.info.Unconfined)
	}
	if n := strings.Count(log.String(), "landlock: no; seccomp: no"); n != 1 {
		t.Errorf("%d lines:\n%s", n, log)
	}
}

func TestReachable(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real", "game.nes")
	link := filepath.Join(dir, "games", "game.nes")
	err := errors.Join(os.Mkdir(filepath.Dir(real), 0o700), os.Mkdir(filepath.Dir(link), 0o700), os.WriteFile(real, nil, 0o600), os.Symlink(real, link))
	if err != nil {
		t.Fatal(err)
	}
	files := reachable("/program", &Spec{Core: "/cores/a.so", Game: link, SystemDir: "/bios", SaveDir: "/saves"})
	for _, want := range []string{"/usr", "/cores", "/cores/a.so", link, filepath.Dir(link), filepath.Dir(real), "/bios"} {
		if !slices.Contains(files.Read, want) {
			t.Errorf("%s is not readable: %v", want, files.Read)
		}
	}
	for _, bad := range []string{"", ".", "/", "/etc", "/home"} {
		if slices.Contains(files.Read, bad) {
			t.Errorf("%q is readable", bad)
		}
	}
	// Where Kubernetes puts tokens and our configuration, and what else a pod has.
	for _, secret := range []string{"/run/secrets/a/token", "/var/run/secrets/a/token", "/etc/cloudretro/config.yaml", "/etc/shadow", "/data/saves/b", "/tmp/c"} {
		for _, path := range files.Read {
			if path == secret || strings.HasPrefix(secret, strings.TrimSuffix(path, "/")+"/") {
				t.Errorf("%s is readable by %s", secret, path)
			}
		}
	}
	if files.Program != "/program" || !slices.Equal(files.Write, []string{"/dev/null", "/saves"}) {
		t.Errorf("%+v", files)
	}
	if files := reachable("/program", &Spec{}); !slices.Equal(files.Write, []string{"/dev/null"}) {
		t.Errorf("it may write to %v", files.Write)
	}
}

func TestMappedFiles(t *testing.T) {
	got := mappedFiles("1-2 r-xp 0 fe:00 1 /usr/lib/a b.so\n2-3 rw-p 0 fe:00 1 /usr/lib/a b.so\n" +
		"3-4 rw-p 0 00:00 0 \n4-5 rw-p 0 00:00 0 [heap]\n5-6 rw-s 0 00:01 5 /memfd:x (deleted)\n6-7 r--p 0 fe:00 2 /opt/c.so\n")
	if !slices.Equal(got, []string{"/usr/lib/a b.so", "/opt/c.so"}) {
		t.Errorf("got %q", got)
	}
	if own := ownFiles(); len(own) == 0 {
		t.Error("this program has no files")
	}
}
