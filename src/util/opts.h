/* SPDX-License-Identifier: MIT */
/*
 * Command-line options. One table per sub-command is the source for parsing,
 * --help, shell completion and the check that the man page has the same ones.
 */
#ifndef UTIL_OPTS_H
#define UTIL_OPTS_H

#include <stdio.h>

#include "util/err.h"

/**
 * struct opt_desc - one option; a table ends with an entry without a name
 * @id:		the caller's, 1 to 255
 * @name:	long name, without dashes
 * @letter:	short name, or 0
 * @arg:	what to call its value ("PATH", "a|b|c"), NULL: it has none
 * @help:	one line
 */
struct opt_desc {
	int id;
	const char *name;
	char letter;
	const char *arg;
	const char *help;
};

/**
 * opts_set_fn - an option was given
 * @id:		of the table
 * @value:	its value, NULL when it has none
 *
 * Return: 0, or -errno with @e.
 */
typedef int opts_set_fn(void *ctx, int id, const char *value, struct err *e);

/**
 * opts_parse() - read the words of a command
 * @table:	options
 * @argc, @argv: argv[0] is the command itself and not looked at. Options may
 *		stand anywhere; the other words are moved to the end
 * @set:	called for each option, in order
 *
 * Main thread only: getopt_long() underneath has global state.
 *
 * Return: index of the first other word, or -errno with @e.
 */
int opts_parse(const struct opt_desc *table, int argc, char **argv, opts_set_fn *set, void *ctx,
	       struct err *e);

/* The list of options for --help, one per line, aligned. */
void opts_help(FILE *f, const struct opt_desc *table);

/* The options as words for shell completion: one per line, "--name" or "--name=". */
void opts_words(FILE *f, const struct opt_desc *table);

/**
 * opts_nearest() - what did they mean?
 * @word:	what was typed
 * @next:	gives candidates until NULL
 *
 * Return: the candidate that is a slip or two away from @word, or NULL.
 */
const char *opts_nearest(const char *word, const char *(*next)(void *ctx), void *ctx);

/* A whole number from @min to @max; decimal. 0, or -EINVAL with @e that names @what. */
int opts_number(const char *what, const char *value, unsigned long min, unsigned long max,
		unsigned long *out, struct err *e);

/* One of the words in @list ("a|b|c"): its index, or -EINVAL with @e that names @what. */
int opts_choice(const char *what, const char *value, const char *list, struct err *e);

/**
 * opts_cpus() - a list of processors, as "0,2-5"
 * @cpus:	room for @max; numbers are below that, too
 * @n:		how many there are in it; 0 after a mistake
 *
 * Return: 0, or -EINVAL with @e that names @what.
 */
int opts_cpus(const char *what, const char *value, int *cpus, unsigned int max, unsigned int *n,
	      struct err *e);

#endif
