#include "store/record_batch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/wait.h"
#include "store/record_sql.h"

enum {
	KINDS_MAX = 16,
	ROWS_USUAL = 8 * 1024, /* what most statements bring */
	ROWS_MOST = 8 * 1024 * 1024,
};

enum batch_state {
	BATCH_OPEN,    /* others may join */
	BATCH_READING, /* one of those who joined carries out the statement */
	BATCH_READ,    /* rows are there for all of them, or err says why not */
};

/* Reads that go together. */
struct batch {
	struct batch *next; /* of the spare ones */
	enum batch_state state;
	unsigned turn;    /* the lane's, when it began to read */
	unsigned holders; /* who joined and has not taken its record yet */
	pthread_cond_t changed;
	size_t count;
	struct uuid ids[RECORD_BATCH_MOST];

	/* Written by the one who reads, and by nobody from BATCH_READ on. */
	struct arena arena;
	struct db_result rows;
	enum err err;
	struct errmsg why;
};

/* The reads of one kind. */
struct lane {
	const struct record_kind *kind; /* NULL: of none yet */
	struct batch *open;             /* NULL: nobody waits */
	unsigned reading;               /* batches of this turn */
	unsigned turn;                  /* goes up when those who wait lose their patience */
};

struct record_batch {
	int64_t patience_ms;
	pthread_mutex_t lock; /* of what follows, and of the batches */
	struct lane lanes[KINDS_MAX];
	struct batch *spare;
};

/* One who wants a record. */
struct reader {
	const struct record_access *access;
	struct arena *arena;
	const struct record_kind *kind;
	const struct uuid *id;
	bool peeks;
};

static bool add_spare(struct record_batch *all)
{
	struct batch *batch = calloc(1, sizeof(*batch));
	if (batch == NULL)
		return false;
	wait_init(&batch->changed);
	arena_init(&batch->arena, ROWS_USUAL, ROWS_MOST);
	batch->next = all->spare;
	all->spare = batch;
	/* Taken now, or a worker grows with the first crowds, which looks like a leak. */
	bool warm = arena_calloc(&batch->arena, 1, ROWS_USUAL) != NULL;
	arena_reset(&batch->arena);
	return warm;
}

enum err record_batch_new(unsigned threads, int64_t patience_ms, struct record_batch **out,
			  struct errmsg *why)
{
	struct record_batch *all = calloc(1, sizeof(*all));
	bool made = all != NULL;
	if (made) {
		pthread_mutex_init(&all->lock, NULL);
		all->patience_ms = patience_ms;
	}
	for (unsigned i = 0; made && i < threads; i++)
		made = add_spare(all);
	if (!made) {
		record_batch_free(all);
		return err_set(why, ERR_NOMEM, "out of memory for the reads of records");
	}
	*out = all;
	return ERR_OK;
}

void record_batch_free(struct record_batch *all)
{
	if (all == NULL)
		return;
	for (size_t i = 0; i < KINDS_MAX; i++)
		AN_INVARIANT(all->lanes[i].open == NULL && all->lanes[i].reading == 0);
	for (struct batch *batch = all->spare, *next; batch != NULL; batch = next) {
		next = batch->next;
		arena_release(&batch->arena);
		pthread_cond_destroy(&batch->changed);
		free(batch);
	}
	pthread_mutex_destroy(&all->lock);
	free(all);
}

/* With the lock held */

static struct lane *lane_of(struct record_batch *all, const struct record_kind *kind)
{
	struct lane *lane = all->lanes;
	while (lane->kind != kind && lane->kind != NULL) {
		lane++;
		AN_INVARIANT(lane < all->lanes + KINDS_MAX);
	}
	lane->kind = kind;
	return lane;
}

/* NULL when there is neither an open one nor a spare one. */
static struct batch *join(struct record_batch *all, struct lane *lane, const struct uuid *id)
{
	struct batch *batch = lane->open;
	if (batch == NULL) {
		batch = all->spare;
		if (batch == NULL)
			return NULL;
		all->spare = batch->next;
		batch->state = BATCH_OPEN;
		batch->holders = 0;
		batch->count = 0;
		lane->open = batch;
	}
	batch->holders++;
	for (size_t i = 0; i < batch->count; i++)
		if (uuid_equal(&batch->ids[i], id))
			return batch;
	batch->ids[batch->count++] = *id;
	return batch;
}

