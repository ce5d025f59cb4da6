/* Reads the stream of /chat/completions, as OpenAI defines it and as its many imitators send it: bytes to events. Pure:
 * no I/O, no clock. What it tolerates stands in docs/models.md, with who sends it. */
#ifndef LLM_READER_H
#define LLM_READER_H

#include "kit_sse.h"
#include "llm.h"
#include "llm_chunk.h"
#include "llm_fault.h"
#include "llm_think.h"

struct llm_limits {
    size_t text_bytes;  /* of text and reasoning together */
    size_t args_bytes;  /* of one call */
    size_t event_bytes; /* of one event of the stream */
    size_t stream_bytes;
    size_t values; /* of the JSON of an event, and of a call's arguments: a tree costs memory and time for each */
    unsigned calls;
};

struct llm_text {
    char *p; /* terminated, or NULL */
    size_t n, capacity;
};
/* Returns 0, EIO_ETOOBIG or EIO_ENOMEM. */
int llm_text_add(struct llm_text *text, struct eio_str more, size_t max);

/* A call of a tool while it comes in. */
struct llm_call {
    char *id, *name; /* NULL: not known yet */
    json_int_t index;
    bool has_index;
    struct llm_text args;
    unsigned depth; /* of brackets, at the end of args */
    bool is_in_string, is_escaped;
    bool is_whole;    /* the brackets were all closed */
    json_t *parsed;   /* of READY */
    json_t *extra;    /* fields that the provider wants back */
    bool is_open;     /* was announced */
    bool has_made_id; /* the id is ours */
};

struct llm_reader {
    /* Set by the owner before the first byte. */
    struct llm_limits limits;
    const char *id_prefix; /* for calls that come without an id; borrowed */
    bool splits_thoughts;  /* <think> in the text */
    /* 0: go on; else llm_reader_feed() returns it at once. Events: TEXT, REASONING, CALL_OPEN, CALL_ARGS, CALL_READY,
     * USAGE; without provider, and with names as the model wrote them. */
    int (*on_event)(void *ctx, const struct llm_event *event);
    void *ctx;

    struct llm_fault fault; /* why llm_reader_feed() or llm_reader_end() returned -1 */

    /* Private. */
    struct kit_sse sse;
    struct llm_chunk_head head;
    struct llm_think think;
    struct llm_text text, reasoning, plain;
    size_t bytes;
    struct llm_call *calls;
    unsigned call_count, call_capacity;
    enum llm_finish finish;
    bool has_finish, has_usage, is_done; /* is_done: [DONE] was seen */
    bool has_first, is_plain;            /* the body is no stream but one JSON text, or worse */
    int64_t tokens_in, tokens_out;
};

/* Returns 0, 1 after [DONE] (the rest is nothing to read), -1 with fault, or what on_event returned. */
int llm_reader_feed(struct llm_reader *reader, struct eio_str bytes);
/* The stream has ended: READY for each call, USAGE. Returns 0, -1 with fault, or what on_event returned. */
int llm_reader_end(struct llm_reader *reader);
/* The stream has said that the answer is complete: what breaks now does no harm. */
bool llm_reader_is_complete(const struct llm_reader *reader);
/* After llm_reader_end(): the assistant's message; NULL: out of memory. */
json_t *llm_reader_message(const struct llm_reader *reader);
enum llm_finish llm_reader_finish(const struct llm_reader *reader);
/* Frees what it holds. */
void llm_reader_clear(struct llm_reader *reader);

/* llm_reader_calls.c: entries of `tool_calls`, position: of the entry in its list. Return as llm_reader_feed(). */
int llm_reader_take_call(struct llm_reader *reader, json_t *entry, size_t position);
int llm_reader_finish_calls(struct llm_reader *reader);

#endif
