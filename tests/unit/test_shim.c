// SPDX-License-Identifier: MIT
/* test_shim.c - pvh-shim but for its jump: what it chooses, where it puts it, what it refuses */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shim/shim.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define MIB(x) ((uint64_t)(x) << 20)
#define GIB(x) ((uint64_t)(x) << 30)
#define RAM    MIB(128)

/* Guest RAM from 0 to RAM; what lies above is there but cannot be reached. */
static uint8_t *ram;

/* What is above 4 GiB in a guest is above RAM here. */
void *pvh_phys(uint64_t paddr, uint64_t size)
{
	return paddr <= RAM && size <= RAM - paddr ? ram + paddr : NULL;
}

struct fixture {
	struct shim shim;
	struct pvh_info info;
	struct pvh_pack pack;
	struct pvh_range image;
};

static void init(struct fixture *f)
{
	ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	assert_true(ram != MAP_FAILED);
	*f = (struct fixture){ .image = { MIB(1), 0x20000 } };
	f->info.n_regions = 2;
	f->info.regions[0] = (struct hvm_memmap_table_entry){ 0, 0xa0000, PVH_MEMMAP_RAM, 0 };
	f->info.regions[1] =
		(struct hvm_memmap_table_entry){ MIB(1), RAM - MIB(1), PVH_MEMMAP_RAM, 0 };
	memset(ram + f->image.addr, 0x5a, f->image.size);
}

/* Whatever happened, the running shim was not written to. */
static void fini(struct fixture *f)
{
	for (uint64_t i = 0; i < f->image.size; i++)
		if (ram[f->image.addr + i] != 0x5a)
			fail_msg("the shim was overwritten at %#lx",
				(unsigned long)(f->image.addr + i));
	munmap(ram, RAM);
}

static const char *prepare(struct fixture *f)
{
	return shim_prepare(&f->shim, &f->info, &f->pack, f->image);
}

static void assert_prepared(struct fixture *f)
{
	const char *problem = prepare(f);

	if (problem)
		fail_msg("%s", problem);
}

static void assert_refused(struct fixture *f, const char *words)
{
	const char *problem = prepare(f);

	if (!problem || !strstr(problem, words))
		fail_msg("\"%s\" is not in \"%s\"", words, problem ? problem : "(accepted)");
}

static uint8_t byte_of(uint64_t seed, uint64_t i)
{
	return (uint8_t)((i * 7 + seed) % 251 + 1);
}

static void fill(uint64_t at, uint64_t size, uint64_t seed)
{
	for (uint64_t i = 0; i < size; i++)
		ram[at + i] = byte_of(seed, i);
}

static void assert_filled(uint64_t at, uint64_t size, uint64_t seed)
{
	for (uint64_t i = 0; i < size; i++)
		if (ram[at + i] != byte_of(seed, i))
			fail_msg("wrong byte %#lx of what lies at %#lx", (unsigned long)i,
				(unsigned long)at);
}

static void add_module(struct fixture *f, uint64_t addr, uint64_t size)
{
	f->info.modules[f->info.n_modules++].data = (struct pvh_range){ addr, size };
}

static void add_initrd(struct fixture *f, uint64_t addr, uint64_t size)
{
	fill(addr, size, 99);
	add_module(f, addr, size);
}

static void set_cmdline(struct fixture *f, const char *text)
{
	memcpy(ram + 0x20000, text, strlen(text));
	f->info.cmdline = (struct pvh_range){ 0x20000, strlen(text) };
}

#define SETUP  1536u
#define PROPER MIB(2) /* the kernel proper in the bzImage */

static struct setup_header *header_at(uint64_t at)
{
	return (struct setup_header *)(ram + at + 0x1f1);
}

/* A relocatable bzImage that likes 16 MiB and takes 8. */
static void make_bzimage(uint64_t at)
{
	fill(at, SETUP, 5);
	fill(at + SETUP, PROPER, 1);
	memset(ram + at + 0x1f1, 0, sizeof(struct setup_header));
	*header_at(at) = (struct setup_header){
		.setup_sects = 2,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* to 0x26c */
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = MIB(2),
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G,
		.cmdline_size = 2047,
		.setup_data = 0xdead,
		.pref_address = MIB(16),
		.init_size = (uint32_t)MIB(8),
	};
}

static void init_bzimage(struct fixture *f, uint64_t at)
{
	init(f);
	make_bzimage(at);
	add_module(f, at, SETUP + PROPER);
}

