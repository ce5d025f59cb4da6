/* parley mcp-client URL: one server's tools, each called once. What the official conformance suite starts, which names
 * its scenario and the protocol's version in the environment; by hand it shows what a server offers. */
#include "mcp_int.h"

#include "kit_options.h"
#include "kit_str.h"

#include <stdlib.h>
#include <string.h>

#define LIST_TIMEOUT_MS 60000
#define DEPTH_MAX 16

struct client {
    struct kit *kit;
    struct mcp *mcp;
    struct eio_timer timer; /* looks whether the list has come */
    char **tools;           /* ids of those to be called */
    size_t count, next, failed;
    json_t *context;   /* of the suite: tools to call with which arguments; NULL if absent */
    json_t *arguments; /* of the call under way */
    uint64_t until_ms;
};

static void call_next(struct client *client);

/* --------------------------------------------------------------- arguments */

static const json_t *first_of(const json_t *schema, const char *name)
{
    return json_array_get(json_object_get(schema, name), 0);
}

static json_t *make_text(const json_t *schema)
{
    static const char *const known[][2] = {{"email", "ann@example.com"},
                                           {"uri", "https://example.com/"},
                                           {"date", "2026-01-31"},
                                           {"date-time", "2026-01-31T12:00:00Z"}};
    const char *format = json_string_value(json_object_get(schema, "format"));
    const json_t *choice = first_of(schema, "oneOf");
    if (!choice) choice = first_of(schema, "anyOf");
    if (json_is_string(json_object_get(choice, "const"))) return json_incref(json_object_get(choice, "const"));
    for (size_t i = 0; format && i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(format, known[i][0])) return json_string(known[i][1]);
    return json_string("text");
}

/* Some value that fits a schema, as far as is easily seen; NULL: anything will do. */
static json_t *make_value(const json_t *schema, unsigned depth)
{
    const json_t *given = json_object_get(schema, "default"), *type = json_object_get(schema, "type");
    const char *name = json_string_value(json_is_array(type) ? json_array_get(type, 0) : type), *key;
    json_t *one;
    if (!given) given = json_object_get(schema, "const");
    if (!given) given = first_of(schema, "enum");
    if (!given) given = first_of(schema, "examples");
    if (given) return json_deep_copy(given);
    if (!name || depth > DEPTH_MAX) return make_text(schema);
    if (!strcmp(name, "integer") || !strcmp(name, "number"))
        return json_object_get(schema, "minimum") ? json_deep_copy(json_object_get(schema, "minimum"))
                                                  : json_integer(1);
    if (!strcmp(name, "boolean")) return json_true();
    if (!strcmp(name, "null")) return json_null();
    if (!strcmp(name, "array"))
        return json_object_get(schema, "minItems")
                   ? json_pack("[o]", make_value(json_object_get(schema, "items"), depth + 1))
                   : json_array();
    if (strcmp(name, "object")) return make_text(schema);
    json_t *object = json_object();
    json_object_foreach(json_object_get(schema, "properties"), key, one)
    {
        json_object_set_new(object, key, make_value(one, depth + 1));
    }
    return object;
}

/* --------------------------------------------------------------- questions */

/* By default a user agrees, and leaves forms as they are. */
static json_t *answer_question(const struct mcp_question *question)
{
    struct kit_failure failure = {0};
    json_t *filled = question->schema ? mcp_form_fill(question->schema, NULL, &failure) : NULL;
    if (question->schema && !filled) {
        json_t *made = make_value(question->schema, 0);
        filled = mcp_form_fill(question->schema, made, &failure);
        json_decref(made);
    }
    if (question->schema && !filled) return json_pack("{s:s}", "action", "decline");
    printf("  it asks: %s%s%s\n", question->message, question->url ? " " : "", question->url ? question->url : "");
    return filled ? json_pack("{s:s, s:o}", "action", "accept", "content", filled)
                  : json_pack("{s:s}", "action", "accept");
}

static void on_progress(void *ctx, double progress, double total, const char *message)
{
    (void)ctx;
    printf("  %g of %g %s\n", progress, total, message);
}

static void on_done(void *ctx, const struct mcp_result *result)
{
    struct client *client = ctx;
    printf("  %s: %.*s\n", result->ok ? "done" : "failed", (int)result->text.n, result->text.p);
    fflush(stdout);
    client->failed += !result->ok;
    json_decref(client->arguments);
    client->arguments = NULL;
    call_next(client);
}

static struct mcp_call *current; /* the one call under way */

static void on_ask(void *ctx, const struct mcp_question *questions, size_t count, const json_t *state);

static const struct mcp_call_ops ops = {on_progress, on_ask, NULL, on_done};

static void on_ask(void *ctx, const struct mcp_question *questions, size_t count, const json_t *state)
{
    struct client *client = ctx;
    const struct mcp_caller caller = {.tenant = "", .user = "", .ops = &ops, .ctx = client};
    struct kit_failure failure = {0};
    json_t *answers = json_object();
    for (size_t i = 0; i < count; i++) json_object_set_new(answers, questions[i].key, answer_question(&questions[i]));
    if (state)
        current = mcp_call_resume(client->mcp, state, answers, &caller);
    else if (mcp_call_answer(current, questions[0].key, json_object_get(answers, questions[0].key), &failure))
        printf("  no answer: %s\n", failure.message);
    json_decref(answers);
}

/* ------------------------------------------------------------------- calls */

