package library

import (
	"os"
	"path/filepath"
	"strings"
)

// DefaultCoreDirs are the folders in which cores lie: what an administrator
// put there, then Debian's multiarch folders, then those of other systems.
func DefaultCoreDirs() []string {
	dirs := []string{"/usr/local/lib/libretro"}
	if multiarch, err := filepath.Glob("/usr/lib/*-linux-gnu*/libretro"); err == nil {
		dirs = append(dirs, multiarch...)
	}
	return append(dirs, "/usr/lib/libretro", "/usr/lib64/libretro")
}

// findCore is the path of a core, "" if there is none.
func findCore(dirs []string, lib string) string {
	file := lib
	if !strings.HasSuffix(file, ".so") {
		file += ".so"
	}
	if strings.ContainsRune(lib, '/') {
		dirs = []string{""}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, file)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return ""
}

// debianPackage is the package of Debian that a core is in.
func debianPackage(lib string) string {
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(lib), ".so"), "_libretro")
	name = strings.ReplaceAll(name, "mednafen_", "beetle-")
	return "libretro-" + strings.ReplaceAll(name, "_", "-")
}
