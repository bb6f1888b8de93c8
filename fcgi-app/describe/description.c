#include "describe/description.h"

#include <sodium.h>
#include <stdlib.h>

#include "describe/openapi.h"
#include "describe/page.h"

static void set_tag(struct document *document)
{
	unsigned char hash[crypto_generichash_BYTES];
	_Static_assert(DOCUMENT_TAG_LEN / 2 <= sizeof(hash), "a hash has that many bytes");
	crypto_generichash(hash, sizeof(hash), (const unsigned char *)document->text.data,
			   document->text.len, NULL, 0);
	sodium_bin2hex(document->tag, sizeof(document->tag), hash, DOCUMENT_TAG_LEN / 2);
}

static enum err render(struct description *d, const struct route_table *tables, size_t count,
		       struct errmsg *why)
{
	enum err err = openapi_render(tables, count, &d->openapi.text, why);
	if (err == ERR_OK)
		err = page_render(tables, count, &d->page.text, why);
	if (err != ERR_OK)
		return err;
	page_policy(&d->page_policy);
	if (d->page_policy.failed)
		return err_set(why, ERR_NOMEM, "out of memory describing the routes");
	set_tag(&d->openapi);
	set_tag(&d->page);
	return ERR_OK;
}

enum err description_new(const struct route_table *tables, size_t count, struct description **out,
			 struct errmsg *why)
{
	*out = NULL;
	struct description *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return err_set(why, ERR_NOMEM, "out of memory describing the routes");
	strbuf_init(&d->openapi.text);
	strbuf_init(&d->page.text);
	strbuf_init(&d->page_policy);
	enum err err = render(d, tables, count, why);
	if (err != ERR_OK) {
		description_free(d);
		return err;
	}
	*out = d;
	return ERR_OK;
}

void description_free(struct description *d)
{
	if (d == NULL)
		return;
	strbuf_release(&d->openapi.text);
	strbuf_release(&d->page.text);
	strbuf_release(&d->page_policy);
	free(d);
}
