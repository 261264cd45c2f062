/* SPDX-License-Identifier: MIT */
/* vuctl check: exhaustion. */
#include "check/check.h"

const struct check_case check_resource_cases[] = {
	{ 0 },
};
