// Fault injection for tests/faults.rs and tests/leftovers.rs, by ptrace(2). strace(1) counts calls
// per process but cannot choose the process; here a call is named by (process, system call, which
// of these calls in the process), so exactly one fails in a run. A process is named by its birth:
// the first is 0, and the n-th child of p is 100 * p + n, in whatever order processes begin to run.
//
// faults trace OUT -- COMMAND one line for each call: `call PROCESS ORDINAL NUMBER`, and
// `exec PROCESS`
// faults inject PROCESS NUMBER NTH ERRNO -- COMMAND the n-th call of that number is not made, and
// gives -ERRNO; says so where it is not met, and of each process that was there by then `born
// PROCESS`, and `exec PROCESS` where it had executed
// faults kill ORDINAL -- COMMAND the first process is killed (SIGKILL) on its way into that call
//   faults walls                            prints what the sandbox is made of, seen from inside
// faults first prints the name and the command line of pid 1, as early as a program can
//
// Status: the command's own; 128+n for signal n; 201 when it did not end in ten seconds; 202 when a
// process was left two seconds after its end; 200 for a failure of this program.
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

struct tracee { pid_t pid; int failing, counting, waiting, gone, executed; long name, children, ordinal, nth; };
enum { NAMELESS = -1 };
static struct tracee tracees[256];
static int count;
static pid_t launcher;
static volatile sig_atomic_t late;

static void die(const char *what) { perror(what); exit(200); }
static void on_alarm(int signal) { (void)signal; late = 1; }

static struct tracee *find(pid_t pid) {
    // One that ended before its parent's word of it may yet get its name.
    for (int i = 0; i < count; i++) if (tracees[i].pid == pid && (!tracees[i].gone || tracees[i].name == NAMELESS)) return &tracees[i];
    if (count == 256) die("too many processes");
    tracees[count] = (struct tracee){ .pid = pid, .counting = count > 0, .name = count > 0 ? NAMELESS : 0 };
    return &tracees[count++];
}

// The name of a process that is met before its parent's word of it, and does not go on until then.
static void name_child(struct tracee *parent, struct tracee *child) {
    if (++parent->children == 100) die("too many children");
    child->name = 100 * parent->name + parent->children;
}

// A parent that is killed in the clone never says whose child it is: such a process goes on without
// a name.
static int has_parent(pid_t pid) {
    char path[64], line[256];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "PPid: %d", &parent);
    if (file) fclose(file);
    for (int i = 0; i < count; i++) if (!tracees[i].gone && tracees[i].pid == parent) return 1;
    return 0;
}

// Whether a request was served. A tracee that was killed while it stood still is gone (ESRCH): the
// launcher ends the process that holds a user namespace whenever it no longer needs it.
static int served(long result, const char *what) {
    if (result && errno != ESRCH) die(what);
    return result == 0;
}

#if defined(__x86_64__)
static int set_call(pid_t pid, long nr) {
    struct user_regs_struct regs;
    if (!served(ptrace(PTRACE_GETREGS, pid, 0, &regs), "getregs")) return 0;
    regs.orig_rax = nr;
    return served(ptrace(PTRACE_SETREGS, pid, 0, &regs), "setregs");
}
static int set_result(pid_t pid, long value) {
    struct user_regs_struct regs;
    if (!served(ptrace(PTRACE_GETREGS, pid, 0, &regs), "getregs")) return 0;
    regs.rax = value;
    return served(ptrace(PTRACE_SETREGS, pid, 0, &regs), "setregs");
}
#elif defined(__aarch64__)
static int set_call(pid_t pid, long nr) {
    int number = nr;
    struct iovec iov = { &number, sizeof number };
    return served(ptrace(PTRACE_SETREGSET, pid, 0x404 /* NT_ARM_SYSTEM_CALL */, &iov), "setregset");
}
static int set_result(pid_t pid, long value) {
    struct user_regs_struct regs;
    struct iovec iov = { &regs, sizeof regs };
    if (!served(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &iov), "getregset")) return 0;
    regs.regs[0] = value;
    return served(ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &iov), "setregset");
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

// The one call that a run is for.
struct target {
    // NONE where there is none.
    long process;
    // Which call of the process, or of those with this number.
    long nth, number;
    int error;
    // The process is killed instead.
    int kills;
};
enum { NONE = -2, ANY = -1 };

// Only calls that may be the one are stopped at, and until the process has its name all of them.
static int way_on(const struct tracee *tracee, const struct target *target, int injected) {
    int may_be = target->process == NONE || tracee->name == target->process || tracee->name == NAMELESS;
    return !injected && may_be ? PTRACE_SYSCALL : PTRACE_CONT;
}

static void release(struct tracee *tracee, int go_on) {
    tracee->waiting = 0;
    ptrace((enum __ptrace_request)go_on, tracee->pid, 0, 0);
}

