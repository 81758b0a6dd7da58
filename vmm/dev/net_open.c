// SPDX-License-Identifier: MIT
/* net_open.c - what the operator says of a virtio-net, and the link that comes of it */

#include "dev/net.h"

#include "dev/net_vhost.h"
#include "host/passt.h"
#include "host/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- addresses ---- */

/* "02:00:5e:10:00:01": six bytes, of one station (no group), not all zero. */
static bool parse_mac(const char *text, uint8_t mac[6])
{
	unsigned int any = 0;

	for (int i = 0; i < 6; i++) {
		char *end;

		if (strspn(text, "0123456789abcdefABCDEF") != 2)
			return false;
		mac[i] = (uint8_t)strtoul(text, &end, 16);
		any |= mac[i];
		if (*end != (i < 5 ? ':' : '\0'))
			return false;
		text = end + 1;
	}
	return any && !(mac[0] & 1);
}

/* FNV-1a. */
static uint64_t hash(uint64_t sum, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		sum = (sum ^ (unsigned char)text[i]) * UINT64_C(0x100000001b3);
	return sum;
}

/* One of the host's machine-id and the link's name: the same with each start, another on each host
 * that may share a network with this one.  Locally administered (IEEE 802-2014, 8.4).
 */
static void derive_mac(const char *name, uint8_t mac[6])
{
	char id[32];
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, id, sizeof(id));
	uint64_t sum = hash(UINT64_C(0xcbf29ce484222325), id, n > 0 ? (size_t)n : 0);

	if (fd >= 0)
		close(fd);
	sum = hash(sum, name, strlen(name) + 1);
	sum ^= sum >> 32;
	mac[0] = 0x02;
	for (int i = 1; i < 6; i++)
		mac[i] = (uint8_t)(sum >> 8 * (i - 1));
}

/* ---- options ---- */

#define AT(member) offsetof(struct net_options, member)

#define RATE(key, member)                                                         \
	{                                                                         \
		key, 0, SETTING_RATE, ANYWHERE, .at = AT(member), .takes = "RATE" \
	}

static const struct setting net_settings[] = {
	{ "tap", 0, SETTING_TEXT, ANYWHERE, .at = AT(tap), .max = IFNAMSIZ - 1, .takes = "NAME" },
	{ "fd", 0, SETTING_NUMBER, ANYWHERE, .at = AT(fd), .max = INT32_MAX, .takes = "N" },
	{ "user", 0, SETTING_FLAG, ANYWHERE, .at = AT(user) },
	{ "hostfwd", 0, SETTING_LIST, ANYWHERE, .at = AT(hostfwd), .takes = "FORWARD" },
	{ "host", 0, SETTING_FLAG, ANYWHERE, .at = AT(host) },
	{ "vhost", 0, SETTING_FLAG, ANYWHERE, .at = AT(vhost) },
	{ "queues", 0, SETTING_NUMBER, ANYWHERE, .at = AT(n_pairs), .min = 1, .max = NET_MAX_PAIRS,
		.takes = "N" },
	{ "mac", 0, SETTING_TEXT, ANYWHERE, .at = AT(mac), .max = 17, .takes = "MAC" },
	{ "mtu", 0, SETTING_NUMBER, ANYWHERE, .at = AT(mtu), .min = 68, .max = UINT16_MAX,
		.takes = "N" },
	RATE("rate", rate),
	RATE("rx-rate", rx_rate),
	RATE("tx-rate", tx_rate),
	RATE("ops", ops),
	RATE("rx-ops", rx_ops),
	RATE("tx-ops", tx_ops),
};

static void init_options(void *item)
{
	struct net_options *options = item;

	options->fd = NET_NO_FD;
	options->n_pairs = 1;
}

bool net_is_limited(const struct net_options *options)
{
	return options->rate.tokens || options->ops.tokens || options->rx_rate.tokens ||
	       options->rx_ops.tokens || options->tx_rate.tokens || options->tx_ops.tokens;
}

static int check_options(void *object, struct diag *diag)
{
	const struct net_options *options = object;
	int n_links = !!options->tap + (options->fd != NET_NO_FD) + options->user;
	uint8_t mac[6];

	if (n_links != 1)
		return diag_fail(diag, EINVAL, "give one of tap=NAME, fd=N and user");
	if (!options->user && (options->hostfwd || options->host))
		return diag_fail(diag, EINVAL, "hostfwd and host are for user alone");
	if (options->user && options->vhost)
		return diag_fail(diag, EINVAL, "vhost is for tap and fd alone");
	if (!options->tap && options->n_pairs > 1)
		return diag_fail(diag, EINVAL, "queues is for tap alone");
	if (options->vhost && net_is_limited(options))
		return diag_fail(diag, EINVAL,
			"rate and ops are not for vhost, where the kernel moves the frames; limit the interface (man tc)");
	if (options->user && options->mtu > PASST_MTU)
		return diag_fail(diag, EINVAL, "mtu: with user it is %u at most", PASST_MTU);
	if (options->mac && !parse_mac(options->mac, mac))
		return diag_fail(diag, EINVAL,
			"mac: '%.20s' is no address of a station, such as 02:00:00:00:00:01",
			options->mac);
	return passt_check_forwards(options->hostfwd, diag);
}

const struct schema net_schema = {
	.settings = net_settings,
	.n = ARRAY_SIZE(net_settings),
	.size = sizeof(struct net_options),
	.init = init_options,
	.check = check_options,
};

/* ---- the class ---- */

static struct link *open_link(const struct net_options *options, struct diag *diag)
{
	const struct passt_options passt = {
		.forwards = options->hostfwd,
		.reach_host = options->host,
		.mtu = (uint16_t)(options->mtu ? options->mtu : PASST_MTU),
	};

	if (options->tap)
		return tap_open(options->tap, options->n_pairs, diag);
	return options->user ? passt_open(&passt, diag) : tap_adopt((int)options->fd, diag);
}

/* A tap's name is the host's only one; passt's have none, but for the order in which they were
 * asked for.
 */
static void name_link(const struct link *link, const struct net_options *options,
	unsigned int ordinal, char name[IFNAMSIZ])
{
	if (!options->user)
		snprintf(name, IFNAMSIZ, "%s", tap_name(link));
	else if (!ordinal)
		snprintf(name, IFNAMSIZ, "user");
	else
		snprintf(name, IFNAMSIZ, "user %u", ordinal);
}

struct virtio_dev *net_open(const void *settings, const struct virtio_env *env, struct diag *diag)
{
	const struct net_options *options = settings;
	char name[IFNAMSIZ];
	struct link *link;
	uint8_t mac[6];

	if (options->vhost && options->mmds) {
		diag_fail(diag, EINVAL,
			"the metadata service is not for vhost, where the kernel moves the frames");
		return NULL;
	}
	link = open_link(options, diag);
	if (!link)
		return NULL;
	name_link(link, options, env->ordinal, name);
	if (!options->mac || !parse_mac(options->mac, mac))
		derive_mac(name, mac);
	return (options->vhost ? net_vhost_create : net_create)(link, options, mac, env, diag);
}
