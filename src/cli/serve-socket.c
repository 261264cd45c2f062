/* SPDX-License-Identifier: MIT */
/* vuctl serve: where the socket is; --socket - makes a private folder for it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/serve.h"

static int private_dir(struct serve *s, struct err *e)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *const bases[] = { runtime, "/tmp" };

	/* mkdtemp(): 0700, and a name nobody can have put there before. */
	for (unsigned int i = 0; i < 2; i++) {
		if (!bases[i] || bases[i][0] != '/' || strlen(bases[i]) > 60)
			continue;
		snprintf(s->private_dir, sizeof(s->private_dir), "%s/vuctl-XXXXXX", bases[i]);
		if (mkdtemp(s->private_dir))
			return 0;
	}
	s->private_dir[0] = '\0';
	return err_sys(e, -errno, "socket-folder", "cannot make a private folder for the socket");
}

int serve_socket_path(struct serve *s, struct err *e)
{
	int ret;

	if (strcmp(s->o.socket, "-")) {
		/* Its length is the transport's business; it sees what does not fit here, too. */
		if (strlen(s->o.socket) < sizeof(s->path))
			memcpy(s->path, s->o.socket, strlen(s->o.socket) + 1);
		return 0;
	}
	ret = private_dir(s, e);
	if (ret == 0)
		snprintf(s->path, sizeof(s->path), "%.90s/disk.sock", s->private_dir);
	return ret;
}

void serve_socket_clean(struct serve *s)
{
	if (s->private_dir[0] && rmdir(s->private_dir) < 0)
		log_warning("cannot remove %s: %s", s->private_dir, strerror(errno));
	s->private_dir[0] = '\0';
}
