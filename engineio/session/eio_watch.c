/* The watcher of sessions' packets (eio_watch). It is notified of queued packets at the end of the turn, when their *
 * bytes have been written where eio_session_reserve() gave room for them. */
#include "eio_int.h"

#include <string.h>

int eio_server_watch(struct eio_server *server, const struct eio_watch *watch, void *ctx)
{
    if (!watch) {
        eio__watch_free(server->watch);
        server->watch = NULL;
        return 0;
    }
    if (!server->watch) server->watch = calloc(1, sizeof *server->watch);
    if (!server->watch) return EIO_ENOMEM;
    server->watch->fn = *watch;
    server->watch->ctx = ctx;
    return 0;
}

static struct eio__created *make_room(struct eio__watch *watch)
{
    if (watch->created_count == watch->created_capacity) {
        size_t capacity = watch->created_capacity ? 2 * watch->created_capacity : 16;
        struct eio__created *grown = realloc(watch->created, capacity * sizeof *grown);
        if (!grown) return NULL;
        watch->created = grown;
        watch->created_capacity = capacity;
    }
    return &watch->created[watch->created_count++];
}

void eio__watch_created(struct eio_session *session, struct eio_frame *frame)
{
    struct eio__watch *watch = session->server->watch;
    if (!watch->fn.on_packet_create || frame->wire_only) return;
    struct eio__created *created = make_room(watch);
    if (!created) {
        eio_log(EIO_LOG_WARN, "out of memory: packet notification skipped");
        return;
    }
    *created = (struct eio__created){session, eio_frame_ref(frame)};
}

static void tell_one(const struct eio__watch *watch, const struct eio__created *created)
{
    const uint8_t *message = eio__frame_message(created->frame);
    size_t size = created->frame->size;
    char type = created->frame->is_packet ? (char)*message++ : EIO__MESSAGE;
    size -= created->frame->is_packet;
    if (type == EIO__OPEN || created->session->state >= EIO__S_LINGERING) return;
    watch->fn.on_packet_create(created->session, type, (enum eio_kind)created->frame->kind, message, size, watch->ctx);
}

/* The watcher may queue more, or close. */
void eio__watch_tell(struct eio__watch *watch)
{
    for (size_t i = 0; i < watch->created_count; i++) {
        struct eio__created created = watch->created[i];
        watch->created[i].frame = NULL;
        if (created.session && created.frame && watch->fn.on_packet_create) tell_one(watch, &created);
        eio_frame_unref(created.frame);
    }
    watch->created_count = 0;
}

void eio__watch_forget(struct eio__watch *watch, const struct eio_session *session)
{
    for (size_t i = 0; i < watch->created_count; i++)
        if (watch->created[i].session == session) watch->created[i].session = NULL;
}

void eio__watch_free(struct eio__watch *watch)
{
    if (!watch) return;
    for (size_t i = 0; i < watch->created_count; i++) eio_frame_unref(watch->created[i].frame);
    free(watch->created);
    free(watch);
}
