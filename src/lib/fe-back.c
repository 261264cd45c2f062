/* SPDX-License-Identifier: MIT */
/* Requests of the back-end, from the client's form to the public one. */
#include <errno.h>
#include <string.h>

#include "lib.h"
#include "util/compiler.h"

/* "MMAP request": the mapping is writable. */
#define MMAP_WRITABLE 1u

static int on_config_changed(void *ctx)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.config_changed(fe->ctx);
}

static struct vu_fe_shmem shmem_of(const struct vhost_user_mmap *m)
{
	return (struct vu_fe_shmem){
		.shmid = m->shmid,
		.writable = m->flags & MMAP_WRITABLE,
		.fd_offset = m->fd_offset,
		.shm_offset = m->shm_offset,
		.len = m->len,
	};
}

static int on_shmem_map(void *ctx, const struct vhost_user_mmap *m, int fd)
{
	struct vu_fe_shmem s = shmem_of(m);
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.shmem_map(fe->ctx, &s, fd);
}

static int on_shmem_unmap(void *ctx, const struct vhost_user_mmap *m)
{
	struct vu_fe_shmem s = shmem_of(m);
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.shmem_unmap(fe->ctx, &s);
}

static int on_object_add(void *ctx, const struct vhost_user_uuid *u)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.object_add(fe->ctx, u->bytes);
}

static int on_object_remove(void *ctx, const struct vhost_user_uuid *u)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.object_remove(fe->ctx, u->bytes);
}

static int on_object_lookup(void *ctx, const struct vhost_user_uuid *u, int *fd)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.object_lookup(fe->ctx, u->bytes, fd);
}

static int on_gpu_map(void *ctx, const void *payload, uint32_t size, int fd)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.gpu_map(fe->ctx, payload, size, fd);
}

static int on_external_map(void *ctx, const void *payload, uint32_t size)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.external_map(fe->ctx, payload, size);
}

static int on_iotlb(void *ctx, const struct vhost_user_iotlb *m)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();
	struct vu_fe_iotlb i = {
		.iova = m->iova,
		.size = m->size,
		.uaddr = m->uaddr,
		.perm = m->perm,
		.type = m->type,
	};

	return fe->cb.iotlb(fe->ctx, &i);
}

static int on_host_notifier(void *ctx, uint32_t index, bool remove, uint64_t offset, uint64_t size,
			    int fd)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.host_notifier(fe->ctx, index, offset, size, remove ? -1 : fd);
}

static int on_other(void *ctx, uint32_t request, const void *payload, uint32_t size, int fd)
{
	struct vu_fe *fe = ctx;
	LIB_KEEP_ERR();

	return fe->cb.other(fe->ctx, request, payload, size, fd);
}

/* What has no function is left out, so that the client refuses it. */
void lib_back_init(struct vu_fe *fe, const struct vu_fe_callbacks *cb)
{
	fe->cb = *cb;
#define TAKE(name) fe->back.name = fe->cb.name ? on_##name : NULL
	TAKE(config_changed);
	TAKE(shmem_map);
	TAKE(shmem_unmap);
	TAKE(object_add);
	TAKE(object_remove);
	TAKE(object_lookup);
	TAKE(gpu_map);
	TAKE(external_map);
	TAKE(iotlb);
	TAKE(host_notifier);
	TAKE(other);
#undef TAKE
}
