/* probe ACT [ARG..]: attempts one act. Exits 0 when it succeeded, 1 with the name of the errno on stdout when it was refused, 2 when it
 * was called wrongly. Static, so that it runs in an empty sandbox. It may not judge: the tests say what should have happened. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* The result of the act: not below 0 is success. */
typedef long act(char **arg);

static char *need(char **arg, int nth)
{
	for (int i = 0; i <= nth; i++)
		if (!arg[i]) {
			fprintf(stderr, "probe: an argument is missing\n");
			exit(2);
		}
	return arg[nth];
}

static long number(char **arg, int nth)
{
	return strtol(need(arg, nth), NULL, 0);
}

/* Opens, and reads one byte where it can be read: some files of /proc refuse only then. */
static long open_and_read(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY | O_NOCTTY);
	return fd < 0 ? -1 : read(fd, &byte, 1);
}

/* ---- terminal ---- */

static long ioctl_64(unsigned long request)
{
	char byte = '\n';
	/* The raw call: the request is an unsigned long in C and an unsigned int in the kernel. */
	return syscall(SYS_ioctl, 0, request, &byte);
}

static long do_tiocsti(char **arg)
{
	(void)arg;
	return ioctl_64(TIOCSTI);
}

/* A lease on a new file of one's own, open for reading. */
static long do_lease(char **arg)
{
	char path[] = "/tmp/stockade-probe-XXXXXX";
	int made = mkstemp(path);
	(void)arg;
	if (made < 0 || close(made))
		exit(2);
	int fd = open(path, O_RDONLY);
	long done = fcntl(fd, F_SETLEASE, F_RDLCK);
	int why = errno;
	unlink(path);
	errno = why;
	return done;
}

static long do_tiocsti_high(char **arg)
{
	(void)arg;
	return ioctl_64(TIOCSTI | 1UL << 32);
}

/* The harmless question of TIOCLINUX, the shift state; no console but a pty answers it with ENOTTY. */
static long do_tioclinux(char **arg)
{
	char shift_state[16] = { 6 };
	(void)arg;
	return syscall(SYS_ioctl, 0, TIOCLINUX, shift_state);
}

static long do_tiocgwinsz(char **arg)
{
	struct winsize size;
	(void)arg;
	return ioctl(0, TIOCGWINSZ, &size);
}

/* Runs a command with a new terminal as descriptor 0 and as controlling terminal; gives its status. */
static long do_pty(char **arg)
{
	int master, slave, status;
	need(arg, 0);
	if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0) {
		close(master);
		setsid();
		if (ioctl(slave, TIOCSCTTY, 0) < 0 || dup2(slave, 0) < 0)
			_exit(2);
		close(slave);
		execv(arg[0], arg);
		_exit(2);
	}
	close(slave);
	if (waitpid(pid, &status, 0) < 0)
		return -1;
	exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

/* ---- other processes ---- */

static long do_ptrace(char **arg)
{
	return ptrace(PTRACE_SEIZE, number(arg, 0), 0, 0);
}

static long do_read(char **arg)
{
	return open_and_read(need(arg, 0));
}

/* What a file holds, without the time that a shell takes to start. */
static long do_print(char **arg)
{
	char text[65536];
	int fd = open(need(arg, 0), O_RDONLY);
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text);
	return length < 0 ? -1 : write(1, text, length);
}

static long do_open_mem(char **arg)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%ld/mem", number(arg, 0));
	return open(path, O_RDWR);
}

static long do_vm_readv(char **arg)
{
	/* The vsyscall page is no one's and the answer for it EFAULT; the permission is asked before. */
	char byte;
	struct iovec local = { &byte, 1 }, remote = { (void *)0x400000, 1 };
	long got = process_vm_readv(number(arg, 0), &local, 1, &remote, 1, 0);
	return got < 0 && errno == EFAULT ? 0 : got;
}

