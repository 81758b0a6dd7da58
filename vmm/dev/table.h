/* SPDX-License-Identifier: MIT */
/* table.h - the kinds of virtio devices, in the order of their slots
 *
 * A kind is one line here: X(option, class, takes, help).  `option` is its name on the command line
 * and in JSON; its class is CLASS_class, and the schema of its options CLASS_schema.
 */
#ifndef DEV_TABLE_H
#define DEV_TABLE_H

#include "dev/balloon.h"
#include "dev/blk.h"
#include "dev/fs.h"
#include "dev/net.h"
#include "dev/rng.h"
#include "dev/vconsole.h"
#include "dev/vsock.h"

#define DEVICE_TABLE(X)                                                                                      \
	X(disk, blk,                                                                                         \
		"PATH[,ro][,overlay[=FILE]][,serial=S][,queues=N][,direct][,engine=E][,rate=R][,ops=N]",     \
		"a disk, again for each: a file, a block device, or vhost-user=SOCKET")                      \
	X(net, net,                                                                                          \
		"user|tap=NAME|fd=N[,hostfwd=F][,host][,vhost][,queues=N][,mac=M][,mtu=N][,rate=R][,ops=N]", \
		"a network interface, again for each: through passt, or a tap interface")                    \
	X(vsock, vsock, "PATH|cid=N|PATH,cid=N",                                                             \
		"streams between guest and host, at a unix socket or by vhost (default: off)")               \
	X(share, fs, "DIR:TAG[,ro]",                                                                         \
		"a directory of the host, again for each: mount -t virtiofs TAG /mnt")                       \
	X(balloon, balloon,                                                                                  \
		"on|off|[size=SIZE][,stats=SECONDS][,reporting=on|off][,hinting=on|off]",                    \
		"memory that the guest does without goes back to the host (default: off)")                   \
	X(rng, rng, "on|off|[rate=R][,ops=N]",                                                               \
		"a source of random bytes (default: on if there are other devices)")                         \
	X(hvc, hvc, "stdio|file:PATH|pty|socket:PATH|null",                                                  \
		"a virtio console, again for each: hvc0 and on in Linux")                                    \
	X(port, port, "TO,name=NAME",                                                                        \
		"a port, again for each: /dev/virtio-ports/NAME in Linux; TO as in --hvc")

#define DEVICE_ENUM(option, class, takes, help) DEVICE_##option,
enum device_kind { DEVICE_TABLE(DEVICE_ENUM) N_DEVICE_KINDS };
#undef DEVICE_ENUM

/* By kind. */
extern const struct virtio_class *const device_class[N_DEVICE_KINDS];
extern const char *const device_option[N_DEVICE_KINDS];

#endif
