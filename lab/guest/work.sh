#!/bin/sh
# SPDX-License-Identifier: MIT
# Work for a guest that never rests: fio, iperf3 and a compiler, from a disk that has them.  More functions for guest.sh.

# In the tree of a program and its libraries: /tools/PROGRAM.
run()
{
	program=$1
	shift
	chroot "/tools/$program" "/usr/bin/$program" "$@"
}

# NAME, and a command: again and again, until there is to be an end, or it fails.
again()
{
	name=$1 n=0 status=0
	shift
	until [ -e /tmp/enough ] || [ "$status" != 0 ]; do
		"$@" > "/tmp/$name" 2>&1
		status=$?
		n=$((n + 1))
	done
	[ "$status" = 0 ] || each "$name" < "/tmp/$name"
	say worked "$name $n $status"
}

# Blocks are written at random, each with a checksum, and then all are read and verified.
verify()
{
	LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/ceph run fio --name=verify --filename=/dev/vda --size=4M --rw=randwrite --bs=4k \
		--ioengine=libaio --iodepth=8 --direct=1 --verify=crc32c --verify_fatal=1 --do_verify=1
}

# Either way by turns.  So many bytes: to a number of seconds iperf3's server would hold a guest that stands meanwhile.
talk()
{
	run iperf3 -c 10.9.0.1 -n 4M && run iperf3 -c 10.9.0.1 -n 4M -R
}

# What a compiler makes of one text is the same each time.
compile()
{
	run tcc -c -o /tmp/made.o /tmp/text.c && sum=$(md5sum < /tools/tcc/tmp/made.o) || return
	[ -e /tmp/first_sum ] || echo "$sum" > /tmp/first_sum
	[ "$sum" = "$(cat /tmp/first_sum)" ]
}

text()
{
	i=0
	while [ "$((i += 1))" -le 800 ]; do
		echo "int f$i(int a, int *b) { int s = $i; for (int i = 0; i < a; i++) s += b[i] * a ^ (s << 3); return s; }"
	done
}

# Until the host says at its port 8000 that it is enough.
do_work()
{
	mkdir -p /tools
	mount -o ro /dev/vdc /tools
	for tree in /tools/fio /tools/iperf3 /tools/tcc; do
		mount -t tmpfs tmpfs "$tree/tmp"
		mount --bind /dev "$tree/dev"
	done
	text > /tools/tcc/tmp/text.c
	say working
	again verify verify &
	again talk talk &
	again compile compile &
	until wget -q -O - http://10.9.0.1:8000/enough | grep -q yes; do
		sleep 1
	done
	touch /tmp/enough
	wait
	problems
}
