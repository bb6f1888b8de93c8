/*
 * The FastCGI side of ziggie-fcgi, on libfcgi: requests from the listening socket on
 * descriptor 0, one after the other.
 */
#ifndef ZIGGIE_COMPAT_LIBFCGI_H
#define ZIGGIE_COMPAT_LIBFCGI_H

#include <signal.h>

#include "base/error.h"
#include "compat/gateway.h"

enum { LIBFCGI_LISTEN_FD = 0 };

/*
 * Serves until one of the signals `taken`, which are blocked, comes between two
 * requests: HUP opens the log again, the others end it.
 */
enum err libfcgi_serve(struct gateway *g, const sigset_t *taken, struct errmsg *why);

#endif
