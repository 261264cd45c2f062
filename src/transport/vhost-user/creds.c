/* SPDX-License-Identifier: MIT */
#include "transport/vhost-user/creds.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void vu_creds(int fd, pid_t *pid, char *comm, size_t n)
{
	struct ucred cr;
	socklen_t len = sizeof(cr);
	char path[64];
	ssize_t got = 0;
	int f;

	*pid = 0;
	comm[0] = '\0';
	/* A peer in a pid namespace we cannot see has pid 0. */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cr, &len) < 0 || cr.pid <= 0)
		return;
	*pid = cr.pid;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)cr.pid);
	f = open(path, O_RDONLY | O_CLOEXEC);
	if (f < 0)
		return;
	got = read(f, comm, n - 1);
	close(f);
	comm[got > 0 ? got : 0] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
	/* A process chooses its own name; ours are the logs it ends up in. */
	for (char *p = comm; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}
