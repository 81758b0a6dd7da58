// SPDX-License-Identifier: GPL-2.0 OR MIT
/* main.c - what a Linux guest runs first, so that it can be saved there: before it is anybody
 *
 * It comes in an initramfs behind that of the operator, and is told by rdinit= to be pid 1.  It
 * asks to be saved, and from that point on may be any number of machines: so it has the kernel's
 * random numbers begin anew, from the host's, before anything takes some.  Then it becomes what the
 * kernel would have begun with: the program that rdinit= named before, /init.
 *
 * Nobody who runs it need have saved it: it does the same.
 */

#include "../init/sys.h"

#include <linux/random.h>

#define SAVE_PORT \
	0x60d   /* PLATFORM_PM_SAVE in vmm/bus/platform.h: written, and read for random bytes */
#define SEED 64 /* bytes */

#define S_IFCHR       0020000
#define O_WRONLY      1
#define O_RDWR        2
#define MEM(minor)    ((1 << 8) | (minor)) /* Linux Documentation/admin-guide/devices.txt */
#define PORT_DEVICE   MEM(4)
#define RANDOM_DEVICE MEM(8)

struct seed {
	int entropy_count,
		buf_size; /* struct rand_pool_info of <linux/random.h>, with room behind */
	unsigned char bytes[SEED];
};

/* There is no /dev yet. */
static int open_device(int number, int flags)
{
	static const char node[] = "/.pronto-device";
	long fd;

	sys3(__NR_mknod, (long)node, S_IFCHR | 0600, number);
	fd = sys_open(node, flags);
	sys3(__NR_unlink, (long)node, 0, 0);
	return (int)fd;
}

/* By the kernel's device for ports, or by our own hand (-1). */
static void out(int port, unsigned char value)
{
	if (port >= 0)
		sys5(__NR_pwrite64, port, (long)&value, 1, SAVE_PORT, 0);
	else
		__asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(SAVE_PORT));
}

/* Our own hand has all of them in one exit. */
static void in(int port, unsigned char *bytes, unsigned long n)
{
	if (port < 0)
		__asm__ volatile("rep insb" : "+D"(bytes), "+c"(n) : "d"(SAVE_PORT) : "memory");
	else
		for (unsigned long i = 0; i < n; i++)
			sys5(__NR_pread64, port, (long)&bytes[i], 1, SAVE_PORT, 0);
}

static void seed_kernel(int port, int random)
{
	struct seed seed = { .entropy_count = 8 * SEED, .buf_size = SEED };

	in(port, seed.bytes, SEED);
	sys_ioctl(random, RNDADDENTROPY, &seed);
	sys_ioctl(random, RNDRESEEDCRNG, 0);
}

/* Saved here, and begun here: what can be done before is not done by each that begins. */
static void be_saved(void)
{
	int port = -1, random;

	if (sys3(__NR_iopl, 3, 0, 0)) {
		port = open_device(PORT_DEVICE, O_RDWR);
		if (port < 0)
			return;
	}
	random = open_device(RANDOM_DEVICE, O_WRONLY);
	out(port, 0);
	seed_kernel(port, random);
	sys_close(random);
	if (port >= 0)
		sys_close(port);
	else
		sys3(__NR_iopl, 0, 0, 0);
}

static int is(const char *text, const char *other)
{
	while (*text && *text == *other)
		text++, other++;
	return *text == *other;
}

/* What rdinit= named before ours is in the environment, as the kernel passes on what it does not
 * know: pronto_init=PROGRAM.
 */
static const char *program(const char *const *env)
{
	static const char name[] = "pronto_init=";

	for (; *env; env++) {
		const char *at = *env;
		unsigned int i = 0;

		while (name[i] && at[i] == name[i])
			i++;
		if (!name[i])
			return at + i;
	}
	return "/init";
}

void instant_main(const char *const *stack);

/* At the stack's top: the number of arguments, they, NULL, the environment, NULL. */
void instant_main(const char *const *stack)
{
	static const char *argv[64];
	const char *const *given = stack + 1, *const *env = given + *(const long *)stack + 1;
	const char *what = program(env);
	unsigned int n = 0;

	sys3(__NR_unlink, (long)"/pronto-instant", 0, 0);
	be_saved();
	for (; given[n] && n < 63; n++)
		argv[n] = is(given[n], "/pronto-instant") ? what : given[n];
	sys_execve(what, argv, env);
	sys3(__NR_exit_group, 127, 0, 0);
}