static void assert_initrd(const struct fixture *f, uint64_t addr, uint64_t size)
{
	const struct boot_params *params = &f->shim.params;

	assert_int_equal(params->hdr.ramdisk_image, (uint32_t)addr);
	assert_int_equal(params->hdr.ramdisk_size, (uint32_t)size);
	assert_int_equal(params->ext_ramdisk_image, addr >> 32);
	assert_int_equal(params->ext_ramdisk_size, size >> 32);
	if (addr < RAM)
		assert_filled(addr, size, 99);
}

/* ---- a bzImage ---- */

static void test_bzimage(void **state)
{
	const struct boot_params *params;
	struct fixture f;

	init_bzimage(&f, MIB(100));
	add_initrd(&f, MIB(110), 5001);
	set_cmdline(&f, "console=ttyS0");
	f.info.rsdp = 0xe0000;
	assert_prepared(&f);
	assert_int_equal(f.shim.entry, MIB(16) + 0x200);
	assert_filled(MIB(16), PROPER, 1);
	params = &f.shim.params;
	assert_initrd(&f, MIB(110), 5001);
	assert_string_equal(f.shim.cmdline, "console=ttyS0");
	assert_int_equal(params->hdr.cmd_line_ptr, (uint32_t)(uintptr_t)f.shim.cmdline);
	assert_int_equal(params->acpi_rsdp_addr, 0xe0000);
	assert_int_equal(params->sentinel, 0);
	assert_int_equal(params->hdr.setup_data, 0);
	/* The loader's part of the header is ours, the rest the kernel's. */
	assert_int_equal(params->hdr.type_of_loader, 0xb0);
	assert_int_equal(params->hdr.version, 0x20f);
	assert_int_equal(params->hdr.init_size, MIB(8));
	assert_int_equal(params->hdr.loadflags, LOADED_HIGH);
	assert_true(params->e820_entries >= 2);
	fini(&f);
}

/* The header ends where its jump says; what follows in the file stays there. */
static void test_header_size(void **state)
{
	struct fixture f;

	init_bzimage(&f, MIB(100));
	header_at(MIB(100))->jump = 0x62eb; /* to 0x264: init_size is the last field */
	header_at(MIB(100))->handover_offset = 0x1234;
	assert_prepared(&f);
	assert_int_equal(f.shim.params.hdr.init_size, MIB(8));
	assert_int_equal(f.shim.params.hdr.handover_offset, 0);
	fini(&f);
	init_bzimage(&f, MIB(100));
	header_at(MIB(100))->jump = 0xffeb;
	assert_prepared(&f);
	assert_int_equal(f.shim.params.edd_mbr_sig_buffer[0], 0);
	fini(&f);
}

static void test_bzimage_goes_elsewhere(void **state)
{
	struct fixture f;

	/* The initrd is in the way: above it, on the next multiple. */
	init_bzimage(&f, MIB(100));
	add_initrd(&f, MIB(20), MIB(1));
	assert_prepared(&f);
	assert_int_equal(f.shim.entry, MIB(22) + 0x200);
	assert_filled(MIB(22), PROPER, 1);
	assert_initrd(&f, MIB(20), MIB(1));
	fini(&f);
	/* There is no RAM where it likes to be. */
	init_bzimage(&f, MIB(100));
	f.info.regions[1].size = MIB(19) + 4096;
	f.info.regions[2] = (struct hvm_memmap_table_entry){ MIB(33), MIB(95), PVH_MEMMAP_RAM, 0 };
	f.info.n_regions = 3;
	assert_prepared(&f);
	assert_int_equal(f.shim.entry, MIB(34) + 0x200);
	fini(&f);
	/* The shim itself is there. */
	init(&f);
	f.image.addr = MIB(16);
	memset(ram + f.image.addr, 0x5a, f.image.size);
	make_bzimage(MIB(100));
	add_module(&f, MIB(100), SETUP + PROPER);
	assert_prepared(&f);
	assert_int_equal(f.shim.entry, MIB(18) + 0x200);
	fini(&f);
}

/* Nothing else fits, or nothing else is allowed: the initrd makes way. */
static void test_initrd_moves(void **state)
{
	struct fixture f;

	init_bzimage(&f, MIB(100));
	f.info.regions[1].size = MIB(27);
	add_initrd(&f, MIB(20), MIB(1));
	assert_prepared(&f);
	assert_int_equal(f.shim.entry, MIB(16) + 0x200);
	assert_initrd(&f, MIB(1) + f.image.size, MIB(1));
	fini(&f);
	init_bzimage(&f, MIB(100));
	header_at(MIB(100))->relocatable_kernel = 0;
	add_initrd(&f, MIB(23), MIB(30));
	assert_prepared(&f);
	assert_int_equal(f.shim.entry, MIB(16) + 0x200);
	/* Over itself. */
	assert_initrd(&f, MIB(24), MIB(30));
	assert_filled(MIB(16), PROPER, 1);
	fini(&f);
	/* Down, behind the kernel's file, of which no byte is lost. */
	init_bzimage(&f, MIB(3));
	header_at(MIB(3))->relocatable_kernel = 0;
	add_initrd(&f, MIB(15), MIB(2));
	assert_prepared(&f);
	assert_filled(MIB(16), PROPER, 1);
	assert_initrd(&f, MIB(5) + 4096, MIB(2));
	fini(&f);
}

