#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/num.h"
#include "ctl.h"
#include "store/tokens.h"
#include "user_change.h"

enum { LIMIT_MS = 300000, COUNT_MAX = 100000 };

struct minted {
	char text[TOKEN_TEXT_SIZE];
	uint8_t digest[TOKEN_DIGEST_LEN];
};

struct order {
	const char *name;
	int64_t expires_us;
	uint64_t count;
	struct minted *tokens;
};

/* A token opens a session as a sign-in does, and so it is in the audit. */
static enum err note(struct db_conn *db, const struct uuid *user_id, uint64_t count,
		     struct errmsg *why)
{
	char after[64];
	snprintf(after, sizeof(after), "{\"tokens\":%" PRIu64 "}", count);
	struct audit_entry entry = ctl_origin;
	entry.action = "login";
	entry.resource = "user";
	entry.record = user_id;
	entry.after = after;
	return audit_add(db, &entry, why);
}

static enum err add_tokens(struct db_conn *db, void *arg, struct errmsg *why)
{
	const struct order *order = arg;
	struct user user;
	struct arena arena;
	arena_init(&arena, 4096, 65536);
	enum err err = users_by_name(db, &arena, order->name, &user, why);
	if (err == ERR_OK && !user.is_active)
		err = err_set(why, ERR_FORBIDDEN, "user %s is disabled", order->name);
	for (uint64_t i = 0; i < order->count && err == ERR_OK; i++)
		err = tokens_add(db, order->tokens[i].digest, &user.id, "ziggiectl",
				 order->expires_us, why);
	if (err == ERR_OK)
		err = note(db, &user.id, order->count, why);
	arena_release(&arena);
	return err;
}

static int print_tokens(const struct order *order)
{
	STRBUF_CLEANUP out = STRBUF_INIT;
	for (uint64_t i = 0; i < order->count; i++)
		strbuf_addf(&out, "%s\n", order->tokens[i].text);
	int exit_code = ctl_print(&out);
	sodium_memzero(out.data, out.len);
	return exit_code;
}

static int mint(const struct ctl *ctl, struct order *order)
{
	order->tokens = calloc(order->count, sizeof(*order->tokens));
	if (order->tokens == NULL)
		return ctl_fail(EX_OSERR, "out of memory");
	for (uint64_t i = 0; i < order->count; i++)
		token_mint(TOKEN_SESSION, order->tokens[i].text, order->tokens[i].digest);
	int exit_code = ctl_transaction(ctl, LIMIT_MS, add_tokens, order);
	if (exit_code == EX_OK)
		exit_code = print_tokens(order);
	sodium_memzero(order->tokens, order->count * sizeof(*order->tokens));
	free(order->tokens);
	return exit_code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const char *lifetime = NULL, *count = "1";
	struct order order;
	struct errmsg why = ERRMSG_INIT;
	const struct ctl_option options[] = {
	    {.name = "lifetime", .value = &lifetime},
	    {.name = "count", .value = &count},
	};
	if (!ctl_arguments(ctl, argc, argv, options, 2, &order.name, 1, 1))
		return EX_USAGE;
	if (!num_u64s(count, 1, COUNT_MAX, &order.count))
		return ctl_fail(EX_USAGE, "--count must be a number from 1 to %d", COUNT_MAX);
	if (lifetime != NULL &&
	    conf_set(&ctl->conf, CONF_token_lifetime, lifetime, "--lifetime", &why) != ERR_OK)
		return ctl_fail(EX_USAGE, "%s", why.text);
	order.expires_us = clock_wall_us() + conf_number(&ctl->conf, token_lifetime) * US_PER_MS;
	return mint(ctl, &order);
}

const struct command command_token = {
    .name = "token",
    .synopsis = "NAME [--lifetime DURATION] [--count N]",
    .summary = "Mint access tokens for a user and print them, one a line.",
    .help = "DURATION is a number with ms, s, m or h; the setting token_lifetime when it is not\n"
	    "given. N different tokens are printed, 1 when it is not given.\n",
    .reads_settings = true,
    .run = run,
};
