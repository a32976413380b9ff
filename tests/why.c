/* Reads questions from standard input, a line each, and attempts what they ask; prints `ok`, `empty` for a folder without names or a file without bytes, or the
 * errno's name. What is made is removed again. Static, so that it runs in an empty sandbox. It may not judge: tests/why.rs does. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *answer(long result)
{
	const char *name;
	if (result >= 0)
		return "ok";
	name = strerrorname_np(errno);
	return name ? name : "an errno without a name";
}

/* ---- paths ---- */

static const char *do_list(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	int names = 0;
	if (!folder)
		return answer(-1);
	errno = 0;
	while ((entry = readdir(folder)))
		names += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	if (errno)
		return answer(-1);
	closedir(folder);
	return names ? "ok" : "empty";
}

static const char *do_read(const char *path)
{
	struct stat stat_of;
	ssize_t length;
	char byte;
	int fd;
	if (stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode))
		return do_list(path);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return answer(fd);
	length = read(fd, &byte, 1);
	close(fd);
	return length == 0 ? "empty" : "ok";
}

/* A new file, which is removed again; no directory is made for it, as open(2) makes none. */
static const char *make(char *path)
{
	char *real;
	int error, fd = open(path, O_CREAT | O_WRONLY, 0600);
	error = errno;
	if (fd >= 0) {
		close(fd);
		/* What a link leads to, not the link. */
		real = realpath(path, NULL);
		unlink(real ? real : path);
		free(real);
	}
	errno = error;
	return answer(fd);
}

static const char *do_write(char *path)
{
	struct stat stat_of;
	char inner[4200];
	int fd;
	if (stat(path, &stat_of) == 0 && S_ISDIR(stat_of.st_mode)) {
		snprintf(inner, sizeof inner, "%s/.stockade-why", path);
		return make(inner);
	}
	fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == ENXIO)
		return "ok";
	if (fd < 0 && errno == ENOENT)
		return make(path);
	if (fd >= 0)
		close(fd);
	return answer(fd);
}

static const char *do_exec(const char *path)
{
	int report[2], error = 0;
	pid_t pid;
	if (pipe2(report, O_CLOEXEC) < 0)
		return answer(-1);
	pid = fork();
	if (pid == 0) {
		char *const words[] = { (char *)path, NULL }, *const none[] = { NULL };
		close(0);
		close(1);
		close(2);
		execve(path, words, none);
		error = errno;
		_exit(write(report[1], &error, sizeof error) < 0);
	}
	close(report[1]);
	if (read(report[0], &error, sizeof error) <= 0)
		error = 0;
	close(report[0]);
	waitpid(pid, NULL, 0);
	errno = error;
	return answer(error ? -1 : 0);
}

static const char *do_connect_path(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	long result;
	strncpy(to.sun_path, path, sizeof to.sun_path - 1);
	result = connect(fd, (void *)&to, sizeof to);
	/* Nobody listens there. */
	return result < 0 && errno == ECONNREFUSED ? "ok" : answer(result);
}

/* ---- the network ---- */

static struct sockaddr_in address(char *words)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	char *port = strchr(words, ' ');
	*port++ = 0;
	to.sin_port = htons(atoi(port));
	inet_pton(AF_INET, words, &to.sin_addr);
	return to;
}

/* A port at which nobody listens is reached too. */
static const char *do_connect(char *words)
{
	struct sockaddr_in to = address(words);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	long result = fd < 0 ? -1 : connect(fd, (void *)&to, sizeof to);
	int error = errno;
	close(fd);
	errno = error;
	return result < 0 && error == ECONNREFUSED ? "ok" : answer(result);
}

static const char *do_bind(char *words)
{
	struct sockaddr_in to = address(words);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	long result = fd < 0 ? -1 : bind(fd, (void *)&to, sizeof to);
	int error = errno;
	close(fd);
	errno = error;
	return answer(result);
}

/* ---- the process ---- */

static const char *do_cap(const char *number)
{
	struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
	struct { uint32_t effective, permitted, inheritable; } sets[2];
	int cap = atoi(number);
	if (syscall(SYS_capget, &header, sets) < 0)
		return answer(-1);
	errno = EPERM;
	return answer(sets[cap / 32].effective & 1u << cap % 32 ? 0 : -1);
}

