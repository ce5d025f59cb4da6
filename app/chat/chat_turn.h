/* A turn that runs in this process: the model is asked, tools are called, what it says goes into the chat's log.
 *
 * chat_turn.c owns the turn and is the only one that writes it; chat_model.c asks the model, step by step; chat_call.c
 * runs the calls of a step, chat_ask.c their questions. What is to be stored gathers in the turn and is written in one
 * operation at a time: entries, messages of the history, questions, the conversation up to a whole step. */
#ifndef CHAT_TURN_H
#define CHAT_TURN_H

#include "chat_assistants.h"
#include "chat_pieces.h"
#include "chat_turn_store.h"
#include "llm.h"

/* What a call is at. */
enum chat_stage {
    CHAT_CALL_NEW,
    CHAT_CALL_PARAMETERS, /* a form asks for what is missing */
    CHAT_CALL_APPROVAL,   /* the user is asked whether it may run */
    CHAT_CALL_RUNS,
    CHAT_CALL_ASKS, /* the tool asked something; its state is stored */
    CHAT_CALL_DONE
};

struct chat_tool_call {
    struct chat_turn *turn;
    struct chat_tool_call *prev, *next;
    struct chat_tool_info info;
    enum chat_stage stage;
    char call_id[KIT_ID_SIZE];
    char *model_id, *name;
    const struct chat_tool_row *tool; /* NULL: unknown, or an MCP server's */
    char *fault;                      /* why it cannot run, for the model; NULL */
    json_t *args;                     /* an object */
    json_t *state;                    /* of a tool that asked */
    json_t *questions;                /* [{id, key, action?, content?}] that are asked; NULL */
    json_t *sources;                  /* what it emitted as chat.source, for the history; NULL */
    char *result;                     /* what the model reads */
    bool ok, keeps_open, is_answer, has_started;
    bool waits_for_log;   /* it runs when tool.start is durable */
    void *data;           /* the tool's own */
    struct chat_mcp *mcp; /* chat_mcp.c: of an MCP server's tool */
};

/* Where what a turn has said is, that nobody has yet. */
enum chat_says {
    CHAT_SAYS_NOTHING, /* here, if there is something */
    CHAT_SAYS_DUE,     /* here, and chat_say.c will take it */
    CHAT_SAYS_OUT      /* a piece of it is on its way into the store */
};

struct chat_turn {
    struct chat *chat;
    UT_hash_handle hh; /* by the chat's id */
    struct chat_row about;
    struct chat_turn_row row;
    char *content; /* what the user said */
    const struct chat_assistant *assistant;
    struct kit_user *user; /* whose share it takes; NULL: not known any more */
    json_t *context, *messages;
    bool has_share, keeps_open;
    struct eio_timer limit; /* turn_time_max_ms */
    uint64_t limit_since_ms, limit_left_ms;
    int64_t open_questions; /* of its user, as far as this turn knows */
    int64_t began_ms;       /* Unix time; of the part of it that this process makes */

    /* The model. */
    struct llm_answer *answer;
    uint64_t asked_ms; /* when the model was asked; loop time */
    bool has_waited;   /* until it said something */
    unsigned step;
    int64_t tokens_in, tokens_out;
    bool has_thought;     /* said that it analyses */
    bool is_last;         /* the step that is asked may not call tools */
    char last_calls[64];  /* a digest of the calls of the step before */
    unsigned equal_steps; /* how often they were the same */
    json_t *step_message; /* of the step whose calls run */
    struct chat_tool_call *calls;
    bool is_settling, settle_due;

    /* What is to be written. */
    struct sio_builder text; /* all that was said */
    size_t text_out;         /* of it, what is in a batch */
    size_t text_whole;       /* of it, what belongs to whole steps */
    struct chat_batch out;
    json_t *history;   /* [{type, content, data}] */
    json_t *questions; /* [{id, call_id, question, expires_ms}] */
    json_t *sources;   /* that the log has already: {doc_id: excerpt}; NULL: none */
    bool checkpoint, waits, ends, is_stopped, is_complete;
    int code; /* why it failed; 0 */
    char message[160];
    struct chat_turn_write *writing;
    enum chat_says says;
    struct chat_turn *prev_due, *next_due; /* of chat_say.c */
    struct chat_run run;
    struct eio_timer write_timer;
    uint64_t token_ms;   /* when text was written last */
    uint64_t retried_ms; /* since when nothing can be written; 0: it can */
};

