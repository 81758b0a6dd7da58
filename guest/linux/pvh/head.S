/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The PVH entry point: from 32-bit protected mode without paging to the
 * kernel's own entry, with a struct boot_params made on the way.
 *
 * Of the state at entry (Xen: docs/misc/pvh.pandoc) this relies on flat 32-bit
 * cs, ds and es, on interrupts being off, and on the address of the start info
 * in %ebx. There is no stack; selectors and the direction flag may be anything.
 *
 * The tables here last until the kernel's entry loads its own. They map the
 * kernel where it is linked, and the rest of what 32 bits reach one to one, as
 * the ABI lets the start info lie anywhere in it.
 */

#include <linux/elfnote.h>
#include <linux/init.h>
#include <linux/linkage.h>
#include <linux/threads.h>
#include <asm/asm.h>
#include <asm/boot.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/page_types.h>
#include <asm/percpu.h>
#include <asm/pgtable_types.h>
#include <asm/processor-flags.h>
#include <asm/pvh/elfnote.h>
#include <asm/segment.h>

#ifdef CONFIG_X86_64
#define PA(x)		((x) - __START_KERNEL_map)
#define ENTRY_CR4	X86_CR4_PAE
#else
#define PA(x)		((x) - __PAGE_OFFSET)
#define ENTRY_CR4	X86_CR4_PSE
#endif

#define ENTRY_STACK_SIZE	16384

	__INIT
	.code32
SYM_CODE_START_LOCAL(pvh_entry)
	ANNOTATE_NOENDBR
	cld
	lgdt	PA(pvh_gdt_register)
	movl	$__BOOT_DS, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss

	movl	%cr4, %eax
	orl	$ENTRY_CR4, %eax
	movl	%eax, %cr4
	movl	$PA(pvh_page_table), %eax
	movl	%eax, %cr3
#ifdef CONFIG_X86_64
	movl	$MSR_EFER, %ecx
	rdmsr
	orl	$EFER_LME, %eax
	wrmsr
#endif
	movl	$(X86_CR0_PG | X86_CR0_PE), %eax
	movl	%eax, %cr0

#ifdef CONFIG_X86_64
	ljmpl	$__BOOT_CS, $PA(.Llong_mode)

	.code64
.Llong_mode:
	movq	$pvh_stack_end, %rsp
	/* What is called may want a stack canary, or per-CPU variables. */
	movl	$MSR_GS_BASE, %ecx
	movq	$INIT_PER_CPU_VAR(fixed_percpu_data), %rax
	movq	%rax, %rdx
	shrq	$32, %rdx
	wrmsr

	movl	%ebx, %edi
	movq	$pvh_prepare, %rax
	ANNOTATE_RETPOLINE_SAFE
	call	*%rax

	/* The 64-bit boot protocol: tables as above, boot_params in %rsi. */
	movl	$PA(pvh_bootparams), %esi
	movl	$PA(startup_64), %eax
	ANNOTATE_RETPOLINE_SAFE
	jmp	*%rax
#else
	ljmpl	$__BOOT_CS, $.Lpaging
.Lpaging:
	movl	$pvh_stack_end, %esp
	movl	%ebx, %eax
	call	pvh_prepare

	/* The 32-bit boot protocol: no paging, boot_params in %esi. */
	movl	$PA(pvh_bootparams), %esi
	ljmpl	$__BOOT_CS, $PA(.Lno_paging)
.Lno_paging:
	movl	%cr0, %eax
	andl	$~X86_CR0_PG, %eax
	movl	%eax, %cr0
	movl	%cr4, %eax
	andl	$~ENTRY_CR4, %eax
	movl	%eax, %cr4
	ljmpl	$__BOOT_CS, $PA(startup_32)
#endif
SYM_CODE_END(pvh_entry)

	__INITDATA
	.balign	8
SYM_DATA_START_LOCAL(pvh_gdt_register)
	.word	pvh_gdt_end - pvh_gdt - 1
	.long	PA(pvh_gdt)
SYM_DATA_END(pvh_gdt_register)

/* The selectors that the boot protocols ask for. */
	.balign	8
SYM_DATA_START_LOCAL(pvh_gdt)
	.org	pvh_gdt + __BOOT_CS
#ifdef CONFIG_X86_64
	.quad	GDT_ENTRY(0xa09b, 0, 0xfffff)
#else
	.quad	GDT_ENTRY(0xc09b, 0, 0xfffff)
#endif
	.org	pvh_gdt + __BOOT_DS
	.quad	GDT_ENTRY(0xc093, 0, 0xfffff)
SYM_DATA_END_LABEL(pvh_gdt, SYM_L_LOCAL, pvh_gdt_end)

	.balign	16
SYM_DATA_START_LOCAL(pvh_stack)
	.fill	ENTRY_STACK_SIZE, 1, 0
SYM_DATA_END_LABEL(pvh_stack, SYM_L_LOCAL, pvh_stack_end)

	.balign	PAGE_SIZE
#ifdef CONFIG_X86_64
SYM_DATA_START_LOCAL(pvh_page_table)
	.quad	PA(pvh_low_puds) + _KERNPG_TABLE_NOENC
	.org	pvh_page_table + 511 * 8
	.quad	PA(level3_kernel_pgt) + _PAGE_TABLE_NOENC
SYM_DATA_END(pvh_page_table)
SYM_DATA_START_LOCAL(pvh_low_puds)
	gib = 0
	.rept	4
	.quad	PA(pvh_low_pmds) + gib * PAGE_SIZE + _KERNPG_TABLE_NOENC
	gib = gib + 1
	.endr
	.org	pvh_low_puds + PAGE_SIZE
SYM_DATA_END(pvh_low_puds)
SYM_DATA_START_LOCAL(pvh_low_pmds)
	addr = 0
	.rept	4 * PTRS_PER_PMD
	.quad	addr + __PAGE_KERNEL_IDENT_LARGE_EXEC
	addr = addr + PMD_SIZE
	.endr
SYM_DATA_END(pvh_low_pmds)
#else
/* 4 MiB pages, with or without CONFIG_X86_PAE. */
SYM_DATA_START_LOCAL(pvh_page_table)
	addr = 0
	.rept	__PAGE_OFFSET >> 22
	.long	addr + __PAGE_KERNEL_IDENT_LARGE_EXEC
	addr = addr + (1 << 22)
	.endr
	addr = 0
	.rept	1024 - (__PAGE_OFFSET >> 22)
	.long	addr + __PAGE_KERNEL_IDENT_LARGE_EXEC
	addr = addr + (1 << 22)
	.endr
SYM_DATA_END(pvh_page_table)
#endif

	ELFNOTE(Xen, PVH_ELFNOTE_PHYS32_ENTRY, _ASM_PTR PA(pvh_entry))
