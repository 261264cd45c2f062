/* SPDX-License-Identifier: MIT */
/*
 * What a front end may say: one table of requests, and the check that runs
 * before anything else looks at a message.
 */
#ifndef VHOST_USER_MSG_H
#define VHOST_USER_MSG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/err.h"
#include "wire/vhost-user.h"

struct vu_session;

/**
 * struct vu_msg - a message that passed vu_msg_check()
 * @hdr:	as received
 * @p:		payload; what was not received is zero
 */
struct vu_msg {
	struct vhost_user_hdr hdr;
	union vhost_user_payload p;
};

/* The longest message that is read; a longer one ends the session. */
#define VU_MSG_MAX (sizeof(struct vhost_user_hdr) + sizeof(union vhost_user_payload))

/* What a handler answers, besides -errno with a sentence. */
enum vu_handled {
	VU_DONE,    /* acknowledge, if the peer asked for it */
	VU_REPLIED, /* the reply is under way */
	VU_LATER,   /* waits for a worker, the session goes on afterwards */
	VU_REFUSED, /* say so if the peer asked; not a reason to end the session */
};

typedef int vu_handler(struct vu_session *s, const struct vu_msg *m, struct err *e);

#define VU_ALWAYS 0xff

/**
 * struct vu_msg_desc - one request
 * @name:	as the specification has it
 * @min, @max:	bytes of payload
 * @min_fds, @max_fds: descriptors that come along
 * @replies:	has a reply of its own, so it never gets an acknowledgement
 * @feature:	protocol feature bit number that must be negotiated, or VU_ALWAYS
 * @handle:	what to do
 */
struct vu_msg_desc {
	const char *name;
	uint16_t min, max;
	uint8_t min_fds, max_fds;
	bool replies;
	uint8_t feature;
	vu_handler *handle;
};

/* NULL for a request this back end does not know. */
const struct vu_msg_desc *vu_msg_find(uint32_t request);

/* For log lines; never NULL. */
const char *vu_msg_name(uint32_t request);

/**
 * vu_hdr_check() - can the payload that follows be read?
 *
 * Return: 0, or -EPROTO with @e.
 */
int vu_hdr_check(const struct vhost_user_hdr *hdr, struct err *e);

/**
 * vu_msg_check() - is this a message that a front end may send now?
 * @buf, @len:	header and payload, all of it
 * @nfds:	descriptors that came along
 * @protocol:	negotiated protocol features
 * @m:		filled in on 0 and on -EOPNOTSUPP
 *
 * Touches nothing but its arguments.
 *
 * Return: 0; -EOPNOTSUPP when the request is unknown or not negotiated;
 * -EPROTO when it is malformed. With @e but for 0.
 */
int vu_msg_check(const void *buf, size_t len, unsigned int nfds, uint64_t protocol,
		 struct vu_msg *m, struct err *e);

/* The first-hour trap: the VM's memory is not shared. Fills in @e and returns @code. */
int vu_err_not_shared(struct err *e, int code);

/* Its cure alone, for failures that have another sentence. */
void vu_hint_not_shared(struct err *e);

#endif
