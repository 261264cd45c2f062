/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target is: a function that takes any bytes, and the name of its
 * corpus. libFuzzer calls it (make fuzz), and so does replay.c, as a test.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const char fuzz_corpus[]; /* a folder of tests/fuzz/corpus */

#endif
