/* SPDX-License-Identifier: MIT */
/* The listening socket: made at a path, or inherited. */
#ifndef VHOST_USER_LISTEN_H
#define VHOST_USER_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "util/err.h"

/* sun_path without its terminating zero. */
#define VU_PATH_MAX 107

/**
 * struct vu_listen
 * @fd:		listening, non-blocking; -1: none
 * @ours:	we made the file @path; @dev and @ino say which it was
 */
struct vu_listen {
	int fd;
	char path[VU_PATH_MAX + 1];
	bool ours;
	dev_t dev;
	ino_t ino;
};

/**
 * vu_listen_open() - make a socket at a path and listen
 * @mode:	permissions; 0: 0600
 * @group:	(gid_t)-1: leave
 *
 * A socket somebody listens on is never touched; one that nobody listens on
 * any more is replaced; what is no socket is never removed.
 *
 * Return: 0, or -errno with @e and nothing left behind.
 */
int vu_listen_open(struct vu_listen *l, const char *path, mode_t mode, gid_t group, struct err *e);

/**
 * vu_listen_adopt() - what was given to us?
 * @fd:		not taken over unless it is a listening socket
 *
 * Return: 1 when it listens (and @l has it), 0 when it is connected, or
 * -errno with @e.
 */
int vu_listen_adopt(struct vu_listen *l, int fd, struct err *e);

/* The next front end: a non-blocking socket, or -errno; -EAGAIN when nobody waits. */
int vu_listen_accept(struct vu_listen *l);

/* Does somebody wait? */
bool vu_listen_pending(const struct vu_listen *l);

/* Close it, and remove the file if it is still the one we made. */
void vu_listen_close(struct vu_listen *l);

#endif
