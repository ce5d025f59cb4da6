/* The module's own. Reading order: trace.c (module, watches and their buffers), trace_lines.c (what happens, as lines),
 * trace_nodes.c (other processes), trace_http.c (the request), trace_command.c. */
#ifndef TRACE_INT_H
#define TRACE_INT_H

#include "kit_auth.h"
#include "trace.h"

#define TRACE_NAME_SIZE 65 /* of an event or a room, as shown */
#define TRACE_WATCH_ID_SIZE 17
#define TRACE_FLUSH_MS 50
#define TRACE_RENEW_MS 2000
#define TRACE_FORGET_MS 6000

struct trace_config {
    uint32_t trace_max, trace_lines_per_second;
    size_t trace_queue_bytes;
};

/* Whom it is about: what is empty is anybody's. */
struct trace_filter {
    char user[KIT_USER_SIZE], call[KIT_ID_SIZE];
    char tenant[KIT_USER_SIZE];
    bool is_confined; /* to that tenant, whatever else is asked for */
};

/* Somebody looks, at this process or another. */
struct trace_watch {
    struct trace *trace;
    struct trace_watch *next;
    char id[TRACE_WATCH_ID_SIZE];
    struct trace_filter filter;
    struct kit_claims *claims;      /* by which it was allowed; NULL: the operators' address, or another process' */
    struct eio_http_stream *stream; /* NULL: gone, or another process' */
    bool is_remote;                 /* lines go to another process */
    char *buffer;
    size_t size, capacity;
    uint64_t until_ms;            /* another process': it is forgotten then */
    uint64_t second;              /* which one, of the loop's time */
    uint32_t lines;               /* in it */
    uint64_t left_out;            /* and not said yet */
    uint32_t receivers;           /* of what is being sent (trace->sending), that it is about */
    char receiver[KIT_USER_SIZE]; /* the last of them */
};

struct trace_numbers {
    size_t count;                             /* of watches, now */
    uint64_t begun, refused, lines, left_out; /* since the start */
};

/* What is being sent now: told once all its receivers are known. */
struct trace_sending {
    const char *namespace_name;
    char event[TRACE_NAME_SIZE], call[KIT_ID_SIZE];
    size_t bytes;
};

/* Of which call an event of a socket was, for the line about its answer. */
struct trace_asked {
    uint64_t key; /* of the socket and the event */
    char call[KIT_ID_SIZE];
};
#define TRACE_ASKED_MAX 128 /* that are remembered; the oldest are overwritten */

struct trace {
    struct kit *kit;
    const struct trace_config *config;
    struct trace_watch *watches;
    struct trace_sending sending;
    struct trace_asked asked[TRACE_ASKED_MAX];
    size_t asked_count;
    struct eio_timer flush, renew;
    char node[80];
    struct trace_numbers numbers;
};

/* NULL: out of memory, or as many as trace_max are there. */
struct trace_watch *trace_watch_new(struct trace *trace, const struct trace_filter *filter, size_t capacity);
/* The stream is the caller's. */
void trace_watch_free(struct trace_watch *watch);
/* Adds lines, or counts them where they do not fit. */
void trace_watch_add(struct trace_watch *watch, const char *text, size_t size, uint32_t lines);
/* Ends the stream of a watch of this process, too. */
void trace_watch_end(struct trace_watch *watch, const char *why);

/* ---------------------------------------------------------------- lines */

void trace_lines_begin(struct trace *trace);
void trace_lines_end(struct trace *trace);
/* Tells what was being sent. */
void trace_lines_settle(struct trace *trace);
/* A line of this process' own: that it looks ("looking"), or how many lines were left out. Returns its size. */
size_t trace_line_own(const struct trace *trace, const char *what, uint64_t lines, char *out, size_t size);
/* Adds the former. */
void trace_lines_say_looking(struct trace_watch *watch);

/* ---------------------------------------------------------------- nodes */

int trace_nodes_start(struct trace *trace);
/* Asks the others to look, too; again. */
void trace_nodes_ask(struct trace *trace, const struct trace_watch *watch);
void trace_nodes_end(struct trace *trace, const struct trace_watch *watch);
void trace_nodes_send(struct trace *trace, const struct trace_watch *watch, const char *text, size_t size);

/* ----------------------------------------------------------------- HTTP */

int trace_http_start(struct trace *trace);

#endif
