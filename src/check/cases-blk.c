/* SPDX-License-Identifier: MIT */
/* vuctl check: block devices. */
#include "check/check.h"

const struct check_case check_blk_cases[] = {
	{ 0 },
};
