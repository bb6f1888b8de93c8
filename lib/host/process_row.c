#include "host/process_row.h"

#include <string.h>

#include "base/assert.h"

const char *process_status(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "disk-sleep";
	case 'T':
		return "stopped";
	case 't':
		return "tracing-stop";
	case 'Z':
		return "zombie";
	case 'X':
	case 'x':
		return "dead";
	case 'K':
		return "wake-kill";
	case 'W':
		return "waking";
	case 'I':
		return "idle";
	case 'P':
		return "parked";
	default:
		return "?";
	}
}

int process_row_compare(const struct process_row *a, const struct process_row *b)
{
	if (a->cpu_tenths != b->cpu_tenths)
		return a->cpu_tenths > b->cpu_tenths ? -1 : 1;
	if (a->rss != b->rss)
		return a->rss > b->rss ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

void process_head_write(const struct process_list_head *head, struct strbuf *out)
{
	strbuf_addu(out, head->count);
	strbuf_addc(out, ' ');
	strbuf_addu(out, head->memory_total);
	strbuf_addc(out, '\n');
}

bool process_head_read(struct cursor *c, struct process_list_head *out)
{
	return cursor_u64(c, &out->count) && cursor_u64(c, &out->memory_total) &&
	       cursor_literal(c, "\n");
}

void process_row_write(const struct process_row *row, struct strbuf *out)
{
	const uint64_t before[] = {(uint64_t)row->pid, (uint64_t)row->ppid};
	const uint64_t after[] = {row->threads,    row->rss,
				  row->cpu_tenths, (uint64_t)row->started_us,
				  row->name.len,   row->user.len};
	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		strbuf_addu(out, before[i]);
		strbuf_addc(out, ' ');
	}
	strbuf_addc(out, row->state);
	for (size_t i = 0; i < ARRAY_LEN(after); i++) {
		strbuf_addc(out, ' ');
		strbuf_addu(out, after[i]);
	}
	strbuf_addc(out, ' ');
	strbuf_add(out, row->name.text, row->name.len);
	strbuf_addc(out, ' ');
	strbuf_add(out, row->user.text, row->user.len);
	strbuf_addc(out, '\n');
}

static bool take(struct cursor *c, uint64_t len, struct span *out)
{
	if (!cursor_literal(c, " ") || len > cursor_left(c))
		return false;
	*out = (struct span){.text = c->at, .len = (size_t)len};
	c->at += len;
	return true;
}

bool process_row_read(struct cursor *c, struct process_row *out)
{
	uint64_t pid, ppid, threads, started, name_len, user_len;
	struct span state;
	if (!cursor_u64(c, &pid) || !cursor_u64(c, &ppid) || !cursor_word(c, &state) ||
	    !cursor_u64(c, &threads) || !cursor_u64(c, &out->rss) ||
	    !cursor_u64(c, &out->cpu_tenths) || !cursor_u64(c, &started) ||
	    !cursor_u64(c, &name_len) || !cursor_u64(c, &user_len))
		return false;
	if (pid > INT32_MAX || ppid > INT32_MAX || state.len != 1 || threads > UINT32_MAX ||
	    started > INT64_MAX)
		return false;
	out->pid = (int32_t)pid;
	out->ppid = (int32_t)ppid;
	out->state = state.text[0];
	out->threads = (uint32_t)threads;
	out->started_us = (int64_t)started;
	return take(c, name_len, &out->name) && take(c, user_len, &out->user) &&
	       cursor_literal(c, "\n");
}

void process_row_put(const struct process_row *row, uint64_t memory_total, struct json_writer *w)
{
	double memory = memory_total > 0 ? 100.0 * (double)row->rss / (double)memory_total : 0;
	json_object(w);
	json_put_int(w, "pid", row->pid);
	json_put_int(w, "ppid", row->ppid);
	json_key(w, "name");
	json_stringn(w, row->name.text, row->name.len);
	json_key(w, "username");
	json_stringn(w, row->user.text, row->user.len);
	json_put_string(w, "status", process_status(row->state));
	json_put_real(w, "cpu_percent", (double)row->cpu_tenths / 10, 1);
	json_put_real(w, "memory_percent", memory, 2);
	json_put_uint(w, "rss", row->rss);
	json_put_uint(w, "threads", row->threads);
	json_put_time_legacy(w, "started", row->started_us);
	json_end(w);
}
