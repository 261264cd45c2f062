/* SPDX-License-Identifier: MIT */
/* The inside of the vhost-user client, shared by its files. */
#ifndef FRONTEND_VUC_INTERNAL_H
#define FRONTEND_VUC_INTERNAL_H

#include "frontend/vhost-user-client.h"

#define VUC_MAX_PAYLOAD 4096
#define VUC_MAX_FDS     253 /* the kernel's own limit: tests may send too many */

/**
 * struct vuc - a connection to a back-end
 * @fd:		the socket
 * @back_fd:	our end of the back-channel, or -1
 * @timeout_ms:	for each message
 * @dead:	why it cannot be used any more, or NULL
 * @features:	protocol features as set
 * @reply_ack:	ask for acknowledgements
 * @config_changes: told and not yet reported
 */
struct vuc {
	int fd;
	int back_fd;
	int timeout_ms;
	const char *dead;
	uint64_t features;
	bool reply_ack;
	unsigned int config_changes;
};

int vuc_die(struct vuc *c, int code, struct err *e, const char *what);
void vuc_back_serve(struct vuc *c);

#endif
