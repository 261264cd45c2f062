/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/err.h"

static void set_keeps_code_id_and_text(void **state)
{
	struct err e;

	assert_int_equal(err_set(&e, -EINVAL, "bad-size", "%d is not a size", 7), -EINVAL);
	assert_int_equal(e.code, -EINVAL);
	assert_string_equal(e.id, "bad-size");
	assert_string_equal(e.what, "7 is not a size");
	assert_string_equal(e.hint, "");
}

static void set_forgets_the_hint_of_the_last_failure(void **state)
{
	struct err e;

	err_set(&e, -EINVAL, "a", "a");
	err_hint(&e, "do this");
	err_set(&e, -EBUSY, "b", "b");
	assert_string_equal(e.hint, "");
}

static void sys_adds_the_text_of_errno(void **state)
{
	struct err e;

	assert_int_equal(err_sys(&e, -ENOENT, "no-file", "cannot open %s", "x"), -ENOENT);
	assert_string_equal(e.what, "cannot open x: No such file or directory");
}

static void prefix_goes_before_what_is_said(void **state)
{
	struct err e;

	err_set(&e, -EBUSY, "busy", "in use");
	assert_int_equal(err_prefix(&e, "disk '%s'", "db"), -EBUSY);
	assert_string_equal(e.what, "disk 'db': in use");
}

static void hint_keeps_the_code(void **state)
{
	struct err e;

	err_set(&e, -EBUSY, "busy", "in use");
	assert_int_equal(err_hint(&e, "umount %s", "/mnt"), -EBUSY);
	assert_string_equal(e.hint, "umount /mnt");
}

static void long_texts_are_cut_not_overrun(void **state)
{
	struct err e;
	char text[2 * sizeof(e.what)];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	err_sys(&e, -EIO, "io", "%s", text);
	assert_int_equal(strlen(e.what), sizeof(e.what) - 1);
	err_prefix(&e, "%s", text);
	assert_int_equal(strlen(e.what), sizeof(e.what) - 1);
	err_hint(&e, "%s", text);
	assert_int_equal(strlen(e.hint), sizeof(e.hint) - 1);
}

static void nobody_need_listen(void **state)
{
	assert_int_equal(err_set(NULL, -EINVAL, "a", "a"), -EINVAL);
	assert_int_equal(err_sys(NULL, -EIO, "a", "a"), -EIO);
	assert_int_equal(err_prefix(NULL, "a"), -EINVAL);
	assert_int_equal(err_hint(NULL, "a"), -EINVAL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_keeps_code_id_and_text),
		cmocka_unit_test(set_forgets_the_hint_of_the_last_failure),
		cmocka_unit_test(sys_adds_the_text_of_errno),
		cmocka_unit_test(prefix_goes_before_what_is_said),
		cmocka_unit_test(hint_keeps_the_code),
		cmocka_unit_test(long_texts_are_cut_not_overrun),
		cmocka_unit_test(nobody_need_listen),
	};

	return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
