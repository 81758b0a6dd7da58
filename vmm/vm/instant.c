// SPDX-License-Identifier: MIT
/* instant.c - boots that are not made again */

#include "vm/instant.h"

#include "config/json_write.h"
#include "initramfs/cpio.h"
#include "initramfs/instant.h"
#include "util/bits.h"
#include "util/cachedir.h"
#include "util/error.h"
#include "util/file.h"
#include "util/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define SUBDIR    "instant" /* of the user's cache */
#define USES_FILE "uses"    /* a byte for each */
#define DAY_S     86400

/* ---- what a template is of ---- */

static json_t *identity(const char *path)
{
	struct stat st;

	if (!path || stat(path, &st))
		return json_null();
	return json_sprintf("%s %jx %jx %jx %jx.%lx %jx.%lx", path, (uintmax_t)st.st_dev,
		(uintmax_t)st.st_ino, (uintmax_t)st.st_size, (uintmax_t)st.st_mtim.tv_sec,
		(unsigned long)st.st_mtim.tv_nsec, (uintmax_t)st.st_ctim.tv_sec,
		(unsigned long)st.st_ctim.tv_nsec);
}

/* The processor, with its stepping and microcode, and the kernel that has KVM. */
static json_t *host(void)
{
	char text[512];
	int fd = open("/proc/cpuinfo", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	struct utsname name;
	char *end;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	end = strstr(text, "cpu MHz"); /* what follows changes */
	if (end)
		*end = 0;
	if (uname(&name))
		return NULL;
	return json_pack("[s, s, s]", name.release, name.version, text);
}

/* Of a device all but what of the host is behind it, which the guest has not seen yet. */
static void forget_host_side(json_t *item, const struct schema *schema)
{
	static const char *const names[] = { "tap", "fd", "mac", "cid", "hostfwd", "rate", "ops",
		"rx-rate", "rx-ops", "tx-rate", "tx-ops" };

	for (size_t i = 0; i < schema->n; i++)
		if (schema->settings[i].kind == SETTING_PATH &&
			json_object_get(item, schema->settings[i].name))
			json_object_set_new(item, schema->settings[i].name, json_true());
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_object_del(item, names[i]);
}

static void forget_run(json_t *settings)
{
	static const char *const names[] = { "kernel", "initrd", "console", "console-rate",
		"escape-key", "debug-console", "on-reboot", "on-triple-fault", "grace", "no-cache",
		"instant", "map-kernel", "merge" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		json_object_del(settings, names[i]);
	for (unsigned int kind = 0; kind < N_DEVICE_KINDS; kind++) {
		json_t *items = json_object_get(settings, device_option[kind] + 2), *item;
		size_t i;

		json_array_foreach(items, i, item)
			forget_host_side(item, device_class[kind]->options);
	}
}

static char *make_key(const struct config *config)
{
	char *text = config_write_json(config), *key;
	json_t *settings = text ? json_loads(text, 0, NULL) : NULL, *json;

	free(text);
	if (!settings)
		return NULL;
	forget_run(settings);
	json = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "version", PRONTO_VERSION, "program",
		identity("/proc/self/exe"), "kernel", identity(config->kernel), "initrd",
		identity(config->initrd), "host", host(), "settings", settings);
	key = json_dumps(json, JSON_SORT_KEYS | JSON_INDENT(1));
	json_decref(json);
	return key;
}

/* FNV-1a, 64 bits: it names a directory, and what lies there says whether it is the one. */
static uint64_t hash(const char *text)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	return h;
}

/* ---- finding one ---- */

static int locate(struct instant *instant, struct diag *diag)
{
	char base[PATH_MAX], dir[PATH_MAX + sizeof(SUBDIR) + 1];
	int fd, ret, n;

	if (!cachedir_find(base, sizeof(base)))
		return diag_fail(diag, ENOENT,
			"neither XDG_CACHE_HOME nor HOME names a place to keep anything in");
	n = snprintf(dir, sizeof(dir), "%s/" SUBDIR, base);
	ret = (size_t)n < sizeof(dir) ? cachedir_make(dir, diag)
	                              : cachedir_explain(base, -ENAMETOOLONG, diag);
	if (ret)
		return ret;
	fd = cachedir_open(base, geteuid(), diag);
	if (fd < 0)
		return fd;
	close(fd);
	fd = cachedir_open(dir, geteuid(), diag);
	if (fd < 0)
		return fd;
	close(fd);
	n = snprintf(instant->dir, sizeof(instant->dir), "%s/%016" PRIx64, dir, hash(instant->key));
	if ((size_t)n < sizeof(instant->dir))
		return 0;
	instant->dir[0] = 0;
	return cachedir_explain(base, -ENAMETOOLONG, diag);
}

