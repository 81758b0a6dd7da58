// SPDX-License-Identifier: MIT
/* fs.c - virtio-fs */

#include "dev/fs.h"

#include "host/child.h"
#include "host/remote.h"
#include "host/vhost_user.h"
#include "host/virtiofsd.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

#include <errno.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* 5.11.2: one for what has priority, and those of requests; QEMU's virtiofsd has one of these. */
#define N_QUEUES 2

/* Linux asks for as much at once as a queue holds, less four; FUSE has it be 256 pages at most. */
#define QUEUE_SIZE 512

#define MAX_TAG sizeof(((struct virtio_fs_config *)0)->tag)

/* A daemon whose connection ended is about to end, and then tells more. */
#define END_MS 200

struct fs {
	struct remote remote; /* first */
	struct vhost_user vu;
	struct virtio_fs_config config;
	struct child child; /* if has_child */
	bool has_child;
	char name[MAX_TAG + sizeof("share ")];
};

/* ---- options ---- */

#define AT(member) offsetof(struct fs_options, member)

static const struct setting settings[] = {
	{ "dir", 0, SETTING_PATH, ANYWHERE, .at = AT(dir) },
	{ "tag", 0, SETTING_TEXT, ANYWHERE, .at = AT(tag), .max = MAX_TAG },
	{ "ro", 0, SETTING_FLAG, ANYWHERE, .at = AT(read_only) },
	{ "vhost-user", 0, SETTING_PATH, ANYWHERE, .at = AT(vhost_user) },
};

/* DIR:TAG is short for dir=DIR,tag=TAG. */
static int split(struct fs_options *options, struct diag *diag)
{
	char *colon = options->dir && !options->tag ? strrchr(options->dir, ':') : NULL;

	if (!colon)
		return 0;
	options->tag = strdup(colon + 1);
	if (!options->tag)
		return diag_fail(diag, ENOMEM, "out of memory");
	*colon = '\0';
	return 0;
}

static int options_check(void *item, struct diag *diag)
{
	struct fs_options *options = item;
	int ret = split(options, diag);

	if (ret)
		return ret;
	if (!options->dir == !options->vhost_user)
		return diag_fail(diag, EINVAL,
			options->dir ? "`dir` and `vhost-user` exclude each other"
				     : "names no directory: give DIR:TAG");
	if (options->dir && !*options->dir)
		return diag_fail(diag, EINVAL, "names no directory: give DIR:TAG");
	if (!options->tag || !*options->tag)
		return diag_fail(diag, EINVAL,
			"has no tag, by which the guest mounts it: give DIR:TAG, or tag=TAG");
	if (strlen(options->tag) > MAX_TAG)
		return diag_fail(
			diag, EINVAL, "the tag %s is longer than %zu bytes", options->tag, MAX_TAG);
	if (options->vhost_user && options->read_only)
		return diag_fail(diag, EINVAL,
			"`ro` is the business of what serves `vhost-user`: say it there");
	return 0;
}

const struct schema fs_schema = {
	.settings = settings,
	.n = ARRAY_SIZE(settings),
	.bare = "dir",
	.size = sizeof(struct fs_options),
	.check = options_check,
};

/* ---- its end ---- */

/* As Linux has it where a daemon of FUSE is gone.  What is forgotten is not answered. */
static int fs_serve_lost(struct virtio_dev *, struct virtq *vq, const struct virtq_chain *chain)
{
	struct fuse_in_header in;
	struct fuse_out_header out = { .len = sizeof(out), .error = -ENOTCONN };
	uint32_t n = 0;

	if (chain->out_size < sizeof(in))
		return -EBADMSG;
	iov_read(chain->iov, chain->n_out, &in, sizeof(in));
	out.unique = in.unique;
	if (chain->in_size >= sizeof(out))
		n = (uint32_t)iov_write(chain->iov + chain->n_out, chain->n_in, &out, sizeof(out));
	virtq_push(vq, chain->head, n);
	return 0;
}

static bool fs_explain(struct remote *remote, struct diag *diag)
{
	struct fs *fs = (struct fs *)remote;
	struct pollfd end = { .fd = fs->child.pidfd, .events = POLLIN };

	if (!fs->has_child || poll(&end, 1, END_MS) != 1)
		return false;
	child_describe_end(&fs->child, diag);
	return true;
}

/* The connection's end is the daemon's. */
static void fs_close(struct virtio_dev *dev)
{
	struct fs *fs = (struct fs *)dev;

	remote_fini(&fs->remote);
	if (fs->has_child)
		child_end(&fs->child);
	free(fs);
}

/* ---- its making ---- */

static bool fs_shares_memory(const void *)
{
	return true;
}

static int start_daemon(struct fs *fs, const struct fs_options *options, struct diag *diag)
{
	struct stat st;
	int fd;

	if (stat(options->dir, &st))
		return diag_fail(diag, errno, "%s", error_text(errno));
	if (!S_ISDIR(st.st_mode))
		return diag_fail(diag, ENOTDIR, "it is not a directory");
	fd = virtiofsd_start(&fs->child, options->dir, options->read_only, diag);
	fs->has_child = fd >= 0;
	return fd;
}

static int connect_to(struct fs *fs, const struct fs_options *options, const struct virtio_env *env,
	struct diag *diag)
{
	int fd = options->vhost_user ? vhost_user_connect(options->vhost_user, diag)
	                             : start_daemon(fs, options, diag);
	int ret;

	if (fd < 0)
		return fd;
	ret = vhost_user_init(&fs->vu, fd, VHOST_USER_PATIENCE_MS, diag);
	if (ret == -EPIPE)
		fs_explain(&fs->remote, diag);
	if (ret)
		return ret;
	fs->remote.vhost = &fs->vu.vhost;
	return remote_init(&fs->remote, &fs_class, env, 0, N_QUEUES, QUEUE_SIZE, diag);
}

static struct virtio_dev *fs_open(const void *opts, const struct virtio_env *env, struct diag *diag)
{
	const struct fs_options *options = opts;
	struct fs *fs = calloc(1, sizeof(*fs));
	struct diag why;
	int ret;

	if (!fs) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	memcpy(fs->config.tag, options->tag, strlen(options->tag));
	fs->config.num_request_queues = N_QUEUES - 1;
	fs->remote.dev.config = &fs->config;
	fs->remote.dev.config_size = sizeof(fs->config);
	snprintf(fs->name, sizeof(fs->name), "share %s", options->tag);
	fs->remote.name = fs->name;
	fs->remote.explain = fs_explain;
	ret = connect_to(fs, options, env, &why);
	if (!ret)
		return &fs->remote.dev;
	diag_fail(
		diag, -ret, "%s: %s", options->dir ? options->dir : options->vhost_user, why.text);
	if (fs->has_child)
		child_end(&fs->child);
	free(fs);
	return NULL;
}

static const char *fs_why_stays(const struct virtio_dev *)
{
	return "what its daemon knows of the guest's files stays behind";
}

const struct virtio_class fs_class = {
	.name = "share",
	.id = VIRTIO_ID_FS,
	.moves_data = true,
	.shares_memory = fs_shares_memory,
	.options = &fs_schema,
	.open = fs_open,
	.serve = fs_serve_lost,
	.start = remote_start,
	.start_queue = remote_start_queue,
	.stop_queue = remote_stop_queue,
	.why_stays = fs_why_stays,
	.quiesce = remote_quiesce,
	.resume = remote_resume,
	.close = fs_close,
};
