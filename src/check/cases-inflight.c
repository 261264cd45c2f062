/* SPDX-License-Identifier: MIT */
/* vuctl check: the record of requests under way. */
#include "check/check.h"

const struct check_case check_inflight_cases[] = {
	{ 0 },
};
