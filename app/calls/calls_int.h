/* What the parts of the module share. Reading order: calls.c, calls_options.c, calls_schema.c, calls_store.c,
 * calls_redact.h, calls_entry.h, calls_entry.c, calls_record.c, calls_batch.c, calls_feed.c, calls_lines.c,
 * calls_life.c, calls_listing.c, calls_agents.c, calls_watch.c, calls_gate.h, calls_access.c, calls_gate.c,
 * calls_proxy.c, calls_presence.c, calls_suggest.c, calls_feedback.c, calls_notes.c, calls_help.c, calls_wrapup.c,
 * calls_extract.c, calls_summary.c, calls_stats.c, vendors/calls_vendors.c, calls_vendor_sign.c,
 * calls_vendor_http.c, calls_export.c,
 * calls_pattern.c, calls_rules.c, calls_rules_store.c, calls_alerts.c, calls_search.c, calls_text.c, calls_past.c,
 * calls_http.c, calls_stream.c, calls_demo.c. */
#ifndef CALLS_INT_H
#define CALLS_INT_H

#include "calls.h"
#include "hooks.h"
#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_namespace.h"
#include "kit_request.h"
#include "knowledge.h"
#include "llm.h"

#include <string.h>

#define CALLS_ROOM "call:"
#define CALLS_SUPERVISOR_ROOM "supervisors:"
/* One agent of one call: the prefix, the call's id, '@', the user. */
#define CALLS_AGENT_ROOM "agent:"
#define CALLS_ROOM_SIZE (sizeof CALLS_SUPERVISOR_ROOM + KIT_ID_SIZE)
#define CALLS_AGENT_ROOM_SIZE (CALLS_ROOM_SIZE + KIT_USER_SIZE)

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
    struct calls_gated *gated;         /* calls_gate.c: a table of the calls with gates */
    uint64_t gated_messages;           /* that came to one of them */
    struct calls_proxy *proxy;         /* calls_proxy.c */
    struct calls_comeback *comebacks;  /* calls_access.c: those that wait for their connection */
    struct calls_watch *joined, *told; /* calls_watch.c: those that wait for other processes to know of them */
    struct eio_timer told_timer;
    /* calls_snapshot.c: those that are not read yet; read, and not given to all who wait; who waits to be read for. */
    struct calls_reading *readings, *handed_out;
    struct calls_watch *unread;
    struct eio_timer room_timer, late_timer;
    bool is_stopping;
    bool is_draining; /* models are not asked any more */
    struct calls_suggest *suggest;
    struct calls_life *life;
    struct calls_outage *outage; /* NULL: there is no Redis */
    struct calls_index *index;   /* NULL: the engine has its own */
    struct knowledge *knowledge;
    struct hooks *hooks;            /* what is posted to the company's service */
    struct llm *llm;                /* who writes summaries */
    struct calls_writing *writings; /* calls_summary_model.c: summaries that models write */
    struct calls_demo *demo;
    struct calls_alerts *alerts;
    struct calls_stats *stats;
    struct calls_vendor_call *vendor_calls; /* calls_vendor_http.c: a table */
    struct calls_redaction *redaction;      /* NULL: nothing is taken out of texts */
};

/* The values of its options: calls_options.c. */
struct calls_config {
    uint32_t snapshot_lines_max;
    size_t snapshot_bytes_max;
    uint32_t snapshot_suggestions_max, snapshot_alerts_max, snapshot_notes_max;
    size_t snapshot_memory_bytes, snapshot_memory_per_user_bytes;
    uint32_t snapshot_wait_ms;
    uint32_t gate_messages_max;
    size_t gate_bytes_max;
    uint32_t call_list_max;
    size_t call_list_bytes_max;
    uint32_t text_max_bytes;
    uint32_t late_final_s, call_idle_timeout_s, retention_days;
    uint32_t suggest_turns;
    const char *summary_model;
    uint32_t summary_timeout_ms, summaries_max, source_summaries_max;
    size_t summary_text_bytes;
    const char *redaction, *alert_rules;
    const char *public_url, *twilio_auth_token, *vonage_secrets, *sinch_secrets;
    size_t export_bytes_max;
    uint32_t demo_line_ms;
    uint32_t demo_pause_ms;
    uint32_t demo_keep;
};
extern const struct kit_option_set calls_options;
const struct calls_config *calls_config(const struct kit_config *config);

extern const char *const calls_migrations[]; /* calls_schema.c */