static void test_bzimage_over_itself(void **state)
{
	static const uint64_t at[] = { MIB(16) - 4096, MIB(16), MIB(16) + 512, MIB(17), MIB(14) };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct fixture f;

		init_bzimage(&f, at[i]);
		assert_prepared(&f);
		assert_int_equal(f.shim.entry, MIB(16) + 0x200);
		assert_filled(MIB(16), PROPER, 1);
		fini(&f);
	}
}

static void test_initrd_above_4g(void **state)
{
	struct fixture f;

	init_bzimage(&f, MIB(100));
	add_module(&f, GIB(5) + 4096, GIB(4) + 12345);
	assert_prepared(&f);
	assert_initrd(&f, GIB(5) + 4096, GIB(4) + 12345);
	fini(&f);
	init_bzimage(&f, MIB(100));
	header_at(MIB(100))->xloadflags = XLF_KERNEL_64;
	add_module(&f, GIB(5), 4096);
	assert_refused(&f, "no free RAM for the initrd");
	fini(&f);
	/* It can be had below. */
	init_bzimage(&f, MIB(100));
	header_at(MIB(100))->xloadflags = XLF_KERNEL_64;
	header_at(MIB(100))->initrd_addr_max = (uint32_t)MIB(30) - 1;
	add_initrd(&f, MIB(60), 4096);
	assert_prepared(&f);
	assert_initrd(&f, MIB(1) + f.image.size, 4096);
	fini(&f);
}

static void test_bzimage_refused(void **state)
{
	struct setup_header *header = NULL;
	struct fixture f;

#define REFUSED(change, words)                \
	do {                                  \
		init_bzimage(&f, MIB(100));   \
		header = header_at(MIB(100)); \
		change;                       \
		assert_refused(&f, words);    \
		fini(&f);                     \
	} while (0)

	REFUSED(header->boot_flag = 0, "is no kernel");
	REFUSED(header->header = 0, "is no kernel");
	REFUSED(header->version = 0x20b, "no 64-bit entry");
	REFUSED(header->xloadflags = 0, "no 64-bit entry");
	REFUSED(header->init_size = 0, "damaged");
	REFUSED(header->kernel_alignment = 0, "damaged");
	REFUSED(header->kernel_alignment = 3, "damaged");
	REFUSED(header->kernel_alignment = 0x80000000u, "no free RAM");
	REFUSED(header->init_size = 0xffffffffu, "no free RAM");
	REFUSED(header->pref_address = ~UINT64_C(0), "no free RAM");
	REFUSED(header->pref_address = GIB(4), "no free RAM");
	REFUSED((header->pref_address = ~UINT64_C(0), header->relocatable_kernel = 0),
		"no free RAM");
	REFUSED(header->setup_sects = 255; f.info.modules[0].data.size = 255 * 512, "truncated");
	REFUSED(f.info.modules[0].data.size = SETUP + 0x200, "truncated");
	REFUSED(f.info.modules[0].data.size = 0x28f, "is no kernel");
	REFUSED(f.info.modules[0].data.size = 0, "is no kernel");
	REFUSED(f.info.modules[0].data.size = GIB(4), "out of reach");
	REFUSED(f.info.modules[0].data.addr = GIB(4), "out of reach");
	REFUSED(f.info.n_modules = 0, "there is no kernel");
	REFUSED(f.info.regions[1].type = PVH_MEMMAP_RESERVED, "no free RAM");
	REFUSED(f.info.n_regions = 0, "no free RAM");
#undef REFUSED
}

/* ---- an ELF ---- */

#define ELF_HEAD 0x200u

static Elf64_Ehdr *ehdr_at(uint64_t at)
{
	return (Elf64_Ehdr *)(ram + at);
}

static Elf64_Phdr *phdr_at(uint64_t at)
{
	return (Elf64_Phdr *)(ram + at + sizeof(Elf64_Ehdr));
}

