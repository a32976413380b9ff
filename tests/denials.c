/* A target that makes denied calls. sync(2) stands for one that is denied. The first word says how:
 *   flood COUNT                the call so often; prints how often each errno came
 *   kinds COUNT                ioctls, each with a command of its own
 *   name HEX..                 under a name of these bytes
 *   threads COUNT EACH ERRNO   from so many threads at once; fails where another errno comes
 *   alarms COUNT ERRNO         while a timer's signal comes every 0.2 ms; fails where another errno comes
 *   survive                    with a handler for SIGSYS, in a thread that is not the first
 *   as USER                    as another user of the sandbox
 *   until ERRNO                until another errno than this comes; says that it has begun after the first, and prints that in the end
 *   listener COMMAND..         executes a command below a filter that has a listener
 *   raw NUMBER ARGUMENT*       one call, by number; prints its errno */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static int denied(void)
{
	errno = 0;
	return syscall(SYS_sync) == -1 ? errno : 0;
}

static long each;
static int expected;

static void *work(void *unused)
{
	for (long i = 0; i < each; i++)
		if (denied() != expected)
			exit(3);
	return unused;
}

static void *once(void *unused)
{
	denied();
	return unused;
}

static volatile sig_atomic_t came;

static void handle(int signal)
{
	(void)signal;
	came = came + 1;
}

static int flood(long count)
{
	long seen[134] = { 0 };
	for (long i = 0; i < count; i++)
		seen[denied()]++;
	for (int i = 0; i < 134; i++)
		if (seen[i])
			printf("%d: %ld\n", i, seen[i]);
	return 0;
}

static int threads(int count)
{
	pthread_t all[64];
	for (int i = 0; i < count; i++)
		if (pthread_create(all + i, NULL, work, NULL))
			return 4;
	for (int i = 0; i < count; i++)
		pthread_join(all[i], NULL);
	return 0;
}

static int alarms(void)
{
	/* A signal before the question is taken interrupts the call; with SA_RESTART the kernel makes it again. */
	struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
	struct itimerval often = { { 0, 200 }, { 0, 200 } }, never = { { 0, 0 }, { 0, 0 } };
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	work(NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	return came > 10 ? 0 : 5;
}

static int survive(void)
{
	pthread_t thread;
	struct sigaction action = { .sa_handler = handle };
	sigaction(SIGSYS, &action, NULL);
	if (pthread_create(&thread, NULL, once, NULL))
		return 4;
	pthread_join(thread, NULL);
	return 0;
}

static int listener(char **command)
{
	struct sock_filter allow = { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW };
	struct sock_fprog program = { 1, &allow };
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	/* Without close-on-exec: it must stay open. */
	if (fd < 0 || dup2(fd, 9) != 9)
		return 6;
	execv(command[0], command);
	return 7;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	long number = argc > 2 ? strtol(argv[2], NULL, 0) : 0;
	if (!strcmp(argv[1], "flood"))
		return flood(number);
	if (!strcmp(argv[1], "kinds")) {
		for (long i = 0; i < number; i++)
			ioctl(0, 0x7000 + i, 0);
		return 0;
	}
	if (!strcmp(argv[1], "name")) {
		char name[16] = { 0 };
		for (int i = 2; i < argc && i < 17; i++)
			name[i - 2] = strtol(argv[i], NULL, 16);
		prctl(PR_SET_NAME, name, 0, 0, 0);
		return denied() ? 0 : 3;
	}
	if (!strcmp(argv[1], "threads") && argc == 5) {
		each = strtol(argv[3], NULL, 0), expected = strtol(argv[4], NULL, 0);
		return threads(number);
	}
	if (!strcmp(argv[1], "alarms") && argc == 4) {
		each = number, expected = strtol(argv[3], NULL, 0);
		return alarms();
	}
	if (!strcmp(argv[1], "as"))
		return syscall(SYS_setresuid, number, number, number) ? 9 : denied() ? 0 : 3;
	if (!strcmp(argv[1], "survive"))
		return survive();
	if (!strcmp(argv[1], "until")) {
		int is = denied();
		printf("begun\n");
		fflush(stdout);
		while ((is = denied()) == number)
			usleep(1000);
		printf("%d\n", is);
		return 0;
	}
	if (!strcmp(argv[1], "listener"))
		return listener(argv + 2);
	if (!strcmp(argv[1], "raw")) {
		long a[6] = { 0 };
		for (int i = 3; i < argc && i < 9; i++)
			a[i - 3] = strtol(argv[i], NULL, 0);
		errno = 0;
		long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
		/* By hand: the policy may have no more than write. */
		char line[32];
		int length = snprintf(line, sizeof line, "%s %d\n", result == -1 ? "errno" : "success", errno);
		return syscall(SYS_write, 1, line, length) == length ? 0 : 8;
	}
	return 2;
}
