/* SPDX-License-Identifier: MIT */
/*
 * The VMM's side of a vhost-user socket. One function a message; every wait
 * has a deadline; what the back-end answers is checked before it is believed.
 *
 * One thread. Every function returns 0 or -errno with a sentence. After
 * -EPROTO, -EPIPE, -ECONNRESET or -ETIMEDOUT the stream is out of step and
 * the client is dead: everything answers -ENOTCONN.
 */
#ifndef FRONTEND_VHOST_USER_CLIENT_H
#define FRONTEND_VHOST_USER_CLIENT_H

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
void vuc_close(struct vuc *c);

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

/* Make the back-channel. */
int vuc_set_backend_req_fd(struct vuc *c, struct err *e);
/* Answer what comes on it. 1: the configuration changed, 0: nothing within @timeout_ms. */
int vuc_backend_wait(struct vuc *c, int timeout_ms, struct err *e);

/**
 * struct vuc_msg - any message at all, for tests of back-ends
 * @size:	bytes of @payload to send
 * @fds, @nfds:	descriptors to send along
 * @reply:	0: none is expected; else the smallest and largest size of it
 */
struct vuc_msg {
	uint32_t request;
	uint32_t flags; /* on top of the version */
	const void *payload;
	uint32_t size;
	const int *fds;
	unsigned int nfds;
	void *reply;
	uint32_t reply_min, reply_max;
	uint32_t reply_size; /* out */
};

int vuc_call(struct vuc *c, struct vuc_msg *m, struct err *e);
int vuc_fd(const struct vuc *c);
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
