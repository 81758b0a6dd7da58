#!/bin/sh
# SPDX-License-Identifier: MIT
# What a guest does with its disks, if its initramfs is one with devices: more functions for guest.sh.

# Each disk: its size in sectors, its serial, how it is cached, and what it holds.
do_disks()
{
	for disk in /sys/block/vd*; do
		[ -e "$disk" ] || continue
		say disk "${disk##*/} $(cat "$disk/size") $(cat "$disk/ro") $(cat "$disk/cache_type" "$disk/queue/write_cache" | tr '\n' ' ')$(cat "$disk/serial")"
		say sum "${disk##*/} $(md5sum < "/dev/${disk##*/}")"
	done
}

# The second disk while the host puts another file behind it: its size in sectors, before and after.
do_exchange()
{
	size=$(cat /sys/block/vdb/size)
	say exchange "$size"
	i=0
	while [ "$(cat /sys/block/vdb/size)" = "$size" ] && [ "$((i += 1))" -lt 300 ]; do
		sleep 0.1
	done
	say exchange "$(cat /sys/block/vdb/size)"
}

# The disks that can be written to and have a file system.
file_systems()
{
	for disk in /sys/block/vd*; do
		name=${disk##*/}
		mkdir -p "/mnt/$name"
		[ "$(cat "$disk/ro")" = 0 ] && mount "/dev/$name" "/mnt/$name" 2> /dev/null && echo "$name"
	done
}

# Write to each file system, see that it is there, remove it, and give its room back.
do_write()
{
	for name in $(file_systems); do
		dd if=/dev/urandom of="/mnt/$name/random" bs=1M count=8 2> /dev/null
		sync
		md5sum < "/mnt/$name/random" > "/mnt/$name/sum"
		umount "/mnt/$name"
		mount "/dev/$name" "/mnt/$name"
		say written "$name $(cat "/mnt/$name/sum") $(md5sum < "/mnt/$name/random")"
		rm "/mnt/$name/random"
		sync # what the journal still has cannot be given back
		fstrim "/mnt/$name"
		umount "/mnt/$name"
	done
}

# How the first file system's disk is cached, turned over; and its queues.
do_cache()
{
	name=$(file_systems | head -n 1)
	for kind in 'write through' 'write back'; do
		echo "$kind" > "/sys/block/$name/cache_type"
		say cache "$name $(cat "/sys/block/$name/cache_type")"
		dd if=/dev/zero of="/mnt/$name/zeros" bs=4k count=16 conv=fsync 2> /dev/null
	done
	set -- "/sys/block/$name/mq"/*
	say queues "$name $#"
	umount "/mnt/$name"
}

# Each processor reads the disks, at once.
do_read_together()
{
	for cpu in 0 1; do
		(for disk in /sys/block/vd*; do
			say together "$cpu ${disk##*/} $(taskset "$((1 << cpu))" md5sum < "/dev/${disk##*/}")"
		done) &
	done
	wait
}

# 2 MiB that are written, flushed, forgotten and read again from somewhere on the disk: "MIB wrote STATUS, same" or not.
pattern_at()
{
	dd if=/tmp/pattern of="/dev/$1" bs=1M seek="$2" conv=fsync,notrunc 2> /dev/null
	status=$?
	echo 3 > /proc/sys/vm/drop_caches
	if dd if="/dev/$1" bs=1M skip="$2" count=2 2> /dev/null | cmp -s - /tmp/pattern; then
		say pattern "$1 $2 wrote $status, same"
	else
		say pattern "$1 $2 wrote $status, other"
	fi
}

do_patterns()
{
	dd if=/dev/urandom of=/tmp/pattern bs=1M count=2 2> /dev/null
	for disk in /sys/block/vd*; do
		name=${disk##*/}
		say blocks "$name $(cat "$disk/queue/logical_block_size" "$disk/queue/discard_granularity" | tr '\n' ' ')"
		for at in 0 2 4 6; do
			pattern_at "$name" "$at"
		done
	done
	pattern_at vda 0
}

# Write 64 KiB at a place of the disk that nobody else writes to, again and again, until that has failed and gone well; what went well
# is read, as soon as that can be done.
flaky_at()
{
	good=0 bad=0 other=0
	while [ "$good" -lt 9 ] || [ "$bad" -lt 3 ]; do
		dd if=/dev/urandom of="/tmp/wrote$2" bs=64k count=1 2> /dev/null
		if ! dd if="/tmp/wrote$2" of="/dev/$1" bs=64k seek="$2" conv=fsync,notrunc 2> /dev/null; then
			bad=$((bad + 1))
			sleep 0.1
			continue
		fi
		good=$((good + 1))
		echo 3 > /proc/sys/vm/drop_caches
		until dd if="/dev/$1" of="/tmp/read$2" bs=64k skip="$2" count=1 2> /dev/null; do
			sleep 0.1
		done
		cmp -s "/tmp/wrote$2" "/tmp/read$2" || other=$((other + 1))
	done
	say flaky "$2 other $other"
}

do_flaky()
{
	for at in 0 1 2 3; do
		flaky_at vda "$at" &
	done
	wait
}

# The drivers are taken off the disks while these are read, and put on again.
do_rebind_disks()
{
	sums=$(for disk in /dev/vd*; do md5sum < "$disk"; done)
	for disk in /dev/vd*; do
		(while [ ! -e /tmp/enough ]; do dd if="$disk" of=/dev/null bs=64k || sleep 0.1; done) 2> /dev/null &
	done
	cd /sys/bus/virtio/drivers/virtio_blk || return
	for _ in 1 2 3; do
		sleep 0.3
		for device in virtio*; do
			echo "$device" > unbind
		done
		for device in ../../devices/virtio*; do
			[ "$(cat "$device/device")" != 0x0002 ] || echo "${device##*/}" > bind
		done
	done
	cd /
	touch /tmp/enough
	wait
	echo 3 > /proc/sys/vm/drop_caches
	say rebound "$([ "$sums" = "$(for disk in /dev/vd*; do md5sum < "$disk"; done)" ] && echo same || echo other)"
}

# Records that are there for good, and more of them for ever.
do_records()
{
	name=$(file_systems | head -n 1)
	records check "/mnt/$name/records"
	records append "/mnt/$name/records"
}

do_check_records()
{
	name=$(file_systems | head -n 1)
	records check "/mnt/$name/records"
	umount "/mnt/$name"
}

# Reset, twice, while the file system is written to; then leave it in order.
do_reset_busily()
{
	name=$(file_systems | head -n 1)
	echo life >> "/mnt/$name/lives"
	sync
	say life "$(wc -l < "/mnt/$name/lives")"
	if [ "$(wc -l < "/mnt/$name/lives")" -lt 3 ]; then
		(while :; do dd if=/dev/zero of="/mnt/$name/zeros" bs=64k count=64 conv=fsync 2> /dev/null; done) &
		records append "/mnt/$name/records" > /dev/null &
		sleep 1
		/init drain
		reboot -n -f
	fi
	records check "/mnt/$name/records"
	umount "/mnt/$name"
}
