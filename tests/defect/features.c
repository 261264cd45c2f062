/* SPDX-License-Identifier: MIT */
/* What is offered, accepted, and said of the device as a whole. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backend.h"
#include "util/compiler.h"

uint64_t features_offered(const struct be *b)
{
	uint64_t f = VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_RING_PACKED) |
		     VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) |
		     VIRTIO_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VIRTIO_BIT(VHOST_F_LOG_ALL) |
		     VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
		     VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE);

	if (b->queues > 1)
		f |= VIRTIO_BIT(VIRTIO_BLK_F_MQ);
	if (b->read_only)
		f |= VIRTIO_BIT(VIRTIO_BLK_F_RO);
	else
		f |= VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) | VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	if (defect("features-change") && (b->asked & 1))
		f &= ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	if (defect("features-change-by-session") && (b->sessions & 1))
		f &= ~VIRTIO_BIT(VIRTIO_F_EVENT_IDX);
	if (defect("features-are-accepted") && b->features)
		f = b->features;
	if (defect("features-no-version-1"))
		f &= ~VIRTIO_BIT(VIRTIO_F_VERSION_1);
	if (defect("features-no-flush"))
		f &= ~VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
	return f;
}

uint64_t protocol_offered(const struct be *b)
{
	uint64_t f = PF(MQ) | PF(LOG_SHMFD) | PF(REPLY_ACK) | PF(BACKEND_REQ) | PF(CONFIG) |
		     PF(INFLIGHT_SHMFD) | PF(RESET_DEVICE) | PF(CONFIGURE_MEM_SLOTS) | PF(STATUS) |
		     PF(SHARED_OBJECT) | PF(DEVICE_STATE) | PF(SHMEM);

	if (defect("protocol-no-mq"))
		f &= ~PF(MQ);
	if (defect("protocol-changes") && (b->asked & 1))
		f &= ~PF(SHMEM);
	return f;
}

int on_get_features(struct be *b, struct be_msg *m)
{
	(void)m;
	b->asked++;
	return msg_reply_u64(b, features_offered(b));
}

static bool features_refused(const struct be *b, uint64_t f)
{
	const uint64_t wanted = VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC);

	if (defect("features-all-or-none") && (f & wanted) != wanted)
		return true;
	if (defect("features-one-missing") && (f & wanted) == VIRTIO_BIT(VIRTIO_F_EVENT_IDX))
		return true;
	return f & ~features_offered(b) && !defect("unoffered-accepted");
}

int on_set_features(struct be *b, struct be_msg *m)
{
	if (features_refused(b, m->p.u64))
		return BE_REFUSE;
	if (((b->features ^ m->p.u64) & VIRTIO_BIT(VHOST_F_LOG_ALL)) && defect("log-all-stops"))
		ring_stop_all(b);
	if (b->features && defect("features-again-stops"))
		ring_stop_all(b);
	if (defect("log-all-once"))
		m->p.u64 |= b->features & VIRTIO_BIT(VHOST_F_LOG_ALL);
	b->features = defect("features-sticky") ? b->features | m->p.u64 : m->p.u64;
	/* 5.2.5.2: who cannot flush wants every write to be stable. */
	if (be_has(b, VIRTIO_BLK_F_CONFIG_WCE) && !be_has(b, VIRTIO_BLK_F_FLUSH) &&
	    !defect("config-wce-without-flush"))
		b->writeback = 0;
	return BE_OK;
}

int on_get_protocol_features(struct be *b, struct be_msg *m)
{
	(void)m;
	b->asked++;
	return msg_reply_u64(b, protocol_offered(b));
}

int on_set_protocol_features(struct be *b, struct be_msg *m)
{
	if ((m->p.u64 & ~protocol_offered(b)) && !defect("unoffered-protocol-accepted"))
		return BE_REFUSE;
	if (b->protocols++ && defect("protocol-once"))
		return BE_CLOSE;
	if (!(m->p.u64 & PF(MQ)) && defect("protocol-needs-mq"))
		return BE_CLOSE;
	if (m->p.u64 == 0 && defect("protocol-needs-any"))
		return BE_CLOSE;
	b->protocol = m->p.u64;
	return BE_OK;
}

/* SET_OWNER says nothing that we do not know. */
int on_set_owner(struct be *b, struct be_msg *m)
{
	(void)m;
	return b->owners++ && defect("owner-once") ? BE_CLOSE : BE_OK;
}

/* Deprecated, and best ignored. */
int on_reset_owner(struct be *b, struct be_msg *m)
{
	(void)b;
	(void)m;
	return defect("reset-owner-closes") ? BE_CLOSE : BE_OK;
}

int on_get_queue_num(struct be *b, struct be_msg *m)
{
	(void)m;
	return msg_reply_u64(b, defect("queue-num-grows") ? b->queues + b->asked++ : b->queues);
}

int on_set_backend_req_fd(struct be *b, struct be_msg *m)
{
	struct stat st;

	if (defect("odd-fd-kills") && (fstat(m->fds[0], &st) < 0 || !S_ISSOCK(st.st_mode)))
		defect_die();
	if (b->back_fd >= 0 && !defect("back-channel-leaks"))
		close(b->back_fd);
	b->back_fd = msg_take_fd(b);
	return BE_OK;
}

/* ---- the configuration space ---- */

