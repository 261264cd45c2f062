/* SPDX-License-Identifier: MIT */
/* vuctl check: device state. */
#include "check/check.h"

const struct check_case check_state_cases[] = {
	{ 0 },
};
