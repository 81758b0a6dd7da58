/* SPDX-License-Identifier: MIT */
/* virtio.h - what every virtio device has: features, status, queues, kicks
 *
 * Source: virtio 1.2, 2 and 3.  A device is a class (struct virtio_class) and a struct that begins
 * with a struct virtio_dev.  A transport (mmio.h, pci.h) is how the guest reaches it.  The two know
 * nothing of each other: both speak with what is here.
 *
 * All device code runs with the device's lock held: for an access of a vCPU the bus takes it, for a
 * kick or a file's event the loop (bus/bus.h, loop/loop.h).
 */
#ifndef VIRTIO_VIRTIO_H
#define VIRTIO_VIRTIO_H

#include "bus/bus.h"
#include "bus/irqfd.h"
#include "loop/loop.h"
#include "state/state.h"
#include "util/counter.h"
#include "util/diag.h"
#include "util/log.h"
#include "util/schema.h"
#include "virtio/virtq.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <stdbool.h>
#include <stdint.h>

struct consoles;
struct virtio_dev;
struct virtio_env;

#define VIRTIO_MAX_QUEUES 32
#define VIRTIO_BIT(bit)   (UINT64_C(1) << (bit))

/* Chains that are served for one kick; then others have their turn. */
#define VIRTIO_BUDGET 256u

/* What a device that looks at the host once more is handed for that. */
struct virtio_anew {
	int fd; /* the file that its options name, open, the caller's; -1: it opens that itself */
};

struct virtio_class {
	const char *name; /* "rng": for messages */
	uint16_t id;      /* VIRTIO_ID_*, what the guest knows it by */
	bool moves_data;  /* it is the I/O thread's, not the control thread's, to serve it */
	/* A kick is served by the vCPU that makes it, and there is no doorbell: serve() and
	 * served() then run on its thread, too.
	 */
	bool serves_at_once;

	/* Whether a device with these options needs guest RAM that is shared.  NULL: none does. */
	bool (*shares_memory)(const void *options);

	const struct schema *options; /* of the class's own struct, its size among it */

	/* Make one by its options and take what it needs of the host.  NULL and diag.  The main
	 * thread, before the guest runs.
	 */
	struct virtio_dev *(*open)(
		const void *options, const struct virtio_env *env, struct diag *diag);

	/* The next chain of an enabled queue, while the driver is ready.  0: it was pushed, or will
	 * be; its segments stay only during the call, so who goes on copies them.  -EAGAIN: not
	 * now: it goes back, and virtio_serve() comes to it again.  -EBADMSG: it breaks the
	 * device's rules.
	 */
	int (*serve)(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain);

	/* No chain follows for now: submit what serve() has gathered.  NULL: nothing to do. */
	void (*served)(struct virtio_dev *dev, struct virtq *vq);

	/* The driver is ready (DRIVER_OK), and dev->features are what it wants.  NULL: nothing to
	 * do.  -errno: the device needs a reset.
	 */
	int (*start)(struct virtio_dev *dev);

	/* An enabled queue begins, after start().  NULL and -errno as there. */
	int (*start_queue)(struct virtio_dev *dev, struct virtq *vq);

	/* The queue ends: afterwards nothing of it is in flight, and guest memory is touched for
	 * it no more.  NULL: nothing ever is between two calls.
	 */
	void (*stop_queue)(struct virtio_dev *dev, struct virtq *vq);

	/* The device is reset; its queues have been stopped.  NULL: nothing to do. */
	void (*reset)(struct virtio_dev *dev);

	/* The machine is paused: afterwards nothing is in flight, nor done by who serves it
	 * elsewhere.  What was is done, or goes back to be begun anew; none of it is dropped. NULL:
	 * nothing ever is between two calls.
	 */
	void (*quiesce)(struct virtio_dev *dev);

	/* And goes on.  Queues with something available are served then in any case.  NULL: nothing
	 * else to do.
	 */
	void (*resume)(struct virtio_dev *dev);

	/* The guest wrote to the configuration space, within dev->config_size.  NULL: it may not.
	 */
	void (*write_config)(
		struct virtio_dev *dev, uint32_t offset, unsigned int size, uint64_t value);

