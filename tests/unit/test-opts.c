/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util/compiler.h"
#include "util/opts.h"

enum { O_SOCKET = 1, O_NAME, O_QUIET, O_QUEUES, O_QSIZE };

static const struct opt_desc table[] = {
	{ O_SOCKET, "socket", 0, "PATH", "listen at PATH" },
	{ O_NAME, "name", 'n', "NAME", "call it NAME" },
	{ O_QUIET, "quiet", 'q', NULL, "say nothing" },
	{ O_QUEUES, "queues", 0, "N", "how many queues" },
	{ O_QSIZE, "queue-size", 0, "N", "their size" },
	{ 0 },
};

static char seen[512];

static int set(void *ctx, int id, const char *value, struct err *e)
{
	size_t n = strlen(seen);

	(void)ctx;
	snprintf(seen + n, sizeof(seen) - n, "%d=%s ", id, value ? value : "-");
	if (value && !strcmp(value, "bad"))
		return err_set(e, -EINVAL, "bad-value", "bad it is");
	return 0;
}

static int parse(struct err *e, int argc, const char *const *words)
{
	char *argv[16];
	int ret;

	seen[0] = '\0';
	argv[0] = (char *)(uintptr_t) "serve";
	for (int i = 0; i < argc; i++)
		argv[i + 1] = (char *)(uintptr_t)words[i];
	argv[argc + 1] = NULL;
	ret = opts_parse(table, argc + 1, argv, set, NULL, e);
	if (ret > 0 && ret <= argc) {
		size_t n = strlen(seen);

		for (int i = ret; i <= argc; i++)
			n += (size_t)snprintf(seen + n, sizeof(seen) - n, "[%s]", argv[i]);
	}
	return ret;
}

#define PARSE(e, ...)                                                \
	parse(e, ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })), \
	      (const char *const[]){ __VA_ARGS__ })

static void options_stand_anywhere_and_in_any_form(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(PARSE(&e, "img", "--socket", "/s", "-qn", "a", "--queues=4", "more"), 6);
	assert_string_equal(seen, "1=/s 3=- 2=a 4=4 [img][more]");
	assert_int_equal(PARSE(&e, "--", "--socket"), 2);
	assert_string_equal(seen, "[--socket]");
	assert_int_equal(PARSE(&e, "--socket=", "-"), 2);
	assert_string_equal(seen, "1= [-]");
	assert_int_equal(PARSE(&e, "--sock", "/s"), 3); /* an abbreviation that can only be one */
	assert_string_equal(seen, "1=/s ");
}

static void every_mistake_has_its_sentence(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(PARSE(&e, "--sokcet", "/s"), -EINVAL);
	assert_string_equal(e.id, "unknown-option");
	assert_string_equal(e.what, "unknown option '--sokcet'");
	assert_string_equal(e.hint, "Did you mean '--socket'?");
	e.hint[0] = '\0';
	assert_int_equal(PARSE(&e, "--zzzzzzzzz=1"), -EINVAL);
	assert_string_equal(e.what, "unknown option '--zzzzzzzzz'");
	assert_string_equal(e.hint, "");
	assert_int_equal(PARSE(&e, "-x"), -EINVAL);
	assert_string_equal(e.what, "unknown option '-x'");
	assert_int_equal(PARSE(&e, "img", "--socket"), -EINVAL);
	assert_string_equal(e.id, "option-needs-value");
	assert_string_equal(e.what, "option '--socket' needs a value: --socket PATH");
	assert_int_equal(PARSE(&e, "-n"), -EINVAL);
	assert_string_equal(e.what, "option '--name' needs a value: --name NAME");
	assert_int_equal(PARSE(&e, "--quiet=1"), -EINVAL);
	assert_string_equal(e.id, "option-takes-no-value");
	assert_int_equal(PARSE(&e, "--que", "3"), -EINVAL);
	assert_string_equal(e.id, "ambiguous-option");
	assert_string_equal(e.hint, "It could be --queues, --queue-size");
	assert_int_equal(PARSE(&e, "--name", "bad", "--quiet"), -EINVAL);
	assert_string_equal(e.what, "bad it is");
	assert_string_equal(seen, "2=bad ");
	assert_int_equal(PARSE(NULL, "--que", "3"), -EINVAL);
	assert_int_equal(PARSE(NULL, "--nope"), -EINVAL);
}

static const char *next_word(void *ctx)
{
	const char ***p = ctx;

	return **p ? *(*p)++ : NULL;
}

static const char *nearest(const char *word)
{
	static const char *words[] = { "serve", "help", "version", "completion", NULL };
	const char **p = words;

	return opts_nearest(word, next_word, &p);
}