static long do_vm_writev(char **arg)
{
	char byte = 0;
	struct iovec local = { &byte, 1 }, remote = { (void *)8, 1 };
	long got = process_vm_writev(number(arg, 0), &local, 1, &remote, 1, 0);
	return got < 0 && errno == EFAULT ? 0 : got;
}

static long do_pidfd_getfd(char **arg)
{
	int pidfd = syscall(SYS_pidfd_open, number(arg, 0), 0);
	return pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, 0, 0);
}

static long do_kcmp(char **arg)
{
	(void)arg;
	return syscall(SYS_kcmp, getpid(), getpid(), 2 /* KCMP_FILES */, 0, 0);
}

static long do_limit_of(char **arg)
{
	struct rlimit limit = { 0, 0 };
	return prlimit(number(arg, 0), RLIMIT_NOFILE, &limit, NULL);
}

static long do_kill(char **arg)
{
	return kill(number(arg, 0), number(arg, 1));
}

/* ---- namespaces ---- */

static long do_unshare(char **arg)
{
	return syscall(SYS_unshare, strtoul(need(arg, 0), NULL, 0));
}

static long do_clone(char **arg)
{
	unsigned long flags = strtoul(need(arg, 0), NULL, 0);
	long pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

static long do_clone3(char **arg)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	args.flags = arg[0] ? strtoul(arg[0], NULL, 0) : 0;
	long pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0)
		_exit(0);
	return pid < 0 ? -1 : waitpid(pid, NULL, 0);
}

static long do_setns(char **arg)
{
	int fd = open(need(arg, 0), O_RDONLY);
	return fd < 0 ? -1 : setns(fd, 0);
}

/* ---- mounts ---- */

static long do_mount(char **arg)
{
	return mount("none", need(arg, 0), "tmpfs", 0, "size=4k");
}

static long do_remount_rw(char **arg)
{
	return mount(NULL, need(arg, 0), NULL, MS_REMOUNT | MS_BIND, NULL);
}

static long do_umount(char **arg)
{
	return umount2(need(arg, 0), MNT_DETACH);
}

static long do_open_tree(char **arg)
{
	return syscall(SYS_open_tree, AT_FDCWD, need(arg, 0), 1 /* OPEN_TREE_CLONE */);
}

static long do_mount_setattr(char **arg)
{
	uint64_t attr[4] = { 0, MS_RDONLY, 0, 0 };
	return syscall(SYS_mount_setattr, AT_FDCWD, need(arg, 0), 0, attr, sizeof attr);
}

static long do_fsopen(char **arg)
{
	(void)arg;
	return syscall(SYS_fsopen, "tmpfs", 0);
}

static long do_pivot_root(char **arg)
{
	if (chdir(need(arg, 0)) < 0)
		return -1;
	return syscall(SYS_pivot_root, ".", ".");
}

static long do_chroot(char **arg)
{
	return chroot(need(arg, 0));
}

/* ---- files ---- */

static long do_mknod(char **arg)
{
	long made = mknod(need(arg, 0), S_IFCHR | 0600, makedev(1, 3));
	return made < 0 ? -1 : unlink(arg[0]);
}

static long do_mknod_mode(char **arg)
{
	return mknod(need(arg, 0), S_IFREG | strtol(need(arg, 1), NULL, 8), 0);
}

static long do_mkfifo(char **arg)
{
	return mknod(need(arg, 0), S_IFIFO | 0644, 0);
}

static long do_chmod(char **arg)
{
	return chmod(need(arg, 0), strtol(need(arg, 1), NULL, 8));
}

static long do_fchmod(char **arg)
{
	int fd = open(need(arg, 0), O_RDONLY);
	return fd < 0 ? -1 : fchmod(fd, strtol(need(arg, 1), NULL, 8));
}

static long do_fchmodat2(char **arg)
{
	return syscall(452, AT_FDCWD, need(arg, 0), strtol(need(arg, 1), NULL, 8), 0);
}

