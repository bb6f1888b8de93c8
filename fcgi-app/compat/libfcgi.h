/*
 * The FastCGI side of ziggie-fcgi, on libfcgi: requests from a listening socket, one
 * after the other.
 */
#ifndef ZIGGIE_COMPAT_LIBFCGI_H
#define ZIGGIE_COMPAT_LIBFCGI_H

#include <signal.h>

#include "base/error.h"
#include "compat/gateway.h"

/*
 * Serves until one of the signals `taken`, which are blocked, comes between two
 * requests: HUP opens the log again, the others end it.
 */
enum err libfcgi_serve(struct gateway *g, int listen_fd, const sigset_t *taken, struct errmsg *why);

#endif
