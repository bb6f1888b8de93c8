/*
 * How windows are counted.  Each place has two words:
 *
 *	owner	40 bits of the key, and below them the end, in minutes modulo 2^24 (31 years)
 *	count	the end, in minutes since 1970, above 32 bits of count
 *
 * Owner.  A key's place is the first in its set that holds it; when none does, the first
 * whose window was over before the key's own began, taken by compare-and-swap.  "Over" is
 * judged by the owner word and the key's window, never by the clock, so for one key it is
 * the same for everybody; and a place that is not over for a key never becomes so, as
 * ends in a place only grow.  Two threads with one key therefore can't take two places:
 * had they swapped in places i < j, then the second passed i by when that was neither
 * over nor the key's, but the first found it over: in the order of changes of word i no
 * moment fits both.
 *
 * Count.  Whoever has the place counts by compare-and-swap.  A count of another end was
 * left by the place's last owner, and the new one begins at 0.  A thread that was held
 * up until its place had gone to another key finds a foreign count too, and must not
 * begin anew: it looks at the owner again.  That works because a count is stored with
 * release after its owner's word, and loaded with acquire before it.  All else is relaxed.
 *
 * A clock that is set back may find windows of the future: for keys of the present they
 * are not over for two hours at most, and everything beyond counts as over.
 */
#include "shm/windows.h"

#include "base/assert.h"
#include "shm/layout.h"

enum { END_BITS = 24, END_MASK = (1 << END_BITS) - 1, AHEAD_MAX = 2 * WINDOW_MINUTES_MAX };
enum { SAMPLED_SETS = WINDOW_SETS / 128 };

_Static_assert((int)WINDOW_PLACES == (int)WINDOW_SETS * (int)WINDOW_WAYS,
	       "the header says how large the table is");

/* Never 0: the key's lowest bit that is kept is set. */
static uint64_t owner_word(const struct window *w)
{
	return ((w->key[1] | 1) << END_BITS) | (w->end & END_MASK);
}

static bool is_over(uint64_t owner, uint32_t minute)
{
	uint32_t ahead = ((uint32_t)owner - minute) & END_MASK;
	return owner == 0 || ahead == 0 || ahead > AHEAD_MAX;
}

static struct shm_window_set *set_of(const struct scoreboard *board, const struct window *w)
{
	return &board->map->windows[w->key[0] % WINDOW_SETS];
}

/* A place of the set, or none. */
struct place {
	_Atomic uint64_t *owner;
	_Atomic uint64_t *count;
};

static struct place place_at(struct shm_window_set *set, size_t way)
{
	return (struct place){&set->owners[way], &set->counts[way]};
}

static struct place find(const struct scoreboard *board, const struct window *w)
{
	struct shm_window_set *set = set_of(board, w);
	uint64_t word = owner_word(w);
	for (size_t i = 0; i < WINDOW_WAYS; i++)
		if (shm_get(&set->owners[i]) == word)
			return place_at(set, i);
	return (struct place){NULL, NULL};
}

/* The way that holds the word, else the first whose window is over, else WINDOW_WAYS. */
static size_t choose(const struct shm_window_set *set, const struct window *w, uint64_t word,
		     uint64_t *found)
{
	size_t over = WINDOW_WAYS;
	for (size_t i = 0; i < WINDOW_WAYS; i++) {
		uint64_t owner = shm_get(&set->owners[i]);
		if (owner == word) {
			*found = owner;
			return i;
		}
		if (over == WINDOW_WAYS && is_over(owner, w->end - w->minutes)) {
			*found = owner;
			over = i;
		}
	}
	return over;
}

/* Every swap that fails is another's that worked and leaves a place less, so this ends. */
static struct place find_or_take(const struct scoreboard *board, const struct window *w)
{
	struct shm_window_set *set = set_of(board, w);
	uint64_t word = owner_word(w), found = 0;
	for (;;) {
		size_t way = choose(set, w, word, &found);
		if (way == WINDOW_WAYS)
			return (struct place){NULL, NULL};
		if (found == word ||
		    atomic_compare_exchange_strong_explicit(&set->owners[way], &found, word,
							    memory_order_relaxed,
							    memory_order_relaxed) ||
		    found == word)
			return place_at(set, way);
	}
}

/* The window's count in a count word; *mine says whether the place is still the window's. */
static uint32_t count_in(const struct window *w, struct place place, uint64_t count, bool *mine)
{
	*mine = true;
	if (count >> 32 == w->end)
		return (uint32_t)count;
	*mine = shm_get(place.owner) == owner_word(w);
	return 0;
}

/* False when another changed it first; *count is then what that one left. */
/* NOLINTNEXTLINE(readability-non-const-parameter): which the swap writes */
static bool swap_count(const struct window *w, struct place place, uint64_t *count, uint32_t fresh)
{
	return atomic_compare_exchange_weak_explicit(place.count, count,
						     (uint64_t)w->end << 32 | fresh,
						     memory_order_acq_rel, memory_order_acquire);
}

static uint64_t load_count(struct place place)
{
	return atomic_load_explicit(place.count, memory_order_acquire);
}

enum window_outcome window_take(struct scoreboard *board, const struct window *w, uint32_t *used)
{
	AN_INVARIANT(w->minutes >= 1 && w->minutes <= WINDOW_MINUTES_MAX);
	struct place place = find_or_take(board, w);
	*used = 0;
	if (place.count == NULL)
		return WINDOW_NO_ROOM;
	for (uint64_t count = load_count(place);;) {
		bool mine;
		uint32_t before = count_in(w, place, count, &mine);
		if (!mine) /* and so the window has been over for long */
			return WINDOW_NO_ROOM;
		*used = before;
		if (before >= w->limit)
			return WINDOW_FULL;
		*used = before + 1;
		if (swap_count(w, place, &count, *used))
			return WINDOW_COUNTED;
	}
}

void window_give_back(struct scoreboard *board, const struct window *w)
{
	struct place place = find(board, w);
	if (place.count == NULL)
		return;
	for (uint64_t count = load_count(place);;) {
		bool mine;
		uint32_t before = count_in(w, place, count, &mine);
		if (before == 0 || swap_count(w, place, &count, before - 1))
			return;
	}
}

uint32_t window_used(const struct scoreboard *board, const struct window *w)
{
	struct place place = find(board, w);
	if (place.count == NULL)
		return 0;
	bool mine;
	return count_in(w, place, load_count(place), &mine);
}

void window_raise(struct scoreboard *board, const struct window *w, uint32_t used)
{
	struct place place = find_or_take(board, w);
	if (place.count == NULL)
		return;
	for (uint64_t count = load_count(place);;) {
		bool mine;
		uint32_t before = count_in(w, place, count, &mine);
		if (!mine || before >= used || swap_count(w, place, &count, used))
			return;
	}
}

const uint8_t *window_secret(const struct scoreboard *board)
{
	return board->map->window_secret;
}

unsigned windows_fill(const struct scoreboard *board, uint32_t now)
{
	unsigned used = 0;
	for (size_t i = 0; i < SAMPLED_SETS; i++)
		for (size_t way = 0; way < WINDOW_WAYS; way++)
			used += !is_over(shm_get(&board->map->windows[i].owners[way]), now);
	return used * 1000 / (SAMPLED_SETS * WINDOW_WAYS);
}
