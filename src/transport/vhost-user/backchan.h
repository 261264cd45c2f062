/* SPDX-License-Identifier: MIT */
/*
 * The back-end channel: the second socket, on which the back end speaks first
 * (protocol feature BACKEND_REQ). All it says here is that the configuration
 * changed. A broken channel is dropped; the session goes on without it.
 */
#ifndef VHOST_USER_BACKCHAN_H
#define VHOST_USER_BACKCHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "util/loop.h"
#include "wire/vhost-user.h"

/**
 * struct vu_backchan
 * @fd:		owned, -1: the front end has given none
 * @ask:	request an answer to each message (REPLY_ACK is negotiated)
 * @want:	there is a change the front end has not been told of
 * @waiting:	its answer is still to come; only one message is under way
 * @out_left:	bytes of the message not sent yet
 */
struct vu_backchan {
	struct loop *loop;
	const char *name;
	int fd;
	struct loop_fd src;
	bool ask;
	bool want;
	bool waiting;
	size_t out_left;
	struct vhost_user_hdr out;
	size_t have;
	uint8_t in[sizeof(struct vhost_user_hdr) + sizeof(uint64_t)];
};

void vu_backchan_init(struct vu_backchan *b, struct loop *loop, const char *name);

/* Takes @fd over in all cases; replaces the one before. Return 0 or -errno with @e. */
int vu_backchan_open(struct vu_backchan *b, int fd, struct err *e);
void vu_backchan_close(struct vu_backchan *b);

/* Send CONFIG_CHANGE_MSG if it is wanted and nothing is under way. Never blocks. */
void vu_backchan_push(struct vu_backchan *b);

#endif
