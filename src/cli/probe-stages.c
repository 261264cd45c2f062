/* SPDX-License-Identifier: MIT */
/* vuctl probe: the steps, and what to say when one fails. */
#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/probe.h"
#include "transport/vhost-user/creds.h"
#include "util/compiler.h"
#include "wire/virtio-blk.h"
#include "wire/virtio.h"

#define MEM_SIZE (2u << 20)
#define MEM_GPA  (UINT64_C(1) << 30)

#define PROTO(name) (UINT64_C(1) << VHOST_USER_PROTOCOL_F_##name)

/* ---- connect ---- */

static int not_permitted(const char *path, const struct stat *st, struct err *e)
{
	struct passwd *pw = getpwuid(st->st_uid);
	struct group *gr = getgrgid(st->st_gid);

	err_set(e, -EACCES, "socket-permission", "may not connect to %s", path);
	return err_hint(e,
			"It belongs to %s:%s, mode %04o; to connect takes the right to write.\n"
			"Run this as its owner or as a member of its group, or as root",
			pw ? pw->pw_name : "?", gr ? gr->gr_name : "?",
			(unsigned int)st->st_mode & 07777);
}

static int connect_failed(const struct probe *p, int code, struct err *e)
{
	const char *path = p->o.path;
	struct stat st;

	if (stat(path, &st) < 0) {
		if (errno == EACCES) {
			err_sys(e, -EACCES, "socket-permission", "cannot reach %s", path);
			return err_hint(e, "A folder on the way to it is closed to this user");
		}
		err_set(e, -errno, "socket-missing", "there is no socket %s", path);
		return err_hint(e, "Start the back-end first, and give the path it listens at");
	}
	if (!S_ISSOCK(st.st_mode)) {
		err_set(e, -ENOTSOCK, "not-a-socket", "%s is %s, not a socket", path,
			S_ISDIR(st.st_mode) ? "a folder" :
			S_ISREG(st.st_mode) ? "a file" :
					      "something else");
		return err_hint(e, "Give the path at which a vhost-user back-end listens");
	}
	switch (code) {
	case -EACCES:
		return not_permitted(path, &st, e);
	case -ECONNREFUSED:
		err_set(e, code, "socket-dead", "nobody listens at %s", path);
		return err_hint(e, "What made it is gone, or has not begun to listen: "
				   "start the back-end again");
	case -EPROTOTYPE:
		err_set(e, code, "socket-type", "%s is no stream socket: no vhost-user back-end",
			path);
		return err_hint(e, "Give the path at which a vhost-user back-end listens");
	case -EAGAIN:
		err_set(e, -ETIMEDOUT, "socket-busy", "%s took no connection within %d s", path,
			p->o.timeout_ms / 1000);
		return err_hint(e, "Others are waiting there, too. Does the back-end hang?");
	default:
		return err_sys(e, code, "socket-connect", "cannot connect to %s", path);
	}
}

