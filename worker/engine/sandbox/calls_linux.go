//go:build linux && (amd64 || arm64)

package sandbox

import (
	"slices"

	"golang.org/x/sys/unix"
)

// lastCall is the last system call that this list was written with.
const lastCall = unix.SYS_MSEAL

// corePolicy refuses what no core needs, in a process of the given pid.
func corePolicy(pid uint32) policy {
	p := policy{arch: auditArch, last: lastCall}
	for _, call := range slices.Concat(
		processCalls(), socketCalls(), strangerCalls(), systemCalls(), fileCalls(), legacyCalls(),
	) {
		p.rules = append(p.rules, rule{call: call, errno: unix.EPERM})
	}
	p.rules = append(p.rules, argumentRules(pid)...)
	p.rules = append(p.rules, legacyRules()...)
	return p
}

// processCalls make other programs, or change who the process is and what it may use.
func processCalls() []uint32 {
	return []uint32{
		unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PERSONALITY, unix.SYS_SETRLIMIT,
		unix.SYS_SETUID, unix.SYS_SETGID, unix.SYS_SETREUID, unix.SYS_SETREGID, unix.SYS_SETRESUID, unix.SYS_SETRESGID,
		unix.SYS_SETFSUID, unix.SYS_SETFSGID, unix.SYS_SETGROUPS, unix.SYS_CAPSET, unix.SYS_SETPGID, unix.SYS_SETSID,
		unix.SYS_SETNS, unix.SYS_UNSHARE,
	}
}

// socketCalls make sockets or pass files through them. A socket that is open
// can be read and written like a file.
func socketCalls() []uint32 {
	return []uint32{
		unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_BIND, unix.SYS_CONNECT, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
		unix.SYS_SENDTO, unix.SYS_SENDMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMSG, unix.SYS_RECVMMSG, unix.SYS_SETSOCKOPT,
	}
}

// strangerCalls reach into other processes.
func strangerCalls() []uint32 {
	return []uint32{
		unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PROCESS_MADVISE, unix.SYS_PROCESS_MRELEASE,
		unix.SYS_KCMP, unix.SYS_PIDFD_OPEN, unix.SYS_PIDFD_GETFD, unix.SYS_PIDFD_SEND_SIGNAL,
		unix.SYS_TKILL, unix.SYS_RT_SIGQUEUEINFO, unix.SYS_RT_TGSIGQUEUEINFO,
		unix.SYS_SETPRIORITY, unix.SYS_IOPRIO_SET, unix.SYS_SCHED_SETSCHEDULER, unix.SYS_SCHED_SETPARAM, unix.SYS_SCHED_SETATTR,
		unix.SYS_SCHED_SETAFFINITY, unix.SYS_MIGRATE_PAGES, unix.SYS_MOVE_PAGES,
		unix.SYS_MSGGET, unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_MSGCTL, unix.SYS_SEMGET, unix.SYS_SEMOP, unix.SYS_SEMTIMEDOP,
		unix.SYS_SEMCTL, unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SHMCTL, unix.SYS_MQ_OPEN, unix.SYS_MQ_UNLINK, unix.SYS_MQ_NOTIFY,
	}
}

// systemCalls concern the host, or parts of the kernel that no game is in need of.
func systemCalls() []uint32 {
	return []uint32{
		unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN,
		unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR, unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT,
		unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY,
		unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_KEXEC_LOAD, unix.SYS_KEXEC_FILE_LOAD,
		unix.SYS_REBOOT, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_SYSLOG, unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD,
		unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME,
		unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP, unix.SYS_NFSSERVCTL, unix.SYS_LOOKUP_DCOOKIE,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_VMSPLICE,
		unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK, unix.SYS_LSM_SET_SELF_ATTR,
	}
}

// fileCalls change files in ways that Landlock does not see, or open them past it.
func fileCalls() []uint32 {
	return []uint32{
		unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_MKNODAT, unix.SYS_TRUNCATE,
		unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT,
		unix.SYS_SETXATTR, unix.SYS_LSETXATTR, unix.SYS_FSETXATTR,
		unix.SYS_REMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_FREMOVEXATTR,
	}
}

// fioSetOwn is FIOSETOWN of asm/sockios.h.
const fioSetOwn = 0x8901

const whole = ^uint32(0)

// is hits if the low word of an argument has this value.
func is(argument int, value uint32) check { return check{word(2 * argument), whole, value, true} }

// isNot hits if the low word of an argument has another value.
func isNot(argument int, value uint32) check { return check{word(2 * argument), whole, value, false} }

// argumentRules are about calls that are needed, but not in every way.
func argumentRules(pid uint32) []rule {
	return []rule{
		// Threads, not processes. The flags of clone3 lie in memory, where a
		// filter cannot look; without it the C library takes clone.
		{unix.SYS_CLONE, unix.EPERM, []check{{0, unix.CLONE_THREAD, 0, true}}},
		{unix.SYS_CLONE3, unix.ENOSYS, nil},
		// Signals to itself: Go's runtime and abort(3) send them.
		{unix.SYS_KILL, unix.EPERM, []check{isNot(0, pid)}},
		{unix.SYS_TGKILL, unix.EPERM, []check{isNot(0, pid)}},
		// Signals to others by way of a file.
		{unix.SYS_FCNTL, unix.EPERM, []check{is(1, unix.F_SETOWN), is(1, unix.F_SETOWN_EX), is(1, unix.F_SETSIG)}},
		{unix.SYS_IOCTL, unix.EPERM, []check{
			is(1, fioSetOwn), is(1, unix.SIOCSPGRP),
			is(1, unix.TIOCSTI), is(1, unix.TIOCLINUX), is(1, unix.TIOCSCTTY), // types into the worker's terminal
		}},
		// It dies with its worker, and lets nobody in.
		{unix.SYS_PRCTL, unix.EPERM, []check{is(0, unix.PR_SET_PDEATHSIG), is(0, unix.PR_SET_PTRACER), is(0, unix.PR_SET_MM)}},
		// Limits are read only: the third argument is the new one, or NULL.
		{unix.SYS_PRLIMIT64, unix.EPERM, []check{{4, whole, 0, false}, {5, whole, 0, false}}},
		{unix.SYS_OPENAT, unix.EPERM, openChecks(2)},
		{unix.SYS_OPENAT2, unix.ENOSYS, nil}, // flags in memory, as clone3
	}
}

// openChecks hit when a file is opened for reading and truncated all the same,
// which Landlock sees only since its third version, or opened in the mode 3,
// which neither reads nor writes but still truncates.
func openChecks(flags int) []check {
	w := word(2 * flags)
	return []check{
		{w, unix.O_ACCMODE | unix.O_TRUNC, unix.O_RDONLY | unix.O_TRUNC, true},
		{w, unix.O_ACCMODE, unix.O_ACCMODE, true},
	}
}
