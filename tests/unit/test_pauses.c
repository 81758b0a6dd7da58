// SPDX-License-Identifier: MIT
/* test_pauses.c - a busy guest that is paused and resumed a thousand times
 *
 * Skipped where there is no /dev/kvm that is ours to open.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/image.h"
#include "skip.h"
#include "vm/vm.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#define N_PAUSES 1000
#define N_LIVES  200
#define N_KEYS   100

/* Where the guest has its rings and all that it moves. */
#define GUEST_SIZE MIB(8)

struct rig {
	struct config config;
	struct blk_options disk;
	char path[40], line_path[48];
	struct image image;
	struct boot_spec spec;
	struct vm vm;
	struct loop_source tick;
	unsigned int n_pauses, n_busy, n_lives, n_lives_at_pause;
	/* The machine's, but for the one that is asked about another life. */
	struct life_ops ops;
	const struct life_ops *machine;
	uint8_t *as_it_was; /* guest memory, at the pause */
	uint64_t seed;
	bool ends_paused;
	int client; /* at the serial line */
};

/* ---- the operator ---- */

/* Not quite at random, so that a failure comes again. */
static unsigned int random_below(struct rig *rig, unsigned int n)
{
	rig->seed = rig->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(rig->seed >> 33) % n;
}

static void set_tick(struct rig *rig, long us)
{
	const struct itimerspec when = { .it_value.tv_nsec = us * 1000 + 1 };

	assert_int_equal(timerfd_settime(rig->tick.fd, 0, &when, NULL), 0);
}

static void *guest_memory(struct rig *rig)
{
	return guest_mem_at(&rig->vm.mem, 0, GUEST_SIZE);
}

/* The disk has something to do: a pause comes amid it. */
static bool is_busy(struct rig *rig)
{
	struct virtio_dev *dev = rig->vm.devices.dev[0];
	const struct virtq *vq = &dev->queue[0].vq;
	bool is_busy;

	pthread_mutex_lock(&dev->dev.lock);
	is_busy = vq->enabled && (vq->next_avail != vq->next_used || virtq_is_pending(vq));
	pthread_mutex_unlock(&dev->dev.lock);
	return is_busy;
}

static void pause_it(struct rig *rig)
{
	rig->n_busy += is_busy(rig);
	assert_true(vm_pause(&rig->vm));
	assert_true(vm_pause(&rig->vm));
	assert_true(vm_is_paused(&rig->vm));
	assert_false(rig->vm.control.ops->press_button(&rig->vm));
	for (unsigned int i = 0; i < rig->vm.devices.n; i++) {
		const struct virtq *vq = &rig->vm.devices.dev[i]->queue[0].vq;

		assert_int_equal(vq->next_avail, vq->next_used);
	}
	rig->n_pauses++;
	if (rig->n_pauses % 20 == 0)
		memcpy(rig->as_it_was, guest_memory(rig), GUEST_SIZE);
}

/* Guest memory is as it was left, though the loop was served meanwhile. */
static void resume_it(struct rig *rig)
{
	if (rig->n_pauses % 20 == 0)
		assert_memory_equal(rig->as_it_was, guest_memory(rig), GUEST_SIZE);
	vm_resume(&rig->vm);
	vm_resume(&rig->vm);
	assert_false(vm_is_paused(&rig->vm));
}

static void ticked(void *ctx, uint32_t)
{
	struct rig *rig = ctx;

	loop_counter_read(rig->tick.fd);
	if (vm_is_paused(&rig->vm)) {
		resume_it(rig);
	} else if (rig->n_pauses < N_PAUSES) {
		pause_it(rig);
	} else if (rig->ends_paused) {
		assert_true(vm_pause(&rig->vm));
		assert_int_equal(kill(getpid(), SIGTERM), 0);
		return;
	} else {
		assert_true(rig->vm.control.ops->press_button(&rig->vm));
		return;
	}
	set_tick(rig, random_below(rig, 2000));
}

