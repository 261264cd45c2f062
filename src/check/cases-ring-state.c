/* SPDX-License-Identifier: MIT */
/* vuctl check: start, enable, stop, base. */
#include "check/check.h"

const struct check_case check_ring_state_cases[] = {
	{ 0 },
};
