/*
 * Counters of time windows, in the scoreboard's memory: how often something happened
 * since its window began, counted by all processes of the host together and exact
 * whichever of them counts.  lib/ratelimit says what is counted.
 *
 *	struct window w = {.key = …, .end = …, .minutes = 1, .limit = 60};
 *	switch (window_take(board, &w, &used)) {
 *	case WINDOW_COUNTED:	number `used` of at most 60
 *	case WINDOW_FULL:	60 were counted before
 *	case WINDOW_NO_ROOM:	not counted: the table is full
 *	}
 *
 * A window is known by its key alone: 128 bits of a keyed hash (window_secret()) over all
 * that tells it from others, its end included.  So a window that is over is never found
 * again, and its place is free for another.  One half of the key chooses a set of 16
 * places, 40 bits of the other are kept to know it by; that a new window meets another's
 * count is a chance of 16 in 2^40, and nobody without the secret can bring it about.
 *
 * When all 16 places of a set hold windows that are not over, one more is not counted:
 * whoever it belongs to goes without a limit, and nobody's count is lost.
 *
 * Every function may be called on any thread of any process, takes no lock and waits for
 * nobody, wherever other processes died.  Nothing here fails otherwise.
 */
#ifndef ZIGGIE_SHM_WINDOWS_H
#define ZIGGIE_SHM_WINDOWS_H

#include <stdint.h>

struct scoreboard;

enum { WINDOW_SECRET_LEN = 16, WINDOW_MINUTES_MAX = 60, WINDOW_PLACES = 8192 * 16 };

struct window {
	uint64_t key[2];
	uint32_t end;     /* in minutes since 1970 */
	uint32_t minutes; /* from its beginning to its end, at most WINDOW_MINUTES_MAX */
	uint32_t limit;
};

enum window_outcome { WINDOW_COUNTED, WINDOW_FULL, WINDOW_NO_ROOM };

/* Counts one more, unless there were `limit`.  *used is the count afterwards, 0 without room. */
enum window_outcome window_take(struct scoreboard *board, const struct window *w, uint32_t *used);
/* Takes one back that was counted. */
void window_give_back(struct scoreboard *board, const struct window *w);
/* The count so far. */
uint32_t window_used(const struct scoreboard *board, const struct window *w);
/* Makes the count at least that; for what was counted elsewhere. */
void window_raise(struct scoreboard *board, const struct window *w, uint32_t used);

/* The host's key for hashing keys: WINDOW_SECRET_LEN bytes, made with the scoreboard. */
const uint8_t *window_secret(const struct scoreboard *board);
/*
 * How much of the table is in use, in thousandths, by a look at one set in 128: keys are
 * spread evenly.  now is in minutes since 1970.
 */
unsigned windows_fill(const struct scoreboard *board, uint32_t now);

#endif
