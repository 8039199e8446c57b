package worker

import "github.com/cloudretro/cloudretro/worker/library"

// builtins are the games that come with the binary.
func builtins() []library.Builtin { return nil }
