// SPDX-License-Identifier: MIT
/* efi_hello.c - a UEFI program: greet, and power off
 *
 * Of the tables only what is used (UEFI 2.10, 4.3, 8.1, 12.4).
 */
#include <stdint.h>

#define EFIAPI    __attribute__((ms_abi))
#define POWER_OFF 2

struct text_output {
	void *reset;
	uint64_t(EFIAPI *output_string)(struct text_output *out, const uint16_t *text);
};

struct runtime_services {
	uint64_t header[3];
	void *others[10];
	void(EFIAPI *reset_system)(uint32_t kind, uint64_t status, uint64_t size, void *data);
};

struct system_table {
	uint64_t header[3];
	const uint16_t *vendor;
	uint64_t revision;
	void *console_in_handle, *console_in, *console_out_handle;
	struct text_output *console_out;
	void *error_handle, *error;
	struct runtime_services *runtime;
};

__attribute__((section(".text.startup"))) uint64_t EFIAPI efi_main(
	void *handle, struct system_table *table);

uint64_t EFIAPI efi_main(void *handle, struct system_table *table)
{
	struct text_output *out = table->console_out;

	(void)handle;
	out->output_string(out, u"Hello from a disk, by ");
	out->output_string(out, table->vendor);
	out->output_string(out, u".\r\n");
	table->runtime->reset_system(POWER_OFF, 0, 0, 0);
	return 0;
}
