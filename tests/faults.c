// Fault injection for tests/faults.rs and tests/leftovers.rs, by ptrace(2). strace(1) counts calls per process but cannot choose the
// process; here a call is named by (process, number of the call in it), so exactly one fails in a run.
//
//   faults trace OUT -- COMMAND             one line for each call: `PROCESS ORDINAL NUMBER RESULT`, and `exec PROCESS`
//   faults inject PROCESS ORDINAL ERRNO NUMBER -- COMMAND   that call is not made, and gives -ERRNO; it is not met where it has another
//                                                           number, as two processes begin in either order
//   faults kill ORDINAL -- COMMAND          the first process is killed (SIGKILL) on its way into that call
//   faults walls                            prints what the sandbox is made of, seen from inside
//   faults first                            prints the name and the command line of pid 1, as early as a program can
//
// Status: the command's own; 128+n for signal n; 201 when it did not end in ten seconds; 202 when a process was left two seconds after
// its end; 200 for a failure of this program.
#define _GNU_SOURCE
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The kernel's own layout (ptrace(2)); libc and linux/ptrace.h cannot be included together.
struct call_info {
    uint8_t op, pad[3];
    uint32_t arch;
    uint64_t instruction, stack;
    union {
        struct { uint64_t nr, args[6]; } entry;
        struct { int64_t rval; uint8_t is_error; } exit;
    };
};
enum { ENTRY = 1, EXIT = 2, GET_SYSCALL_INFO = 0x420e };

struct tracee { pid_t pid; long ordinal; int64_t nr; int failing, counting; };
static struct tracee tracees[256];
static int count;
static pid_t launcher;
static volatile sig_atomic_t late;

static void die(const char *what) { perror(what); exit(200); }
static void on_alarm(int signal) { (void)signal; late = 1; }

static struct tracee *find(pid_t pid) {
    for (int i = 0; i < count; i++) if (tracees[i].pid == pid) return &tracees[i];
    if (count == 256) die("too many processes");
    tracees[count] = (struct tracee){ .pid = pid, .counting = count > 0 };
    return &tracees[count++];
}

#if defined(__x86_64__)
static void set_call(pid_t pid, long nr) {
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs)) die("getregs");
    regs.orig_rax = nr;
    if (ptrace(PTRACE_SETREGS, pid, 0, &regs)) die("setregs");
}
static void set_result(pid_t pid, long value) {
    struct user_regs_struct regs;
    if (ptrace(PTRACE_GETREGS, pid, 0, &regs)) die("getregs");
    regs.rax = value;
    if (ptrace(PTRACE_SETREGS, pid, 0, &regs)) die("setregs");
}
#elif defined(__aarch64__)
static void set_call(pid_t pid, long nr) {
    int number = nr;
    struct iovec iov = { &number, sizeof number };
    if (ptrace(PTRACE_SETREGSET, pid, 0x404 /* NT_ARM_SYSTEM_CALL */, &iov)) die("setregset");
}
static void set_result(pid_t pid, long value) {
    struct user_regs_struct regs;
    struct iovec iov = { &regs, sizeof regs };
    if (ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov)) die("getregset");
    regs.regs[0] = value;
    if (ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &iov)) die("setregset");
}
#else
#error "add this machine's registers"
#endif

static void start(char **command) {
    int gate[2];
    if (pipe2(gate, O_CLOEXEC)) die("pipe");
    // Whatever the command leaves behind becomes a child of this process, and is seen.
    if (prctl(PR_SET_CHILD_SUBREAPER, 1)) die("subreaper");
    launcher = fork();
    if (launcher < 0) die("fork");
    if (launcher == 0) {
        char byte;
        close(gate[1]);
        if (read(gate[0], &byte, 1) != 0) _exit(200);
        execv(command[0], command);
        _exit(200);
    }
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SEIZE, launcher, 0, options)) die("seize");
    if (ptrace(PTRACE_INTERRUPT, launcher, 0, 0)) die("interrupt");
    find(launcher);
    close(gate[0]);
    close(gate[1]);
}