static void let_go(struct record_batch *all, struct batch *batch)
{
	if (--batch->holders > 0)
		return;
	arena_reset(&batch->arena);
	batch->next = all->spare;
	all->spare = batch;
}

static bool may_begin(const struct lane *lane, const struct batch *batch)
{
	return batch->state == BATCH_OPEN &&
	       (lane->reading == 0 || batch->count == RECORD_BATCH_MOST);
}

static void begin(struct lane *lane, struct batch *batch)
{
	AN_INVARIANT(lane->open == batch);
	lane->open = NULL;
	lane->reading++;
	batch->turn = lane->turn;
	batch->state = BATCH_READING;
}

/* Whoever comes first goes on with those who wait: one of them, or a newcomer. */
static void call_next(struct lane *lane)
{
	if (lane->open != NULL)
		pthread_cond_signal(&lane->open->changed);
}

static void end(struct lane *lane, struct batch *batch)
{
	batch->state = BATCH_READ;
	if (batch->turn == lane->turn) {
		lane->reading--;
		call_next(lane);
	}
	pthread_cond_broadcast(&batch->changed);
}

/* What is being read takes too long for somebody; from now on nobody else waits behind it. */
static void overtake(struct lane *lane)
{
	lane->turn++;
	lane->reading = 0;
	call_next(lane);
}

/* Until the batch is read or may begin, or has been read for too long. */
static void wait_for_others(struct record_batch *all, struct lane *lane, struct batch *batch,
			    const struct deadline *patience)
{
	while (batch->state != BATCH_READ && !may_begin(lane, batch)) {
		if (wait_until(&batch->changed, &all->lock, patience))
			continue;
		if (batch->state == BATCH_OPEN || batch->turn == lane->turn)
			overtake(lane);
		if (batch->state == BATCH_READING)
			return;
	}
}

/* Without the lock */

/* As many places as a power of two, so that few statements are prepared; the first id fills up. */
static enum err select_all(struct db_conn *db, struct batch *batch, const struct reader *reader)
{
	struct db_value binds[RECORD_BATCH_MOST];
	STRBUF_CLEANUP sql = STRBUF_INIT;
	size_t places = 1;
	while (places < batch->count)
		places *= 2;
	/* Of a small table the server would rather read all. */
	sql_select(reader->kind, "PRIMARY", NULL, &sql);
	strbuf_adds(&sql, " WHERE id IN (?");
	for (size_t i = 1; i < places; i++)
		strbuf_adds(&sql, ", ?");
	strbuf_adds(&sql, ")");
	for (size_t i = 0; i < places; i++) {
		const struct uuid *id = &batch->ids[i < batch->count ? i : 0];
		binds[i] = db_blob(id->bytes, sizeof(id->bytes));
	}
	return (reader->peeks ? sql_peek : sql_query)(db, &batch->arena, &sql, binds, places,
						      &batch->rows, &batch->why);
}

static void read_all(struct batch *batch, const struct reader *reader)
{
	const struct record_access *access = reader->access;
	struct db_conn *db;
	batch->err = access->borrow(access->context, &db, &batch->why);
	if (batch->err != ERR_OK)
		return;
	batch->err = select_all(db, batch, reader);
	access->give_back(access->context, db);
}

/* What a record points to is the batch's, which goes with the last who takes one. */
static enum err keep(struct record *record, struct arena *arena, struct errmsg *why)
{
	for (size_t i = 0; i < record->kind->field_count; i++) {
		struct db_value *value = &record->values[i];
		if (value->type == DB_TEXT || value->type == DB_BLOB)
			value->as.bytes.data =
			    arena_strndup(arena, value->as.bytes.data, value->as.bytes.len);
	}
	return arena->overflowed ? err_set(why, ERR_NOMEM, "out of memory for a record") : ERR_OK;
}

