/* Tools of MCP servers: which there are, and calling them. A client of the Model Context Protocol over HTTP in both of
 * its eras: 2026-07-28 (stateless) and 2025-11-25 (sessions). docs/mcp.md says how servers are configured.
 *
 * All of it belongs to the loop's thread. No function here calls back before it has returned. */
#ifndef MCP_H
#define MCP_H

#include "kit.h"

struct mcp; /* the module's state */
struct mcp_call;

/* ------------------------------------------------------------------- tools */

enum mcp_policy { MCP_RUN, MCP_ASK, MCP_NEVER };

/* What a server says about a tool is untrusted text: it is shown and given to models, never obeyed. */
struct mcp_tool {
    const char *server; /* the configured id */
    const char *name;   /* as the server knows it */
    /* For models: "server_tool" of at most 64 of [A-Za-z0-9_-]; no two tools share one, and it stays the same over
     * restarts. */
    const char *id;
    const char *title, *description; /* "" if absent */
    const json_t *input_schema;      /* an object; bounded, and without references to other documents */
    const json_t *annotations;       /* NULL if absent */
    /* Of the configuration; a tool that says it is destructive is MCP_ASK unless its own policy is configured. */
    enum mcp_policy policy;
};

/* ------------------------------------------------------------------- calls */

/* What a server asks the user. */
struct mcp_question {
    const char *key; /* among the questions of this call */
    const char *message;
    const json_t *schema; /* a form: a flat object (mcp_form.h); NULL: url mode */
    const char *url;      /* http or https; shown whole, opened by the user's browser only; NULL: a form */
};

struct mcp_result {
    bool ok; /* the tool did what was asked */
    /* Why the tool's answer is missing, in English, and 502 (the server failed or broke off), 503 (it cannot be reached
     * or too much is under way), 504 (time-out), 404 (no such server or tool) or 400 (the server refused the
     * arguments). NULL and 0: it has answered, if only with an error of its own (ok is false). */
    const char *error;
    int code;
    /* The server's result: content, structuredContent, isError. NULL: it has not answered, or it is long (64 KiB). */
    const json_t *content;
    /* What a model reads, never empty: text, or structured content where there is no text; pictures, sound and what was
     * cut are named in a few words. A failure is described here, too. */
    struct eio_str text;
};

/* Everything is borrowed. The call may be answered or cancelled from inside each of them. */
struct mcp_call_ops {
    /* total 0: unknown; message "" if absent. progress grows with each. May be NULL. */
    void (*on_progress)(void *ctx, double progress, double total, const char *message);
    /* The server needs answers before it goes on.
     * state NULL: the call waits in this process (mcp_call_answer()); when nobody answers within mcp_ask_timeout_ms,
     * the server gets `cancel`.
     * state given: the call is over without on_done, and its mcp_call is gone. state is all that it takes to go on
     * with mcp_call_resume(), in any process, days later; it may be stored, and holds the arguments. */
    void (*on_ask)(void *ctx, const struct mcp_question *questions, size_t count, const json_t *state);
    /* A question is no longer open, though nobody answered it: the server withdrew it, or it timed out. */
    void (*on_withdrawn)(void *ctx, const char *key);
    /* Once, last, but for calls that end with a state or are cancelled. */
    void (*on_done)(void *ctx, const struct mcp_result *result);
};

struct mcp_caller {
    const char *tenant,
        *user; /* whose share of calls and, in the older era, whose session it takes; both "": nobody's */
    const struct mcp_call_ops *ops;
    void *ctx;
};

/* The tools known now, in a stable order, until fn returns false; those of MCP_NEVER are left out. Borrowed until the
 * loop goes on. Lists that have become too old are read again in the background. */
void mcp_each_tool(struct mcp *mcp, bool (*fn)(void *ctx, const struct mcp_tool *tool), void *ctx);
/* By its id; NULL if it is not known, or MCP_NEVER. */
const struct mcp_tool *mcp_find_tool(struct mcp *mcp, const char *id);

/* NULL: out of memory. Every other failure comes by on_done. */
struct mcp_call *mcp_call_start(struct mcp *mcp, const struct mcp_tool *tool, const json_t *arguments,
                                const struct mcp_caller *caller);
/* Goes on after on_ask gave a state. answers: for each key {"action": "accept" | "decline" | "cancel", "content": {…}
 * with accept of a form}; what does not fit ends the call with 400, so check forms with mcp_form_fill() before. NULL:
 * out of memory, or no server is configured. */
struct mcp_call *mcp_call_resume(struct mcp *mcp, const json_t *state, const json_t *answers,
                                 const struct mcp_caller *caller);
/* Answers a question of a call without state. Returns 0, or the code of failure: 400, the question is still open; 409,
 * it is not. */
int mcp_call_answer(struct mcp_call *call, const char *key, const json_t *answer, struct kit_failure *failure);
/* The server is informed; nothing is called any more. */
void mcp_call_cancel(struct mcp_call *call);

/* What a user gave for a form, checked, with the defaults of fields that are missing: a new object. content NULL:
 * nothing was given. NULL with failure (400, the field that is wrong). Fields that the schema does not name are left
 * out. */
json_t *mcp_form_fill(const json_t *schema, const json_t *content, struct kit_failure *failure);

/* ------------------------------------------------------------------ module */

extern const struct kit_module mcp_module;
struct mcp *mcp_of(const struct kit *kit);

/* parley mcp-client URL: a client of one server, for the official conformance suite and for having a look at a server:
 * lists its tools, calls them with arguments made up by their schemas, fills in forms by their defaults. words: the
 * URL alone. Returns the exit status. */
int mcp_client_command(const struct kit_config *config, const char *const *words, size_t count);

#endif
