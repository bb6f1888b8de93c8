/*
 * A place belongs to a statement and to an epoch, the number of resets before: its owner word is
 * the digest's upper 48 bits and, below them, 16 bits of the epoch.  So a reset is one addition:
 * from then on every place is free.  A count carries the epoch as well, in its upper 16 bits, and
 * one of another epoch is 0.
 *
 * Places are looked at in their order, and the first free one is taken, by compare-and-swap.  None
 * becomes free within an epoch, so two who look for the same statement meet in the same place.
 *
 * Everybody who uses a place whose text is not complete writes it: all of them write the same
 * bytes, and none that died in the middle leaves it so.  Should one have slept through a reset
 * there and write another's bytes, then the text no longer hashes to its place's owner and
 * is not shown.
 */
#include "shm/statements.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/clock.h"
#include "shm/layout.h"

enum { EPOCH_BITS = 16, COUNT_BITS = 48 };
static const uint64_t epoch_mask = (UINT64_C(1) << EPOCH_BITS) - 1;
static const uint64_t count_max = (UINT64_C(1) << COUNT_BITS) - 1;

/* ---- the text ---- */

static const char *past_quoted(const char *at)
{
	const char *end = strchr(at + 1, *at);
	return end != NULL ? end + 1 : at + strlen(at);
}

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

/* Takes one blank, literal or other character; *at moves behind it. */
static char next_character(const char **at, char before)
{
	char c = **at;
	if (isspace((unsigned char)c)) {
		*at += strspn(*at, " \t\r\n");
		return ' ';
	}
	if (c == '\'' || c == '"') {
		*at = past_quoted(*at);
		return '?';
	}
	if (isdigit((unsigned char)c) && !in_word(before)) {
		while (in_word(**at) || **at == '.')
			++*at;
		return '?';
	}
	++*at;
	return c;
}

static void normalise(const char *sql, char out[STATEMENT_TEXT])
{
	size_t len = 0;
	char before = ' ';
	memset(out, 0, STATEMENT_TEXT);
	while (*sql != '\0' && len < STATEMENT_TEXT - 1) {
		char c = next_character(&sql, before);
		if (c != ' ' || before != ' ')
			out[len++] = c;
		before = c;
	}
}

static void write_text(struct shm_statement *place, const char text[STATEMENT_TEXT], uint64_t owner)
{
	uint64_t words[STATEMENT_WORDS];
	memcpy(words, text, sizeof(words));
	for (size_t i = 0; i < STATEMENT_WORDS; i++)
		atomic_store_explicit(&place->words[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&place->complete, owner, memory_order_release);
}

static void read_text(const struct shm_statement *place, char text[STATEMENT_TEXT])
{
	uint64_t words[STATEMENT_WORDS];
	for (size_t i = 0; i < STATEMENT_WORDS; i++)
		words[i] = atomic_load_explicit(&place->words[i], memory_order_relaxed);
	memcpy(text, words, sizeof(words));
	text[STATEMENT_TEXT - 1] = '\0';
}

/* ---- places and counts ---- */

static uint64_t owner_word(uint64_t digest, uint64_t epoch)
{
	uint64_t upper = digest & ~epoch_mask;
	return (upper != 0 ? upper : epoch_mask + 1) | (epoch & epoch_mask);
}

/* Whether the place's epoch is over.  A newer one than ours is not: we slept through the reset. */
static bool is_free(uint64_t owner, uint64_t epoch)
{
	uint64_t behind = (epoch - owner) & epoch_mask;
	return owner == 0 || (behind > 0 && behind <= epoch_mask / 2);
}

static struct shm_statement *find_or_take(struct shm_statements *s, uint64_t owner, uint64_t epoch)
{
	for (size_t i = 0; i < STATEMENT_PLACES; i++) {
		struct shm_statement *place = &s->places[i];
		uint64_t found = atomic_load(&place->owner);
		while (is_free(found, epoch))
			if (atomic_compare_exchange_weak(&place->owner, &found, owner))
				return place;
		if (found == owner)
			return place;
	}
	return NULL;
}

static uint64_t count_in(uint64_t word, uint64_t epoch)
{
	return word >> COUNT_BITS == (epoch & epoch_mask) ? word & count_max : 0;
}

typedef uint64_t combine(uint64_t before, uint64_t value);

static uint64_t sum(uint64_t before, uint64_t value)
{
	return before + value > count_max ? count_max : before + value;
}

static uint64_t larger(uint64_t before, uint64_t value)
{
	return before > value ? before : value;
}

static void change(_Atomic uint64_t *word, uint64_t epoch, combine *how, uint64_t value)
{
	uint64_t found = shm_get(word), fresh;
	do
		fresh = (epoch & epoch_mask) << COUNT_BITS | how(count_in(found, epoch), value);
	while (!atomic_compare_exchange_weak(word, &found, fresh));
}

static void note(struct scoreboard *board, const char *sql, unsigned route, uint64_t took_us)
{
	char text[STATEMENT_TEXT];
	normalise(sql, text);
	struct shm_statements *s = &board->map->statements;
	uint64_t epoch = atomic_load(&s->epoch);
	uint64_t owner = owner_word(shm_hash(text), epoch);
	struct shm_statement *place = find_or_take(s, owner, epoch);
	if (place == NULL) {
		change(&s->uncounted, epoch, sum, 1);
		return;
	}
	if (atomic_load_explicit(&place->complete, memory_order_acquire) != owner)
		write_text(place, text, owner);
	change(&place->count, epoch, sum, 1);
	change(&place->total_us, epoch, sum, took_us);
	change(&place->max_us, epoch, larger, took_us);
	atomic_store_explicit(&place->route, route, memory_order_relaxed);
	atomic_store_explicit(&place->last_seen_us, (uint64_t)clock_wall_us(),
			      memory_order_relaxed);
}

void statements_note(struct scoreboard *board, const char *sql, unsigned route, int64_t took_ns)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	AN_INVARIANT(route < SCOREBOARD_ROUTES);
	int64_t threshold_us = statements_threshold_us(board);
	int64_t took_us = took_ns / NS_PER_US;
	if (threshold_us > 0 && took_us >= threshold_us)
		note(board, sql, route, (uint64_t)took_us);
}

