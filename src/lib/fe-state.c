/* SPDX-License-Identifier: MIT */
/* Device state, crash record, dirty log, and what only some devices have. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "lib.h"

/* ---- device state ---- */

/* "Migrating back-end state": all rings are stopped. */
static int can_transfer(const struct vu_fe *fe)
{
	if (fe->state == LIB_ACTIVE && lib_has(fe, VU_PF_DEVICE_STATE))
		return lib_bad_state("the state of a device moves while it sleeps");
	return 0;
}

int vu_fe_save(struct vu_fe *fe, void **state, size_t *size)
{
	LIB_HOLD(fe);
	int ret = can_transfer(fe);

	return ret ? ret : vuc_save_state(fe->c, state, size, lib_err());
}

int vu_fe_load(struct vu_fe *fe, const void *state, size_t size)
{
	LIB_HOLD(fe);
	int ret = can_transfer(fe);

	return ret ? ret : vuc_load_state(fe->c, state, size, lib_err());
}

int vu_fe_state_begin(struct vu_fe *fe, bool load)
{
	LIB_HOLD(fe);
	int ret = can_transfer(fe), use = -1, p[2], ours, theirs;

	if (ret)
		return ret;
	if (pipe2(p, O_CLOEXEC) < 0)
		return err_sys(lib_err(), -errno, "pipe", "cannot make a pipe for the state");
	ours = p[load ? 1 : 0];
	theirs = p[load ? 0 : 1];
	ret = vuc_set_device_state_fd(fe->c, load, theirs, &use, lib_err());
	close(theirs);
	if (ret || use >= 0)
		close(ours);
	if (ret)
		return ret;
	return use >= 0 ? use : ours;
}

int vu_fe_state_end(struct vu_fe *fe)
{
	LIB_HOLD(fe);
	int ret = can_transfer(fe);

	return ret ? ret : vuc_check_device_state(fe->c, lib_err());
}

/* ---- crash record ---- */

int vu_fe_inflight_get(struct vu_fe *fe, uint16_t queues, uint16_t queue_size,
		       struct vu_fe_inflight *i)
{
	LIB_HOLD(fe);
	struct vuc_inflight v;
	int ret = vuc_get_inflight_fd(fe->c, queues, queue_size, &v, lib_err());

	if (ret)
		return ret;
	*i = (struct vu_fe_inflight){
		.fd = v.fd,
		.queues = v.num_queues,
		.queue_size = v.queue_size,
		.size = v.mmap_size,
		.offset = v.mmap_offset,
	};
	return 0;
}

int vu_fe_inflight_set(struct vu_fe *fe, const struct vu_fe_inflight *i)
{
	LIB_HOLD(fe);
	const struct vuc_inflight v = {
		.mmap_size = i->size,
		.mmap_offset = i->offset,
		.num_queues = i->queues,
		.queue_size = i->queue_size,
		.fd = i->fd,
	};

	if (fe->state == LIB_ACTIVE && lib_has(fe, VU_PF_INFLIGHT_SHMFD))
		return lib_bad_state("a crash record is given before the rings run");
	return vuc_set_inflight_fd(fe->c, &v, lib_err());
}

/* ---- dirty log ---- */

/* "Migration": the feature for buffers, the flag of each ring for its used part. */
static int switch_log(struct vu_fe *fe, bool on)
{
	uint64_t bit = VIRTIO_BIT(VHOST_F_LOG_ALL);
	uint64_t raw = on ? fe->raw | bit : fe->raw & ~bit;
	int ret = vuc_set_features(fe->c, raw, lib_err());

	if (ret)
		return ret;
	fe->raw = raw;
	fe->logging = on;
	for (unsigned int i = 0; ret == 0 && i < VHOST_USER_MAX_VRINGS; i++)
		if (fe->vring[i].running)
			ret = lib_vring_addr(fe, i, lib_err());
	return ret;
}

int vu_fe_log_start(struct vu_fe *fe, int fd, uint64_t size, uint64_t offset)
{
	LIB_HOLD(fe);
	int ret;

	if (!(fe->offered & VIRTIO_BIT(VHOST_F_LOG_ALL)))
		return lib_fail(-EOPNOTSUPP, "feature-missing",
				"the back-end does not offer LOG_ALL");
	if (fe->state == LIB_CONNECTED)
		return lib_bad_state("features must be negotiated before the log is started");
	ret = vuc_set_log_base(fe->c, fd, size, offset, lib_err());
	return ret ? ret : switch_log(fe, true);
}

int vu_fe_log_stop(struct vu_fe *fe)
{
	LIB_HOLD(fe);

	return fe->logging ? switch_log(fe, false) : 0;
}

/* ---- for some devices ---- */

int vu_fe_iotlb(struct vu_fe *fe, const struct vu_fe_iotlb *m)
{
	LIB_HOLD(fe);
	const struct vhost_user_iotlb v = {
		.iova = m->iova,
		.size = m->size,
		.uaddr = m->uaddr,
		.perm = m->perm,
		.type = m->type,
	};

	return vuc_iotlb(fe->c, &v, lib_err());
}

int vu_fe_shmem_sizes(struct vu_fe *fe, uint64_t sizes[256])
{
	LIB_HOLD(fe);
	struct vhost_user_shmem_config s;
	int ret = vuc_get_shmem_config(fe->c, &s, lib_err());

	if (ret)
		return ret;
	memcpy(sizes, s.sizes, sizeof(s.sizes));
	return (int)s.nregions;
}

int vu_fe_shared_object(struct vu_fe *fe, const uint8_t *uuid, int *fd)
{
	LIB_HOLD(fe);
	struct vhost_user_uuid u;

	memcpy(u.bytes, uuid, sizeof(u.bytes));
	return vuc_get_shared_object(fe->c, &u, fd, lib_err());
}

int vu_fe_gpu_socket(struct vu_fe *fe, int fd)
{
	LIB_HOLD(fe);

	return vuc_set_gpu_socket(fe->c, fd, lib_err());
}