static long do_create(char **arg)
{
	return open(need(arg, 0), O_CREAT | O_EXCL | O_WRONLY, strtol(need(arg, 1), NULL, 8));
}

static long do_creat(char **arg)
{
	return creat(need(arg, 0), strtol(need(arg, 1), NULL, 8));
}

static long do_openat2(char **arg)
{
	uint64_t how[3] = { O_CREAT | O_EXCL | O_WRONLY, strtol(need(arg, 1), NULL, 8), 0 };
	return syscall(SYS_openat2, AT_FDCWD, need(arg, 0), how, sizeof how);
}

static long do_mkdir(char **arg)
{
	return mkdir(need(arg, 0), strtol(need(arg, 1), NULL, 8));
}

static long do_open_rw(char **arg)
{
	return open(need(arg, 0), O_RDWR);
}

static long do_open_w(char **arg)
{
	return open(need(arg, 0), O_WRONLY);
}

static long do_truncate(char **arg)
{
	return truncate(need(arg, 0), 0);
}

/* Reading alone, and yet the file is emptied (open(2)). */
static long do_open_truncate(char **arg)
{
	return open(need(arg, 0), O_RDONLY | O_TRUNC);
}

static long do_rename(char **arg)
{
	return rename(need(arg, 0), need(arg, 1));
}

static long do_exchange(char **arg)
{
	return renameat2(AT_FDCWD, need(arg, 0), AT_FDCWD, need(arg, 1), RENAME_EXCHANGE);
}

static long do_unlink(char **arg)
{
	return unlink(need(arg, 0));
}

static long do_rmdir(char **arg)
{
	return rmdir(need(arg, 0));
}

static long do_link(char **arg)
{
	return link(need(arg, 0), need(arg, 1));
}

static long do_name_to_handle(char **arg)
{
	struct { struct file_handle head; char rest[128]; } handle = { .head.handle_bytes = 128 };
	int mount;
	return name_to_handle_at(AT_FDCWD, need(arg, 0), &handle.head, &mount, 0);
}

static long do_open_by_handle(char **arg)
{
	struct { struct file_handle head; char rest[128]; } handle = { .head.handle_bytes = 128 };
	int mount, fd = open(need(arg, 0), O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return -1;
	if (name_to_handle_at(fd, "", &handle.head, &mount, AT_EMPTY_PATH) < 0) {
		/* The root folder of ext4 and xfs-like file systems, as shocker guessed it. */
		uint32_t root[2] = { 2, 0 };
		handle.head.handle_bytes = sizeof root;
		handle.head.handle_type = 1;
		memcpy(handle.rest, root, sizeof root);
	}
	return open_by_handle_at(fd, &handle.head, O_RDONLY);
}

/* Where a symbolic link of a folder leads, were it followed: the inode behind a path. */
static long do_inode(char **arg)
{
	struct stat stat_of;
	if (stat(need(arg, 0), &stat_of) < 0)
		return -1;
	printf("%lu:%lu %o %u:%u\n", (unsigned long)stat_of.st_dev, (unsigned long)stat_of.st_ino, stat_of.st_mode, stat_of.st_uid, stat_of.st_gid);
	return 0;
}

/* ---- kernel ---- */

static long do_keyctl(char **arg)
{
	(void)arg;
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
}

static long do_add_key(char **arg)
{
	(void)arg;
	return syscall(SYS_add_key, "user", "stockade-probe", "x", 1, KEY_SPEC_PROCESS_KEYRING);
}

static long do_request_key(char **arg)
{
	(void)arg;
	long key = syscall(SYS_request_key, "user", "stockade-probe", NULL, 0);
	return key < 0 && errno == ENOKEY ? 0 : key;
}

static long do_io_uring(char **arg)
{
	char params[120] = { 0 };
	(void)arg;
	return syscall(SYS_io_uring_setup, 1, params);
}

static long do_bpf(char **arg)
{
	union bpf_attr attr;
	(void)arg;
	memset(&attr, 0, sizeof attr);
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	return syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof attr);
}

