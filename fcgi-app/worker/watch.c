#include "worker/watch.h"

void watch_init(struct watch *w, unsigned most)
{
	*w = (struct watch){.most = most};
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->call, NULL);
}

void watch_release(struct watch *w)
{
	pthread_cond_destroy(&w->call);
	pthread_mutex_destroy(&w->lock);
}

static bool try_watch(struct watch *w)
{
	unsigned watching = atomic_load(&w->watching);
	do {
		if (watching >= w->most)
			return false;
	} while (!atomic_compare_exchange_weak(&w->watching, &watching, watching + 1));
	return true;
}

/*
 * Whoever leaves last looks for resting ones under the lock; so one that found
 * enough watchers, with the lock held, is either seen by it or sees that it left.
 */
static bool rest(struct watch *w)
{
	bool watches = false;
	pthread_mutex_lock(&w->lock);
	while (!w->over && !watches) {
		if (w->called > 0) {
			w->called--;
			watches = true;
		} else if (try_watch(w)) {
			watches = true;
		} else {
			w->resting++;
			pthread_cond_wait(&w->call, &w->lock);
			w->resting--;
		}
	}
	pthread_mutex_unlock(&w->lock);
	return watches;
}

bool watch_enter(struct watch *w)
{
	return try_watch(w) || rest(w);
}

void watch_leave(struct watch *w)
{
	if (atomic_fetch_sub(&w->watching, 1) != 1)
		return;
	pthread_mutex_lock(&w->lock);
	if (w->resting > w->called && atomic_load(&w->watching) == 0) {
		w->called++;
		atomic_fetch_add(&w->watching, 1);
		pthread_cond_signal(&w->call);
	}
	pthread_mutex_unlock(&w->lock);
}

void watch_end(struct watch *w)
{
	pthread_mutex_lock(&w->lock);
	w->over = true;
	pthread_cond_broadcast(&w->call);
	pthread_mutex_unlock(&w->lock);
}
