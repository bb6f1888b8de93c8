/*
 * The words for the columns of a route.  A new value without a word does not compile
 * (-Wswitch, with --werror).
 */
#include "http/route.h"

#include "base/assert.h"

const char *route_access_word(enum route_access access)
{
	switch (access) {
	case ACCESS_PUBLIC:
		return "public";
	case ACCESS_OPTIONAL:
		return "optional";
	case ACCESS_HOST:
		return "host";
	case ACCESS_READONLY:
		return "readonly";
	case ACCESS_USER:
		return "user";
	case ACCESS_ADMIN:
		return "admin";
	case ACCESS_REGISTER:
		return "register";
	case ACCESS_LOCAL:
		return "local";
	}
	A_BUG("a route without an access level");
}

const char *route_others_word(enum route_others others)
{
	switch (others) {
	case OTHERS_NONE:
		return "none";
	case OTHERS_READ:
		return "read";
	case OTHERS_KEPT:
		return "kept";
	case OTHERS_CHANGED:
		return "changed";
	}
	A_BUG("a route that does not say what of others it changes");
}

const char *route_rate_word(enum route_rate rate)
{
	switch (rate) {
	case RATE_NONE:
		return "none";
	case RATE_READ:
		return "read";
	case RATE_WRITE:
		return "write";
	case RATE_LOGS:
		return "logs";
	case RATE_CONTROL:
		return "control";
	case RATE_LOGIN:
		return "login";
	case RATE_ACCOUNT:
		return "account";
	case RATE_SEARCH:
		return "search";
	case RATE_INGEST:
		return "ingest";
	}
	A_BUG("a route without a rate class");
}

const char *route_weight_word(enum route_weight weight)
{
	switch (weight) {
	case WEIGHT_LIGHT:
		return "light";
	case WEIGHT_NORMAL:
		return "normal";
	case WEIGHT_HEAVY:
		return "heavy";
	}
	A_BUG("a route without a weight class");
}

const char *route_body_word(enum route_body body)
{
	switch (body) {
	case BODY_NONE:
		return "none";
	case BODY_JSON:
		return "json";
	case BODY_FORM:
		return "form";
	case BODY_JSON_OR_FORM:
		return "json_or_form";
	}
	A_BUG("a route that does not say which body it takes");
}
