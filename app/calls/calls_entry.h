/* One thing that a feed says (calls_entry.c), and what becomes of it in the store (calls_record.c). */
#ifndef CALLS_ENTRY_H
#define CALLS_ENTRY_H

#include "calls_alerts.h"
#include "calls_redact.h"

struct calls_entry {
    enum calls_feed_kind kind;
    struct eio_str raw; /* the text it is read from, borrowed; and as a tree, NULL: what follows is filled in */
    json_t *object;
    char call_id[KIT_ID_SIZE], segment_id[KIT_ID_SIZE], speaker[KIT_ID_SIZE];
    bool is_final;
    const char *status; /* a literal */
    char *text;         /* a line's, with a terminator */
    size_t text_size;
    char *agents, *metadata;    /* of a call, as JSON text: of call:start, then of each change of status */
    struct calls_alert *alerts; /* that it fired */
    bool is_redacted;           /* something was taken out of the text or of other fields */
    struct sio_builder json;    /* the event as it is sent, without what the store adds and without its closing brace */
};

/* What is known besides the text. */
struct calls_reader {
    const struct kit_config *config;
    const struct kit_schemas *schemas;
    enum calls_feed_kind kind;
    const struct calls_redaction *redaction;
    const char *call_id;             /* of the path; "": it is in the text */
    const struct kit_claims *claims; /* whose rights are asked for; NULL: the server itself */
    int64_t now_ms;
};
/* Reads checked JSON text (kit_json_check(), or a payload of a socket), in two steps. The first says whether it is an
 * event that may be said, and of which call; the second may take long, for patterns look for what must not be stored,
 * and is a thread's. The text has to live until then. Each returns 0 or the code of failure; calls_entry_clear() in
 * either case. Any thread. */
int calls_entry_check(struct calls_entry *entry, const struct calls_reader *reader, struct eio_str text,
                      struct kit_failure *failure);
/* Again after it succeeded: does nothing. */
int calls_entry_fill(struct calls_entry *entry, const struct calls_reader *reader, struct kit_failure *failure);
/* Both. */
int calls_entry_read(struct calls_entry *entry, const struct calls_reader *reader, struct eio_str text,
                     struct kit_failure *failure);
void calls_entry_clear(struct calls_entry *entry);

struct calls_record {
    struct calls_entry entry;
    int64_t now_ms;
    struct calls_call call;
    struct hooks *hooks;             /* posts it to the company's service; NULL: nobody does */
    const struct kit_claims *claims; /* whose it is; NULL: the server's */
    struct calls_alerts *rules;      /* what a final line is held against; NULL: nothing */
    bool lowers_hands;               /* it ended the call, in which hands were up */
    bool duplicate;                  /* it was stored before: nothing is sent */
    int64_t replaces;                /* seq of the final line that this one corrects; 0: none */
    bool has_begun;                  /* to be stored */
    size_t read_size, stored_size;   /* of the JSON: before; of what is stored of it */
    struct kit_failure failure;      /* of a line: why it was not stored; code 0: it was */
    struct calls_call *numbers;      /* while it is stored with others: its call, whose seq counts on */
    int64_t row;                     /* likewise: of the line that it overwrites; 0: it is a new one */
    bool is_overwritten;             /* likewise: by a later one of the same segment_id */
};
/* Numbers and stores it, and completes its JSON. On a thread, inside an operation that writes. Returns 0 or the code of
 * failure: from 500 on the operation must fail, too; else nothing was changed. */
int calls_record_store(struct kit_db *db, struct calls_record *record, const struct kit_config *config,
                       struct kit_failure *failure);
/* The same for many lines, of one call or several, in their order, for a few statements in all (calls_batch.c). What is
 * wrong with a line is its own failure. Returns 0 or a code from 500 on: the operation must fail. */
int calls_batch_store(struct kit_db *db, struct calls_record *const *records, size_t count,
                      const struct kit_config *config, struct kit_failure *failure);

/* For calls_batch.c. The record may be stored a second time: what the first added is void. */
void calls_record_begin(struct calls_record *record);
/* It is numbered: completes the JSON, tells the company's service, holds it against the rules. As
 * calls_record_store(). */
int calls_record_complete(struct kit_db *db, struct calls_record *record, struct kit_failure *failure);

/* It is durable: sends it to those who watch. On the loop. */
void calls_record_send(struct calls *calls, struct calls_record *record);

#endif