/* Each returns 0 or a negative code. */
int calls_presence_start(struct calls *calls);
int calls_access_start(struct calls *calls);
int calls_agents_start(struct calls *calls);
int calls_watch_start(struct calls *calls);
int calls_feedback_start(struct calls *calls);
int calls_notes_start(struct calls *calls);
int calls_help_start(struct calls *calls);
int calls_wrapup_start(struct calls *calls);
int calls_search_start(struct calls *calls);
int calls_past_start(struct calls *calls);
int calls_export_start(struct calls *calls);
int calls_summary_start(struct calls *calls);
int calls_vendor_start(struct calls *calls);
void calls_vendor_stop(struct calls *calls);
/* Unix time of RFC 3339 text in quotes; false if it is something else. */
bool calls_read_time(struct eio_str json, int64_t *ms);
int calls_outage_start(struct calls *calls);
void calls_outage_drain(struct calls *calls);
void calls_outage_stop(struct calls *calls);
int calls_index_start(struct calls *calls);
void calls_index_drain(struct calls *calls);
void calls_index_stop(struct calls *calls);
int calls_stats_start(struct calls *calls);
void calls_stats_drain(struct calls *calls);
void calls_stats_stop(struct calls *calls);
int calls_suggest_start(struct calls *calls);
int calls_http_start(struct calls *calls);
int calls_life_start(struct calls *calls);
int calls_demo_start(struct calls *calls, char *error, size_t error_size);
void calls_life_drain(struct calls *calls);
void calls_demo_drain(struct calls *calls);
void calls_watch_pause(struct calls *calls);
void calls_access_stop(struct calls *calls);
void calls_presence_stop(struct calls *calls);
void calls_suggest_stop(struct calls *calls);
void calls_life_stop(struct calls *calls);
void calls_demo_stop(struct calls *calls);

/* Refreshes the count of live calls, for /health. */
void calls_refresh_live(struct calls *calls);

/* ------------------------------------------------------------------ calls */

/* A call as it is stored. */
struct calls_call {
    int64_t id, started_ms, ended_ms /* 0: goes on */, seq;
    char status[16];
};
/* calls_life.c. When the store last heard of a call (`last_ms`) is written once in this time, and not with each line:
 * by so much it may be behind. */
int64_t calls_heard_step_ms(const struct kit_config *config);
/* What is too long for one is cut. */
static inline void calls_copy_id(char out[KIT_ID_SIZE], const char *id)
{
    size_t n = strnlen(id, KIT_ID_SIZE - 1);
    memcpy(out, id, n);
    out[n] = 0;
}
/* All run on a thread, inside an operation; 0 or the code of failure. */
int calls_find(struct kit_db *db, const char *call_id, struct calls_call *call, struct kit_failure *failure);
/* Of a row of (id, status, started_ms, ended_ms, seq, …). */
void calls_read_row(const struct kit_rows *row, struct calls_call *call);
int calls_next_seq(struct kit_db *db, struct calls_call *call, struct kit_failure *failure);
/* 403 unless the claims or the call's list of agents allow it; then 404 if there is no such call. */
int calls_find_allowed(struct kit_db *db, const struct kit_claims *claims, const char *call_id, struct calls_call *call,
                       struct kit_failure *failure);
/* The same, as struct kit_event's allow: request->about is the call. */
int calls_allow(struct kit_db *db, struct kit_request *request);
/* Whose call it is: its own list of agents, as JSON text to be freed, in place of what *agents was. */
int calls_read_agents(struct kit_db *db, int64_t call, char **agents, struct kit_failure *failure);
/* Which snapshot of a call, and for whom. */
struct calls_view {
    const char *call_id;
    int64_t since_seq, now_ms;
    const char *agent; /* the agent whose private notes are included; NULL: none */
    bool all_notes;    /* everybody's: a supervisor's view */
    bool lacks_notes;  /* set: there are private notes that are not in it */
    json_t *voters;    /* set if agent is NULL: an object whose keys are those who voted; to be decref'ed */
};
/* Appends the fields ,"call":…,"transcript":…,"suggestions":…,"notes":…,"help":…,"wrapups":…,"votes":…,"seq":… of an
 * object. */
int calls_snapshot(struct kit_db *db, const struct kit_config *config, struct calls_view *view, struct sio_builder *out,
                   struct kit_failure *failure);
/* Appends an object, without its closing brace, of a row of (id, status, started_ms, ended_ms, seq, call_id, metadata,
 * agents). */
void calls_put_row(struct sio_builder *out, const struct kit_rows *row, int64_t now_ms);
int calls_count_live(struct kit_db *db, int64_t *count, struct kit_failure *failure);
/* Whole seconds from the start to the end or now. */
int64_t calls_duration_s(const struct calls_call *call, int64_t now_ms);
/* "call:" + id */
void calls_room(char room[CALLS_ROOM_SIZE], const char *prefix, const char *call_id);
/* The room of one agent of a call. */
void calls_agent_room(char room[CALLS_AGENT_ROOM_SIZE], const char *call_id, const char *user);

/* ----------------------------------------------------------- notes, help, wrap-ups */

