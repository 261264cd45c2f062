/* SPDX-License-Identifier: MIT */
/* vuctl check: the log of dirty pages. */
#include "check/check.h"

const struct check_case check_log_cases[] = {
	{ 0 },
};
