/* SPDX-License-Identifier: MIT */
/*
 * The VMM's side of a vhost-user socket. One function a message; every wait
 * has a deadline; what the back-end answers is checked before it is believed.
 *
 * One thread. Every function returns 0 or -errno with a sentence. After
 * -EPROTO, -EPIPE, -ECONNRESET or -ETIMEDOUT the stream is out of step and
 * the client is dead: everything answers -ENOTCONN.
 *
 * A message whose protocol feature was not set is not sent: -EOPNOTSUPP. But
 * vuc_call() and vuc_start() send whatever they are given.
 */
#ifndef FRONTEND_VHOST_USER_CLIENT_H
#define FRONTEND_VHOST_USER_CLIENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/vq.h"
#include "frontend/fe-transport.h"
#include "frontend/mem.h"
#include "util/err.h"
#include "wire/vhost-user.h"

struct vuc;

#define VUC_TIMEOUT_MS 10000 /* unless told otherwise */

/* Connect to a listening back-end. */
struct vuc *vuc_connect(const char *path, int timeout_ms, struct err *e);
/* Take over a connected socket. */
struct vuc *vuc_from_fd(int fd, int timeout_ms, struct err *e);
/*
 * Messages under way end with -ECANCELED. From a callback (not a trace function), too:
 * then it is freed when the call returns that the callback was called from.
 */
void vuc_close(struct vuc *c);
/* End them, and be dead: all of vuc_close() but the end of @c. NULL is fine. */
void vuc_cancel(struct vuc *c);

/* Virtio features; bit 30 is as on the wire. */
int vuc_get_features(struct vuc *c, uint64_t *f, struct err *e);
int vuc_set_features(struct vuc *c, uint64_t f, struct err *e);
int vuc_set_owner(struct vuc *c, struct err *e);
int vuc_reset_owner(struct vuc *c, struct err *e);
int vuc_get_protocol_features(struct vuc *c, uint64_t *f, struct err *e);
/* From here on messages without an answer of their own are acknowledged if REPLY_ACK is in @f. */
int vuc_set_protocol_features(struct vuc *c, uint64_t f, struct err *e);
uint64_t vuc_protocol_features(const struct vuc *c); /* as set */
int vuc_get_queue_num(struct vuc *c, uint64_t *n, struct err *e);

int vuc_get_config(struct vuc *c, uint32_t off, void *buf, uint32_t len, struct err *e);
int vuc_set_config(struct vuc *c, uint32_t off, const void *buf, uint32_t len, uint32_t flags,
		   struct err *e);

/* All regions at once; with more than eight, slots (ADD_MEM_REG) are needed. */
int vuc_set_mem_table(struct vuc *c, const struct fe_mem *m, struct err *e);
int vuc_get_max_mem_slots(struct vuc *c, uint64_t *n, struct err *e);
int vuc_add_mem_reg(struct vuc *c, const struct fe_region *r, struct err *e);
int vuc_rem_mem_reg(struct vuc *c, const struct fe_region *r, struct err *e);

int vuc_set_vring_num(struct vuc *c, uint32_t index, uint32_t num, struct err *e);
int vuc_set_vring_addr(struct vuc *c, const struct vhost_user_vring_addr *a, struct err *e);
/* @packed: the base is a position with wrap counters. */
int vuc_set_vring_base(struct vuc *c, uint32_t index, struct vq_base base, bool packed,
		       struct err *e);
/* Stops the ring. */
int vuc_get_vring_base(struct vuc *c, uint32_t index, bool packed, struct vq_base *base,
		       struct err *e);
/* @fd -1: none (the no-fd bit). */
int vuc_set_vring_kick(struct vuc *c, uint32_t index, int fd, struct err *e);
int vuc_set_vring_call(struct vuc *c, uint32_t index, int fd, struct err *e);
int vuc_set_vring_err(struct vuc *c, uint32_t index, int fd, struct err *e);
int vuc_set_vring_enable(struct vuc *c, uint32_t index, bool on, struct err *e);