static long do_perf(char **arg)
{
	struct perf_event_attr attr;
	(void)arg;
	memset(&attr, 0, sizeof attr);
	attr.size = sizeof attr;
	attr.type = PERF_TYPE_SOFTWARE;
	attr.config = PERF_COUNT_SW_TASK_CLOCK;
	attr.exclude_kernel = 1;
	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

static long do_userfaultfd(char **arg)
{
	(void)arg;
	return syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
}

static long do_syslog(char **arg)
{
	(void)arg;
	return syscall(SYS_syslog, 10 /* SYSLOG_ACTION_SIZE_BUFFER */, NULL, 0);
}

static long do_personality(char **arg)
{
	return personality(strtoul(need(arg, 0), NULL, 0));
}

static long do_sethostname(char **arg)
{
	return sethostname(need(arg, 0), strlen(arg[0]));
}

/* The time zone that the kernel has already: nothing changes where it is allowed. */
static long do_settimeofday(char **arg)
{
	struct timezone zone;
	(void)arg;
	if (syscall(SYS_gettimeofday, NULL, &zone) < 0)
		return -1;
	return syscall(SYS_settimeofday, NULL, &zone);
}

/* No mode: it only asks, and anybody may; the filter cannot see that. */
static long do_adjtimex(char **arg)
{
	struct timex timex = { .modes = 0 };
	(void)arg;
	return syscall(SYS_adjtimex, &timex);
}

/* The filter may say "done" and do nothing: ECANCELED here. */
static long core_is_set(long result)
{
	struct rlimit now;
	if (result || getrlimit(RLIMIT_CORE, &now))
		return -1;
	if (now.rlim_cur == 0)
		return 0;
	errno = ECANCELED;
	return -1;
}

static long do_core_limit(char **arg)
{
	struct rlimit limit = { 0, 0 };
	(void)arg;
	return core_is_set(prlimit(0, RLIMIT_CORE, &limit, NULL));
}

static long do_core_limit_and_old(char **arg)
{
	struct rlimit limit = { 0, 0 }, old;
	(void)arg;
	return prlimit(0, RLIMIT_CORE, &limit, &old);
}

static long do_core_setrlimit(char **arg)
{
	struct rlimit limit = { 0, 0 };
	(void)arg;
	return core_is_set(syscall(SYS_setrlimit, RLIMIT_CORE, &limit));
}

/* A number with the arguments 0: what the kernel, or the filter, says of it. */
static long do_call(char **arg)
{
	return syscall(strtoul(need(arg, 0), NULL, 0), 0, 0, 0, 0, 0, 0);
}

/* getpid under its x32 number. */
static long do_x32(char **arg)
{
	(void)arg;
	return syscall(SYS_getpid | 0x40000000);
}

/* getpid of i386, 20. */
static long do_int80(char **arg)
{
	long result = -1;
	(void)arg;
#ifdef __x86_64__
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
#else
	errno = ENOSYS;
#endif
	return result;
}

/* ---- identity ---- */

static long do_setuid(char **arg)
{
	return setuid(number(arg, 0));
}

static long do_setgid(char **arg)
{
	return setgid(number(arg, 0));
}

static long do_setgroups(char **arg)
{
	gid_t group = number(arg, 0);
	return syscall(SYS_setgroups, 1, &group);
}

/* Raises a capability in the effective, permitted and inheritable sets. */
static long do_capset(char **arg)
{
	struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
	struct { uint32_t effective, permitted, inheritable; } sets[2];
	long cap = number(arg, 0);
	if (syscall(SYS_capget, &header, sets) < 0)
		return -1;
	sets[cap / 32].effective |= 1u << cap % 32;
	sets[cap / 32].permitted |= 1u << cap % 32;
	sets[cap / 32].inheritable |= 1u << cap % 32;
	return syscall(SYS_capset, &header, sets);
}

static long do_securebits(char **arg)
{
	(void)arg;
	printf("%#x\n", prctl(PR_GET_SECUREBITS));
	return 0;
}

/* ---- sockets ---- */

static struct sockaddr_in loopback(char **arg)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(number(arg, 0)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	return address;
}

/* inet TYPE PROTOCOL then the port: a socket, or the reason why there is none. */
static int inet(int type, int protocol)
{
	return socket(AF_INET, type | SOCK_CLOEXEC, protocol);
}

static long do_tcp_bind(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = inet(SOCK_STREAM, 0);
	return fd < 0 ? fd : bind(fd, (struct sockaddr *)&address, sizeof address);
}

static long do_tcp_connect(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = inet(SOCK_STREAM, 0);
	return fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* The same by another protocol (IPPROTO_MPTCP), of which Landlock's rules for TCP know nothing. */
static long do_mptcp_connect(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = inet(SOCK_STREAM, 262);
	return fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* TCP fast open: connects without connect(2), by each of the three calls that can. */
static long do_fastopen_sendto(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = inet(SOCK_STREAM, 0);
	return fd < 0 ? fd : sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address);
}

static long do_fastopen_sendmsg(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	struct iovec part = { "x", 1 };
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1 };
	int fd = inet(SOCK_STREAM, 0);
	return fd < 0 ? fd : sendmsg(fd, &message, MSG_FASTOPEN);
}

static long do_fastopen_sendmmsg(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	struct iovec part = { "x", 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1 } };
	int fd = inet(SOCK_STREAM, 0);
	return fd < 0 ? fd : sendmmsg(fd, &message, 1, MSG_FASTOPEN);
}

