// Makes stacks of directories, mounts them, and says what the kernel finds at paths in them: the
// lines on standard input say what, see tests/tree.rs. Each case is a process with a root of its own.
// All have one mount namespace: to end one takes the kernel a tenth of a second. Nothing is left but
// the files.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static int is_root, links;

static void fail(const char *what, const char *path)
{
    printf("failed %s %s: %s\n", what, path, strerror(errno));
    fflush(stdout);
    _exit(1);
}

static void put(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        fail("write", path);
    close(fd);
}

static void enter(void)
{
    char map[64];
    int uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWNS | (is_root ? 0 : CLONE_NEWUSER)))
        fail("unshare", "namespaces");
    if (!is_root) {
        put("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "0 %d 1", uid);
        put("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "0 %d 1", gid);
        put("/proc/self/gid_map", map);
    }
    if (mount(0, "/", 0, MS_REC | MS_PRIVATE, 0))
        fail("private", "/");
}

// A directory, without a link on the way: else the model was wrong about it.
static void check(const char *path)
{
    char real[8192], here[4096];
    if (!getcwd(here, sizeof here))
        fail("getcwd", path);
    snprintf(real, sizeof real, "%s/%s", here, path);
    char *found = realpath(path, 0);
    if (!found || strcmp(found, real)) {
        errno = found ? ELOOP : errno;
        fail("mount on", path);
    }
    free(found);
}

static void query(const char *path, int followed)
{
    int fd = -1;
    // A look-up that the kernel begins again, as others change names meanwhile, counts the links of
    // both tries (do_filp_open of fs/namei.c): a way that has too many has them at every try.
    for (int try = 0; fd < 0 && try < 100 && (!try || errno == ELOOP); try++)
        fd = open(path, O_PATH | O_CLOEXEC | (followed ? 0 : O_NOFOLLOW));
    if (fd < 0) {
        printf("%d\n", errno);
        return;
    }
    struct stat seen;
    char name[16], at[8192] = "", text[4097] = "";
    if (fstat(fd, &seen))
        fail("fstat", path);
    snprintf(name, sizeof name, "%d", fd);
    if (readlinkat(links, name, at, sizeof at - 1) < 0)
        fail("readlink", path);
    char kind = S_ISDIR(seen.st_mode) ? 'd' : S_ISREG(seen.st_mode) ? 'f' : S_ISLNK(seen.st_mode) ? 'l' : 'x';
    if (kind == 'l' && readlinkat(fd, "", text, sizeof text - 1) < 0)
        fail("readlink of", path);
    printf("%c\t%lld\t%s\t%s\n", kind, (long long)seen.st_mtime, at, text);
    close(fd);
}

// LINE is a letter and words that tabs part.
static void act(char *line, int *count)
{
    char *words[3] = {line + 1, "", ""}, options[512];
    for (int nth = 1; nth < 3 && (line = strchr(line + 1, '\t')); nth++) {
        *line = 0;
        words[nth] = line + 1;
    }
    const char *path = words[0], *text = words[1];
    char letter = path[-1];
    struct timespec times[2] = {{0, UTIME_OMIT}, {++*count, 0}};
    switch (letter) {
    case 'd':
        if (mkdir(path, 0755))
            fail("mkdir", path);
        break;
    case 'f':
        if (mknod(path, S_IFREG | 0644, 0))
            fail("mknod", path);
        break;
    case 'l':
        if (symlink(text, path))
            fail("symlink", path);
        break;
    case 'w':
        if (mknod(path, S_IFCHR, makedev(0, 0)))
            fail("whiteout", path);
        break;
    case 'o':
        if (setxattr(path, is_root ? "trusted.overlay.opaque" : "user.overlay.opaque", "y", 1, 0))
            fail("setxattr", path);
        break;
    case 't': // what a thing is known by, once nothing changes any more
        times[1].tv_sec = atoi(text);
        if (utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW))
            fail("utimensat", path);
        break;
    case 'e':
        if (mount("tree", "root", "tmpfs", 0, "mode=755"))
            fail("tmpfs", "root");
        break;
    case 'm': // merged: the third word is the upper layer
        check(path);
        snprintf(options, sizeof options, "lowerdir=%s%s", text, is_root ? "" : ",userxattr");
        if (*words[2])
            snprintf(options + strlen(options), sizeof options - strlen(options), ",upperdir=%s,workdir=work", words[2]);
        if (mount("tree", path, "overlay", *words[2] ? 0 : MS_RDONLY, options))
            fail("overlay", path);
        break;
    case 'b':
        check(path);
        if (mount(text, path, 0, MS_BIND | MS_REC, 0))
            fail("bind", path);
        break;
    case 'n':
        check(path);
        if (mount("tree", path, "tmpfs", 0, "mode=755"))
            fail("tmpfs", path);
        break;
    case 'c':
        links = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (links < 0 || chroot("root") || chdir("/"))
            fail("chroot", "root");
        break;
    case 'q':
        query(path, 1);
        break;
    case 'k':
        query(path, 0);
        break;
    default:
        fail("understand", path);
    }
}

static int drop(const char *path, const struct stat *seen, int kind, struct FTW *where)
{
    (void)seen, (void)where;
    if (kind == FTW_DP ? rmdir(path) : unlink(path))
        fail("remove", path);
    return 0;
}

// Takes a case away: all together are more than some machines have room for.
static void clear(const char *name)
{
    char root[64];
    snprintf(root, sizeof root, "%s/root", name);
    if (umount2(root, MNT_DETACH))
        fail("unmount", name);
    // Where a stack is the root, it lies upon another mount.
    while (!umount2(root, MNT_DETACH))
        ;
    if (errno != EINVAL || nftw(name, drop, 16, FTW_DEPTH | FTW_PHYS))
        fail("clear", name);
}

int main(int count, char **words)
{
    size_t room = 0, length = 0, more;
    char *all = 0;
    is_root = geteuid() == 0;
    umask(022);
    if (count != 2 || chdir(words[1]))
        fail("chdir", "");
    enter();
    // In memory it is ten times as fast. Before Linux 6.6 a tmpfs had no attributes of users'.
    const char *mark = is_root ? "trusted.tree" : "user.tree";
    if (mount("tree", words[1], "tmpfs", 0, "mode=755") || chdir(words[1]))
        fail("tmpfs", words[1]);
    if (setxattr(".", mark, "y", 1, 0) && (chdir("/") || umount(words[1]) || chdir(words[1])))
        fail("umount", words[1]);
    do {
        all = realloc(all, room += 1 << 20);
        more = fread(all + length, 1, room - length - 1, stdin);
        length += more;
    } while (more);
    all[length] = 0;
    // A case is a line with its directory, its own lines, and an empty one.
    for (char *line = all, *end; *line; line = end + 2) {
        end = strstr(line, "\n\n");
        if (!end)
            fail("end", line);
        *end = 0;
        fflush(stdout);
        pid_t child = fork();
        if (!child) {
            char *rest = line, *name = strsep(&rest, "\n");
            int made = 0;
            if (mkdir(name, 0755) || chdir(name))
                fail("case", name);
            while (rest && *rest)
                act(strsep(&rest, "\n"), &made);
            fflush(stdout);
            _exit(0);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || status)
            return 1;
        puts("");
        clear(strtok(line, "\n"));
    }
    return fflush(stdout) ? 1 : 0;
}
