#!/bin/sh
# SPDX-License-Identifier: MIT
# What a guest does with its networks and with vsock, if its initramfs is one with devices: more functions for guest.sh.

network_facts()
{
	cd /sys/class/net/eth0 || return
	say nic "$(cat address mtu carrier | tr '\n' ' ')$(readlink device/driver | sed 's/.*\///')"
	say features "$(cat device/features)"
	cd /
}

# An address of pronto.ip=ADDRESS/BITS, or of DHCP if there is none, for the first interface.
do_net()
{
	address=$(argument pronto.ip)
	ip link set lo up
	ip link set eth0 up
	network_facts
	if [ -n "$address" ]; then
		ip address add "$address" dev eth0
		return
	fi
	cat > /tmp/dhcp <<-'EOF'
		#!/bin/sh
		[ "$1" = bound ] || exit 0
		ip address add "$ip/$mask" dev eth0
		[ -z "$router" ] || ip route add default via "${router%% *}" dev eth0
		echo "@@ dhcp $ip/$mask ${router:-none} ${mtu:-none}"
	EOF
	chmod +x /tmp/dhcp
	udhcpc -q -n -i eth0 -s /tmp/dhcp -O mtu 2> /dev/null | grep '^@@'
}

# A stream from the host, given back; then one to port 2000 of the host, from where it comes back.
do_vsock()
{
	/init modules
	vsock echo 1000
	dd if=/dev/urandom of=/tmp/stream bs=1000 count=3001 2> /dev/null
	say sent "$(md5sum < /tmp/stream)"
	say back "$(vsock send 2 2000 < /tmp/stream | md5sum)"
	vsock send 2 2001 < /dev/null || say nobody there
}

# Where the loader finds the first library that a new program is linked to, and the kernel's own: "LIBRARY VDSO".
mapped()
{
	/lib64/ld-linux-x86-64.so.2 --list /bin/dropbearkey | awk '/libc\.so/ { libc = $NF } /vdso/ { vdso = $NF } END { print libc, vdso }'
}

# Wait for a line, which is typed to each copy of us, and then tell what we have that the others may have, too: random
# bytes before all else.
do_clone()
{
	say template "$(cat /sys/class/net/eth0/address) $(vsock cid) $(hostname)"
	say ready clone
	read -r own_name
	first=$(dd if=/dev/urandom bs=32 count=1 2> /dev/null | md5sum)
	say random "${first%% *}"
	say uuid "$(cat /proc/sys/kernel/random/uuid)"
	both=$(mapped)
	say mmap "${both% *}"
	say vdso "${both#* }"
	for area in stack heap; do
		say "$area" "$(sed -n "s/-.*\[$area\].*//p" /proc/self/maps)"
	done
	dropbearkey -t ed25519 -f /tmp/key > /tmp/said 2>&1
	say key "$(sed -n 's/^Fingerprint: //p' /tmp/said)"
	dmesg | grep -o 'crng reseeded due to virtual machine fork' | each copy
	say cid "$(vsock cid)"
	say mac_kept "$(cat /sys/class/net/eth0/address)"
	do_rebind
	say mac "$(cat /sys/class/net/eth0/address)"
	hostname "$own_name"
	say hostname "$(hostname)"
	problems
	say told all
	read -r _
}

# Some megabytes to port 2000 of the host, from where they come back, three times.
do_streams()
{
	dd if=/dev/urandom of=/tmp/stream bs=1000 count=3001 2> /dev/null
	for _ in 1 2 3; do
		say stream "$(md5sum < /tmp/stream) $(vsock send 2 2000 < /tmp/stream | md5sum)"
	done
}

# From the host: what lies at each of pronto.url=URL[,URL...]
do_fetch()
{
	for url in $(argument pronto.url | tr ',' ' '); do
		: > /tmp/fetched
		timeout 30 wget -q -O /tmp/fetched "$url"
		say fetched "$? $(sha256sum < /tmp/fetched | cut -d ' ' -f 1) $(wc -c < /tmp/fetched)"
	done
}

# The metadata service: a token, a listing, an item, the same without the token; and the item once more when it has changed.
do_metadata()
{
	ip route add 169.254.169.254 dev eth0
	at=http://169.254.169.254/latest/meta-data
	token=$(printf 'PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds: 60\r\nConnection: close\r\n\r\n' |
		nc 169.254.169.254 80 | tail -n 1)
	ask()
	{
		wget -q -O - --header "X-metadata-token: $token" "$1" | tr '\n' ' ' | sed 's/ $//'
	}
	say untold "$(wget -q -O - "$at/name" 2> /dev/null)"
	say metadata "$(ask "$at/") $(ask "$at/name")"
	i=0
	while [ "$(ask "$at/name")" = first ] && [ "$((i += 1))" -lt 100 ]; do
		sleep 0.1
	done
	say metadata "$(ask "$at/name")"
}

# The same by each processor, so by each of the interface's queues: for each the name of its directory, and the fetch.
do_queues()
{
	say queues "$(cd /sys/class/net/eth0/queues && echo *)"
	cpu=0
	while [ "$cpu" -lt "$(nproc)" ]; do
		: > /tmp/fetched
		timeout 30 taskset -c "$cpu" wget -q -O /tmp/fetched "$(argument pronto.url)"
		say fetched "$? $(sha256sum < /tmp/fetched | cut -d ' ' -f 1) $(wc -c < /tmp/fetched)"
		cpu=$((cpu + 1))
	done
	each after < /proc/interrupts
}

# To the host: a megabyte or a few are served at port 80 until the host has asked for /cgi-bin/done.
do_serve()
{
	mkdir -p /www/cgi-bin
	dd if=/dev/urandom of=/www/blob bs=1M count=3 2> /dev/null
	printf '#!/bin/sh\necho; touch /tmp/done\n' > /www/cgi-bin/done
	chmod +x /www/cgi-bin/done
	httpd -h /www
	say serving "$(sha256sum < /www/blob | cut -d ' ' -f 1)"
	seconds=0
	while [ ! -e /tmp/done ] && [ "$((seconds += 1))" -lt 60 ]; do
		sleep 1
	done
	say served "$(wc -c < /www/blob)"
}

do_ping()
{
	ping -c 3 -i 0.2 -W 5 "$(argument pronto.peer)" | grep received | each ping
}

# Something is sent all the time.
do_chatter()
{
	ping -i 0.5 "$(argument pronto.peer)" > /dev/null 2>&1 &
}

# Wait for the link's end, a minute at most.
do_link_down()
{
	say ready link
	seconds=0
	while [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && [ "$((seconds += 1))" -lt 60 ]; do
		sleep 1
	done
	network_facts
}
