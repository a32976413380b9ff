/* ids NUMBER COMMAND..: a command as the user and the group of this number, in no other group. The tests of root's start those of ordinary
 * users by it: where std::process::Command changes ids it forks, and a fork copies the page tables of all tests. */
#define _GNU_SOURCE
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int count, char **arg)
{
	if (count < 3)
		return 2;
	unsigned id = strtoul(arg[1], NULL, 10);
	if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id)) {
		perror("ids");
		return 126;
	}
	execvp(arg[2], arg + 2);
	perror(arg[2]);
	return 127;
}
