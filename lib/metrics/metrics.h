/*
 * The scoreboard as text for Prometheus: format 0.0.4, or OpenMetrics 1.0.
 * Durations are in seconds, sizes in bytes, as those formats ask for.
 */
#ifndef ZIGGIE_METRICS_METRICS_H
#define ZIGGIE_METRICS_METRICS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "shm/scoreboard.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define METRICS_OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* ERR_UNAVAILABLE or ERR_NOMEM; *out may then hold a part of it. */
enum err metrics_render(const struct scoreboard *board, bool openmetrics, struct strbuf *out,
			struct errmsg *why);

#endif
