/* reach ACT [ARG..]: acts on processes, IPC objects and files that are not the target's. Prints each act with what came of it, and exits 0
 * when any succeeded, 1 when all were refused, 2 when it was called wrongly. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static int succeeded;

static long say(const char *act, long result)
{
	printf("%s: %s\n", act, result < 0 ? strerrorname_np(errno) : "done");
	succeeded |= result >= 0;
	return result;
}

/* All that changes how a process is scheduled, of one process, and of more than one. */
static void schedule(pid_t pid)
{
	struct sched_param none = { 0 };
	uint32_t attr[14] = { 56, SCHED_IDLE };
	unsigned long first = 1;

	say("sched_setscheduler", syscall(SYS_sched_setscheduler, pid, SCHED_BATCH, &none));
	say("sched_setparam", syscall(SYS_sched_setparam, pid, &none));
	say("sched_setattr", syscall(SYS_sched_setattr, pid, attr, 0));
	say("sched_setaffinity", syscall(SYS_sched_setaffinity, pid, sizeof first, &first));
	say("setpriority of a process", syscall(SYS_setpriority, PRIO_PROCESS, pid, 7));
	say("ioprio_set of a process", syscall(SYS_ioprio_set, 1, pid, 3 << 13));
}

static void schedule_many(void)
{
	say("setpriority of a group", syscall(SYS_setpriority, PRIO_PGRP, 0, 7));
	say("setpriority of a user", syscall(SYS_setpriority, PRIO_USER, 0, 7));
	say("ioprio_set of a group", syscall(SYS_ioprio_set, 2, 0, 3 << 13));
	say("ioprio_set of a user", syscall(SYS_ioprio_set, 3, 0, 3 << 13));
}

/* What every program may do with itself. */
static void schedule_self(void)
{
	struct sched_param none = { 0 };

	if (sched_setscheduler(0, SCHED_BATCH, &none) || setpriority(PRIO_PROCESS, 0, 5) || syscall(SYS_ioprio_set, 1, 0, 3 << 13))
		exit(1);
	succeeded = 1;
}

static void ipc(int shm, const char *queue)
{
	char *at = shmat(shm, NULL, 0);
	say("shmat", at == (void *)-1 ? -1 : 0);
	if (at != (void *)-1)
		at[0] = 'X';
	say("shmget", shmget(IPC_PRIVATE, 4096, 0600));
	say("semget", semget(IPC_PRIVATE, 1, 0600));
	say("msgget", msgget(IPC_PRIVATE, 0600));
	say("mq_open", mq_open(queue, O_RDWR));
}

/* A store to the memory of a file, which keeps its set-id bits and capabilities. */
static void rewrite(const char *path)
{
	int fd = open(path, O_RDWR);
	char *bytes = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (say("rewrite", bytes == MAP_FAILED ? -1 : 0) == 0)
		memcpy(bytes, "MINE", 4);
}

/* A file made through io_uring, whose mode no filter sees. */
static void ring(const char *path, mode_t mode)
{
	struct io_uring_params p = { 0 };
	int fd = say("io_uring_setup", syscall(SYS_io_uring_setup, 4, &p));
	if (fd < 0)
		return;
	succeeded = 0;
	char *sq = mmap(NULL, p.sq_off.array + 4 * p.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	char *cq = mmap(NULL, p.cq_off.cqes + 16 * p.cq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_CQ_RING);
	struct io_uring_sqe *entry = mmap(NULL, 64 * p.sq_entries, PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQES);
	*entry = (struct io_uring_sqe){ .opcode = IORING_OP_OPENAT, .fd = AT_FDCWD, .addr = (uintptr_t)path, .open_flags = O_CREAT | O_RDWR, .len = mode };
	*(unsigned *)(sq + p.sq_off.array) = 0;
	++*(unsigned *)(sq + p.sq_off.tail);
	syscall(SYS_io_uring_enter, fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	long result = ((struct io_uring_cqe *)(cq + p.cq_off.cqes))->res;
	errno = -result;
	say("open by io_uring", result);
}

/* An access list that gives the owner writing and all of them running: the kernel leaves the set-id bits where they are. */
static void access_list(const char *path)
{
	struct {
		uint32_t version;
		struct {
			uint16_t tag, permission;
			uint32_t id;
		} entry[3];
	} list = { 2, { { 1, 7, -1 }, { 4, 5, -1 }, { 32, 5, -1 } } };

	say("access list", setxattr(path, "system.posix_acl_access", &list, sizeof list, 0));
}

/* Every way to a file of this mode: of one that is there, and of a new one. */
static void set_id(const char *old, mode_t mode)
{
	int fd = open(old, O_RDONLY);

	say("chmod", chmod(old, mode));
	say("fchmod", fchmod(fd, mode));
	say("fchmodat2", syscall(SYS_fchmodat2, AT_FDCWD, old, mode, 0));
	say("open", open("new-open", O_CREAT | O_RDWR, mode));
	say("tmpfile", open(".", O_TMPFILE | O_RDWR, mode));
	say("mknod", mknod("new-mknod", S_IFREG | mode, 0));
	say("directory", chmod(".", mode | 0700));
}

int main(int argc, char **argv)
{
	const char *act = argc > 1 ? argv[1] : "";

	if (!strcmp(act, "schedule") && argc == 3)
		schedule(atoi(argv[2]));
	else if (!strcmp(act, "schedule-many"))
		schedule_many();
	else if (!strcmp(act, "schedule-self"))
		schedule_self();
	else if (!strcmp(act, "ipc") && argc == 4)
		ipc(atoi(argv[2]), argv[3]);
	else if (!strcmp(act, "rewrite") && argc == 3)
		rewrite(argv[2]);
	else if (!strcmp(act, "ring") && argc == 4)
		ring(argv[2], strtol(argv[3], NULL, 8));
	else if (!strcmp(act, "access-list") && argc == 3)
		access_list(argv[2]);
	else if (!strcmp(act, "set-id") && argc == 4)
		set_id(argv[2], strtol(argv[3], NULL, 8));
	else
		return 2;
	return !succeeded;
}
