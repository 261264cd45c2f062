/* SPDX-License-Identifier: MIT */
/*
 * Messages of protocol extensions: crash records, dirty log, IOTLB, shared memory
 * and objects, GPU. None is sent unless its feature was negotiated.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontend/vuc-internal.h"
#include "wire/virtio.h"

/* ---- crash records: "Inflight I/O tracking" ---- */

/* Would a map of it stay inside the file? */
static const char *check_record(const struct vhost_user_inflight *a, int fd, uint16_t num_queues,
				uint16_t queue_size)
{
	struct stat st;

	if (a->num_queues != num_queues || a->queue_size != queue_size)
		return "the back-end made a record for other queues than was asked";
	if (fd < 0)
		return "the back-end gave no descriptor for the record of requests";
	if (fstat(fd, &st) < 0 || st.st_size < 0)
		return "the back-end's record of requests is not a file";
	if (a->mmap_offset > (uint64_t)st.st_size ||
	    a->mmap_size > (uint64_t)st.st_size - a->mmap_offset)
		return "the back-end's record of requests is longer than its file";
	return NULL;
}

/*
 * The description ends after 20 bytes, and the C structure of every
 * implementation after 24. We send what they all expect and take both.
 */
int vuc_get_inflight_fd(struct vuc *c, uint16_t num_queues, uint16_t queue_size,
			struct vuc_inflight *i, struct err *e)
{
	VUC_HOLD(c);
	struct vhost_user_inflight q = { .num_queues = num_queues, .queue_size = queue_size }, a;
	struct vuc_msg m = {
		.request = VHOST_USER_GET_INFLIGHT_FD,
		.payload = &q,
		.size = sizeof(q),
		.reply = &a,
		.reply_min = VHOST_USER_INFLIGHT_SIZE,
		.reply_max = sizeof(a),
		.want_fd = true,
	};
	int ret = VUC_NEEDS(c, INFLIGHT_SHMFD, e);
	const char *why;

	i->fd = -1;
	if (ret == 0)
		ret = vuc_call(c, &m, e);
	if (ret)
		return ret;
	if (a.mmap_size == 0) {
		if (m.reply_fd >= 0)
			close(m.reply_fd);
		return err_set(e, -EREMOTEIO, "inflight-refused",
			       "the back-end made no record of requests for %u queues of %u",
			       num_queues, queue_size);
	}
	why = check_record(&a, m.reply_fd, num_queues, queue_size);
	if (why) {
		if (m.reply_fd >= 0)
			close(m.reply_fd);
		return vuc_die(c, -EPROTO, e, why);
	}
	*i = (struct vuc_inflight){
		.mmap_size = a.mmap_size,
		.mmap_offset = a.mmap_offset,
		.num_queues = a.num_queues,
		.queue_size = a.queue_size,
		.fd = m.reply_fd,
	};
	return 0;
}

int vuc_set_inflight_fd(struct vuc *c, const struct vuc_inflight *i, struct err *e)
{
	struct vhost_user_inflight q = {
		.mmap_size = i->mmap_size,
		.mmap_offset = i->mmap_offset,
		.num_queues = i->num_queues,
		.queue_size = i->queue_size,
	};
	struct vuc_msg m = {
		.request = VHOST_USER_SET_INFLIGHT_FD,
		.payload = &q,
		.size = sizeof(q),
		.fds = &i->fd,
		.nfds = 1,
	};
	int ret = VUC_NEEDS(c, INFLIGHT_SHMFD, e);

	return ret ? ret : vuc_call(c, &m, e);
}

/* ---- dirty log: "Migration" ---- */

/*
 * The answer may be empty (DPDK), or a number: 0, or the size as it was sent
 * (libvhost-user), or else an error.
 */
