/* SPDX-License-Identifier: MIT */
#include "transport/vhost-user/msg.h"

#include <errno.h>
#include <string.h>

#include "transport/vhost-user/session.h"
#include "util/compiler.h"

#define U64    sizeof(uint64_t), sizeof(uint64_t)
#define STATE  sizeof(struct vhost_user_vring_state), sizeof(struct vhost_user_vring_state)
#define ADDR   sizeof(struct vhost_user_vring_addr), sizeof(struct vhost_user_vring_addr)
#define SINGLE sizeof(struct vhost_user_single_region), sizeof(struct vhost_user_single_region)
#define CONFIG VHOST_USER_CONFIG_HDR_SIZE, sizeof(struct vhost_user_config)
#define TABLE  offsetof(struct vhost_user_mem_table, regions), sizeof(struct vhost_user_mem_table)
#define EMPTY  0, 0
#define NO_FD  0, 0
#define ONE_FD 1, 1
#define ANY_FD 0, 1 /* decided by the payload */
#define F(x)   VHOST_USER_PROTOCOL_F_##x

/* "Front-end message types". What is not here gets the answer for unknown requests. */
static const struct vu_msg_desc table[] = {
	[VHOST_USER_GET_FEATURES] = { "GET_FEATURES", EMPTY, NO_FD, true, VU_ALWAYS,
				      vu_get_features },
	[VHOST_USER_SET_FEATURES] = { "SET_FEATURES", U64, NO_FD, false, VU_ALWAYS,
				      vu_set_features },
	[VHOST_USER_SET_OWNER] = { "SET_OWNER", EMPTY, NO_FD, false, VU_ALWAYS, vu_set_owner },
	[VHOST_USER_RESET_OWNER] = { "RESET_OWNER", EMPTY, NO_FD, false, VU_ALWAYS,
				     vu_reset_owner },
	[VHOST_USER_SET_MEM_TABLE] = { "SET_MEM_TABLE", TABLE, 0, VHOST_USER_MAX_FDS, false,
				       VU_ALWAYS, vu_set_mem_table },
	[VHOST_USER_SET_VRING_NUM] = { "SET_VRING_NUM", STATE, NO_FD, false, VU_ALWAYS,
				       vu_set_vring_num },
	[VHOST_USER_SET_VRING_ADDR] = { "SET_VRING_ADDR", ADDR, NO_FD, false, VU_ALWAYS,
					vu_set_vring_addr },
	[VHOST_USER_SET_VRING_BASE] = { "SET_VRING_BASE", STATE, NO_FD, false, VU_ALWAYS,
					vu_set_vring_base },
	[VHOST_USER_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, NO_FD, true, VU_ALWAYS,
					vu_get_vring_base },
	[VHOST_USER_SET_VRING_KICK] = { "SET_VRING_KICK", U64, ANY_FD, false, VU_ALWAYS,
					vu_set_vring_kick },
	[VHOST_USER_SET_VRING_CALL] = { "SET_VRING_CALL", U64, ANY_FD, false, VU_ALWAYS,
					vu_set_vring_call },
	[VHOST_USER_SET_VRING_ERR] = { "SET_VRING_ERR", U64, ANY_FD, false, VU_ALWAYS,
				       vu_set_vring_err },
	[VHOST_USER_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", EMPTY, NO_FD, true,
					       VU_ALWAYS, vu_get_protocol_features },
	[VHOST_USER_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64, NO_FD, false,
					       VU_ALWAYS, vu_set_protocol_features },
	[VHOST_USER_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", EMPTY, NO_FD, true, F(MQ),
				       vu_get_queue_num },
	[VHOST_USER_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE, NO_FD, false, VU_ALWAYS,
					  vu_set_vring_enable },
	[VHOST_USER_SET_BACKEND_REQ_FD] = { "SET_BACKEND_REQ_FD", EMPTY, ONE_FD, false,
					    F(BACKEND_REQ), vu_set_backend_req_fd },
	[VHOST_USER_GET_CONFIG] = { "GET_CONFIG", CONFIG, NO_FD, true, F(CONFIG), vu_get_config },
	[VHOST_USER_SET_CONFIG] = { "SET_CONFIG", CONFIG, NO_FD, false, F(CONFIG), vu_set_config },
	[VHOST_USER_RESET_DEVICE] = { "RESET_DEVICE", EMPTY, NO_FD, false, F(RESET_DEVICE),
				      vu_reset_device },
	[VHOST_USER_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", EMPTY, NO_FD, true,
					   F(CONFIGURE_MEM_SLOTS), vu_get_max_mem_slots },
	[VHOST_USER_ADD_MEM_REG] = { "ADD_MEM_REG", SINGLE, ONE_FD, false, F(CONFIGURE_MEM_SLOTS),
				     vu_add_mem_reg },
	/* Older front ends send the region's descriptor along; it is closed. */
	[VHOST_USER_REM_MEM_REG] = { "REM_MEM_REG", SINGLE, 0, 1, false, F(CONFIGURE_MEM_SLOTS),
				     vu_rem_mem_reg },
};

