/* SPDX-License-Identifier: MIT */
#include "fake-vduse.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/compiler.h"
#include "wire/virtio.h"

/* The test's own mistakes and a machine without resources; never what is tested. */
#define must(cond)                                                                 \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "fake-vduse.c:%d: %s\n", __LINE__, #cond); \
			abort();                                                   \
		}                                                                  \
	} while (0)

#define RING        8
#define PATIENCE_MS 5000

static struct fake_vduse *fake_of(const struct vduse_sys *s)
{
	return (struct fake_vduse *)(uintptr_t)s;
}

/* ---- the log ---- */

void fake_note(struct fake_vduse *f, enum fake_event what, uint64_t value)
{
	pthread_mutex_lock(&f->lock);
	if (f->nlog < ARRAY_SIZE(f->log)) {
		f->log[f->nlog].what = what;
		f->log[f->nlog++].value = value;
	}
	pthread_mutex_unlock(&f->lock);
}

int fake_find(struct fake_vduse *f, enum fake_event what, uint64_t value, int from)
{
	int at = -1;

	pthread_mutex_lock(&f->lock);
	for (int i = from; i >= 0 && i < (int)f->nlog && at < 0; i++)
		if (f->log[i].what == what && f->log[i].value == value)
			at = i;
	pthread_mutex_unlock(&f->lock);
	return at;
}

unsigned int fake_count(struct fake_vduse *f, enum fake_event what)
{
	unsigned int n = 0;

	pthread_mutex_lock(&f->lock);
	for (unsigned int i = 0; i < f->nlog; i++)
		n += f->log[i].what == what;
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* ---- trees ---- */

static void make_dirs(char *path)
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(path, 0755);
		*p = '/';
	}
}

void fake_file(struct fake_vduse *f, const char *path, const char *text)
{
	char full[512];
	FILE *out;

	snprintf(full, sizeof(full), "%s/%s", f->root, path);
	make_dirs(full);
	out = fopen(full, "w");
	must(out);
	fputs(text, out);
	fclose(out);
}

