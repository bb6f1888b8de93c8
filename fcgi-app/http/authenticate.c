#include "http/authenticate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "auth/auth.h"
#include "base/assert.h"
#include "conf/conf.h"

/* A health check notes a principal when that is cheap; it never waits for long. */
enum { OPTIONAL_WAIT_MS = 250 };

/* The token of `Authorization: Bearer`, with its length; NULL when there is none. */
static const char *bearer(const struct http_request *r, size_t *len)
{
	static const char scheme[] = "Bearer ";
	const char *value = http_param(r, "HTTP_AUTHORIZATION");
	if (value == NULL || strncasecmp(value, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	value += sizeof(scheme) - 1;
	value += strspn(value, " ");
	*len = strlen(value);
	while (*len > 0 && value[*len - 1] == ' ')
		(*len)--;
	return *len > 0 ? value : NULL;
}

void http_session_digest(const struct http_request *r, uint8_t digest[TOKEN_DIGEST_LEN])
{
	size_t len;
	const char *token = bearer(r, &len);
	AN_INVARIANT(token != NULL);
	token_digest(token, len, digest);
}

static bool is_loopback(const char *address)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (address == NULL)
		return false;
	if (inet_pton(AF_INET, address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
	if (inet_pton(AF_INET6, address, &v6) != 1)
		return false;
	return IN6_IS_ADDR_LOOPBACK(&v6) ||
	       (IN6_IS_ADDR_V4MAPPED(&v6) && v6.s6_addr[12] == IN_LOOPBACKNET);
}

/* A token wins over a key, which is not looked at beside one. */
static bool find_credential(const struct http_request *r, struct credential *out)
{
	*out = (struct credential){.kind = TOKEN_SESSION};
	out->text = bearer(r, &out->len);
	if (out->text != NULL || http_param(r, "HTTP_AUTHORIZATION") != NULL)
		return out->text != NULL;
	*out = (struct credential){.kind = TOKEN_KEY, .text = http_param(r, "HTTP_X_API_KEY")};
	out->len = out->text != NULL ? strlen(out->text) : 0;
	return out->text != NULL;
}

static enum err no_credentials(const struct http_request *r, struct errmsg *why)
{
	if (http_param(r, "HTTP_AUTHORIZATION") != NULL)
		return err_set(why, ERR_UNAUTHORIZED, "the credentials are not a bearer token");
	return err_set(why, ERR_UNAUTHORIZED, "Not authenticated");
}

/* What the row asks of a key beside its owner's role. */
static enum err check_scope(const struct http_request *r, struct errmsg *why)
{
	const char *scope = r->route->scope;
	bool write = r->route->method != HTTP_GET;
	if (uuid_is_nil(&r->principal.key_id) || strcmp(scope, SCOPE_ANY) == 0)
		return ERR_OK;
	if (strcmp(scope, SCOPE_NONE) == 0)
		return err_set(why, ERR_FORBIDDEN, "this can't be done with an API key");
	if (!scopes_allow(&r->principal.scopes, scope, write))
		return err_set(why, ERR_FORBIDDEN, "this needs an API key with the scope %s:%s",
			       scope, write ? "write" : "read");
	return ERR_OK;
}

static enum err need_role(struct http_request *r, enum role least, bool grace, struct errmsg *why)
{
	struct credential given;
	if (!find_credential(r, &given))
		return no_credentials(r, why);
	struct principal principal;
	enum err err = auth_check(r->app->auth, &given, &r->deadline, grace, &principal, why);
	if (err != ERR_OK)
		return err;
	r->principal = principal;
	if (principal.role < least)
		return err_set(why, ERR_FORBIDDEN, "this needs the role %s", role_name(least));
	return check_scope(r, why);
}

static void note_principal(struct http_request *r)
{
	struct credential given;
	if (!find_credential(r, &given))
		return;
	struct deadline soon = deadline_min_ms(&r->deadline, OPTIONAL_WAIT_MS);
	struct principal principal;
	if (auth_check(r->app->auth, &given, &soon, true, &principal, NULL) == ERR_OK)
		r->principal = principal;
}

static enum err need_local(struct http_request *r, struct errmsg *why)
{
	size_t len;
	const char *token = bearer(r, &len);
	if (is_loopback(r->remote_addr) ||
	    (token != NULL && auth_is_metrics_token(r->app->auth, token, len)))
		return ERR_OK;
	return need_role(r, ROLE_ADMIN, false, why);
}

enum err http_authenticate(struct http_request *r, struct errmsg *why)
{
	switch (r->route->access) {
	case ACCESS_PUBLIC:
		return ERR_OK;
	case ACCESS_OPTIONAL:
		note_principal(r);
		return ERR_OK;
	case ACCESS_HOST:
		return need_role(r, ROLE_READONLY, true, why);
	case ACCESS_READONLY:
		return need_role(r, ROLE_READONLY, false, why);
	case ACCESS_USER:
		return need_role(r, ROLE_USER, false, why);
	case ACCESS_ADMIN:
		return need_role(r, ROLE_ADMIN, false, why);
	case ACCESS_REGISTER:
		if (!conf_number(r->app->conf, open_registration))
			return need_role(r, ROLE_ADMIN, false, why);
		note_principal(r);
		return ERR_OK;
	case ACCESS_LOCAL:
		return need_local(r, why);
	}
	A_BUG("a route without an access level");
}
