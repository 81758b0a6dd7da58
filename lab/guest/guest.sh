#!/bin/sh
# SPDX-License-Identifier: MIT
# What a guest does: greet, then what the kernel's command line asks for, then power off.
#
# pronto.do=ACTION[,ACTION...] names the functions below that are called do_ACTION.

first_line()
{
	dmesg | head -n 1
}

hypervisor()
{
	dmesg | sed -n 's/.*Hypervisor detected: //p' | head -n 1
}

clocksource()
{
	cat /sys/devices/system/clocksource/clocksource0/current_clocksource
}

mem_total()
{
	awk '/^MemTotal/ { print $2 }' /proc/meminfo
}

seconds_up()
{
	cut -d ' ' -f 1 /proc/uptime
}

greet()
{
	first_line
	name=$(hypervisor)
	cat <<-EOF

		Hello from user space.
		  kernel       $(uname -r)
		  processors   $(nproc) online
		  memory       $(($(mem_total) / 1024)) MiB
		  hypervisor   ${name:-none seen}
		  clocksource  $(clocksource)

	EOF
}

# One "@@ KEY VALUE" a line, for programs.
say()
{
	printf '@@ %s\n' "$*"
}

each()
{
	sed "s/^ */@@ $1 /; s/[[:space:]]*\$//"
}

problems()
{
	dmesg | grep -E 'BUG:|WARNING: CPU|Oops|Call Trace|detected stall' | each kernel_problem
}

do_report()
{
	say release "$(uname -r)"
	say first_line "$(first_line)"
	say cmdline "$(cat /proc/cmdline)"
	say cpus_online "$(nproc)"
	say cpus_present "$(cat /sys/devices/system/cpu/present)"
	say mem_total_kib "$(mem_total)"
	say hypervisor "$(hypervisor)"
	say clocksource "$(clocksource)"
	say clocksources "$(cat /sys/devices/system/clocksource/clocksource0/available_clocksource)"
	say wall_clock "$(date +%s)"
	say uptime "$(seconds_up)"
	say consoles "$(cat /sys/class/tty/console/active)"
	awk '/^(processor|vendor_id|model name|physical id|siblings|core id|cpu cores|apicid|flags)\t/ {
		sub(/[ \t]*:[ \t]*/, ": "); print }' /proc/cpuinfo | each cpuinfo
	awk '/^apicid/ { print $3 }' /proc/cpuinfo | each apicid
	each iomem < /proc/iomem
	say kernel_text "$(grep -m 1 ' _text$' /proc/kallsyms)"
	each interrupt < /proc/interrupts
	dmesg | grep -o 'RAMDISK: .*' | each initrd
	dmesg | grep -E 'ACPI (BIOS )?(Error|Warning|Exception)|Firmware Bug|FW_BUG' | each acpi_problem
	problems
	say report_ends here
}

# Timer interrupts so far, of all processors.
timer_interrupts()
{
	awk '$1 == "LOC:" { for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i; print sum }' /proc/interrupts
}

# Rest for a while, of each length: "nap SECONDS", then uptime and timer interrupts before and after.
do_naps()
{
	for seconds in 0.01 0.05 0.2 0.5 2; do
		before="$(seconds_up) $(timer_interrupts)"
		sleep "$seconds"
		say nap "$seconds $before $(seconds_up) $(timer_interrupts)"
	done
	problems
}

do_dmesg()
{
	dmesg | each dmesg
}

# Read a line from the console and give it back.
do_echo()
{
	say ready echo
	read -r line
	say echo "$line"
}

# Load the modules with the power button, and print the device its presses come from.
button()
{
	/init modules
	for device in /sys/class/input/event*; do
		if grep -q 'Power Button' "$device/device/name"; then
			echo "/dev/input/${device##*/}"
			return
		fi
	done
}

await_button()
{
	dd if="$1" of=/dev/null bs=24 count=1 2> /dev/null
	say button pressed
}

do_wait_button()
{
	device=$(button)
	if [ -z "$device" ]; then
		say button none
		return
	fi
	say ready button
	await_button "$device"
}

do_shell()
{
	device=$(button)
	if [ -n "$device" ]; then
		(await_button "$device" && do_poweroff) &
	fi
	echo 'A shell; leave it (exit, or Ctrl-D) and the guest powers off.'
	PS1='guest# ' setsid cttyhack sh
}

do_poweroff()
{
	/init drain
	poweroff -f
}

do_reboot()
{
	/init drain
	reboot -f
}

# The kernel panics when pid 1 ends.
do_panic()
{
	/init drain
	exit 1
}

# Stay, idle or busy, until ended from outside.
do_idle()
{
	say ready idle
	while :; do
		sleep 3600
	done
}

do_halt_loop()
{
	say ready halt-loop
	while :; do
		:
	done
}

actions=$(sed -n 's/.*\<pronto\.do=\([^ ]*\).*/\1/p' /proc/cmdline)
case ",$actions," in
*,report,*) ;;
*) greet ;;
esac
for action in $(echo "$actions" | tr ',-' ' _'); do
	"do_$action"
done
do_poweroff
