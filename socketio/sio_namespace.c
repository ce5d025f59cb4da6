/* Namespaces: the registry of a server, what is registered on them, and giving an event to its handlers.
 * A parent is a namespace without sockets: it lends its behaviour to the children that are made when clients ask. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>
#include <sodium.h>

/* ---------------------------------------------------------------- registry */

static uint32_t hash_of(const struct sio_server *io, struct eio_str name)
{
    _Static_assert(sizeof io->names_key == crypto_shorthash_KEYBYTES, "size of the key");
    uint8_t digest[crypto_shorthash_BYTES];
    uint32_t hash;
    crypto_shorthash(digest, (const uint8_t *)name.p, name.n, io->names_key);
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

struct sio_namespace *sio__namespace_find(const struct sio_server *io, struct eio_str name)
{
    if (io->root && name.n == 1 && name.p[0] == '/') return io->root; /* as nearly always */
    uint32_t hash = hash_of(io, name);
    size_t at;
    struct sio_namespace *nsp = base_table_first(&io->namespaces, hash, &at);
    while (nsp && (nsp->name_size != name.n || memcmp(nsp->name, name.p, name.n) != 0))
        nsp = base_table_next(&io->namespaces, hash, &at);
    return nsp;
}

static struct sio_namespace *namespace_alloc(struct sio_server *io, struct eio_str name)
{
    bool slash = name.n == 0 || name.p[0] != '/';
    struct sio_namespace *nsp = calloc(1, sizeof *nsp + name.n + 2);
    if (!nsp) return NULL;
    nsp->io = io;
    nsp->name_size = name.n + slash;
    if (slash) nsp->name[0] = '/';
    if (name.n) memcpy(nsp->name + slash, name.p, name.n);
    return nsp;
}

static void namespace_free(struct sio_namespace *nsp)
{
    if (!nsp) return;
    sio__owed_forget(nsp);
    if (nsp->adapter) nsp->adapter->ops->free(nsp->adapter);
    rooms_index_free(nsp->index);
    sio__behaviour_clear(&nsp->behaviour);
    base_table_clear(&nsp->pids);
    free(nsp->sockets);
    free(nsp);
}

static void tell_room(struct sio_namespace *nsp, enum sio_room_event what, struct rooms_name room,
                      struct rooms_member *member)
{
    struct eio_str name = {room.p, room.n};
    struct sio_socket *socket = member ? sio__socket_of(member) : NULL;
    const struct sio_server *io = nsp->io;
    const struct sio__hook *hook = nsp->parent ? nsp->parent->behaviour.room.first : NULL;
    const struct sio__watcher *watcher;
    for (unsigned i = 0; (watcher = sio__next_watcher(io, &i));)
        if (watcher->watch.on_room) watcher->watch.on_room(what, name, socket, nsp, watcher->ctx);
    for (; hook; hook = hook->next) hook->fn.room(what, name, socket, nsp, hook->ctx);
    for (hook = nsp->behaviour.room.first; hook; hook = hook->next) hook->fn.room(what, name, socket, nsp, hook->ctx);
}

static void on_room_created(void *ctx, struct rooms_name room)
{
    struct sio_namespace *nsp = ctx;
    if (nsp->adapter && nsp->adapter->ops->room_created) nsp->adapter->ops->room_created(nsp->adapter, room);
    tell_room(nsp, SIO_ROOM_CREATED, room, NULL);
}

static void on_room_deleted(void *ctx, struct rooms_name room)
{
    struct sio_namespace *nsp = ctx;
    if (nsp->adapter && nsp->adapter->ops->room_deleted) nsp->adapter->ops->room_deleted(nsp->adapter, room);
    tell_room(nsp, SIO_ROOM_DELETED, room, NULL);
}

static void on_joined(void *ctx, struct rooms_name room, struct rooms_member *member)
{
    tell_room(ctx, SIO_ROOM_JOINED, room, member);
}

static void on_left(void *ctx, struct rooms_name room, struct rooms_member *member)
{
    tell_room(ctx, SIO_ROOM_LEFT, room, member);
}

static int namespace_open(struct sio_namespace *nsp)
{
    struct sio_server *io = nsp->io;
    static const struct rooms_events events = {
        .room_created = on_room_created, .room_deleted = on_room_deleted, .joined = on_joined, .left = on_left};
    struct rooms_local local;
    nsp->index = rooms_index_new(&io->options.rooms, &events, nsp);
    if (!nsp->index) return EIO_ENOMEM;
    sio__namespace_fill_local(nsp, &local);
    nsp->adapter = io->options.adapter(io->options.adapter_ctx, nsp->name, &local);
    if (!nsp->adapter) return EIO_ENOMEM;
    nsp->recovers = io->options.recovery.enabled && nsp->adapter->ops->session_restore;
    uint32_t hash = hash_of(io, (struct eio_str){nsp->name, nsp->name_size});
    if (base_table_add(&io->namespaces, hash, nsp) != BASE_OK) return EIO_ENOMEM;
    if (nsp->name_size == 1) io->root = nsp;
    return 0;
}

static struct sio_namespace *namespace_new(struct sio_server *io, struct eio_str name, struct sio_namespace *parent)
{
    struct sio_namespace *nsp = namespace_alloc(io, name);
    if (!nsp || namespace_open(nsp) != 0) {
        namespace_free(nsp);
        return NULL;
    }
    nsp->parent = parent;
    nsp->prev = io->last_namespace;
    if (io->last_namespace)
        io->last_namespace->next = nsp;
    else
        io->first_namespace = nsp;
    io->last_namespace = nsp;
    io->stats.namespaces++;
    for (const struct sio__hook *hook = io->new_namespace.first; hook; hook = hook->next) hook->fn.nsp(nsp, hook->ctx);
    return nsp;
}

struct sio_namespace *sio__namespace_make(struct sio_namespace *parent, struct eio_str name)
{
    struct sio_server *io = parent->io;
    if (io->matched_count >= io->options.max_matched_namespaces) {
        sio__server_hit(io, SIO_LIMIT_MATCHED_NAMESPACES, NULL);
        return NULL;
    }
    struct sio_namespace *nsp = namespace_new(io, name, parent);
    if (nsp) io->matched_count++;
    return nsp;
}

static struct sio_namespace *matching_parent(const struct sio_server *io, struct eio_str name)
{
    struct sio_namespace *parent = io->parents;
    while (parent && !(parent->match && parent->match(name, parent->match_ctx))) parent = parent->next;
    return parent;
}

/* As the reference, one that a parent would accept from a client is its child; the limit is for clients. */
static struct sio_namespace *make_named(struct sio_server *io, struct eio_str name)
{
    struct sio_namespace *parent = matching_parent(io, name);
    struct sio_namespace *nsp = namespace_new(io, name, parent);
    if (nsp && parent) io->matched_count++;
    return nsp;
}

struct sio_namespace *sio_of(struct sio_server *io, const char *name)
{
    struct eio_str text = eio_str(name);
    if (text.n > 0 && text.p[0] == '/') {
        struct sio_namespace *nsp = sio__namespace_find(io, text);
        return nsp ? nsp : make_named(io, text);
    }
    struct sio_namespace *named = namespace_alloc(io, text); /* adds the slash */
    if (!named) return NULL;
    struct eio_str full = {named->name, named->name_size};
    struct sio_namespace *nsp = sio__namespace_find(io, full);
    if (!nsp) nsp = make_named(io, full);
    free(named);
    return nsp;
}

static struct sio_namespace *parent_new(struct sio_server *io, void *ctx)
{
    struct sio_namespace *parent = namespace_alloc(io, eio_str("/_matching"));
    if (!parent) return NULL;
    parent->match_ctx = ctx;
    if (io->last_parent)
        io->last_parent->next = parent;
    else
        io->parents = parent;
    io->last_parent = parent;
    return parent;
}

struct sio_namespace *sio_of_matching(struct sio_server *io, bool (*match)(struct eio_str name, void *ctx), void *ctx)
{
    struct sio_namespace *parent = parent_new(io, ctx);
    if (parent) parent->match = match;
    return parent;
}

struct sio_namespace *sio_of_deciding(struct sio_server *io, sio_question_fn fn, void *ctx)
{
    struct sio_namespace *parent = parent_new(io, ctx);
    if (!parent) return NULL;
    parent->decide = fn;
    io->has_deciding = true;
    return parent;
}

struct sio_namespace *sio__namespace_for_client(struct sio_server *io, struct eio_str name)
{
    struct sio_namespace *nsp = sio__namespace_find(io, name);
    if (nsp || !io->parents) return nsp;
    struct sio_namespace *parent = matching_parent(io, name);
    return parent ? sio__namespace_make(parent, name) : NULL;
}

void sio__namespaces_free(struct sio_server *io)
{
    for (struct sio_namespace *nsp = io->first_namespace, *next; nsp; nsp = next) {
        next = nsp->next;
        namespace_free(nsp);
    }
    for (struct sio_namespace *nsp = io->parents, *next; nsp; nsp = next) {
        next = nsp->next;
        namespace_free(nsp);
    }
    base_table_clear(&io->namespaces);
    io->root = NULL;
}

/* ----------------------------------------------------------------- cleanup */

static bool may_come_back(const struct sio_namespace *nsp)
{
    const struct sio_server *io = nsp->io;
    return nsp->recovers && eio_loop_now_ms(io->loop) <= nsp->empty_ms + io->options.recovery.max_disconnection_ms;
}

static void unlink_namespace(struct sio_namespace *nsp)
{
    struct sio_server *io = nsp->io;
    *(nsp->prev ? &nsp->prev->next : &io->first_namespace) = nsp->next;
    *(nsp->next ? &nsp->next->prev : &io->last_namespace) = nsp->prev;
    if (io->root == nsp) io->root = NULL;
    base_table_remove(&io->namespaces, hash_of(io, (struct eio_str){nsp->name, nsp->name_size}), nsp);
    io->matched_count--;
    io->stats.namespaces--;
}

void sio__namespaces_cleanup(struct sio_server *io)
{
    struct sio_namespace *nsp = io->empty_namespaces;
    io->empty_namespaces = NULL;
    io->cleanup_due = false;
    for (struct sio_namespace *next; nsp; nsp = next) {
        next = nsp->next_empty;
        nsp->is_listed = false;
        if (rooms_member_count(nsp->index) > 0) continue;
        if (may_come_back(nsp)) {
            nsp->is_listed = true;
            nsp->next_empty = io->empty_namespaces;
            io->empty_namespaces = nsp;
            continue;
        }
        unlink_namespace(nsp);
        namespace_free(nsp);
    }
}

const char *sio_namespace_name(const struct sio_namespace *nsp)
{
    return nsp->name;
}

struct sio_server *sio_namespace_server(const struct sio_namespace *nsp)
{
    return nsp->io;
}

size_t sio_namespace_socket_count(const struct sio_namespace *nsp)
{
    if (nsp->index) return nsp->socket_count - nsp->ending_count;
    size_t count = 0;
    for (const struct sio_namespace *child = nsp->io->first_namespace; child; child = child->next)
        if (child->parent == nsp) count += child->socket_count - child->ending_count;
    return count;
}

void sio_each_namespace(struct sio_server *io, void (*fn)(struct sio_namespace *nsp, void *ctx), void *ctx)
{
    for (struct sio_namespace *nsp = io->first_namespace; nsp; nsp = nsp->next) fn(nsp, ctx);
}

/* ---------------------------------------------------------------- sockets */

struct sio_socket *sio_socket_find(struct sio_namespace *nsp, const char *id, size_t id_size)
{
    if (!nsp->index || id_size == 0) return NULL;
    struct rooms_member *member = rooms_member_find(nsp->index, (struct rooms_name){id, id_size});
    if (!member || sio__socket_of(member)->state != SIO__S_CONNECTED) return NULL;
    return sio__socket_of(member);
}

/* ------------------------------------------------------------ registration */

static int set_event(struct sio__hook *hook, sio_event_fn fn)
{
    if (!hook) return EIO_ENOMEM;
    hook->fn.event = fn;
    return 0;
}

int sio_on(struct sio_namespace *nsp, const char *event, sio_event_fn fn, void *ctx)
{
    struct eio_str name = eio_str(event);
    if (!fn || sio__name_is_reserved(name)) return EIO_EINVAL;
    return set_event(sio__events_add(&nsp->behaviour.events, name, ctx), fn);
}

int sio_on_server_event(struct sio_namespace *nsp, const char *event, sio_event_fn fn, void *ctx)
{
    if (!fn) return EIO_EINVAL;
    return set_event(sio__events_add(&nsp->behaviour.server_events, eio_str(event), ctx), fn);
}

int sio_on_any(struct sio_namespace *nsp, sio_event_fn fn, void *ctx)
{
    if (!fn) return EIO_EINVAL;
    return set_event(sio__hooks_add(&nsp->behaviour.any, ctx), fn);
}

int sio_on_connection(struct sio_namespace *nsp, sio_socket_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(&nsp->behaviour.connection, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.socket = fn;
    return 0;
}

static int add_disconnect(struct sio__hooks *hooks, sio_disconnect_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(hooks, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.disconnect = fn;
    return 0;
}

int sio_on_disconnecting(struct sio_namespace *nsp, sio_disconnect_fn fn, void *ctx)
{
    return add_disconnect(&nsp->behaviour.disconnecting, fn, ctx);
}

int sio_on_disconnect(struct sio_namespace *nsp, sio_disconnect_fn fn, void *ctx)
{
    return add_disconnect(&nsp->behaviour.disconnect, fn, ctx);
}

int sio_on_dismissed(struct sio_namespace *nsp, sio_disconnect_fn fn, void *ctx)
{
    return add_disconnect(&nsp->behaviour.dismissed, fn, ctx);
}

int sio_use(struct sio_namespace *nsp, sio_middleware_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(&nsp->behaviour.middleware, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.middleware = fn;
    return 0;
}

int sio_use_packet(struct sio_namespace *nsp, sio_packet_middleware_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(&nsp->behaviour.packet, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.packet = fn;
    return 0;
}

int sio_on_any_outgoing(struct sio_namespace *nsp, sio_outgoing_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(&nsp->behaviour.outgoing, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.outgoing = fn;
    return 0;
}

int sio_on_room(struct sio_namespace *nsp, sio_room_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(&nsp->behaviour.room, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.room = fn;
    return 0;
}

int sio_on_new_namespace(struct sio_server *io, void (*fn)(struct sio_namespace *nsp, void *ctx), void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(&io->new_namespace, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.nsp = fn;
    return 0;
}

int sio_on_recover(struct sio_namespace *nsp, sio_recover_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_add(&nsp->behaviour.recover, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.recover = fn;
    return 0;
}

/* ---------------------------------------------------------------- dispatch */

/* A handler may disconnect the socket: handlers see no events of one that is gone. */
static bool is_listening(const struct sio_event *event)
{
    return !event->socket || event->socket->state == SIO__S_CONNECTED;
}

static void run_events(struct sio__hook *hook, const struct sio_event *event)
{
    for (; hook && is_listening(event); hook = hook->next)
        if (hook->fn.event) hook->fn.event(event->socket, event, hook->ctx);
}

static bool run_packet_middleware(struct sio__hook *hook, const struct sio_event *event)
{
    for (; hook; hook = hook->next) {
        if (!hook->fn.packet(event->socket, event, hook->ctx)) return false;
        if (!is_listening(event)) return false;
    }
    return true;
}

/* What is registered for any event, and what a parent has. */
static void dispatch_to_all(const struct sio_namespace *nsp, const struct sio_event *event)
{
    const struct sio__behaviour *first = nsp->parent ? &nsp->parent->behaviour : &nsp->behaviour;
    const struct sio__behaviour *second = nsp->parent ? &nsp->behaviour : NULL;
    const struct sio__watcher *watcher;
    for (unsigned i = 0; (watcher = sio__next_watcher(nsp->io, &i));)
        if (watcher->watch.on_event) watcher->watch.on_event(event->socket, event, watcher->ctx);
    run_events(first->any.first, event);
    if (second) run_events(second->any.first, event);
    if (!is_listening(event) || !run_packet_middleware(first->packet.first, event)) return;
    if (second && !run_packet_middleware(second->packet.first, event)) return;
    run_events(sio__events_find(&first->events, event->name), event);
    if (second) run_events(sio__events_find(&second->events, event->name), event);
}

void sio__namespace_dispatch(const struct sio_namespace *nsp, const struct sio_event *event)
{
    const struct sio__behaviour *behaviour = &nsp->behaviour;
    if (nsp->parent || nsp->io->watcher_count || behaviour->any.first || behaviour->packet.first)
        dispatch_to_all(nsp, event);
    else
        run_events(sio__events_find(&behaviour->events, event->name), event);
}
