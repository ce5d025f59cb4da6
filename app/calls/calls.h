/* Live calls: feeds report them, agents and supervisors watch them, documents are suggested. */
#ifndef CALLS_H
#define CALLS_H

#include "kit.h"

struct calls;
struct kit_claims;

extern const struct kit_module calls_module;

/* Imports the embedded documents if the knowledge base is empty. Blocking, at the start. */
int calls_demo_import(struct kit_store *store, char *error, size_t error_size);

/* Counters for /metrics; the loop's thread only. */
struct calls_counters {
    uint64_t abandoned, deleted; /* calls that ended for want of a feed; that are gone */
    uint64_t lines, duplicates, suggestions, searches, feedback, snapshots, gates_lost, notes, uses, redacted, alerts,
        patterns_over, summaries, summaries_by_model, summaries_failed, summary_limits[2];
    uint64_t snapshots_delayed, snapshots_refused; /* for want of room */
    uint64_t lists_cut;                            /* by call_list_bytes_max */
    uint64_t exports, exports_refused;             /* the same */
    struct kit_delays suggestion_delays;           /* from a line that asks for a search */
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
    struct eio_str raw;              /* an object as checked JSON text (kit_json_check(), or a socket's payload) */
    const char *call_id;             /* of a path that names it; NULL: it is in the object */
    const struct kit_claims *claims; /* whose rights count; NULL: the server itself says it */
    struct kit_source *source;       /* the source whose share it counts against; NULL: none */
    bool is_lines;                   /* of a list: one object a line instead of an array (NDJSON) */
};
/* The event's name, as in its schema. */
const char *calls_feed_event_name(enum calls_feed_kind kind);
/* Checks it, stores it, then broadcasts it, then calls fn (may be NULL). Also when it fails at once, before returning.
 */
void calls_feed_submit(struct calls *calls, const struct calls_feed_event *event, calls_feed_fn fn, void *ctx);

#define CALLS_LIST_ERRORS_MAX 100 /* are reported; the others are counted */
struct calls_list_error {
    size_t index; /* in the list, from 0 */
    struct kit_failure failure;
};
struct calls_list_result {
    struct kit_failure failure; /* of the whole: not a list, nothing was read; code 0: see the others */
    size_t stored, duplicates, failed;
    int64_t seq;                           /* the highest of those that are stored */
    const struct calls_list_error *errors; /* the first of those that failed */
    size_t error_count;
};
typedef void (*calls_list_fn)(void *ctx, const struct calls_list_result *result);
/* Many lines of a transcript, in text that is not checked yet. They are stored in pieces, each in one transaction, so
 * that other feeds' lines come in between; a bad line does not affect the others. The text is copied; claims and source
 * are as in struct calls_feed_event, and so is call_id. fn is called once, later or (out of memory, busy, stopping)
 * before this returns. */
void calls_list_submit(struct calls *calls, const struct calls_feed_event *list, calls_list_fn fn, void *ctx);

#endif
