/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user client with the test as its back-end, at the other end of a
 * socket pair. What the back-end says may be written before it is even asked:
 * the socket keeps it. So most tests need no thread.
 */
#ifndef TESTS_UNIT_FE_FIXTURE_H
#define TESTS_UNIT_FE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "frontend/vhost-user-client.h"

#define PF(x)     (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##x)
#define REPLY     (VHOST_USER_VERSION | VHOST_USER_F_REPLY)
#define ASK       (VHOST_USER_VERSION | VHOST_USER_F_NEED_REPLY)
#define SHORT_MS  200   /* for answers that never come */
#define PATIENCE  30000 /* for those that do */
#define FE_MAXFDS 253

struct msg {
	struct vhost_user_hdr h;
	uint8_t p[4096];
};

struct fix {
	struct vuc *c;
	int fd;   /* the back-end's end */
	int back; /* the back-end's end of the back-channel */
	struct err e;
};

int fe_setup(void **state);         /* gives up after SHORT_MS */
int fe_setup_patient(void **state); /* waits for PATIENCE */
int fe_teardown(void **state);

void fe_say(int fd, uint32_t request, uint32_t flags, const void *p, uint32_t size);
void fe_say_fds(int fd, uint32_t request, uint32_t flags, const void *p, uint32_t size,
		const int *fds, unsigned int nfds);
void fe_say_u64(struct fix *f, uint32_t request, uint64_t v);

/* The same for threads, which may not fail a test. */
bool fe_try_say(int fd, uint32_t request, uint32_t flags, const void *p, uint32_t size,
		const int *fds, unsigned int nfds);

/* What came on @fd, the descriptors with it; room for FE_MAXFDS. */
struct msg fe_hear_fds(int fd, int *fds, unsigned int *nfds);
/* What the client has sent, without descriptors. */
struct msg fe_hear(struct fix *f);
/* Is there nothing to be read from @fd? */
bool fe_is_silent(int fd);

/* Set protocol features; without REPLY_ACK before, so nothing is answered. */
void fe_negotiate(struct fix *f, uint64_t features);
/* With BACKEND_REQ set: make the back-channel, and take its end. */
void fe_back_channel(struct fix *f);

/* How many descriptors this process has. */
unsigned int fe_open_fds(void);
/* A file in memory of so many bytes. */
int fe_memfd(size_t size);

#endif
