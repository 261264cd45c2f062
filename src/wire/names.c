/* SPDX-License-Identifier: MIT */
/* Tables of names. Sources: VIRTIO 1.3, and the vhost-user specification. */
#include <stddef.h>
#include <string.h>

#include "wire/names.h"
#include "wire/vhost-user.h"
#include "wire/virtio-blk.h"
#include "wire/virtio.h"

#define LOOKUP(table, n) ((n) < sizeof(table) / sizeof((table)[0]) ? (table)[n] : NULL)

/* ---- vhost-user ---- */

#define R(name) [VHOST_USER_##name] = #name
static const char *const requests[] = {
	R(GET_FEATURES),
	R(SET_FEATURES),
	R(SET_OWNER),
	R(RESET_OWNER),
	R(SET_MEM_TABLE),
	R(SET_LOG_BASE),
	R(SET_LOG_FD),
	R(SET_VRING_NUM),
	R(SET_VRING_ADDR),
	R(SET_VRING_BASE),
	R(GET_VRING_BASE),
	R(SET_VRING_KICK),
	R(SET_VRING_CALL),
	R(SET_VRING_ERR),
	R(GET_PROTOCOL_FEATURES),
	R(SET_PROTOCOL_FEATURES),
	R(GET_QUEUE_NUM),
	R(SET_VRING_ENABLE),
	R(SEND_RARP),
	R(NET_SET_MTU),
	R(SET_BACKEND_REQ_FD),
	R(IOTLB_MSG),
	R(SET_VRING_ENDIAN),
	R(GET_CONFIG),
	R(SET_CONFIG),
	R(CREATE_CRYPTO_SESSION),
	R(CLOSE_CRYPTO_SESSION),
	R(POSTCOPY_ADVISE),
	R(POSTCOPY_LISTEN),
	R(POSTCOPY_END),
	R(GET_INFLIGHT_FD),
	R(SET_INFLIGHT_FD),
	R(GPU_SET_SOCKET),
	R(RESET_DEVICE),
	R(VRING_KICK),
	R(GET_MAX_MEM_SLOTS),
	R(ADD_MEM_REG),
	R(REM_MEM_REG),
	R(SET_STATUS),
	R(GET_STATUS),
	R(GET_SHARED_OBJECT),
	R(SET_DEVICE_STATE_FD),
	R(CHECK_DEVICE_STATE),
	R(GET_SHMEM_CONFIG),
	R(GET_VRING_BASE_SKIP_DRAIN),
};
#undef R

const char *vhost_user_request_name(uint32_t request)
{
	return LOOKUP(requests, request);
}

#define R(name) [VHOST_USER_BACKEND_##name] = #name
static const char *const backend_requests[] = {
	R(IOTLB_MSG), R(CONFIG_CHANGE_MSG), R(VRING_HOST_NOTIFIER_MSG), R(VRING_CALL),
	R(VRING_ERR), R(SHARED_OBJECT_ADD), R(SHARED_OBJECT_REMOVE),    R(SHARED_OBJECT_LOOKUP),
	R(SHMEM_MAP), R(SHMEM_UNMAP),
};
#undef R

const char *vhost_user_backend_request_name(uint32_t request)
{
	switch (request) {
	case VHOST_USER_BACKEND_CROSVM_GPU_MAP:
		return "CROSVM_GPU_MAP";
	case VHOST_USER_BACKEND_CROSVM_EXTERNAL_MAP:
		return "CROSVM_EXTERNAL_MAP";
	default:
		return LOOKUP(backend_requests, request);
	}
}

#define P(name) [VHOST_USER_PROTOCOL_F_##name] = #name
static const char *const protocol_features[] = {
	P(MQ),
	P(LOG_SHMFD),
	P(RARP),
	P(REPLY_ACK),
	P(MTU),
	P(BACKEND_REQ),
	P(CROSS_ENDIAN),
	P(CRYPTO_SESSION),
	P(PAGEFAULT),
	P(CONFIG),
	P(BACKEND_SEND_FD),
	P(HOST_NOTIFIER),
	P(INFLIGHT_SHMFD),
	P(RESET_DEVICE),
	P(INBAND_NOTIFICATIONS),
	P(CONFIGURE_MEM_SLOTS),
	P(STATUS),
	P(XEN_MMAP),
	P(SHARED_OBJECT),
	P(DEVICE_STATE),
	P(GET_VRING_BASE_INFLIGHT),
	P(GPA_ADDRESSES),
	P(SHMEM),
	P(GET_VRING_BASE_SKIP_DRAIN),
};
#undef P

