/* Plain CGI (RFC 3875): one request, from the environment and standard input. */
#ifndef ZIGGIE_COMPAT_CGI_H
#define ZIGGIE_COMPAT_CGI_H

#include <stdbool.h>

#include "base/error.h"
#include "compat/gateway.h"

/* Whether the environment is that of a CGI program. */
bool cgi_is_called(void);
enum err cgi_serve(struct gateway *g, struct errmsg *why);

#endif
