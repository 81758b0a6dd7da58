// SPDX-License-Identifier: MIT
/* life.c - a guest of Xen that says what it was given, and ends as its command line asks
 *
 * The first word of the command line is the way to end: poweroff (or anything else), reboot, crash,
 * halt, triplefault, spin, flood; "lines" prints lines of several lengths first, "unfinished" half
 * a line, "console" prints by hypercall as dom0 may.
 */

#include "../guest/guest.h"

#include <pvh/xen.h>

#define XEN_PORT 0xe9
/* What Xen holds of a line before it prints a piece. */
#define XEN_PIECE 199

static void hypercall(uint32_t number, uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t result;

	/* The lab's processor is AMD's. */
	__asm__ volatile("vmmcall"
			 : "=a"(result), "+b"(a), "+c"(b), "+d"(c)
			 : "0"(number)
			 : "memory");
}

static void shut_down(uint32_t reason)
{
	hypercall(XEN_HYPERCALL_SCHED_OP, XEN_SCHEDOP_SHUTDOWN, (uint32_t)&reason, 0);
}

static void say(const char *text)
{
	while (*text)
		outb(XEN_PORT, (uint8_t)*text++);
}

static void say_number(uint32_t value)
{
	if (value >= 10)
		say_number(value / 10);
	outb(XEN_PORT, (uint8_t)('0' + value % 10));
}

static void say_fact(const char *name, uint32_t value)
{
	say(name);
	say_number(value);
	say("\n");
}

static void say_line_of(char c, uint32_t n)
{
	while (n--)
		outb(XEN_PORT, (uint8_t)c);
	say("\n");
}

/* The first line of each module, which must have one. */
static void say_modules(const struct hvm_start_info *info)
{
	const struct hvm_modlist_entry *module = (const void *)(uint32_t)info->modlist_paddr;

	say_fact("modules ", info->nr_modules);
	for (uint32_t i = 0; i < info->nr_modules; i++) {
		const char *text = (const char *)(uint32_t)module[i].paddr;

		say("module ");
		for (uint32_t size = 0; size < module[i].size && text[size] != '\n'; size++)
			outb(XEN_PORT, (uint8_t)text[size]);
		say("\n");
	}
}

static bool is_asked(const char *action)
{
	const char *line = command_line();
	uint32_t size = string_size(action);

	if (string_size(line) < size || !bytes_equal(line, action, size))
		return false;
	return line[size] == '\0' || line[size] == ' ';
}

static void end(void)
{
	static const uint32_t nothing[2];
	static const char text[] = "by hypercall\n";

	if (is_asked("lines")) {
		say_line_of('a', XEN_PIECE - 1);
		say_line_of('b', XEN_PIECE);
		say_line_of('c', XEN_PIECE + 1);
		say_line_of('d', 3 * XEN_PIECE);
	}
	if (is_asked("unfinished"))
		say("half a line");
	if (is_asked("console"))
		hypercall(XEN_HYPERCALL_CONSOLE_IO, XEN_CONSOLEIO_WRITE, sizeof(text) - 1,
			(uint32_t)text);
	if (is_asked("reboot"))
		shut_down(XEN_SHUTDOWN_REBOOT);
	if (is_asked("crash"))
		shut_down(XEN_SHUTDOWN_CRASH);
	if (is_asked("triplefault"))
		__asm__ volatile("lidt %0; ud2" : : "m"(nothing));
	if (is_asked("halt"))
		halt_forever();
	while (is_asked("flood"))
		say("more\n");
	while (is_asked("spin"))
		cpu_relax();
	shut_down(XEN_SHUTDOWN_POWEROFF);
}

void guest_main(void)
{
	const struct hvm_start_info *info = start_info();

	say_fact("version ", info->version);
	say_fact("flags ", info->flags);
	say_fact("map ", info->version ? info->memmap_entries : 0);
	say_modules(info);
	say("command line ");
	say(info->cmdline_paddr ? command_line() : "(none)");
	say("\n");
	end();
}
