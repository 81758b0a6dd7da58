# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# What the machines of the kept snapshots find on their host, in the lab.
truncate -s 1M /run/disk
ip tuntap add tap7 mode tap
ip link set tap7 up
