/* SPDX-License-Identifier: MIT */
/*
 * One queue of the engine, a driver's ring and a model that echoes, turn by
 * turn: what the tests of the engine stand on.
 */
#ifndef TESTS_VQ_FIXTURE_H
#define TESTS_VQ_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/vq-impl.h"
#include "core/vq.h"
#include "fake-worker.h"
#include "frontend/drv-ring.h"

#define MEM_SIZE (16u << 20)
#define MEM_BUS  0x100000ull
#define KICK_FD  700         /* never used as a descriptor: the fake worker only compares it */
#define DATA     0xc00000ull /* where buffers lie, from MEM_BUS; the rings are before it */
#define HELD_MAX 2048

struct fix;

/* A model that either answers at once or holds what it pops. */
struct model_state {
	bool hold, decline;
	void (*on_decline)(struct fix *f); /* called while it declines */
	struct vu_chain *held[HELD_MAX];
	unsigned int n, kicks, stops, stopped;
	uint8_t echo[64];
};

/* Echo four bytes and give the chain back. */
void m_answer(struct model_state *m, struct vu_chain *c);
extern const struct vu_model vq_test_model;

struct fix {
	uint64_t features;
	uint32_t size;
	int fd;
	uint8_t *mem;
	struct gmem *map;
	struct drv_ring *r;
	struct worker *w;
	struct vu_queue *q;
	struct model_state m;
	struct vq_stats st;
	struct xport_call call;
	unsigned int calls, released, stopped;
	const char *broken;
};

/* How long chains of the next queues may wait for company; 0 but for tests of that. */
extern uint32_t f_batch_ns;
/* The time of @t has come. False when nobody has set it. */
bool f_expire(struct fix *f, struct worker_timer *t);

/* A running queue of @size entries; everything about it is in the fixture. */
struct fix *f_new(uint64_t features, uint32_t size, struct vq_base base);
/* Stop, check that nothing is left behind, free. */
void f_free(struct fix *f);
/* Another queue over the same ring, not yet running. */
struct vu_queue *f_queue(struct fix *f, struct vq_base base, struct err *e);
/* One echo request: 4 bytes out, @in bytes in. */
int f_add(struct fix *f, uint32_t tag, uint32_t in, bool indirect);
/* Publish, ring the bell if wanted, let the worker settle. */
void f_kick(struct fix *f);
/* Everything in flight came back right; returns how many. */
unsigned int f_reap(struct fix *f, uint32_t in);

#define PACKED   VIRTIO_BIT(VIRTIO_F_RING_PACKED)
#define EVENT    VIRTIO_BIT(VIRTIO_F_EVENT_IDX)
#define INDIRECT VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC)

extern const uint64_t flavours[8];
#define EACH_FLAVOUR(fl) for (unsigned int fl = 0; fl < ARRAY_SIZE(flavours); fl++)

/* ---- writing into the ring directly, either format ---- */

/* Make @n chains available that all start at descriptor 0, and ring the bell. */
void raw_go(struct fix *f, unsigned int n);
/* One descriptor at ring entry @i; the head of a packed chain goes last. */
void raw(struct fix *f, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
/* Entry @i of an indirect table at DATA. */
void table(struct fix *f, unsigned int i, uint64_t addr, uint32_t len, uint16_t flags,
	   uint16_t next);

#define GOOD (MEM_BUS + DATA)
#define NEXT VIRTQ_DESC_F_NEXT
#define WR   VIRTQ_DESC_F_WRITE
#define IND  VIRTQ_DESC_F_INDIRECT

#endif
