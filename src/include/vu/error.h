/* SPDX-License-Identifier: MIT */
/**
 * @file error.h
 * What went wrong, in words. The library never prints and never ends the
 * program: a call that fails returns -errno (or NULL), and leaves a sentence.
 *
 * There is one last error for each thread. A call that succeeds does not
 * touch it, so it means something only after one that failed. The strings
 * belong to the library and last until the thread's next failure.
 */
#ifndef VU_ERROR_H
#define VU_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/** What failed and why: one line, no full stop at its end. Never NULL; "" before any failure. */
const char *vu_error(void);

/** What can be done about it; may hold several lines. Never NULL, "" when there is nothing to say. */
const char *vu_error_hint(void);

/**
 * A name of the situation that never changes ("vhost-user-lost"), for
 * programs that want to tell failures apart. Never NULL, "" before any failure.
 */
const char *vu_error_id(void);

/** The same as a negative errno, as the call returned it; 0 before any failure. */
int vu_error_code(void);

/** Version of the library that is linked, "1.2.3". */
const char *vu_version(void);

#ifdef __cplusplus
}
#endif

#endif
