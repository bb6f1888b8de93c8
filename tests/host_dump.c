/*
 * Answers lines on standard input with what lib/host reads, for tests that compare it
 * with what others read.  A line is a kind ("stats"), or "processes LIMIT SORT
 * [SEARCH]" with SORT as a number of enum host_process_sort; the answer is one line of
 * JSON.  Ends at the end of the input.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "host/cursor.h"
#include "host/host.h"

struct question {
	enum host_kind kind;
	bool has_query;
	struct host_process_query query;
};

static bool read_kind(struct cursor *c, enum host_kind *out)
{
	struct span name;
	if (!cursor_word(c, &name))
		return false;
	for (unsigned kind = 0; kind < HOST_KIND_COUNT; kind++) {
		if (span_is(name, host_kind_names[kind])) {
			*out = (enum host_kind)kind;
			return true;
		}
	}
	return false;
}

/* The line's newline is cut off, so the search runs to its NUL. */
static bool read_question(const char *line, struct question *out)
{
	struct cursor c = cursor_over(line, strlen(line));
	uint64_t limit, sort;
	*out = (struct question){.has_query = false};
	if (!read_kind(&c, &out->kind))
		return false;
	if (cursor_left(&c) == 0)
		return true;
	if (!cursor_u64(&c, &limit) || !cursor_u64(&c, &sort))
		return false;
	out->has_query = true;
	out->query.limit = (size_t)limit;
	out->query.sort = (enum host_process_sort)sort;
	out->query.search = cursor_literal(&c, " ") ? c.at : NULL;
	return true;
}

static enum err answer(struct host_collector *c, const struct question *q, struct errmsg *why)
{
	STRBUF_CLEANUP sample = STRBUF_INIT;
	STRBUF_CLEANUP json = STRBUF_INIT;
	struct host_view view;
	enum err err = host_sample(c, q->kind, &sample, why);
	if (err == ERR_OK)
		err = host_view_open(sample.data, sample.len, &view);
	if (err == ERR_OK && q->has_query)
		err = host_view_processes(&view, &q->query, &json, why);
	else if (err == ERR_OK)
		strbuf_add(&json, view.json, view.json_len);
	if (err != ERR_OK)
		return err;
	strbuf_addc(&json, '\n');
	fwrite(json.data, 1, json.len, stdout);
	return fflush(stdout) == 0 ? ERR_OK : ERR_IO;
}

static int serve(struct host_collector *c)
{
	char line[1024];
	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct question question;
		struct errmsg why = ERRMSG_INIT;
		line[strcspn(line, "\n")] = '\0';
		if (!read_question(line, &question)) {
			fprintf(stderr, "host_dump: no such question: %s\n", line);
			return EX_USAGE;
		}
		enum err err = answer(c, &question, &why);
		if (err != ERR_OK) {
			fprintf(stderr, "host_dump: %s: %s\n", err_name(err), why.text);
			return EX_SOFTWARE;
		}
	}
	return EX_OK;
}

int main(void)
{
	struct host_collector *c;
	struct errmsg why = ERRMSG_INIT;
	if (host_collector_new("/proc", "/sys", &c, &why) != ERR_OK) {
		fprintf(stderr, "host_dump: %s\n", why.text);
		return EX_OSERR;
	}
	int status = serve(c);
	host_collector_free(c);
	return status;
}
