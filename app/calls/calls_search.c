/* kb:search: what an agent looks for by hand, over a socket or as GET /api/v1/search. */
#include "calls_int.h"

#include <stdlib.h>
#include <string.h>

struct search {
    struct kit_request request;
    char *query;
    int64_t limit;
    struct knowledge_result results[KNOWLEDGE_RESULTS_MAX];
    size_t count;
};

/* -------------------------------------------------------------- documents */

/* The customer's words, which stand in lines. */
static void put_why(struct sio_builder *json, const char *why)
{
    if (!why[0]) return;
    sio_builder_put(json, ",\"why\":[");
    for (bool is_first = true; *why; is_first = false) {
        size_t n = strcspn(why, "\n");
        if (!is_first) sio_builder_put(json, ",");
        sio_builder_put_text(json, why, n);
        why += n + (why[n] == '\n');
    }
    sio_builder_put(json, "]");
}

static void put_document(struct sio_builder *json, const struct knowledge_result *result)
{
    char relevance[16];
    sio_builder_put(json, "{\"id\":");
    kit_put_text(json, result->id);
    sio_builder_put(json, ",\"title\":");
    kit_put_text(json, result->title);
    sio_builder_put(json, ",\"topic\":");
    kit_put_text(json, result->topic);
    sio_builder_put(json, ",\"excerpt\":");
    kit_put_text(json, result->excerpt);
    snprintf(relevance, sizeof relevance, "%.3f", result->relevance);
    sio_builder_put(json, ",\"relevance\":");
    sio_builder_put(json, relevance);
    put_why(json, result->why);
    sio_builder_put(json, "}");
}

void calls_put_documents(struct sio_builder *json, const struct knowledge_result *results, size_t count)
{
    sio_builder_put(json, ",\"documents\":[");
    for (size_t i = 0; i < count; i++) {
        if (i) sio_builder_put(json, ",");
        put_document(json, &results[i]);
    }
    sio_builder_put(json, "]");
}

/* ------------------------------------------------------------------ search */

static int read_search(struct kit_request *request, const json_t *payload)
{
    struct search *search = KIT_REQUEST(search, request);
    struct kit_failure *failure = &request->op.failure;
    const json_t *query = json_object_get(payload, "query"), *limit = json_object_get(payload, "limit");
    if (!query) query = json_object_get(payload, "q");
    if (!query) return kit_fail(failure, 400, "/query", "is required");
    search->limit = KNOWLEDGE_RESULTS_MAX;
    if (limit) kit_json_int64(limit, 1, KNOWLEDGE_RESULTS_MAX, &search->limit);
    search->query = strdup(json_string_value(query));
    return search->query ? 0 : kit_fail(failure, 503, NULL, "out of memory");
}

static int allow_search(struct kit_db *db, struct kit_request *request)
{
    return request->about[0] ? calls_allow(db, request) : 0;
}

static int run_search(struct kit_db *db, struct kit_request *request)
{
    struct search *search = KIT_REQUEST(search, request);
    struct calls *calls = request->state;
    struct eio_str turn = eio_str(search->query);
    const struct knowledge_question question = {.turns = &turn, .turn_count = 1, .is_typed = true};
    return knowledge_search_question(calls->knowledge, db, &question, search->results, &search->count,
                                     &request->op.failure);
}

static void reply_search(struct kit_request *request)
{
    struct search *search = KIT_REQUEST(search, request);
    size_t count = search->count < (size_t)search->limit ? search->count : (size_t)search->limit;
    ((struct calls *)request->state)->counters.searches++;
    calls_put_documents(&request->json, search->results, count);
}

static void clear_search(struct kit_request *request)
{
    free(KIT_REQUEST(search, request)->query);
}

int calls_search_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "kb:search",
         .size = sizeof(struct search),
         .way = KIT_READ,
         .roles = KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .about = "call_id",
         .allow = allow_search,
         .read = read_search,
         .run = run_search,
         .reply = reply_search,
         .clear = clear_search,
         .method = EIO_HTTP_GET,
         .path = "/api/v1/search"},
    };
    int error = kit_open_events(calls->kit, calls->agents, events, 1, calls);
    return error ? error : kit_open_paths(calls->kit, events, 1, calls);
}
