# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Where a demonstration can run: sourced, by what has `say`.

# find_where PRONTO: sets `where`, the words before a command that is to find a usable /dev/kvm, and says why they are
# these: none on this machine, or the lab's.  Inside a lab there is nowhere else to go.
# shellcheck disable=SC2034
find_where() {
	local pronto=$1 verdict=0 report reason

	where=()
	report=$("$pronto" doctor 2>&1) || verdict=$?
	if [ -n "${PRONTO_LAB-}" ] || [ "$verdict" = 0 ]; then
		say "running on this machine's /dev/kvm: pronto doctor calls it usable"
		return
	fi
	case $verdict in
	1) reason='this machine has no usable /dev/kvm' ;;
	2) reason='this machine'\''s KVM runs guest kernels slowly' ;;
	3) reason='this machine'\''s KVM has the rate of the TSC wrong' ;;
	*) reason="pronto doctor failed with status $verdict" ;;
	esac
	grep -E '^(MISSING|FAILED|SLOW|WRONG|DENIED)' <<<"$report" || true
	say "running in the lab, an emulated machine with a /dev/kvm of its own: $reason"
	where=(lab/lab)
}
