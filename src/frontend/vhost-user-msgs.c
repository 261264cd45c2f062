/* SPDX-License-Identifier: MIT */
/* One function for each vhost-user message a front-end sends. */
#include <errno.h>
#include <string.h>

#include "frontend/vuc-internal.h"

static int ask_u64(struct vuc *c, uint32_t request, uint64_t *v, struct err *e)
{
	struct vuc_msg m = { .request = request, .reply = v, .reply_min = 8, .reply_max = 8 };

	return vuc_call(c, &m, e);
}

static int tell(struct vuc *c, uint32_t request, const void *payload, uint32_t size, struct err *e)
{
	struct vuc_msg m = { .request = request, .payload = payload, .size = size };

	return vuc_call(c, &m, e);
}

static int tell_u64(struct vuc *c, uint32_t request, uint64_t v, struct err *e)
{
	return tell(c, request, &v, sizeof(v), e);
}

int vuc_needs(const struct vuc *c, unsigned int bit, const char *name, struct err *e)
{
	const uint64_t mask = UINT64_C(1) << bit;

	if (c->features & mask)
		return 0;
	if (c->asked && !(c->offered & mask)) {
		err_set(e, -EOPNOTSUPP, "feature-missing", "the back-end does not offer %s", name);
		err_hint(e, "this needs a back-end with protocol feature %s (bit %u)", name, bit);
	} else {
		err_set(e, -EOPNOTSUPP, "feature-missing", "%s was not negotiated", name);
		err_hint(e, "set protocol feature %s (bit %u) first, if the back-end offers it",
			 name, bit);
	}
	return -EOPNOTSUPP;
}

/* ---- negotiation ---- */

int vuc_get_features(struct vuc *c, uint64_t *f, struct err *e)
{
	return ask_u64(c, VHOST_USER_GET_FEATURES, f, e);
}

int vuc_set_features(struct vuc *c, uint64_t f, struct err *e)
{
	VUC_HOLD(c);
	int ret = tell_u64(c, VHOST_USER_SET_FEATURES, f, e);

	if (ret == 0)
		c->virtio = f;
	return ret;
}

int vuc_set_owner(struct vuc *c, struct err *e)
{
	return tell(c, VHOST_USER_SET_OWNER, NULL, 0, e);
}

int vuc_reset_owner(struct vuc *c, struct err *e)
{
	return tell(c, VHOST_USER_RESET_OWNER, NULL, 0, e);
}

int vuc_get_protocol_features(struct vuc *c, uint64_t *f, struct err *e)
{
	VUC_HOLD(c);
	int ret = ask_u64(c, VHOST_USER_GET_PROTOCOL_FEATURES, f, e);

	if (ret == 0) {
		c->offered = *f;
		c->asked = true;
	}
	return ret;
}

int vuc_set_protocol_features(struct vuc *c, uint64_t f, struct err *e)
{
	VUC_HOLD(c);
	int ret = tell_u64(c, VHOST_USER_SET_PROTOCOL_FEATURES, f, e);

	if (ret)
		return ret;
	c->features = f;
	c->reply_ack = f & (UINT64_C(1) << VHOST_USER_PROTOCOL_F_REPLY_ACK);
	return 0;
}

uint64_t vuc_protocol_features(const struct vuc *c)
{
	return c->features;
}

int vuc_get_queue_num(struct vuc *c, uint64_t *n, struct err *e)
{
	int ret = VUC_NEEDS(c, MQ, e);

	if (ret == 0)
		ret = ask_u64(c, VHOST_USER_GET_QUEUE_NUM, n, e);
	if (ret == 0 && *n == 0)
		return err_set(e, -EREMOTEIO, "queue-count", "the back-end says it has no queues");
	return ret;
}

/* ---- configuration ---- */

