/* What is registered on a namespace: lists of functions, and handlers by event name. */
#include "sio_namespace.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

/* The handlers of one event. */
struct entry {
    struct sio__hooks hooks;
    size_t name_size;
    char name[];
};

uint32_t sio__hash(const void *p, size_t n)
{
    const uint8_t *bytes = p;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return (uint32_t)(hash ^ (hash >> 32));
}

struct sio__hook *sio__hooks_add(struct sio__hooks *hooks, void *ctx)
{
    struct sio__hook *hook = calloc(1, sizeof *hook);
    if (!hook) return NULL;
    hook->ctx = ctx;
    if (hooks->last)
        hooks->last->next = hook;
    else
        hooks->first = hook;
    hooks->last = hook;
    return hook;
}

struct sio__hook *sio__hooks_prepend(struct sio__hooks *hooks, void *ctx)
{
    struct sio__hook *hook = calloc(1, sizeof *hook);
    if (!hook) return NULL;
    hook->ctx = ctx;
    hook->next = hooks->first;
    hooks->first = hook;
    if (!hooks->last) hooks->last = hook;
    return hook;
}

/* A hook that was taken off keeps its `next`: it may be the one that runs. */
size_t sio__hooks_off(struct sio__hooks *hooks, sio_event_fn fn, void *ctx, struct sio__hook **dead)
{
    size_t count = 0;
    struct sio__hook *before = NULL;
    for (struct sio__hook *hook = hooks->first; hook; hook = hook->next) {
        if (fn && (hook->fn.event != fn || hook->ctx != ctx)) {
            before = hook;
            continue;
        }
        *(before ? &before->next : &hooks->first) = hook->next;
        if (hooks->last == hook) hooks->last = before;
        hook->fn.event = NULL;
        hook->next_dead = *dead;
        *dead = hook;
        count++;
        if (fn) break;
    }
    return count;
}

void sio__hooks_sweep(struct sio__hook **dead)
{
    while (*dead) {
        struct sio__hook *hook = *dead;
        *dead = hook->next_dead;
        free(hook);
    }
}

void sio__hooks_clear(struct sio__hooks *hooks)
{
    for (struct sio__hook *hook = hooks->first, *next; hook; hook = next) {
        next = hook->next;
        free(hook);
    }
    *hooks = (struct sio__hooks){0};
}

/* Peers choose the names that are looked up, but not those that are registered: collisions cannot be made, and it is
 * enough to look at both ends. */
static uint32_t hash_of_name(struct eio_str name)
{
    const char *p = name.p, *end = name.p + name.n;
    uint32_t head = 0, tail = 0;
    if (name.n >= 4) {
        memcpy(&head, p, 4);
        memcpy(&tail, end - 4, 4);
    } else if (name.n > 0) {
        head = (uint8_t)p[0];
        tail = (uint32_t)(uint8_t)p[name.n / 2] << 8 | (uint8_t)end[-1];
    }
    uint64_t mixed = ((uint64_t)head << 32 | tail) * UINT64_C(0x9e3779b97f4a7c15) + name.n;
    return (uint32_t)(mixed >> 32);
}

static inline struct entry *find_entry(const struct sio__events *events, struct eio_str name, uint32_t hash)
{
    size_t at;
    struct entry *entry = base_table_first(&events->by_name, hash, &at);
    while (entry && (entry->name_size != name.n || !base_same_bytes(entry->name, name.p, name.n)))
        entry = base_table_next(&events->by_name, hash, &at);
    return entry;
}

struct sio__hooks *sio__events_hooks(const struct sio__events *events, struct eio_str name)
{
    if (events->by_name.count == 0) return NULL;
    struct entry *entry = find_entry(events, name, hash_of_name(name));
    return entry ? &entry->hooks : NULL;
}

struct sio__hook *sio__events_find(const struct sio__events *events, struct eio_str name)
{
    const struct sio__hooks *hooks = sio__events_hooks(events, name);
    return hooks ? hooks->first : NULL;
}

