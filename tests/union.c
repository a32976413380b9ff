// Changes a tree as the lines on standard input say, and prints what each change gives: tests/union.rs.
// A line is a letter and words; words that are bytes are in hexadecimal, as names may have any.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

// Whether the dump has what an owner of a layer sees, too: ids, links and times.
static int is_full;

static void die(const char *what)
{
    printf("failed %s: %s\n", what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

static char *unhex(const char *word, size_t *length)
{
    size_t count = strlen(word) / 2;
    char *bytes = malloc(count + 1);
    for (size_t nth = 0; nth < count; nth++) {
        unsigned byte;
        sscanf(word + 2 * nth, "%2x", &byte);
        bytes[nth] = byte;
    }
    bytes[count] = 0;
    if (length)
        *length = count;
    return bytes;
}

static void hex(const char *bytes, size_t length)
{
    if (!length)
        putchar('-');
    while (length--)
        printf("%02x", (unsigned char)*bytes++);
}

static int by_text(const void *one, const void *other)
{
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void attributes(const char *path)
{
    static char names[65536], value[65536];
    char *all[256];
    ssize_t length = llistxattr(path, names, sizeof names), size;
    int count = 0;
    if (length < 0) {
        printf(" ?%d", errno);
        return;
    }
    for (char *name = names; name < names + length; name += strlen(name) + 1)
        if (!strncmp(name, "user.", 5) || is_full)
            all[count++] = name;
    qsort(all, count, sizeof *all, by_text);
    for (int nth = 0; nth < count; nth++) {
        size = lgetxattr(path, all[nth], value, sizeof value);
        printf(" %s=", all[nth]);
        size < 0 ? (void)printf("?%d", errno) : hex(value, size);
    }
}

// The bytes of a file: how many, and their sum (FNV-1a).
static void contents(int dir, const char *name)
{
    static unsigned char part[65536];
    unsigned long long sum = 0xcbf29ce484222325, size = 0;
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        printf(" ?%d", errno);
        return;
    }
    for (ssize_t more; (more = read(fd, part, sizeof part)); size += more) {
        if (more < 0)
            die("read");
        for (ssize_t nth = 0; nth < more; nth++)
            sum = (sum ^ part[nth]) * 0x100000001b3;
    }
    close(fd);
    printf(" %llu %016llx", size, sum);
}

// Everything below an open directory: each name once, and what it is.
static void dump(int dir, const char *above)
{
    char text[4097], here[8192], at[8300];
    DIR *open = fdopendir(dir);
    struct dirent *entry;
    if (!open)
        die("fdopendir");
    while ((errno = 0, entry = readdir(open))) {
        struct stat seen;
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, ".."))
            continue;
        snprintf(here, sizeof here, "%s%s%s", above, *above ? "/" : "", name);
        hex(here, strlen(here));
        if (fstatat(dir, name, &seen, AT_SYMLINK_NOFOLLOW)) {
            printf(" ?%d\n", errno);
            continue;
        }
        if (entry->d_type != DT_UNKNOWN && entry->d_type << 12 != (int)(seen.st_mode & S_IFMT))
            printf(" (is listed as %d)", entry->d_type);
        printf(" %o", S_ISLNK(seen.st_mode) ? seen.st_mode & S_IFMT : seen.st_mode);
        if (is_full)
            printf(" %d:%d %d %lld.%09ld %lld.%09ld", seen.st_uid, seen.st_gid, (int)seen.st_nlink,
                   (long long)seen.st_mtim.tv_sec, seen.st_mtim.tv_nsec, (long long)seen.st_ctim.tv_sec,
                   seen.st_ctim.tv_nsec);
        else if (seen.st_uid != geteuid() || seen.st_gid != getegid())
            printf(" (is of %d:%d)", seen.st_uid, seen.st_gid);
        if (S_ISREG(seen.st_mode))
            contents(dir, name);
        if (S_ISLNK(seen.st_mode)) {
            ssize_t length = readlinkat(dir, name, text, sizeof text);
            putchar(' ');
            hex(text, length < 0 ? 0 : length);
        }
        // There is no call for it below a descriptor before Linux 6.13.
        snprintf(at, sizeof at, "/proc/self/fd/%d/%s", dir, name);
        attributes(at);
        if (S_ISDIR(seen.st_mode)) {
            int inner = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
            if (inner < 0) {
                printf(" ?%d\n", errno);
            } else {
                putchar('\n');
                dump(inner, here);
            }
        } else {
            putchar('\n');
        }
    }
    if (errno)
        die("readdir");
    closedir(open);
}

static int put(const char *path, int flags, int mode, off_t at, const char *bytes, size_t length)
{
    int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);
    if (fd < 0)
        return errno;
    ssize_t done = !length ? 0 : flags & O_APPEND ? write(fd, bytes, length) : pwrite(fd, bytes, length, at);
    int error = done < 0 ? errno : done != (ssize_t)length ? EIO : 0;
    return close(fd) ? errno : error;
}

static int act(char *line)
{
    char *words[5] = {"", "", "", "", ""}, *rest = line;
    size_t length;
    for (int nth = 0; nth < 5 && rest; nth++)
        words[nth] = strsep(&rest, " ");
    char *path = unhex(words[1], 0);
    int number = strtol(words[2], 0, 8);
    char *bytes = unhex(words[3], &length);
    int failed = 0;
    switch (*words[0]) {
    case 'c':
        return put(path, O_WRONLY | O_CREAT | O_EXCL, number, 0, bytes, length);
    case 'w':
        return put(path, O_WRONLY, 0, number, bytes, length);
    case 'a':
        return put(path, O_WRONLY | O_APPEND, 0, 0, bytes, length);
    case 'o':
        return put(path, O_WRONLY | O_TRUNC, 0, 0, bytes, length);
    case 'p': // opened for both, and nothing is done
        return put(path, O_RDWR, 0, 0, bytes, 0);
    case 't':
        failed = truncate(path, number);
        break;
    case 'd':
        failed = mkdir(path, number);
        break;
    case 'f':
        failed = mkfifo(path, number);
        break;
    case 'r':
        failed = rmdir(path);
        break;
    case 'u':
        failed = unlink(path);
        break;
    case 's':
        failed = symlink(bytes, path);
        break;
    case 'l':
        failed = link(path, bytes);
        break;
    case 'm':
        failed = syscall(SYS_renameat2, AT_FDCWD, path, AT_FDCWD, bytes, number);
        break;
    case 'h':
        failed = chmod(path, number);
        break;
    case 'x': {
        char *name = unhex(words[4], 0);
        failed = number ? lsetxattr(path, name, bytes, length, 0) : lremovexattr(path, name);
        break;
    }
    default:
        die(line);
    }
    return failed ? errno : 0;
}

int main(int count, char **words)
{
    static char line[1 << 17];
    is_full = count == 3;
    umask(0);
    if (count < 2 || chdir(words[1]))
        die("chdir");
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (*line == 'D') {
            int top = open(".", O_RDONLY | O_DIRECTORY);
            struct stat seen;
            if (stat(".", &seen))
                die("stat");
            printf("2e %o", seen.st_mode);
            attributes(".");
            if (top < 0) {
                printf(" ?%d\n", errno);
            } else {
                putchar('\n');
                dump(top, "");
            }
            puts("end");
        } else {
            printf("%d\n", act(line));
        }
        fflush(stdout);
    }
    return 0;
}
