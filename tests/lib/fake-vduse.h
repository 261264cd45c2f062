/* SPDX-License-Identifier: MIT */
/*
 * A scripted kernel for the VDUSE transport: it stands in for struct
 * vduse_sys. The test is both the driver and the kernel: it sends messages,
 * hands out memory, sets queues up, and looks at what came back.
 *
 * One device, FAKE_QUEUES queues. Trees for /dev, /sys and /proc are made in a
 * folder of its own. The device is a network device to the code under test,
 * since its "disk" then needs no device node, which takes root to make.
 */
#ifndef FAKE_VDUSE_H
#define FAKE_VDUSE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/vduse/sys.h"
#include "util/loop.h"
#include "wire/vduse.h"

#define FAKE_QUEUES  4
#define FAKE_REGIONS 8

/* What happened, in order. */
enum fake_event {
	FAKE_CREATE,
	FAKE_DESTROY,
	FAKE_ADD,
	FAKE_DEL,
	FAKE_REPLY,  /* value: message id */
	FAKE_KICKFD, /* value: queue */
	FAKE_GET_FD, /* value: how many bytes */
	FAKE_CONFIG_IRQ,
	FAKE_MODEL_START, /* noted by the test's device, value: queue */
	FAKE_MODEL_STOPPED,
	FAKE_CLOSE, /* of the device */
};

struct fake_region {
	uint64_t start, last, offset;
	uint8_t perm;
	int memfd;
	uint8_t *host; /* the driver's view */
};

struct fake_vduse {
	struct vduse_sys sys;
	pthread_mutex_t lock;
	char root[64], dev[80], sysfs[80], proc[80], run[80];

	/* how it behaves; set before use */
	int control_rc;  /* open of the control node fails so */
	int create_rc;   /* CREATE_DEV */
	int open_rc;     /* open of the device */
	int vq_setup_rc; /* VQ_SETUP of the last queue */
	int add_rc;
	int kickfd_rc;
	bool module_there; /* modprobe finds modules */
	bool modprobe_works;
	bool no_disk; /* attaching does not make one */
	/* helper thread, inside vdpa_add / vdpa_del: what the driver does. May be NULL */
	void (*probe)(struct fake_vduse *f);
	void (*remove)(struct fake_vduse *f);
	unsigned int reply_delay_ms; /* before an answer counts as given */

	/* the device */
	bool exists, is_open, attached;
	char name[VDU_NAME_MAX];
	struct {
		char name[VDU_NAME_MAX];
		uint32_t device_id, vq_num, config_size;
		uint64_t features;
	} conf; /* of CREATE_DEV */
	uint8_t config[256];
	uint16_t max_size[FAKE_QUEUES];
	int kern_fd; /* our end: requests are written, responses read */
	int dev_fd;
	atomic_bool broken;
	atomic_uint kstatus; /* what the kernel has stored; a test sets it */
	uint64_t driver_features;
	struct vdu_vq_info vq[FAKE_QUEUES];
	int kick[FAKE_QUEUES];
	atomic_uint irqs[FAKE_QUEUES];
	atomic_uint irqs_refused;
	atomic_uint config_irqs;
	struct fake_region region[FAKE_REGIONS];
	unsigned int next_id;
	unsigned int modprobes;

	/* what happened */
	unsigned int nlog;
	struct {
		enum fake_event what;
		uint64_t value;
	} log[256];
};

struct fake_vduse *fake_vduse_new(void);
void fake_vduse_free(struct fake_vduse *f);

void fake_note(struct fake_vduse *f, enum fake_event what, uint64_t value); /* any thread */
/* Place in the log of the first such event at or after @from, or -1. */
int fake_find(struct fake_vduse *f, enum fake_event what, uint64_t value, int from);
unsigned int fake_count(struct fake_vduse *f, enum fake_event what);

/* Text into ROOT/..., folders are made. */
void fake_file(struct fake_vduse *f, const char *path, const char *text);
void fake_link(struct fake_vduse *f, const char *path, const char *to);
void fake_unlink(struct fake_vduse *f, const char *path);

/* Memory at [start, start + size). Returns the driver's view of it. */
uint8_t *fake_map(struct fake_vduse *f, uint64_t start, uint64_t size, uint8_t perm);
void fake_unmap(struct fake_vduse *f, uint64_t start);

/*
 * Messages. fake_send() returns the id. fake_wait() turns the loop until the
 * answer to any message is there (false: not within 5 s).
 * fake_call() is both. Fields of @req but the id are the caller's.
 */
unsigned int fake_send(struct fake_vduse *f, struct vdu_dev_request *req);
bool fake_wait(struct fake_vduse *f, struct loop *l, struct vdu_dev_response *resp);
bool fake_call(struct fake_vduse *f, struct loop *l, struct vdu_dev_request *req,
	       struct vdu_dev_response *resp);
bool fake_status(struct fake_vduse *f, struct loop *l, uint8_t status); /* true: accepted */
/* The kernel's side alone, as inside probe(): blocks on the answer. */
bool fake_status_blocking(struct fake_vduse *f, uint8_t status);
void fake_break(struct fake_vduse *f);

/*
 * A split ring of 8 entries for queue @qi at @addr, and the driver's way to
 * make one buffer available in it. The memory there must be mapped.
 */
void fake_ring(struct fake_vduse *f, unsigned int qi, uint64_t addr);
void fake_offer(struct fake_vduse *f, unsigned int qi, uint64_t addr, uint32_t len);
uint16_t fake_used(struct fake_vduse *f, unsigned int qi);

#endif
