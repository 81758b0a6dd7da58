// SPDX-License-Identifier: MIT
/* test_vcpu.c - why KVM has left the guest, and what comes of it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvm/vcpu.h"
#include "util/bits.h"

#include <linux/kvm.h>

static const enum vcpu_end no_end = (enum vcpu_end) - 1;

/* Whether it goes on, and if not, why. */
static bool goes_on(const struct kvm_run *run, enum vcpu_end *end)
{
	struct kvm_run copy = *run;
	struct vcpu vcpu = { .run = &copy };

	*end = no_end;
	return vcpu_handle_exit(&vcpu, end);
}

static void test_goes_on(void **state)
{
	static const uint32_t reasons[] = { KVM_EXIT_INTR, KVM_EXIT_IRQ_WINDOW_OPEN,
		KVM_EXIT_IOAPIC_EOI, KVM_EXIT_X86_BUS_LOCK, KVM_EXIT_NOTIFY };
	enum vcpu_end end;

	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		const struct kvm_run run = { .exit_reason = reasons[i] };

		assert_true(goes_on(&run, &end));
		assert_int_equal(end, no_end);
	}
}

static void test_ends(void **state)
{
	const struct {
		struct kvm_run run;
		enum vcpu_end end;
	} cases[] = {
		{ { .exit_reason = KVM_EXIT_SHUTDOWN }, VCPU_END_TRIPLE_FAULT },
		{ { .exit_reason = KVM_EXIT_INTERNAL_ERROR }, VCPU_END_CRASH },
		{ { .exit_reason = KVM_EXIT_NOTIFY, .notify = { KVM_NOTIFY_CONTEXT_INVALID } },
			VCPU_END_CRASH },
		{ { .exit_reason = KVM_EXIT_FAIL_ENTRY }, VCPU_END_HOST },
		{ { .exit_reason = 9999 }, VCPU_END_HOST },
	};
	enum vcpu_end end;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_false(goes_on(&cases[i].run, &end));
		assert_int_equal(end, cases[i].end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_goes_on),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