static void only_slips_are_guessed_at(void **state)
{
	(void)state;
	assert_string_equal(nearest("sevre"), "serve");
	assert_string_equal(nearest("srve"), "serve");
	assert_string_equal(nearest("hepl"), "help");
	assert_string_equal(nearest("comp"), "completion");
	assert_null(nearest("x"));
	assert_null(nearest("delete"));
	assert_null(nearest(""));
	assert_null(nearest("a-word-much-longer-than-any-option-could-ever-be"));
}

static void numbers_are_whole_and_in_range(void **state)
{
	static const char *const bad[] = { "",    "-1",   "+1",  " 1",
					   "1 ",  "0x10", "1.5", "0",
					   "257", "1e2",  "4G",  "99999999999999999999999" };
	unsigned long n = 7;
	struct err e;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(opts_number("--queues", bad[i], 1, 256, &n, &e), -EINVAL);
		assert_string_equal(e.id, "bad-value");
	}
	assert_int_equal(n, 7);
	assert_string_equal(e.what,
			    "--queues '99999999999999999999999' is not a number from 1 to 256");
	assert_int_equal(opts_number("--queues", "256", 1, 256, &n, &e), 0);
	assert_int_equal(n, 256);
	assert_int_equal(opts_number("--queues", "007", 1, 256, &n, NULL), 0);
	assert_int_equal(n, 7);
}

static void choices_are_whole_words(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(opts_choice("--mode", "event", "event|adaptive|busy", &e), 0);
	assert_int_equal(opts_choice("--mode", "busy", "event|adaptive|busy", &e), 2);
	assert_int_equal(opts_choice("--mode", "bus", "event|adaptive|busy", &e), -EINVAL);
	assert_string_equal(e.hint, "Use one of event|adaptive|busy");
	assert_int_equal(opts_choice("--mode", "", "event|adaptive|busy", NULL), -EINVAL);
	assert_int_equal(opts_choice("--mode", "event|adaptive", "event|adaptive|busy", &e),
			 -EINVAL);
}

static void processors_are_numbers_and_ranges(void **state)
{
	static const char *const bad[] = { "",
					   ",",
					   "0,",
					   ",0",
					   "3-1",
					   "1-",
					   "-1",
					   "0-",
					   "0--1",
					   "a",
					   "0x1",
					   "1 ",
					   " 1",
					   "+1",
					   "0-1-2",
					   "8",
					   "0-8",
					   "0;1",
					   "0-7,0",
					   "18446744073709551616",
					   "0-18446744073709551615" };
	unsigned int n;
	struct err e;
	int cpus[9];

	(void)state;
	assert_int_equal(opts_cpus("--cpus", "0,2-5", cpus, 8, &n, &e), 0);
	assert_int_equal(n, 5);
	assert_memory_equal(cpus, ((int[]){ 0, 2, 3, 4, 5 }), 5 * sizeof(int));
	assert_int_equal(opts_cpus("--cpus", "7,3-3,7", cpus, 8, &n, &e), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(cpus, ((int[]){ 7, 3, 7 }), 3 * sizeof(int));
	cpus[8] = -7;
	assert_int_equal(opts_cpus("--cpus", "0-7", cpus, 8, &n, NULL), 0);
	assert_int_equal(n, 8);
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		n = 7;
		assert_int_equal(opts_cpus("--cpus", bad[i], cpus, 8, &n, &e), -EINVAL);
		assert_int_equal(n, 0);
		assert_string_equal(e.id, "bad-value");
		assert_string_equal(e.hint, "Like this: --cpus 0,2-5");
	}
	assert_int_equal(cpus[8], -7);
	assert_int_equal(opts_cpus("--on", "x", cpus, 8, &n, &e), -EINVAL);
	assert_string_equal(e.what, "--on 'x' is no list of processors");
}

static void help_and_words_come_from_the_table(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	opts_help(f, table);
	fclose(f);
	assert_non_null(strstr(text, "      --socket PATH   listen at PATH\n"));
	assert_non_null(strstr(text, "  -q, --quiet         say nothing\n"));
	free(text);
	f = open_memstream(&text, &size);
	opts_words(f, table);
	fclose(f);
	assert_string_equal(text, "--socket=\n--name=\n--quiet\n--queues=\n--queue-size=\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_stand_anywhere_and_in_any_form),
		cmocka_unit_test(every_mistake_has_its_sentence),
		cmocka_unit_test(only_slips_are_guessed_at),
		cmocka_unit_test(numbers_are_whole_and_in_range),
		cmocka_unit_test(choices_are_whole_words),
		cmocka_unit_test(processors_are_numbers_and_ranges),
		cmocka_unit_test(help_and_words_come_from_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