const char *vhost_user_protocol_feature_name(unsigned int bit)
{
	return LOOKUP(protocol_features, bit);
}

/* ---- device types: VIRTIO 1.3 section 5 ---- */

static const char *const devices[] = {
	[VIRTIO_ID_NET] = "net",
	[VIRTIO_ID_BLOCK] = "blk",
	[VIRTIO_ID_CONSOLE] = "console",
	[VIRTIO_ID_RNG] = "rng",
	[VIRTIO_ID_BALLOON] = "balloon",
	[VIRTIO_ID_IOMEM] = "iomem",
	[VIRTIO_ID_RPMSG] = "rpmsg",
	[VIRTIO_ID_SCSI] = "scsi",
	[VIRTIO_ID_9P] = "9p",
	[VIRTIO_ID_WLAN] = "wlan",
	[VIRTIO_ID_RPROC_SERIAL] = "rproc-serial",
	[VIRTIO_ID_CAIF] = "caif",
	[VIRTIO_ID_GPU] = "gpu",
	[VIRTIO_ID_CLOCK] = "clock",
	[VIRTIO_ID_INPUT] = "input",
	[VIRTIO_ID_VSOCK] = "vsock",
	[VIRTIO_ID_CRYPTO] = "crypto",
	[VIRTIO_ID_SIGNAL_DIST] = "signal-dist",
	[VIRTIO_ID_PSTORE] = "pstore",
	[VIRTIO_ID_IOMMU] = "iommu",
	[VIRTIO_ID_MEM] = "mem",
	[VIRTIO_ID_SOUND] = "sound",
	[VIRTIO_ID_FS] = "fs",
	[VIRTIO_ID_PMEM] = "pmem",
	[VIRTIO_ID_RPMB] = "rpmb",
	[VIRTIO_ID_HWSIM] = "hwsim",
	[VIRTIO_ID_VIDEO_ENCODER] = "video-encoder",
	[VIRTIO_ID_VIDEO_DECODER] = "video-decoder",
	[VIRTIO_ID_SCMI] = "scmi",
	[VIRTIO_ID_NITRO] = "nitro",
	[VIRTIO_ID_I2C] = "i2c",
	[VIRTIO_ID_WATCHDOG] = "watchdog",
	[VIRTIO_ID_CAN] = "can",
	[VIRTIO_ID_DMABUF] = "dmabuf",
	[VIRTIO_ID_PARAM_SERV] = "param-serv",
	[VIRTIO_ID_AUDIO_POLICY] = "audio-policy",
	[VIRTIO_ID_BLUETOOTH] = "bluetooth",
	[VIRTIO_ID_GPIO] = "gpio",
	[VIRTIO_ID_RDMA] = "rdma",
};

const char *virtio_device_name(uint32_t id)
{
	return LOOKUP(devices, id);
}

