/* SPDX-License-Identifier: MIT */
/*
 * A device made for tests of rings and transports: what it reads it writes
 * back, each byte inverted, as far as both sides reach. The used length says
 * how much. A request whose first byte is TEST_MODEL_HOLD comes back only
 * after (second byte) x 10 ms, its answer written at the very end.
 *
 * Configuration: le32 magic; byte 4 is writable; a write to byte 5 makes the
 * device change byte 6 to the same value and tell the driver.
 */
#ifndef TESTS_LIB_TEST_MODEL_H
#define TESTS_LIB_TEST_MODEL_H

#include "vu/device.h"

#define TEST_MODEL_HOLD     0xee
#define TEST_MODEL_MAGIC    0x31337bad
#define TEST_MODEL_FEATURES ((uint64_t)1 << 3)

struct test_model {
	struct vu_dev *dev;
	/* counted with atomics, read by tests */
	unsigned int starts, stops, resets, negotiated;
	uint64_t features; /* as negotiated */
};

extern const struct vu_model test_model;

/* After vdev_new(). */
void test_model_bind(struct test_model *m, struct vu_dev *dev);

#endif
