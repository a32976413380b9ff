// What a target does with the descriptors of its caller. `on FD KIND COMMAND...` is the caller's part: it opens a socket there.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IPPROTO_MULTIPATH 262

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static int fail(const char *what) {
    perror(what);
    return 1;
}

static void disconnect(int fd) {
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    connect(fd, &nowhere, sizeof nowhere);
}

static int told(int fd) {
    char text[128];
    ssize_t count = read(fd, text, sizeof text - 1);
    if (count <= 0) return fail("read");
    text[count] = 0;
    return printf("%s", text) < 0;
}

// Connects the socket to a port of its own network, and prints what is told there.
static int reach(int fd, int port) {
    struct sockaddr_in address = loopback(port);
    disconnect(fd);
    return connect(fd, (struct sockaddr *)&address, sizeof address) ? fail("connect") : told(fd);
}

// The same by TCP fast open, which connects by sending.
static int fast(int fd, int port) {
    struct sockaddr_in address = loopback(port);
    disconnect(fd);
    if (sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, sizeof address) < 0) return fail("sendto");
    return told(fd);
}

static int occupy(int fd) {
    struct sockaddr_in address = loopback(0);
    disconnect(fd);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) return fail("bind");
    return listen(fd, 1) ? fail("listen") : 0;
}

// A port that the kernel picks: there is no rule for listen(2).
static int listens(int fd) {
    disconnect(fd);
    return listen(fd, 1) ? fail("listen") : 0;
}

static int send_to(int fd, int port) {
    struct sockaddr_in address = loopback(port);
    return sendto(fd, "hello", 5, 0, (struct sockaddr *)&address, sizeof address) == 5 ? 0 : fail("sendto");
}

static int wider(const char *path, int flags) {
    int fd = open(path, flags);
    if (fd < 0) return fail("open");
    if (flags == O_RDONLY) return told(fd);
    return write(fd, "CHANGED", 7) == 7 ? 0 : fail("write");
}

static int make(const char *kind) {
    if (!strcmp(kind, "tcp")) return socket(AF_INET, SOCK_STREAM, 0);
    if (!strcmp(kind, "udp")) return socket(AF_INET, SOCK_DGRAM, 0);
    if (!strcmp(kind, "mptcp")) return socket(AF_INET, SOCK_STREAM, IPPROTO_MULTIPATH);
    if (!strcmp(kind, "sctp")) return socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP);
    if (!strcmp(kind, "netlink")) return socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    if (!strcmp(kind, "packet")) return socket(AF_PACKET, SOCK_DGRAM, 0);
    if (!strcmp(kind, "raw")) return socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (!strcmp(kind, "vsock")) return socket(AF_VSOCK, SOCK_STREAM, 0);
    if (!strcmp(kind, "unix")) return socket(AF_UNIX, SOCK_STREAM, 0);
    if (!strcmp(kind, "memory")) {
        char path[64];
        int fd = memfd_create("input", 0);
        if (fd < 0 || write(fd, "input", 5) != 5) return -1;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return open(path, O_RDONLY);
    }
    if (!strcmp(kind, "memory-both")) return memfd_create("both", 0);
    if (!strcmp(kind, "folder")) return open("/", O_RDONLY | O_DIRECTORY);
    errno = EINVAL;
    return -1;
}

int main(int count, char **words) {
    if (count < 3) return 2;
    if (!strcmp(words[1], "on") && count > 4) {
        int fd = make(words[3]);
        if (fd < 0) return 77;
        if (dup2(fd, atoi(words[2])) < 0) return fail("dup2");
        execv(words[4], words + 4);
        return fail("execv");
    }
    int fd = atoi(words[2]), port = count > 3 ? atoi(words[3]) : 0;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!strcmp(words[1], "reach")) return reach(fd, port);
    if (!strcmp(words[1], "fast")) return fast(fd, port);
    if (!strcmp(words[1], "occupy")) return occupy(fd);
    if (!strcmp(words[1], "listen")) return listens(fd);
    if (!strcmp(words[1], "send")) return send_to(fd, port);
    if (!strcmp(words[1], "told")) return told(fd);
    if (!strcmp(words[1], "write")) return wider(path, O_WRONLY);
    if (!strcmp(words[1], "read")) return wider(path, O_RDONLY);
    if (!strcmp(words[1], "nonblock")) return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK | O_APPEND) ? fail("fcntl") : 0;
    if (!strcmp(words[1], "set-id-path")) return chmod(path, 06755) ? fail("chmod") : 0;
    if (!strcmp(words[1], "plain-mode")) return fchmod(fd, 0644) ? fail("fchmod") : 0;
    if (!strcmp(words[1], "set-id")) return fchmod(fd, 04755) ? fail("fchmod") : 0;
    return 2;
}
