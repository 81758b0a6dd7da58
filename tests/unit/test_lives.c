// SPDX-License-Identifier: MIT
/* test_lives.c - a guest that resets a thousand times, in place
 *
 * Skipped where there is no /dev/kvm that is ours to open.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/image.h"
#include "vm/vm.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_LIVES 1000
#define N_WARM  20

struct held {
	unsigned int n_fds, n_threads, n_maps;
	unsigned long rss_kib;
};

struct rig {
	struct vm vm;
	struct life_ops ops; /* the machine's, but for the one that is asked about another life */
	const struct life_ops *machine;
	unsigned int n_lives;
	struct held warm, last;
};

static unsigned int n_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static unsigned int n_lines(const char *path, const char *start, unsigned long *value)
{
	FILE *file = fopen(path, "re");
	char line[512];
	unsigned int n = 0;

	assert_non_null(file);
	for (; fgets(line, sizeof(line), file); n++)
		if (value && !strncmp(line, start, strlen(start)))
			*value = strtoul(line + strlen(start), NULL, 10);
	fclose(file);
	return n;
}

static struct held what_we_hold(void)
{
	struct held held = {
		.n_fds = n_entries("/proc/self/fd"),
		.n_threads = n_entries("/proc/self/task"),
		.n_maps = n_lines("/proc/self/maps", "", NULL),
	};

	n_lines("/proc/self/status", "VmRSS:", &held.rss_kib);
	return held;
}

/* Between two lives, with every vCPU parked. */
static bool count_life(void *ctx, enum exit_code *outcome)
{
	struct rig *rig = (struct rig *)((char *)ctx - offsetof(struct rig, vm));

	assert_int_equal(*outcome, EXIT_REBOOT);
	if (++rig->n_lives == N_WARM)
		rig->warm = what_we_hold();
	if (rig->n_lives < N_LIVES)
		return rig->machine->returns(ctx, outcome);
	rig->last = what_we_hold();
	return false;
}

static void live(unsigned int n_cpus)
{
	static char kernel[] = GUESTS_DIR "/looping.elf";
	struct rig *rig = calloc(1, sizeof(*rig));
	struct config config;
	struct image image;
	struct boot_spec spec = {
		.image = &image,
		.initrd_fd = -1,
		.cmdline = "",
		.n_cpus = n_cpus,
	};
	struct diag diag;

	assert_non_null(rig);
	config_init(&config);
	config.kernel = kernel;
	config.cpus = n_cpus;
	config.memory = MIB(32);
	config.console = CONSOLE_NULL;
	config.on_reboot = ON_REBOOT_RESTART;
	assert_int_equal(image_open(&image, kernel, false, &diag), 0);
	vm_init(&rig->vm, &config, &spec, NULL);
	assert_int_equal(vm_open(&rig->vm, &diag), 0);
	rig->machine = rig->vm.life.ops;
	rig->ops = *rig->machine;
	rig->ops.returns = count_life;
	rig->vm.life.ops = &rig->ops;
	rig->vm.life.short_ms = 0; /* no waiting */

	assert_int_equal(vm_live(&rig->vm), EXIT_REBOOT);
	assert_int_equal(rig->n_lives, N_LIVES);
	assert_int_equal(rig->last.n_fds, rig->warm.n_fds);
	assert_int_equal(rig->last.n_threads, rig->warm.n_threads);
	assert_true(rig->last.n_maps <= rig->warm.n_maps + 3); /* an allocator may want some */
#ifndef __SANITIZE_ADDRESS__
	assert_true(rig->last.rss_kib <= rig->warm.rss_kib + 256);
#endif
	vm_close(&rig->vm);
	image_close(&image);
	free(rig);
}

static void skip_without_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip();
	close(fd);
}

static void test_one_cpu(void **)
{
	skip_without_kvm();
	live(1);
}

static void test_several_cpus(void **)
{
	skip_without_kvm();
	live(3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_cpu),
		cmocka_unit_test(test_several_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
