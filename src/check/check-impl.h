/* SPDX-License-Identifier: MIT */
/* The inside of vuctl check: what its files share and cases do not see. */
#ifndef CHECK_CHECK_IMPL_H
#define CHECK_CHECK_IMPL_H

#include <setjmp.h>
#include <sys/types.h>

#include "check/check.h"

/* ---- server.c: the process under test ---- */

/**
 * struct check_server - the back-end as a process
 * @path:	its socket
 * @restart:	command that starts it, or NULL
 * @patience_ms: how long it may take to accept and answer the first message
 * @child:	shell that runs @restart, leader of its process group; 0: none
 * @child_status: as of wait(), once @child_ended; it is waited for at the end
 * @pid, @pidfd: who listens, as the socket tells; -1: not known
 * @one_shot:	it ends with its connection, as many do, and @restart brings it back
 * @spare:	a connection made while waiting for it to listen, or -1
 */
struct check_server {
	const char *path;
	const char *restart;
	int patience_ms;
	pid_t child;
	int child_status;
	bool child_ended;
	pid_t pid;
	int pidfd;
	bool one_shot;
	int spare;
};

void check_server_init(struct check_server *s, const struct check_opts *o);
/* Ends what we started. */
void check_server_fini(struct check_server *s);
/* Run the command, and wait until the socket takes connections. */
int check_server_start(struct check_server *s, struct err *e);
/* A connected socket; waits up to @wait_ms. -ECONNREFUSED: it is gone, -ETIMEDOUT: it hangs. */
int check_server_connect(struct check_server *s, int wait_ms, struct err *e);
/* With no connection of ours left: CHECK_PASSED when it answers, or CHECK_DIED, CHECK_HUNG. */
enum check_result check_server_state(struct check_server *s, struct err *e);
/* Has the process that listened ended? */
bool check_server_gone(const struct check_server *s);

/* ---- what a case made ---- */

/* A connection; its number is in the trace. */
struct check_conn {
	struct check_conn *next;
	struct check *c;
	struct vuc *v;
	unsigned int number;
};

struct check_memory {
	struct check_memory *next;
	struct fe_mem *m;
};

/**
 * struct check_dev_impl - a device under test with its transport
 * @t:		the driver's transport: messages in the order front-ends send them
 * @status:	last sent, where STATUS is negotiated
 * @hold:	DRIVER_OK comes later, when all queues run
 */
struct check_dev_impl {
	struct check_dev d;
	struct check_dev_impl *next;
	struct check *c;
	struct fe_transport t;
	uint64_t offered;
	uint64_t protocol;
	uint8_t status;
	bool hold;
};

#define CHECK_TRACE_LINES 40
#define CHECK_TRACE_WIDTH 240

/**
 * struct check - a run, and the case that runs now
 * @end:	where check_fail() and check_skip() go
 * @running:	@end is set
 * @alive:	inside check_alive(): what fails there is a back-end that hangs
 * @trace:	ring of the last messages, @ntrace so far
 * @conns, @mems, @devs: to be freed after the case
 */
struct check {
	const struct check_opts *o;
	struct check_facts facts;
	struct check_server server;

	const struct check_case *k;
	bool packed;
	uint32_t rnd;
	jmp_buf end;
	bool running, alive;

	enum check_result result;
	char expected[512], got[1024], notes[2048], shown[CHECK_TRACE_LINES * CHECK_TRACE_WIDTH];
	char trace[CHECK_TRACE_LINES][CHECK_TRACE_WIDTH];
	unsigned int ntrace;

	struct check_conn *conns;
	unsigned int nconns;
	struct check_memory *mems;
	struct check_dev_impl *devs;
};

/* outcome.c */
void check_outcome_begin(struct check *c);
/* End the case with @result; what it expected and got is filled in. */
void check_outcome_end(struct check *c, enum check_result result) __attribute__((noreturn));
/* The trace as lines, in c->shown. */
const char *check_trace_text(struct check *c);
void check_trace_line(void *conn, const char *line);

/* facts.c */
int check_facts_find(struct check *c, struct err *e);

/* conn.c: everything a case made goes */
void check_conn_close_all(struct check *c);
void check_mem_free_all(struct check *c);
/* dev.c */
void check_dev_free_all(struct check *c);
/* The connection @v is gone: devices over it have none. */
void check_dev_forget(struct check *c, const struct vuc *v);
extern const struct fe_transport_ops check_transport_ops; /* dev-transport.c */
int check_transport_driver_ok(struct check_dev_impl *p, struct err *e);
int check_transport_set_features(struct check_dev_impl *p, uint64_t features, struct err *e);

/* needs.c: why @k cannot run here, or NULL; @buf is room for the words */
const char *check_missing(const struct check *c, const struct check_case *k, bool packed, char *buf,
			  size_t size);
/* Of what is offered, what the front-end here knows how to use. */
uint64_t check_known_virtio(const struct check *c);
uint64_t check_known_protocol(const struct check *c);

/* report.c: what the formats share */
const char *check_result_word(enum check_result r);
/* A string in double quotes, right for JSON and for YAML. */
void check_put_string(FILE *f, const char *s);
static inline bool check_report_bad(const struct check_report *r)
{
	return r->result != CHECK_PASSED && r->result != CHECK_SKIPPED;
}
/* It failed, and that fails the run: a should fails it only by killing the back-end. */
static inline bool check_report_fatal(const struct check_report *r)
{
	return r->result > CHECK_SKIPPED ||
	       (r->result == CHECK_FAILED && r->k->level == CHECK_MUST);
}

#endif
