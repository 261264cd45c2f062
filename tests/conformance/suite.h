/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite: one set of cases, run over every transport, ring
 * format and feature set. A case gets a fresh device, guest memory and driver.
 */
#ifndef TESTS_CONFORMANCE_SUITE_H
#define TESTS_CONFORMANCE_SUITE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../lib/conf-dev.h"
#include "frontend/blk.h"
#include "frontend/drv-raw.h"
#include "frontend/queue.h"
#include "util/compiler.h"

#define CONF_QUEUES   4
#define CONF_INDIRECT 8       /* longest indirect table of the ring cases */
#define CONF_WAIT_MS  10000   /* for what must come */
#define CONF_SOON_MS  1000    /* a broken ring is reported within this */
#define CONF_SCRATCH  262144u /* bytes of each of the two scratch buffers */

/*
 * Guest memory of a case. LOW and NEXT touch each other; before DATA there is
 * a hole; HIGH lies above 4 GiB, and its file may be truncated.
 */
enum { MEM_LOW, MEM_NEXT, MEM_DATA, MEM_HIGH, MEM_N };

#define MEM_LOW_GPA   UINT64_C(0x10000)
#define MEM_LOW_SIZE  UINT64_C(0x3000000)
#define MEM_NEXT_GPA  (MEM_LOW_GPA + MEM_LOW_SIZE)
#define MEM_NEXT_SIZE UINT64_C(0x10000)
#define MEM_DATA_GPA  UINT64_C(0x8000000)
#define MEM_DATA_SIZE UINT64_C(0x200000)
#define MEM_HIGH_GPA  UINT64_C(0x140000000)
#define MEM_HIGH_SIZE UINT64_C(0x10000)

/**
 * struct conf_variant - ring format and features
 * @ring:	RING_PACKED, EVENT_IDX, INDIRECT_DESC
 * @size:	entries
 * @base:	where rings start
 * @full:	run every case; else only those that ask for any variant
 */
struct conf_variant {
	const char *name;
	uint64_t ring;
	uint32_t size;
	struct vq_base base;
	bool full;
};

struct conf;

/**
 * struct conf_case
 * @any:	also with the variants that are not full
 * @storage, @filter, @read_only, @writethrough: a block device; NULL: the test model
 * @no_queues:	the case starts its queues itself
 * @mode, @no_uring: of the workers
 */
struct conf_case {
	const char *name;
	void (*fn)(struct conf *c);
	bool any;
	const char *storage;
	const char *filter;
	bool read_only;
	bool writethrough;
	bool no_queues;
	enum worker_mode mode;
	bool no_uring;
};

/**
 * struct conf - what a case works with
 * @features:	accepted
 * @q, @nq:	queues of the test model; block devices: see @blk
 * @out, @in:	scratch buffers in DATA
 */
struct conf {
	const struct conf_target *target;
	const struct conf_variant *v;
	const struct conf_case *k;
	struct conf_dev d;
	struct fe_mem *m;
	struct fe_transport *t;
	uint64_t features;
	struct fe_queue q[CONF_QUEUES];
	unsigned int nq;
	struct fe_blk *blk;
	uint8_t *out, *in;
	uint64_t out_gpa, in_gpa;
	uint32_t seed;
	struct err e;
};

/* All cases of a part, ended by one without a name. */
extern const struct conf_case conf_ring_cases[], conf_life_cases[], conf_bad_cases[],
	conf_blk_cases[];

int conf_main(const struct conf_target *target, int argc, char **argv);

/* ---- helpers ---- */

uint32_t conf_rnd(struct conf *c);
static inline bool conf_packed(const struct conf *c)
{
	return c->v->ring & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
}
static inline bool conf_indirect(const struct conf *c)
{
	return c->v->ring & VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);
}
/* Longest chain the variant can carry, up to CONF_INDIRECT. */
unsigned int conf_max_segs(const struct conf *c);

/* Expect success of a call that fills in c->e. */
#define conf_ok(c, call)                                                  \
	do {                                                              \
		int ret_ = (call);                                        \
		if (ret_)                                                 \
			fail_msg("%s: %d: %s", #call, ret_, (c)->e.what); \
	} while (0)

/* Start queue @qi where its ring stands; make its ring anew and start it at the beginning. */
void conf_start(struct conf *c, unsigned int qi);
void conf_restart_fresh(struct conf *c, unsigned int qi);

/* Add a chain, as a table if the ring has no room otherwise. */
void conf_add(struct conf *c, unsigned int qi, const struct drv_seg *s, unsigned int n,
	      void *cookie);
/* Wait for one chain. */
struct drv_used conf_get(struct conf *c, unsigned int qi);
/* Cut @len bytes at @gpa into at most @max pieces, at random places. Returns how many. */
unsigned int conf_cut(struct conf *c, struct drv_seg *s, unsigned int max, uint64_t gpa,
		      uint32_t len, bool writable);
/* One request to the test model and its answer, checked. */
void conf_echo(struct conf *c, unsigned int qi, uint32_t nout, uint32_t nin);
void conf_echo_many(struct conf *c, unsigned int qi, unsigned int times);
/* Begin a request that is held @ticks x 10 ms; then conf_held_end() waits for it and checks. */
void conf_held_begin(struct conf *c, unsigned int qi, uint8_t ticks);
void conf_held_check(struct conf *c);

/* Queue @qi is reported broken in time. */
void conf_expect_broken(struct conf *c, unsigned int qi);

#endif