static const char *do_env(const char *name)
{
	errno = ENOENT;
	return answer(getenv(name) ? 0 : -1);
}

/* ---- the filter ---- */

/* What the sandbox's filter says of a call, without the call: a second filter asks a listener about it. The strongest verdict of both
 * wins, and an errno is stronger than a question (seccomp(2)); so the question comes where the first filter allows. */
static struct { long words[7]; _Atomic int listener; } asked;

static void *caller(void *none)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)asked.words[0], 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { 4, program };
	long *w = asked.words, result;
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter);
	if (fd < 0)
		_exit(2);
	asked.listener = fd;
	result = syscall(w[0], w[1], w[2], w[3], w[4], w[5], w[6]);
	/* The first filter gave the answer: there is no question. */
	puts(answer(result));
	fflush(stdout);
	_exit(0);
	return none;
}

static int ask(void)
{
	struct pollfd listener = { .events = POLLIN };
	pthread_t thread;
	asked.listener = -1;
	if (pthread_create(&thread, NULL, caller, NULL))
		return 2;
	while (asked.listener < 0)
		usleep(50);
	listener.fd = asked.listener;
	while (poll(&listener, 1, -1) < 0 || !(listener.revents & POLLIN))
		;
	puts("ok");
	fflush(stdout);
	_exit(0);
}

static const char *do_call(char *words)
{
	int status;
	pid_t pid;
	memset(&asked, 0, sizeof asked);
	for (int i = 0; i < 7 && *words; i++)
		asked.words[i] = (long)strtoull(words, &words, 0);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		exit(ask());
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return NULL;
	return WIFSIGNALED(status) ? "killed" : "the probe failed";
}

/* ---- the kernel behind the filter ---- */

/* The call itself: a word that begins with / is passed as a path, @N as a page of zeros behind the byte N, and the rest are numbers. */
static const char *do_make(char *words)
{
	static char page[4096];
	long all[7] = { 0 }, result;
	int places = 0, error = 0, report[2];
	pid_t pid;
	for (char *word = strtok(words, " "); word && places < 7; word = strtok(NULL, " "))
		if (*word == '@')
			page[0] = atoi(word + 1), all[places++] = (long)page;
		else
			all[places++] = *word == '/' ? (long)word : (long)strtoull(word, NULL, 0);
	if (pipe2(report, O_CLOEXEC) < 0)
		return answer(-1);
	pid = fork();
	if (pid == 0) {
		result = syscall(all[0], all[1], all[2], all[3], all[4], all[5], all[6]);
		error = result < 0 ? errno : 0;
		_exit(write(report[1], &error, sizeof error) < 0);
	}
	close(report[1]);
	if (read(report[0], &error, sizeof error) <= 0)
		error = EIO;
	close(report[0]);
	waitpid(pid, NULL, 0);
	errno = error;
	return answer(error ? -1 : 0);
}

int main(void)
{
	static char line[8192];
	while (fgets(line, sizeof line, stdin)) {
		char *rest = strchr(line, ' ');
		const char *said = "no such act";
		line[strcspn(line, "\n")] = 0;
		if (!rest)
			return 2;
		*rest++ = 0;
		if (!strcmp(line, "read"))
			said = do_read(rest);
		else if (!strcmp(line, "list"))
			said = do_list(rest);
		else if (!strcmp(line, "write"))
			said = do_write(rest);
		else if (!strcmp(line, "exec"))
			said = do_exec(rest);
		else if (!strcmp(line, "connect-path"))
			said = do_connect_path(rest);
		else if (!strcmp(line, "connect"))
			said = do_connect(rest);
		else if (!strcmp(line, "bind"))
			said = do_bind(rest);
		else if (!strcmp(line, "cap"))
			said = do_cap(rest);
		else if (!strcmp(line, "env"))
			said = do_env(rest);
		else if (!strcmp(line, "make"))
			said = do_make(rest);
		else if (!strcmp(line, "call"))
			said = do_call(rest);
		if (said)
			puts(said);
		fflush(stdout);
	}
	return 0;
}
