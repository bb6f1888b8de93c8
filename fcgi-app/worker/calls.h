/*
 * What the engine calls of the application, and what upkeep copies of the engine.
 */
#ifndef ZIGGIE_WORKER_CALLS_H
#define ZIGGIE_WORKER_CALLS_H

#include "worker/engine.h"

struct scoreboard;

/* With a struct app_parts as context. */
extern const struct engine_app worker_engine_calls;

/* For upkeep, with a struct engine_stats as context. */
void worker_publish_engine(const void *context, struct scoreboard *board, unsigned slot);

#endif
