/* SPDX-License-Identifier: MIT */
/*
 * What people call the numbers: names as the specifications have them, without
 * their prefix (VIRTIO_BLK_F_SEG_MAX is "SEG_MAX"). NULL for what has no name.
 */
#ifndef WIRE_NAMES_H
#define WIRE_NAMES_H

#include <stdint.h>

/* Messages of the front-end, "GET_FEATURES", and of the back-end, "CONFIG_CHANGE_MSG". */
const char *vhost_user_request_name(uint32_t request);
const char *vhost_user_backend_request_name(uint32_t request);

/* VHOST_USER_PROTOCOL_F_*, by bit number. */
const char *vhost_user_protocol_feature_name(unsigned int bit);

/* Short names of device types, as in "virtio-NAME": "blk", "net". */
const char *virtio_device_name(uint32_t id);
/* The other way; 0 (which is reserved, VIRTIO 1.3 section 5) for a name nobody has. */
uint32_t virtio_device_id(const char *name);

/*
 * Feature bits, by number: of the device type, and what all types share (24 to
 * 49; 26 and 30 as vhost-user uses them). @device_id 0: only the latter.
 */
const char *virtio_feature_name(uint32_t device_id, unsigned int bit);

/* VIRTIO_BLK_T_* and VIRTIO_BLK_S_*. */
const char *virtio_blk_type_name(uint32_t type);
const char *virtio_blk_status_name(uint32_t status);

#endif