	/* Some of its options are not what they were: do as they say now.  `anew`, unless NULL: and
	 * what it has of the host by them is taken, or looked at, once more, such as a file and its
	 * size.  None of them is kept a pointer to.  NULL: they cannot change.  -errno and diag:
	 * all is as it was.  The control thread, with the lock held; no loop serves it meanwhile.
	 */
	int (*update)(struct virtio_dev *dev, const void *options, const struct virtio_anew *anew,
		struct diag *diag);

	/* Do what is asked of this kind of device alone, by its name; `json` is empty, and has room
	 * for a JSON object of `size` bytes to answer with.  NULL: nothing is known.  -errno and
	 * diag.  The control thread.
	 */
	int (*command)(struct virtio_dev *dev, const char *what, char *json, size_t size,
		struct diag *diag);

	/* Of its struct what a copy of the machine begins with, beside what every device has. NULL:
	 * nothing.
	 */
	const struct state_table *state;

	/* Why a machine that has this device cannot be saved, in words that stay; NULL: it can.
	 * NULL itself: each can.
	 */
	const char *(*why_stays)(const struct virtio_dev *dev);

	/* The machine is quiet, and is about to be saved: see that queues and fields say what there
	 * is, and that what a copy is to find on the host is there.  NULL: so it always is.
	 * -errno, diag.
	 */
	int (*saving)(struct virtio_dev *dev, struct diag *diag);

	/* Queues and fields were loaded, and start() called if the driver was ready: judge what a
	 * file says, and have the host's side go by it.  The device is quiet until resume().  NULL:
	 * nothing to do.  -errno, diag.
	 */
	int (*loaded)(struct virtio_dev *dev, struct diag *diag);

	/* The machine is quiet, and about to be forked: what it has on the host that goes with the
	 * process, for which it could not be saved, is copied into a file that is the caller's; *fd
	 * stays as it is if there is nothing.  NULL: there never is.  -errno and diag.
	 */
	int (*copy)(struct virtio_dev *dev, int *fd, struct diag *diag);

	/* Such a device was loaded, in a process that was forked from that of `from`, whose struct
	 * is there and is of no use but for this: begin with the copy.  The file stays the
	 * caller's, and as it is.  -errno and diag.
	 */
	int (*take_copy)(
		struct virtio_dev *dev, struct virtio_dev *from, int fd, struct diag *diag);

	/* What it counts, in its struct.  NULL: nothing. */
	const struct counter *counters;

	/* What there is to tell of it, as a JSON object, into `size` bytes.  NULL: nothing. */
	void (*describe)(struct virtio_dev *dev, char *json, size_t size);

	/* Give back what it has taken, and itself.  Its queues have been stopped. */
	void (*close)(struct virtio_dev *dev);
};

/* Where a guest's write is a kick of a queue (KVM_IOEVENTFD). */
struct virtio_doorbell {
	uint64_t gpa;
	uint32_t size; /* bytes of the access; 0: any */
	bool has_match;
	uint64_t match; /* and its value */
};

/* A queue, and how the guest is heard. */
struct virtio_queue {
	struct virtq vq; /* first */
	struct virtio_dev *dev;
	struct loop_source kick;     /* eventfd */
	bool bound;                  /* to the guest's notification, by KVM */
	struct virtio_doorbell bell; /* which that is, if it is bound */
	bool at_once;                /* as class->serves_at_once, of this queue alone */
	struct irqfd call;           /* who serves it elsewhere interrupts the guest so */
	bool is_called;              /* it does, for now */
};

struct virtio_transport {
	/* Interrupt the guest for a queue, or because the configuration has changed. */
	void (*signal_queue)(struct virtio_transport *transport, unsigned int index);
	void (*signal_config)(struct virtio_transport *transport);
	/* Where a queue's doorbell is; false: nowhere, for now. */
	bool (*doorbell)(const struct virtio_transport *transport, unsigned int index,
		struct virtio_doorbell *bell);
	/* is_called has changed for some queues: have the host's kernel interrupt the guest for
	 * those for which it is set, as far as it can; for what it does not, signal_queue() is
	 * called.  NULL: it never can.
	 */
	void (*connect_calls)(struct virtio_transport *transport);
};

