/* connect PATH: connects to a socket of the host, and prints the first byte that its service sends. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	char byte = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (argc != 2 || fd < 0 || strlen(argv[1]) >= sizeof to.sun_path)
		return 2;
	strcpy(to.sun_path, argv[1]);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) || read(fd, &byte, 1) != 1)
		return 1;
	printf("%c\n", byte);
	return 0;
}