int vuc_get_config(struct vuc *c, uint32_t off, void *buf, uint32_t len, struct err *e)
{
	VUC_HOLD(c);
	struct vhost_user_config q = { .offset = off, .size = len }, a = { 0 };
	struct vuc_msg m = {
		.request = VHOST_USER_GET_CONFIG,
		.payload = &q,
		.size = VHOST_USER_CONFIG_HDR_SIZE + len,
		.reply = &a,
		.reply_min = 0, /* some refuse with nothing, some with a size of 0 */
		.reply_max = VHOST_USER_CONFIG_HDR_SIZE + len,
	};
	int ret = VUC_NEEDS(c, CONFIG, e);

	if (ret)
		return ret;
	if (len > VHOST_USER_CONFIG_MAX)
		return err_set(e, -EINVAL, "config-range", "more than %u bytes of configuration",
			       VHOST_USER_CONFIG_MAX);
	ret = vuc_call(c, &m, e);
	if (ret)
		return ret;
	if (m.reply_size < VHOST_USER_CONFIG_HDR_SIZE || a.size == 0)
		return err_set(e, -EREMOTEIO, "config-refused",
			       "the back-end does not give bytes %u to %u of its configuration",
			       off, off + len);
	if (m.reply_size != VHOST_USER_CONFIG_HDR_SIZE + len || a.offset != off || a.size != len)
		return vuc_die(c, -EPROTO, e, "the back-end answered other configuration bytes");
	memcpy(buf, a.region, len);
	return 0;
}

int vuc_set_config(struct vuc *c, uint32_t off, const void *buf, uint32_t len, uint32_t flags,
		   struct err *e)
{
	struct vhost_user_config q = { .offset = off, .size = len, .flags = flags };
	int ret = VUC_NEEDS(c, CONFIG, e);

	if (ret)
		return ret;
	if (len > VHOST_USER_CONFIG_MAX)
		return err_set(e, -EINVAL, "config-range", "more than %u bytes of configuration",
			       VHOST_USER_CONFIG_MAX);
	memcpy(q.region, buf, len);
	return tell(c, VHOST_USER_SET_CONFIG, &q, VHOST_USER_CONFIG_HDR_SIZE + len, e);
}

/* ---- memory ---- */

static struct vhost_user_region region_of(const struct fe_region *r)
{
	return (struct vhost_user_region){
		.gpa = r->gpa,
		.size = r->size,
		.uva = r->uva,
		.mmap_offset = r->offset,
	};
}

int vuc_set_mem_table(struct vuc *c, const struct fe_mem *mem, struct err *e)
{
	struct vhost_user_mem_table t = { .nregions = mem->n };
	int fds[VHOST_USER_MAX_REGIONS];
	struct vuc_msg m = {
		.request = VHOST_USER_SET_MEM_TABLE,
		.payload = &t,
		.fds = fds,
		.nfds = mem->n,
	};

	if (mem->n > VHOST_USER_MAX_REGIONS)
		return err_set(e, -E2BIG, "memory-regions",
			       "guest memory has %u regions, the message carries %u", mem->n,
			       VHOST_USER_MAX_REGIONS);
	for (unsigned int i = 0; i < mem->n; i++) {
		t.regions[i] = region_of(&mem->r[i]);
		fds[i] = mem->r[i].fd;
	}
	m.size = (uint32_t)(offsetof(struct vhost_user_mem_table, regions) +
			    mem->n * sizeof(t.regions[0]));
	return vuc_call(c, &m, e);
}

int vuc_get_max_mem_slots(struct vuc *c, uint64_t *n, struct err *e)
{
	int ret = VUC_NEEDS(c, CONFIGURE_MEM_SLOTS, e);

	return ret ? ret : ask_u64(c, VHOST_USER_GET_MAX_MEM_SLOTS, n, e);
}

int vuc_add_mem_reg(struct vuc *c, const struct fe_region *r, struct err *e)
{
	struct vhost_user_single_region s = { .region = region_of(r) };
	struct vuc_msg m = {
		.request = VHOST_USER_ADD_MEM_REG,
		.payload = &s,
		.size = sizeof(s),
		.fds = &r->fd,
		.nfds = 1,
	};
	int ret = VUC_NEEDS(c, CONFIGURE_MEM_SLOTS, e);

	return ret ? ret : vuc_call(c, &m, e);
}

int vuc_rem_mem_reg(struct vuc *c, const struct fe_region *r, struct err *e)
{
	struct vhost_user_single_region s = { .region = region_of(r) };
	int ret = VUC_NEEDS(c, CONFIGURE_MEM_SLOTS, e);

	return ret ? ret : tell(c, VHOST_USER_REM_MEM_REG, &s, sizeof(s), e);
}

/* ---- rings ---- */

static int tell_state(struct vuc *c, uint32_t request, uint32_t index, uint32_t num, struct err *e)
{
	struct vhost_user_vring_state s = { index, num };

	return tell(c, request, &s, sizeof(s), e);
}

int vuc_set_vring_num(struct vuc *c, uint32_t index, uint32_t num, struct err *e)
{
	return tell_state(c, VHOST_USER_SET_VRING_NUM, index, num, e);
}