int vuc_reset_device(struct vuc *c, struct err *e);
int vuc_set_status(struct vuc *c, uint8_t status, struct err *e);
int vuc_get_status(struct vuc *c, uint8_t *status, struct err *e);

/* ---- crash records, dirty log, IOTLB ---- */

/**
 * struct vuc_inflight - the record of requests under way, kept by us for the back-end
 * @fd:		owned by whoever got it
 */
struct vuc_inflight {
	uint64_t mmap_size, mmap_offset;
	uint16_t num_queues, queue_size;
	int fd;
};
/* Have the back-end make one for @num_queues of @queue_size; checked against the file. */
int vuc_get_inflight_fd(struct vuc *c, uint16_t num_queues, uint16_t queue_size,
			struct vuc_inflight *i, struct err *e);
int vuc_set_inflight_fd(struct vuc *c, const struct vuc_inflight *i, struct err *e);

/* One bit per 4 KiB page, at @offset of the file; waits for the answer (needs LOG_SHMFD). */
int vuc_set_log_base(struct vuc *c, int fd, uint64_t size, uint64_t offset, struct err *e);
int vuc_set_log_fd(struct vuc *c, int fd, struct err *e);
/* Always answered, whatever was negotiated. */
int vuc_iotlb(struct vuc *c, const struct vhost_user_iotlb *m, struct err *e);

/* ---- device state ---- */

/**
 * vuc_set_device_state_fd() - begin a transfer; all rings are stopped
 * @fd:		our end's partner, borrowed; the caller closes it after the return,
 *		or will never see the end of the stream
 * @use:	what to read (save) or write (load): a descriptor the back-end
 *		prefers, owned by the caller, or -1: the other end of @fd
 */
int vuc_set_device_state_fd(struct vuc *c, bool load, int fd, int *use, struct err *e);
/* After the end of the stream. -EREMOTEIO: the transfer failed. */
int vuc_check_device_state(struct vuc *c, struct err *e);
/* Both of the above, and the bytes in between. @state is malloc()ed. */
int vuc_save_state(struct vuc *c, void **state, size_t *size, struct err *e);
int vuc_load_state(struct vuc *c, const void *state, size_t size, struct err *e);

/* ---- shared memory, shared objects, GPU ---- */

int vuc_get_shmem_config(struct vuc *c, struct vhost_user_shmem_config *s, struct err *e);
/* @fd -1: the back-end knows no such object. */
int vuc_get_shared_object(struct vuc *c, const struct vhost_user_uuid *u, int *fd, struct err *e);
int vuc_set_gpu_socket(struct vuc *c, int fd, struct err *e);

/* ---- requests of the back-end ---- */

/**
 * struct vuc_back_ops - answers to what the back-end asks; all optional
 *
 * Called while the front-end waits or processes, on its thread. Return 0 or
 * -errno, which is what the back-end is told if it wants to hear (REPLY_ACK).
 * What has no function is refused. @fd is borrowed, -1: none came.
 *
 * @config_changed: see also vuc_backend_wait()
 * @shmem_map, @shmem_unmap: VIRTIO shared memory regions
 * @object_lookup: *fd, which is closed after it was sent; -1: there is none
 * @gpu_map, @external_map: crosvm's own messages, payload as it came
 * @iotlb:	a miss (answer it with vuc_iotlb(), later) or an access failure
 * @other:	any other request
 */
struct vuc_back_ops {
	int (*config_changed)(void *ctx);
	int (*shmem_map)(void *ctx, const struct vhost_user_mmap *m, int fd);
	int (*shmem_unmap)(void *ctx, const struct vhost_user_mmap *m);
	int (*object_add)(void *ctx, const struct vhost_user_uuid *u);
	int (*object_remove)(void *ctx, const struct vhost_user_uuid *u);
	int (*object_lookup)(void *ctx, const struct vhost_user_uuid *u, int *fd);
	int (*gpu_map)(void *ctx, const void *payload, uint32_t size, int fd);
	int (*external_map)(void *ctx, const void *payload, uint32_t size);
	int (*iotlb)(void *ctx, const struct vhost_user_iotlb *m);
	int (*host_notifier)(void *ctx, uint32_t index, bool remove, uint64_t offset, uint64_t size,
			     int fd);
	int (*other)(void *ctx, uint32_t request, const void *payload, uint32_t size, int fd);
};
void vuc_set_back_ops(struct vuc *c, const struct vuc_back_ops *ops, void *ctx);

