/* SPDX-License-Identifier: MIT */
/*
 * A device's side of a virtqueue that is slow and obviously right: written
 * from the specification alone, sharing no code with the engine or with the
 * driver rings. It proves driver rings without the engine, and is the oracle
 * for the engine.
 */
#ifndef TESTS_LIB_NAIVE_DEV_H
#define TESTS_LIB_NAIVE_DEV_H

#include <stdbool.h>
#include <stdint.h>

#define NAIVE_MAX_SEGS 1024

/**
 * struct naive_dev - where the ring is and where we stand in it
 * @translate:	guest address to pointer; NULL: not mapped
 * @avail, @used: split: free-running; packed: slot
 */
struct naive_dev {
	uint8_t *desc, *driver, *device;
	uint32_t size;
	bool packed, event_idx;
	uint32_t avail, used;
	bool avail_wrap, used_wrap;
	uint32_t told; /* used position when naive_must_call() was last asked */
	bool told_wrap;
	uint32_t since; /* packed: descriptors used since then */
	void *(*translate)(void *ctx, uint64_t addr, uint64_t len);
	void *ctx;
};

struct naive_seg {
	uint64_t addr;
	uint32_t len;
	bool writable;
};

struct naive_chain {
	uint32_t id;
	uint32_t ndesc; /* ring descriptors */
	unsigned int n;
	struct naive_seg seg[NAIVE_MAX_SEGS];
};

/* 1: a chain; 0: none, @c is as it was; -1: the chain is illegal (@why says what). */
int naive_pop(struct naive_dev *d, struct naive_chain *c, const char **why);
void naive_push(struct naive_dev *d, const struct naive_chain *c, uint32_t len);
/* Does the driver want an interrupt for what was pushed since the last call of this? */
bool naive_must_call(struct naive_dev *d);
/* Ask for kicks, or not. Returns true when a chain is there already. */
bool naive_want_kick(struct naive_dev *d, bool on);

#endif
