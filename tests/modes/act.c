/* act NAME [ARG..]: prints one fact of its own process, or `ok` or the name of the errno of one act. Static, so that it runs in any
 * sandbox. `act abi N COMMAND..` runs a command under a kernel whose Landlock has ABI N, 0: which has none; `act without-keyctl COMMAND..`
 * under one that refuses keyctl(2). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int result(long value)
{
	puts(value < 0 ? strerrorname_np(errno) : "ok");
	return 0;
}

static int days(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	printf("%ld\n", (long)now.tv_sec / 86400);
	return 0;
}

static int filtered(struct sock_filter *code, size_t length, unsigned flags)
{
	struct sock_fprog program = { length, code };
	/* Root keeps what its set-id helpers need. */
	if (geteuid() != 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

/* The call fails with this errno, whatever its arguments. */
static int without(int call, int error, char **command)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	return filtered(code, sizeof code / sizeof *code, 0) < 0 ? 2 : execvp(command[0], command);
}

/* The question for the ABI is answered by this process (seccomp_unotify(2)); all other uses of the call are the kernel's. */
static int landlock_abi(int abi, char **command)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1 /* LANDLOCK_CREATE_RULESET_VERSION */, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	int ready[2], go[2], listener, status;
	if (!abi)
		return without(SYS_landlock_create_ruleset, ENOSYS, command);
	if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		return 2;
	/* The listener's number is good on both sides. */
	pid_t child = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (child == 0) {
		/* Who ends this process means the command. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		listener = filtered(code, sizeof code / sizeof *code, SECCOMP_FILTER_FLAG_NEW_LISTENER);
		if (write(ready[1], &listener, sizeof listener) != sizeof listener || read(go[0], &status, 1) != 1 || listener < 0)
			_exit(2);
		execvp(command[0], command);
		_exit(2);
	}
	if (read(ready[0], &listener, sizeof listener) != sizeof listener || write(go[1], "", 1) != 1 || listener < 0)
		return 2;
	/* Before Linux 6.11 nothing ends the wait for a question when the last one who could ask has ended. */
	struct pollfd waits[] = { { listener, POLLIN, 0 }, { syscall(SYS_pidfd_open, child, 0), POLLIN, 0 } };
	struct seccomp_notif question = { 0 };
	while (poll(waits, 2, -1) > 0 && (waits[0].revents & POLLIN)) {
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) < 0)
			continue;
		struct seccomp_notif_resp answer = { .id = question.id, .val = abi };
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
		memset(&question, 0, sizeof question);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The first process below one that has this name, 0 where there is none. */
static int below(int pid, const char *name)
{
	char path[64], comm[32] = "";
	int child, found = 0;
	FILE *children, *file;
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
	children = fopen(path, "r");
	while (children && !found && fscanf(children, "%d", &child) == 1) {
		snprintf(path, sizeof path, "/proc/%d/comm", child);
		if ((file = fopen(path, "r"))) {
			if (fscanf(file, "%31s", comm) == 1 && strcmp(comm, name) == 0)
				found = child;
			fclose(file);
		}
		if (!found)
			found = below(child, name);
	}
	if (children)
		fclose(children);
	return found;
}

/* Waits for a process of this name below one, and prints it; status 1 when that one has ended before. */
static int await(int pid, const char *name)
{
	int child;
	while (!(child = below(pid, name))) {
		char path[64], state = 'Z';
		FILE *file;
		snprintf(path, sizeof path, "/proc/%d/stat", pid);
		file = fopen(path, "r");
		if (file) {
			if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
				state = 'Z';
			fclose(file);
		}
		if (state == 'Z')
			return 1;
		usleep(1000);
	}
	return printf("%d\n", child) < 0;
}

int main(int count, char **arg)
{
	const char *name = count > 1 ? arg[1] : "";
	long number = count > 2 ? strtol(arg[2], NULL, 0) : 0;
	if (strcmp(name, "abi") == 0)
		return landlock_abi(number, arg + 3);
	if (strcmp(name, "without-keyctl") == 0 && count > 2)
		return without(SYS_keyctl, EPERM, arg + 2);
	if (strcmp(name, "await") == 0 && count > 3)
		return await(number, arg[3]);
	if (strcmp(name, "bounding") == 0)
		return printf("%d\n", prctl(PR_CAPBSET_READ, number, 0, 0, 0)) < 0;
	if (strcmp(name, "ambient") == 0)
		return printf("%d\n", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, number, 0, 0)) < 0;
	if (strcmp(name, "securebits") == 0)
		return printf("%d\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0)) < 0;
	if (strcmp(name, "keyring") == 0)
		return printf("%ld\n", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0)) < 0;
	/* A command in a session keyring of its own. */
	if (strcmp(name, "session") == 0 && count > 2)
		return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ? 2 : execvp(arg[2], arg + 2);
	/* A command with a socket on 7 that no Landlock rules over. */
	if (strcmp(name, "netlink") == 0 && count > 2)
		return dup2(socket(AF_NETLINK, SOCK_RAW, 0), 7) < 0 ? 2 : execvp(arg[2], arg + 2);
	if (strcmp(name, "monotonic") == 0)
		return days(CLOCK_MONOTONIC);
	if (strcmp(name, "boottime") == 0)
		return days(CLOCK_BOOTTIME);
	if (strcmp(name, "domainname") == 0) {
		struct utsname names;
		uname(&names);
		return printf("%s\n", names.domainname) < 0;
	}
	if (strcmp(name, "limit") == 0) {
		struct rlimit limit = { 0, 0 };
		getrlimit(number, &limit);
		return printf("%lld %lld\n", (long long)limit.rlim_cur, (long long)limit.rlim_max) < 0;
	}
	if (strcmp(name, "write-execute") == 0)
		return result(mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	/* A priority that no kernel takes: EINVAL is the kernel's word, anything else that of what stands before it. */
	if (strcmp(name, "fifo") == 0)
		return result(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1000 }));
	fprintf(stderr, "act: what is `%s`?\n", name);
	return 2;
}