void statements_reset(struct scoreboard *board)
{
	atomic_fetch_add(&board->map->statements.epoch, 1);
}

/* ---- the threshold ---- */

void statements_begin(struct scoreboard *board, int64_t threshold_us)
{
	AN_INVARIANT(threshold_us > 0);
	int64_t unset = 0;
	atomic_compare_exchange_strong(&board->map->statements.threshold_us, &unset, threshold_us);
}

void statements_set_threshold(struct scoreboard *board, int64_t threshold_us)
{
	AN_INVARIANT(threshold_us > 0);
	atomic_store(&board->map->statements.threshold_us, threshold_us);
}

int64_t statements_threshold_us(const struct scoreboard *board)
{
	return atomic_load_explicit(&board->map->statements.threshold_us, memory_order_relaxed);
}

/* ---- reading ---- */

static bool read_place(const struct scoreboard *board, const struct shm_statement *place,
		       uint64_t epoch, struct slow_statement *out)
{
	uint64_t owner = atomic_load(&place->owner);
	if (owner == 0 || (owner & epoch_mask) != (epoch & epoch_mask) ||
	    atomic_load_explicit(&place->complete, memory_order_acquire) != owner)
		return false;
	read_text(place, out->text);
	out->digest = shm_hash(out->text);
	out->count = count_in(shm_get(&place->count), epoch);
	out->total_us = (int64_t)count_in(shm_get(&place->total_us), epoch);
	out->max_us = (int64_t)count_in(shm_get(&place->max_us), epoch);
	out->last_seen_us = (int64_t)shm_get(&place->last_seen_us);
	uint64_t route = shm_get(&place->route);
	shm_route_name(board, route < SCOREBOARD_ROUTES ? (unsigned)route : SCOREBOARD_ROUTE_OTHER,
		       out->route);
	return out->count > 0 && owner_word(out->digest, epoch) == owner;
}

static int compare_total(const void *left, const void *right)
{
	const struct slow_statement *a = left;
	const struct slow_statement *b = right;
	return (a->total_us < b->total_us) - (a->total_us > b->total_us);
}

size_t statements_read(const struct scoreboard *board, struct slow_statement *out, size_t max)
{
	CHECK_MAGIC(board, SCOREBOARD_MAGIC);
	const struct shm_statements *s = &board->map->statements;
	uint64_t epoch = atomic_load(&s->epoch);
	size_t count = 0;
	for (size_t i = 0; i < STATEMENT_PLACES && count < max; i++)
		count += read_place(board, &s->places[i], epoch, &out[count]);
	qsort(out, count, sizeof(*out), compare_total);
	return count;
}

uint64_t statements_uncounted(const struct scoreboard *board)
{
	const struct shm_statements *s = &board->map->statements;
	return count_in(shm_get(&s->uncounted), atomic_load(&s->epoch));
}