/* Make the back-channel. */
int vuc_set_backend_req_fd(struct vuc *c, struct err *e);
/* Answer what comes on it. 1: the configuration changed, 0: nothing within @timeout_ms. */
int vuc_backend_wait(struct vuc *c, int timeout_ms, struct err *e);

/**
 * struct vuc_msg - any message at all, for tests of back-ends
 * @size:	bytes of @payload to send
 * @fds, @nfds:	descriptors to send along
 * @header_size: what the header says instead of @size, if @lie
 * @reply:	where the answer goes; @reply_max 0: none is expected (but the
 *		acknowledgement, where negotiated); else its smallest and largest size
 * @no_ack:	do not ask for an acknowledgement whatever was negotiated
 * @reply_size:	out
 * @reply_fd:	out: descriptor that came with the answer, -1: none. Others are closed
 * @want_fd:	keep it; otherwise it is closed
 */
struct vuc_msg {
	uint32_t request;
	uint32_t flags; /* on top of the version */
	const void *payload;
	uint32_t size;
	uint32_t header_size;
	bool lie;
	const int *fds;
	unsigned int nfds;
	bool no_ack;
	void *reply;
	uint32_t reply_min, reply_max;
	uint32_t reply_size; /* out */
	bool want_fd;
	int reply_fd; /* out */
};

/* Send it and wait for its answer. -EREMOTEIO: acknowledged with an error. */
int vuc_call(struct vuc *c, struct vuc_msg *m, struct err *e);
int vuc_fd(const struct vuc *c);
int vuc_back_fd(const struct vuc *c); /* -1: none */

/* ---- without waiting ---- */

/**
 * struct vuc_req - a message under way
 * @m:		what to send; payload, descriptors and reply buffer stay the caller's
 *		and must last until @done
 * @done:	called from vuc_process(), or from a blocking call on the same client
 *		that happens to wait: the answer is there, or @res is -errno and @e
 *		says why. May start others
 *
 * Messages are sent and answered in the order they were started. Every one of
 * them ends, at the latest when its time is up (then the client is dead).
 */
struct vuc_req {
	struct vuc_msg m;
	void (*done)(struct vuc_req *r, int res, const struct err *e);
	void *ctx;
	/* private */
	struct vuc_req *next;
	uint64_t due_ns;
	uint32_t sent;
	bool wants_ack;
	uint64_t ack;
};
/* Never blocks. On failure (a dead client, a message too long) @done is not called. */
int vuc_start(struct vuc *c, struct vuc_req *r, struct err *e);

/* What to wait for: fills in @p[0] (socket) and @p[1] (back-channel), returns ms, -1: no limit. */
int vuc_events(const struct vuc *c, struct pollfd p[2]);
/* Do what can be done without waiting. One thread may call this for many clients. */
void vuc_process(struct vuc *c);

/**
 * vuc_set_trace() - see every message
 * @fn:		called with one line of text for each: direction ('>' sent, '<' came,
 *		and 'b' in front of what goes over the back-channel), name, size,
 *		flags, number of descriptors and the beginning of the payload
 */
void vuc_set_trace(struct vuc *c, void (*fn)(void *ctx, const char *line), void *ctx);

/* Why it is dead, or NULL. */
const char *vuc_dead(const struct vuc *c);

/**
 * vuc_transport() - the driver's transport over a client
 * @c:		taken over
 *
 * Owner, features, protocol features and the back-channel are set up here.
 */
struct fe_transport *vuc_transport(struct vuc *c, struct err *e);
struct vuc *vuc_of_transport(struct fe_transport *t);

#endif
