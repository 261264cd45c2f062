/* SPDX-License-Identifier: MIT */
/*
 * Switchable defects. Each name stands in one table (defect.c), with what it
 * breaks; the code asks defect("name") at the place. A name that is not in
 * the table ends the program.
 */
#ifndef TESTS_DEFECT_DEFECT_H
#define TESTS_DEFECT_DEFECT_H

#include <stdbool.h>
#include <stdio.h>

/* Was it asked for? */
bool defect(const char *name);

/* Ask for it. Return: false when there is no such defect. */
bool defect_switch_on(const char *name);

/* "NAME  what it breaks", one a line. */
void defect_list(FILE *f);

/* Some defects are a back-end that hangs, or dies. */
void defect_hang(void) __attribute__((noreturn));
void defect_die(void) __attribute__((noreturn));

#endif
