#!/bin/sh
# SPDX-License-Identifier: MIT
# pid 1's script in a guest whose devices are measured: load their drivers, then do what the console asks for, a command
# a line.

# Say that a part begins or has ended, and wait until that has been noted: mark begin|end NAME.
cat > /bin/mark <<'END'
#!/bin/sh
echo "@@$1 $2" > /dev/console
read -r _ < /dev/console
END
chmod +x /bin/mark

# fio, whose sections bring their marks.  Its terse output (version 3) has how long each kind took, in ms.
measure_fio()
{
	fio --minimal "$@" > /tmp/out || return
	awk -F ';' '$1 == 3 { printf("@@took %s %d000000\n", $3, $9 + $50) }' /tmp/out
}

# NAME, and iperf3's arguments; twice.
measure_iperf()
{
	name=$1
	shift
	for _ in 1 2; do
		mark begin "$name"
		iperf3 -J "$@" > /tmp/out || return
		mark end "$name"
	done
	awk -F ': *' -v name="$name" '/"sum_received"/ { inside = 1 }
		inside && /"seconds"/ { printf("@@took %s %.0f\n", name, $2 * 1e9); exit }' /tmp/out
}

# NAME, and a program that prints how many nanoseconds it took; twice.
measure()
{
	name=$1
	shift
	for _ in 1 2; do
		mark begin "$name"
		"$@" > /tmp/out || return
		mark end "$name"
	done
	echo "@@took $name $(cat /tmp/out)"
}

/init modules
ip link set lo up
if [ -e /sys/class/net/eth0 ]; then
	ip address add 10.9.0.2/24 dev eth0
	ip link set eth0 up
fi
mkdir -p /mnt
stty -echo
echo @@ready
while read -r line; do
	eval "$line"
	echo "@@done $?"
done