// Runs the command; `process` is -1 where nothing is injected, `kills` says that the process is killed instead.
static int drive(FILE *out, int process, long ordinal, int error, long number, int kills, char **command) {
    struct sigaction action = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &action, NULL);
    start(command);
    alarm(10);
    int status = 0, ended = 0, injected = 0, result = 200;
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR && late) {
            for (int i = 0; i < count; i++) if (tracees[i].pid) kill(tracees[i].pid, SIGKILL);
            return ended ? 202 : 201;
        }
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) {
            if (!injected && (process >= 0)) fprintf(stderr, "faults: the call was not met\n");
            return ended ? result : 200;
        }
        struct tracee *tracee = find(pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            tracee->pid = 0;
            if (pid == launcher) {
                ended = 1;
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                alarm(2);
            }
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16, go_on = process >= 0 && injected ? PTRACE_CONT : PTRACE_SYSCALL;
        long deliver = 0;
        if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
            ptrace(PTRACE_LISTEN, pid, 0, 0);
            continue;
        } else if (event == PTRACE_EVENT_EXEC) {
            if (pid == launcher) tracee->counting = 1;
            else if (out) fprintf(out, "exec %d\n", (int)(tracee - tracees));
        } else if (signal == (SIGTRAP | 0x80)) {
            struct call_info info;
            if (ptrace((enum __ptrace_request)GET_SYSCALL_INFO, pid, sizeof info, &info) < 0) continue;
            if (info.op == ENTRY && tracee->counting) {
                tracee->ordinal++;
                tracee->nr = info.entry.nr;
                if (out) fprintf(out, "call %d %ld %ld\n", (int)(tracee - tracees), tracee->ordinal, (long)tracee->nr);
                if (tracee - tracees == process && tracee->ordinal == ordinal && (number < 0 || tracee->nr == number)) {
                    injected = 1;
                    if (kills) {
                        kill(pid, SIGKILL);
                        continue;
                    }
                    // A call that any filter allows stands in its place.
                    set_call(pid, SYS_getpid);
                    tracee->failing = 1;
                    go_on = PTRACE_SYSCALL;
                }
            } else if (info.op == EXIT && tracee->failing) {
                set_result(pid, -error);
                tracee->failing = 0;
                go_on = PTRACE_CONT;
            }
        } else if (event == 0) {
            deliver = signal;
        }
        if (tracee->failing) go_on = PTRACE_SYSCALL;
        ptrace((enum __ptrace_request)go_on, pid, 0, deliver);
    }
}

