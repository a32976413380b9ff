// What a target does to outlive its sandbox's end, or to put it off: ending MODE [MILLISECONDS].
//
//   flood     sends real-time signals, which queue, to pid 1 from every processor
//   orphans   makes orphans, whose ends pid 1 must wait for, on every processor
// rethread executes itself from a second thread, so that the parent-death signal of the first is
// gone (prctl(2))
//   run       forks and ends, again and again, so that it has another number at each look
//
// Each says `there` where it is still there when its time is over.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int there(void) { return write(1, "there\n", 6) == 6 ? 0 : 1; }

// Stays on one processor, one process on each of the first four; gives whether this is the first
// process.
static int spread(void) {
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    for (long i = processors < 4 ? processors - 1 : 3; i >= 0; i--) {
        if (i > 0 && fork() != 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(i, &one);
        sched_setaffinity(0, sizeof one, &one);
        return i == 0;
    }
    return 0;
}

// Its children are orphans at once.
static void litter(void) {
    for (int i = 0; i < 50; i++) if (vfork() == 0) _exit(0);
    _exit(0);
}

static void *again(void *words) { execv("/proc/self/exe", words); return NULL; }

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "";
    double end = now() + (argc > 2 ? atof(argv[2]) / 1000 : 1);
    char *after[] = { argv[0], "stay", argc > 2 ? argv[2] : "1000", argc > 3 ? argv[3] : NULL, NULL };
    if (strcmp(mode, "flood") == 0) {
        for (int signal_ = 1; signal_ < 65; signal_++) signal(signal_, SIG_IGN);
        int first = spread();
        while (now() < end) for (int i = 0; i < 64; i++) kill(1, SIGRTMIN + i % 8);
        return first ? there() : 0;
    }
    if (strcmp(mode, "orphans") == 0) {
        for (int signal_ = 1; signal_ < 32; signal_++) if (signal_ != SIGCHLD) signal(signal_, SIG_IGN);
        int first = spread();
        while (now() < end) {
            pid_t pid = fork();
            if (pid == 0) litter();
            waitpid(pid, NULL, 0);
        }
        return first ? there() : 0;
    }
    if (strcmp(mode, "rethread") == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, again, after);
        pthread_join(thread, NULL);
    }
    if (strcmp(mode, "run") == 0) {
        // One that prints is the last of its line.
        while (now() < end) {
            pid_t pid = fork();
            if (pid > 0) _exit(0);
        }
        return there();
    }
    if (strcmp(mode, "stay") == 0) {
        int death = -1;
        prctl(PR_GET_PDEATHSIG, &death);
        printf("parent-death signal %d\n", death);
        fflush(stdout);
        while (now() < end) usleep(1000);
        return there();
    }
    return 2;
}