void fake_link(struct fake_vduse *f, const char *path, const char *to)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", f->root, path);
	make_dirs(full);
	unlink(full);
	must(symlink(to, full) == 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void fake_unlink(struct fake_vduse *f, const char *path)
{
	char full[512];

	snprintf(full, sizeof(full), "%s/%s", f->root, path);
	nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void tree_attach(struct fake_vduse *f)
{
	char path[400];

	snprintf(path, sizeof(path), "sys/class/vduse/%.64s/%.64s/uevent", f->name, f->name);
	fake_file(f, path, "DRIVER=virtio_vdpa\n");
	snprintf(path, sizeof(path), "sys/bus/vdpa/devices/%.64s/driver", f->name);
	fake_link(f, path, "../../drivers/virtio_vdpa");
	if (f->no_disk)
		return;
	snprintf(path, sizeof(path), "sys/bus/vdpa/devices/%.64s/virtio7/net/fake0/address",
		 f->name);
	fake_file(f, path, "");
}

static void tree_detach(struct fake_vduse *f)
{
	char path[400];

	snprintf(path, sizeof(path), "sys/class/vduse/%.64s", f->name);
	fake_unlink(f, path);
	snprintf(path, sizeof(path), "sys/bus/vdpa/devices/%.64s", f->name);
	fake_unlink(f, path);
}

/* ---- the control node ---- */

static int create_dev(struct fake_vduse *f, const struct vdu_dev_config *c)
{
	if (f->create_rc)
		return f->create_rc;
	if (f->exists)
		return -EEXIST;
	if (!(c->features & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM)) || c->vq_num > FAKE_QUEUES ||
	    c->config_size > sizeof(f->config) || c->vq_align > 4096)
		return -EINVAL;
	for (unsigned int i = 0; i < ARRAY_SIZE(c->reserved); i++)
		if (c->reserved[i])
			return -EINVAL;
	memcpy(f->conf.name, c->name, sizeof(f->conf.name));
	f->conf.device_id = c->device_id;
	f->conf.vq_num = c->vq_num;
	f->conf.config_size = c->config_size;
	f->conf.features = c->features;
	memcpy(f->config, c->config, c->config_size);
	memcpy(f->name, c->name, sizeof(f->name));
	f->exists = true;
	memset(f->max_size, 0, sizeof(f->max_size));
	fake_note(f, FAKE_CREATE, 0);
	return 0;
}

static int control_ioctl(struct fake_vduse *f, unsigned long req, void *arg)
{
	switch (req) {
	case VDU_SET_API_VERSION:
		return *(uint64_t *)arg == 0 ? 0 : -EINVAL;
	case VDU_CREATE_DEV:
		return create_dev(f, arg);
	case VDU_DESTROY_DEV:
		if (!f->exists || strcmp(arg, f->name) != 0)
			return -EINVAL;
		if (f->attached || f->is_open)
			return -EBUSY;
		f->exists = false;
		fake_note(f, FAKE_DESTROY, 0);
		return 0;
	default:
		return -EINVAL;
	}
}

static int fake_open(const struct vduse_sys *s, const char *path, int flags)
{
	struct fake_vduse *f = fake_of(s);
	int fd[2];

	if (strstr(path, "/vduse/control"))
		return f->control_rc ? f->control_rc : eventfd(0, EFD_CLOEXEC);
	if (!f->exists)
		return -ENOENT;
	if (f->open_rc)
		return f->open_rc;
	if (f->is_open)
		return -EBUSY;
	must(flags & O_NONBLOCK); /* a blocking read would stop the control loop for good */
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
	f->is_open = true;
	f->dev_fd = fd[0];
	if (f->kern_fd >= 0)
		close(f->kern_fd);
	f->kern_fd = fd[1];
	return fd[0];
}

static int fake_close(const struct vduse_sys *s, int fd)
{
	struct fake_vduse *f = fake_of(s);

	if (fd == f->dev_fd) {
		f->dev_fd = -1;
		f->is_open = false;
		fake_note(f, FAKE_CLOSE, 0);
	}
	return close(fd);
}

/* ---- the device ---- */

static int iotlb_get_fd(struct fake_vduse *f, struct vdu_iotlb_entry *t)
{
	int fd = -EINVAL;

	pthread_mutex_lock(&f->lock);
	for (unsigned int i = 0; i < FAKE_REGIONS && fd < 0; i++) {
		struct fake_region *r = &f->region[i];

		if (r->memfd < 0 || r->start > t->last || r->last < t->start)
			continue;
		fd = fcntl(r->memfd, F_DUPFD_CLOEXEC, 0);
		t->start = r->start;
		t->last = r->last;
		t->offset = r->offset;
		t->perm = r->perm;
	}
	pthread_mutex_unlock(&f->lock);
	if (fd >= 0)
		fake_note(f, FAKE_GET_FD, t->last - t->start + 1);
	return fd;
}

static int set_kickfd(struct fake_vduse *f, const struct vdu_vq_eventfd *k)
{
	if (f->kickfd_rc)
		return f->kickfd_rc;
	if (k->index >= f->conf.vq_num)
		return -EINVAL;
	if (f->kick[k->index] >= 0)
		close(f->kick[k->index]);
	f->kick[k->index] = fcntl(k->fd, F_DUPFD_CLOEXEC, 0);
	fake_note(f, FAKE_KICKFD, k->index);
	return 0;
}

static int set_config(struct fake_vduse *f, const struct vdu_config_data *c)
{
	if (c->offset > f->conf.config_size || c->length == 0 ||
	    c->length > f->conf.config_size - c->offset)
		return -EINVAL;
	memcpy(f->config + c->offset, c->buffer, c->length);
	return 0;
}

static int vq_setup(struct fake_vduse *f, const struct vdu_vq_config *q)
{
	if (q->index >= f->conf.vq_num)
		return -EINVAL;
	if (q->index + 1 == f->conf.vq_num && f->vq_setup_rc)
		return f->vq_setup_rc;
	f->max_size[q->index] = q->max_size;
	return 0;
}

static int vq_get_info(struct fake_vduse *f, struct vdu_vq_info *info)
{
	if (info->index >= f->conf.vq_num)
		return -EINVAL;
	pthread_mutex_lock(&f->lock);
	f->vq[info->index].index = info->index;
	*info = f->vq[info->index];
	pthread_mutex_unlock(&f->lock);
	return 0;
}

/* Any thread: workers notify. */
static int inject(struct fake_vduse *f, uint32_t qi)
{
	if (qi >= f->conf.vq_num)
		return -EINVAL;
	if (!(atomic_load(&f->kstatus) & VIRTIO_STATUS_DRIVER_OK)) {
		atomic_fetch_add(&f->irqs_refused, 1);
		return -EINVAL;
	}
	atomic_fetch_add(&f->irqs[qi], 1);
	return 0;
}

static int fake_ioctl(const struct vduse_sys *s, int fd, unsigned long req, void *arg)
{
	struct fake_vduse *f = fake_of(s);

	if (fd != f->dev_fd)
		return control_ioctl(f, req, arg);
	if (atomic_load(&f->broken))
		return -EPERM;
	switch (req) {
	case VDU_IOTLB_GET_FD:
		return iotlb_get_fd(f, arg);
	case VDU_DEV_GET_FEATURES:
		*(uint64_t *)arg = f->driver_features;
		return 0;
	case VDU_DEV_SET_CONFIG:
		return set_config(f, arg);
	case VDU_DEV_INJECT_CONFIG_IRQ:
		if (!(atomic_load(&f->kstatus) & VIRTIO_STATUS_DRIVER_OK))
			return -EINVAL;
		atomic_fetch_add(&f->config_irqs, 1);
		fake_note(f, FAKE_CONFIG_IRQ, 0);
		return 0;
	case VDU_VQ_SETUP:
		return vq_setup(f, arg);
	case VDU_VQ_GET_INFO:
		return vq_get_info(f, arg);
	case VDU_VQ_SETUP_KICKFD:
		return set_kickfd(f, arg);
	case VDU_VQ_INJECT_IRQ:
		return inject(f, *(uint32_t *)arg);
	default:
		return -ENOTTY;
	}
}

static ssize_t fake_read(const struct vduse_sys *s, int fd, void *buf, size_t n)
{
	ssize_t rc = read(fd, buf, n);

	return rc < 0 ? -errno : rc;
}

static ssize_t fake_write(const struct vduse_sys *s, int fd, const void *buf, size_t n)
{
	const struct vdu_dev_response *r = buf;
	struct fake_vduse *f = fake_of(s);

	if (n != sizeof(*r))
		return -EINVAL;
	for (unsigned int i = 0; i < ARRAY_SIZE(r->reserved); i++)
		if (r->reserved[i])
			return -EINVAL;
	if (atomic_load(&f->broken))
		return -ENOENT;
	if (f->reply_delay_ms)
		usleep(f->reply_delay_ms * 1000);
	fake_note(f, FAKE_REPLY, r->request_id);
	return write(fd, buf, n) == (ssize_t)n ? (ssize_t)n : -errno;
}

/* ---- the bus ---- */

static int fake_add(const struct vduse_sys *s, const char *name, struct err *e)
{
	struct fake_vduse *f = fake_of(s);

	fake_note(f, FAKE_ADD, 0);
	if (f->add_rc)
		return err_set(e, f->add_rc, "fake", "add refused");
	for (unsigned int i = 0; i < f->conf.vq_num; i++)
		must(f->max_size[i] != 0); /* the kernel would refuse */
	f->attached = true;
	if (f->probe)
		f->probe(f);
	tree_attach(f);
	return 0;
}

static int fake_del(const struct vduse_sys *s, const char *name, struct err *e)
{
	struct fake_vduse *f = fake_of(s);

	fake_note(f, FAKE_DEL, 0);
	if (!f->attached)
		return err_set(e, -ENODEV, "fake", "not attached");
	if (f->remove && !atomic_load(&f->broken))
		f->remove(f);
	tree_detach(f);
	f->attached = false;
	return 0;
}

static int fake_modprobe(const struct vduse_sys *s, const char *module, bool dry_run)
{
	struct fake_vduse *f = fake_of(s);

	if (dry_run)
		return f->module_there ? 0 : -ENOENT;
	f->modprobes++;
	if (!f->modprobe_works)
		return f->module_there ? -EPERM : -ENOENT;
	if (!strcmp(module, "vduse"))
		fake_file(f, "dev/vduse/control", "");
	else if (!strcmp(module, "virtio_vdpa"))
		fake_file(f, "sys/bus/vdpa/drivers/virtio_vdpa/module", "");
	return 0;
}

struct fake_vduse *fake_vduse_new(void)
{
	struct fake_vduse *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	must(f);
	pthread_mutex_init(&f->lock, NULL);
	snprintf(f->root, sizeof(f->root), "%.40s/fake-vduse.XXXXXX", tmp ? tmp : "/tmp");
	must(mkdtemp(f->root));
	snprintf(f->dev, sizeof(f->dev), "%s/dev", f->root);
	snprintf(f->sysfs, sizeof(f->sysfs), "%s/sys", f->root);
	snprintf(f->proc, sizeof(f->proc), "%s/proc", f->root);
	snprintf(f->run, sizeof(f->run), "%s/run", f->root);
	f->sys = (struct vduse_sys){
		.open = fake_open,
		.close = fake_close,
		.ioctl = fake_ioctl,
		.read = fake_read,
		.write = fake_write,
		.vdpa_add = fake_add,
		.vdpa_del = fake_del,
		.modprobe = fake_modprobe,
		.dev = f->dev,
		.sysfs = f->sysfs,
		.proc = f->proc,
		.run = f->run,
	};
	f->module_there = true;
	fake_file(f, "dev/vduse/control", "");
	fake_file(f, "sys/bus/vdpa/drivers/virtio_vdpa/module", "");
	f->kern_fd = f->dev_fd = -1;
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		f->kick[i] = -1;
	for (unsigned int i = 0; i < FAKE_REGIONS; i++)
		f->region[i].memfd = -1;
	return f;
}

void fake_vduse_free(struct fake_vduse *f)
{
	for (unsigned int i = 0; i < FAKE_REGIONS; i++)
		if (f->region[i].memfd >= 0)
			fake_unmap(f, f->region[i].start);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		if (f->kick[i] >= 0)
			close(f->kick[i]);
	if (f->kern_fd >= 0)
		close(f->kern_fd);
	nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

/* ---- memory ---- */

uint8_t *fake_map(struct fake_vduse *f, uint64_t start, uint64_t size, uint8_t perm)
{
	struct fake_region *r = NULL;

	pthread_mutex_lock(&f->lock);
	for (unsigned int i = 0; i < FAKE_REGIONS && !r; i++)
		if (f->region[i].memfd < 0)
			r = &f->region[i];
	must(r);
	r->memfd = memfd_create("fake-vduse", MFD_CLOEXEC);
	must(r->memfd >= 0 && ftruncate(r->memfd, (off_t)(size + 4096)) == 0);
	r->offset = 4096; /* not 0, so that a forgotten offset shows */
	r->start = start;
	r->last = start + size - 1;
	r->perm = perm;
	r->host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd, (off_t)r->offset);
	must(r->host != MAP_FAILED);
	pthread_mutex_unlock(&f->lock);
	return r->host;
}

void fake_unmap(struct fake_vduse *f, uint64_t start)
{
	pthread_mutex_lock(&f->lock);
	for (unsigned int i = 0; i < FAKE_REGIONS; i++) {
		struct fake_region *r = &f->region[i];

		if (r->memfd < 0 || r->start != start)
			continue;
		munmap(r->host, r->last - r->start + 1);
		close(r->memfd);
		r->memfd = -1;
	}
	pthread_mutex_unlock(&f->lock);
}

static uint8_t *host_at(struct fake_vduse *f, uint64_t addr)
{
	for (unsigned int i = 0; i < FAKE_REGIONS; i++) {
		struct fake_region *r = &f->region[i];

		if (r->memfd >= 0 && addr >= r->start && addr <= r->last)
			return r->host + (addr - r->start);
	}
	must(!"address is mapped");
	return NULL;
}

/* ---- messages ---- */

unsigned int fake_send(struct fake_vduse *f, struct vdu_dev_request *req)
{
	req->request_id = f->next_id++;
	must(write(f->kern_fd, req, sizeof(*req)) == (ssize_t)sizeof(*req));
	return req->request_id;
}

static bool take(struct fake_vduse *f, struct vdu_dev_response *resp)
{
	ssize_t n = read(f->kern_fd, resp, sizeof(*resp));

	return n == (ssize_t)sizeof(*resp);
}

bool fake_wait(struct fake_vduse *f, struct loop *l, struct vdu_dev_response *resp)
{
	uint64_t end = clock_ns() + PATIENCE_MS * UINT64_C(1000000);

	while (!take(f, resp)) {
		if (clock_ns() > end)
			return false;
		loop_turn(l, 5);
	}
	return true;
}

bool fake_call(struct fake_vduse *f, struct loop *l, struct vdu_dev_request *req,
	       struct vdu_dev_response *resp)
{
	unsigned int id = fake_send(f, req);

	return fake_wait(f, l, resp) && resp->request_id == id;
}

bool fake_status(struct fake_vduse *f, struct loop *l, uint8_t status)
{
	struct vdu_dev_request req = { .type = VDU_SET_STATUS, .s.status = status };
	struct vdu_dev_response resp;

	if (!fake_call(f, l, &req, &resp) || resp.result != VDU_RESULT_OK)
		return false;
	atomic_store(&f->kstatus, status);
	return true;
}

bool fake_status_blocking(struct fake_vduse *f, uint8_t status)
{
	struct vdu_dev_request req = { .type = VDU_SET_STATUS, .s.status = status };
	struct pollfd p = { .fd = f->kern_fd, .events = POLLIN };
	struct vdu_dev_response resp;

	fake_send(f, &req);
	if (poll(&p, 1, PATIENCE_MS) != 1 || !take(f, &resp) || resp.result != VDU_RESULT_OK)
		return false;
	atomic_store(&f->kstatus, status);
	return true;
}

void fake_break(struct fake_vduse *f)
{
	atomic_store(&f->broken, true);
	shutdown(f->kern_fd, SHUT_RDWR); /* the other end sees a hang-up, as poll would say ERR */
}

/* ---- a ring ---- */

#define OFF_AVAIL 1024
#define OFF_USED  2048

void fake_ring(struct fake_vduse *f, unsigned int qi, uint64_t addr)
{
	memset(host_at(f, addr), 0, 4096);
	pthread_mutex_lock(&f->lock);
	f->vq[qi] = (struct vdu_vq_info){
		.num = RING,
		.desc_addr = addr,
		.driver_addr = addr + OFF_AVAIL,
		.device_addr = addr + OFF_USED,
		.ready = 1,
	};
	pthread_mutex_unlock(&f->lock);
}

void fake_offer(struct fake_vduse *f, unsigned int qi, uint64_t addr, uint32_t len)
{
	struct virtq_desc *d = (struct virtq_desc *)(void *)host_at(f, f->vq[qi].desc_addr);
	uint16_t *avail = (uint16_t *)(void *)host_at(f, f->vq[qi].driver_addr);
	uint16_t idx = avail[1];
	uint64_t one = 1;

	d[idx % RING] = (struct virtq_desc){ .addr = addr,
					     .len = len,
					     .flags = VIRTQ_DESC_F_WRITE };
	avail[2 + idx % RING] = idx % RING;
	__atomic_store_n(&avail[1], (uint16_t)(idx + 1), __ATOMIC_RELEASE);
	if (f->kick[qi] >= 0)
		must(write(f->kick[qi], &one, sizeof(one)) == (ssize_t)sizeof(one));
}

uint16_t fake_used(struct fake_vduse *f, unsigned int qi)
{
	uint16_t *used = (uint16_t *)(void *)host_at(f, f->vq[qi].device_addr);

	return __atomic_load_n(&used[1], __ATOMIC_ACQUIRE);
}
