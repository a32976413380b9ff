// What a target does to the terminal of its caller. The word says what; what it hears goes to
// descriptor 2.
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static void hear(int fd, long until) {
    char heard[256];
    while (now_ms() < until) {
        struct pollfd polled = {fd, POLLIN, 0};
        if (poll(&polled, 1, 50) > 0 && polled.revents & POLLIN) {
            ssize_t count = read(fd, heard, sizeof heard);
            if (count <= 0) {
                usleep(20000);
            } else if (write(2, heard, count) != count) {
                exit(3);
            }
        }
    }
}

// Reads by every way to the terminal: the descriptor itself, the same opened anew, and the
// controlling terminal.
static int listen_to(int front) {
    int group = getpgrp();
    for (int number = 1; number < 65; number++) signal(number, SIG_IGN);
    if (front) {
        ioctl(1, TIOCSCTTY, 0);
        ioctl(1, TIOCSPGRP, &group);
    }
    long until = now_ms() + 800;
    int ways[3] = {open("/proc/self/fd/1", O_RDONLY | O_NOCTTY), open("/proc/self/fd/1", O_RDWR | O_NOCTTY), open("/dev/tty", O_RDWR)};
    while (now_ms() < until) {
        hear(1, now_ms() + 50);
        for (int way = 0; way < 3; way++) {
            if (ways[way] >= 0) hear(ways[way], now_ms() + 50);
        }
    }
    return 0;
}

static int raw(int fd) {
    struct termios modes;
    signal(SIGTTOU, SIG_IGN);
    if (ioctl(fd, TCGETS, &modes)) return 2;
    modes.c_lflag &= ~(ISIG | ECHO | ICANON);
    modes.c_oflag &= ~OPOST;
    return ioctl(fd, TCSETS, &modes) ? 2 : 0;
}

// Stops itself over and over: nobody reads what pid 1 says of it while the launcher is stopped.
static int flood(long millis) {
    char path[64], stat[512];
    pid_t me = getpid();
    snprintf(path, sizeof path, "/proc/%d/stat", me);
    signal(SIGTERM, SIG_IGN);
    if (fork() == 0) {
        long until = now_ms() + millis;
        int fd = open(path, O_RDONLY);
        while (now_ms() < until) {
            kill(me, SIGSTOP);
            for (int look = 0; look < 2000; look++) {
                ssize_t count = pread(fd, stat, sizeof stat - 1, 0);
                stat[count > 0 ? count : 0] = 0;
                char *state = strrchr(stat, ')');
                if (!state || state[2] == 'T') break;
            }
            kill(me, SIGCONT);
        }
        if (write(2, "late\n", 5) != 5) return 3;
        kill(me, SIGKILL);
        return 0;
    }
    for (;;) pause();
}

int main(int count, char **words) {
    struct winsize tiny = {1, 1, 0, 0};
    int null_discipline = 27;
    if (count < 2) return 1;
    if (!strcmp(words[1], "listen")) return listen_to(0);
    if (!strcmp(words[1], "steal")) return listen_to(1);
    if (!strcmp(words[1], "freeze")) return ioctl(1, TCXONC, TCOOFF) ? 2 : 0;
    if (!strcmp(words[1], "shrink")) return ioctl(1, TIOCSWINSZ, &tiny) ? 2 : 0;
    if (!strcmp(words[1], "raw")) return raw(1);
    // Only the owner may, which a target of root's is not.
    if (!strcmp(words[1], "publish")) return fchmod(1, 0666) && errno != EPERM ? 2 : 0;
    if (!strcmp(words[1], "raw-passed")) return raw(5);
    if (!strcmp(words[1], "exclusive")) return ioctl(1, TIOCEXCL, 0) ? 2 : 0;
    if (!strcmp(words[1], "discipline")) return ioctl(1, TIOCSETD, &null_discipline) ? 2 : 0;
    if (!strcmp(words[1], "flood")) return flood(atol(words[2]));
    if (!strcmp(words[1], "wait")) return usleep(1000000);
    return 1;
}