uint32_t virtio_device_id(const char *name)
{
	for (uint32_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		if (devices[i] && !strcmp(devices[i], name))
			return i;
	return 0;
}

/* ---- feature bits ---- */

/* Section 6; the first few are of legacy devices and of vhost. */
static const char *const common_bits[] = {
	[VIRTIO_F_NOTIFY_ON_EMPTY] = "NOTIFY_ON_EMPTY",
	[VHOST_F_LOG_ALL] = "LOG_ALL",
	[VIRTIO_F_ANY_LAYOUT] = "ANY_LAYOUT",
	[VIRTIO_F_INDIRECT_DESC] = "INDIRECT_DESC",
	[VIRTIO_F_EVENT_IDX] = "EVENT_IDX",
	[VHOST_USER_F_PROTOCOL_FEATURES] = "PROTOCOL_FEATURES",
	[VIRTIO_F_VERSION_1] = "VERSION_1",
	[VIRTIO_F_ACCESS_PLATFORM] = "ACCESS_PLATFORM",
	[VIRTIO_F_RING_PACKED] = "RING_PACKED",
	[VIRTIO_F_IN_ORDER] = "IN_ORDER",
	[VIRTIO_F_ORDER_PLATFORM] = "ORDER_PLATFORM",
	[VIRTIO_F_SR_IOV] = "SR_IOV",
	[VIRTIO_F_NOTIFICATION_DATA] = "NOTIFICATION_DATA",
	[VIRTIO_F_NOTIF_CONFIG_DATA] = "NOTIF_CONFIG_DATA",
	[VIRTIO_F_RING_RESET] = "RING_RESET",
	[VIRTIO_F_ADMIN_VQ] = "ADMIN_VQ",
};

/* 5.1.3 */
static const char *const net_bits[64] = {
	[0] = "CSUM",
	[1] = "GUEST_CSUM",
	[2] = "CTRL_GUEST_OFFLOADS",
	[3] = "MTU",
	[5] = "MAC",
	[6] = "GSO",
	[7] = "GUEST_TSO4",
	[8] = "GUEST_TSO6",
	[9] = "GUEST_ECN",
	[10] = "GUEST_UFO",
	[11] = "HOST_TSO4",
	[12] = "HOST_TSO6",
	[13] = "HOST_ECN",
	[14] = "HOST_UFO",
	[15] = "MRG_RXBUF",
	[16] = "STATUS",
	[17] = "CTRL_VQ",
	[18] = "CTRL_RX",
	[19] = "CTRL_VLAN",
	[20] = "CTRL_RX_EXTRA",
	[21] = "GUEST_ANNOUNCE",
	[22] = "MQ",
	[23] = "CTRL_MAC_ADDR",
	[50] = "DEVICE_STATS",
	[51] = "HASH_TUNNEL",
	[52] = "VQ_NOTF_COAL",
	[53] = "NOTF_COAL",
	[54] = "GUEST_USO4",
	[55] = "GUEST_USO6",
	[56] = "HOST_USO",
	[57] = "HASH_REPORT",
	[59] = "GUEST_HDRLEN",
	[60] = "RSS",
	[61] = "RSC_EXT",
	[62] = "STANDBY",
	[63] = "SPEED_DUPLEX",
};

/* 5.2.3 and 5.2.3.1 */
static const char *const blk_bits[64] = {
	[0] = "BARRIER",
	[VIRTIO_BLK_F_SIZE_MAX] = "SIZE_MAX",
	[VIRTIO_BLK_F_SEG_MAX] = "SEG_MAX",
	[VIRTIO_BLK_F_GEOMETRY] = "GEOMETRY",
	[VIRTIO_BLK_F_RO] = "RO",
	[VIRTIO_BLK_F_BLK_SIZE] = "BLK_SIZE",
	[7] = "SCSI",
	[VIRTIO_BLK_F_FLUSH] = "FLUSH",
	[VIRTIO_BLK_F_TOPOLOGY] = "TOPOLOGY",
	[VIRTIO_BLK_F_CONFIG_WCE] = "CONFIG_WCE",
	[VIRTIO_BLK_F_MQ] = "MQ",
	[VIRTIO_BLK_F_DISCARD] = "DISCARD",
	[VIRTIO_BLK_F_WRITE_ZEROES] = "WRITE_ZEROES",
	[VIRTIO_BLK_F_LIFETIME] = "LIFETIME",
	[VIRTIO_BLK_F_SECURE_ERASE] = "SECURE_ERASE",
	[VIRTIO_BLK_F_ZONED] = "ZONED",
};

/* The rest have few. */
#define BITS(...) ((const char *const[64]){ __VA_ARGS__ })
static const char *const *const device_bits[] = {
	[VIRTIO_ID_NET] = net_bits,
	[VIRTIO_ID_BLOCK] = blk_bits,
	[VIRTIO_ID_CONSOLE] = BITS("SIZE", "MULTIPORT", "EMERG_WRITE"),
	[VIRTIO_ID_BALLOON] = BITS("MUST_TELL_HOST", "STATS_VQ", "DEFLATE_ON_OOM", "FREE_PAGE_HINT",
				   "PAGE_POISON", "PAGE_REPORTING"),
	[VIRTIO_ID_SCSI] = BITS("INOUT", "HOTPLUG", "CHANGE", "T10_PI"),
	[VIRTIO_ID_9P] = BITS("MOUNT_TAG"),
	[VIRTIO_ID_GPU] = BITS("VIRGL", "EDID", "RESOURCE_UUID", "RESOURCE_BLOB", "CONTEXT_INIT"),
	[VIRTIO_ID_VSOCK] = BITS("STREAM", "SEQPACKET", "NO_IMPLIED_STREAM"),
	[VIRTIO_ID_CRYPTO] = BITS("REVISION_1", "CIPHER_STATELESS_MODE", "HASH_STATELESS_MODE",
				  "MAC_STATELESS_MODE", "AEAD_STATELESS_MODE",
				  "AKCIPHER_STATELESS_MODE"),
	[VIRTIO_ID_IOMMU] = BITS("INPUT_RANGE", "DOMAIN_RANGE", "MAP_UNMAP", "BYPASS", "PROBE",
				 "MMIO", "BYPASS_CONFIG"),
	[VIRTIO_ID_MEM] = BITS("ACPI_PXM", "UNPLUGGED_INACCESSIBLE", "PERSISTENT_SUSPEND"),
	[VIRTIO_ID_SOUND] = BITS("CTLS"),
	[VIRTIO_ID_FS] = BITS("NOTIFICATION"),
	[VIRTIO_ID_PMEM] = BITS("SHMEM_REGION"),
	[VIRTIO_ID_VIDEO_ENCODER] = BITS("RESOURCE_GUEST_PAGES", "RESOURCE_NON_CONTIG",
					 "RESOURCE_VIRTIO_OBJECT"),
	[VIRTIO_ID_VIDEO_DECODER] = BITS("RESOURCE_GUEST_PAGES", "RESOURCE_NON_CONTIG",
					 "RESOURCE_VIRTIO_OBJECT"),
	[VIRTIO_ID_SCMI] = BITS("P2A_CHANNELS", "SHARED_MEMORY"),
	[VIRTIO_ID_I2C] = BITS("ZERO_LENGTH_REQUEST"),
	[VIRTIO_ID_BLUETOOTH] = BITS("VND_HCI", "MSFT_EXT", "AOSP_EXT"),
	[VIRTIO_ID_GPIO] = BITS("IRQ"),
};

const char *virtio_feature_name(uint32_t device_id, unsigned int bit)
{
	const char *const *own = LOOKUP(device_bits, device_id);
	const char *name = LOOKUP(common_bits, bit);

	if (!name && own && bit < 64)
		name = own[bit];
	return name;
}

/* ---- requests of a disk: 5.2.6 ---- */

static const char *const blk_types[] = {
	[VIRTIO_BLK_T_IN] = "IN",
	[VIRTIO_BLK_T_OUT] = "OUT",
	[VIRTIO_BLK_T_FLUSH] = "FLUSH",
	[VIRTIO_BLK_T_GET_ID] = "GET_ID",
	[10] = "GET_LIFETIME",
	[VIRTIO_BLK_T_DISCARD] = "DISCARD",
	[VIRTIO_BLK_T_WRITE_ZEROES] = "WRITE_ZEROES",
	[14] = "SECURE_ERASE",
	[15] = "ZONE_APPEND",
	[16] = "ZONE_REPORT",
	[18] = "ZONE_OPEN",
	[20] = "ZONE_CLOSE",
	[22] = "ZONE_FINISH",
	[24] = "ZONE_RESET",
	[26] = "ZONE_RESET_ALL",
};

const char *virtio_blk_type_name(uint32_t type)
{
	return LOOKUP(blk_types, type);
}

static const char *const blk_statuses[] = {
	[VIRTIO_BLK_S_OK] = "OK",         [VIRTIO_BLK_S_IOERR] = "IOERR",
	[VIRTIO_BLK_S_UNSUPP] = "UNSUPP", [3] = "ZONE_INVALID_CMD",
	[4] = "ZONE_UNALIGNED_WP",        [5] = "ZONE_OPEN_RESOURCE",
	[6] = "ZONE_ACTIVE_RESOURCE",
};

const char *virtio_blk_status_name(uint32_t status)
{
	return LOOKUP(blk_statuses, status);
}
