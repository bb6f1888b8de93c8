/*
 * GET /api/system/network: counters of /proc/net/dev, what /sys and getifaddrs say
 * of the interfaces, and how many sockets are in which state.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/collector.h"

struct interface_rates {
	double sent, received; /* bytes a second */
};

static bool add_row(struct netdev_row **rows, size_t *count, size_t *cap,
		    const struct netdev_row *row)
{
	if (*count == *cap) {
		size_t more = *cap > 0 ? *cap * 2 : 16;
		struct netdev_row *grown = reallocarray(*rows, more, sizeof(*grown));
		if (grown == NULL)
			return false;
		*rows = grown;
		*cap = more;
	}
	(*rows)[(*count)++] = *row;
	return true;
}

static enum err read_counters(struct host_collector *c, struct network_track *out,
			      struct errmsg *why)
{
	/* "net" is a link to self/net, which a tree copied from /proc lacks. */
	enum err err = host_need(c, c->proc, "net/dev", why);
	if (err != ERR_OK)
		return err;
	*out = (struct network_track){.taken_ns = clock_mono_ns()};
	struct cursor file = cursor_over(c->file.data, c->file.len);
	struct netdev_row row;
	size_t cap = 0;
	while (netdev_next(&file, &row))
		if (!add_row(&out->rows, &out->count, &cap, &row))
			return err_set(why, ERR_NOMEM, "out of memory");
	return ERR_OK;
}

/* Rows seldom move, so the same place is tried first. */
static const struct netdev_row *find_row(const struct network_track *t, const char *name,
					 size_t hint)
{
	if (hint < t->count && strcmp(t->rows[hint].name, name) == 0)
		return &t->rows[hint];
	for (size_t i = 0; i < t->count; i++)
		if (strcmp(t->rows[i].name, name) == 0)
			return &t->rows[i];
	return NULL;
}

static struct interface_rates rates_of(const struct network_track *before,
				       const struct network_track *now, size_t index)
{
	struct interface_rates rates = {0, 0};
	if (before->taken_ns == 0)
		return rates;
	const struct netdev_row *row = &now->rows[index];
	const struct netdev_row *old = find_row(before, row->name, index);
	int64_t elapsed = now->taken_ns - before->taken_ns;
	if (old != NULL) {
		rates.sent = host_rate(old->counters.bytes_sent, row->counters.bytes_sent, elapsed);
		rates.received =
		    host_rate(old->counters.bytes_recv, row->counters.bytes_recv, elapsed);
	}
	return rates;
}

static void put_counters(const struct interface_counters *n, const struct interface_rates *rates,
			 struct json_writer *w)
{
	json_put_uint(w, "bytes_sent", n->bytes_sent);
	json_put_uint(w, "bytes_recv", n->bytes_recv);
	json_put_uint(w, "packets_sent", n->packets_sent);
	json_put_uint(w, "packets_recv", n->packets_recv);
	json_put_uint(w, "errin", n->errin);
	json_put_uint(w, "errout", n->errout);
	json_put_uint(w, "dropin", n->dropin);
	json_put_uint(w, "dropout", n->dropout);
	json_put_real(w, "bytes_sent_per_sec", rates->sent, 1);
	json_put_real(w, "bytes_recv_per_sec", rates->received, 1);
}

static void put_total(const struct network_track *before, const struct network_track *now,
		      struct json_writer *w)
{
	struct interface_counters sum = {0};
	struct interface_rates rates = {0, 0};
	for (size_t i = 0; i < now->count; i++) {
		const struct interface_counters *n = &now->rows[i].counters;
		struct interface_rates r = rates_of(before, now, i);
		sum.bytes_sent += n->bytes_sent;
		sum.bytes_recv += n->bytes_recv;
		sum.packets_sent += n->packets_sent;
		sum.packets_recv += n->packets_recv;
		sum.errin += n->errin;
		sum.errout += n->errout;
		sum.dropin += n->dropin;
		sum.dropout += n->dropout;
		rates.sent += r.sent;
		rates.received += r.received;
	}
	json_object(w);
	put_counters(&sum, &rates, w);
	json_end(w);
}

/* Keeps `now` as the track's last reading. */
static void keep(struct network_track *t, const struct network_track *now)
{
	free(t->rows);
	*t = *now;
}

enum err network_put_total(struct host_collector *c, struct network_track *t, struct json_writer *w,
			   struct errmsg *why)
{
	struct network_track now = {0};
	enum err err = read_counters(c, &now, why);
	if (err != ERR_OK) {
		free(now.rows);
		return err;
	}
	put_total(t, &now, w);
	keep(t, &now);
	return ERR_OK;
}

static void put_number(struct host_collector *c, const char *interface, const char *key,
		       uint64_t max, struct json_writer *w)
{
	char path[64];
	uint64_t value;
	snprintf(path, sizeof(path), "class/net/%s/%s", interface, key);
	if (!host_read_number(c, c->sys, path, &value) || value > max)
		value = 0;
	json_put_uint(w, key, value);
}

