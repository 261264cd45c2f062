/* SPDX-License-Identifier: MIT */
/* The vhost-user transport from its start to its stop: sockets, descriptors, draining. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/compiler.h"
#include "vu-world.h"

/* ---- start and stop ---- */

static void stop_drains_before_it_hangs_up(void **state)
{
	struct world *w = *state;

	atomic_store(&w->model.hold, true);
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, atomic_load(&w->model.held_n) == 1);
	world_stop_begin(w, TRANSPORT_STOP_ASK);
	world_turn_for(w, SECOND / 20);
	assert_false(w->stopped);
	assert_false(fe_readable(w->sock));
	assert_int_equal(access(w->path, F_OK), -1); /* nobody new meanwhile */
	worker_call(w->worker, world_model_release, &w->model);
	UNTIL(w, w->stopped);
	assert_int_equal(w->stop_res, 0);
	assert_int_equal(fe_used_idx(w, 0), 1);
	assert_int_equal(w->disconnected, 1);
	fe_hung_up(w);
	vhost_user_transport.free(w->t);
	w->t = NULL;
}

static void stop_overtakes_a_disconnect_that_waits(void **state)
{
	struct world *w = *state;

	atomic_store(&w->model.hold, true);
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, atomic_load(&w->model.held_n) == 1);
	close(w->sock);
	w->sock = -1;
	world_turn_for(w, SECOND / 50);
	assert_int_equal(w->disconnected, 0);
	world_stop_begin(w, TRANSPORT_STOP_FORCE);
	world_turn_for(w, SECOND / 50);
	assert_false(w->stopped);
	worker_call(w->worker, world_model_release, &w->model);
	UNTIL(w, w->stopped);
	assert_int_equal(w->stop_res, 0);
	assert_int_equal(w->disconnected, 1);
	vhost_user_transport.free(w->t);
	w->t = NULL;
}

static void device_can_be_served_again_after_a_stop(void **state)
{
	struct world *w = *state;
	struct err e;

	fe_start_all(w);
	world_stop(w);
	fe_hung_up(w);
	memset(w->mem, 0, DATA_OFF);
	assert_int_equal(world_start(w, -1, false, &e), 0);
	w->sock = fe_connect(w);
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
}

static void connected_descriptor_is_one_session(void **state)
{
	struct world *w = *state;
	struct err e;
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	w->path[0] = '\0';
	assert_int_equal(world_start(w, sv[1], false, &e), 0);
	w->sock = sv[0];
	fe_start_all(w);
	fe_submit(w, 0);
	UNTIL(w, fe_used_idx(w, 0) == 1);
	close(w->sock);
	w->sock = -1;
	UNTIL(w, w->disconnected == 1);
	world_turn_for(w, SECOND / 50);
	assert_int_equal(w->failed, 0);
}