static bool is_of(const struct snapshot *snapshot, const char *key)
{
	return snapshot->note && snapshot->note_size == strlen(key) &&
	       !memcmp(snapshot->note, key, snapshot->note_size);
}

static int open_template(struct instant *instant, struct diag *diag)
{
	int fd = cachedir_open(instant->dir, geteuid(), diag), ret;

	if (fd < 0)
		return fd;
	close(fd);
	ret = snapshot_open_state(&instant->snapshot, instant->dir, diag);
	if (ret)
		return ret;
	ret = is_of(&instant->snapshot, instant->key)
	              ? snapshot_open_memory(&instant->snapshot, instant->dir, NULL, diag)
	              : diag_fail(diag, EINVAL, "it is of another machine");
	if (ret)
		snapshot_close(&instant->snapshot);
	return ret;
}

/* Its age in days, and how many have begun with it, this one among them. */
static bool is_fresh(const struct instant *instant, const struct instant_config *limits)
{
	char path[PATH_MAX + sizeof(USES_FILE) + 1];
	struct stat state, uses = { 0 };
	int fd;

	snprintf(path, sizeof(path), "%s/" SNAPSHOT_STATE_FILE, instant->dir);
	if (stat(path, &state) || time(NULL) - state.st_mtime > (time_t)limits->days * DAY_S)
		return false;
	snprintf(path, sizeof(path), "%s/" USES_FILE, instant->dir);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return true;
	(void)!write(fd, "", 1);
	fstat(fd, &uses);
	close(fd);
	return uses.st_size <= (off_t)limits->uses;
}

int instant_find(struct instant *instant, const struct config *config, struct diag *diag)
{
	struct diag why;
	int ret;

	instant->key = instant->cmdline = NULL;
	instant->is_found = false;
	instant->snapshot.memory_fd = -1;
	instant->dir[0] = 0;
	instant->key = make_key(config);
	if (!instant->key)
		return diag_fail(diag, EINVAL, "one of the settings is not UTF-8");
	ret = locate(instant, diag);
	if (ret)
		return ret;
	if (config->instant.use == INSTANT_RENEW || !is_fresh(instant, &config->instant)) {
		instant_drop(instant);
		return 0;
	}
	ret = open_template(instant, &why);
	instant->is_found = !ret;
	if (ret && ret != -ENOENT) {
		log_info("instant: %s: made anew", why.text);
		instant_drop(instant);
	}
	return 0;
}

/* ---- making one ---- */

static int copy_initrd(int from, uint64_t size, int to)
{
	for (uint64_t at = 0; at < size;) {
		off_t in = (off_t)at, out = (off_t)at;
		ssize_t n = copy_file_range(from, &in, to, &out, size - at, 0);

		if (n <= 0) {
			char piece[65536];
			size_t want = size - at < sizeof(piece) ? (size_t)(size - at)
			                                        : sizeof(piece);
			int ret = file_read_at(from, piece, want, at);

			if (!ret)
				ret = file_write_at(to, piece, want, at);
			if (ret)
				return ret;
			n = (ssize_t)want;
		}
		at += (uint64_t)n;
	}
	return 0;
}

/* Linux unpacks one archive after the other; zeros between them are passed over. */
static int add_program(struct boot_spec *spec, struct diag *diag)
{
	struct cpio cpio = {
		.fd = memfd_create("initrd", MFD_CLOEXEC),
		.size = ALIGN_UP(spec->initrd_size, 4),
	};
	int ret;

	if (cpio.fd < 0)
		return diag_fail(diag, errno, "no file in memory: %s", error_text(errno));
	ret = copy_initrd(spec->initrd_fd, spec->initrd_size, cpio.fd);
	if (!ret) {
		cpio_add(&cpio, INSTANT_NAME, S_IFREG | 0755, instant_elf,
			(size_t)(instant_elf_end - instant_elf));
		ret = cpio_finish(&cpio);
	}
	if (ret) {
		close(cpio.fd);
		return diag_fail(diag, -ret, "the initrd cannot be copied: %s", error_text(-ret));
	}
	close(spec->initrd_fd);
	spec->initrd_fd = cpio.fd;
	spec->initrd_size = cpio.size;
	return 0;
}

