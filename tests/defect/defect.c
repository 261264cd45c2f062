/* SPDX-License-Identifier: MIT */
/* The table of defects; see defect.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "defect.h"
#include "util/compiler.h"

struct known {
	const char *name;
	const char *what;
};

/* By group of cases, in the order of the cases' files. */
static const struct known known[] = {
	/* negotiation */
	{ "features-change", "GET_FEATURES alternates" },
	{ "features-change-by-session", "every other connection is offered less" },
	{ "features-are-accepted", "GET_FEATURES gives what was accepted" },
	{ "features-no-version-1", "VIRTIO_F_VERSION_1 is not offered" },
	{ "features-no-flush", "VIRTIO_BLK_F_FLUSH is not offered" },
	{ "protocol-changes", "GET_PROTOCOL_FEATURES alternates" },
	{ "protocol-needs-bit-30", "nothing is acknowledged before bit 30 is accepted" },
	{ "protocol-once", "a second SET_PROTOCOL_FEATURES ends the session" },
	{ "protocol-needs-any", "a front-end that accepts no protocol feature is not served" },
	{ "protocol-needs-mq", "a front-end that does not accept MQ is not served" },
	{ "features-all-or-none", "EVENT_IDX and INDIRECT_DESC have to be accepted" },
	{ "features-one-missing", "EVENT_IDX without INDIRECT_DESC is refused" },
	{ "unoffered-accepted", "any feature can be accepted" },
	{ "unoffered-protocol-accepted", "any protocol feature can be accepted" },
	{ "owner-once", "a second SET_OWNER ends the session" },
	{ "protocol-no-mq", "MQ is not offered" },
	{ "queue-num-grows", "GET_QUEUE_NUM says more each time" },
	{ "ring-first-only", "only the first queue is served" },
	/* messages */
	{ "reply-no-flag", "the answer to GET_VRING_BASE lacks the reply flag" },
	{ "reply-echoes-flags", "answers repeat need_reply" },
	{ "ack-twice", "a request with an answer of its own is acknowledged besides" },
	{ "ack-nofd-refused", "SET_VRING_CALL without a descriptor is refused" },
	{ "ack-unasked", "messages are acknowledged without need_reply" },
	{ "ack-unnegotiated", "messages are acknowledged without REPLY_ACK" },
	{ "ack-always-zero", "what is refused is acknowledged with 0" },
	{ "ack-late", "an acknowledgement comes after the next answer" },
	{ "pipelined-lost", "what was sent behind a message is dropped" },
	{ "pieces-end", "a message that comes in pieces ends the session" },
	{ "pieces-lose-fds", "descriptors with a piece of a header are lost" },
	{ "unknown-kills", "an unknown request ends the process" },
	{ "request-zero-kills", "request 0 ends the process" },
	{ "request-8-bits", "request ids are cut to 8 bits" },
	{ "version-ignored", "any version will do" },
	{ "reserved-kills", "reserved header flags end the process" },
	{ "reply-flag-kills", "a request with the reply flag ends the process" },
	/* memory */
	{ "mem-first-region", "guest addresses are looked for in the first region only" },
	{ "mem-must-ascend", "regions must come in the order of their addresses" },
	{ "mem-adjacent-refused", "regions next to each other count as overlapping" },
	{ "mem-gpa-32-bits", "guest addresses of regions are cut to 32 bits" },
	{ "mem-offset-ignored", "regions begin at the beginning of their files" },
	{ "mem-huge-refused", "regions of more than 4 GiB are refused" },
	{ "mem-table-stops", "a memory table stops the rings" },
	{ "mem-table-once", "a second memory table is acknowledged and not used" },
	{ "mem-file-unchecked", "regions may end behind their files" },
	{ "mem-overlap-taken", "regions may overlap" },
	{ "slots-none", "GET_MAX_MEM_SLOTS says 0" },
	{ "slots-need-table", "a region is added to a memory table only" },
	{ "slots-not-running", "no region is added or removed while a ring runs" },
	{ "slots-one-less", "the last memory slot cannot be used" },
	{ "slots-rem-nothing", "REM_MEM_REG is acknowledged and does nothing" },
	{ "slots-rem-offset", "REM_MEM_REG with an offset is refused" },
	{ "slots-rem-stops", "REM_MEM_REG stops the rings" },
	{ "unmapped-ring-kills", "a ring that is not in memory ends the process" },
	/* config */
	{ "config-whole-only", "the beginning of the configuration is not given, but all of it" },
	{ "config-words-only", "reads of the configuration have to be multiples of 4" },
	{ "config-from-0", "all reads of the configuration start at 0" },
	{ "config-no-bytes", "reads of less than 4 bytes of configuration are refused" },
	{ "config-needs-features", "the configuration is given after SET_FEATURES only" },
	{ "config-stops-rings", "GET_CONFIG stops the rings" },
	{ "config-beyond", "reads behind the end of the configuration are answered" },
	{ "config-offset-dies", "an offset that overflows ends the process" },
	{ "config-size-0-silent", "a read of no bytes is not answered" },
	{ "config-long-silent", "a read of more than 256 bytes is not answered" },
	{ "config-size-dies", "a size that is not the message's ends the process" },
	{ "config-capacity-large", "the capacity is more than there is" },
	{ "config-capacity-small", "the capacity is less than there is" },
	{ "config-no-segments", "seg_max is 0" },
	{ "config-padding", "a byte that nobody uses is 1" },
	{ "config-read-only-written", "the driver can write the capacity" },
	{ "config-wce-ignored", "the cache mode cannot be written" },
	{ "config-wce-stopped-only", "the cache mode is written while no ring runs only" },
	{ "config-wce-any", "the cache mode is whatever is written" },
	{ "config-wce-without-flush", "the cache is write-back for a driver that cannot flush" },
	{ "config-any-flags", "the flags of SET_CONFIG are not looked at" },
	{ "config-write-beyond", "writes behind the end of the configuration are accepted" },
	/* ring states */
	{ "enable-starts", "a ring starts when it is enabled" },
	{ "enable-early-ignored", "SET_VRING_ENABLE before the start is ignored" },
	{ "enable-late-ignored", "SET_VRING_ENABLE after the start is ignored" },
	{ "enable-does-not-look", "a ring that is enabled waits for a kick" },
	{ "enable-always-needed", "without F_PROTOCOL_FEATURES a ring is not enabled" },
	{ "disable-moves", "disabling a ring moves it to its beginning" },
	{ "disabled-runs", "a disabled ring is served" },
	{ "start-waits-for-kick", "a ring that starts waits for a kick" },
	{ "start-skips", "a ring that starts again leaves out a request" },
	{ "start-forgets", "what was in a ring before it started is dropped" },
	{ "base-off-by-one", "GET_VRING_BASE is one too many" },
	{ "base-never-started-silent", "GET_VRING_BASE of a stopped ring is not answered" },
	{ "base-stopped-0", "GET_VRING_BASE of a stopped ring is 0" },
	{ "stop-loses-one", "GET_VRING_BASE takes a request and does not give it back" },
	{ "stop-keeps-running", "GET_VRING_BASE does not stop the ring" },
	{ "stop-stops-all", "GET_VRING_BASE stops all rings" },
	{ "num-once", "the size of a ring is taken once" },
	{ "call-once", "the call descriptor stays while the ring runs" },
	{ "call-none-refused", "a ring has to have a call descriptor" },
	{ "kick-once", "the kick descriptor stays while the ring runs" },
	{ "kick-none-idle", "a ring without a kick descriptor is not polled" },
	{ "features-again-stops", "SET_FEATURES stops the rings" },
	{ "err-silent", "a broken ring is not told of" },
	/* rings */
	{ "ring-one-lost", "the second turn's first requests are never given back" },
	{ "ring-batch-short", "a kick is good for four requests" },
	{ "ring-tires", "after 300 requests nothing is served" },
	{ "ring-base-cut", "bases are cut, and wrap counters begin with 1" },
	{ "ring-size-256", "a ring has 256 entries at most" },
	{ "ring-size-cut", "sizes that are too large are accepted and cut" },
	{ "ring-tiny-stuck", "rings of one and two entries are not served" },
	{ "ring-odd-size", "a packed ring has to have a power of two of entries" },
	{ "ring-writes-driver-part", "the driver's part of a ring is written to" },
	{ "ring-queues-mixed", "what the second ring gives back goes into the first" },
	{ "chain-64", "a chain has 64 buffers at most" },
	{ "used-early", "a request is used before it is done" },
	{ "used-length-more", "the used length is larger than the chain" },
	{ "used-length-all", "the used length of a failed request covers everything" },
	{ "used-length-0", "the used length is always 0" },
	{ "mem-last-byte", "the last byte of a region is not memory" },
	{ "mem-one-region", "what lies over two regions is not memory" },
	{ "mem-32-bit", "buffers above 4 GiB are refused" },
	{ "mem-ring-32-bit", "rings above 4 GiB are refused" },
	/* event index, indirect */
	{ "event-no-call", "with the event index nothing is notified" },
	{ "event-always", "with the event index everything is notified" },
	{ "event-wrap", "with the event index nothing is notified when an index wraps" },
	{ "event-only-next", "only the first of several used buffers can be waited for" },
	{ "event-heeds-flag", "NO_INTERRUPT counts with the event index, too" },
	{ "event-enable-heeds-offset", "the event offset counts in the mode ENABLE, too" },
	{ "flags-no-call", "without the event index nothing is notified" },
	{ "flags-always", "without the event index everything is notified" },
	{ "flags-heeds-event", "used_event counts without the event index, too" },
	{ "call-forgotten", "every 97th notification is not sent" },
	{ "kick-race", "no look at the ring after asking for a kick" },
	{ "kick-spurious-dies", "a kick for nothing ends the process" },
	{ "device-flags-event", "with the event index the device's flags mean nothing" },
	{ "device-flags-plain", "without the event index the device's flags mean nothing" },
	{ "table-mixed", "a chain after a table breaks the ring" },
	{ "table-write-flag", "WRITE beside INDIRECT breaks the ring" },
	{ "table-only-alone", "a table behind other descriptors breaks the ring" },
	{ "table-in-order", "a table out of order breaks the ring" },
	{ "table-flags", "reserved flags in a packed table break the ring" },
	/* blk */
	{ "blk-read-pieces", "data in odd pieces cannot be read" },
	{ "blk-header-whole", "the header has to be in one piece" },
	{ "blk-status-apart", "the status has to have a descriptor of its own" },
	{ "blk-last-sector", "the last sector cannot be read" },
	{ "blk-read-beyond", "reads beyond the end are fine" },
	{ "blk-odd-read", "reads of odd lengths are fine" },
	{ "blk-no-data-lost", "a read of nothing is never given back" },
	{ "blk-read-short", "reads bring 32 KiB at most" },
	{ "blk-unknown-type-ok", "requests of unknown types are fine" },
	{ "blk-id-unpadded", "GET_ID does not fill up its string" },
	{ "blk-flush-fails", "a flush fails" },
	{ "blk-write-lost", "every eighth write is lost" },
	{ "blk-write-half", "every other write of more than a sector is lost" },
	{ "blk-queue-apart", "what the second queue writes is lost" },
	{ "blk-write-pieces", "data in odd pieces cannot be written" },
	{ "blk-odd-write", "writes of odd lengths are fine" },
	{ "blk-write-wraps", "writes beyond the end begin again at the front" },
	{ "blk-read-only-writes", "a read-only disk is written to" },
	{ "blk-runt-dies", "a header that is too short ends the process" },
	{ "blk-no-status-dies", "a request without room for a status ends the process" },
	{ "blk-no-header-dies", "a request without a header ends the process" },
	{ "blk-zeroes-half", "WRITE_ZEROES does half of the range" },
	{ "blk-discard-too-much", "DISCARD does a sector more" },
	{ "blk-ranges-one", "one range at a time" },
	{ "blk-range-flags", "flags of ranges are ignored" },
	{ "blk-discard-unmap", "DISCARD takes unmap" },
	{ "blk-ranges-beyond", "ranges beyond the end are fine" },
	{ "blk-ranges-odd", "lists of ranges of odd lengths are fine" },
	{ "blk-ranges-many", "any number of ranges is fine" },
	{ "blk-range-of-none", "a range of no sectors is one of eight" },
	{ "blk-ranges-always", "DISCARD needs no negotiation" },
	{ "blk-read-only-ranges", "ranges on a read-only disk are fine" },
	{ "session-end-forgets", "the disk is empty after a session" },
	/* reset and status */
	{ "reset-ignored", "RESET_DEVICE does nothing" },
	{ "reset-started-only", "RESET_DEVICE while no ring runs ends the session" },
	{ "reset-once", "a second RESET_DEVICE ends the session" },
	{ "reset-drops-memory", "RESET_DEVICE unmaps the memory" },
	{ "reset-drops-protocol", "RESET_DEVICE forgets the protocol features" },
	{ "reset-writes-late", "memory is written after RESET_DEVICE" },
	{ "reset-first-queue", "RESET_DEVICE resets one queue" },
	{ "reset-keeps-cache", "RESET_DEVICE keeps the cache mode" },
	{ "reset-owner-closes", "RESET_OWNER ends the session" },
	{ "status-begins-with-1", "the status begins with ACKNOWLEDGE" },
	{ "status-forgotten", "the status is always 0" },
	{ "status-driver-ok-lost", "DRIVER_OK does not stay" },
	{ "status-0-ignored", "status 0 does nothing" },
	/* reconnect */
	{ "ring-once", "a ring that was started before is not started again" },
	{ "base-ignored", "rings start at their beginning" },
	{ "running-end-kills", "a connection that ends while a ring runs ends the process" },
	{ "mem-kept", "memory is kept over sessions" },
	{ "features-sticky", "features once accepted stay" },
	{ "rings-kept", "what was said about rings is kept over sessions" },
	{ "disk-forgotten", "a new session finds an empty disk" },
	/* inflight */
	{ "inflight-get-no-fd", "GET_INFLIGHT_FD is answered without a descriptor" },
	{ "inflight-set-cuts", "SET_INFLIGHT_FD cuts off the file of the record" },
	{ "inflight-dirty", "a new record has an entry in flight" },
	{ "inflight-desc-num", "records say one entry less than there are" },
	{ "inflight-keeps", "what was used stays in the record" },
	{ "inflight-forgets", "a record that is given back is begun anew" },
	{ "inflight-unordered", "what was in flight is taken in the order of the table" },
	{ "inflight-batch-twice",
	  "the last batch of the record is processed again though it was used" },
	{ "inflight-commits-early", "the last batch of the record counts as used in any case" },
	{ "inflight-used-idx-0", "a new record begins with a used index of 0" },
	{ "inflight-absurd-dies", "GET_INFLIGHT_FD with impossible numbers ends the process" },
	{ "inflight-size-dies", "SET_INFLIGHT_FD with impossible sizes ends the process" },
	{ "inflight-random-hangs", "a record of another version hangs" },
	{ "inflight-loop-hangs", "a record with too long lists hangs" },
	{ "inflight-desc-num-dies", "a record of another queue size ends the process" },
	/* state */
	{ "state-never-ends", "the end of a saved state is not told" },
	{ "state-once", "a state is saved once and not again" },
	{ "state-save-running", "a state is saved while rings run" },
	{ "state-load-running", "a state is loaded while rings run" },
	{ "state-fd-lost", "the answer promises a descriptor and none comes" },
	{ "state-load-fails", "no state can be loaded" },
	{ "state-believes", "any bytes are a good state" },
	{ "state-truncated-good", "a state may end early" },
	{ "state-load-answer-waits",
	  "SET_DEVICE_STATE_FD is answered when all of the state has come" },
	{ "state-load-blocks", "no messages are read while a state comes" },
	{ "state-any-parameters", "any direction and phase will do" },
	{ "state-check-silent", "CHECK_DEVICE_STATE without a transfer is not answered" },
	{ "state-reader-gone-dies", "a state that nobody reads ends the process" },
	{ "state-disconnect-hangs", "a connection that ends while a state is on its way hangs" },
	/* log */
	{ "log-unanswered", "SET_LOG_BASE is not answered" },
	{ "log-always", "pages are marked without F_LOG_ALL" },
	{ "log-no-data", "pages of data are not marked" },
	{ "log-no-status", "pages of status bytes are not marked" },
	{ "log-too-much", "all pages are marked" },
	{ "log-no-used", "writes to the used ring are not marked" },
	{ "log-used-always", "writes to the used ring are marked without VHOST_VRING_F_LOG" },
	{ "log-first-stays", "a second log is answered and not used" },
	{ "log-all-once", "F_LOG_ALL stays once accepted" },
	{ "log-all-stops", "switching F_LOG_ALL stops the rings" },
	{ "log-offset-ignored", "the log begins at the beginning of its file" },
	{ "log-unbounded", "marks are set behind the end of the log" },
	{ "log-impossible-dies", "a log that does not fit into its file ends the process" },
	/* hostile messages */
	{ "short-kills", "a message that is too short ends the process" },
	{ "long-kills", "a message that is too long ends the process" },
	{ "huge-size-kills", "a size that no message has ends the process" },
	{ "huge-size-waits", "a size that no message has is waited for" },
	{ "truncated-kills", "a connection that ends within a message ends the process" },
	{ "gate-kills", "a message of a feature that was not negotiated ends the process" },
	{ "config-range-kills", "a range outside of the configuration ends the process" },
	{ "ring-index-kills", "a message for a ring that does not exist ends the process" },
	{ "ring-index-8-bits", "ring indices are cut to 8 bits" },
	{ "ring-size-kills", "an impossible ring size ends the process" },
	{ "ring-base-kills", "an impossible ring position ends the process" },
	{ "kick-first-kills", "a ring that is started before all else ends the process" },
	{ "base-only-running", "the position of a ring that does not run is not answered" },
	{ "enable-value-kills", "a ring enabled with more than 1 ends the process" },
	{ "missing-fd-kills", "a message that lacks its descriptor ends the process" },
	{ "odd-fd-kills", "a descriptor that is not of the right kind ends the process" },
	{ "mem-map-kills", "memory that cannot be mapped ends the process" },
	/* hostile rings */
	{ "ring-loop-hangs", "a loop of descriptors hangs" },
	{ "ring-next-dies", "a next outside the table ends the process" },
	{ "ring-head-dies", "a head outside the table ends the process" },
	{ "ring-jump-dies", "an available index that jumps ends the process" },
	{ "ring-endless-hangs", "a packed chain without an end hangs" },
	{ "packed-id-dies", "a buffer id of no meaning ends the process" },
	{ "packed-same-id-dies", "the same buffer id twice ends the process" },
	{ "ring-unmapped-dies", "an address outside memory ends the process" },
	{ "ring-order-dies", "readable after writable ends the process" },
	{ "chain-4g-dies", "a chain of more than 4 GiB ends the process" },
	{ "chain-zero-dies", "a descriptor of no bytes ends the process" },
	{ "chain-empty-hangs", "a chain of nothing hangs" },
	{ "break-all", "a broken ring breaks the others" },
	{ "break-forever", "a broken ring cannot be started again" },
	{ "break-20-dies", "the twentieth broken ring ends the process" },
	{ "table-unasked-dies", "a table that was not negotiated ends the process" },
	{ "table-bad-dies", "an illegal table ends the process" },
	{ "table-huge-dies", "a chain of too many buffers ends the process" },
	{ "chain-twice-dies", "a chain is read twice, and ends the process if it differs" },
	{ "blk-header-twice-dies", "a header is read twice, and ends the process if it differs" },
	{ "chain-in-ring-dies", "a buffer in its own ring ends the process" },
	{ "ring-overlap-dies", "a ring that lies over itself ends the process" },
	{ "rings-one-place-dies", "two rings at one place end the process" },
	{ "mem-unmappable-dies", "a region that cannot be mapped ends the process" },
	/* exhaustion */
	{ "fds-not-closed", "descriptors that belong to nothing are not closed" },
	{ "mem-leaks", "memory is never unmapped" },
	{ "bells-leak", "descriptors of rings are never closed" },
	{ "back-channel-leaks", "back-channels are never closed" },
	{ "shared-leaks", "logs and records are never unmapped" },
	{ "session-leaks", "connections are never closed" },
	{ "silent-kills", "a connection that ends without a word ends the process" },
	{ "never-read-kills", "answers that nobody reads end the process" },
	{ "reply-dropped", "answers there is no room for are dropped" },
	{ "call-full-stops", "a call eventfd that is full stops the ring" },
	{ "bell-blocks", "writing an eventfd may block" },
	{ "kick-count-believed", "the number in a kick eventfd counts" },
	{ "sigbus-kills", "guest memory that vanishes ends the process" },
};

static bool on[ARRAY_SIZE(known)];

static size_t find(const char *name)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(known) && strcmp(known[i].name, name) != 0)
		i++;
	return i;
}

bool defect(const char *name)
{
	size_t i = find(name);

	if (i == ARRAY_SIZE(known)) {
		fprintf(stderr, "defect-backend: '%s' is not in the table of defect.c\n", name);
		abort();
	}
	return on[i];
}

bool defect_switch_on(const char *name)
{
	size_t i = find(name);

	if (i == ARRAY_SIZE(known))
		return false;
	on[i] = true;
	return true;
}

void defect_list(FILE *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		fprintf(f, "%-32s %s\n", known[i].name, known[i].what);
}

void defect_hang(void)
{
	for (;;)
		pause();
}

void defect_die(void)
{
	_exit(70);
}
