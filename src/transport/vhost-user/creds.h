/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a UNIX socket. */
#ifndef VHOST_USER_CREDS_H
#define VHOST_USER_CREDS_H

#include <stddef.h>
#include <sys/types.h>

/* @pid: 0 when not known; @comm: "" when not known, printable characters only. */
void vu_creds(int fd, pid_t *pid, char *comm, size_t n);

#endif
