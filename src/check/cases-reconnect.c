/* SPDX-License-Identifier: MIT */
/* vuctl check: one front-end after another. */
#include "check/check.h"

const struct check_case check_reconnect_cases[] = {
	{ 0 },
};
