/* SPDX-License-Identifier: MIT */
/* Ctrl-C for commands that end with a result: the first ends the work, the second the program. */
#ifndef CLI_STOPPER_H
#define CLI_STOPPER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/**
 * struct stopper - a thread that waits for signals
 * @stop_fd:	readable once the first has come and the work had begun
 * @begun:	set when the work begins; before, the first signal ends the program
 * @signo:	what came first, 0: nothing
 * @now:	ends the program; on the stopper's thread
 *
 * Whatever the main thread hangs in, a connection or a reader of its output,
 * this one can end the program.
 */
struct stopper {
	int stop_fd;
	atomic_bool begun;
	atomic_int signo;
	void (*now)(void *ctx, int signo);
	void *ctx;
	/* Its own. */
	int signals, quit;
	pthread_t thread;
	bool started;
};

/* SIGINT, SIGTERM and SIGHUP go to @s from here. Before other threads start. */
void stopper_begin(struct stopper *s, void (*now)(void *ctx, int signo), void *ctx);
void stopper_end(struct stopper *s);

#endif
