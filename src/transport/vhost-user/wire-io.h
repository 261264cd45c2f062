/* SPDX-License-Identifier: MIT */
/*
 * Messages on a socket that never blocks: one is collected at a time, in as
 * many pieces as it comes; one reply waits at most.
 */
#ifndef VHOST_USER_WIRE_IO_H
#define VHOST_USER_WIRE_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "transport/vhost-user/msg.h"
#include "util/err.h"

/**
 * struct vu_io - one connection
 * @fd:		owned, -1 when closed
 * @have:	bytes of the message in @buf
 * @fds:	descriptors that came with it and have not been taken; -1 elsewhere
 * @nfds:	how many came
 * @out_len, @out_off: reply and how much of it is sent
 */
struct vu_io {
	int fd;
	size_t have;
	uint8_t buf[VU_MSG_MAX];
	int fds[VHOST_USER_MAX_FDS];
	unsigned int nfds;
	size_t out_len;
	size_t out_off;
	uint8_t out[VU_MSG_MAX];
};

/* Takes @fd over. */
void vu_io_init(struct vu_io *io, int fd);

/* Close the socket and every descriptor that was not taken. */
void vu_io_close(struct vu_io *io);

/**
 * vu_io_recv() - collect what has come
 *
 * Return: 1 when a message is complete, 0 when more must come, -EPIPE when
 * the peer is gone, -EPROTO or another -errno when this connection is of no
 * use any more; with @e.
 */
int vu_io_recv(struct vu_io *io, struct err *e);

/* The message has been dealt with: close what came along and was not taken. */
void vu_io_next(struct vu_io *io);

/* The first descriptor not taken yet; -1 when there is none. The caller owns it. */
int vu_io_take_fd(struct vu_io *io);

/**
 * vu_io_reply() - send, or put aside what does not fit into the socket now
 * @request:	of the message that is answered
 * @len:	at most sizeof(union vhost_user_payload)
 *
 * Return: as vu_io_flush(); -EBUSY when a reply waits already.
 */
int vu_io_reply(struct vu_io *io, uint32_t request, const void *payload, size_t len, struct err *e);

/* Return: 0 when nothing waits any more, 1 when something does, -errno with @e. */
int vu_io_flush(struct vu_io *io, struct err *e);

static inline bool vu_io_pending(const struct vu_io *io)
{
	return io->out_off < io->out_len;
}

#endif