/* Runs it from where it is. Takes what is in load. claims: whose share; NULL. */
void chat_turn_begin(struct chat *chat, struct chat_turn_load *load, const struct kit_claims *claims);
/* Of a chat, if it runs here and has not ended; NULL. */
struct chat_turn *chat_turn_find(const struct chat *chat, const char *chat_id);
/* Ends it: nothing of it is called any more. */
void chat_turn_stop(struct chat_turn *turn);
void chat_turn_fail(struct chat_turn *turn, int code, const char *message);
void chat_turn_finish(struct chat_turn *turn, bool is_complete);
/* It is not this process's any longer. */
void chat_turn_drop(struct chat_turn *turn);
/* All turns of this process end as interrupted: the server stops. Those that wait for an answer go on elsewhere. */
void chat_turns_drain(struct chat *chat);
void chat_turns_stop(struct chat *chat);

/* ----------------------------------------------- for chat_model.c and the like */

/* Entries of the turn. Each consumes the payload. */
void chat_turn_add(struct chat_turn *turn, const char *event, json_t *take_payload);
void chat_turn_think(struct chat_turn *turn, const char *step);
/* Appends to the answer. is_gathered: more will not come soon. */
void chat_turn_say(struct chat_turn *turn, struct eio_str text, bool is_gathered);
/* For chat_say.c: puts the fields of what was said, which has then left the turn; and back, as it cannot be stored. */
void chat_turn_put_said(struct chat_turn *turn, struct sio_builder *fields);
void chat_turn_unsay(struct chat_turn *turn, struct eio_str fields, const struct kit_failure *why);
/* A message for the history. Consumes the data, which may be NULL. */
void chat_turn_remember(struct chat_turn *turn, const char *type, const char *content, json_t *take_data);
/* Time that a user takes for an answer does not count. */
void chat_turn_hold(struct chat_turn *turn, bool waits_for_user);
/* Writes what has gathered, now or as soon as it may. */
void chat_turn_write(struct chat_turn *turn);
/* For who wants it (chat.h): not stored. */
void chat_turn_debug(struct chat_turn *turn, const char *level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Asks the model for the next step. */
void chat_model_ask(struct chat_turn *turn);
void chat_model_cancel(struct chat_turn *turn);

/* Runs the calls of turn->step_message, or goes on with those that are pending. */
void chat_calls_begin(struct chat_turn *turn);
void chat_calls_resume(struct chat_turn *turn, const json_t *pending, const json_t *answers);
/* A call was added by the model: in turn->calls, new. NULL: out of memory. */
struct chat_tool_call *chat_call_add(struct chat_turn *turn, const char *model_id, const char *name);
void chat_calls_cancel(struct chat_turn *turn);
/* Nothing of them is called any more; what is known of them stays. */
void chat_calls_cancel_running(struct chat_turn *turn);
/* The ids of questions that are open; may be empty. */
json_t *chat_calls_waits_for(const struct chat_turn *turn);
/* {id: {action, content}}: those that are news for the turn's calls are taken. */
void chat_calls_answers(struct chat_turn *turn, const json_t *answers);
/* It is being written that the turn waits, and without an answer it leaves memory then. */
bool chat_turn_is_leaving(const struct chat_turn *turn);
/* All entries so far are durable. */
void chat_calls_logged(struct chat_turn *turn);
/* What is stored of them; NULL: no step is under way. */
json_t *chat_calls_pending(const struct chat_turn *turn);
/* Something about a call has changed. */
void chat_calls_settle(struct chat_turn *turn);

/* Whether the user may be asked so many questions more; false: the call has failed for that. */
bool chat_may_ask(struct chat_tool_call *call, size_t count);
/* Asks the user something for a call; schema and values may be NULL. key: of the tool; "". */
void chat_ask(struct chat_tool_call *call, const struct chat_question *question, const char *key);
/* An answer came for a question of a turn that runs. content NULL: none. */
void chat_turn_answer(struct chat_turn *turn, const char *elicitation_id, const char *action, const json_t *content);
/* All questions of a call are answered: goes on with it. */
void chat_call_answered(struct chat_tool_call *call);
/* The call is over; text: for the model. */
void chat_call_finish(struct chat_tool_call *call, const struct chat_tool_result *result);
void chat_call_run(struct chat_tool_call *call);

/* ------------------------------------------------------------------- shares */

/* A user's turns in this process, those that are about to begin included. 0, or 429. */
int chat_share_take(struct chat *chat, const struct kit_claims *claims, struct kit_failure *failure);
/* The same without a look at the limit: 0 or EIO_ENOMEM. */
int chat_share_add(struct chat *chat, const char *tenant, const char *user);
void chat_share_return(struct chat *chat, const char *tenant, const char *user);

#endif
