/* A server of layers that answers no more: it stands in for fuse-overlayfs (fuse(4), in the words of linux/fuse.h).
 *
 * Its tree has the directory that it is, and no file. It never answers who looks for `hang`, nor, where a layer has a file of the name
 * `never`, the kernel's first question. */
#include <errno.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void answer(uint64_t unique, int error, const void *data, size_t length)
{
	char out[512];
	struct fuse_out_header head = { .len = sizeof head + length, .error = error, .unique = unique };
	memcpy(out, &head, sizeof head);
	if (length)
		memcpy(out + sizeof head, data, length);
	if (write(3, out, head.len) < 0)
		_exit(4);
}

static void stay_silent(void)
{
	for (;;)
		pause();
}

int main(void)
{
	static _Alignas(8) char in[1 << 18];
	for (int slot = 0; slot < 200; slot++) {
		char path[32];
		struct stat found;
		snprintf(path, sizeof path, "/%d/never", slot);
		if (stat(path, &found) == 0)
			stay_silent();
	}
	for (;;) {
		ssize_t length = read(3, in, sizeof in);
		if (length < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		if (length < 0)
			return 0;
		struct fuse_in_header *head = (void *)in;
		struct fuse_init_out init = { .major = 7, .minor = 31, .max_write = 65536 };
		struct fuse_attr_out top = { .attr = { .ino = 1, .mode = S_IFDIR | 0755, .nlink = 2, .uid = getuid(), .gid = getgid() } };
		struct fuse_open_out opened = { 0 };
		switch (head->opcode) {
		case FUSE_INIT:
			answer(head->unique, 0, &init, sizeof init);
			break;
		case FUSE_GETATTR:
			answer(head->unique, 0, &top, sizeof top);
			break;
		case FUSE_LOOKUP:
			if (strcmp(in + sizeof *head, "hang") == 0)
				stay_silent();
			answer(head->unique, -ENOENT, NULL, 0);
			break;
		case FUSE_OPENDIR:
			answer(head->unique, 0, &opened, sizeof opened);
			break;
		case FUSE_READDIR:
		case FUSE_RELEASEDIR:
			answer(head->unique, 0, NULL, 0);
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			answer(head->unique, -ENOSYS, NULL, 0);
		}
	}
}
