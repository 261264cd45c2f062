/* SPDX-License-Identifier: MIT */
/*
 * Messages as bytes: for cases that say what no front-end would, or in pieces
 * in which none would send it. Nothing here believes the back-end, and nothing
 * waits longer than check_timeout_ms().
 */
#ifndef CHECK_RAW_H
#define CHECK_RAW_H

#include <sys/types.h>

#include "check/check.h"
#include "wire/virtio.h"

/* Accepted by cases that want nothing special: rings split, no IOMMU, no log. */
#define RAW_VIRTIO (VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES))
#define RAW_PF(x)  (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)
#define RAW_PROTOCOL                                                                \
	(RAW_PF(MQ) | RAW_PF(LOG_SHMFD) | RAW_PF(REPLY_ACK) | RAW_PF(BACKEND_REQ) | \
	 RAW_PF(CONFIG) | RAW_PF(INFLIGHT_SHMFD) | RAW_PF(RESET_DEVICE) |           \
	 RAW_PF(CONFIGURE_MEM_SLOTS) | RAW_PF(STATUS) | RAW_PF(DEVICE_STATE))

#define RAW_MAX_FDS 253 /* the most the kernel lets one message carry */

/**
 * struct raw_msg - a message
 * @flags:	the whole word; 0: version 1, and need_reply where REPLY_ACK is negotiated
 * @header_size: what the header says instead of @size, if @lie
 */
struct raw_msg {
	uint32_t request;
	uint32_t flags;
	const void *payload;
	uint32_t size;
	uint32_t header_size;
	bool lie;
	const int *fds;
	unsigned int nfds;
};

/* What became of one. */
enum raw_fate {
	RAW_SILENT, /* nothing came, and nothing needed to */
	RAW_ACK,    /* an answer of 8 bytes, all zero */
	RAW_NACK,   /* an answer of 8 bytes, not zero */
	RAW_ANSWER, /* another answer */
	RAW_CLOSED, /* the connection is closed */
};

/* One line about it, for reports. */
const char *raw_describe(char *buf, size_t len, const struct raw_msg *m);

/* Send bytes, with descriptors on the first. Return: 0, or -errno: nobody takes them. */
int raw_send(struct check *c, struct vuc *v, const void *buf, size_t len, const int *fds,
	     unsigned int nfds);
/* Send a message as it is. */
int raw_msg(struct check *c, struct vuc *v, const struct raw_msg *m);

/**
 * raw_recv() - the next message from the back-end
 * @payload:	at most @max bytes of it are kept, the rest is dropped
 *
 * Descriptors that come along are closed.
 *
 * Return: 1, or 0 when the connection was closed. Fails the case when nothing comes.
 */
int raw_recv(struct check *c, struct vuc *v, struct vhost_user_hdr *h, void *payload, uint32_t max);

/*
 * Has the back-end nothing more to say? A GET_FEATURES is sent, and its answer is the next
 * thing that comes. Fails the case if it is not.
 */
void raw_sync(struct check *c, struct vuc *v);

/**
 * raw_try() - send a well-framed message and see what becomes of it
 *
 * A GET_FEATURES behind it tells when it is dealt with. Fails the case when the
 * answers are not what they can be: late, more than one, for something else.
 */
enum raw_fate raw_try(struct check *c, struct vuc *v, const struct raw_msg *m);

/**
 * struct raw_conn - a connection that is made again when the back-end closes it
 * @virtio, @protocol: features to accept each time
 * @v:		the present one
 * @closes:	times the back-end closed it
 */
struct raw_conn {
	struct check *c;
	uint64_t virtio, protocol;
	struct vuc *v;
	unsigned int closes;
};
#define RAW_CONN(check)                                                      \
	{                                                                    \
		.c = (check), .virtio = RAW_VIRTIO, .protocol = RAW_PROTOCOL \
	}
/* The present connection, made and negotiated if there is none. */
struct vuc *raw_conn(struct raw_conn *h);
/* Close it; the next raw_conn() makes another. */
void raw_conn_close(struct raw_conn *h);
/* raw_try() over it. */
enum raw_fate raw_throw(struct raw_conn *h, const struct raw_msg *m);

/*
 * What became of a message sent by vuc_call() or one of its kind: 0 accepted, 1 refused or
 * closed. Fails the case when the back-end did not answer.
 */
int raw_said(struct check *c, int ret, const struct err *e);

/* One message of the kind that carries a vring state, or a u64. */
int raw_state(struct vuc *v, uint32_t request, uint32_t index, uint32_t num, struct err *e);
int raw_u64(struct vuc *v, uint32_t request, uint64_t value, int fd, struct err *e);

/* ---- descriptors that tell when the other side has closed them ---- */

/**
 * struct raw_probe - a pipe of which the back-end gets the writing end
 * @give:	to send; close with raw_probe_given()
 * @watch:	at its end of file when nobody has @give open any more
 */
struct raw_probe {
	int give;
	int watch;
};
void raw_probe_open(struct check *c, struct raw_probe *p);
/* Ours is closed: from now on only the back-end can have it. */
void raw_probe_given(struct raw_probe *p);
/* Waits, and closes everything. Return: the back-end has closed it. */
bool raw_probe_gone(struct check *c, struct raw_probe *p);

/* A connected socket, never waited for; -1: the back-end takes no more of them now. */
int raw_connect(const struct check *c);

/* ---- the back-end's process ---- */

/**
 * struct raw_usage - what it holds
 * @pid:	of the process behind the socket; 0: unknown
 * @fds, @maps:	open descriptors, mappings; -1: cannot be counted
 */
struct raw_usage {
	pid_t pid;
	int fds;
	int maps;
};
/* Skips the case when nothing can be counted. */
struct raw_usage raw_usage(struct check *c, struct vuc *v);
/*
 * Fails the case unless it comes down to @before plus @slack of each in time:
 * back-ends may let go of things a little later. @v NULL: of the same process.
 */
void raw_usage_settles(struct check *c, struct raw_usage before, int slack, const char *after);

/* ---- disks ---- */

/* Bytes of the smallest transfer. */
uint32_t raw_block(struct check *c);
/*
 * Read the first block into guest memory at @gpa, seen at @host, and compare it
 * with what comes through d->buf. Fails the case if it differs or does not come.
 */
void raw_read_into(struct check *c, struct check_dev *d, uint64_t gpa, uint8_t *host);
/* Hand over @n reads of the first block, at most 32, on queue 0, and do not wait. */
void raw_submit(struct check *c, struct check_dev *d, unsigned int n);
/* Wait until the @n reads came back, all well. */
void raw_collect(struct check *c, struct check_dev *d, unsigned int n);

/*
 * Another connection for a device, after the first was closed: negotiated as
 * before, and nothing more. Its queues are not started, its memory is not told.
 */
void raw_reattach(struct check *c, struct check_dev *d);

#endif