static long do_udp_bind(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = inet(SOCK_DGRAM, 0);
	return fd < 0 ? fd : bind(fd, (struct sockaddr *)&address, sizeof address);
}

static long do_udp_connect(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = inet(SOCK_DGRAM, 0);
	return fd < 0 ? fd : connect(fd, (struct sockaddr *)&address, sizeof address);
}

/* udp-send PORT [FROM]: without connect(2), by each of the three calls that can; from a port of its own where one is named. */
static int udp_from(char **arg)
{
	int fd = inet(SOCK_DGRAM, 0);
	if (fd < 0 || !arg[1])
		return fd;
	struct sockaddr_in own = loopback(arg + 1);
	return bind(fd, (struct sockaddr *)&own, sizeof own) < 0 ? -1 : fd;
}

static long do_udp_send(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = udp_from(arg);
	return fd < 0 ? fd : sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address);
}

/* The same to an address of no family, which udp(7)'s kernel code takes for IPv4. */
static long do_udp_send_unspec(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	int fd = udp_from(arg);
	address.sin_family = AF_UNSPEC;
	return fd < 0 ? fd : sendto(fd, "x", 1, 0, (struct sockaddr *)&address, sizeof address);
}

static long do_udp_sendmsg(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	struct iovec part = { "x", 1 };
	struct msghdr message = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1 };
	int fd = udp_from(arg);
	return fd < 0 ? fd : sendmsg(fd, &message, 0);
}

static long do_udp_sendmmsg(char **arg)
{
	struct sockaddr_in address = loopback(arg);
	struct iovec part = { "x", 1 };
	struct mmsghdr message = { .msg_hdr = { .msg_name = &address, .msg_namelen = sizeof address, .msg_iov = &part, .msg_iovlen = 1 } };
	int fd = udp_from(arg);
	return fd < 0 ? fd : sendmmsg(fd, &message, 1, 0);
}

static long do_socket(char **arg)
{
	return socket(number(arg, 0), number(arg, 1), number(arg, 2));
}

static struct sockaddr_un address(const char *name, int abstract)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	strncpy(address.sun_path + abstract, name, sizeof address.sun_path - 2);
	return address;
}