/* Two segments: 1 MiB at 16 MiB, 4096 bytes at 18 MiB with zeros behind them. */
static void make_elf(uint64_t at)
{
	Elf64_Ehdr *ehdr = ehdr_at(at);
	Elf64_Phdr *phdr = phdr_at(at);

	memset(ehdr, 0, ELF_HEAD);
	memcpy(ehdr->e_ident, ELFMAG, SELFMAG);
	ehdr->e_ident[EI_CLASS] = ELFCLASS64;
	ehdr->e_ident[EI_DATA] = ELFDATA2LSB;
	ehdr->e_type = ET_EXEC;
	ehdr->e_machine = EM_X86_64;
	ehdr->e_entry = MIB(16) + 0x70;
	ehdr->e_phoff = sizeof(*ehdr);
	ehdr->e_phentsize = sizeof(*phdr);
	ehdr->e_phnum = 3;
	phdr[0] = (Elf64_Phdr){ .p_type = PT_NOTE };
	phdr[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = ELF_HEAD,
		.p_paddr = MIB(16),
		.p_filesz = MIB(1),
		.p_memsz = MIB(1) };
	phdr[2] = (Elf64_Phdr){ .p_type = PT_LOAD,
		.p_offset = ELF_HEAD + MIB(1),
		.p_paddr = MIB(18),
		.p_filesz = 4096,
		.p_memsz = 0x10000 };
	fill(at + ELF_HEAD, MIB(1), 1);
	fill(at + ELF_HEAD + MIB(1), 4096, 2);
}

static void init_elf(struct fixture *f, uint64_t at)
{
	init(f);
	memset(ram + MIB(18) + 4096, 0xee, 0x10000);
	make_elf(at);
	add_module(f, at, ELF_HEAD + MIB(1) + 4096);
}

static void assert_elf_loaded(const struct fixture *f)
{
	assert_int_equal(f->shim.entry, MIB(16) + 0x70);
	assert_filled(MIB(16), MIB(1), 1);
	assert_filled(MIB(18), 4096, 2);
	for (uint64_t i = 4096; i < 0x10000; i++)
		assert_int_equal(ram[MIB(18) + i], 0);
	assert_int_equal(f->shim.params.hdr.boot_flag, 0xaa55);
	assert_int_equal(f->shim.params.hdr.header, 0x53726448);
	assert_int_equal(f->shim.params.hdr.version, 0x20c);
}

static void test_elf(void **state)
{
	struct fixture f;

	init_elf(&f, MIB(100));
	add_initrd(&f, MIB(110), 100);
	assert_prepared(&f);
	assert_elf_loaded(&f);
	assert_initrd(&f, MIB(110), 100);
	fini(&f);
}

/* The file, the initrd, or both lie where the kernel must be. */
static void test_elf_in_its_own_way(void **state)
{
	static const uint64_t at[] = { MIB(15) + 512, MIB(16), MIB(17) - 512, MIB(17) };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct fixture f;

		init_elf(&f, at[i]);
		add_initrd(&f, MIB(18) + 0xc000, MIB(1));
		assert_prepared(&f);
		assert_elf_loaded(&f);
		assert_initrd(&f, f.shim.info.modules[0].data.addr, MIB(1));
		assert_false(shim_overlap(f.shim.info.modules[0].data,
			(struct pvh_range){ MIB(16), MIB(2) + 0x10000 }));
		fini(&f);
	}
}