/* What a machine gives its devices; it outlives them. */
struct virtio_env {
	const struct guest_mem *mem;
	struct loop *loop; /* serves their queues and files */
	/* Have KVM write to the eventfd for a write to the doorbell, or no more.  -errno: the write
	 * reaches the transport as any other, which is slower.
	 */
	int (*bind)(void *ctx, const struct virtio_doorbell *bell, int fd, bool on);
	const struct irqfd_ops *irqfds; /* NULL: there are none */
	/* What virtio_tell_failure() tells.  NULL: nobody hears it. */
	void (*failed)(void *ctx, const struct virtio_dev *dev, const char *why);
	/* A stream socket, non-blocking and the caller's, that is connected to `path`; -errno.
	 * NULL: the device makes one by itself.
	 */
	int (*connect)(void *ctx, const char *path);
	void *ctx;
	struct consoles *consoles; /* host/consoles.h: for who is one */
	unsigned int ordinal;      /* of the device that open() makes, from 0 among its kind */
};

struct virtio_dev {
	struct device dev; /* first; its ops are the transport's */
	const struct virtio_class *class;
	const struct virtio_env *env;
	struct virtio_transport *transport;
	uint64_t offered;  /* features, VIRTIO_F_* of the rings among them */
	uint64_t features; /* what the driver took of them */
	uint8_t status;    /* VIRTIO_CONFIG_S_* */
	uint8_t config_generation;
	bool is_ending; /* all queues are stopped, one after the other: nothing of them is wanted */
	uint16_t config_size;
	const void *config; /* configuration space, little-endian, owned by the class's struct */
	unsigned int n_queues;
	/* Of these the first, which another process or the host's kernel serves, and whose kicks it
	 * reads.  When that one is gone (virtio_lose()) the loop hears them, and serve() is to
	 * answer each chain with a failure.
	 */
	unsigned int n_elsewhere;
	struct virtio_queue *queue; /* owned */
	struct iovec *iov;          /* of the chain that is served, VIRTQ_MAX_CHAIN; owned */
	uint64_t n_faults;          /* of the guest, each of which made a reset necessary */
	bool lost;                  /* what was behind it on the host is gone, for good */
	bool writes_unseen;         /* into guest memory, past the page tables: direct I/O */
	bool is_quiet;              /* the machine is paused: nothing is served or signalled */
	bool owes_config;           /* and the configuration has changed meanwhile */
	struct log_limit limit;
};

/* ---- for classes ---- */

/* Counts that any device has, for its table. */
#define VIRTIO_COUNTERS                                              \
	{                                                            \
		"event_fails", offsetof(struct virtio_dev, n_faults) \
	}

/* `dev` is zero but for what the class has set of it: config, config_size, n_elsewhere.  `features`
 * are the class's own; those of rings are added, unless who serves it elsewhere must know them.
 * Queues have `queue_size` entries at most.  -errno, diag.
 */
int virtio_dev_init(struct virtio_dev *dev, const struct virtio_class *class,
	const struct virtio_env *env, uint64_t features, unsigned int n_queues, uint16_t queue_size,
	struct diag *diag);
void virtio_dev_fini(struct virtio_dev *dev);

static inline bool virtio_has_feature(const struct virtio_dev *dev, unsigned int bit)
{
	return dev->features & VIRTIO_BIT(bit);
}

/* Its number with its device. */
static inline unsigned int virtio_index(const struct virtq *vq)
{
	const struct virtio_queue *queue = (const struct virtio_queue *)vq;

	return (unsigned int)(queue - queue->dev->queue);
}

/* Who serves the queue elsewhere interrupts the guest by queue->call, or no more.  For
 * start_queue() and stop_queue().
 */
static inline void virtio_set_called(struct virtq *vq, bool on)
{
	((struct virtio_queue *)vq)->is_called = on;
}

/* Have the queue served as class->serves_at_once says, or not.  For start(). */
static inline void virtio_set_at_once(struct virtq *vq, bool on)
{
	((struct virtio_queue *)vq)->at_once = on;
}

