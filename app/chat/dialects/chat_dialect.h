/* What plain WebSockets say and get: four dialects of one chat. Each is a pure pair of functions: a client's message
 * becomes an event of `/chat`, an entry of the log becomes messages in the client's words. Who reads and sends them is
 * chat_plain.c.
 *
 * | dialect    | for                                    | shape of a message                                 |
 * | ---------- | -------------------------------------- | -------------------------------------------------- |
 * | `typed`    | typed events, with elicitation         | `{type, content, id?, ref_id?}`                    |
 * | `tree`     | chat beside an object tree             | `{type, data, session_id, timestamp, error?}`      |
 * | `teaching` | a teacher: one answer to each message  | `{type, response, mode, current_topic, timestamp}` |
 * | `widget`   | a chat window with thinking steps      | `{type, …, ids of chat, session and intent}`       | */
#ifndef CHAT_DIALECT_H
#define CHAT_DIALECT_H

#include "chat.h"
#include "kit_zone.h"

#include <jansson.h>

/* What a client's message asks for. */
enum chat_wish_kind {
    CHAT_WISH_NONE,
    CHAT_WISH_ASK,   /* event and payload, as a Socket.IO client would send them */
    CHAT_WISH_SAY,   /* the same of chat.message; the text may answer an open question instead */
    CHAT_WISH_INIT,  /* payload of session.init */
    CHAT_WISH_PING,  /* a sign of life */
    CHAT_WISH_CLOSE, /* the session ends, and the connection */
};
struct chat_wish {
    enum chat_wish_kind kind;
    const char *event;        /* a literal */
    json_t *payload;          /* NULL: none */
    char ref_id[KIT_ID_SIZE]; /* what a failure is about; "" */
};
/* Zeroes it, too. */
void chat_wish_clear(struct chat_wish *wish);

/* A question that waits for its answer. */
struct chat_question_open {
    char id[KIT_ID_SIZE]; /* "": none does */
    char mode[16];
    json_t *schema, *values; /* NULL: none */
};

/* What a connection remembers to speak. Zero at first; chat_voice_clear() at the end. */
struct chat_voice {
    char session_id[KIT_ID_SIZE]; /* of the orchestrator; in `tree` the chat's id, by which a client comes back */
    char chat_id[KIT_ID_SIZE], intent_id[KIT_ID_SIZE], connection_id[KIT_ID_SIZE];
    char zone[KIT_ZONE_SIZE];   /* the user's; "": the server's */
    bool has_followed_up;       /* widget: the step before a question was there */
    char own_id[KIT_ID_SIZE];   /* of the message that this client sent last */
    bool with_seq;              /* typed: the client counts */
    bool tree_only;             /* tree: nothing but the tree */
    char mode[32], topic[128];  /* teaching */
    struct sio_builder sources; /* teaching: what the next response stands on, as JSON; if there are any */
    unsigned source_count;
    struct chat_question_open question;
    int64_t now_ms; /* Unix time, set by the caller before each call */
};
void chat_voice_clear(struct chat_voice *voice);

/* Where messages go: fn is called for each, from within the call. */
struct chat_out {
    void (*fn)(void *ctx, struct eio_str text);
    void *ctx;
    struct sio_builder json; /* private */
};

struct chat_dialect {
    const char *name;
    /* Returns 0 or the code of failure; wish->ref_id may be set then, too. */
    int (*read)(const struct chat_voice *voice, const json_t *message, struct chat_wish *wish,
                struct kit_failure *failure);
    /* When the connection is open and the dialect is known. May be NULL. */
    void (*put_welcome)(struct chat_voice *voice, struct chat_out *out);
    /* An entry of the log, or session.ready. */
    void (*put_entry)(struct chat_voice *voice, const struct chat_entry *entry, struct chat_out *out);
    /* A message or an event was refused. ref_id: which; "". */
    void (*put_failure)(struct chat_voice *voice, const struct kit_failure *failure, const char *ref_id,
                        struct chat_out *out);
    /* The answer to an event that asks for something: chat.history, chat.list. May be NULL: it is left out. */
    void (*put_answer)(struct chat_voice *voice, const char *event, struct eio_str json, struct chat_out *out);
    void (*put_pong)(struct chat_voice *voice, struct chat_out *out);
    /* An event of a backend's (POST /api/v1/emit). data: JSON, n 0: none. */
    void (*put_event)(struct chat_voice *voice, const char *event, struct eio_str data, struct chat_out *out);
};

extern const struct chat_dialect chat_typed, chat_tree_talk, chat_teaching, chat_widget;

/* Returns NULL if no dialect has that name. */
const struct chat_dialect *chat_dialect_named(const char *name);
/* By a client's first message. */
const struct chat_dialect *chat_dialect_guess(const json_t *message);
/* A message as an object, to be json_decref()ed; NULL with failure. */
json_t *chat_message_parse(struct eio_str text, size_t max_depth, struct kit_failure *failure);
/* Keeps what the entry says of questions, for all dialects; before put_entry. */
void chat_voice_hear(struct chat_voice *voice, const struct chat_entry *entry);
/* A text as the answer to the question: content of elicitation.submit, or for a link or an approval its action. NULL:
 * the text does not answer it. */
json_t *chat_answer_of_text(const struct chat_question_open *question, const char *text);
/* The same of what a text was found to say of the form's fields. NULL: something is still missing. */
json_t *chat_answer_of_values(const struct chat_question_open *question, const json_t *values);

/* ------------------------------------------------------- for the dialects */

/* The value of a member as it stands there; n 0: absent. */
struct eio_str chat_field(struct eio_str object, const char *name);
/* Its text, cut to size; "" if it is not a string. */
void chat_copy_field(char *out, size_t size, struct eio_str object, const char *name);
bool chat_field_is_true(struct eio_str object, const char *name);

/* A message begins with its type, gets members, and ends. */
void chat_out_begin(struct chat_out *out, const char *type);
/* The name of a member whose value is written next. */
void chat_out_name(struct chat_out *out, const char *name);
/* A member of JSON; n 0: left out. */
void chat_out_json(struct chat_out *out, const char *name, struct eio_str value);
void chat_out_text(struct chat_out *out, const char *name, const char *text);
void chat_out_int(struct chat_out *out, const char *name, int64_t value);
void chat_out_bool(struct chat_out *out, const char *name, bool value);
void chat_out_time(struct chat_out *out, const char *name, int64_t unix_ms);
/* Opens an object as a member, and closes it. */
void chat_out_open(struct chat_out *out, const char *name);
void chat_out_close(struct chat_out *out);
/* The members of an object but those named, a list ended by NULL. */
void chat_out_members(struct chat_out *out, struct eio_str object, const char *const *but);
void chat_out_end(struct chat_out *out);

/* Copies the members of these names. Out of memory: fewer. */
void chat_take_members(json_t *into, const json_t *from, const char *const *names);
/* Fails with 400, in the same words everywhere. */
int chat_refuse_type(const json_t *message, struct kit_failure *failure);

#endif
