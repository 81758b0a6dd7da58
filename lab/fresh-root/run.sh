#!/bin/sh
# SPDX-License-Identifier: MIT
# Run a command in a minimal Debian, which is unpacked for it.  Wants to be pid 1 of namespaces of its own, and root:
# what it mounts, and whatever the command leaves running, ends with it.
#
# usage: run.sh ARCHIVE ROOT DEBS CLONE USER COMMAND...
#
# ARCHIVE of the root, unpacked to ROOT; DEBS keeps the packages that apt downloads; CLONE is a bare repository, of
# which USER finds a clone in the home directory.
set -eu
archive=$1 root=$2 debs=$3 clone=$4 user=$5
shift 5

# A root is a mount wherever it is met; some of what a command may call (unshare, for one) takes it for granted.
mount --bind "$root" "$root"
tar -xf "$archive" -C "$root"
cp -L /etc/resolv.conf "$root/etc/resolv.conf"
hostname fresh
echo '127.0.0.1 localhost fresh' >"$root/etc/hosts"

mount -t proc proc "$root/proc"
mount -t sysfs sys "$root/sys"
mount -t tmpfs -o mode=755 dev "$root/dev"
mkdir "$root/dev/net"
for node in null zero full random urandom tty kvm net/tun; do
	[ -e "/dev/$node" ] || continue
	: >"$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do
	ln -s "/proc/self/fd/${n%:*}" "$root/dev/${n#*:}"
done
mount --bind "$debs" "$root/var/cache/apt/archives"

cp -r "$clone" "$root/srv/pronto.git"

# Not by chroot: who is in one may make no user namespaces, in which passt and virtiofsd confine themselves.
cd "$root"
pivot_root . mnt
umount -l /mnt
cd /

home=/root path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
PATH=$path
if [ "$user" != root ]; then
	home=/home/$user path=/usr/local/bin:/usr/bin:/bin
	useradd -m "$user"
	echo "$user ALL=(ALL) NOPASSWD: ALL" >"/etc/sudoers.d/$user"
	chmod 440 "/etc/sudoers.d/$user"
fi
chown -R "$user" /srv/pronto.git
as_user() {
	chroot --userspec="$user:$user" / env -i HOME="$home" USER="$user" PATH="$path" TERM="${TERM:-dumb}" \
		LANG=C.UTF-8 PRONTO_FRESH=1 ${CI:+CI="$CI"} "$@"
}
as_user git clone -q /srv/pronto.git "$home/pronto"

status=0
# shellcheck disable=SC2016
as_user sh -c 'cd ~/pronto && exec "$@"' sh "$@" || status=$?
# Only what can still be downloaded is worth keeping.
apt-get -qq autoclean </dev/null >/dev/null || true
exit "$status"