static void test_elf_refused(void **state)
{
	Elf64_Ehdr *ehdr = NULL;
	Elf64_Phdr *phdr = NULL;
	struct fixture f;

#define REFUSED(change, words)             \
	do {                               \
		init_elf(&f, MIB(100));    \
		ehdr = ehdr_at(MIB(100));  \
		phdr = phdr_at(MIB(100));  \
		change;                    \
		assert_refused(&f, words); \
		fini(&f);                  \
	} while (0)

	REFUSED(ehdr->e_ident[EI_CLASS] = ELFCLASS32, "no 64-bit ELF");
	REFUSED(ehdr->e_ident[EI_DATA] = ELFDATA2MSB, "no 64-bit ELF");
	REFUSED(ehdr->e_machine = EM_AARCH64, "no 64-bit ELF");
	REFUSED(ehdr->e_type = ET_REL, "no program");
	REFUSED(ehdr->e_phnum = 0, "program headers");
	REFUSED(ehdr->e_phnum = 65, "program headers");
	REFUSED(ehdr->e_phentsize = 32, "program headers");
	REFUSED(ehdr->e_phoff = ~UINT64_C(0) - 8, "program headers");
	REFUSED(ehdr->e_phoff = MIB(1) + ELF_HEAD + 4096 - 3 * 56 + 1, "program headers");
	REFUSED(ehdr->e_entry = MIB(17), "entry lies outside");
	REFUSED(ehdr->e_entry = 0, "entry lies outside");
	REFUSED(ehdr->e_entry = MIB(18) + 4096, "entry lies outside");
	REFUSED(phdr[1].p_type = phdr[2].p_type = PT_NOTE, "entry lies outside");
	REFUSED(phdr[1].p_offset = ~UINT64_C(0), "damaged");
	REFUSED(phdr[1].p_offset = 8192, "damaged");
	REFUSED(phdr[1].p_memsz = 10, "damaged");
	REFUSED(phdr[2].p_filesz = ~UINT64_C(0), "damaged");
	REFUSED(phdr[2].p_memsz = ~UINT64_C(0), "above 4 GiB");
	REFUSED(phdr[2].p_paddr = ~UINT64_C(0), "above 4 GiB");
	REFUSED(phdr[2].p_paddr = GIB(4) - 4096, "above 4 GiB");
	REFUSED(phdr[2].p_paddr = RAM - 4096, "no free RAM");
	REFUSED(phdr[2].p_paddr = 0x1000, "no free RAM");
	REFUSED(phdr[2].p_paddr = MIB(1) + 4096, "no free RAM");
	REFUSED((phdr[2].p_paddr = MIB(2), phdr[2].p_memsz = MIB(125)), "no free RAM to unpack");
#undef REFUSED
}

/* ---- what was packed ---- */

static void test_packed(void **state)
{
	struct fixture f;

	init(&f);
	make_bzimage(MIB(2));
	fill(MIB(8), 5000, 99);
	memcpy(ram + MIB(9), "root=/dev/vda", 13);
	f.pack.kernel = (struct pvh_pack_part){ MIB(1), SETUP + PROPER };
	assert_prepared(&f);
	assert_filled(MIB(16), PROPER, 1);
	assert_int_equal(f.shim.params.hdr.ramdisk_size, 0);
	assert_string_equal(f.shim.cmdline, "");

	f.pack.initrd = (struct pvh_pack_part){ MIB(7), 5000 };
	f.pack.cmdline = (struct pvh_pack_part){ MIB(8), 13 };
	assert_prepared(&f);
	assert_initrd(&f, MIB(8), 5000);
	assert_string_equal(f.shim.cmdline, "root=/dev/vda");

	/* The VMM's command line comes behind; its initrd replaces the packed one. */
	set_cmdline(&f, "quiet");
	add_initrd(&f, MIB(100), 6000);
	assert_prepared(&f);
	assert_initrd(&f, MIB(100), 6000);
	assert_string_equal(f.shim.cmdline, "root=/dev/vda quiet");
	fini(&f);
}

static void test_cmdline_length(void **state)
{
	char text[2049];
	struct fixture f;

	memset(text, 'x', sizeof(text));
	text[2047] = '\0';
	init_bzimage(&f, MIB(100));
	set_cmdline(&f, text);
	assert_prepared(&f);
	assert_string_equal(f.shim.cmdline, text);
	f.info.cmdline.size++;
	assert_refused(&f, "command line is longer than the kernel takes");
	/* The header may promise what it likes. */
	header_at(MIB(100))->cmdline_size = 0xffffffffu;
	f.info.cmdline.size = SHIM_CMDLINE_SIZE;
	assert_refused(&f, "command line is longer than the kernel takes");
	f.info.cmdline.size = SHIM_CMDLINE_SIZE - 1;
	assert_prepared(&f);
	/* With what is packed and a blank, one byte too many. */
	header_at(MIB(100))->cmdline_size = 2047;
	f.info.cmdline.size = 2000;
	f.pack.cmdline = (struct pvh_pack_part){ MIB(8), 47 };
	assert_refused(&f, "command line is longer than the kernel takes");
	f.pack.cmdline.size = 46;
	assert_prepared(&f);
	f.info.cmdline = (struct pvh_range){ GIB(4), 10 };
	assert_refused(&f, "out of reach");
	fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bzimage),
		cmocka_unit_test(test_header_size),
		cmocka_unit_test(test_bzimage_goes_elsewhere),
		cmocka_unit_test(test_initrd_moves),
		cmocka_unit_test(test_bzimage_over_itself),
		cmocka_unit_test(test_initrd_above_4g),
		cmocka_unit_test(test_bzimage_refused),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_elf_in_its_own_way),
		cmocka_unit_test(test_elf_refused),
		cmocka_unit_test(test_packed),
		cmocka_unit_test(test_cmdline_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
