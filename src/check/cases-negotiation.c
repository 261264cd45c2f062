/* SPDX-License-Identifier: MIT */
/* vuctl check: owner, features, protocol features. */
#include "check/check.h"

const struct check_case check_negotiation_cases[] = {
	{ 0 },
};
