/* SPDX-License-Identifier: MIT */
/* vuctl check: split and packed rings. */
#include "check/check.h"

const struct check_case check_ring_cases[] = {
	{ 0 },
};
