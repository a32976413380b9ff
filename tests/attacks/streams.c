// What a target does with the descriptors of its caller. `on FD KIND COMMAND...` is the caller's
// part: it opens a socket there.
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
#include <sys/un.h>
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

// An abstract name (unix(7)).
static socklen_t named(struct sockaddr_un *address, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    strncpy(address->sun_path + 1, name, sizeof address->sun_path - 2);
    return sizeof(sa_family_t) + 1 + strlen(name);
}

static int is_stream(int fd) {
    int kind = 0;
    socklen_t size = sizeof kind;
    getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size);
    return kind != SOCK_DGRAM;
}

// Takes an abstract name, and prints what one client says there.
static int serve(int fd, const char *name) {
    struct sockaddr_un address;
    socklen_t size = named(&address, name);
    disconnect(fd);
    if (bind(fd, (struct sockaddr *)&address, size)) return fail("bind");
    if (!is_stream(fd)) return told(fd);
    if (listen(fd, 1)) return fail("listen");
    return told(accept(fd, 0, 0));
}

// Says a word to an abstract name.
static int tell(int fd, const char *name) {
    struct sockaddr_un address;
    socklen_t size = named(&address, name);
    disconnect(fd);
    if (connect(fd, (struct sockaddr *)&address, size)) return fail("connect");
    return write(fd, "word", 4) == 4 ? 0 : fail("write");
}

// A unix socket of the caller's: one end of a pair whose other end says a word, or one of its own.
static int make_unix(const char *kind) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int ends[2] = {-1, -1}, type = strstr(kind, "datagram") ? SOCK_DGRAM : strstr(kind, "packet") ? SOCK_SEQPACKET : SOCK_STREAM;
    if (strstr(kind, "pair")) {
        if (socketpair(AF_UNIX, type, 0, ends) || write(ends[1], "hello", 5) != 5) return -1;
        return ends[0];
    }
    int fd = socket(AF_UNIX, type, 0);
    // The kernel picks the name.
    if (strstr(kind, "named") && bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t))) return -1;
    if (strstr(kind, "listening") && listen(fd, 1)) return -1;
    return fd;
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
    if (!strncmp(kind, "unix", 4)) return make_unix(kind);
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
    if (!strcmp(words[1], "serve") && count > 3) return serve(fd, words[3]);
    if (!strcmp(words[1], "tell") && count > 3) return tell(fd, words[3]);
    if (!strcmp(words[1], "write")) return wider(path, O_WRONLY);
    if (!strcmp(words[1], "read")) return wider(path, O_RDONLY);
    if (!strcmp(words[1], "nonblock")) return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK | O_APPEND) ? fail("fcntl") : 0;
    if (!strcmp(words[1], "set-id-path")) return chmod(path, 06755) ? fail("chmod") : 0;
    if (!strcmp(words[1], "plain-mode")) return fchmod(fd, 0644) ? fail("fchmod") : 0;
    if (!strcmp(words[1], "set-id")) return fchmod(fd, 04755) ? fail("fchmod") : 0;
    return 2;
}