static enum err take_out(const struct batch *batch, const struct reader *reader, struct record *out,
			 struct errmsg *why)
{
	for (size_t row = 0; row < batch->rows.row_count; row++) {
		size_t len;
		const void *id = db_col_blob(&batch->rows, row, RECORD_ID, &len);
		AN_INVARIANT(len == sizeof(reader->id->bytes));
		if (memcmp(id, reader->id->bytes, len) != 0)
			continue;
		enum err err =
		    record_of_row(&batch->rows, row, reader->kind, reader->arena, out, why);
		return err == ERR_OK ? keep(out, reader->arena, why) : err;
	}
	return err_set(why, ERR_NOT_FOUND, "there is no such %s", reader->kind->name);
}

static enum err read_alone(const struct reader *reader, struct record *out, struct errmsg *why)
{
	const struct record_access *access = reader->access;
	struct db_conn *db;
	enum err err = access->borrow(access->context, &db, why);
	if (err != ERR_OK)
		return err;
	err = (reader->peeks ? record_peek : record_find)(db, reader->arena, reader->kind,
							  reader->id, out, why);
	access->give_back(access->context, db);
	return err;
}

/* Whoever waits must have time left to read by itself. */
static struct deadline patience_of(const struct record_batch *all, const struct reader *reader)
{
	int64_t half = deadline_left_ms(&reader->access->deadline) / 2;
	return deadline_in_ms(half < all->patience_ms ? half : all->patience_ms);
}

/* NULL when this one has to read by itself.  Otherwise *mine says whether it read for all. */
static struct batch *read_with_others(struct record_batch *all, const struct reader *reader,
				      bool *mine)
{
	const struct deadline patience = patience_of(all, reader);
	pthread_mutex_lock(&all->lock);
	struct lane *lane = lane_of(all, reader->kind);
	struct batch *batch = join(all, lane, reader->id);
	if (batch == NULL) {
		pthread_mutex_unlock(&all->lock);
		return NULL;
	}
	wait_for_others(all, lane, batch, &patience);
	*mine = may_begin(lane, batch);
	if (*mine) {
		begin(lane, batch);
		pthread_mutex_unlock(&all->lock);
		read_all(batch, reader);
		pthread_mutex_lock(&all->lock);
		end(lane, batch);
	} else if (batch->state != BATCH_READ) {
		let_go(all, batch);
		batch = NULL;
	}
	pthread_mutex_unlock(&all->lock);
	return batch;
}

/*
 * What failed for one need not fail for another, and together they may just have been too
 * large.  But when there was no connection to be had they have all waited for it.
 */
static bool must_try_alone(enum err err, bool mine)
{
	if (mine)
		return err == ERR_NOMEM || err == ERR_TOO_LARGE;
	return err != ERR_OVERLOADED;
}

static enum err read_one(struct record_batch *all, const struct reader *reader, struct record *out,
			 struct errmsg *why)
{
	bool mine = false, alone = false;
	enum err err = ERR_OK;
	struct batch *batch = read_with_others(all, reader, &mine);
	if (batch == NULL)
		return read_alone(reader, out, why);
	if (batch->err == ERR_OK)
		err = take_out(batch, reader, out, why);
	else if (must_try_alone(batch->err, mine))
		alone = true;
	else
		err = err_set(why, batch->err, "%s", batch->why.text);
	pthread_mutex_lock(&all->lock);
	let_go(all, batch);
	pthread_mutex_unlock(&all->lock);
	return alone ? read_alone(reader, out, why) : err;
}

enum err record_batch_find(struct record_batch *all, const struct record_access *access,
			   struct arena *arena, const struct record_kind *kind,
			   const struct uuid *id, struct record *out, struct errmsg *why)
{
	const struct reader reader = {access, arena, kind, id, false};
	return read_one(all, &reader, out, why);
}

/* A transaction has its connection. */
static enum err lend_own(void *own, struct db_conn **db, struct errmsg *why)
{
	(void)why;
	*db = own;
	return ERR_OK;
}

static void keep_own(void *own, struct db_conn *db)
{
	(void)own;
	(void)db;
}

enum err record_batch_peek(struct record_batch *all, struct db_conn *db, struct arena *arena,
			   const struct record_kind *kind, const struct uuid *id,
			   struct record *out, struct errmsg *why)
{
	if (db_attempt(db) > 0 || !db_peeks(db))
		return record_peek(db, arena, kind, id, out, why);
	const struct record_access access = {lend_own, keep_own, db, *db_deadline(db)};
	const struct reader reader = {&access, arena, kind, id, true};
	return read_one(all, &reader, out, why);
}