/* ---- the machine ---- */

static void init(struct rig *rig, char *kernel)
{
	static struct rng_options rng_options;
	struct diag diag;
	int fd;

	memset(rig, 0, sizeof(*rig));
	memcpy(rig->path, "/var/tmp/pronto-test-XXXXXX", 28);
	fd = mkostemp(rig->path, O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MIB(1)), 0);
	close(fd);
	rig->disk = (struct blk_options){ .path = rig->path, .n_queues = 1 };
	rig->as_it_was = malloc(GUEST_SIZE);
	config_init(&rig->config);
	rig->config.confine = CONFINE_OFF; /* the process is the test's */
	rig->config.kernel = kernel;
	rig->config.cpus = 2;
	rig->config.memory = MIB(32);
	rig->config.console = CONSOLE_NULL;
	rig->config.devices[DEVICE_disk] = (struct setting_list){ .items = &rig->disk, .n = 1 };
	rig->config.devices[DEVICE_rng] = (struct setting_list){ .items = &rng_options, .n = 1 };
	rig->spec = (struct boot_spec){
		.image = &rig->image,
		.initrd_fd = -1,
		.cmdline = "",
		.n_cpus = rig->config.cpus,
		.n_virtio_slots = 2,
	};
	assert_int_equal(image_open(&rig->image, kernel, false, &diag), 0);
	vm_init(&rig->vm, &rig->config, &rig->spec, NULL);
	assert_int_equal(vm_open(&rig->vm, &diag), 0);
	rig->tick = (struct loop_source){ -1, ticked, rig, NULL };
	assert_int_equal(loop_add_timer(&rig->vm.loop, &rig->tick, 1, 0), 0);
}

static void fini(struct rig *rig)
{
	vm_close(&rig->vm);
	image_close(&rig->image);
	close(rig->tick.fd);
	unlink(rig->path);
	free(rig->as_it_was);
}

static void skip_without_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		skip_because("/dev/kvm cannot be opened");
	close(fd);
}

/* It powers off only if it has got all that it asked for, and each time what it had written. */
static void test_nothing_is_lost(void **state)
{
	static char busy[] = GUESTS_DIR "/busy.elf";
	static struct rig rig;

	skip_without_kvm();
	init(&rig, busy);
	rig.disk.engine = *(const enum disk_engine *)*state;
	assert_int_equal(vm_live(&rig.vm), EXIT_POWEROFF);
	assert_int_equal(rig.n_pauses, N_PAUSES);
	assert_true(rig.n_busy > 0);
	fini(&rig);
}

/* There is nobody to be asked to power off. */
static void test_signal_ends_what_is_paused(void **)
{
	static char busy[] = GUESTS_DIR "/busy.elf";
	static struct rig rig;

	skip_without_kvm();
	init(&rig, busy);
	rig.ends_paused = true;
	rig.n_pauses = N_PAUSES - 1;
	assert_int_equal(vm_live(&rig.vm), EXIT_KILLED);
	assert_int_equal(rig.vm.life.state, LIFE_ENDED);
	assert_false(vm_pause(&rig.vm));
	fini(&rig);
}

/* ---- a guest at the serial line ---- */

static int call(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (const void *)&address, sizeof(address)), 0);
	return fd;
}

static char key(unsigned int i)
{
	return (char)(i < N_KEYS - 1 ? 'A' + i % 16 : 'q');
}

/* Somebody types, a key each time that it is paused. */
static void ticked_of_line(void *ctx, uint32_t)
{
	struct rig *rig = ctx;
	char c = key(rig->n_pauses);

	loop_counter_read(rig->tick.fd);
	if (rig->client < 0)
		rig->client = call(rig->line_path);
	if (vm_is_paused(&rig->vm)) {
		vm_resume(&rig->vm);
	} else if (rig->n_pauses < N_KEYS) {
		assert_true(vm_pause(&rig->vm));
		assert_int_equal(write(rig->client, &c, 1), 1);
		rig->n_pauses++;
	} else {
		return;
	}
	set_tick(rig, random_below(rig, 2000));
}

