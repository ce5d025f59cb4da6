/* Files out of the binary: the page at GET / with what it loads from /assets/, and the official client's builds. */
#ifndef WEB_H
#define WEB_H

#include "kit.h"

extern const struct kit_module web_module;

/* Registers the routes "/" and "/assets/". Call once, before listening. Returns 0 or a negative enum eio_error. */
int web_assets_start(struct kit *kit);

/* Serves the official client beside the Socket.IO endpoint, as the reference's serveClient does. Returns 0 or a
 * negative code. */
int web_client_files_start(struct kit *kit);

/* True if the value of If-None-Match names this entity tag ("\"…\"", quotes included): a list, weak tags and "*"
 * count (RFC 9110, section 13.1.2). */
bool web_assets_etag_matches(struct eio_str if_none_match, const char *etag);

#endif