static int drive(FILE *out, struct target target, char **command) {
    struct sigaction action = { .sa_handler = on_alarm };
    sigaction(SIGALRM, &action, NULL);
    start(command);
    alarm(10);
    int status = 0, ended = 0, injected = 0, result = 200;
    for (;;) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0 && errno == EINTR && late) {
            for (int i = 0; i < count; i++) if (!tracees[i].gone) kill(tracees[i].pid, SIGKILL);
            return ended ? 202 : 201;
        }
        if (pid < 0 && errno == EINTR) continue;
        if (pid < 0) {
            if (!injected && target.process != NONE) fprintf(stderr, "faults: the call was not met\n");
            return ended ? result : 200;
        }
        struct tracee *tracee = find(pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            tracee->gone = 1;
            if (pid == launcher) {
                ended = 1;
                result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
                alarm(2);
            }
            for (int i = 0; i < count; i++) if (tracees[i].waiting && !tracees[i].gone && !has_parent(tracees[i].pid)) release(&tracees[i], PTRACE_CONT);
            continue;
        }
        int signal = WSTOPSIG(status), event = status >> 16, go_on = way_on(tracee, &target, injected);
        long deliver = 0;
        if (event == PTRACE_EVENT_STOP && signal != SIGTRAP) {
            ptrace(PTRACE_LISTEN, pid, 0, 0);
            continue;
        } else if (event == PTRACE_EVENT_STOP && tracee->name == NAMELESS) {
            tracee->waiting = 1;
            if (has_parent(pid)) continue;
            tracee->waiting = 0;
        } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            unsigned long born;
            if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &born) < 0) continue;
            struct tracee *child = find(born);
            name_child(tracee, child);
            if (child->waiting && !child->gone) release(child, way_on(child, &target, injected));
        } else if (event == PTRACE_EVENT_EXEC) {
            if (pid == launcher) tracee->counting = 1;
            else if (out) fprintf(out, "exec %ld\n", tracee->name);
            tracee->executed = pid != launcher;
        } else if (signal == (SIGTRAP | 0x80)) {
            struct call_info info;
            if (ptrace((enum __ptrace_request)GET_SYSCALL_INFO, pid, sizeof info, &info) < 0) continue;
            if (info.op == ENTRY && tracee->counting) {
                long number = info.entry.nr;
                tracee->ordinal++;
                tracee->nth += target.number == ANY || number == target.number;
                if (out) fprintf(out, "call %ld %ld %ld\n", tracee->name, tracee->ordinal, number);
                if (!injected && tracee->name == target.process && tracee->nth == target.nth && (target.number == ANY || number == target.number)) {
                    injected = 1;
                    if (target.kills) {
                        kill(pid, SIGKILL);
                        continue;
                    }
                    // A call that any filter allows stands in its place.
                    if (!set_call(pid, SYS_getpid)) {
                        injected = 0;
                        continue;
                    }
                    for (int i = 0; i < count; i++) {
                        if (tracees[i].name > 0) fprintf(stderr, "faults: born %ld\n", tracees[i].name);
                        if (tracees[i].executed) fprintf(stderr, "faults: exec %ld\n", tracees[i].name);
                    }
                    tracee->failing = 1;
                    go_on = PTRACE_SYSCALL;
                }
            } else if (info.op == EXIT && tracee->failing) {
                // One that is gone never saw its call fail.
                injected = set_result(pid, -target.error);
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
static int walls(char **made) {
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
    static const char *const folders[] = { "/", "/dev", "/etc", "/tmp", "/data", "/hidden", "/merged", "/merged/inner", "/copied", "/proc/self/fd" };
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) print_folder(folders[i]);
    print_file("/etc/text", NULL);
    char host[256] = "", folder[4096];
    gethostname(host, sizeof host);
    printf("host %s, cwd %s, session %d, group %d, parent %d, nice %d, dumpable %d\n", host, getcwd(folder, sizeof folder) ? folder : "-",
           getsid(0) == getpid(), getpgrp() == getpid(), getppid(), getpriority(PRIO_PROCESS, 0), prctl(PR_GET_DUMPABLE));
    int death = -1;
    prctl(PR_GET_PDEATHSIG, &death);
    printf("parent death %d, keyring-less add %ld\n", death, syscall(SYS_keyctl, 0, -3, 0));
    // Landlock has no file to read: descriptor 0 is a file that all may write, opened for reading;
    // only Landlock refuses this.
    attempt("/proc/self/fd/0", O_WRONLY);
    attempt("/proc/self/fd/0", O_RDONLY);
    attempt("/usr/new", O_WRONLY | O_CREAT);
    attempt("/new", O_WRONLY | O_CREAT);
    attempt("/etc/text", O_WRONLY);
    attempt("/data/new", O_WRONLY | O_CREAT);
    attempt("/hidden", O_RDONLY);
    attempt("/merged/secret", O_RDONLY);
    attempt("/merged/inner/new", O_WRONLY | O_CREAT);
    for (; *made; made++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/secret", *made);
        attempt(path, O_RDONLY);
        print_folder(*made);
        snprintf(path, sizeof path, "%s/new", *made);
        attempt(path, O_WRONLY | O_CREAT);
    }
    attempt("/etc/hostname", O_RDONLY);
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
    if (argc >= 2 && strcmp(argv[1], "walls") == 0) return walls(argv + 2);
    if (at == 3 && at + 1 < argc && strcmp(argv[1], "trace") == 0) {
        FILE *out = fopen(argv[2], "we");
        if (!out) die(argv[2]);
        int status = drive(out, (struct target){ .process = NONE }, command);
        if (fclose(out)) die("write");
        return status;
    }
    if (at == 6 && at + 1 < argc && strcmp(argv[1], "inject") == 0) {
        struct target target = { .process = atol(argv[2]), .number = atol(argv[3]), .nth = atol(argv[4]), .error = atoi(argv[5]) };
        return drive(NULL, target, command);
    }
    if (at == 3 && at + 1 < argc && strcmp(argv[1], "kill") == 0)
        return drive(NULL, (struct target){ .process = 0, .number = ANY, .nth = atol(argv[2]), .kills = 1 }, command);
    fprintf(stderr, "usage: faults trace OUT | inject PROCESS NUMBER NTH ERRNO | kill ORDINAL -- COMMAND\n");
    return 200;
}