static void check_line(struct rig *rig)
{
	static char seen[N_KEYS * 32], wanted[N_KEYS * 32];
	size_t n = 0;
	ssize_t got;

	n += (size_t)sprintf(wanted, "ready\n");
	for (unsigned int i = 0; i < N_KEYS; i++)
		n += (size_t)sprintf(wanted + n, "byte 0x%x\n", (unsigned int)key(i));
	sprintf(wanted + n, "bytes %u\n", N_KEYS);
	for (n = 0; n < sizeof(seen) - 1; n += (size_t)got) {
		got = read(rig->client, seen + n, sizeof(seen) - 1 - n);
		if (got <= 0)
			break;
	}
	assert_string_equal(seen, wanted);
}

static void test_serial_line(void **)
{
	static char echo[] = GUESTS_DIR "/echo.elf";
	static struct rig rig;

	skip_without_kvm();
	init(&rig, echo);
	snprintf(rig.line_path, sizeof(rig.line_path), "%s.line", rig.path);
	rig.config.console = CONSOLE_SOCKET;
	rig.config.console_path = rig.line_path;
	rig.client = -1;
	rig.tick.ready = ticked_of_line;
	assert_int_equal(vm_live(&rig.vm), EXIT_POWEROFF);
	check_line(&rig);
	close(rig.client);
	fini(&rig);
}

/* ---- a guest that does nothing but reset ---- */

static void ticked_of_lives(void *ctx, uint32_t)
{
	struct rig *rig = ctx;

	loop_counter_read(rig->tick.fd);
	if (vm_is_paused(&rig->vm)) {
		/* At most the reset that it had asked for, and no instruction of its next life. */
		assert_true(
			rig->vm.life.state == LIFE_PAUSED || rig->vm.life.state == LIFE_CREATED);
		assert_true(rig->n_lives <= rig->n_lives_at_pause + 1);
		vm_resume(&rig->vm);
	} else if (rig->n_lives >= N_LIVES && rig->n_pauses >= N_LIVES) {
		control_demand_end(&rig->vm.control);
		return;
	} else {
		rig->n_lives_at_pause = rig->n_lives;
		assert_true(vm_pause(&rig->vm));
		rig->n_pauses++;
	}
	set_tick(rig, random_below(rig, 2000));
}

static bool count_life(void *ctx, enum exit_code *outcome)
{
	struct rig *rig = (struct rig *)((char *)ctx - offsetof(struct rig, vm));

	rig->n_lives += *outcome == EXIT_REBOOT;
	return rig->machine->returns(ctx, outcome);
}

static void test_lives_with_pauses(void **)
{
	static char looping[] = GUESTS_DIR "/looping.elf";
	static struct rig rig;

	skip_without_kvm();
	init(&rig, looping);
	rig.config.on_reboot = ON_REBOOT_RESTART;
	rig.tick.ready = ticked_of_lives;
	rig.vm.life.short_ms = 0; /* no waiting */
	rig.machine = rig.vm.life.ops;
	rig.ops = *rig.machine;
	rig.ops.returns = count_life;
	rig.vm.life.ops = &rig.ops;
	assert_int_equal(vm_live(&rig.vm), EXIT_KILLED);
	fini(&rig);
}

int main(void)
{
	static const enum disk_engine sync = DISK_ENGINE_SYNC, automatic = DISK_ENGINE_AUTO;
	const struct CMUnitTest tests[] = {
		{ "test_nothing_is_lost (sync)", test_nothing_is_lost, NULL, NULL, (void *)&sync },
		{ "test_nothing_is_lost (auto)", test_nothing_is_lost, NULL, NULL,
			(void *)&automatic },
		cmocka_unit_test(test_signal_ends_what_is_paused),
		cmocka_unit_test(test_serial_line),
		cmocka_unit_test(test_lives_with_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
