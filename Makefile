# SPDX-License-Identifier: MIT
# A short front to Meson and the scripts.  `make demo` and `make check` set up what is missing.

BUILD ?= build
prefix ?= /usr/local
FUZZ_SECONDS ?= 60
SHELL := /bin/bash
MESON = meson setup $(if $(CI),-Dwerror=true)

all: $(BUILD)/build.ninja
	ninja -C $(BUILD)

$(BUILD)/build.ninja:
	$(MESON) --prefix=$(prefix) $(BUILD)

# The main job: an unmodified Debian kernel boots to user space.  `make demo-shell` leaves you there.
demo:
	scripts/setup demo
	$(MAKE) all
	scripts/demo

demo-shell:
	scripts/setup demo
	$(MAKE) all
	scripts/demo --shell

# A whole Debian, from a disk that is made the first time; leaves a terminal at its login.
demo-debian:
	scripts/setup demo-debian
	$(MAKE) all
	examples/debian/demo

check:
	scripts/setup check
	scripts/check

# What is left out of `make check` because it takes long: before a release, and after great changes.
check-long:
	scripts/setup check
	scripts/check --long

# Of that, what needs the real Xen with a whole dom0.
check-xen:
	scripts/setup check
	scripts/check xen xen-domu linux-xen

# And whole Linux kernels with the overlay, under Pronto, QEMU and Xen; builds them first.
check-linux:
	scripts/setup check
	scripts/check overlay linux linux-xen

# Runs pvh-check under every VMM, and writes docs/conformance.md: a minute and a half, and QEMU.
conformance: all
	scripts/setup check
	guest/check/conformance.py --build $(BUILD)

# Has threads of confined machines try what they may not, and writes the table of docs/security.md.  As root.
escapes: all
	tests/escapes.py --build $(BUILD)

install: $(BUILD)/build.ninja
	meson configure --prefix=$(prefix) $(BUILD)
	meson install -C $(BUILD)

# Against the floor and whatever peers are here; bench/bench --help has the rest.
bench:
	scripts/setup check
	$(MAKE) all
	bench/bench --build $(BUILD)

lint: all
	scripts/lint --build $(BUILD)

format:
	scripts/lint --format

# Each target FUZZ_SECONDS long, from its seeds; what it finds new stays below build-fuzz.
fuzz:
	[ -e build-fuzz/build.ninja ] || CC=clang $(MESON) -Dfuzz=true -Dstatic=false -Dtests=false \
		-Db_sanitize=address,undefined -Db_lundef=false build-fuzz
	ninja -C build-fuzz
	scripts/fuzz build-fuzz $(FUZZ_SECONDS)

# Build variants, with the unit tests run in them.
asan: variant = -Db_sanitize=address,undefined
tsan: variant = -Db_sanitize=thread
coverage: variant = -Db_coverage=true
asan tsan coverage:
	[ -e build-$@/build.ninja ] || $(if $(filter coverage,$@),,CC=clang) $(MESON) -Dstatic=false -Db_lundef=false $(variant) build-$@
	ninja -C build-$@
	meson test -C build-$@
	$(if $(filter coverage,$@),gcovr --root . --filter vmm/ build-$@)

clean:
	rm -rf build build-*

distclean: clean
	rm -rf .cache

.PHONY: all bench conformance escapes demo demo-debian demo-shell check check-long check-xen check-linux install lint format fuzz asan tsan coverage clean distclean
