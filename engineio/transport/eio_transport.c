/* The table of transports. */
#include "base_str.h"
#include "eio_int.h"
#include "eio_text.h"

#include <string.h>

static const struct eio__transport_ops *const transports[] = {&eio__polling_ops, &eio__ws_ops};

enum { TRANSPORT_COUNT = sizeof transports / sizeof *transports };

const struct eio__transport_ops *eio__transport_named(struct eio_str name)
{
    for (size_t i = 0; i < TRANSPORT_COUNT; i++)
        if (eio__is(name, transports[i]->name)) return transports[i];
    return NULL;
}

size_t eio__transport_room(void)
{
    size_t size = 0;
    for (size_t i = 0; i < TRANSPORT_COUNT; i++)
        if (transports[i]->size > size) size = transports[i]->size;
    return size;
}

void *eio__transport_alloc(struct eio_session *session, const struct eio__transport_ops *ops)
{
    if (session->room_taken) return calloc(1, ops->size);
    session->room_taken = true;
    memset(session->room, 0, ops->size);
    return session->room;
}

void eio__transport_release(struct eio_session *session, void *take_memory)
{
    if (take_memory == session->room)
        session->room_taken = false;
    else
        free(take_memory);
}

char *eio__transport_put_upgrades(const struct eio__transport *transport, char *out)
{
    const struct eio_options *options = &transport->session->server->options;
    unsigned may = options->allow_upgrades ? options->transports & transport->ops->upgrades_to : 0;
    const char *separator = "\"";
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        if (!(may & transports[i]->kind)) continue;
        out = base_put_text(base_put_text(base_put_text(out, separator), transports[i]->name), "\"");
        separator = ",\"";
    }
    return out;
}
