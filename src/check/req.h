/* SPDX-License-Identifier: MIT */
/*
 * vuctl check: what cases of rings and disks share. Requests that a case lays
 * out itself, many at a time, each in a slot of the device's buffer; and rings
 * written by hand.
 */
#ifndef CHECK_REQ_H
#define CHECK_REQ_H

#include "check/check.h"

#define REQ_GAP     512  /* of each slot, behind the data: header and status */
#define REQ_POISON  0xa5 /* what is in a buffer before the device writes to it */
#define REQ_PENDING 0xff /* a status no device gives */

/* Bytes of one logical block: what every disk takes as one request. Sectors of it. */
uint32_t req_block(const struct check *c);
static inline uint64_t req_step(const struct check *c)
{
	return req_block(c) / VIRTIO_BLK_SECTOR_SIZE;
}

/* The whole configuration space, as the driver sees it; zeroes where it cannot be had. */
void req_config(struct check *c, struct check_dev *d, struct virtio_blk_config *k);
/* Data descriptors that the device has to take in one request: SEG_MAX, ring size. */
uint32_t req_max_segs(struct check *c, struct check_dev *d);

/* ---- slots ---- */

uint32_t req_slots(const struct check *c);
static inline uint32_t req_at(const struct check *c, uint32_t slot)
{
	return slot * (req_block(c) + REQ_GAP);
}
static inline uint32_t req_hdr_at(const struct check *c, uint32_t slot)
{
	return req_at(c, slot) + req_block(c);
}
static inline uint32_t req_status_at(const struct check *c, uint32_t slot)
{
	return req_hdr_at(c, slot) + (uint32_t)sizeof(struct virtio_blk_req_hdr);
}

/* A header at @off of the buffer. */
void req_hdr(struct check_dev *d, uint32_t off, uint32_t type, uint64_t sector);

/*
 * Add a request of one block in @slot to the ring, not published. Reads have
 * their data poisoned before. Return: as drv_add().
 */
int req_add(struct check *c, struct check_dev *d, unsigned int qi, uint32_t slot, uint32_t type,
	    uint64_t sector, bool indirect);
/* The same; a full ring fails the case. */
void req_must_add(struct check *c, struct check_dev *d, unsigned int qi, uint32_t slot,
		  uint64_t sector);

/*
 * Wait for @n requests of req_add(), in any order: each ends with status OK.
 * Looks at the ring, whether notified or not.
 */
void req_reap(struct check *c, struct check_dev *d, unsigned int qi, unsigned int n);
/* One chain, whatever it is; false when it does not come within @timeout_ms. */
bool req_poll(struct check_dev *d, unsigned int qi, struct drv_used *u, int timeout_ms);

/* ---- contents ---- */

#define REQ_REFS 8
/* The first blocks of the disk, read one at a time, for comparison; in guest memory. */
const uint8_t *req_reference(struct check *c, struct check_dev *d);
static inline uint64_t req_ref_sector(const struct check *c, uint32_t i)
{
	return i % REQ_REFS * req_step(c);
}
/* @got is block @i of the reference, or the case fails. */
void req_compare(struct check *c, const uint8_t *ref, uint32_t i, const uint8_t *got,
		 const char *how);

/* First sector of the area that cases may write to, the last @bytes of the disk. */
uint64_t req_scratch(struct check *c, uint32_t bytes);
/* Fill @n bytes with something that depends on @seed and never repeats for long. */
void req_fill(uint8_t *p, uint32_t n, uint32_t seed);
/* Offset of the first difference, or @n. */
uint32_t req_differs(const uint8_t *a, const uint8_t *b, uint32_t n);

/* Swallow what an eventfd has counted, waiting up to @timeout_ms: how much; 0: nothing came. */
uint64_t req_hear(int fd, int timeout_ms);
/* Wait until no more notifications come. */
void req_quiet(struct check_dev *d, unsigned int qi);

/* ---- rings no driver makes ---- */

/* One entry of a chain or table, in words common to both formats. */
struct ring_ent {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* Write entries from the driver's present place on; make them available; nothing is in flight. */
void ring_put(struct check_dev *d, unsigned int qi, const struct ring_ent *e, unsigned int n);
/* A table at guest address @gpa. */
void ring_table(struct check *c, struct check_dev *d, uint64_t gpa, const struct ring_ent *e,
		unsigned int n);

/**
 * ring_outcome() - kick, and see that the back-end survives
 *
 * Whatever it makes of the ring is right: to serve it, to declare it broken,
 * to close the connection, to do nothing. But while the connection stands it
 * has to answer, GET_VRING_BASE above all. Closes the device.
 */
void ring_outcome(struct check *c, struct check_dev *d, unsigned int qi);

#endif
