// Package sandbox takes from a core process every right that no core needs,
// before any line of the core runs.
//
// It has two halves, because Linux has. Thread works on the thread of the
// worker from which the core process is started: what cannot be taken from all
// threads of a running program at once (files, by Landlock; capabilities; new
// privileges) is taken from that one thread, and the process inherits it.
// Process works in the core process itself: a seccomp filter for all its threads
// and limits of its resources.
//
// Each part works without the others, needs no privileges, and its absence is
// no error but a line in a Report: an older kernel or a strict container leaves
// less of it.
package sandbox

import "strings"

// Files are the paths that a process may reach. Folders stand for everything
// below them. Paths that do not exist are left out.
type Files struct {
	Program string   // that is executed; without it Files are not enforced
	Read    []string // files and folders
	Write   []string // folders; read, write, make and remove, but no links, devices or sockets
}

// Limits are the resources of a process.
type Limits struct {
	Memory   uint64 // bytes of private memory beyond what it has now
	Files    uint64 // open at once
	FileSize uint64 // bytes of each file that it writes
}

// Report names what could not be enforced, with the cause; empty = nothing.
type Report []string

func (r *Report) add(what string, err error) {
	if err != nil {
		*r = append(*r, what+": "+err.Error())
	}
}

// String joins the lines of the report.
func (r Report) String() string { return strings.Join(r, "; ") }
