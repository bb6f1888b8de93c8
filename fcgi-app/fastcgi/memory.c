/* What a request is kept in: growing, kept for the next one, lent from codec to codec. */
#include <stdlib.h>

#include "fastcgi/wire.h"

enum { BUFFER_FIRST = 2048, TABLE_FIRST = 48 };

bool codec_buffer_reserve(struct codec_buffer *b, size_t len)
{
	size_t need = b->len + len + 1;
	if (need <= b->cap)
		return true;
	size_t cap = b->cap == 0 ? BUFFER_FIRST : b->cap;
	while (cap < need)
		cap *= 2;
	char *data = realloc(b->data, cap);
	if (data == NULL)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

void codec_buffer_release(struct codec_buffer *b)
{
	free(b->data);
	*b = (struct codec_buffer){0};
}

bool codec_table_grow(struct codec_memory *m)
{
	size_t cap = m->table_cap == 0 ? TABLE_FIRST : m->table_cap * 2;
	struct param *table = realloc(m->table, cap * sizeof(*table));
	if (table == NULL)
		return false;
	m->table = table;
	m->table_cap = cap;
	return true;
}

static void recycle(struct codec_buffer *b)
{
	b->len = 0;
	if (b->cap > CODEC_KEEP_BYTES)
		codec_buffer_release(b);
}

void codec_memory_recycle(struct codec_memory *m)
{
	recycle(&m->params);
	recycle(&m->body);
}

void codec_memory_init(struct codec_memory *m)
{
	*m = (struct codec_memory){0};
	(void)(codec_buffer_reserve(&m->params, 1) && codec_table_grow(m));
}

void codec_memory_release(struct codec_memory *m)
{
	codec_buffer_release(&m->params);
	codec_buffer_release(&m->body);
	free(m->table);
	*m = (struct codec_memory){0};
}

static bool is_empty(const struct codec_memory *m)
{
	return m->params.data == NULL && m->body.data == NULL && m->table == NULL;
}

static void move(struct codec_memory *to, struct codec_memory *from)
{
	*to = *from;
	*from = (struct codec_memory){0};
}

void codec_lend(struct codec *c, struct codec_memory *m)
{
	if (is_empty(&c->memory))
		move(&c->memory, m);
}

void codec_give_back(struct codec *c, struct codec_memory *m)
{
	if (is_empty(m))
		move(m, &c->memory);
	else if (!is_empty(&c->memory))
		codec_memory_release(&c->memory);
}
