/* A 32-bit program without a C library, so that every gcc can build it: it writes a line by write(2) of x86, and ends. */
static long call(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c) : "memory");
	return result;
}

void _start(void)
{
	static const char line[] = "thirty-two\n";
	long mount = call(21, 0, 0, 0);
	call(4, 1, (long)line, sizeof line - 1);
	/* EPERM of the filter; EFAULT would be the kernel's. */
	call(1, mount == -1 ? 7 : 8, 0, 0);
}
