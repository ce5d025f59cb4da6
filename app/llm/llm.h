/* Models: who a chat asks for text and calls of tools. Behind one interface stand servers with OpenAI's
 * /chat/completions (kind "openai") and the embedded answerer, which needs no network (kind "local"). Which ones, and
 * in which order they are tried, the option `models_file` says; without it `local` alone. The loop's thread only. */
#ifndef LLM_H
#define LLM_H

#include "kit.h"

#include <jansson.h>

struct llm; /* the module's state */
struct llm_answer;
extern const struct kit_module llm_module;

/* ------------------------------------------------------------------ request */

/* A tool as it is declared. */
struct llm_tool {
    const char *name; /* any text without NUL; models with stricter rules get another name, which is mapped back */
    const char *description; /* NULL: none */
    json_t *parameters;      /* JSON Schema of an object; NULL: it takes none */
    /* How people ask for it, ended by NULL: "remind me to {text}", "wake me". By these `local` finds it: words in any
     * form ("reminds" fits "remind"), and {name} is where the parameter of that name is read. NULL: `local` goes by
     * the name and the description alone. */
    const char *const *phrases;
    size_t prefix_bytes; /* of the name, which people do not say: its server's; 0: as far as the last "." or "/" */
};

struct llm_request {
    const char *provider; /* id; NULL: the configured ones in their order */
    /* The conversation in the form of chat completions: an array of {role, content, tool_calls?, tool_call_id?}, the
     * assistant's messages as LLM_END gave them. Tools' names in it are those of `tools`. The array is copied, its
     * elements are shared and must not change while the answer lives. */
    json_t *messages;
    const struct llm_tool *tools; /* copied, but for parameters, which are shared as above */
    size_t tool_count;
    bool no_local;       /* the embedded one is not asked: it quotes, it does not write */
    bool no_calls;       /* the tools are shown, but must not be called: the last step of a loop that is bounded */
    uint32_t max_tokens; /* of the answer; 0: the provider's */
    uint32_t gather_ms;  /* pieces that come faster than this may come together, at this interval; 0: at once */
    /* For `local`: what "tomorrow at 7" means. */
    int64_t now_ms;          /* Unix time; 0: the clock's */
    const char *zone;        /* the user's (kit_zone.h); NULL or "": the server's */
    const char *search_tool; /* the tool that `local` calls when no phrase fits, with {"query": text}; NULL: none */
};

/* ------------------------------------------------------------------- answer */

enum llm_event_kind {
    LLM_WAIT,       /* nothing was received yet, and the next try comes in wait_ms */
    LLM_TEXT,       /* text: the next piece of the answer, valid UTF-8, never empty */
    LLM_REASONING,  /* text: the same of what it thinks */
    LLM_CALL_OPEN,  /* a call of a tool begins: call, call_id, name */
    LLM_CALL_ARGS,  /* text: the next piece of its arguments */
    LLM_CALL_READY, /* it is whole: call, call_id, name, args, text (all of the arguments) */
    LLM_USAGE,      /* tokens_in, tokens_out; at most once */
    LLM_END,        /* the last one: finish, message */
    LLM_FAILURE     /* the last one: code, reason */
};

enum llm_finish {
    LLM_STOP,   /* it said what it had to say */
    LLM_CALLS,  /* it waits for the results of its calls */
    LLM_LENGTH, /* max_tokens was reached */
    LLM_FILTER  /* the provider withheld the rest */
};

struct llm_event {
    enum llm_event_kind kind;
    const char *provider; /* id of who answers */
    struct eio_str text;
    bool is_gathered;    /* of TEXT: the next pieces come in gather_ms */
    unsigned call;       /* from 0, in the order in which they were opened */
    const char *call_id; /* unique in this answer */
    const char *name;    /* of the tool, as declared; or what the model wrote if no tool is called that */
    /* Of READY: an object; NULL: the text is not one, or no tool has that name. The model then needs a tool message
     * with `fault`. Borrowed. */
    const json_t *args;
    const char *fault; /* of READY with args NULL: what is wrong, in English, for the model */
    int64_t tokens_in, tokens_out;
    uint32_t wait_ms;
    enum llm_finish finish;
    /* Of END: the assistant's message for the conversation, all its calls with valid arguments' text. Borrowed. Each of
     * its calls needs one {"role":"tool","tool_call_id","content"} after it. */
    const json_t *message;
    int code;           /* 502, 503 or 504 */
    const char *reason; /* for the user, in English; the log has more */
};

typedef void (*llm_event_fn)(void *ctx, const struct llm_event *event);

/* Begins an answer. Events come later, never within this call: any number of the others, then END or FAILURE, after
 * which the answer is gone. NULL: out of memory, or no such provider is
 * configured. */
struct llm_answer *llm_start(struct llm *llm, const struct llm_request *request, llm_event_fn on_event, void *ctx);
/* Whether a model other than the embedded one is configured, of that id. NULL: any. */
bool llm_has_model(const struct llm *llm, const char *id);
/* Ends it without another event; the request to the provider ends too. Also within an event, but not after the last. */
void llm_cancel(struct llm_answer *answer);

/* What a text says of the properties of an object's schema, as the embedded model reads it: an object without what the
 * text does not say. zone: as in llm_request. NULL: out of memory. */
json_t *llm_read_values(struct llm *llm, json_t *schema, const char *text, int64_t now_ms, const char *zone);

/* The conversation's message for a tool's result; NULL: out of memory. */
json_t *llm_tool_message(const char *call_id, const char *content);

#endif
