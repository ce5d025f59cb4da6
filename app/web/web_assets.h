/* The page at GET / and what it loads from /assets/, out of the binary. */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H

#include <engineio.h>

#include <stdbool.h>

struct app;

/* Registers the routes "/" and "/assets/". Call once, before listening. Returns 0 or a negative enum eio_error. */
int web_assets_init(struct app *app);

/* True if the value of If-None-Match names this entity tag ("\"…\"", quotes included): a list, weak tags and "*"
 * count (RFC 9110, section 13.1.2). */
bool web_assets_etag_matches(struct eio_str if_none_match, const char *etag);

#endif
