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

#include "entries.h"
#include "image/image.h"
#include "skip.h"
#include "vm/vm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define N_LIVES 1000
#define N_WARM  20

#define NEVER_MS 3600000

struct held {
	unsigned int n_fds, n_threads, n_maps;
	unsigned long rss_kib;
};

struct rig {
	struct config config;
	struct image image;
	struct boot_spec spec;
	struct vm vm;
	/* The machine's, but for the one that is asked about another life, and the button. */
	struct life_ops ops;
	const struct life_ops *machine;
	struct control_ops control_ops;
	const struct control_ops *machine_control;
	bool was_pressed;
	unsigned int n_lives;
	struct held warm, last;
	uint8_t id[ACPI_VMGENID_SIZE]; /* the first life's */
};

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
		.n_fds = count_entries("/proc/self/fd"),
		.n_threads = count_entries("/proc/self/task"),
		.n_maps = n_lines("/proc/self/maps", "", NULL),
	};

	n_lines("/proc/self/status", "VmRSS:", &held.rss_kib);
	return held;
}

/* It is the machine's, not a life's. */
static void check_vmgenid(struct rig *rig)
{
	static const uint8_t none[ACPI_VMGENID_SIZE];
	const uint8_t *id = guest_mem_at(&rig->vm.mem, rig->vm.handover.acpi.vmgenid, sizeof(none));

	assert_non_null(id);
	if (!rig->n_lives)
		memcpy(rig->id, id, sizeof(rig->id));
	assert_memory_not_equal(id, none, sizeof(none));
	assert_memory_equal(id, rig->id, sizeof(rig->id));
}

/* Between two lives, with every vCPU parked. */
static bool count_life(void *ctx, enum exit_code *outcome)
{
	struct rig *rig = (struct rig *)((char *)ctx - offsetof(struct rig, vm));

	assert_int_equal(*outcome, EXIT_REBOOT);
	check_vmgenid(rig);
	if (++rig->n_lives == N_WARM)
		rig->warm = what_we_hold();
	if (rig->n_lives < N_LIVES)
		return rig->machine->returns(ctx, outcome);
	rig->last = what_we_hold();
	return false;
}

static void init(
	struct rig *rig, unsigned int n_cpus, bool (*returns)(void *ctx, enum exit_code *outcome))
{
	static char kernel[] = GUESTS_DIR "/looping.elf";
	struct diag diag;

	memset(rig, 0, sizeof(*rig));
	rig->spec = (struct boot_spec){
		.image = &rig->image,
		.initrd_fd = -1,
		.cmdline = "",
		.n_cpus = n_cpus,
	};
	config_init(&rig->config);
	rig->config.confine = CONFINE_OFF; /* the process is the test's */
	rig->config.kernel = kernel;
	rig->config.cpus = n_cpus;
	rig->config.memory = MIB(32);
	rig->config.console = CONSOLE_NULL;
	rig->config.on_reboot = ON_REBOOT_RESTART;
	assert_int_equal(image_open(&rig->image, kernel, false, &diag), 0);
	vm_init(&rig->vm, &rig->config, &rig->spec, NULL);
	assert_int_equal(vm_open(&rig->vm, &diag), 0);
	rig->machine = rig->vm.life.ops;
	rig->ops = *rig->machine;
	rig->ops.returns = returns;
	rig->vm.life.ops = &rig->ops;
}

static void fini(struct rig *rig)
{
	vm_close(&rig->vm);
	image_close(&rig->image);
}

static void live(unsigned int n_cpus)
{
	static struct rig rig;

	init(&rig, n_cpus, count_life);
	rig.vm.life.short_ms = 0; /* no waiting */
	assert_int_equal(vm_live(&rig.vm), EXIT_REBOOT);
	assert_int_equal(rig.n_lives, N_LIVES);
	assert_int_equal(rig.last.n_fds, rig.warm.n_fds);
	assert_int_equal(rig.last.n_threads, rig.warm.n_threads);
	assert_true(rig.last.n_maps <= rig.warm.n_maps + 3); /* an allocator may want some */
#ifndef WITH_ASAN /* it keeps for a while what was freed */
	assert_true(rig.last.rss_kib <= rig.warm.rss_kib + 256);
#endif
	fini(&rig);
}

static void skip_without_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip_because("/dev/kvm cannot be opened");
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

static bool signal_and_return(void *, enum exit_code *outcome)
{
	if (*outcome != EXIT_REBOOT)
		return false;
	kill(getpid(), SIGTERM);
	return true;
}

static bool press(void *ctx)
{
	struct rig *rig = (struct rig *)((char *)ctx - offsetof(struct rig, vm));

	rig->was_pressed = rig->machine_control->press_button(ctx);
	return rig->was_pressed;
}

/* The next life is not begun for a guest that would not know what it was asked. */
static void test_signal_between_two_lives(void **)
{
	static struct rig rig;

	skip_without_kvm();
	init(&rig, 1, signal_and_return);
	rig.vm.life.short_ms = rig.vm.life.first_wait_ms = NEVER_MS;
	rig.machine_control = rig.vm.control.ops;
	rig.control_ops = *rig.machine_control;
	rig.control_ops.press_button = press;
	rig.vm.control.ops = &rig.control_ops;
	rig.vm.control.grace_ms = NEVER_MS;
	assert_int_equal(vm_live(&rig.vm), EXIT_KILLED);
	assert_false(rig.was_pressed);
	fini(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_cpu),
		cmocka_unit_test(test_several_cpus),
		cmocka_unit_test(test_signal_between_two_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
