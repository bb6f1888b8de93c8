/*
 * Memory in psutil's words: what is used by programs excludes buffers and caches,
 * and the percentage is of what is not available.
 */
#include "host/collector.h"

enum err memory_read(struct host_collector *c, struct meminfo *out, struct errmsg *why)
{
	enum err err = host_need(c, c->proc, "meminfo", why);
	if (err != ERR_OK)
		return err;
	if (!parse_meminfo(c->file.data, c->file.len, out))
		return err_set(why, ERR_PROTOCOL, "meminfo of /proc has no total");
	return ERR_OK;
}

static uint64_t minus(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

/* In a container the parts may exceed the total, which is then all that counts. */
uint64_t memory_used(const struct meminfo *m)
{
	uint64_t parts, sum = m->free;
	bool overflow = __builtin_add_overflow(m->cached, m->reclaimable, &parts) ||
			__builtin_add_overflow(parts, m->buffers, &parts) ||
			__builtin_add_overflow(sum, parts, &sum);
	if (overflow || sum > m->total)
		return minus(m->total, m->free);
	return m->total - sum;
}

uint64_t memory_available(const struct meminfo *m)
{
	uint64_t available = m->available;
	if (!m->has_available) /* before Linux 3.14 */
		available = m->total - memory_used(m);
	return available <= m->total ? available : m->free;
}

double memory_percent(const struct meminfo *m)
{
	return host_percent((double)minus(m->total, memory_available(m)), (double)m->total);
}

void memory_put(const struct meminfo *m, struct json_writer *w)
{
	uint64_t used = memory_used(m), available = memory_available(m);
	json_key(w, "memory");
	json_object(w);
	json_put_uint(w, "total", m->total);
	json_put_uint(w, "available", available);
	json_put_uint(w, "used", used);
	json_put_real(w, "percent", memory_percent(m), 1);
	json_put_real(w, "total_gb", host_gb(m->total), 2);
	json_put_real(w, "used_gb", host_gb(used), 2);
	json_put_real(w, "available_gb", host_gb(available), 2);
	json_end(w);
}

void memory_put_swap(const struct meminfo *m, struct json_writer *w)
{
	uint64_t used = minus(m->swap_total, m->swap_free);
	json_key(w, "swap");
	json_object(w);
	json_put_uint(w, "total", m->swap_total);
	json_put_uint(w, "used", used);
	json_put_uint(w, "free", m->swap_free);
	json_put_real(w, "percent", host_percent((double)used, (double)m->swap_total), 1);
	json_end(w);
}
