/* The table of sessions: by the number in a session's id, or by an id of the application's; who of an address is in it.
 */
#include "eio_int.h"

#include <string.h>

/* Only with a limit of sessions by address. */
static void count_session(struct eio_server *server, struct eio_session *session)
{
    struct eio__address address;
    if (!server->options.max_sessions_per_address || !session->head) return;
    if (!eio__address_parse(eio_str(session->head->address), &address)) return;
    struct eio__visitor *visitor = eio__visitors_get(&server->visitors, &address);
    if (!visitor) return;
    eio__visitor_enter(&server->visitors, visitor);
    session->counted = true;
}

static void uncount_session(struct eio_server *server, struct eio_session *session)
{
    struct eio__address address;
    if (!session->counted || !eio__address_parse(eio_str(session->head->address), &address)) return;
    eio__visitor_leave(&server->visitors, &address);
    session->counted = false;
}

const char *eio_session_id(const struct eio_session *session)
{
    if (session->has_long_id) return session->long_id;
    return session->has_own_id ? session->own_id->text : session->id;
}

/* --------------------------------------------------------------- the table */

static int grow_slots(struct eio_server *server)
{
    uint32_t capacity = server->slot_capacity ? 2 * server->slot_capacity : 64;
    struct eio_session **slots = realloc(server->slots, capacity * sizeof *slots);
    if (!slots) return EIO_ENOMEM;
    server->slots = slots;
    uint32_t *free_slots = realloc(server->free_slots, capacity * sizeof *free_slots);
    if (!free_slots) return EIO_ENOMEM;
    server->free_slots = free_slots;
    for (uint32_t i = capacity; i > server->slot_capacity; i--) {
        slots[i - 1] = NULL;
        free_slots[server->free_count++] = i - 1;
    }
    server->slot_capacity = capacity;
    return 0;
}

static int make_id(struct eio_server *server, struct eio_session *session)
{
    char id[EIO__LONG_ID_CHARS + 1];
    if (!eio__id_make(&server->ids, session->slot, id)) return EIO_ENOMEM;
    if (!server->ids.is_long) {
        memcpy(session->id, id, sizeof session->id);
        return 0;
    }
    session->long_id = strdup(id);
    session->has_long_id = session->long_id != NULL;
    return session->has_long_id ? 0 : EIO_ENOMEM;
}

int eio__table_enter(struct eio_server *server, struct eio_session *session, const char *id)
{
    if (server->free_count == 0 && grow_slots(server) != 0) return EIO_ENOMEM;
    if (id && eio__own_ids_add(&server->own_ids, id, session) != 0) return EIO_ENOMEM;
    session->slot = server->free_slots[server->free_count - 1];
    if (!session->has_own_id && make_id(server, session) != 0) return EIO_ENOMEM;
    server->free_count--;
    server->slots[session->slot] = session;
    server->slot_count++;
    count_session(server, session);
    return 0;
}

void eio__table_leave(struct eio_server *server, struct eio_session *session)
{
    BASE_CHECK(server->slots[session->slot] == session);
    uncount_session(server, session);
    server->slots[session->slot] = NULL;
    server->free_slots[server->free_count++] = session->slot;
    server->slot_count--;
    if (session->has_own_id) eio__own_ids_remove(&server->own_ids, session);
}

/* In the same time wherever they differ: an id is a secret. */
static bool is_same_id(const char *a, const char *b, size_t size)
{
    uint8_t different = 0;
    for (size_t i = 0; i < size; i++) different |= (uint8_t)(a[i] ^ b[i]);
    return different == 0;
}

static struct eio_session *find_by_slot(const struct eio_server *server, const char *sid, size_t size)
{
    struct eio__place place;
    if (!eio__id_read(&server->ids, sid, size, &place)) return NULL;
    if (place.elsewhere || place.owner != server->ids.owner) return NULL;
    if (place.slot >= server->slot_capacity || !server->slots[place.slot]) return NULL;
    struct eio_session *session = server->slots[place.slot];
    return !session->has_own_id && is_same_id(eio_session_id(session), sid, size) ? session : NULL;
}

struct eio_session *eio_server_find(struct eio_server *server, const char *sid, size_t size)
{
    struct eio_session *session = find_by_slot(server, sid, size);
    return session || !server->own_ids.table.count ? session : eio__own_ids_find(&server->own_ids, sid, size);
}

int eio_server_owner_of(const struct eio_server *server, const char *sid, size_t size)
{
    struct eio__place place;
    if (!server->ids.shared || !eio__id_read(&server->ids, sid, size, &place) || place.elsewhere) return EIO_EINVAL;
    return (int)place.owner;
}

size_t eio_server_session_count(const struct eio_server *server)
{
    return server->slot_count;
}

void eio_server_each(struct eio_server *server, void (*fn)(struct eio_session *session, void *ctx), void *ctx)
{
    for (uint32_t i = 0; i < server->slot_capacity; i++)
        if (server->slots[i]) fn(server->slots[i], ctx);
}