/* Interrupt the guest if it wants that for what was pushed. */
void virtio_signal(struct virtio_dev *dev, struct virtq *vq);

/* Serve what is available, as at a kick: for a device that was short of something and is no longer.
 * Signals.
 */
void virtio_serve(struct virtio_dev *dev, struct virtq *vq);

/* The same when others have had their turn.  Any thread. */
void virtio_kick_later(struct virtq *vq);

/* The configuration space has changed: say so. */
void virtio_config_changed(struct virtio_dev *dev);

/* The guest has broken the rules (2.1.2): the device does nothing more until it is reset. */
void virtio_fail(struct virtio_dev *dev, const char *why);

/* What the device needs of the host is gone, for good: have the machine's operator told.  Any
 * thread.
 */
void virtio_tell_failure(const struct virtio_dev *dev, const char *why);

/* Who served it elsewhere is gone, for good: what the guest has asked for and asks for fails, and
 * no driver gets it to work again.  The operator is told why; the caller says it in the log.
 */
void virtio_lose(struct virtio_dev *dev, const char *why);

/* ---- for transports ---- */

/* For virtio_state.c: the driver was ready before, as its status says. */
int virtio_start_loaded(struct virtio_dev *dev, struct diag *diag);

/* The guest's kick, if it came by an access; with the device's lock held. */
void virtio_kick(struct virtio_dev *dev, unsigned int index);

/* 32 bits of the features: 0 the low ones, 1 the high ones; none beyond. */
uint32_t virtio_offered_word(const struct virtio_dev *dev, uint32_t word);
void virtio_set_features_word(struct virtio_dev *dev, uint32_t word, uint32_t value);
uint32_t virtio_features_word(const struct virtio_dev *dev, uint32_t word);

/* What the driver writes to the status register (2.1); 0 resets the device. */
void virtio_set_status(struct virtio_dev *dev, uint8_t status);

/* NULL beyond the last. */
struct virtq *virtio_queue(struct virtio_dev *dev, uint32_t index);

/* The driver has set its rings up, or gives them back (2.6.1 queue reset). */
void virtio_enable_queue(struct virtio_dev *dev, uint32_t index);
void virtio_reset_queue(struct virtio_dev *dev, uint32_t index);

/* Configuration space; what lies beyond its end reads as zero and is not written. */
uint64_t virtio_read_config(const struct virtio_dev *dev, uint64_t offset, unsigned int size);
void virtio_write_config(
	struct virtio_dev *dev, uint64_t offset, unsigned int size, uint64_t value);

/* The transport's doorbells are elsewhere. */
void virtio_rebind(struct virtio_dev *dev);

/* As it was when it was made. */
void virtio_reset(struct virtio_dev *dev);

/* ---- for the machine ----
 *
 * The main thread's, all of them, while no vCPU runs and no other thread's loop serves the device.
 * They take its lock.
 */

/* Until virtio_resume() nothing is in flight, guest memory is not touched, and the guest is not
 * interrupted, but by the device's own reset, after which it is as quiet.  A back end that does not
 * answer is waited for as it always is, and then given up.
 */
void virtio_quiesce(struct virtio_dev *dev);

/* It goes on; what it was asked for meanwhile, or is going to be served by a loop that stands
 * still, is not lost.
 */
void virtio_resume(struct virtio_dev *dev);

/* While it is quiet: add to a file all that a copy of it goes by, as that of slot `slot`, -errno
 * and diag; or why that can never be, NULL if it can.
 */
int virtio_save(
	struct virtio_dev *dev, struct state_writer *writer, uint32_t slot, struct diag *diag);
const char *virtio_why_not_saved(const struct virtio_dev *dev);

/* Have a device that was just made be as that one was; it is quiet, for virtio_resume().  After its
 * transport's state, and when guest RAM is there.  -errno and diag: it is to be closed.
 */
int virtio_load(
	struct virtio_dev *dev, struct state_reader *reader, uint32_t slot, struct diag *diag);

/* The tables of that, for who describes a file. */
extern const struct state_table virtio_state, virtq_state;

/* Stop it, wait for what is in flight, and free it; doorbells go with the VM.  Quiet or not. */
void virtio_close(struct virtio_dev *dev);

#endif
