/* A tool of the assistant: a row, and functions that run on the loop.
 *
 * The orchestrator checks the policy and the arguments first: what is missing it asks for by a form, whose schema is
 * the tool's. start() gets arguments that are complete and fit; from then on the call is the tool's, until exactly one
 * chat_tool_end() or chat_tool_ask(). Both may be called within start().
 *
 * A call whose question waits has no memory here: take_state is all that is kept, and resume() may run in another
 * process, after a restart, days later. */
#ifndef CHAT_TOOLS_H
#define CHAT_TOOLS_H

#include "chat.h"
#include "kit_schema.h"

struct chat_tool_call;

enum chat_policy { CHAT_POLICY_DEFAULT, CHAT_POLICY_RUN, CHAT_POLICY_ASK, CHAT_POLICY_NEVER };

struct chat_tool {
    const char *name; /* as models know it: 1 to 64 of A-Z a-z 0-9 _ - */
    const char *title, *description;
    const char *parameters;     /* a JSON Schema of a flat object, as text: forms are made of it */
    const char *const *phrases; /* by which the local model picks it, ended by NULL; may be NULL */
    enum chat_policy policy;    /* where the assistant has none of its own. DEFAULT: run, ask if is_destructive */
    bool is_destructive;        /* it takes away what cannot be had again */
    void (*start)(struct chat_tool_call *call);
    /* After its own question was answered. action: accept, decline, cancel, expire; content: NULL unless it was a form
     * that was accepted. NULL: it never asks. */
    void (*resume)(struct chat_tool_call *call, const json_t *state, const char *action, const json_t *content);
    /* The turn ends: nothing may be called for this call any more. What was submitted to the store goes on by itself
     * and must not touch the call; so its own memory is freed here or there. NULL: nothing to do. */
    void (*cancel)(struct chat_tool_call *call);
};

/* Adds a tool, which must outlive the server. ctx: chat_tool_info.ctx of its calls. Returns 0, EIO_EINVAL (the schema
 * is not an object, or the name is taken), EIO_ETOOBIG or EIO_ENOMEM. */
int chat_tools_add(struct chat *chat, const struct chat_tool *tool, void *ctx);

/* What a call is about; valid until it is over. */
struct chat_tool_info {
    struct chat *chat;
    struct kit *kit;
    void *ctx;           /* of chat_tools_add() */
    int64_t chat_key;    /* of the table chats */
    const char *chat_id; /* also a lock for writes (kit_store.h) */
    const char *ref_id;
    int64_t attempt;
    const char *call_id;
    const char *user, *tenant; /* whose chat it is */
    const char *time_zone;     /* of that user (kit_zone.h); "": not known */
    const json_t *args;        /* an object that fits the tool's parameters */
    struct eio_str text;       /* what the user said in this turn */
    struct kit_source *source; /* the user's share of the store; NULL after a restart */
};
const struct chat_tool_info *chat_tool_info(const struct chat_tool_call *call);
/* The tool's own; NULL at first. */
void chat_tool_set_data(struct chat_tool_call *call, void *data);
void *chat_tool_data(const struct chat_tool_call *call);

/* Says how far it is: tool.progress. total 0: unknown. message may be NULL. */
void chat_tool_progress(struct chat_tool_call *call, double progress, double total, const char *message);

/* An entry of the chat's log, with ref_id; for what a write of the tool's own does not already tell (chat_log.h).
 * Consumes the payload. */
void chat_tool_emit(struct chat_tool_call *call, const char *event, json_t *take_payload);

struct chat_question {
    const char *mode; /* form, url, approval */
    const char *message;
    const json_t *schema; /* form: of a flat object. Borrowed; NULL */
    const json_t *values; /* what is known already. Borrowed; NULL */
    const char *url;      /* url */
    int64_t expires_ms;   /* Unix time; 0: never */
};
/* Asks the user; the call is over until it is answered. Consumes the state, an object. */
void chat_tool_ask(struct chat_tool_call *call, const struct chat_question *question, json_t *take_state);

struct chat_tool_result {
    bool ok;
    json_t *take_result; /* tool.end's result, an object; NULL: none */
    const char *text;    /* what the model reads, borrowed; never empty */
    /* The user is to go on with this (a lesson pauses): the intent stays open when the turn ends. */
    bool keeps_open;
    /* The text is the answer, as it is; the model is not asked again. */
    bool is_answer;
};
void chat_tool_end(struct chat_tool_call *call, const struct chat_tool_result *result);
/* ok:false with a text for the model. */
void chat_tool_fail(struct chat_tool_call *call, const char *text);

#endif