/* What rdinit= names last is what the kernel would begin with. */
static char *with_program(const char *cmdline)
{
	static const char word[] = "rdinit=";
	const char *given = NULL;
	char *all;
	int n;

	for (const char *at = cmdline; (at = strstr(at, word)); at += strlen(word))
		if (at == cmdline || at[-1] == ' ')
			given = at + strlen(word);
	n = given ? (int)strcspn(given, " ") : 0;
	if (asprintf(&all, "%s%s%.*s rdinit=/" INSTANT_NAME, cmdline, n ? " pronto_init=" : "", n,
		    given ? given : "") < 0)
		return NULL;
	return all;
}

static int have_it_ask(struct instant *instant, struct boot_spec *spec, struct diag *diag)
{
	int ret;

	/* One that has no note of what it is says it in its banner. */
	if (!boot_is_linux(spec) && !image_is_linux(spec->image))
		return 0; /* it may ask by itself */
	if (spec->initrd_fd < 0)
		return diag_fail(diag, EINVAL,
			"the machine has no initrd, and so nothing that would ask to be saved");
	if (strstr(spec->cmdline, " -- "))
		return diag_fail(diag, EINVAL,
			"the command line has words for init (--), behind which nothing can be added");
	instant->cmdline = with_program(spec->cmdline);
	ret = instant->cmdline ? add_program(spec, diag) : diag_fail(diag, ENOMEM, "out of memory");
	if (!ret)
		spec->cmdline = instant->cmdline;
	return ret;
}

int instant_prepare(struct instant *instant, struct boot_spec *spec, struct diag *diag)
{
	int ret = have_it_ask(instant, spec, diag);

	return ret ? ret : snapshot_place_open(&instant->place, instant->dir, NULL, diag);
}

/* ---- the others ---- */

static void remove_dir(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

void instant_drop(struct instant *instant)
{
	if (instant->is_found)
		snapshot_close(&instant->snapshot);
	instant->is_found = false;
	if (instant->dir[0])
		remove_dir(instant->dir);
}

struct template
{
	char path[PATH_MAX];
	time_t used;
	uint64_t size;
};

static uint64_t size_of(const char *path, time_t *used)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	uint64_t size = 0;
	struct stat st;

	while (dir && (entry = readdir(dir))) {
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
			!S_ISREG(st.st_mode))
			continue;
		size += (uint64_t)st.st_blocks * 512;
		if (st.st_mtime > *used)
			*used = st.st_mtime;
	}
	if (dir)
		closedir(dir);
	return size;
}

/* The one that was unused for longest, but for `own`, and the size of all; false: there is none. */
static bool find_oldest(const char *own, struct template *oldest, uint64_t *all)
{
	const char *slash = strrchr(own, '/');
	DIR *dir;
	const struct dirent *entry;
	bool found = false;

	snprintf(oldest->path, sizeof(oldest->path), "%.*s", (int)(slash - own), own);
	dir = opendir(oldest->path);
	*all = 0;
	while (dir && (entry = readdir(dir))) {
		struct template one = { .used = 0 };

		if (strspn(entry->d_name, "0123456789abcdef") != 16 || entry->d_name[16])
			continue;
		snprintf(one.path, sizeof(one.path), "%.*s/%s", (int)(slash - own), own,
			entry->d_name);
		one.size = size_of(one.path, &one.used);
		*all += one.size;
		if (!strcmp(one.path, own) || (found && one.used >= oldest->used))
			continue;
		*oldest = one;
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* Out with those unused for longest. */
static void tidy(const struct instant *instant)
{
	struct template oldest;
	uint64_t most, all;
	struct diag diag;

	if (cachedir_max_size(&most, &diag)) {
		log_warn("%s", diag.text);
		return;
	}
	while (find_oldest(instant->dir, &oldest, &all) && all > most)
		remove_dir(oldest.path);
	if (all > most)
		remove_dir(instant->dir);
}

int instant_keep(struct instant *instant, struct diag *diag)
{
	int ret = snapshot_place_settle(&instant->place, diag);

	if (!ret)
		tidy(instant);
	return ret;
}

void instant_leave(struct instant *instant)
{
	snapshot_place_leave(&instant->place);
}

void instant_close(struct instant *instant)
{
	snapshot_place_close(&instant->place);
	if (instant->is_found)
		snapshot_close(&instant->snapshot);
	free(instant->key);
	free(instant->cmdline);
	*instant = (struct instant){ .snapshot.memory_fd = -1 };
}
