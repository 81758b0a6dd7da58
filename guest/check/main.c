// SPDX-License-Identifier: GPL-2.0 OR MIT
/* main.c - the order of things */

#include "check.h"

void check_main(void);

static const struct checks *const all[] = { &cpu_checks, &start_info_checks, &module_checks,
	&map_checks, &ram_checks, &acpi_checks, &platform_checks, &task_checks };

#define N_TABLES (sizeof(all) / sizeof(all[0]))

static void describe_entry(void)
{
	const struct entry_state *s = &entry_state;

	print("# eax %x, ebx %x, ecx %x, edx %x, esi %x, edi %x, ebp %x, esp %x\n", s->eax, s->ebx,
		s->ecx, s->edx, s->esi, s->edi, s->ebp, s->esp);
	print("# cr0 %x, cr3 %x, cr4 %x, eflags %x\n", s->cr0, s->cr3, s->cr4, s->eflags);
	print("# cs %x, ds %x, es %x, ss %x, tr %x, ldtr %x\n", (uint32_t)s->cs, (uint32_t)s->ds,
		(uint32_t)s->es, (uint32_t)s->ss, (uint32_t)s->tr, (uint32_t)s->ldtr);
}

static void describe_handover(void)
{
	const struct hvm_start_info *info = &handover.info;

	if (on_xen()) {
		uint32_t major, minor;

		xen_version(&major, &minor);
		print("# Xen %u.%u\n", major, minor);
	}
	if (!handover.found)
		return;
	print("# start info: version %u, flags %x, %u modules at %llx, command line at %llx, RSDP at %llx\n",
		info->version, info->flags, info->nr_modules, info->modlist_paddr,
		info->cmdline_paddr, info->rsdp_paddr);
	if (!handover.map)
		return;
	print("# map from %s, %u entries\n", handover.map_source, handover.n_entries);
	for (uint32_t i = 0; i < handover.n_entries && i < 128; i++)
		print("# map %llx %llx type %u\n", handover.map[i].addr, handover.map[i].size,
			handover.map[i].type);
}

void check_main(void)
{
	uint32_t n = 0;

	xen_init();
	handover_read();
	console_init();
	for (uint32_t i = 0; i < N_TABLES; i++)
		n += all[i]->n;
	print("1..%u\n", n);
	describe_entry();
	describe_handover();
	for (uint32_t i = 0; i < N_TABLES; i++)
		report_run(all[i]);
	end(report_all_well());
}

void fault_report(const uint32_t *stack)
{
	print("\nBail out! an exception; on its stack %x %x %x %x\n", stack[0], stack[1], stack[2],
		stack[3]);
	end(false);
}
