/* SPDX-License-Identifier: MIT */
/*
 * The sentence that goes with a failure on a control path: what failed, why,
 * and what to do. Never used per request.
 */
#ifndef UTIL_ERR_H
#define UTIL_ERR_H

#include <stddef.h>

/**
 * struct err - one failure, ready to be shown to a person
 * @code:	negative errno
 * @id:		stable name of the situation ("vduse-module-missing"); static string
 * @what:	what failed and why, one line without a full stop at the end
 * @hint:	what to do about it, may be empty, may hold several lines
 *
 * Lives on the caller's stack; holds no resources. Any function taking one
 * accepts NULL.
 */
struct err {
	int code;
	const char *id;
	char what[512];
	char hint[512];
};

/**
 * err_set() - fill in a failure
 * @e:		where to, may be NULL
 * @code:	negative errno
 * @id:		stable name, static string
 * @fmt:	what failed and why
 *
 * Return: @code, so that callers can write `return err_set(...)`.
 */
int err_set(struct err *e, int code, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Same, and appends ": STRERROR" for @code. */
int err_sys(struct err *e, int code, const char *id, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Put "PREFIX: " before what is already said. Returns e->code (or -EINVAL for NULL). */
int err_prefix(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Add the cure. Returns e->code. */
int err_hint(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
