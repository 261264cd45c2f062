/* SPDX-License-Identifier: MIT */
/* The table of transports: the only place that names them all. */
#include "transport/transport.h"

#include <stddef.h>
#include <string.h>

extern const struct transport_ops vhost_user_transport;
#ifdef HAVE_VDUSE
extern const struct transport_ops vduse_transport;
#endif

const struct transport_ops *const transports[] = {
	&vhost_user_transport,
#ifdef HAVE_VDUSE
	&vduse_transport,
#endif
	NULL,
};

const struct transport_ops *transport_find(const char *name)
{
	for (unsigned int i = 0; transports[i]; i++)
		if (!strcmp(transports[i]->name, name))
			return transports[i];
	return NULL;
}
