/* Has another process make a system call, by ptrace(2): what that process would get is what an attacker who has taken it over would get.
 *
 *   poke PID NUMBER [ARGUMENT]*    an argument is a number, or the address of a text: @TEXT
 *
 * The process must sleep in a call, and goes on with that. Prints `errno N`, `success N`, or `signal N` where the call ended it. */
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t pid;

static void die(const char *what)
{
	perror(what);
	exit(3);
}

/* The kernel's own layout (ptrace(2)); libc and linux/ptrace.h cannot be included together. */
struct call_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t instruction, stack, values[8];
};
enum { ENTRY = 1, EXIT = 2, GET_SYSCALL_INFO = 0x420e };

/* The next stop of the process; does not come back where that is its end. */
static int stop(void)
{
	int status;
	if (waitpid(pid, &status, __WALL) != pid)
		die("waitpid");
	if (WIFSIGNALED(status)) {
		printf("signal %d\n", WTERMSIG(status));
		exit(0);
	}
	if (!WIFSTOPPED(status)) {
		printf("exit %d\n", WEXITSTATUS(status));
		exit(0);
	}
	return status;
}

/* The way into a call, or out of it. */
static void come_to(int op)
{
	struct call_info info = { 0 };
	do {
		if (ptrace(PTRACE_SYSCALL, pid, 0, 0))
			die("syscall");
		stop();
		if (ptrace((enum __ptrace_request)GET_SYSCALL_INFO, pid, sizeof info, &info) < 0)
			die("syscall info");
	} while (info.op != op);
}

static void get(struct user_regs_struct *registers)
{
	struct iovec part = { registers, sizeof *registers };
	if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &part))
		die("getregset");
}

static void set(struct user_regs_struct *registers)
{
	struct iovec part = { registers, sizeof *registers };
	if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &part))
		die("setregset");
}

#if defined(__x86_64__)
enum { INSTRUCTION = 2 };
#define STACK(r) (r).rsp
static int is_call(unsigned long word) { return (word & 0xffff) == 0x050f; }
static unsigned long place(const struct user_regs_struct *r) { return r->rip - INSTRUCTION; }
/* A call that was interrupted is to be made again (ERESTARTSYS and the like). */
static int sleeps(const struct user_regs_struct *r) { return (long)r->orig_rax >= 0 && (long)r->rax <= -512 && (long)r->rax >= -516; }
/* Back to before the call that it sleeps in. */
static void back(struct user_regs_struct *r) { r->rip -= INSTRUCTION, r->rax = r->orig_rax, r->orig_rax = -1; }
static void call(struct user_regs_struct *r, long number, const uint64_t *a)
{
	back(r);
	r->rax = number, r->rdi = a[0], r->rsi = a[1], r->rdx = a[2], r->r10 = a[3], r->r8 = a[4], r->r9 = a[5];
}
static long result(const struct user_regs_struct *r) { return r->rax; }
#elif defined(__aarch64__)
enum { INSTRUCTION = 4 };
#define STACK(r) (r).sp
static int is_call(unsigned long word) { return (word & 0xffffffff) == 0xd4000001; }
static unsigned long place(const struct user_regs_struct *r) { return r->pc - INSTRUCTION; }
static int sleeps(const struct user_regs_struct *r) { return (long)r->regs[0] <= -512 && (long)r->regs[0] >= -516; }
static void back(struct user_regs_struct *r) { r->pc -= INSTRUCTION; }
static void call(struct user_regs_struct *r, long number, const uint64_t *a)
{
	back(r);
	r->regs[8] = number;
	memcpy(r->regs, a, 6 * sizeof *a);
}
static long result(const struct user_regs_struct *r) { return r->regs[0]; }
#else
#error "add this machine's registers"
#endif

/* Far below the stack, on pages that it has. */
enum { BELOW = 2048 };

static uint64_t put(unsigned long at, const char *text)
{
	size_t length = strlen(text) + 1;
	for (size_t i = 0; i < length; i += sizeof(long)) {
		long word = 0;
		memcpy(&word, text + i, length - i < sizeof word ? length - i : sizeof word);
		if (ptrace(PTRACE_POKEDATA, pid, at + i, word))
			die("pokedata");
	}
	return at;
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	pid = atoi(argv[1]);
	struct user_regs_struct before, registers;
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD))
		die("seize");
	/* It may be at work yet. */
	for (int tries = 0;; tries++) {
		if (ptrace(PTRACE_INTERRUPT, pid, 0, 0))
			die("interrupt");
		while (stop() >> 16 != PTRACE_EVENT_STOP)
			if (ptrace(PTRACE_CONT, pid, 0, 0))
				die("cont");
		get(&before);
		if (sleeps(&before) && is_call(ptrace(PTRACE_PEEKTEXT, pid, place(&before), 0)))
			break;
		if (tries == 100 || ptrace(PTRACE_CONT, pid, 0, 0))
			die("it sleeps in no call");
		usleep(10000);
	}
	uint64_t arguments[6] = { 0 };
	unsigned long at = (STACK(before) - BELOW) & ~15ul;
	for (int i = 3; i < argc && i < 9; i++) {
		int is_text = argv[i][0] == '@';
		arguments[i - 3] = is_text ? put(at, argv[i] + 1) : strtoull(argv[i], NULL, 0);
		at -= is_text ? 256 : 0;
	}
	registers = before;
	call(&registers, strtol(argv[2], NULL, 0), arguments);
	set(&registers);
	come_to(ENTRY);
	come_to(EXIT);
	get(&registers);
	back(&before);
	set(&before);
	/* A call that ends it comes back first, with its registers as they were (seccomp(2)). */
	if (ptrace(PTRACE_SYSCALL, pid, 0, 0))
		die("syscall");
	stop();
	long got = result(&registers);
	if (got < 0 && got > -4096)
		printf("errno %ld\n", -got);
	else
		printf("success %ld\n", got);
	return ptrace(PTRACE_DETACH, pid, 0, 0) ? 3 : 0;
}