static void print_file(const char *path, const char *only) {
    FILE *file = fopen(path, "r");
    char line[4096];
    if (!file) { printf("%s: %s\n", path, strerror(errno)); return; }
    while (fgets(line, sizeof line, file)) if (!only || strncmp(line, only, strlen(only)) == 0) printf("%s: %s", path, line);
    fclose(file);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

static void print_folder(const char *path) {
    struct dirent **names;
    int length = scandir(path, &names, NULL, by_name);
    printf("%s:", path);
    for (int i = 0; i < length; i++) printf(" %s", names[i]->d_name);
    printf("\n");
}

static void attempt(const char *path, int flags) {
    int fd = open(path, flags, 0600);
    printf("open %s %d: %s\n", path, flags, fd < 0 ? strerror(errno) : "done");
    if (fd >= 0) close(fd);
}

// Each line is the same in every run of one profile.
static int walls(void) {
    static const char *const fields[] = { "Uid", "Gid", "Groups", "Cap", "NoNewPrivs", "Seccomp:", "Seccomp_filters", "Sig", "Umask" };
    printf("CANARY\n");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) if (strcmp(fields[i], "Sig") != 0) print_file("/proc/self/status", fields[i]);
    print_file("/proc/self/status", "SigBlk");
    print_file("/proc/self/status", "SigIgn");
    print_file("/proc/self/uid_map", NULL);
    print_file("/proc/self/setgroups", NULL);
    print_file("/proc/self/limits", NULL);
    print_file("/proc/self/cgroup", NULL);
    print_file("/proc/self/oom_score_adj", NULL);
    print_file("/proc/self/personality", NULL);
    print_file("/proc/self/timens_offsets", NULL);
    print_file("/proc/sys/user/max_user_namespaces", NULL);
    print_file("/proc/1/environ", NULL);
    // Mount point, root in its file system and options; ids differ from run to run.
    FILE *mounts = fopen("/proc/self/mountinfo", "r");
    char line[4096], root[1024], point[1024], options[1024];
    while (mounts && fgets(line, sizeof line, mounts)) {
        char *rest = strstr(line, " - ");
        if (sscanf(line, "%*d %*d %*s %1023s %1023s %1023s", root, point, options) == 3)
            printf("mount %s %s %s%s", root, point, options, rest ? rest : "\n");
    }
    static const char *const spaces[] = { "user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time" };
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) {
        char path[64], link[64] = "";
        snprintf(path, sizeof path, "/proc/self/ns/%s", spaces[i]);
        if (readlink(path, link, sizeof link - 1) < 0) snprintf(link, sizeof link, "%s", strerror(errno));
        printf("ns %s\n", link);
    }
    static const char *const folders[] = { "/", "/dev", "/etc", "/tmp", "/data", "/hidden", "/proc/self/fd" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) print_folder(folders[i]);
    print_file("/etc/text", NULL);
    char host[256] = "", folder[4096];
    gethostname(host, sizeof host);
    printf("host %s, cwd %s, session %d, group %d, parent %d, nice %d, dumpable %d\n", host, getcwd(folder, sizeof folder) ? folder : "-",
           getsid(0) == getpid(), getpgrp() == getpid(), getppid(), getpriority(PRIO_PROCESS, 0), prctl(PR_GET_DUMPABLE));
    int death = -1;
    prctl(PR_GET_PDEATHSIG, &death);
    printf("parent death %d, keyring-less add %ld\n", death, syscall(SYS_keyctl, 0, -3, 0));
    // Landlock has no file to read: descriptor 0 is a file that all may write, opened for reading; only Landlock refuses this.
    attempt("/proc/self/fd/0", O_WRONLY);
    attempt("/proc/self/fd/0", O_RDONLY);
    attempt("/usr/new", O_WRONLY | O_CREAT);
    attempt("/new", O_WRONLY | O_CREAT);
    attempt("/etc/text", O_WRONLY);
    attempt("/data/new", O_WRONLY | O_CREAT);
    attempt("/hidden", O_RDONLY);
    printf("unshare %s\n", unshare(CLONE_NEWUSER) ? strerror(errno) : "done");
    printf("socket %s\n", socket(AF_PACKET, SOCK_RAW, 0) < 0 ? strerror(errno) : "done");
    extern char **environ;
    for (char **variable = environ; *variable; variable++) printf("env %s\n", *variable);
    return 0;
}

// The command line lies in the memory of pid 1, its words ended by NUL.
static int first(void) {
    char line[4096];
    int fd = open("/proc/1/cmdline", O_RDONLY);
    ssize_t length = read(fd, line, sizeof line);
    for (ssize_t i = 0; i < length; i++) if (line[i] == 0) line[i] = ' ';
    printf("line %.*s\n", (int)length, line);
    print_file("/proc/1/comm", NULL);
    return 0;
}

int main(int argc, char **argv) {
    if (argc >= 2 && strcmp(argv[1], "first") == 0) return first();
    setvbuf(stdout, NULL, _IOFBF, 1 << 16);
    int at = 1;
    while (at < argc && strcmp(argv[at], "--") != 0) at++;
    char **command = argv + at + 1;
    if (argc >= 2 && strcmp(argv[1], "walls") == 0) return walls();
    if (at == 3 && at + 1 < argc && strcmp(argv[1], "trace") == 0) {
        FILE *out = fopen(argv[2], "we");
        if (!out) die(argv[2]);
        int status = drive(out, -1, 0, 0, -1, 0, command);
        if (fclose(out)) die("write");
        return status;
    }
    if (at == 6 && at + 1 < argc && strcmp(argv[1], "inject") == 0)
        return drive(NULL, atoi(argv[2]), atol(argv[3]), atoi(argv[4]), atol(argv[5]), 0, command);
    if (at == 3 && at + 1 < argc && strcmp(argv[1], "kill") == 0) return drive(NULL, 0, atol(argv[2]), 0, -1, 1, command);
    fprintf(stderr, "usage: faults trace OUT | inject PROCESS ORDINAL ERRNO NUMBER | kill ORDINAL -- COMMAND\n");
    return 200;
}
