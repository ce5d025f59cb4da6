/* Live calls: feeds tell them, agents and supervisors watch them, documents are suggested. */
#ifndef CALLS_H
#define CALLS_H

#include "kit.h"

struct calls;

extern const struct kit_module calls_module;

/* Imports the embedded documents if the knowledge base is empty. Blocking, at the start. */
int calls_demo_import(struct kit_store *store, char *error, size_t error_size);

/* Counters for /metrics; the loop's thread only. */
struct calls_counters {
    uint64_t lines, duplicates, suggestions, searches, feedback, snapshots, gates_lost;
};
const struct calls_counters *calls_get_counters(const struct calls *calls);

/* ------------------------------------------------------------------- feed */

enum calls_feed_kind { CALLS_FEED_START, CALLS_FEED_LINE, CALLS_FEED_STATUS, CALLS_FEED_END };

struct calls_feed_result {
    struct kit_failure failure; /* code 0: durable */
    char call_id[KIT_ID_SIZE];
    int64_t seq;
    bool duplicate; /* was stored before; nothing was sent */
};
typedef void (*calls_feed_fn)(void *ctx, const struct calls_feed_result *result);

/* One thing that a feed says. */
struct calls_feed_event {
    enum calls_feed_kind kind;
    struct eio_str raw;        /* the object's JSON text */
    const json_t *object;      /* the same, parsed; fits its schema unless `unchecked` */
    const char *call_id;       /* NULL: the object's */
    struct kit_source *source; /* who says it; NULL: the server itself */
};
/* The event's name, as in its schema. */
const char *calls_feed_event_name(enum calls_feed_kind kind);
/* Stores it, then broadcasts it, then calls fn (may be NULL). Also when it fails at once, before returning. */
void calls_feed_submit(struct calls *calls, const struct calls_feed_event *event, calls_feed_fn fn, void *ctx);

#endif
