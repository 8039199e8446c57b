package main

import (
	"runtime"
	"runtime/debug"
)

// release is set by the linker: -ldflags "-X main.release=v1.2.3".
var release string //nolint:gochecknoglobals // the linker can set nothing else

// version is what cloudretro version prints: release or revision, toolchain
// and whether this build can emulate.
func version() string {
	text := "cloudretro " + revision()
	if err := engineAvailable(); err != nil {
		return text + " " + runtime.Version() + " without worker"
	}
	return text + " " + runtime.Version()
}

// revision is the best name of this build there is.
func revision() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "+changes"
		}
	}
	if commit != "" {
		return commit + dirty
	}
	return info.Main.Version // "(devel)" when nothing is known
}
