/* SPDX-License-Identifier: MIT */
/*
 * Putting devices on the vDPA bus and taking them off: generic netlink family
 * "vdpa". The kernel does all the work inside our send, and asks the device
 * questions meanwhile: never call these from the thread that answers them.
 *
 * The family is not aware of network namespaces: it must be asked from the
 * initial one.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "transport/vduse/sys.h"
#include "wire/vdpa.h"

/* What came back: libnl's own codes are coarser than the errno the kernel sent. */
struct nl_answer {
	int code; /* 1: none yet */
	char text[160];
};

static void ext_ack(const struct nlmsgerr *ne, struct nl_answer *a)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(const void *)ne - 1;
	size_t off = sizeof(*ne);
	struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	size_t len = nlh->nlmsg_len - NLMSG_HDRLEN;

	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED))
		off += NLMSG_ALIGN(ne->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (off >= len)
		return;
	if (nla_parse(tb, NLMSGERR_ATTR_MAX, (struct nlattr *)(void *)((char *)(uintptr_t)ne + off),
		      (int)(len - off), NULL) == 0 &&
	    tb[NLMSGERR_ATTR_MSG])
		nla_strlcpy(a->text, tb[NLMSGERR_ATTR_MSG], sizeof(a->text));
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *ne, void *arg)
{
	struct nl_answer *a = arg;

	a->code = ne->error;
	ext_ack(ne, a);
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	struct nl_answer *a = arg;

	a->code = 0;
	return NL_STOP;
}

static int nl_code(int nle)
{
	switch (-nle) {
	case NLE_PERM:
	case NLE_NOACCESS:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int open_family(struct nl_sock **sk, int *family, struct err *e)
{
	int one = 1, rc;

	*sk = nl_socket_alloc();
	if (!*sk)
		return err_sys(e, -ENOMEM, "out-of-memory", "netlink socket");
	rc = genl_connect(*sk);
	if (rc < 0)
		return err_set(e, nl_code(rc), "vdpa-netlink",
			       "cannot open a generic netlink socket: %s", nl_geterror(rc));
	*family = genl_ctrl_resolve(*sk, VDPA_NL_FAMILY);
	if (*family < 0) {
		err_set(e, -EOPNOTSUPP, "vdpa-missing",
			"the kernel has no vDPA bus (netlink family 'vdpa' is missing)");
		return err_hint(e, "Try: sudo modprobe vdpa vduse virtio_vdpa");
	}
	/* Sentences of the kernel with its error codes; older kernels have none. */
	setsockopt(nl_socket_get_fd(*sk), SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	nl_socket_disable_auto_ack(*sk);
	return 0;
}

static int exchange(struct nl_sock *sk, struct nl_msg *msg, struct nl_answer *a)
{
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int rc;

	if (!cb)
		return -ENOMEM;
	nl_cb_err(cb, NL_CB_CUSTOM, on_error, a);
	nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, a);
	rc = nl_send_auto(sk, msg);
	if (rc < 0)
		a->code = nl_code(rc);
	while (a->code == 1) {
		rc = nl_recvmsgs(sk, cb);
		if (rc < 0 && a->code == 1)
			a->code = nl_code(rc);
	}
	nl_cb_put(cb);
	return a->code;
}

/* DEV_NEW or DEV_DEL of @name. */
static int request(int cmd, const char *name, struct nl_answer *a, struct err *e)
{
	struct nl_sock *sk = NULL;
	struct nl_msg *msg = NULL;
	int family = -1, rc;

	rc = open_family(&sk, &family, e);
	if (rc < 0)
		goto out;
	msg = nlmsg_alloc();
	if (!msg ||
	    !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, family, 0, NLM_F_REQUEST | NLM_F_ACK,
			 (uint8_t)cmd, VDPA_NL_VERSION) ||
	    nla_put_string(msg, VDPA_NL_A_DEV_NAME, name) < 0 ||
	    (cmd == VDPA_NL_DEV_NEW &&
	     nla_put_string(msg, VDPA_NL_A_MGMTDEV_DEV_NAME, VDPA_NL_MGMT_VDUSE) < 0)) {
		rc = err_sys(e, -ENOMEM, "out-of-memory", "netlink message");
		goto out;
	}
	rc = exchange(sk, msg, a);
	if (rc < 0)
		err_sys(e, rc, "vdpa-netlink", "the kernel refused%s%s", a->text[0] ? ": " : "",
			a->text);
out:
	nlmsg_free(msg);
	nl_socket_free(sk);
	return rc;
}

int vduse_netlink_add(const struct vduse_sys *s, const char *name, struct err *e)
{
	struct nl_answer a = { .code = 1 };
	int rc = request(VDPA_NL_DEV_NEW, name, &a, e);

	switch (rc) {
	case -EPERM:
		err_set(e, rc, "vdpa-permission",
			"cannot attach '%s': adding a vDPA device needs CAP_NET_ADMIN", name);
		return err_hint(e, "Try: run it as root (sudo)");
	case -EEXIST:
		return err_set(e, rc, "vduse-name-exists",
			       "cannot attach '%s': there is a vDPA device of that name already",
			       name);
	case -ENODEV:
		err_set(e, rc, "vduse-module-missing",
			"cannot attach '%s': the vDPA bus does not know VDUSE", name);
		return err_hint(e, "Try: sudo modprobe vduse");
	default:
		return rc < 0 ? err_prefix(e, "cannot attach '%s' to the vDPA bus", name) : 0;
	}
}

int vduse_netlink_del(const struct vduse_sys *s, const char *name, struct err *e)
{
	struct nl_answer a = { .code = 1 };
	int rc = request(VDPA_NL_DEV_DEL, name, &a, e);

	if (rc == -EPERM) {
		err_set(e, rc, "vdpa-permission",
			"cannot detach '%s': removing a vDPA device needs CAP_NET_ADMIN", name);
		return err_hint(e, "Try: sudo vdpa dev del %s", name);
	}
	return rc < 0 ? err_prefix(e, "cannot detach '%s' from the vDPA bus", name) : 0;
}