static long do_connect_abstract(char **arg)
{
	struct sockaddr_un to = address(need(arg, 0), 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? -1 : connect(fd, (void *)&to, offsetof(struct sockaddr_un, sun_path) + 1 + strlen(arg[0]));
}

static long do_connect_unix(char **arg)
{
	struct sockaddr_un to = address(need(arg, 0), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? -1 : connect(fd, (void *)&to, sizeof to);
}

/* ---- descriptors ---- */

/* Every open descriptor, and what it is, without the help of /proc. */
static long do_fds(char **arg)
{
	(void)arg;
	for (int fd = 0; fd < 4096; fd++) {
		struct stat stat_of;
		if (fstat(fd, &stat_of) == 0)
			printf("%d %s\n", fd, S_ISCHR(stat_of.st_mode) && stat_of.st_rdev == makedev(1, 3) ? "null" : "other");
	}
	return 0;
}

/* with FD,FD.. PATH COMMAND: opens PATH for reading on each of these descriptors, and executes. */
static long do_with(char **arg)
{
	need(arg, 2);
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	int source = open(arg[1], O_RDONLY);
	if (source < 0)
		return -1;
	for (char *fd = strtok(arg[0], ","); fd; fd = strtok(NULL, ","))
		if (atoi(fd) != source && dup2(source, atoi(fd)) < 0)
			return -1;
	return execv(arg[2], arg + 2);
}

/* without FD,FD.. COMMAND: closes these descriptors, and executes. */
static long do_without(char **arg)
{
	need(arg, 1);
	for (char *fd = strtok(arg[0], ","); fd; fd = strtok(NULL, ","))
		close(atoi(fd));
	return execv(arg[1], arg + 1);
}

static int attempt(char **arg);

/* own ACT: first makes a user namespace with mounts and host name of its own, where all that asks for a capability succeeds. */
static long do_own(char **arg)
{
	need(arg, 0);
	if (syscall(SYS_unshare, CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS) < 0)
		return -1;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || mount("none", "/tmp", "tmpfs", 0, NULL) < 0)
		return -1;
	exit(attempt(arg));
}

/* signalled SIGNAL COMMAND: what ignored signals, a mask and an odd mask of modes do to a child. */
static long do_ignoring(char **arg)
{
	need(arg, 1);
	sigset_t all;
	sigfillset(&all);
	signal(number(arg, 0), SIG_IGN);
	sigprocmask(SIG_SETMASK, &all, NULL);
	umask(0);
	personality(ADDR_NO_RANDOMIZE);
	return execv(arg[1], arg + 1);
}

/* each ACT..: attempts every act, an argument each, in a process of its own; a line for each: `ok`, or the name of the errno. */
static long do_each(char **arg)
{
	for (; *arg; arg++) {
		char *words[8] = { 0 };
		int status, count = 0;
		fflush(stdout);
		pid_t pid = fork();
		if (pid == 0) {
			for (char *word = strtok(*arg, " "); word && count < 7; word = strtok(NULL, " "))
				words[count++] = word;
			exit(attempt(words));
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			return -1;
		if (WIFSIGNALED(status))
			printf("signal %d\n", WTERMSIG(status));
		else if (WEXITSTATUS(status) != 1)
			puts(WEXITSTATUS(status) ? "a wrong call" : "ok");
	}
	return 0;
}

static const struct { const char *name; act *act; } ACTS[] = {
	{ "add-key", do_add_key },
	{ "adjtimex", do_adjtimex },
	{ "bpf", do_bpf },
	{ "call", do_call },
	{ "capset", do_capset },
	{ "chmod", do_chmod },
	{ "chroot", do_chroot },
	{ "clone", do_clone },
	{ "clone3", do_clone3 },
	{ "connect-abstract", do_connect_abstract },
	{ "connect-unix", do_connect_unix },
	{ "core-limit", do_core_limit },
	{ "core-limit-and-old", do_core_limit_and_old },
	{ "core-setrlimit", do_core_setrlimit },
	{ "creat", do_creat },
	{ "create", do_create },
	{ "each", do_each },
	{ "exchange", do_exchange },
	{ "fastopen-sendmmsg", do_fastopen_sendmmsg },
	{ "fastopen-sendmsg", do_fastopen_sendmsg },
	{ "fastopen-sendto", do_fastopen_sendto },
	{ "fchmod", do_fchmod },
	{ "fchmodat2", do_fchmodat2 },
	{ "fds", do_fds },
	{ "fsopen", do_fsopen },
	{ "ignoring", do_ignoring },
	{ "inode", do_inode },
	{ "int80", do_int80 },
	{ "io-uring", do_io_uring },
	{ "kcmp", do_kcmp },
	{ "keyctl", do_keyctl },
	{ "kill", do_kill },
	{ "limit-of", do_limit_of },
	{ "link", do_link },
	{ "mkdir", do_mkdir },
	{ "mkfifo", do_mkfifo },
	{ "mknod", do_mknod },
	{ "mknod-mode", do_mknod_mode },
	{ "mount", do_mount },
	{ "mount-setattr", do_mount_setattr },
	{ "mptcp-connect", do_mptcp_connect },
	{ "name-to-handle", do_name_to_handle },
	{ "open-by-handle", do_open_by_handle },
	{ "open-mem", do_open_mem },
	{ "open-rw", do_open_rw },
	{ "open-tree", do_open_tree },
	{ "open-truncate", do_open_truncate },
	{ "open-w", do_open_w },
	{ "openat2", do_openat2 },
	{ "own", do_own },
	{ "perf", do_perf },
	{ "personality", do_personality },
	{ "pidfd-getfd", do_pidfd_getfd },
	{ "pivot-root", do_pivot_root },
	{ "print", do_print },
	{ "ptrace", do_ptrace },
	{ "pty", do_pty },
	{ "read", do_read },
	{ "remount-rw", do_remount_rw },
	{ "rename", do_rename },
	{ "request-key", do_request_key },
	{ "rmdir", do_rmdir },
	{ "securebits", do_securebits },
	{ "setgid", do_setgid },
	{ "setgroups", do_setgroups },
	{ "sethostname", do_sethostname },
	{ "setns", do_setns },
	{ "settimeofday", do_settimeofday },
	{ "setuid", do_setuid },
	{ "socket", do_socket },
	{ "syslog", do_syslog },
	{ "tcp-bind", do_tcp_bind },
	{ "tcp-connect", do_tcp_connect },
	{ "tiocgwinsz", do_tiocgwinsz },
	{ "tioclinux", do_tioclinux },
	{ "tiocsti", do_tiocsti },
	{ "lease", do_lease },
	{ "tiocsti-high", do_tiocsti_high },
	{ "truncate", do_truncate },
	{ "udp-bind", do_udp_bind },
	{ "udp-connect", do_udp_connect },
	{ "udp-send", do_udp_send },
	{ "udp-send-unspec", do_udp_send_unspec },
	{ "udp-sendmmsg", do_udp_sendmmsg },
	{ "udp-sendmsg", do_udp_sendmsg },
	{ "umount", do_umount },
	{ "unlink", do_unlink },
	{ "unshare", do_unshare },
	{ "userfaultfd", do_userfaultfd },
	{ "vm-readv", do_vm_readv },
	{ "vm-writev", do_vm_writev },
	{ "with", do_with },
	{ "without", do_without },
	{ "x32", do_x32 },
};

static int attempt(char **arg)
{
	for (size_t i = 0; i < sizeof ACTS / sizeof *ACTS; i++)
		if (strcmp(ACTS[i].name, arg[0]) == 0) {
			if (ACTS[i].act(arg + 1) >= 0)
				return 0;
			const char *name = strerrorname_np(errno);
			printf("%s\n", name ? name : "an errno without a name");
			return 1;
		}
	fprintf(stderr, "probe: no act `%s`\n", arg[0]);
	return 2;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	return attempt(argv + 1);
}