static struct entry *entry_new(struct sio__events *events, struct eio_str name, uint32_t hash)
{
    struct entry *entry = calloc(1, sizeof *entry + name.n + 1);
    if (!entry) return NULL;
    entry->name_size = name.n;
    memcpy(entry->name, name.p, name.n);
    if (base_table_add(&events->by_name, hash, entry) == BASE_OK) return entry;
    free(entry);
    return NULL;
}

struct sio__hook *sio__events_add(struct sio__events *events, struct eio_str name, void *ctx)
{
    uint32_t hash = hash_of_name(name);
    struct entry *entry = find_entry(events, name, hash);
    if (!entry) entry = entry_new(events, name, hash);
    return entry ? sio__hooks_add(&entry->hooks, ctx) : NULL;
}

static void events_clear(struct sio__events *events)
{
    for (size_t i = 0; i < events->by_name.slot_count; i++) {
        struct entry *entry = events->by_name.items[i];
        if (entry) sio__hooks_clear(&entry->hooks);
        free(entry);
    }
    base_table_clear(&events->by_name);
}

void sio__behaviour_clear(struct sio__behaviour *behaviour)
{
    events_clear(&behaviour->events);
    events_clear(&behaviour->server_events);
    sio__hooks_clear(&behaviour->any);
    sio__hooks_clear(&behaviour->connection);
    sio__hooks_clear(&behaviour->disconnecting);
    sio__hooks_clear(&behaviour->disconnect);
    sio__hooks_clear(&behaviour->dismissed);
    sio__hooks_clear(&behaviour->middleware);
    sio__hooks_clear(&behaviour->packet);
    sio__hooks_clear(&behaviour->recover);
    sio__hooks_clear(&behaviour->outgoing);
    sio__hooks_clear(&behaviour->room);
}

bool sio_handles(const struct sio_namespace *nsp, struct eio_str event)
{
    if (sio__events_find(&nsp->behaviour.events, event)) return true;
    return nsp->parent && sio_handles(nsp->parent, event);
}

/* ------------------------------------------------------------- prepend, off */

int sio_prepend_any(struct sio_namespace *nsp, sio_event_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_prepend(&nsp->behaviour.any, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.event = fn;
    return 0;
}

int sio_prepend_any_outgoing(struct sio_namespace *nsp, sio_outgoing_fn fn, void *ctx)
{
    struct sio__hook *hook = fn ? sio__hooks_prepend(&nsp->behaviour.outgoing, ctx) : NULL;
    if (!hook) return fn ? EIO_ENOMEM : EIO_EINVAL;
    hook->fn.outgoing = fn;
    return 0;
}

size_t sio_off(struct sio_namespace *nsp, const char *event, sio_event_fn fn, void *ctx)
{
    struct sio__hooks *hooks = sio__events_hooks(&nsp->behaviour.events, eio_str(event));
    return hooks ? sio__hooks_off(hooks, fn, ctx, &nsp->io->dead_hooks) : 0;
}

size_t sio_off_any(struct sio_namespace *nsp, sio_event_fn fn, void *ctx)
{
    return sio__hooks_off(&nsp->behaviour.any, fn, ctx, &nsp->io->dead_hooks);
}

size_t sio_off_any_outgoing(struct sio_namespace *nsp, sio_outgoing_fn fn, void *ctx)
{
    struct sio__hooks *hooks = &nsp->behaviour.outgoing;
    struct sio__hook *hook = hooks->first;
    if (!fn) return sio__hooks_off(hooks, NULL, NULL, &nsp->io->dead_hooks);
    while (hook && (hook->fn.outgoing != fn || hook->ctx != ctx)) hook = hook->next;
    return hook ? sio__hooks_off(hooks, hook->fn.event, ctx, &nsp->io->dead_hooks) : 0;
}

bool sio__name_is_reserved(struct eio_str name)
{
    static const char *const reserved[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (eio_str_is(name, reserved[i])) return true;
    return false;
}
