// What a target does with namespaces of its own. `nested ACT ARGUMENTS`: 0 where it succeeded, 1
// with the errno's name where the kernel or the filter refused it, 2 where the act could not be
// tried.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OPEN_TREE_NAMESPACE 2

static int refused(void) {
    printf("%s\n", strerrorname_np(errno));
    fflush(stdout); // _exit(2) leaves it
    return 1;
}

static void put(const char *path, const char *text) {
    int fd = open(path, O_WRONLY);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) {
        perror(path);
        _exit(2);
    }
    close(fd);
}

// New namespaces in which this process is root; the flags hold CLONE_NEWUSER.
static int become_root(unsigned long flags) {
    char map[64];
    unsigned uid = getuid(), gid = getgid();
    if (syscall(SYS_unshare, flags)) return -1;
    put("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    put("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    put("/proc/self/gid_map", map);
    return 0;
}

// capability FILE CALL [own]: CAP_SETUID for FILE, as the root of a namespace of its own or as what
// it is.
static int capability(int n, char **words) {
    int own = n > 4 && !strcmp(words[4], "own");
    struct vfs_ns_cap_data data = {.magic_etc = VFS_CAP_REVISION_3 | VFS_CAP_FLAGS_EFFECTIVE, .rootid = getuid()};
    size_t size = own ? sizeof(struct vfs_cap_data) : sizeof data;
    data.data[0].permitted = 1 << CAP_SETUID;
    if (own) data.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE;
    if (own && become_root(CLONE_NEWUSER)) return refused();
    const char *file = words[2], *call = words[3], *name = "security.capability";
    long result;
    if (!strcmp(call, "setxattr")) {
        result = setxattr(file, name, &data, size, 0);
    } else if (!strcmp(call, "lsetxattr")) {
        result = lsetxattr(file, name, &data, size, 0);
    } else if (!strcmp(call, "fsetxattr")) {
        result = fsetxattr(open(file, O_RDONLY), name, &data, size, 0);
    } else {
        struct { uint64_t value; uint32_t size, flags; } at = {(uintptr_t)&data, size, 0};
        result = syscall(463, AT_FDCWD, file, 0, name, &at, sizeof at); // setxattrat (Linux 6.13)
    }
    return result ? refused() : 0;
}

// bare DIRECTORY NAME: what a mount covers at NAME, moved where none does.
static int bare(char **words) {
    char to[256], byte;
    int up[2], down[2], dir = open(words[2], O_RDONLY | O_DIRECTORY);
    if (dir < 0 || pipe(up) || pipe(down)) return 2;
    if (become_root(CLONE_NEWUSER | CLONE_NEWNS)) return refused();
    mkdirat(dir, ".moved", 0700);
    int here = open(words[2], O_PATH), tree = syscall(SYS_open_tree, here, ".moved", 1 | O_CLOEXEC);
    if (tree < 0) return refused();
    snprintf(to, sizeof to, ".moved/%s", words[3]);
    if (fork() == 0) {
        if (unshare(CLONE_NEWNS) || mount("none", "/tmp", "tmpfs", 0, "") || chdir("/tmp") || syscall(SYS_pivot_root, ".", ".") ||
            umount2(".", MNT_DETACH) || renameat(dir, words[3], dir, to))
            _exit(refused());
        if (write(up[1], "x", 1) != 1 || read(down[0], &byte, 1) != 1) _exit(2);
        _exit(renameat(dir, to, dir, words[3]) ? 2 : 0);
    }
    close(up[1]);
    if (read(up[0], &byte, 1) != 1) {
        wait(NULL);
        return 1;
    }
    char text[256] = "";
    int file = openat(tree, words[3], O_RDONLY);
    if (file < 0 || read(file, text, sizeof text - 1) < 0) strcpy(text, "unreadable\n");
    fputs(text, stdout);
    fflush(stdout);
    if (write(down[1], "x", 1) != 1) return 2;
    wait(NULL);
    unlinkat(dir, ".moved", AT_REMOVEDIR);
    return 0;
}

// unshare FLAGS, clone FLAGS, in a user namespace of its own where FLAGS hold none.
static int make(char **words) {
    unsigned long flags = strtoul(words[2], NULL, 16);
    if (!(flags & CLONE_NEWUSER) && become_root(CLONE_NEWUSER)) return refused();
    if (!strcmp(words[1], "unshare")) return syscall(SYS_unshare, flags) ? refused() : 0;
    long child = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (child == 0) _exit(0);
    return child < 0 ? refused() : 0;
}

// setns FLAGS: into a user namespace that a child of its made, and back into its own of another
// kind.
static int enter(char **words) {
    char path[64], byte;
    int ready[2], type = (int)strtoul(words[2], NULL, 16);
    if (pipe(ready)) return 2;
    pid_t child = fork();
    if (child == 0) {
        if (become_root(CLONE_NEWUSER | CLONE_NEWNET)) _exit(refused());
        if (write(ready[1], "x", 1) != 1) _exit(2);
        pause();
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) return 2;
    snprintf(path, sizeof path, "/proc/%d/ns/user", child);
    int fd = open(path, O_RDONLY), result = syscall(SYS_setns, fd, type) ? refused() : 0;
    kill(child, SIGKILL);
    return result;
}

// mounts: every call that mounts, unmounts or opens a tree, by the root of namespaces of its own;
// those that did not give EPERM.
static int mounts(char **words) {
    if (become_root(CLONE_NEWUSER | strtoul(words[2], NULL, 16))) return refused();
    struct { const char *name; long number, arguments[5]; } calls[] = {
        {"mount", SYS_mount, {(long)"none", (long)"/tmp", (long)"tmpfs", 0, (long)""}},
        {"umount2", SYS_umount2, {(long)"/tmp", MNT_DETACH}},
        {"pivot_root", SYS_pivot_root, {(long)"/tmp", (long)"/tmp"}},
        {"open_tree", SYS_open_tree, {AT_FDCWD, (long)"/", 1}},
        {"open_tree", SYS_open_tree, {AT_FDCWD, (long)"/", OPEN_TREE_NAMESPACE}},
        {"open_tree_attr", 467, {AT_FDCWD, (long)"/", 1}},
        {"fsopen", SYS_fsopen, {(long)"tmpfs", 0}},
        {"fspick", SYS_fspick, {AT_FDCWD, (long)"/tmp", 0}},
        {"fsmount", SYS_fsmount, {-1, 0, 0}},
        {"fsconfig", SYS_fsconfig, {-1, 0, 0}},
        {"move_mount", SYS_move_mount, {AT_FDCWD, (long)"/tmp", AT_FDCWD, (long)"/tmp", 0}},
        {"mount_setattr", SYS_mount_setattr, {AT_FDCWD, (long)"/tmp", 0, 0, 0}},
        {"setns", SYS_setns, {-1, CLONE_NEWNS}},
        {"unshare", SYS_unshare, {CLONE_NEWNS}},
        {"unshare", SYS_unshare, {0x100000}}, // UNSHARE_EMPTY_MNTNS
    };
    int opened = 0;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        long *a = calls[i].arguments;
        if (syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4]) < 0 && errno == EPERM) continue;
        printf("%s: %s\n", calls[i].name, strerrorname_np(errno));
        opened = 1;
    }
    return opened;
}

// proc: a new and whole one.
static int proc(void) {
    if (become_root(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)) return refused();
    if (fork() == 0) {
        if (mount("none", "/tmp", "proc", 0, "")) _exit(refused());
        _exit(access("/tmp/cmdline", R_OK) ? 2 : 0);
    }
    int status;
    wait(&status);
    return WEXITSTATUS(status);
}

// root: chroot(2) in namespaces of its own, as the sandbox of chromium does.
static int root(void) {
    if (become_root(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)) return refused();
    return chroot("/proc/self/fdinfo") || chdir("/") ? refused() : 0;
}

int main(int n, char **words) {
    const char *act = n > 1 ? words[1] : "";
    if (n > 3 && !strcmp(act, "capability")) return capability(n, words);
    if (n > 3 && !strcmp(act, "bare")) return bare(words);
    if (n > 2 && (!strcmp(act, "unshare") || !strcmp(act, "clone"))) return make(words);
    if (n > 2 && !strcmp(act, "setns")) return enter(words);
    if (n > 2 && !strcmp(act, "mounts")) return mounts(words);
    if (!strcmp(act, "proc")) return proc();
    if (!strcmp(act, "root")) return root();
    return 2;
}
