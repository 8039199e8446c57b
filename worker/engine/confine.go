package engine

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/cloudretro/cloudretro/worker/engine/sandbox"
)

// processLimits are those of a core process. Memory is what a core may take
// beyond the codecs: the largest systems of libretro's catalogue that run
// without a graphics card stay below half of it.
func processLimits() sandbox.Limits {
	return sandbox.Limits{Memory: 1 << 30, Files: 256, FileSize: 256 << 20}
}

// systemPaths are what programs of a Linux distribution read: libraries, also
// those that codecs load later, and what libc and Go's runtime ask the kernel.
// /etc and /home are not among them: they hold secrets.
func systemPaths() []string {
	return []string{
		"/usr", "/lib", "/lib32", "/lib64", "/opt", "/nix/store", "/gnu/store",
		"/etc/ld.so.cache", "/etc/ld.so.preload", "/etc/localtime", "/etc/ld-musl-x86_64.path", "/etc/ld-musl-aarch64.path",
		"/proc", "/sys/devices/system", "/sys/kernel/mm", "/sys/fs/cgroup",
		"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom",
	}
}

// reachable are the files that a core process for spec may reach, program
// being what is executed.
func reachable(program string, spec *Spec) sandbox.Files {
	files := sandbox.Files{Program: program, Read: append(systemPaths(), ownFiles()...), Write: []string{"/dev/null"}}
	for _, path := range []string{spec.Core, spec.Game} {
		if path == "" {
			continue
		}
		files.Read = append(files.Read, path, filepath.Dir(path)) // libraries and disks beside it
		if target, err := filepath.EvalSymlinks(path); err == nil && target != path {
			files.Read = append(files.Read, filepath.Dir(target))
		}
	}
	if spec.SystemDir != "" {
		files.Read = append(files.Read, spec.SystemDir)
	}
	if spec.SaveDir != "" {
		files.Write = append(files.Write, spec.SaveDir)
	}
	return files
}

// ownFiles are the files that the worker itself was loaded from: the child is
// the same program and needs the same libraries, wherever they lie.
func ownFiles() []string {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	return mappedFiles(string(maps))
}

// mappedFiles finds the files in the text of /proc/PID/maps (man 5 proc), each once.
func mappedFiles(maps string) (files []string) {
	seen := make(map[string]bool)
	for line := range strings.Lines(maps) {
		at := strings.IndexByte(line, '/')
		if at < 0 {
			continue
		}
		path := strings.TrimSuffix(line[at:], "\n")
		if !seen[path] && !strings.HasPrefix(path, "/memfd:") && !strings.HasPrefix(path, "/dev/") {
			seen[path] = true
			files = append(files, path)
		}
	}
	return files
}
