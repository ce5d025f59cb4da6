/* Chat protocols of others over HTTP: a request's body becomes events of `/chat`, and a turn's entries become their
 * stream. Pure; who reads and sends is chat_streams.c.
 *
 * One request tells one turn, from its beginning or from where it is, up to its end or to a question: a client of these
 * protocols answers by its next request. */
#ifndef CHAT_BRIDGE_H
#define CHAT_BRIDGE_H

#include "chat_dialect.h"

/* What a request asks for. */
struct chat_wanted {
    char chat_id[KIT_ID_SIZE]; /* "": that of the path */
    char run_id[KIT_ID_SIZE];  /* AG-UI */
    json_t *message;           /* of chat.message; NULL */
    json_t *again;             /* of chat.regenerate; NULL */
    json_t *answers;           /* an array of {id, status, payload}; NULL */
};
/* Zeroes it, too. */
void chat_wanted_clear(struct chat_wanted *wanted);

/* Who tells a turn. */
struct chat_teller {
    const struct chat_bridge *bridge;
    char chat_id[KIT_ID_SIZE], run_id[KIT_ID_SIZE], ref_id[KIT_ID_SIZE];
    int64_t attempt;                        /* 0: that of the first entry */
    bool has_text, has_step, has_reasoning; /* open */
    bool has_told;                          /* some of the answer's text */
    int64_t seq;                            /* of the last entry */
    int64_t part;                           /* numbers texts and reasonings */
    char step[256];
    json_t *open;  /* questions that wait, by id */
    json_t *calls; /* that were sent, by id: true while they run */
    bool is_over;
};
void chat_teller_init(struct chat_teller *teller, const struct chat_bridge *bridge);
void chat_teller_clear(struct chat_teller *teller);
/* What is open and running when it begins: session.ready's payload. */
void chat_teller_hear_ready(struct chat_teller *teller, struct eio_str ready);
/* Tells of one entry; others' turns are left out. Sets is_over at the end of the turn. */
void chat_teller_hear(struct chat_teller *teller, const struct chat_entry *entry, struct chat_out *out);
/* The turn cannot go on before a question is answered. */
bool chat_teller_waits(const struct chat_teller *teller);
/* True if the call was not sent before. */
bool chat_teller_note_call(struct chat_teller *teller, const char *call_id);

struct chat_bridge {
    /* Returns 0 or the code of failure. */
    int (*read)(const json_t *body, struct chat_wanted *wanted, struct kit_failure *failure);
    /* An answer of wanted->answers as the payload of elicitation.submit. question: as it was asked; n 0: unknown. */
    json_t *(*read_answer)(const json_t *answer, struct eio_str question);
    void (*begin)(struct chat_teller *teller, struct eio_str ready, struct chat_out *out);
    /* Each gets the entry's payload. */
    void (*token)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*thinking)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*reasoning)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*tool_start)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*tool_progress)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*tool_end)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*question)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    /* asked: the question's payload, n 0: not known. */
    void (*question_end)(struct chat_teller *teller, struct eio_str payload, struct eio_str asked,
                         struct chat_out *out);
    void (*source)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*tree)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*done)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    void (*error)(struct chat_teller *teller, struct eio_str payload, struct chat_out *out);
    /* The stream ends with the questions that are open. */
    void (*wait)(struct chat_teller *teller, struct chat_out *out);
};

extern const struct chat_bridge chat_ui, chat_agui;

/* A request's body without what no bridge reads: of its messages the last one and the user's last one stay, of those
 * what was said and approved. To be json_decref()ed; NULL with failure: 400, or 413 where a member has more than
 * value_max_bytes. */
json_t *chat_body_parse(struct eio_str text, size_t max_depth, size_t value_max_bytes, struct kit_failure *failure);

/* ---------------------------------------------------------- for the bridges */

/* A member that is a text which holds this text: JSON in JSON. */
void chat_out_quoted(struct chat_out *out, const char *name, struct eio_str text);
/* "answer_<ref>", and its attempt if that is not the first. */
void chat_teller_message_id(const struct chat_teller *teller, char *out, size_t size);
/* The text of a message's parts, {type:"text", text}, or of a text; malloc'ed. Returns NULL if they have no text. */
char *chat_text_of_parts(const json_t *parts);

#endif
