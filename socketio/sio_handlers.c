/* What is registered on a namespace: lists of functions, and handlers by event name. */
#include "sio_int.h"

/* The handlers of one event. */
struct entry {
    struct sio__link by_name;
    struct sio__hooks hooks;
    size_t name_size;
    char name[];
};

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

void sio__hooks_clear(struct sio__hooks *hooks)
{
    for (struct sio__hook *hook = hooks->first, *next; hook; hook = next) {
        next = hook->next;
        free(hook);
    }
    *hooks = (struct sio__hooks){0};
}

static struct entry *find(const struct sio__events *events, struct eio_str name, uint64_t hash)
{
    for (struct sio__link *link = sio__table_first(&events->by_name, hash); link; link = sio__table_next(link)) {
        struct entry *entry = (struct entry *)link;
        if (entry->name_size == name.n && memcmp(entry->name, name.p, name.n) == 0) return entry;
    }
    return NULL;
}

struct sio__hook *sio__events_find(const struct sio__events *events, struct eio_str name)
{
    if (events->by_name.count == 0) return NULL;
    struct entry *entry = find(events, name, sio__hash(name.p, name.n));
    return entry ? entry->hooks.first : NULL;
}

static struct entry *entry_new(struct sio__events *events, struct eio_str name, uint64_t hash)
{
    struct entry *entry = calloc(1, sizeof *entry + name.n + 1);
    if (!entry) return NULL;
    entry->name_size = name.n;
    memcpy(entry->name, name.p, name.n);
    if (sio__table_add(&events->by_name, &entry->by_name, hash) == 0) return entry;
    free(entry);
    return NULL;
}

struct sio__hook *sio__events_add(struct sio__events *events, struct eio_str name, void *ctx)
{
    uint64_t hash = sio__hash(name.p, name.n);
    struct entry *entry = find(events, name, hash);
    if (!entry) entry = entry_new(events, name, hash);
    return entry ? sio__hooks_add(&entry->hooks, ctx) : NULL;
}

static void events_clear(struct sio__events *events)
{
    for (size_t i = 0; i < events->by_name.capacity; i++) {
        for (struct sio__link *link = events->by_name.buckets[i], *next; link; link = next) {
            next = link->next;
            struct entry *entry = (struct entry *)link;
            sio__hooks_clear(&entry->hooks);
            free(entry);
        }
    }
    sio__table_clear(&events->by_name);
}

void sio__behaviour_clear(struct sio__behaviour *behaviour)
{
    events_clear(&behaviour->events);
    events_clear(&behaviour->server_events);
    sio__hooks_clear(&behaviour->any);
    sio__hooks_clear(&behaviour->connection);
    sio__hooks_clear(&behaviour->disconnecting);
    sio__hooks_clear(&behaviour->disconnect);
    sio__hooks_clear(&behaviour->middleware);
    sio__hooks_clear(&behaviour->packet);
    sio__hooks_clear(&behaviour->recover);
    sio__hooks_clear(&behaviour->outgoing);
    sio__hooks_clear(&behaviour->room);
}
