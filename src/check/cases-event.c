/* SPDX-License-Identifier: MIT */
/* vuctl check: event index, indirect tables. */
#include "check/check.h"

const struct check_case check_event_cases[] = {
	{ 0 },
};
