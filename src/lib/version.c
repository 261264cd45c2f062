/* SPDX-License-Identifier: MIT */
/* All that the installed library has of its own: the rest is in the other one. */
#include <vu/error.h>

const char *vu_version(void)
{
	return PACKAGE_VERSION;
}
