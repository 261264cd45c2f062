/* SPDX-License-Identifier: MIT */
/*
 * The inside of the vhost-user client, shared by its files:
 *
 *   vhost-user-client.c	life, waiting, and calls that block
 *   vuc-async.c		the queue of messages: sending, answers, deadlines, the end
 *   vuc-back.c			what the back-end asks
 *   vuc-io.c			bytes and descriptors, never blocking
 *   vhost-user-msgs.c		one function a message; vuc-ext.c: those of extensions
 *   vuc-state.c		device state
 *   vuc-trace.c		lines of text
 */
#ifndef FRONTEND_VUC_INTERNAL_H
#define FRONTEND_VUC_INTERNAL_H

#include <sys/types.h>
#include <sys/uio.h>

#include "frontend/vhost-user-client.h"

#define VUC_MAX_PAYLOAD  (16u << 20)
#define VUC_MAX_FDS      253  /* the kernel's own limit: tests may send too many */
#define VUC_BACK_PAYLOAD 4096 /* longest payload on the back-channel before we give it up */
#define VUC_STATE_MAX    (64u << 20)

/**
 * struct vuc_in - a message on its way in
 * @h:		complete when @have says so
 * @have:	bytes so far, header included
 * @fds, @nfds:	descriptors that came with the first byte; ours to close
 * @lost:	there were more than the kernel could hand over
 */
struct vuc_in {
	struct vhost_user_hdr h;
	size_t have;
	int fds[VHOST_USER_MAX_FDS];
	unsigned int nfds;
	bool lost;
};

/**
 * struct vuc_back - our end of the back-channel
 * @fd:		-1: none
 * @busy:	a request is being answered: none of the others meanwhile
 * @why:	why it was given up, or NULL
 * @in, @payload: the request that is coming
 * @out:	our answer; nothing is read before it went
 * @out_sent:	bytes of it; @out_due: it has to go
 * @out_fd:	goes with it, ours, or -1
 * @due_ns:	when what has begun must be complete; 0: nothing has
 */
struct vuc_back {
	int fd;
	bool busy;
	const char *why;
	const struct vuc_back_ops *ops;
	void *ctx;
	struct vuc_in in;
	uint8_t payload[VUC_BACK_PAYLOAD];
	uint8_t out[sizeof(struct vhost_user_hdr) + sizeof(uint64_t)];
	size_t out_sent;
	bool out_due;
	int out_fd;
	uint64_t due_ns;
};

/**
 * struct vuc - a connection to a back-end
 * @fd:		the socket
 * @timeout_ms:	for each message
 * @dead:	why it cannot be used any more, or NULL
 * @features:	protocol features as set
 * @offered:	as the back-end said; @asked: it was asked
 * @virtio:	virtio features as set
 * @reply_ack:	ask for acknowledgements
 * @head, @tail: messages that have not ended, in the order they were started
 * @tx:		the first of them that is not entirely sent
 * @in:		the answer that is coming, to @head
 * @config_changes: told and not yet reported
 * @depth:	calls under way, one inside a callback of another
 * @closing:	vuc_close() was called; the outermost of them frees
 */
struct vuc {
	int fd;
	int timeout_ms;
	const char *dead;
	uint64_t features, offered, virtio;
	bool asked;
	bool reply_ack;
	struct vuc_req *head, *tail, *tx;
	struct vuc_in in;
	struct vuc_back back;
	unsigned int config_changes;
	unsigned int depth;
	bool closing;
	void (*trace)(void *ctx, const char *line);
	void *trace_ctx;
};

/* ---- vuc-io.c ---- */

/*
 * Bytes @start to @start + @len of the message into @part. 0: all are there;
 * -EAGAIN: not yet; -ECONNRESET also at the end of the stream.
 */
int vuc_in_fill(int fd, struct vuc_in *in, void *part, size_t start, size_t len);
/* Ready for the next; descriptors nobody took are closed. */
void vuc_in_reset(struct vuc_in *in);
/* The first descriptor, which is the caller's now, or -1. */
int vuc_in_take_fd(struct vuc_in *in);
/* Bytes sent or -errno. */
ssize_t vuc_send(int fd, struct iovec *iov, unsigned int niov, const int *fds, unsigned int nfds);

/* ---- vuc-async.c ---- */

/* The end of all messages, and of the client. Returns @code. */
int vuc_die(struct vuc *c, int code, struct err *e, const char *what);
/* Send and receive on the main socket what can be without waiting. */
void vuc_main_process(struct vuc *c);
short vuc_main_events(const struct vuc *c);

/* ---- vhost-user-client.c ---- */

/*
 * Among the declarations of each function that may call back and uses @c afterwards:
 * keeps it until its end, though a callback should close it.
 */
#define VUC_HOLD(c) struct vuc *vuc_held __attribute__((cleanup(vuc_release), unused)) = vuc_hold(c)
static inline struct vuc *vuc_hold(struct vuc *c)
{
	c->depth++;
	return c;
}
void vuc_release(struct vuc **held);
uint64_t vuc_deadline(const struct vuc *c);
/*
 * Wait for anything, or for @events of @fd (-1: none), until @end_ns at most,
 * and do what can be done. What came of @events.
 */
short vuc_wait(struct vuc *c, int fd, short events, uint64_t end_ns);

/* ---- vuc-back.c ---- */

void vuc_back_process(struct vuc *c);
short vuc_back_events(const struct vuc *c);
void vuc_back_close(struct vuc *c, const char *why);

/* ---- vuc-trace.c ---- */

/* Message 14 as text, "SET_VRING_ERR" or "message 14". Good until the next call with @buf. */
const char *vuc_name(uint32_t request, bool back, char buf[32]);
void vuc_trace(struct vuc *c, const char *dir, const struct vhost_user_hdr *h, unsigned int nfds,
	       const void *payload, size_t size);

/* ---- vhost-user-msgs.c ---- */

/* -EOPNOTSUPP, and a sentence, unless protocol feature @bit was set. */
int vuc_needs(const struct vuc *c, unsigned int bit, const char *name, struct err *e);
#define VUC_NEEDS(c, f, e) vuc_needs(c, VHOST_USER_PROTOCOL_F_##f, #f, e)

#endif