/* The name of a process is cut after 15 characters; that of its program is not. */
static void whole_name(pid_t pid, char *name, size_t size)
{
	char link[64], exe[4096];
	size_t len = strlen(name);
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = len == 15 ? readlink(link, exe, sizeof(exe) - 1) : -1;
	if (n <= 0)
		return;
	exe[n] = '\0';
	/* In its file's name anything can be, but a terminal shall get none of it: see vu_creds(). */
	for (char *p = exe; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	if (!strncmp(basename(exe), name, len))
		snprintf(name, size, "%s", basename(exe));
}

static int do_connect(struct probe *p, struct err *e)
{
	struct timeval tv = { .tv_sec = p->o.timeout_ms / 1000 };
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd, code;

	if (strlen(p->o.path) >= sizeof(sa.sun_path)) {
		err_set(e, -ENAMETOOLONG, "socket-path",
			"the path is %zu bytes long; sockets allow %zu", strlen(p->o.path),
			sizeof(sa.sun_path) - 1);
		return err_hint(e, "Go to its folder, and give the path from there");
	}
	strcpy(sa.sun_path, p->o.path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, -errno, "socket-make", "cannot make a socket");
	/* With others waiting, connect() waits. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		code = -errno;
		close(fd);
		return connect_failed(p, code, e);
	}
	vu_creds(fd, &p->pid, p->program, sizeof(p->program));
	if (p->pid)
		whole_name(p->pid, p->program, sizeof(p->program));
	p->c = vuc_from_fd(fd, p->o.timeout_ms, e);
	return p->c ? 0 : e->code;
}

/* ---- features ---- */

static void trace(void *ctx, const char *line)
{
	(void)ctx;
	cli_say("%s", line);
}

static int do_features(struct probe *p, struct err *e)
{
	int ret = 0;

	if (p->o.verbose)
		vuc_set_trace(p->c, trace, NULL);
	p->t = vuc_transport(p->c, e); /* greets, and owns it from here on */
	if (!p->t) {
		p->c = NULL;
		return e->code ? e->code : -EPROTO;
	}
	p->c = vuc_of_transport(p->t);
	ret = vuc_get_features(p->c, &p->features, e);
	if (ret == 0 && (p->features & VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		ret = vuc_get_protocol_features(p->c, &p->protocol, e);
	if (ret == 0 && (vuc_protocol_features(p->c) & PROTO(MQ)))
		ret = vuc_get_queue_num(p->c, &p->queues, e);
	if (ret == 0 && (vuc_protocol_features(p->c) & PROTO(CONFIGURE_MEM_SLOTS)))
		ret = vuc_get_max_mem_slots(p->c, &p->slots, e);
	return ret;
}

/* ---- configuration ---- */

/*
 * Ask for @len bytes from the beginning. Back-ends refuse with an answer that
 * has no payload, or says a size of 0; some answer with less. Returns how much
 * there is, 0: refused.
 */
static int ask_config(struct probe *p, uint32_t len, struct err *e)
{
	struct vhost_user_config q = { .size = len }, a = { .size = 0 };
	struct vuc_msg m = {
		.request = VHOST_USER_GET_CONFIG,
		.payload = &q,
		.size = VHOST_USER_CONFIG_HDR_SIZE + len,
		.reply = &a,
		.reply_min = 0,
		.reply_max = sizeof(a),
	};
	int ret = vuc_call(p->c, &m, e);

	if (ret)
		return ret;
	if (m.reply_size <= VHOST_USER_CONFIG_HDR_SIZE || !a.size)
		return 0;
	if (a.offset)
		return err_set(e, -EPROTO, "config-nonsense",
			       "it answered other bytes of its configuration than were asked for");
	len = MIN(MIN(len, a.size), m.reply_size - VHOST_USER_CONFIG_HDR_SIZE);
	memcpy(p->config, a.region, len);
	p->config_len = len;
	return (int)len;
}

/*
 * How long it is nobody tells. Some answer any length, with zeroes behind the
 * end; others refuse more than they have; some refuse all but what they have.
 */
static int do_config(struct probe *p, struct err *e)
{
	static const uint8_t usual[] = { 136, 96, 72, 60, 56, 40, 36, 24, 16, 12, 8, 4 };
	uint32_t no = VHOST_USER_CONFIG_MAX, yes = 0;
	int ret;

	if (!(vuc_protocol_features(p->c) & PROTO(CONFIG)))
		return 0;
	ret = ask_config(p, VHOST_USER_CONFIG_MAX, e);
	p->config_any = ret == VHOST_USER_CONFIG_MAX;
	if (ret)
		return MIN(ret, 0);
	for (size_t i = 0; i < ARRAY_SIZE(usual) && !yes; i++) {
		ret = ask_config(p, usual[i], e);
		if (ret < 0)
			return ret;
		if (ret == 0)
			no = usual[i];
		else
			yes = usual[i];
	}
	while (yes && yes + 1 < no) {
		uint32_t mid = (yes + no) / 2;

		ret = ask_config(p, mid, e);
		if (ret < 0)
			return ret;
		*(ret ? &yes : &no) = mid;
	}
	return 0;
}

/* ---- memory, queue, read ---- */

static int do_memory(struct probe *p, struct err *e)
{
	struct fe_mem_spec spec = { .gpa = MEM_GPA, .size = MEM_SIZE };
	uint64_t f = p->features & VIRTIO_BIT(VIRTIO_F_VERSION_1);
	int ret;

	p->mem = fe_mem_new(&spec, 1, e);
	if (!p->mem)
		return e->code;
	ret = p->t->ops->set_features(p->t, f, e);
	if (ret == 0)
		ret = p->t->ops->set_mem(p->t, p->mem, e);
	/* Not all acknowledge it, but those who could not take it answer nothing any more. */
	return ret ? ret : vuc_get_features(p->c, &f, e);
}

static int do_queue(struct probe *p, bool read, struct err *e)
{
	bool packed = p->features & VIRTIO_BIT(VIRTIO_F_RING_PACKED);
	int ret = probe_queue(p, false, read, e);

	if (ret == 0 && packed) {
		ret = probe_queue(p, true, read, e);
		if (ret)
			err_prefix(e, "with a packed ring");
	}
	return ret;
}

static int do_read(struct probe *p, struct err *e)
{
	if (p->guess.type == VIRTIO_ID_BLOCK && p->config_len >= sizeof(uint64_t))
		return do_queue(p, true, e);
	if (p->o.all)
		return 0;
	err_set(e, -ENOTSUP, "nothing-to-read", "this is no disk: there is nothing to read");
	return err_hint(e, "If it is one all the same: --type blk");
}

int probe_stage(struct probe *p, enum probe_stage s, struct err *e)
{
	switch (s) {
	case PROBE_CONNECT:
		return do_connect(p, e);
	case PROBE_FEATURES:
		return do_features(p, e);
	case PROBE_CONFIG:
		return do_config(p, e);
	case PROBE_MEMORY:
		return do_memory(p, e);
	case PROBE_QUEUE:
		return do_queue(p, false, e);
	default:
		return do_read(p, e);
	}
}

void probe_end(struct probe *p)
{
	if (p->t)
		p->t->ops->close(p->t);
	else
		vuc_close(p->c);
	fe_mem_free(p->mem);
}
