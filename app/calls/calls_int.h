/* What the parts of the module share. Reading order: calls.c, calls_store.c, calls_feed.c, calls_agents.c,
 * calls_hold.c, calls_presence.c, calls_suggest.c, calls_feedback.c, calls_http.c, calls_demo.c. */
#ifndef CALLS_INT_H
#define CALLS_INT_H

#include "calls.h"
#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_request.h"
#include "knowledge.h"

#define CALLS_ROOM "call:"
#define CALLS_SUPERVISOR_ROOM "supervisors:"
#define CALLS_ROOM_SIZE (sizeof CALLS_SUPERVISOR_ROOM + KIT_ID_SIZE)

struct calls {
    struct kit *kit;
    struct sio_namespace *agents; /* "/" */
    struct sio_namespace *feed;   /* "/feed" */
    struct calls_counters counters;
    /* Calls that have not ended, when they were counted last, and whether that is under way. */
    int64_t live;
    uint64_t live_ms;
    bool live_is_asked;
    struct calls_presence *presence;
    struct calls_held_call *held_calls; /* calls_hold.c: a table */
    struct calls_adapter_proxy *proxy;  /* calls_hold.c; NULL: there are no peers */
    uint64_t held_messages;
    struct calls_suggest *suggest;
    struct calls_demo *demo;
};

/* Each returns 0 or a negative code. */
int calls_feed_start(struct calls *calls);
int calls_presence_start(struct calls *calls);
int calls_agents_start(struct calls *calls);
int calls_feedback_start(struct calls *calls);
int calls_suggest_start(struct calls *calls);
int calls_http_start(struct calls *calls);
int calls_demo_start(struct calls *calls, char *error, size_t error_size);
void calls_presence_stop(struct calls *calls);
void calls_suggest_stop(struct calls *calls);
void calls_demo_stop(struct calls *calls);

/* Counts the live calls anew, for /health. */
void calls_refresh_live(struct calls *calls);

/* ------------------------------------------------------------------ calls */

/* A call as it stands in the store. */
struct calls_call {
    int64_t id, started_ms, ended_ms /* 0: goes on */, seq;
    char status[16];
};
/* All run on a thread, inside an operation; 0 or the code of failure. */
int calls_find(struct kit_db *db, const char *call_id, struct calls_call *call, struct kit_failure *failure);
int calls_next_seq(struct kit_db *db, struct calls_call *call, struct kit_failure *failure);
/* 403 unless the claims or the call's list of agents allow it; then 404 if there is no such call. */
int calls_find_allowed(struct kit_db *db, const struct kit_claims *claims, const char *call_id, struct calls_call *call,
                       struct kit_failure *failure);
/* Appends {"ok":true,"call":…,"transcript":…,"suggestions":…,"seq":…}. */
int calls_snapshot(struct kit_db *db, const struct kit_config *config, const char *call_id, int64_t since_seq,
                   int64_t now_ms, struct sio_builder *out, struct kit_failure *failure);
/* Appends {"ok":true,"calls":[…]}, the latest first. status NULL: all. */
int calls_list(struct kit_db *db, const struct kit_config *config, const struct kit_claims *claims, const char *status,
               int64_t now_ms, struct sio_builder *out, struct kit_failure *failure);
int calls_count_live(struct kit_db *db, int64_t *count, struct kit_failure *failure);
/* Whole seconds from the start to the end or now. */
int64_t calls_duration_s(const struct calls_call *call, int64_t now_ms);
/* "call:" + id */
void calls_room(char room[CALLS_ROOM_SIZE], const char *prefix, const char *call_id);

/* --------------------------------------------------------------- presence */

/* Who watches this call may have changed. joined: somebody is new, even if under a name that is there already, and has
 * to be told who watches. */
void calls_presence_touch(struct calls *calls, const char *call_id, bool joined);

/* ------------------------------------------------------------------- hold */

/* With several processes: what is broadcast to a socket's call while its snapshot is read. */
struct calls_hold;
/* Puts itself between the namespace and its adapter. */
struct rooms_adapter *calls_hold_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local);
/* From now on nothing of the call reaches the socket. NULL: out of memory. */
struct calls_hold *calls_hold_new(struct calls *calls, const char *sid, const char *call_id);
/* True: it was too much to be kept. */
bool calls_hold_is_lost(const struct calls_hold *hold);
/* Sends what came meanwhile and is newer than seq; from now on what is newer reaches the socket. */
void calls_hold_release(struct calls_hold *take_hold, struct sio_socket *socket, int64_t seq);
/* Accepts NULL. */
void calls_hold_free(struct calls_hold *hold);
void calls_holds_clear(struct calls *calls);

/* ---------------------------------------------------------------- suggest */

/* A final line was stored; a customer's starts a search. */
void calls_suggest_line(struct calls *calls, const char *call_id, const char *speaker);

#endif