static bool up_in_sysfs(struct host_collector *c, const char *interface)
{
	char path[64];
	snprintf(path, sizeof(path), "class/net/%s/operstate", interface);
	if (host_read(c, c->sys, path) != ERR_OK)
		return false;
	struct cursor text = cursor_over(c->file.data, c->file.len);
	struct span state;
	return cursor_word(&text, &state) && (span_is(state, "up") || span_is(state, "unknown"));
}

static bool is_up(struct host_collector *c, const char *interface, const struct ifaddrs *all)
{
	for (; all != NULL; all = all->ifa_next)
		if (strcmp(all->ifa_name, interface) == 0)
			return (all->ifa_flags & IFF_RUNNING) != 0;
	return up_in_sysfs(c, interface);
}

static void put_address(const struct sockaddr *address, struct json_writer *w)
{
	char text[INET6_ADDRSTRLEN];
	const void *bytes;
	if (address->sa_family == AF_INET)
		bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
	else if (address->sa_family == AF_INET6)
		bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
	else
		return;
	json_string(w, inet_ntop(address->sa_family, bytes, text, sizeof(text)));
}

static void put_interface(struct host_collector *c, const struct netdev_row *row,
			  const struct interface_rates *rates, const struct ifaddrs *all,
			  struct json_writer *w)
{
	json_object(w);
	json_put_string(w, "name", row->name);
	put_counters(&row->counters, rates, w);
	json_put_bool(w, "is_up", is_up(c, row->name, all));
	/* Megabits a second; a virtual interface says -1 or all bits set. */
	put_number(c, row->name, "speed", INT32_MAX, w);
	put_number(c, row->name, "mtu", UINT32_MAX, w);
	json_key(w, "addresses");
	json_array(w);
	for (; all != NULL; all = all->ifa_next)
		if (all->ifa_addr != NULL && strcmp(all->ifa_name, row->name) == 0)
			put_address(all->ifa_addr, w);
	json_end(w);
	json_end(w);
}

static void count_state(const struct socket_row *row, void *arg)
{
	uint64_t *counts = arg;
	counts[row->state]++;
}

/* psutil's words; a UDP socket has no state. */
static enum err put_connections(struct host_collector *c, struct json_writer *w, struct errmsg *why)
{
	static const char *const names[SOCKET_STATES] = {
	    [1] = "ESTABLISHED", [2] = "SYN_SENT",  [3] = "SYN_RECV", [4] = "FIN_WAIT1",
	    [5] = "FIN_WAIT2",   [6] = "TIME_WAIT", [7] = "CLOSE",    [8] = "CLOSE_WAIT",
	    [9] = "LAST_ACK",    [10] = "LISTEN",   [11] = "CLOSING",
	};
	uint64_t tcp[SOCKET_STATES] = {0}, udp[SOCKET_STATES] = {0}, udp_sum = 0;
	for (int v6 = 0; v6 < 2; v6++)
		if (sockets_each(c, false, v6 != 0, UINT32_MAX, count_state, tcp) != ERR_OK ||
		    sockets_each(c, true, v6 != 0, UINT32_MAX, count_state, udp) != ERR_OK)
			return err_set(why, ERR_IO, "the kernel does not list its sockets");
	tcp[3] += tcp[12]; /* half-open, in the kernel's newer words */
	for (size_t i = 0; i < SOCKET_STATES; i++)
		udp_sum += udp[i];
	json_key(w, "connections");
	json_object(w);
	for (size_t i = 0; i < SOCKET_STATES; i++)
		if (names[i] != NULL)
			json_put_uint(w, names[i], tcp[i]);
	json_put_uint(w, "NONE", udp_sum);
	json_end(w);
	return ERR_OK;
}

enum err collect_network(struct host_collector *c, struct strbuf *json, struct strbuf *rest,
			 struct errmsg *why)
{
	(void)rest;
	struct network_track now = {0};
	enum err err = read_counters(c, &now, why);
	if (err != ERR_OK) {
		free(now.rows);
		return err;
	}
	struct ifaddrs *addresses = NULL;
	if (c->live && getifaddrs(&addresses) != 0) {
		host_note_error(c, errno);
		addresses = NULL;
	}
	struct json_writer w;
	json_init(&w, json);
	json_object(&w);
	json_put_bool(&w, "success", true);
	json_put_time_legacy(&w, "timestamp", clock_wall_us());
	json_key(&w, "interfaces");
	json_array(&w);
	for (size_t i = 0; i < now.count; i++) {
		struct interface_rates rates = rates_of(&c->network, &now, i);
		put_interface(c, &now.rows[i], &rates, addresses, &w);
	}
	json_end(&w);
	json_key(&w, "total");
	put_total(&c->network, &now, &w);
	err = put_connections(c, &w, why);
	if (err == ERR_OK)
		json_end(&w);
	if (addresses != NULL)
		freeifaddrs(addresses);
	keep(&c->network, &now);
	return err;
}
