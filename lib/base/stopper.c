#include "base/stopper.h"

#include "base/wait.h"

void stopper_init(struct stopper *s)
{
	pthread_mutex_init(&s->lock, NULL);
	wait_init(&s->asked);
	s->stop = false;
}

void stopper_release(struct stopper *s)
{
	pthread_cond_destroy(&s->asked);
	pthread_mutex_destroy(&s->lock);
}

void stopper_ask(struct stopper *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->asked);
	pthread_mutex_unlock(&s->lock);
}

bool stopper_sleep_until(struct stopper *s, int64_t at_ns)
{
	const struct deadline deadline = {.at_ns = at_ns, .client_fd = -1};
	pthread_mutex_lock(&s->lock);
	while (!s->stop && wait_until(&s->asked, &s->lock, &deadline))
		continue;
	bool go_on = !s->stop;
	pthread_mutex_unlock(&s->lock);
	return go_on;
}
