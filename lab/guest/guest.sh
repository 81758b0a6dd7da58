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

# What drives the generation ID, if anything does: before Linux 6.10 a driver of ACPI's.
vmgenid_driver()
{
	device=/sys/bus/acpi/devices/VMGENCTR:00
	driver=$(readlink "$device/driver" || readlink "$device/physical_node/driver")
	echo "${driver##*/}"
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
	say vmgenid "$(vmgenid_driver)"
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

# The seconds that it takes it to be.
do_time()
{
	say time "$(date +%s)"
}

# What both clocks say, 40 times, a quarter of a second apart: seconds up, and since 1970.
do_ticks()
{
	tick=0
	while [ "$((tick += 1))" -le 40 ]; do
		say tick "$tick $(seconds_up) $(date +%s)"
		sleep 0.25
	done
	problems
}

# What nobody else is to have, and whether the kernel was told that it is a copy.
do_secrets()
{
	say random "$(head -c 64 /dev/urandom | md5sum)"
	say uuid "$(cat /proc/sys/kernel/random/uuid)"
	say stack "$(grep stack /proc/self/maps | cut -d - -f 1)"
	dmesg | grep -o 'crng reseeded due to virtual machine fork' | each copy
}

# Something that never rests, beside what follows.
do_busy()
{
	while :; do
		:
	done &
}

# Read a line from the console and give it back.
do_echo()
{
	say ready echo
	read -r line
	say echo "$line"
}

do_modules()
{
	/init modules
}

# Load the drivers, and tell of each virtio device: its name, its id, its driver, its status.
do_devices()
{
	/init modules
	for device in /sys/bus/virtio/devices/*; do
		[ -e "$device" ] || continue
		driver=$(readlink "$device/driver")
		say virtio "${device##*/} $(cat "$device/device") ${driver##*/} $(cat "$device/status")"
	done
	each interrupt < /proc/interrupts
	problems
}

# Load the drivers, and mark that they are at work.
do_drivers()
{
	/init modules
	/init mark 2
}

# Random bytes by the device that there is for them, twice.
do_rng()
{
	say rng "$(cat /sys/class/misc/hw_random/rng_current)"
	for _ in 1 2; do
		say random "$(dd if=/dev/hwrng bs=64 count=1 2> /dev/null | md5sum)"
	done
}

# Take memory, 100 MiB of it, and let it go again; then wait a little, for who looks from outside.
do_memory()
{
	mkdir -p /mnt
	say free "$(awk '/^MemFree/ { print $2 }' /proc/meminfo)"
	mount -t tmpfs tmpfs /mnt
	dd if=/dev/urandom of=/mnt/much bs=1M count=100 2> /dev/null
	say ready taken
	sleep 3
	umount /mnt
	say ready left
	sleep 6
	say free "$(awk '/^MemFree/ { print $2 }' /proc/meminfo)"
}

# Hold 8 MiB, and copy them five times and drop the copies again and again: each must be what is held, and that what it
# was.  The host does what it likes with what is free.
do_hold()
{
	mkdir -p /mnt
	mount -t tmpfs -o size=100% tmpfs /mnt
	dd if=/dev/urandom of=/mnt/held bs=1M count=8 2> /dev/null
	first=$(md5sum < /mnt/held)
	say ready hold
	for round in 1 2 3; do
		for i in 1 2 3 4 5; do
			cp /mnt/held "/mnt/copy$i"
		done
		for i in 1 2 3 4 5; do
			[ "$(md5sum < "/mnt/copy$i")" = "$first" ] || say differs copy "$round" "$i"
			rm "/mnt/copy$i"
		done
	done
	[ "$(md5sum < /mnt/held)" = "$first" ] || say differs held
	umount /mnt
	say held "$round"
}

# The value of NAME=VALUE on the kernel's command line.
argument()
{
	sed -n "s/.*\\<$1=\\([^ ]*\\).*/\\1/p" /proc/cmdline
}

do_uptime()
{
	say uptime "$(seconds_up)"
}

# The driver is taken off the device and put on again.
do_rebind()
{
	for device in /sys/bus/virtio/drivers/virtio_net/virtio*; do
		name=${device##*/}
		echo "$name" > /sys/bus/virtio/drivers/virtio_net/unbind
		echo "$name" > /sys/bus/virtio/drivers/virtio_net/bind
	done
}

# Write to the last disk, below all file systems; "sum" has what is read back.
do_fill()
{
	for disk in /sys/block/vd*; do
		last=/dev/${disk##*/}
	done
	dd if=/dev/urandom of=/tmp/random bs=1M count=2 2> /dev/null
	dd if=/tmp/random of="$last" bs=64K seek=9 conv=fsync 2> /dev/null
	echo 3 > /proc/sys/vm/drop_caches
	say filled "$(md5sum < /tmp/random) $(dd if="$last" bs=64K skip=9 count=32 2> /dev/null | md5sum)"
}

# The shares that the command line names, pronto.tags=TAG,...: what the host has put there, and whether we can write.
do_share()
{
	for tag in $(argument pronto.tags | tr ',' ' '); do
		mkdir -p "/mnt/$tag"
		mount -t virtiofs "$tag" "/mnt/$tag" || { say share "$tag none"; continue; }
		say share "$tag $(cat "/mnt/$tag/from-host")"
		say large "$tag $(md5sum < "/mnt/$tag/large")"
		if echo "$tag" > "/mnt/$tag/from-guest"; then
			cp "/mnt/$tag/large" "/mnt/$tag/copy"
			mkdir "/mnt/$tag/dir" && mv "/mnt/$tag/from-guest" "/mnt/$tag/dir"
			say wrote "$tag"
		fi
	done
}

# Wait until a device has failed.
await_loss()
{
	say ready "$1"
	until grep -q 0x0000004f /sys/bus/virtio/devices/*/status; do
		sleep 0.1
	done
}

# What is left of the share that is named first, and of the disk, when that which serves it has gone.
do_share_lost()
{
	await_loss share
	tag=$(argument pronto.tags | cut -d ',' -f 1)
	say lost "$(cat /sys/bus/virtio/devices/*/status) $(cat "/mnt/$tag/other" 2>&1)"
}

do_disk_lost()
{
	await_loss disk
	dd if=/dev/vda of=/dev/null bs=4096 skip=100 count=1 2> /dev/null
	status=$?
	say lost "$(cat /sys/bus/virtio/devices/*/status) $status"
}

# Load the modules with the power button, and print the device its presses come from.
button()
{
	/init modules > /dev/null # which complains of those that are there already
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

# The first virtio console: its size, "none" if it has none; its next size, if so told; then lines from it
# are given back, as lengths and sums, until an empty one.
hvc()
{
	/init modules
	exec 3<> /dev/hvc0 # once closed, what has come for it is gone
	stty -echo <&3
	for _ in 1 2 3 4 5; do
		size=$(stty size <&3 2> /dev/null) && break
		sleep 0.2
	done
	say size "${size:-none}" >&3
	if [ "$1" = resized ]; then
		while [ "$(stty size <&3)" = "$size" ]; do
			sleep 0.1
		done
		say resized "$(stty size <&3)" >&3
	fi
	while read -r line <&3 && [ -n "$line" ]; do
		say line "${#line} $(echo "$line" | md5sum)" >&3
	done
	exec 3>&-
}

do_hvc()
{
	hvc here
}

do_hvc_resized()
{
	hvc resized
}

# How long it takes to write 32 KiB of lines to a terminal, and how many bytes they are.
flood()
{
	stty -opost < "$1"
	begin=$(seconds_up)
	dd if=/tmp/lines of="$1" bs=4k 2> /dev/null
	/init drain > "$1"
	say flood "$1 $begin $(seconds_up) $(wc -c < /tmp/lines)"
}

do_flood()
{
	/init modules
	yes 'abcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstuvwxyz abcdefghi' | head -n 512 > /tmp/lines
	for tty in /dev/ttyS0 /dev/hvc0; do
		[ ! -e "$tty" ] || flood "$tty"
	done
}

# The device of the port of this name.
port()
{
	grep -lx "$1" /sys/class/virtio-ports/*/name | sed 's|.*/\(.*\)/name|/dev/\1|'
}

# To the port "log" a megabyte; at the port "echo" as many bytes are given back as the first line says.
do_ports()
{
	/init modules
	for name in /sys/class/virtio-ports/*/name; do
		[ ! -e "$name" ] || say port "$(cat "$name")"
	done
	dd if=/dev/urandom of=/tmp/log bs=1000 count=1001 2> /dev/null
	dd if=/tmp/log of="$(port log)" bs=32k 2> /dev/null
	say log "$(md5sum < /tmp/log)"
	exec 3<> "$(port echo)"
	say ready ports
	until read -r size <&3; do # as long as nobody is connected it ends
		sleep 0.1
	done
	head -c "$size" <&3 > /tmp/echo
	cat /tmp/echo >&3
	say echo "$size $(md5sum < /tmp/echo)"
	read -r _ <&3 # its end
	exec 3>&-
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

# What there is to do with disks, and with networks.
# shellcheck source=lab/guest/disks.sh
[ ! -e /disks.sh ] || . /disks.sh
# shellcheck source=lab/guest/nets.sh
[ ! -e /nets.sh ] || . /nets.sh
# shellcheck source=lab/guest/work.sh
[ ! -e /work.sh ] || . /work.sh

actions=$(sed -n 's/.*\<pronto\.do=\([^ ]*\).*/\1/p' /proc/cmdline)
case ",$actions," in
*,report,*) ;;
*) greet ;;
esac
for action in $(echo "$actions" | tr ',-' ' _'); do
	"do_$action"
done
do_poweroff
