package sandbox

import "golang.org/x/sys/unix"

// Thread confines the calling OS thread, to which its goroutine must be locked
// for good, and so each process that is started from it.
func Thread(files Files) Report {
	var r Report
	noNew := noNewPrivileges()
	r.add("no new privileges", noNew)
	r.add("capabilities", dropCapabilities())
	r.add("landlock", restrictFiles(files)) // needs no new privileges
	return r
}

// Process confines all threads of the calling process, also later ones. It is
// called once, when everything that it forbids has been done.
func Process(limits Limits) Report {
	var r Report
	r.add("limits", limits.set())
	if err := noNewPrivileges(); err != nil { // as a rule inherited already
		r.add("no new privileges", err)
	}
	r.add("seccomp", installFilter())
	return r
}

func noNewPrivileges() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }
