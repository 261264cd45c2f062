/* SPDX-License-Identifier: MIT */
/* Life of a front-end: connection, negotiation, rings, sleep, reset. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib.h"
#include "util/compiler.h"

/* Without memory to exchange doorbells with, HOST_NOTIFIER would be a promise we cannot keep. */
#define PF_ALL                                                                                 \
	(VU_PF_MQ | VU_PF_LOG_SHMFD | VU_PF_REPLY_ACK | VU_PF_BACKEND_REQ | VU_PF_CONFIG |     \
	 VU_PF_BACKEND_SEND_FD | VU_PF_INFLIGHT_SHMFD | VU_PF_RESET_DEVICE | VU_PF_MEM_SLOTS | \
	 VU_PF_STATUS | VU_PF_SHARED_OBJECT | VU_PF_DEVICE_STATE | VU_PF_SHMEM)

#define BIT_PF      VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES)
#define BIT_LOG_ALL (UINT64_C(1) << 26)

#define STATUS_NEGOTIATING (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER)
#define STATUS_ACCEPTED    (STATUS_NEGOTIATING | VIRTIO_STATUS_FEATURES_OK)

int lib_bad_state(const char *what)
{
	return lib_fail(-EBUSY, "wrong-moment", what);
}

/* ---- connection ---- */

static int hello(struct vu_fe *fe, struct err *e)
{
	uint64_t pf, n;
	int ret = vuc_get_features(fe->c, &fe->offered, e);

	if (ret == 0)
		ret = vuc_set_owner(fe->c, e);
	fe->max_queues = 0;
	if (ret || !(fe->offered & BIT_PF))
		return ret;
	ret = vuc_get_protocol_features(fe->c, &pf, e);
	if (ret == 0)
		ret = vuc_set_protocol_features(fe->c, pf & fe->pf_mask, e);
	if (ret == 0 && lib_has(fe, VU_PF_MQ)) {
		ret = vuc_get_queue_num(fe->c, &n, e);
		if (ret == 0)
			fe->max_queues = (unsigned int)MIN(n, (uint64_t)VHOST_USER_MAX_VRINGS);
	}
	if (ret == 0 && lib_has(fe, VU_PF_BACKEND_REQ))
		ret = vuc_set_backend_req_fd(fe->c, e);
	return ret;
}

/* A new connection knows nothing. */
static int begin(struct vu_fe *fe, struct vuc *c, struct err *e)
{
	fe->c = c;
	fe->status = 0;
	fe->raw = 0;
	fe->nslots = 0;
	fe->mem_told = false;
	fe->logging = false;
	for (unsigned int i = 0; i < VHOST_USER_MAX_VRINGS; i++)
		fe->vring[i].running = false;
	vuc_set_back_ops(c, &fe->back, fe);
	if (fe->trace)
		vuc_set_trace(c, fe->trace, fe->ctx);
	return hello(fe, e);
}

static struct vu_fe *new_fe(const struct vu_fe_opts *opts)
{
	struct vu_fe_opts o = { 0 };
	struct vu_fe_callbacks cb = { 0 };
	uint64_t known = PF_ALL;
	struct vu_fe *fe;

	if (lib_take(&o, sizeof(o), opts) < 0 || lib_take(&cb, sizeof(cb), o.callbacks) < 0)
		return NULL;
	fe = calloc(1, sizeof(*fe));
	if (!fe) {
		err_sys(lib_err(), -ENOMEM, "out-of-memory", "cannot make a front-end");
		return NULL;
	}
	fe->timeout_ms = o.timeout_ms;
	fe->ctx = o.ctx;
	fe->trace = o.trace;
	lib_back_init(fe, &cb);
	if (fe->cb.host_notifier)
		known |= VU_PF_HOST_NOTIFIER;
	fe->pf_mask = o.protocol_features ? o.protocol_features & known : known;
	lib_transport_init(fe);
	return fe;
}

static struct vu_fe *connected(struct vu_fe *fe, struct vuc *c)
{
	if (c && begin(fe, c, lib_err()) == 0)
		return fe;
	vu_fe_free(fe);
	return NULL;
}

struct vu_fe *vu_fe_connect(const char *path, const struct vu_fe_opts *opts)
{
	struct vu_fe *fe = new_fe(opts);

	return fe ? connected(fe, vuc_connect(path, fe->timeout_ms, lib_err())) : NULL;
}

struct vu_fe *vu_fe_connect_fd(int fd, const struct vu_fe_opts *opts)
{
	struct vu_fe *fe = new_fe(opts);

	if (fe)
		return connected(fe, vuc_from_fd(fd, fe->timeout_ms, lib_err()));
	close(fd);
	return NULL;
}

void vu_fe_free(struct vu_fe *fe)
{
	/* Once more: by a callback of a message that ended below. */
	if (!fe || fe->freed)
		return;
	LIB_HOLD(fe);
	fe->freed = true;
	fe->closing = true;
	vuc_cancel(fe->c);
	lib_msgs_drop(fe);
}

void lib_release(struct vu_fe **held)
{
	struct vu_fe *fe = *held;

	if (--fe->depth || !fe->freed)
		return;
	vuc_close(fe->c);
	vu_fe_mem_free(fe->mem);
	free(fe);
}

uint64_t vu_fe_offered(const struct vu_fe *fe)
{
	return fe->offered & ~BIT_PF;
}

uint64_t vu_fe_protocol_features(const struct vu_fe *fe)
{
	return vuc_protocol_features(fe->c);
}

unsigned int vu_fe_max_queues(const struct vu_fe *fe)
{
	return fe->max_queues;
}

uint64_t vu_fe_features(const struct vu_fe *fe)
{
	return fe->features;
}

/* ---- negotiation ---- */

static int set_status(struct vu_fe *fe, uint8_t status, struct err *e)
{
	int ret;

	if (!lib_has(fe, VU_PF_STATUS) || fe->status == status)
		return 0;
	ret = vuc_set_status(fe->c, status, e);
	if (ret == 0)
		fe->status = status;
	return ret;
}

int lib_set_features(struct vu_fe *fe, uint64_t accepted, struct err *e)
{
	uint64_t raw = accepted | (fe->offered & BIT_PF);
	uint8_t st = 0;
	int ret = 0;

	/* Status bits are only ever taken back all together (VIRTIO 1.3 section 2.1.1). */
	if (fe->status & VIRTIO_STATUS_DRIVER_OK)
		ret = set_status(fe, 0, e);
	if (ret == 0)
		ret = set_status(fe, STATUS_NEGOTIATING, e);
	if (ret == 0)
		ret = vuc_set_features(fe->c, raw, e);
	if (ret)
		return ret;
	fe->raw = raw;
	fe->features = accepted;
	ret = set_status(fe, STATUS_ACCEPTED, e);
	if (ret == 0 && lib_has(fe, VU_PF_STATUS)) {
		ret = vuc_get_status(fe->c, &st, e);
		if (ret == 0 && !(st & VIRTIO_STATUS_FEATURES_OK))
			ret = err_set(e, -EOPNOTSUPP, "features-refused",
				      "the back-end did not accept the features");
	}
	if (ret == 0 && fe->state == LIB_CONNECTED)
		fe->state = LIB_NEGOTIATED;
	return ret;
}

int vu_fe_negotiate(struct vu_fe *fe, uint64_t wanted)
{
	LIB_HOLD(fe);

	if (fe->state >= LIB_ACTIVE)
		return lib_bad_state("features cannot change before the device is reset");
	for (unsigned int i = 0; i < VHOST_USER_MAX_VRINGS; i++)
		if (fe->vring[i].ring)
			return lib_bad_state("features cannot change under a queue");
	/* The log is switched with the log, not here. */
	wanted = (wanted | VU_F_VERSION_1) & ~(BIT_PF | BIT_LOG_ALL);
	return lib_set_features(fe, fe->offered & wanted, lib_err());
}