/* What somebody wrote in a field of a payload. text: malloc, to be freed with the request; NULL: it is absent. */
struct calls_written {
    char *text;
    size_t size;
    bool is_redacted;
};
/* In an event's read. Returns 0 or EIO_ENOMEM. */
int calls_written_read(struct calls_written *written, const json_t *payload, const char *name);
/* In its run, before anything else: takes out what must not be stored. Returns 0 or the code of failure. */
int calls_written_redact(struct calls_written *written, const struct kit_request *request, struct kit_failure *failure);

/* Each appends a field of the snapshot; on a thread. 0 or the code of failure. */
int calls_notes_put(struct kit_db *db, int64_t call, uint32_t most, struct calls_view *view, struct sio_builder *out,
                    struct kit_failure *failure);
int calls_help_put(struct kit_db *db, int64_t call, struct sio_builder *out, struct kit_failure *failure);
/* Its latest alerts with a higher seq, the latest last. */
int calls_alerts_put(struct kit_db *db, int64_t call, int64_t since_seq, uint32_t most, struct sio_builder *out,
                     struct kit_failure *failure);
int calls_wrapup_put(struct kit_db *db, int64_t call, struct sio_builder *out, struct kit_failure *failure);
/* Appends what the view's agent said of documents; without one, nothing, and view->voters says who did. */
int calls_votes_put(struct kit_db *db, struct calls_view *view, struct sio_builder *out, struct kit_failure *failure);
/* Appends the field summary, if there is one with a higher seq. */
int calls_summary_put(struct kit_db *db, int64_t call, int64_t since_seq, struct sio_builder *out,
                      struct kit_failure *failure);
/* The call has ended: makes its summary. claims: whose share it counts against; NULL: the server's. On the loop. */
void calls_summary_end(struct calls *calls, const char *call_id, const struct kit_claims *claims);
/* Models are not waited for any longer. */
void calls_summary_drain(struct calls *calls);
/* The call has ended: all hands are down. *lowered: some were up. On a thread. */
int calls_help_end(struct kit_db *db, int64_t call, bool *lowered, struct kit_failure *failure);
/* Says so to the supervisors. agents: the call's own list, as JSON. On the loop. */
void calls_help_send_none(struct calls *calls, const char *call_id, const char *agents);

/* ------------------------------------------------------------------- hooks */

/* Within the write of a request: puts this object, under the event's name, into the outbox of the company's service.
 * Returns 0 or the code of failure. */
int calls_tell_request(struct kit_db *db, struct kit_request *request, const char *call_id,
                       const struct sio_builder *json);

/* ------------------------------------------------------------ lines over HTTP */

/* Begins with a body of lines that is still coming: struct kit_event's stream. */
void calls_stream_begin(struct kit_request *request);
/* Answers with what became of many lines. For struct calls_http.c's requests alone. */
void calls_http_finish_list(struct kit_request *request, const struct calls_list_result *result);

/* -------------------------------------------------------------------- said */

#define CALLS_SAID_MAX 64
struct calls_said {
    struct eio_str turns[CALLS_SAID_MAX]; /* the customer's final lines, in their order */
    char *texts[CALLS_SAID_MAX];          /* the same */
    size_t count;
    int64_t seq; /* of the last */
};
/* The customer's first lines and latest lines. Returns 0 or the code of failure; calls_said_clear() in either case. */
int calls_said_read(struct kit_db *db, const char *call_id, size_t first, size_t latest, struct calls_said *said,
                    struct kit_failure *failure);
void calls_said_clear(struct calls_said *said);

/* ----------------------------------------------------------------- access */

/* The socket lists calls from now on and gets the changes of those that it may see. Returns 0 or what sio_join() says.
 */
int calls_access_list(struct sio_socket *socket);
/* Supervisors and administrators: who may write notes, sees everybody's and is called for help. */
bool calls_access_is_supervisor(const struct kit_claims *claims);
/* The call is gone: its rooms are emptied, in all processes. */
void calls_access_empty(struct calls *calls, const char *call_id);

/* --------------------------------------------------------------- presence */

/* Who watches this call may have changed. joined: a socket is new, even if under a name that is there already, and gets
 * the list in any case. */
void calls_presence_touch(struct calls *calls, const char *call_id, bool joined);
/* The ids of the calls that are watched at this process; malloc, *ids NULL: out of memory. */
size_t calls_presence_watched(const struct calls *calls, char (**ids)[KIT_ID_SIZE]);

/* ------------------------------------------------------------------ proxy */

/* Puts the gates between the namespace and its adapter. A rooms_adapter_factory with the calls as ctx. */
struct rooms_adapter *calls_proxy_adapter(void *ctx, const char *namespace_name, const struct rooms_local *local);

/* ---------------------------------------------------------------- suggest */

/* Appends the field ,"documents":[…]. */
void calls_put_documents(struct sio_builder *json, const struct knowledge_result *results, size_t count);
/* A final line was stored; a customer's starts a search. */
void calls_suggest_line(struct calls *calls, const char *call_id, const char *speaker);

#endif