/* One of the suite's tools wants to get the schema of another. */
static json_t *make_arguments(struct client *client, const struct mcp_tool *tool)
{
    const struct mcp_entry *other = mcp_find_entry(client->mcp->servers, "json_schema_2020_12_tool");
    if (!other || strcmp(tool->name, "json_schema_echo")) return make_value(tool->input_schema, 0);
    return json_pack("{s:O}", "schema", other->tool.input_schema);
}

static void end_client(struct client *client)
{
    mcp_drain(client->mcp);
    eio_timer_start(&client->timer, 0);
}

/* What the suite wants called, {toolCalls: [{name, arguments}]}; otherwise each tool once. */
static void call_next(struct client *client)
{
    const struct mcp_caller caller = {.tenant = "", .user = "", .ops = &ops, .ctx = client};
    const struct mcp_tool *tool = NULL;
    const json_t *wanted = json_object_get(client->context, "toolCalls");
    while (!tool && client->next < (wanted ? json_array_size(wanted) : client->count)) {
        const json_t *one = json_array_get(wanted, client->next);
        const char *name = json_string_value(json_object_get(one, "name"));
        char id[MCP_TOOL_ID_SIZE] = "";
        if (name) mcp_tool_id("server", name, id);
        tool = mcp_find_tool(client->mcp, wanted ? id : client->tools[client->next]);
        if (tool) client->arguments = json_incref(json_object_get(one, "arguments"));
        client->next++;
    }
    if (tool && !client->arguments) client->arguments = make_arguments(client, tool);
    if (tool) printf("%s\n", tool->name);
    current = tool ? mcp_call_start(client->mcp, tool, client->arguments, &caller) : NULL;
    if (!current) end_client(client);
}

static bool note_tool(void *ctx, const struct mcp_tool *tool)
{
    struct client *client = ctx;
    char **tools = realloc(client->tools, (client->count + 1) * sizeof *tools);
    if (!tools) return false;
    client->tools = tools;
    client->tools[client->count] = strdup(tool->id);
    client->count += client->tools[client->count] != NULL;
    return true;
}

/* First for the list of tools, at the end for what is still being sent. */
static void on_timer(void *ctx)
{
    struct client *client = ctx;
    bool is_late = eio_loop_now_ms(client->kit->loop) >= client->until_ms;
    if (client->mcp->is_draining) {
        if (!client->mcp->posts || is_late)
            eio_loop_stop(client->kit->loop);
        else
            eio_timer_start(&client->timer, 10);
    } else if (client->mcp->servers->has_tools) {
        mcp_each_tool(client->mcp, note_tool, client);
        printf("%zu tool%s\n", client->count, kit_s(client->count));
        call_next(client);
    } else if (is_late) {
        client->failed++;
        end_client(client);
    } else {
        eio_timer_start(&client->timer, 10);
    }
}

/* ----------------------------------------------------------------- command */

static struct mcp_server_config *make_config(const char *url)
{
    const char *version = getenv("MCP_CONFORMANCE_PROTOCOL_VERSION");
    struct mcp_server_config *list = calloc(2, sizeof *list);
    if (!list) return NULL;
    strcpy(list->id, "server");
    list->url = strdup(url);
    list->era = !version ? MCP_AUTO : strcmp(version, MCP_VERSION_MODERN) < 0 ? MCP_LEGACY : MCP_MODERN;
    list->is_private = true; /* an address that is typed is meant */
    list->shares_session = true;
    return list;
}

static int run_client(struct client *client, const struct kit_config *config, const char *url)
{
    char error[512] = "out of memory";
    const char *context = getenv("MCP_CONFORMANCE_CONTEXT");
    struct mcp_server_config *list = make_config(url);
    client->mcp = list ? mcp_new(client->kit, mcp_config_of(config)) : NULL;
    client->context = context ? json_loads(context, 0, NULL) : NULL;
    if (!client->mcp || mcp_add_servers(client->mcp, list, 1, error, sizeof error)) {
        fprintf(stderr, "parley: %s\n", error);
        return EXIT_FAILURE;
    }
    client->until_ms = eio_loop_now_ms(client->kit->loop) + LIST_TIMEOUT_MS;
    eio_timer_init(&client->timer, client->kit->loop, on_timer, client);
    eio_timer_start(&client->timer, 0);
    int failed = eio_loop_run(client->kit->loop);
    eio_timer_stop(&client->timer);
    return failed || client->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int mcp_client_command(const struct kit_config *config, const char *const *words, size_t count)
{
    const char *url = count == 1 ? words[0] : "";
    struct kit kit = {.config = config, .loop = eio_loop_new()};
    struct client client = {.kit = &kit};
    int status = EXIT_FAILURE;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (kit_fetch_check_url(url)) {
        fprintf(stderr, "parley: mcp-client: invalid URL '%s' (allowed: %s)\n", url, kit_fetch_check_url(url));
        status = 2;
    } else if (kit.loop && !kit_log_open(config)) {
        kit.fetcher = kit_fetcher_new(kit.loop);
        if (kit.fetcher) status = run_client(&client, config, url);
    }
    mcp_free(client.mcp);
    kit_fetcher_free(kit.fetcher);
    eio_loop_free(kit.loop);
    kit_log_close();
    while (client.count) free(client.tools[--client.count]);
    free(client.tools);
    json_decref(client.context);
    json_decref(client.arguments);
    return status;
}
