// SPDX-License-Identifier: MIT
/* vmgenid.c - tell the guest whether it is a copy */

#include "vm/vmgenid.h"

#include "util/error.h"
#include "util/random.h"
#include "vm/vm.h"

#include <errno.h>
#include <inttypes.h>

static int choose(struct vmgenid *vmgenid, struct diag *diag)
{
	ssize_t got = random_bytes(vmgenid->id, sizeof(vmgenid->id));

	if (got != sizeof(vmgenid->id)) {
		int error = got < 0 ? errno : EIO;

		return diag_fail(diag, error,
			"the host gives no random bytes for the generation ID: %s",
			error_text(error));
	}
	vmgenid->is_chosen = true;
	return 0;
}

static int put(const struct vm *vm, struct diag *diag)
{
	gpa_t gpa = vm->handover.acpi.vmgenid;
	int ret = guest_mem_write(&vm->mem, gpa, vm->vmgenid.id, sizeof(vm->vmgenid.id));

	return ret ? diag_fail(diag, -ret,
			     "the generation ID's address, %#" PRIx64 ", is not in the guest's RAM",
			     gpa)
	           : 0;
}

int vmgenid_write(struct vm *vm, struct diag *diag)
{
	int ret = vm->vmgenid.is_chosen ? 0 : choose(&vm->vmgenid, diag);

	return ret ? ret : put(vm, diag);
}

int vmgenid_renew(struct vm *vm, struct diag *diag)
{
	int ret = choose(&vm->vmgenid, diag);

	if (!ret)
		ret = put(vm, diag);
	if (ret)
		return ret;
	pthread_mutex_lock(&vm->power.dev.lock);
	power_tell_vmgenid(&vm->power);
	pthread_mutex_unlock(&vm->power.dev.lock);
	return 0;
}
