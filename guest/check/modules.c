// SPDX-License-Identifier: GPL-2.0 OR MIT
/* modules.c - the module list and what it points at */

#include "check.h"

static enum verdict list(void)
{
	const struct hvm_start_info *info = &handover.info;

	if (!info->nr_modules)
		return option("pvh-check.module") ? fail("a module was given, and is not there")
		                                  : skip("there is no module");
	detail("%u modules; the list is at %llx", info->nr_modules, info->modlist_paddr);
	return handover.n_modules == info->nr_modules ? PASS : FAIL;
}

static enum verdict no_list(void)
{
	if (handover.info.nr_modules)
		return skip("there are modules");
	detail("modlist_paddr is %llx", handover.info.modlist_paddr);
	return handover.info.modlist_paddr ? FAIL : PASS;
}

static enum verdict reserved(void)
{
	for (uint32_t i = 0; i < handover.n_modules; i++)
		if (handover.modules[i].reserved) {
			detail("module %u: %llx", i, handover.modules[i].reserved);
			return FAIL;
		}
	return PASS;
}

static enum verdict below_4g(void)
{
	for (uint32_t i = 0; i < handover.n_modules; i++) {
		const struct hvm_modlist_entry *module = &handover.modules[i];

		if (!at(module->paddr, module->size)) {
			detail("module %u: %llx bytes at %llx", i, module->size, module->paddr);
			return FAIL;
		}
	}
	return PASS;
}

static enum verdict texts(void)
{
	for (uint32_t i = 0; i < handover.n_modules; i++) {
		uint64_t addr = handover.modules[i].cmdline_paddr;
		const char *text = at(addr, 65536);

		if (addr && (!text || text_size(text, 65536) == 65536)) {
			detail("module %u: at %llx", i, addr);
			return FAIL;
		}
	}
	return PASS;
}

/* pvh-check.module=SIZE:SUM: what the operator gave as the first module. */
static enum verdict whole(void)
{
	const char *text = option("pvh-check.module");
	const struct hvm_modlist_entry *module = handover.modules;
	uint32_t size, sum, is;

	if (!text)
		return skip("pvh-check.module= was not given");
	size = number(&text);
	text++;
	sum = number(&text);
	if (module->size != size || !at(module->paddr, size)) {
		detail("%llx bytes, not %x", module->size, size);
		return FAIL;
	}
	is = checksum(at(module->paddr, size), size);
	detail("the checksum is %x, not %x", is, sum);
	return is == sum ? PASS : FAIL;
}

static const struct check rows[] = {
	{ "modules: there is a list, if any", START_INFO, NULL, lacks_start_info, list },
	{ "modules: modlist_paddr is 0 without modules", NULL,
		"FreeBSD takes any other value as a promise", lacks_start_info, no_list },
	{ "modules: reserved fields are 0", START_MODULE, NULL, lacks_modules, reserved },
	{ "modules: each has an address, and ends below 4 GiB", START_MODULE, NULL, lacks_modules,
		below_4g },
	{ "modules: command lines have an end", START_MODULE, NULL, lacks_modules, texts },
	{ "modules: the first arrives whole", START_MODULE, NULL, lacks_modules, whole },
};

const struct checks module_checks = CHECKS(rows);
