/* SPDX-License-Identifier: MIT */
/* Any message, waiting for its answer or not, and what an event loop needs. */
#include <errno.h>
#include <stdlib.h>

#include "lib.h"
#include "util/compiler.h"

/**
 * struct lib_msg - a message under way
 * @m:		the caller's
 * @at:		what points to us
 */
struct lib_msg {
	struct vuc_req r;
	struct vu_fe_msg *m;
	struct lib_msg *next, **at;
};

static struct vuc_msg msg_of(const struct vu_fe_msg *m)
{
	return (struct vuc_msg){
		.request = m->request,
		.payload = m->payload,
		.size = m->size,
		.fds = m->fds,
		.nfds = m->nfds,
		.reply = m->reply,
		.reply_min = m->reply_min,
		.reply_max = m->reply_max,
		.reply_fd = -1,
		.want_fd = true,
	};
}

int vu_fe_call(struct vu_fe *fe, struct vu_fe_msg *m)
{
	struct vuc_msg v = msg_of(m);
	LIB_HOLD(fe);
	int ret = vuc_call(fe->c, &v, lib_err());

	m->reply_size = v.reply_size;
	m->reply_fd = v.reply_fd;
	return ret;
}

/* The last thing done with @l. */
static void end(struct lib_msg *l, int res, const struct err *e)
{
	struct vu_fe_msg *m = l->m;
	LIB_KEEP_ERR();

	if (e)
		*lib_err() = *e;
	m->reply_size = l->r.m.reply_size;
	m->reply_fd = l->r.m.reply_fd;
	*l->at = l->next;
	if (l->next)
		l->next->at = l->at;
	free(l);
	m->done(m, res);
}

static void on_done(struct vuc_req *r, int res, const struct err *e)
{
	end(container_of(r, struct lib_msg, r), res, e);
}

int vu_fe_start(struct vu_fe *fe, struct vu_fe_msg *m)
{
	struct lib_msg *l;
	int ret;

	if (fe->closing)
		return lib_fail(-ENOTCONN, "vhost-user-lost", "the connection is being closed");
	if (!m->done)
		return lib_fail(-EINVAL, "vhost-user-message", "the message has no callback");
	l = calloc(1, sizeof(*l));
	if (!l)
		return err_sys(lib_err(), -ENOMEM, "out-of-memory", "cannot send a message");
	*l = (struct lib_msg){ .r = { .m = msg_of(m), .done = on_done }, .m = m };
	ret = vuc_start(fe->c, &l->r, lib_err());
	if (ret) {
		free(l);
		return ret;
	}
	l->next = fe->msgs;
	l->at = &fe->msgs;
	if (l->next)
		l->next->at = &l->next;
	fe->msgs = l;
	return 0;
}

void lib_msgs_drop(struct vu_fe *fe)
{
	struct err e;

	err_set(&e, -ECANCELED, "vhost-user-lost", "the connection was closed");
	while (fe->msgs)
		end(fe->msgs, -ECANCELED, &e);
}

int vu_fe_events(const struct vu_fe *fe, struct pollfd p[2])
{
	return vuc_events(fe->c, p);
}

int vu_fe_process(struct vu_fe *fe)
{
	LIB_HOLD(fe);
	const char *why;

	vuc_process(fe->c);
	why = vuc_dead(fe->c);
	return why ? lib_fail(-ENOTCONN, "vhost-user-lost", why) : 0;
}
