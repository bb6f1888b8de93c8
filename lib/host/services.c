#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "host/collector.h"

enum { SERVICES_FILE_MAX = 4 << 20 };

struct service {
	uint32_t key; /* port and protocol */
	struct span name;
};

struct services {
	struct strbuf text; /* names point into it */
	struct service *rows;
	size_t count;
};

static uint32_t key_of(uint16_t port, bool udp)
{
	return (uint32_t)port << 1 | udp;
}

/* By key; of several names for one port the first in the file comes first. */
static int compare(const void *a, const void *b)
{
	const struct service *x = a, *y = b;
	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->name.text > y->name.text) - (x->name.text < y->name.text);
}

static enum err index_rows(struct services *s)
{
	struct services_row row;
	size_t count = 0, i = 0;
	struct cursor c = cursor_over(s->text.data, s->text.len);
	while (services_next(&c, &row))
		count++;
	s->rows = calloc(count + 1, sizeof(*s->rows));
	if (s->rows == NULL)
		return ERR_NOMEM;
	for (c = cursor_over(s->text.data, s->text.len); services_next(&c, &row); i++)
		s->rows[i] = (struct service){.key = key_of(row.port, row.udp), .name = row.name};
	s->count = count;
	qsort(s->rows, s->count, sizeof(*s->rows), compare);
	return ERR_OK;
}

enum err services_load(const char *path, struct services **out)
{
	struct services *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return ERR_NOMEM;
	strbuf_init(&s->text);
	enum err err = io_read_file(path, SERVICES_FILE_MAX, &s->text, NULL);
	bool is_short = err == ERR_NOMEM || (err == ERR_IO && io_is_shortage(errno));
	if (err != ERR_OK)
		strbuf_clear(&s->text);
	err = is_short ? ERR_NOMEM : index_rows(s);
	if (err != ERR_OK) {
		services_free(s);
		return err;
	}
	*out = s;
	return ERR_OK;
}

void services_free(struct services *s)
{
	if (s == NULL)
		return;
	strbuf_release(&s->text);
	free(s->rows);
	free(s);
}

bool services_name(const struct services *s, uint16_t port, bool udp, struct span *out)
{
	uint32_t key = key_of(port, udp);
	size_t low = 0, high = s->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->rows[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == s->count || s->rows[low].key != key)
		return false;
	*out = s->rows[low].name;
	return true;
}
