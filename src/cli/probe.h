/* SPDX-License-Identifier: MIT */
/* The inside of vuctl probe, shared by its files. */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "frontend/fe-transport.h"
#include "frontend/mem.h"
#include "frontend/queue.h"
#include "frontend/vhost-user-client.h"

#define PROBE_QUEUE_SIZE 64 /* small: there are back-ends with rings no larger */

/* In this order; each needs those before it. */
enum probe_stage {
	PROBE_CONNECT,
	PROBE_FEATURES,
	PROBE_CONFIG,
	PROBE_MEMORY,
	PROBE_QUEUE,
	PROBE_READ,
};
#define PROBE_STAGE_WORDS "connect|features|config|memory|queue|read"

/**
 * struct probe_opts - the command line
 * @last:	stop after this stage
 * @all:	no --stage was given: what the device has no use for is left out
 * @type:	what the device is, 0: guess
 */
struct probe_opts {
	const char *path;
	enum probe_stage last;
	bool all;
	uint32_t type;
	int timeout_ms;
	bool verbose, json, help;
};

/* How sure a guess is. */
enum probe_sure {
	PROBE_UNKNOWN,
	PROBE_GUESS,
	PROBE_LIKELY,
	PROBE_CERTAIN,
	PROBE_GIVEN, /* by --type */
};

struct probe_guess {
	uint32_t type;
	enum probe_sure sure;
	char why[192];
};

/**
 * struct probe_run - a queue that was started, over one ring format
 * @tried, @started: the queue
 * @read:	a read was answered well
 * @ns:		how long that took
 */
struct probe_run {
	bool tried, started, read;
	uint64_t ns;
};

/**
 * struct probe - what is known so far
 * @reached:	stages done, in order; 0: not even connected
 * @pid, @program: who listens, 0 and "": not told
 * @t, @c:	the connection; @c belongs to @t
 * @queues:	0: not told
 * @slots:	memory regions it can take; 0: not told
 * @config, @config_len: bytes of its configuration space
 * @config_any:	it answers any length: what is beyond its own end is zero
 * @runs:	[0] split, [1] packed
 * @read_len:	bytes read at the beginning of the disk
 * @serial:	"" when it told none
 */
struct probe {
	struct probe_opts o;
	unsigned int reached;
	pid_t pid;
	char program[64];
	struct fe_transport *t;
	struct vuc *c;
	uint64_t features;
	uint64_t protocol;
	uint64_t queues;
	uint64_t slots;
	uint8_t config[VHOST_USER_CONFIG_MAX];
	uint32_t config_len;
	bool config_any;
	struct probe_guess guess;
	struct fe_mem *mem;
	struct probe_run runs[2];
	uint32_t read_len;
	char serial[21];
};

/* probe-stages.c: 0 or -errno with what, why, and what to do */
int probe_stage(struct probe *p, enum probe_stage s, struct err *e);
void probe_end(struct probe *p);

/* probe-io.c: start queue 0, read if @read, stop it */
int probe_queue(struct probe *p, bool packed, bool read, struct err *e);

/* probe-guess.c: what is it? Uses features and, if it was read, the configuration. */
void probe_guess(struct probe *p);
/* "a disk"; NULL: no words for it */
const char *probe_type_words(uint32_t type);

/* probe-config.c */
/* What the fields of the configuration are called and hold; NULL: this type is not known. */
struct probe_field;
const struct probe_field *probe_fields(uint32_t type);
uint32_t probe_config_size(uint32_t type); /* as far as it is known here */
bool probe_field_there(const struct probe *p, const struct probe_field *f);
/* Nothing to tell people: a limit that is none. */
bool probe_field_boring(const struct probe *p, const struct probe_field *f);
const char *probe_field_key(const struct probe_field *f);
const struct probe_field *probe_field_next(const struct probe_field *f);
/* For people, and for programs (a new reference). */
void probe_field_text(const struct probe *p, const struct probe_field *f, char *buf, size_t n);
json_t *probe_field_json(const struct probe *p, const struct probe_field *f);
/* Little-endian number of 1, 2, 4 or 8 bytes; 0 beyond the end. */
uint64_t probe_config_u(const struct probe *p, uint32_t off, uint32_t size);

/* probe-show.c */
extern const char *const probe_stage_names[];
void probe_show(const struct probe *p, enum probe_stage s);
void probe_show_json(const struct probe *p);

#endif