int vuc_set_vring_addr(struct vuc *c, const struct vhost_user_vring_addr *a, struct err *e)
{
	return tell(c, VHOST_USER_SET_VRING_ADDR, a, sizeof(*a), e);
}

/* "Vring state": split: the index; packed: 15 bits and wrap, twice. */
static uint32_t base_pack(struct vq_base b, bool packed)
{
	if (!packed)
		return b.avail_idx;
	return (b.avail_idx & 0x7fffu) | (uint32_t)b.avail_wrap << 15 |
	       (b.used_idx & 0x7fffu) << 16 | (uint32_t)b.used_wrap << 31;
}

static struct vq_base base_unpack(uint32_t v, bool packed)
{
	if (!packed)
		return (struct vq_base){ .avail_idx = (uint16_t)v };
	return (struct vq_base){
		.avail_idx = v & 0x7fff,
		.avail_wrap = v >> 15 & 1,
		.used_idx = v >> 16 & 0x7fff,
		.used_wrap = v >> 31,
	};
}

int vuc_set_vring_base(struct vuc *c, uint32_t index, struct vq_base base, bool packed,
		       struct err *e)
{
	return tell_state(c, VHOST_USER_SET_VRING_BASE, index, base_pack(base, packed), e);
}

int vuc_get_vring_base(struct vuc *c, uint32_t index, bool packed, struct vq_base *base,
		       struct err *e)
{
	VUC_HOLD(c);
	struct vhost_user_vring_state q = { .index = index }, a;
	struct vuc_msg m = {
		.request = VHOST_USER_GET_VRING_BASE,
		.payload = &q,
		.size = sizeof(q),
		.reply = &a,
		.reply_min = sizeof(a),
		.reply_max = sizeof(a),
	};
	int ret = vuc_call(c, &m, e);

	if (ret)
		return ret;
	if (a.index != index || (!packed && a.num > UINT16_MAX))
		return vuc_die(c, -EPROTO, e, "the back-end answered an impossible ring position");
	*base = base_unpack(a.num, packed);
	return 0;
}

static int tell_fd(struct vuc *c, uint32_t request, uint32_t index, int fd, struct err *e)
{
	uint64_t v = index | (fd < 0 ? VHOST_USER_VRING_NOFD : 0);
	struct vuc_msg m = {
		.request = request,
		.payload = &v,
		.size = sizeof(v),
		.fds = &fd,
		.nfds = fd >= 0,
	};

	if (index > VHOST_USER_VRING_IDX_MASK)
		return err_set(e, -EINVAL, "queue-index", "queue %u is more than %u", index,
			       VHOST_USER_VRING_IDX_MASK);
	return vuc_call(c, &m, e);
}

int vuc_set_vring_kick(struct vuc *c, uint32_t index, int fd, struct err *e)
{
	return tell_fd(c, VHOST_USER_SET_VRING_KICK, index, fd, e);
}

int vuc_set_vring_call(struct vuc *c, uint32_t index, int fd, struct err *e)
{
	return tell_fd(c, VHOST_USER_SET_VRING_CALL, index, fd, e);
}

int vuc_set_vring_err(struct vuc *c, uint32_t index, int fd, struct err *e)
{
	return tell_fd(c, VHOST_USER_SET_VRING_ERR, index, fd, e);
}

int vuc_set_vring_enable(struct vuc *c, uint32_t index, bool on, struct err *e)
{
	return tell_state(c, VHOST_USER_SET_VRING_ENABLE, index, on, e);
}

/* ---- the device ---- */

int vuc_reset_device(struct vuc *c, struct err *e)
{
	int ret = VUC_NEEDS(c, RESET_DEVICE, e);

	return ret ? ret : tell(c, VHOST_USER_RESET_DEVICE, NULL, 0, e);
}

int vuc_set_status(struct vuc *c, uint8_t status, struct err *e)
{
	int ret = VUC_NEEDS(c, STATUS, e);

	return ret ? ret : tell_u64(c, VHOST_USER_SET_STATUS, status, e);
}

int vuc_get_status(struct vuc *c, uint8_t *status, struct err *e)
{
	VUC_HOLD(c);
	uint64_t v = 0;
	int ret = VUC_NEEDS(c, STATUS, e);

	if (ret == 0)
		ret = ask_u64(c, VHOST_USER_GET_STATUS, &v, e);
	if (ret)
		return ret;
	if (v > UINT8_MAX)
		return vuc_die(c, -EPROTO, e, "the back-end answered an impossible status");
	*status = (uint8_t)v;
	return 0;
}
