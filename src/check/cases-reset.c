/* SPDX-License-Identifier: MIT */
/* vuctl check: reset and status. */
#include "check/check.h"

const struct check_case check_reset_cases[] = {
	{ 0 },
};
