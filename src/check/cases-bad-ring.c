/* SPDX-License-Identifier: MIT */
/* vuctl check: hostile rings. */
#include "check/check.h"

const struct check_case check_bad_ring_cases[] = {
	{ 0 },
};