const struct vu_msg_desc *vu_msg_find(uint32_t request)
{
	if (request >= ARRAY_SIZE(table) || !table[request].name)
		return NULL;
	return &table[request];
}

const char *vu_msg_name(uint32_t request)
{
	const struct vu_msg_desc *d = vu_msg_find(request);

	return d ? d->name : "unknown request";
}

void vu_hint_not_shared(struct err *e)
{
	err_hint(e, "QEMU:    add -object memory-backend-memfd,id=mem,size=SIZE,share=on "
		    "-M ...,memory-backend=mem\n"
		    "libvirt: <memoryBacking><source type='memfd'/><access mode='shared'/>"
		    "</memoryBacking>\n"
		    "CH:      --memory size=SIZE,shared=on");
}

int vu_err_not_shared(struct err *e, int code)
{
	err_set(e, code, "memory-not-shared",
		"the VM's memory is not shared: its memory table came without usable file "
		"descriptors");
	vu_hint_not_shared(e);
	return code;
}

int vu_hdr_check(const struct vhost_user_hdr *hdr, struct err *e)
{
	if ((hdr->flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
		return err_set(e, -EPROTO, "bad-message",
			       "message with protocol version %u, only 1 is known",
			       hdr->flags & VHOST_USER_VERSION_MASK);
	if (hdr->flags & (VHOST_USER_F_REPLY | ~VHOST_USER_FLAGS_DEFINED))
		return err_set(e, -EPROTO, "bad-message", "request with flags 0x%x", hdr->flags);
	if (hdr->size > sizeof(union vhost_user_payload))
		return err_set(e, -EPROTO, "bad-message", "%s (%u) with %u bytes of payload",
			       vu_msg_name(hdr->request), hdr->request, hdr->size);
	return 0;
}

/* What the payload says about the number of descriptors and its own size. */
static int check_payload(const struct vu_msg *m, unsigned int nfds, struct err *e)
{
	bool nofd;
	uint32_t n;

	switch (m->hdr.request) {
	case VHOST_USER_SET_MEM_TABLE:
		n = m->p.mem.nregions;
		if (n > VHOST_USER_MAX_REGIONS ||
		    m->hdr.size != offsetof(struct vhost_user_mem_table, regions) +
					   n * sizeof(struct vhost_user_region))
			return err_set(e, -EPROTO, "bad-message",
				       "SET_MEM_TABLE with %u regions in %u bytes", n, m->hdr.size);
		if (nfds < n)
			return vu_err_not_shared(e, -EPROTO);
		if (nfds > n)
			return err_set(e, -EPROTO, "bad-message",
				       "SET_MEM_TABLE with %u regions and %u descriptors", n, nfds);
		return 0;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		nofd = m->p.u64 & VHOST_USER_VRING_NOFD;
		if (nfds != (nofd ? 0 : 1))
			return err_set(e, -EPROTO, "bad-message", "%s %s a descriptor",
				       vu_msg_name(m->hdr.request),
				       nofd ? "says it has none and comes with" : "without");
		return 0;
	default:
		return 0;
	}
}

int vu_msg_check(const void *buf, size_t len, unsigned int nfds, uint64_t protocol,
		 struct vu_msg *m, struct err *e)
{
	const struct vu_msg_desc *d;
	int ret;

	memset(m, 0, sizeof(*m));
	if (len < sizeof(m->hdr))
		return err_set(e, -EPROTO, "bad-message", "message of %zu bytes", len);
	memcpy(&m->hdr, buf, sizeof(m->hdr));
	ret = vu_hdr_check(&m->hdr, e);
	if (ret < 0)
		return ret;
	if (len - sizeof(m->hdr) != m->hdr.size)
		return err_set(e, -EPROTO, "bad-message", "%zu bytes of payload, %u announced",
			       len - sizeof(m->hdr), m->hdr.size);
	memcpy(&m->p, (const uint8_t *)buf + sizeof(m->hdr), m->hdr.size);

	d = vu_msg_find(m->hdr.request);
	if (!d)
		return err_set(e, -EOPNOTSUPP, "unknown-request", "unknown request %u",
			       m->hdr.request);
	if (d->feature != VU_ALWAYS && !(protocol & (UINT64_C(1) << d->feature)))
		return err_set(e, -EOPNOTSUPP, "unknown-request",
			       "%s without protocol feature %u negotiated", d->name, d->feature);
	if (m->hdr.size < d->min || m->hdr.size > d->max)
		return err_set(e, -EPROTO, "bad-message", "%s with %u bytes of payload", d->name,
			       m->hdr.size);
	if (nfds < d->min_fds && m->hdr.request == VHOST_USER_ADD_MEM_REG)
		return vu_err_not_shared(e, -EPROTO);
	if (nfds < d->min_fds || nfds > d->max_fds)
		return err_set(e, -EPROTO, "bad-message", "%s with %u descriptors", d->name, nfds);
	return check_payload(m, nfds, e);
}
