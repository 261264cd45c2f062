/* SPDX-License-Identifier: MIT */
/* Sizes as people write and read them. */
#ifndef UTIL_SIZE_H
#define UTIL_SIZE_H

#include <stddef.h>
#include <stdint.h>

#include "util/err.h"

/* Enough for anything size_format() writes, the NUL included. */
#define SIZE_TEXT_MAX 16

/**
 * size_parse() - read a size
 * @text:	digits and a unit: none or `B` bytes; `K M G T P E`, also as `KiB`,
 *		powers of 1024; `KB MB ...` powers of 1000. Upper or lower case.
 * @bytes:	result, untouched on failure
 *
 * Return: 0, -EINVAL when it is no size, -ERANGE when it does not fit in 64 bits.
 */
int size_parse(const char *text, uint64_t *bytes, struct err *e);

/**
 * size_format() - write a size for a sentence: "10 GiB", "3.9 GiB", "512 bytes"
 *
 * Three digits at most, rounded down: a disk is never shown larger than it is.
 * Return: @buf.
 */
char *size_format(char buf[SIZE_TEXT_MAX], uint64_t bytes);

/* The same for a table: "10G", "3.9G", "512". */
char *size_format_short(char buf[SIZE_TEXT_MAX], uint64_t bytes);

#endif