/* Reads that a defect does not answer as it should; BE_OK: go on. */
static int config_defects(struct be *b, const struct vhost_user_config *c, uint32_t room)
{
	const uint32_t real = sizeof(struct virtio_blk_config);
	bool none = (defect("config-words-only") && c->size % 4) ||
		    (defect("config-no-bytes") && c->size < 4) ||
		    (defect("config-whole-only") && c->offset == 0 && c->size < real) ||
		    (defect("config-needs-features") && !b->features);

	if (defect("config-stops-rings"))
		ring_stop_all(b);
	if (c->size != room && defect("config-size-dies"))
		defect_die();
	if (c->offset > UINT32_MAX - c->size && defect("config-offset-dies"))
		defect_die();
	if (c->size == 0 && defect("config-size-0-silent"))
		return BE_REPLIED;
	return none ? msg_reply(b, NULL, 0, -1) : BE_OK;
}

int on_get_config(struct be *b, struct be_msg *m)
{
	struct vhost_user_config *c = &m->p.config;
	uint32_t room = m->h.size - VHOST_USER_CONFIG_HDR_SIZE;
	uint8_t cfg[BE_CONFIG_SIZE];
	int ret = config_defects(b, c, room);

	if (ret != BE_OK)
		return ret;
	/* No payload at all is how an error is told. */
	if (c->size > sizeof(cfg) && defect("config-range-kills"))
		defect_die();
	if (c->size != room || c->offset > sizeof(cfg) || c->size > sizeof(cfg) - c->offset)
		return msg_reply(b, c, defect("config-beyond") ? m->h.size : 0, -1);
	blk_config(b, cfg);
	memcpy(c->region, defect("config-from-0") ? cfg : cfg + c->offset, c->size);
	return msg_reply(b, c, m->h.size, -1);
}

int on_set_config(struct be *b, struct be_msg *m)
{
	const struct vhost_user_config *c = &m->p.config;
	const uint32_t wce = offsetof(struct virtio_blk_config, writeback);
	bool is_wce = c->offset == wce && c->size == 1;

	if (defect("config-read-only-written") && c->offset == 0 && c->size == 8) {
		memcpy(&b->written_capacity, c->region, 8);
		return BE_OK;
	}
	if (c->size != m->h.size - VHOST_USER_CONFIG_HDR_SIZE || c->offset > BE_CONFIG_SIZE ||
	    c->size > BE_CONFIG_SIZE - c->offset)
		return defect("config-write-beyond") ? BE_OK : BE_REFUSE;
	if (c->flags > 1 && !defect("config-any-flags"))
		return BE_REFUSE;
	/* flags 1: live migration, which may write what a driver may not. */
	if (c->flags == 0 && (!is_wce || !be_has(b, VIRTIO_BLK_F_CONFIG_WCE)))
		return BE_REFUSE;
	if (ring_any_started(b) && defect("config-wce-stopped-only"))
		return BE_REFUSE;
	if (c->offset <= wce && wce - c->offset < c->size && !defect("config-wce-ignored"))
		b->writeback = defect("config-wce-any") ? c->region[wce - c->offset] :
							  c->region[wce - c->offset] != 0;
	return BE_OK;
}

/* ---- reset and status ---- */

/* For a defect: memory is written after the end of what wrote it. */
static void write_late(const struct be *b)
{
	if (!b->last_write || fork())
		return;
	usleep(5000);
	*b->last_write ^= 0xff;
	_exit(0);
}

static void device_reset(struct be *b)
{
	if (defect("reset-writes-late"))
		write_late(b);
	if (defect("reset-first-queue"))
		ring_reset(&b->ring[0]);
	else
		ring_reset_all(b);
	if (!defect("reset-keeps-cache"))
		blk_reset(b);
	if (defect("reset-drops-memory"))
		mem_drop(b);
	if (defect("reset-drops-protocol"))
		b->protocol = 0;
	b->features = 0;
	b->status = 0;
}

int on_reset_device(struct be *b, struct be_msg *m)
{
	(void)m;
	if (defect("reset-ignored"))
		return BE_OK;
	if (!ring_any_started(b) && defect("reset-started-only"))
		return BE_CLOSE;
	if (b->resets++ && defect("reset-once"))
		return BE_CLOSE;
	device_reset(b);
	return BE_OK;
}

int on_set_status(struct be *b, struct be_msg *m)
{
	if (m->p.u64 > UINT8_MAX)
		return BE_REFUSE;
	if (m->p.u64 == 0 && !defect("status-0-ignored"))
		device_reset(b);
	b->status = (uint8_t)m->p.u64;
	if (defect("status-driver-ok-lost"))
		b->status &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
	return BE_OK;
}

int on_get_status(struct be *b, struct be_msg *m)
{
	(void)m;
	return msg_reply_u64(b, defect("status-forgotten") ? 0 : b->status);
}

/* ---- what a disk has no use for ---- */

int on_get_shmem_config(struct be *b, struct be_msg *m)
{
	struct vhost_user_shmem_config c = { .nregions = 1, .sizes = { 65536 } };

	(void)m;
	return msg_reply(b, &c, sizeof(c), -1);
}

/* We export none: an answer without a descriptor. */
int on_get_shared_object(struct be *b, struct be_msg *m)
{
	(void)m;
	return msg_reply_u64(b, 0);
}