int vuc_set_log_base(struct vuc *c, int fd, uint64_t size, uint64_t offset, struct err *e)
{
	VUC_HOLD(c);
	struct vhost_user_log l = { .mmap_size = size, .mmap_offset = offset };
	uint64_t v = 0;
	struct vuc_msg m = {
		.request = VHOST_USER_SET_LOG_BASE,
		.payload = &l,
		.size = sizeof(l),
		.fds = &fd,
		.nfds = 1,
		.reply = &v,
		.reply_max = sizeof(v),
	};
	int ret = VUC_NEEDS(c, LOG_SHMFD, e);

	if (ret == 0)
		ret = vuc_call(c, &m, e);
	if (ret)
		return ret;
	if (m.reply_size != 0 && m.reply_size != sizeof(v))
		return vuc_die(c, -EPROTO, e, "the back-end's answer has an impossible size");
	if (v != 0 && v != size)
		return err_set(e, -EREMOTEIO, "log-refused", "the back-end refused the dirty log");
	return 0;
}

int vuc_set_log_fd(struct vuc *c, int fd, struct err *e)
{
	struct vuc_msg m = { .request = VHOST_USER_SET_LOG_FD, .fds = &fd, .nfds = 1 };

	return vuc_call(c, &m, e);
}

/* ---- IOTLB: "IOMMU support" ---- */

/* Some back-ends answer only when the bit says so; none may answer twice. */
int vuc_iotlb(struct vuc *c, const struct vhost_user_iotlb *t, struct err *e)
{
	uint64_t v = 0;
	struct vuc_msg m = {
		.request = VHOST_USER_IOTLB_MSG,
		.flags = VHOST_USER_F_NEED_REPLY,
		.payload = t,
		.size = sizeof(*t),
		.reply = &v,
		.reply_min = sizeof(v),
		.reply_max = sizeof(v),
	};
	int ret;

	if (!(c->virtio & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM))) {
		err_set(e, -EOPNOTSUPP, "feature-missing", "ACCESS_PLATFORM was not negotiated");
		err_hint(e,
			 "without virtio feature ACCESS_PLATFORM (bit %u) the back-end uses guest "
			 "addresses, and there is nothing to translate",
			 VIRTIO_F_ACCESS_PLATFORM);
		return -EOPNOTSUPP;
	}
	ret = vuc_call(c, &m, e);
	if (ret == 0 && v)
		return err_set(e, -EREMOTEIO, "iotlb-refused",
			       "the back-end refused a change of its IOTLB");
	return ret;
}

/* ---- shared memory and objects, GPU ---- */

int vuc_get_shmem_config(struct vuc *c, struct vhost_user_shmem_config *s, struct err *e)
{
	VUC_HOLD(c);
	struct vuc_msg m = {
		.request = VHOST_USER_GET_SHMEM_CONFIG,
		.reply = s,
		.reply_min = sizeof(*s),
		.reply_max = sizeof(*s),
	};
	int ret = VUC_NEEDS(c, SHMEM, e);

	if (ret == 0)
		ret = vuc_call(c, &m, e);
	if (ret == 0 && s->nregions > VHOST_USER_SHMEM_MAX)
		return vuc_die(c, -EPROTO, e,
			       "the back-end has more shared memory regions than there can be");
	return ret;
}

/* The answer is the descriptor; what comes as payload differs, and says nothing. */
int vuc_get_shared_object(struct vuc *c, const struct vhost_user_uuid *u, int *fd, struct err *e)
{
	struct vhost_user_uuid back;
	struct vuc_msg m = {
		.request = VHOST_USER_GET_SHARED_OBJECT,
		.payload = u,
		.size = sizeof(*u),
		.reply = &back,
		.reply_max = sizeof(back),
		.want_fd = true,
	};
	int ret = VUC_NEEDS(c, SHARED_OBJECT, e);

	*fd = -1;
	if (ret == 0)
		ret = vuc_call(c, &m, e);
	if (ret == 0)
		*fd = m.reply_fd;
	return ret;
}

/* No feature says whether the back-end knows it. */
int vuc_set_gpu_socket(struct vuc *c, int fd, struct err *e)
{
	struct vuc_msg m = { .request = VHOST_USER_GPU_SET_SOCKET, .fds = &fd, .nfds = 1 };

	return vuc_call(c, &m, e);
}
