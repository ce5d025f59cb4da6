/* What the files of the classic Redis adapter share. */
#ifndef ROOMS_CLASSIC_INT_H
#define ROOMS_CLASSIC_INT_H

#include "rooms_classic_wire.h"
#include "rooms_redis_int.h"

enum {
    CLASSIC_ID_SIZE = 6,      /* of a node's uid, and of a request's id */
    CLASSIC_SOCKET_SIZE = 20, /* of a socket's id */
    CLASSIC_NAMES_SIZE = 256, /* for the names of servers; further ones are left out */
    CLASSIC_LINGER_MS = 500,  /* how long memory stays after the last answer is accepted; a survey stays longer */
};

struct classic_question;
struct classic_asked;
struct classic_owed;

struct classic {
    struct rooms_adapter adapter;
    struct rooms_redis *redis;
    const struct rooms_redis_options *options;
    char uid[CLASSIC_ID_SIZE + 1];
    bool is_active;  /* Redis has confirmed the subscription to requests: this node is one of those counted */
    bool is_closing; /* being freed: nothing more is published */
    struct rooms_name nsp, channel, requests, responses, own_responses;
    struct rooms__redis_subscription on_everybody, on_sockets, on_requests, on_responses, on_own_responses;
    struct rooms__redis_watcher watcher;
    bool one_pattern;             /* as Node does: receive everything, and ignore most of it */
    uint8_t key[16];              /* of the tables' hashes */
    struct rooms_table rooms;     /* struct listening */
    struct rooms_table questions; /* struct classic_question, by id */
    struct classic_question *first_question;
    struct classic_asked *first_asked;
    size_t asked_count;
    /* The uids of the other servers that were there when a request was late, as text, and of those that did not answer.
     */
    char others[CLASSIC_NAMES_SIZE], missing[CLASSIC_NAMES_SIZE];
    size_t other_count;
    uint64_t others_at_us;             /* when they were asked for; 0: never */
    struct classic_owed *first_owed;   /* the namespace limits how many are promised */
    struct rooms_packer name, payload; /* of what is being published */
};
static inline struct classic *classic_of(const struct rooms_adapter *adapter)
{
    return container_of(adapter, struct classic, adapter);
}

static inline struct rooms_name classic_uid(const struct classic *classic)
{
    return (struct rooms_name){classic->uid, CLASSIC_ID_SIZE};
}
/* Random, of letters that need no escapes. */
void rooms__classic_random_id(char id[CLASSIC_ID_SIZE + 1]);

/* An empty packer for a payload; it keeps its memory, up to a size. */
struct rooms_packer *rooms__classic_begin(struct classic *classic);
/* Publishes what was put into it. Returns 0 or a negative enum rooms_error. */
int rooms__classic_publish(struct classic *classic, struct rooms_name channel);

/* The event of another node: its array, decoded or as JSON, with its attachments. */
struct rooms_message rooms__classic_event(struct rooms_bytes json, const struct rooms_decoded *decoded);

/* Escapes characters with a meaning in Redis' patterns. */
void rooms__classic_put_escaped(struct rooms_packer *packer, struct rooms_name text);

/* ------------------------------------------------------ rooms_classic_ask.c */

int rooms__classic_broadcast_with_ack(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                      const struct rooms_flags *flags, const struct rooms_message *message,
                                      const struct rooms_ack_sink *sink);
int rooms__classic_fetch(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, rooms_fetch_fn each, rooms_done_fn done, void *ctx);
int rooms__classic_server_side_emit(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                                    const struct rooms_message *message, rooms_answer_fn answer, rooms_done_fn done,
                                    void *ctx);
int rooms__classic_server_count(struct rooms_adapter *adapter, void (*result)(void *ctx, int error, size_t servers),
                                void *ctx);
/* During a done with ROOMS_ETIMEOUT. Answers do not carry the uid of their server, so unless all are missing, this is
 * how many are missing of which servers: "1 of AbCdEf, GhIjKl". */
struct rooms_name rooms__classic_missing(struct rooms_adapter *adapter);
void rooms__classic_questions_init(struct classic *classic);
/* on_message of the responses' channels. */
void rooms__classic_on_response(void *ctx, struct rooms_name channel, struct rooms_bytes payload);
/* Ends all requests; their callers learn that answers are missing. */
void rooms__classic_questions_free(struct classic *classic);

/* --------------------------------------------------- rooms_classic_answer.c */

/* on_message of the requests' channel. */
void rooms__classic_on_request(void *ctx, struct rooms_name channel, struct rooms_bytes payload);
/* Frees what waits for sockets or handlers here. */
void rooms__classic_asked_free(struct classic *classic);

#endif
