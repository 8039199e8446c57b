// What a core in a sandbox must not be able to do. Each attempt is made at one
// frame and tells its outcome in a message, "try NAME: ERRNO", 0 if it went well.
//   exec fork clone3 socket connect sendmsg ptrace peek kill_parent kill_self sigio pdeathsig thread int80 constructor
//   write:PATH read:PATH list:PATH truncate:PATH remove:PATH chmod:PATH link:PATH
//   alloc:MIB files raise_limit  call:NUMBER (any system call, all arguments 0)
#define _GNU_SOURCE
#include "script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int at_load; // what the constructor found

// result is what a system call returned, closed again if it is a file.
static int result(long r, bool file) {
	if (r < 0)
		return errno;
	if (file)
		close((int)r);
	return 0;
}

// This runs inside dlopen, before the frontend has a say.
__attribute__((constructor)) static void early(void) { at_load = result(socket(AF_INET, SOCK_DGRAM, 0), true); }

static int child(long pid) {
	if (pid == 0)
		_exit(0);
	return result(pid, false);
}

static void *nothing(void *data) { return data; }

static int int80(void) {
#ifdef __x86_64__
	long r = 20; // getpid of the 32-bit kernel interface
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
	return r < 0 ? (int)-r : 0;
#else
	return EPERM;
#endif
}

static int alloc(const char *mib) {
	size_t size = strtoul(mib, NULL, 10) << 20;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return errno;
	munmap(p, size);
	return 0;
}

// many opens files until it cannot, at most 1000.
static int many(void) {
	int fds[1000], count = 0, outcome = 0;
	while (count < 1000 && (fds[count] = open("/dev/null", O_RDONLY)) >= 0)
		count++;
	if (count < 1000)
		outcome = errno;
	while (count > 0)
		close(fds[--count]);
	return outcome;
}

static int raise_limit(void) {
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	return result(setrlimit(RLIMIT_DATA, &limit), false);
}

static int peek(void) {
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
	return result(open(path, O_RDONLY), true);
}

static int on_path(const char *what, const char *path) {
	if (strcmp(what, "write") == 0)
		return result(open(path, O_WRONLY | O_CREAT, 0600), true);
	if (strcmp(what, "read") == 0)
		return result(open(path, O_RDONLY), true);
	if (strcmp(what, "truncate") == 0)
		return result(open(path, O_RDONLY | O_TRUNC), true);
	if (strcmp(what, "remove") == 0)
		return result(unlink(path), false);
	if (strcmp(what, "chmod") == 0)
		return result(chmod(path, 0777), false);
	if (strcmp(what, "link") == 0)
		return result(symlink("/", path), false);
	if (strcmp(what, "list") != 0)
		return -1;
	DIR *dir = opendir(path);
	if (dir == NULL)
		return errno;
	closedir(dir);
	return 0;
}

static int on_others(const char *what) {
	if (strcmp(what, "ptrace") == 0)
		return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL), false);
	if (strcmp(what, "peek") == 0)
		return peek();
	if (strcmp(what, "kill_parent") == 0)
		return result(kill(getppid(), 0), false);
	if (strcmp(what, "kill_self") == 0)
		return result(kill(getpid(), 0), false);
	if (strcmp(what, "sigio") == 0)
		return result(fcntl(3, F_SETOWN, getppid()), false);
	if (strcmp(what, "pdeathsig") == 0)
		return result(prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0), false);
	return -1;
}

static int attempt(const char *what, const char *with) {
	struct sockaddr_un nobody = {.sun_family = AF_UNIX};
	struct msghdr message = {0};
	pthread_t thread;
	if (strcmp(what, "exec") == 0)
		return result(execl("/bin/true", "true", NULL), false);
	if (strcmp(what, "fork") == 0)
		return child(fork());
	if (strcmp(what, "clone3") == 0)
		return result(syscall(SYS_clone3, NULL, 0), false);
	if (strcmp(what, "socket") == 0)
		return result(socket(AF_INET, SOCK_STREAM, 0), true);
	if (strcmp(what, "connect") == 0)
		return result(connect(3, (struct sockaddr *)&nobody, sizeof nobody), false);
	if (strcmp(what, "sendmsg") == 0)
		return result(sendmsg(3, &message, 0), false);
	if (strcmp(what, "thread") == 0)
		return pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL);
	if (strcmp(what, "int80") == 0)
		return int80();
	if (strcmp(what, "constructor") == 0)
		return at_load;
	if (strcmp(what, "alloc") == 0)
		return alloc(with);
	if (strcmp(what, "files") == 0)
		return many();
	if (strcmp(what, "raise_limit") == 0)
		return raise_limit();
	if (strcmp(what, "call") == 0)
		return result(syscall(strtol(with, NULL, 10), 0L, 0L, 0L, 0L, 0L, 0L), false);
	int outcome = on_others(what);
	return outcome >= 0 ? outcome : on_path(what, with);
}

void try_out(const char *with, const struct frontend *f) {
	char what[24], text[300];
	const char *colon = strchr(with, ':');
	snprintf(what, sizeof what, "%.*s", (int)(colon ? colon - with : (long)strlen(with)), with);
	snprintf(text, sizeof text, "try %s: %d", with, attempt(what, colon ? colon + 1 : ""));
	struct retro_message message = {text, 60};
	f->environment(RETRO_ENVIRONMENT_SET_MESSAGE, &message);
}
