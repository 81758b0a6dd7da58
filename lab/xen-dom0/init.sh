#!/bin/sh
# SPDX-License-Identifier: MIT
# Pid 1 of the dom0 that starts domains by xl: one after another, all that are below /guests.
#
# It reports on the second serial port, a line for each thing that happens:
#	@ready           domains can be started
#	@start N         guest N is being started
#	@data SIZE       SIZE bytes follow, which guest N wrote on its console
#	@end N REASON    it is over: Xen's reason code, "timeout", or "refused" by xl
#	@log SIZE        SIZE bytes follow: why xl refused guest N
#	@done            there are no more
# Before @end it writes "@end N" on dom0's own console.  Xen keeps the order there, so all that the guest
# wrote to port 0xe9 has come before.

tick=100000 # microseconds
patience=60 # seconds, with xl

seconds()
{
	cut -d. -f1 /proc/uptime
}

size_of()
{
	stat -c %s "$1" 2>/dev/null || echo 0
}

# Send what FILE has beyond the first $position bytes, under NAME; fails if that is nothing.
send_rest()
{
	size=$(size_of "$2")
	[ "$size" -gt "$position" ] || return 1
	echo "@$1 $((size - position))"
	tail -c "+$((position + 1))" "$2" | head -c "$((size - position))"
	position=$size
}

# Wait until xl has seen the domain end, or the time is over; sets $reason.  The guest's time begins when
# xl has started it.
await()
{
	running=
	deadline=$(($(seconds) + patience))
	while [ ! -e status ]; do
		send_rest data "$console" || usleep $tick
		if [ -z "$running" ] && grep -q '^Waiting for domain' log; then
			running=yes
			deadline=$(($(seconds) + limit))
		elif [ "$(seconds)" -gt "$deadline" ]; then
			reason=timeout
			return
		fi
	done
	reason=$(sed -n 's/^Domain [0-9]* has shut down, reason code \([0-9]*\).*/\1/p' log)
	[ -n "$reason" ] || reason=refused
}

run()
{
	number=$(basename "$1")
	console=/var/log/xen/console/guest-g$number.log
	position=0
	cd "$1" || return
	limit=$(cat limit)
	echo "@start $number"
	{
		xl create -F config >log 2>&1 </dev/null
		echo $? >status
	} &
	await
	# xl preserves the domain, so that what it wrote last on its console still gets through.
	usleep $tick
	while send_rest data "$console"; do
		usleep $tick
	done
	xl destroy "g$number" >/dev/null 2>&1
	wait
	echo "@end $number" >/dev/console
	if [ "$reason" = refused ]; then
		sed -i '/^Parsing config/d; /^got a tsc mode/d' log
		position=0
		send_rest log log
	fi
	echo "@end $number $reason"
}

export PATH=/bin:/xen-bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir /dev/pts
mount -t devpts devpts /dev/pts
exec </dev/null >/dev/ttyS1 2>&1
stty -F /dev/ttyS1 raw 115200
while read -r module; do
	insmod "/modules/$module"
done </modules/order
mount -t xenfs xenfs /proc/xen
xenstored
xen-init-dom0 >/dev/null
xenconsoled --log=guest --log-dir=/var/log/xen/console
echo "@ready"
for guest in /guests/*; do
	run "$guest"
done
echo "@done"
# The host ends the machine now.  Pid 1 must not.
while :; do
	sleep 1000
done