static void listening_descriptor_is_served_as_a_path(void **state)
{
	struct world *w = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err e;

	strcpy(sa.sun_path, w->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(world_start(w, fd, false, &e), 0);
	for (int i = 0; i < 2; i++) {
		w->sock = fe_connect(w);
		fe_sync(w);
		close(w->sock);
		w->sock = -1;
	}
	world_stop(w);
	assert_int_equal(access(w->path, F_OK), 0); /* whoever made it removes it */
}

static void useless_descriptors_are_refused_and_closed(void **state)
{
	struct world *w = *state;
	unsigned int fds = world_count_fds();
	struct err e;

	assert_true(world_start(w, dup(w->memfd), false, &e) < 0);
	assert_true(world_start(w, socket(AF_UNIX, SOCK_STREAM, 0), false, &e) < 0);
	assert_true(world_start(w, socket(AF_UNIX, SOCK_DGRAM, 0), false, &e) < 0);
	assert_string_equal(e.id, "bad-descriptor");
	assert_int_equal(world_count_fds(), fds);
}

static void once_ends_with_the_first_that_spoke(void **state)
{
	struct world *w = *state;
	struct err e;
	int fd;

	assert_int_equal(world_start(w, -1, true, &e), 0);
	fd = fe_connect(w); /* only wants to know whether we are there */
	world_turn_for(w, SECOND / 100);
	close(fd);
	world_turn_for(w, SECOND / 50);
	assert_int_equal(w->disconnected, 0);
	w->sock = fe_connect(w);
	fe_sync(w);
	close(w->sock);
	w->sock = -1;
	UNTIL(w, w->disconnected == 1);
	fd = fe_connect(w); /* the backlog is there, nobody accepts */
	fe_send(fd, VHOST_USER_GET_FEATURES, 1, NULL, 0, NULL, 0);
	world_turn_for(w, SECOND / 20);
	assert_false(fe_readable(fd));
	close(fd);
}

static void socket_in_use_is_left_alone(void **state)
{
	struct world *w = *state; /* serving */
	struct vdev_args a = { .name = "other",
			       .model = &world_model,
			       .nqueues = 1,
			       .max_size = 8,
			       .nworkers = 1 };
	struct vu_dev *mine = w->dev, *other;
	struct transport *t = w->t;
	struct err e;

	a.priv = &w->model;
	a.workers = &w->worker;
	a.loop = w->loop;
	other = vdev_new(&a, &e);
	assert_non_null(other);
	w->dev = other;
	assert_int_equal(world_start(w, -1, false, &e), -EADDRINUSE);
	assert_string_equal(e.id, "socket-in-use");
	assert_true(e.hint[0]);
	w->dev = mine;
	w->t = t;
	vdev_free(other);
	fe_start_all(w); /* the first one still answers */
}

static void device_on_a_transport_is_refused(void **state)
{
	struct world *w = *state;
	struct transport *t = w->t;
	struct err e;

	assert_int_equal(world_start(w, -1, false, &e), -EBUSY);
	w->t = t;
	fe_sync(w);
}

static void leftover_socket_is_replaced_with_the_mode_asked_for(void **state)
{
	struct world *w = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct stat st;
	struct err e;

	strcpy(sa.sun_path, w->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	listen(fd, 1);
	close(fd); /* as after SIGKILL */
	assert_int_equal(world_start(w, -1, false, &e), 0);
	assert_non_null(strstr(w->log, "left by a process that is gone; replaced"));
	assert_int_equal(lstat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	w->sock = fe_connect(w);
	fe_sync(w);
}

static void file_that_is_no_socket_is_never_removed(void **state)
{
	struct world *w = *state;
	FILE *f = fopen(w->path, "we");
	struct err e;

	fputs("precious", f);
	fclose(f);
	assert_int_equal(world_start(w, -1, false, &e), -EEXIST);
	assert_string_equal(e.id, "socket-path-taken");
	assert_int_equal(access(w->path, F_OK), 0);
	unlink(w->path);
	assert_int_equal(symlink("/nonexistent", w->path), 0);
	assert_int_equal(world_start(w, -1, false, &e), -EEXIST);
	w->t = NULL;
}

static void stop_removes_only_its_own_socket(void **state)
{
	struct world *w = *state;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char moved[128];
	struct err e;

	assert_int_equal(world_start(w, -1, false, &e), 0);
	snprintf(moved, sizeof(moved), "%s.old", w->path);
	assert_int_equal(rename(w->path, moved), 0); /* keeps the inode: its number is not reused */
	strcpy(sa.sun_path, w->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	world_stop(w);
	assert_int_equal(access(w->path, F_OK), 0);
	close(fd);
	unlink(w->path);
	unlink(moved);
	assert_int_equal(world_start(w, -1, false, &e), 0);
	world_stop(w);
	assert_int_equal(access(w->path, F_OK), -1);
}

static void path_too_long_says_how_long(void **state)
{
	struct world *w = *state;
	char path[200];
	struct transport_args a = { .dev = w->dev, .path = path, .fd = -1, .group = (gid_t)-1 };
	struct transport *t;
	struct err e;

	memset(path, 'x', sizeof(path));
	path[131] = '\0';
	assert_int_equal(vhost_user_transport.start(&a, &t, &e), -ENAMETOOLONG);
	assert_string_equal(e.what, "socket path is 131 bytes; UNIX sockets allow 107");
	snprintf(path, sizeof(path), "%s/", w->dir);
	memset(path + strlen(path), 'x', 107 - strlen(path));
	path[107] = '\0';
	assert_int_equal(vhost_user_transport.start(&a, &t, &e), 0);
	w->t = t;
	world_stop(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIVE(stop_drains_before_it_hangs_up),
		LIVE(stop_overtakes_a_disconnect_that_waits),
		LIVE(device_can_be_served_again_after_a_stop),
		BARE(connected_descriptor_is_one_session),
		BARE(listening_descriptor_is_served_as_a_path),
		BARE(useless_descriptors_are_refused_and_closed),
		BARE(once_ends_with_the_first_that_spoke),
		LIVE(socket_in_use_is_left_alone),
		LIVE(device_on_a_transport_is_refused),
		BARE(leftover_socket_is_replaced_with_the_mode_asked_for),
		BARE(file_that_is_no_socket_is_never_removed),
		BARE(stop_removes_only_its_own_socket),
		BARE(path_too_long_says_how_long),
	};

	return cmocka_run_group_tests_name("vhost-user start and stop", tests, NULL, NULL);
}