/* ---- rings ---- */

/* Rings are told by the addresses memory has here; bit 0 of @flags: with a log (by guest address). */
int lib_vring_addr(struct vu_fe *fe, unsigned int i, struct err *e)
{
	const struct lib_vring *v = &fe->vring[i];
	struct vhost_user_vring_addr a = {
		.index = i,
		.flags = fe->logging ? VHOST_USER_VRING_ADDR_F_LOG : 0,
		.desc = fe_mem_uva(&fe->mem->m, v->desc),
		.avail = fe_mem_uva(&fe->mem->m, v->driver),
		.used = fe_mem_uva(&fe->mem->m, v->device),
		.log = v->device,
	};

	if (!a.desc || !a.avail || !a.used)
		return err_set(e, -EINVAL, "ring-address", "ring %u is not in guest memory", i);
	return vuc_set_vring_addr(fe->c, &a, e);
}

int lib_vring_start(struct vu_fe *fe, unsigned int i, struct err *e)
{
	struct lib_vring *v = &fe->vring[i];
	bool packed = fe->features & VU_F_RING_PACKED;
	int ret = vuc_set_vring_num(fe->c, i, v->size, e);

	if (ret == 0)
		ret = vuc_set_vring_base(fe->c, i, v->base, packed, e);
	if (ret == 0)
		ret = lib_vring_addr(fe, i, e);
	if (ret == 0)
		ret = vuc_set_vring_call(fe->c, i, v->call_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_err(fe->c, i, v->err_fd, e);
	if (ret == 0)
		ret = vuc_set_vring_kick(fe->c, i, v->kick_fd, e);
	if (ret == 0)
		v->running = true;
	if (ret == 0 && (fe->raw & BIT_PF))
		ret = vuc_set_vring_enable(fe->c, i, true, e);
	if (ret == 0)
		ret = set_status(fe, STATUS_ACCEPTED | VIRTIO_STATUS_DRIVER_OK, e);
	if (ret)
		goto fail;
	/* Older back-ends start a ring at the first kick; and there may be chains already. */
	ret = v->kick_fd >= 0 ? fe_bell_ring(v->kick_fd) : 0;
	if (ret)
		return err_sys(e, ret, "kick", "cannot kick queue %u", i);
	return 0;
fail:
	err_prefix(e, "queue %u", i);
	return ret;
}

int lib_vring_stop(struct vu_fe *fe, unsigned int i, struct err *e)
{
	struct lib_vring *v = &fe->vring[i];
	int ret;

	if (!v->running)
		return 0;
	ret = vuc_get_vring_base(fe->c, i, fe->features & VU_F_RING_PACKED, &v->base, e);
	if (ret)
		err_prefix(e, "queue %u", i);
	else
		v->running = false;
	return ret;
}

static bool is_known(const struct vu_fe *fe, uint64_t addr)
{
	return fe->mem && fe_mem_uva(&fe->mem->m, addr);
}

int vu_fe_vring_set(struct vu_fe *fe, unsigned int index, const struct vu_fe_vring *v)
{
	unsigned int max = fe->max_queues ? fe->max_queues : VHOST_USER_MAX_VRINGS;

	if (index >= max)
		return err_set(lib_err(), -EINVAL, "queue-index",
			       "there is no queue %u: the device has %u at most", index, max);
	if (fe->vring[index].running)
		return lib_bad_state("the ring is running");
	if (!v) {
		fe->vring[index] = (struct lib_vring){ 0 };
		return 0;
	}
	if (fe->state == LIB_CONNECTED)
		return lib_bad_state("features must be negotiated before a ring is set up");
	if (!v->size || v->size > VIRTQ_MAX_SIZE)
		return lib_fail(-EINVAL, "ring-size", "a ring has 1 to 32768 entries");
	if (!is_known(fe, v->desc) || !is_known(fe, v->driver) || !is_known(fe, v->device))
		return err_set(lib_err(), -EINVAL, "ring-address", "ring %u is not in guest memory",
			       index);
	fe->vring[index] = (struct lib_vring){
		.set = true,
		.size = v->size,
		.desc = v->desc,
		.driver = v->driver,
		.device = v->device,
		.base = { v->base.avail, v->base.used, v->base.avail_wrap, v->base.used_wrap },
		.kick_fd = v->kick_fd,
		.call_fd = v->call_fd,
		.err_fd = v->err_fd,
	};
	return 0;
}

int vu_fe_vring_get(const struct vu_fe *fe, unsigned int index, struct vu_fe_vring *out)
{
	const struct lib_vring *v = &fe->vring[MIN(index, VHOST_USER_MAX_VRINGS - 1u)];

	if (index >= VHOST_USER_MAX_VRINGS || !v->set)
		return lib_fail(-EINVAL, "queue-index", "there is no such ring");
	*out = (struct vu_fe_vring){
		.size = v->size,
		.desc = v->desc,
		.driver = v->driver,
		.device = v->device,
		.base = { v->base.avail_idx, v->base.used_idx, v->base.avail_wrap,
			  v->base.used_wrap },
		.kick_fd = v->kick_fd,
		.call_fd = v->call_fd,
		.err_fd = v->err_fd,
	};
	return 0;
}

/* ---- life ---- */

static int start_all(struct vu_fe *fe)
{
	int ret = fe->mem_told || !fe->mem ? 0 : lib_tell_mem(fe, lib_err());

	for (unsigned int i = 0; ret == 0 && i < VHOST_USER_MAX_VRINGS; i++)
		if (fe->vring[i].set && !fe->vring[i].running)
			ret = lib_vring_start(fe, i, lib_err());
	if (ret == 0)
		fe->state = LIB_ACTIVE;
	return ret;
}

int vu_fe_activate(struct vu_fe *fe)
{
	LIB_HOLD(fe);

	if (fe->state == LIB_CONNECTED)
		return lib_bad_state("features must be negotiated before the device is activated");
	if (fe->state == LIB_ASLEEP)
		return lib_bad_state("the device sleeps: it has to be woken");
	if (!fe->mem)
		return lib_bad_state("the device has no memory yet");
	return start_all(fe);
}

int vu_fe_sleep(struct vu_fe *fe)
{
	LIB_HOLD(fe);
	int ret = 0;

	if (fe->state != LIB_ACTIVE)
		return lib_bad_state("only an active device can be put to sleep");
	for (unsigned int i = 0; ret == 0 && i < VHOST_USER_MAX_VRINGS; i++)
		ret = lib_vring_stop(fe, i, lib_err());
	/* Also when it failed half way: waking starts those that were stopped. */
	fe->state = LIB_ASLEEP;
	return ret;
}

int vu_fe_wake(struct vu_fe *fe)
{
	LIB_HOLD(fe);

	if (fe->state != LIB_ASLEEP)
		return lib_bad_state("the device does not sleep");
	return start_all(fe);
}

int vu_fe_reset(struct vu_fe *fe)
{
	LIB_HOLD(fe);
	int ret = 0;

	if (lib_has(fe, VU_PF_RESET_DEVICE)) {
		ret = vuc_reset_device(fe->c, lib_err());
	} else {
		for (unsigned int i = 0; ret == 0 && i < VHOST_USER_MAX_VRINGS; i++)
			ret = lib_vring_stop(fe, i, lib_err());
	}
	if (ret == 0)
		ret = set_status(fe, 0, lib_err());
	if (ret)
		return ret;
	for (unsigned int i = 0; i < VHOST_USER_MAX_VRINGS; i++) {
		struct drv_ring *r = fe->vring[i].ring;

		if (r && !r->broken)
			r->broken = "the device was reset";
		fe->vring[i] = (struct lib_vring){ 0 };
	}
	fe->features = 0;
	fe->logging = false;
	fe->state = LIB_CONNECTED;
	return 0;
}

/* ---- another connection ---- */

/* Where a ring goes on whose back-end died without saying. */
static int rescue(struct vu_fe *fe, unsigned int i, struct err *e)
{
	struct lib_vring *v = &fe->vring[i];
	const struct virtq_used *u;

	if (!v->running)
		return 0;
	if (!(fe->features & VU_F_RING_PACKED)) {
		/* All before it were finished; what was out beyond it, a crash record knows. */
		u = fe_mem_host(&fe->mem->m, v->device, virtq_used_bytes(v->size));
		if (!u)
			return err_set(e, -EINVAL, "ring-address", "ring %u is not in guest memory",
				       i);
		v->base = (struct vq_base){
			.avail_idx = le16toh(__atomic_load_n(&u->idx, __ATOMIC_ACQUIRE)),
		};
		return 0;
	}
	if (!v->ring || drv_in_flight(v->ring))
		return err_set(e, -EOPNOTSUPP, "ring-lost",
			       "where packed queue %u stood is lost with its back-end", i);
	v->base = drv_ring_base(v->ring);
	return 0;
}

static int reconnect(struct vu_fe *fe, int fd, struct err *e)
{
	LIB_HOLD(fe);
	struct vuc *c;
	int ret = 0;

	if (fe->state != LIB_ASLEEP && !vuc_dead(fe->c)) {
		close(fd);
		return lib_bad_state("the device is in use over its present connection");
	}
	for (unsigned int i = 0; ret == 0 && i < VHOST_USER_MAX_VRINGS; i++)
		ret = rescue(fe, i, e);
	if (ret) {
		close(fd);
		return ret;
	}
	c = vuc_from_fd(fd, fe->timeout_ms, e);
	if (!c)
		return e->code;
	fe->closing = true;
	vuc_close(fe->c);
	lib_msgs_drop(fe);
	fe->c = c;
	/* By a callback of a message that has just ended. */
	if (fe->freed)
		return lib_bad_state("the front-end was freed meanwhile");
	fe->closing = false;
	ret = begin(fe, c, e);
	if (ret || fe->state == LIB_CONNECTED)
		return ret;
	if (fe->features & ~fe->offered)
		return err_set(e, -EOPNOTSUPP, "features-lost",
			       "the new back-end does not offer what was negotiated before");
	ret = lib_set_features(fe, fe->features, e);
	if (ret == 0 && fe->mem)
		ret = lib_tell_mem(fe, e);
	if (ret == 0 && fe->state == LIB_ACTIVE)
		fe->state = LIB_ASLEEP;
	return ret;
}

int vu_fe_reconnect_fd(struct vu_fe *fe, int fd)
{
	if (fe->depth == 0)
		return reconnect(fe, fd, lib_err());
	/* Whoever called it is in the middle of something with the present one. */
	close(fd);
	return lib_bad_state("a callback cannot replace the connection that it is called from");
}

/* ---- configuration ---- */

int vu_fe_config_read(struct vu_fe *fe, uint32_t off, void *buf, uint32_t len)
{
	LIB_HOLD(fe);

	return vuc_get_config(fe->c, off, buf, len, lib_err());
}

int vu_fe_config_write(struct vu_fe *fe, uint32_t off, const void *buf, uint32_t len)
{
	LIB_HOLD(fe);

	return vuc_set_config(fe->c, off, buf, len, 0, lib_err());
}

int vu_fe_config_wait(struct vu_fe *fe, int timeout_ms)
{
	LIB_HOLD(fe);

	if (!lib_has(fe, VU_PF_BACKEND_REQ))
		return lib_fail(-EOPNOTSUPP, "feature-missing",
				"the back-end does not offer BACKEND_REQ");
	return vuc_backend_wait(fe->c, timeout_ms, lib_err());
}
