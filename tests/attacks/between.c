// between CALL PATH NTH LINE -- COMMAND: runs COMMAND with all that it starts; the NTH time that
// one of them is on its way into CALL (openat, openat2, open_tree: the path is the second argument)
// with exactly this path, LINE is run by sh(1), and the call goes on after it.
//
// Status: the command's own, 128+n for signal n; 200 for a failure of this program; 201 where the
// call was not met so often. Where NTH is 0: how often it was met.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

// The kernel's own layout (ptrace(2)); libc and linux/ptrace.h cannot be included together.
struct call_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t instruction, stack;
    struct { uint64_t nr, args[6]; } entry;
};
enum { ENTRY = 1 };
#define GET_SYSCALL_INFO ((enum __ptrace_request)0x420e)

static void die(const char *what) { perror(what); exit(200); }

// A string of the tracee's; its page may end before ours would.
static int is_at(pid_t pid, uint64_t address, const char *path)
{
    char found[4096] = "";
    size_t length = strlen(path) + 1;
    struct iovec here = { found, length }, there = { (void *)address, length };
    return length <= sizeof found && process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)length && !memcmp(found, path, length);
}

int main(int argc, char **argv)
{
    if (argc < 7 || strcmp(argv[5], "--"))
        return 200;
    long call = !strcmp(argv[1], "openat") ? SYS_openat : !strcmp(argv[1], "openat2") ? SYS_openat2 : SYS_open_tree;
    pid_t first = fork();
    if (first < 0)
        die("fork");
    if (!first) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[6], argv + 6);
        _exit(127);
    }
    int status, met = 0, ended = 0, nth = atoi(argv[3]);
    pid_t pid;
    if (waitpid(first, &status, 0) != first || !WIFSTOPPED(status))
        die("exec");
    if (ptrace(PTRACE_SETOPTIONS, first, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC))
        die("options");
    ptrace(PTRACE_SYSCALL, first, 0, 0);
    while ((pid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == first)
                ended = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            continue;
        }
        int signal = WSTOPSIG(status);
        if (signal == (SIGTRAP | 0x80)) {
            struct call_info info;
            memset(&info, 0, sizeof info);
            ptrace(GET_SYSCALL_INFO, pid, sizeof info, &info);
            if (info.op == ENTRY && (long)info.entry.nr == call && is_at(pid, info.entry.args[1], argv[2])) {
                if (++met == nth && system(argv[4]))
                    die("the line");
            }
            signal = 0;
        } else if (status >> 16 || signal == SIGSTOP || signal == SIGTRAP) {
            signal = 0;
        }
        ptrace(PTRACE_SYSCALL, pid, 0, signal);
    }
    return !nth ? met : met < nth ? 201 : ended;
}
