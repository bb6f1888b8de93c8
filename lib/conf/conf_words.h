/*
 * What a setting's text must be beyond its length.
 */
#ifndef ZIGGIE_CONF_CONF_WORDS_H
#define ZIGGIE_CONF_CONF_WORDS_H

#include "base/error.h"
#include "conf/conf.h"

/* ERR_INVALID says what is allowed, without naming the key. */
enum err conf_check_words(enum conf_id id, const char *text, struct errmsg *why);

#endif
