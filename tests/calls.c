/* Makes system calls by number and says what came of each: an errno, or the signal that ended a child which made it.
 * Each line of the file that argv[1] names: WAY NUMBER ARGUMENT*6, where WAY is native, x32 or int80. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long int80(long number)
{
#ifdef __x86_64__
	long result;
	/* Arguments that no call can use: high, so that nothing is there. */
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(-1), "c"(-1), "d"(-1), "S"(-1), "D"(-1) : "r8", "r9", "r10", "r11", "memory");
	return result;
#else
	return -ENOSYS;
#endif
}

static void in_a_child(long number)
{
	int status;
	pid_t child = fork();
	if (child == 0)
		_exit(int80(number) < 0 ? 1 : 0);
	if (child < 0 || waitpid(child, &status, 0) != child)
		exit(3);
	if (WIFSIGNALED(status))
		printf("signal %d\n", WTERMSIG(status));
	else
		printf("survived %d\n", WEXITSTATUS(status));
}

int main(int argc, char **argv)
{
	char way[16];
	long number;
	unsigned long a[6];
	FILE *list = argc == 2 ? fopen(argv[1], "r") : NULL;
	if (!list)
		return 2;
	while (fscanf(list, "%15s %ld %lx %lx %lx %lx %lx %lx", way, &number, a, a + 1, a + 2, a + 3, a + 4, a + 5) == 8) {
		if (!strcmp(way, "int80")) {
			in_a_child(number);
		} else {
			long bit = strcmp(way, "x32") ? 0 : 0x40000000;
			errno = 0;
			long result = syscall(number | bit, a[0], a[1], a[2], a[3], a[4], a[5]);
			printf("%s %d\n", result == -1 ? "errno" : "success", errno);
		}
		fflush(stdout);
	}
	return 0;
}
