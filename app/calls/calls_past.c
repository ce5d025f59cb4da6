/* call:search: calls with lines that match, among those that the user may see. A page goes through the matching lines,
 * the latest first; a call is listed at its latest such line, and not again on later pages. */
#include "calls_text.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define CALLS_MAX 50 /* on a page */
#define LINES_MAX 5  /* shown of a call */
#define LOOK_MAX                                                                                        \
    20000 /* lines looked at for a page: of whom may see few calls, it may be short, and `next` goes on \
           */

struct past {
    struct kit_request request;
    char query[CALLS_TEXT_QUERY_SIZE];
    int64_t before, limit;
};

/* A call that was met, and whether it is to be shown. */
struct met {
    int64_t call;
    UT_hash_handle hh;
};

struct page {
    struct kit_db *db;
    struct past *past;
    struct kit_failure *failure;
    struct met *met; /* a table */
    int64_t count;
    bool has_more; /* a call that did not fit */
};

static int read_past(struct kit_request *request, const json_t *payload)
{
    struct past *past = KIT_REQUEST(past, request);
    const char *before = json_string_value(json_object_get(payload, "before"));
    const json_t *limit = json_object_get(payload, "limit");
    calls_text_query(json_string_value(json_object_get(payload, "query")), past->query);
    past->before = INT64_MAX;
    past->limit = CALLS_MAX;
    if (limit) kit_json_int64(limit, 1, CALLS_MAX, &past->limit);
    if (!before || kit_text_int64(eio_str(before), 0, INT64_MAX, &past->before)) return 0;
    return kit_fail(&request->op.failure, 400, "/before", "must be the `next` of an answer");
}

/* ------------------------------------------------------------------- a call */

static void put_lines(struct sio_builder *out, struct kit_rows *rows, enum kit_step step)
{
    size_t count = 0;
    sio_builder_put(out, ",\"lines\":[");
    for (; step == KIT_ROW; step = kit_rows_next(rows)) {
        struct eio_str json = kit_rows_bytes(rows, 3);
        if (!json.n) continue;
        if (count++) sio_builder_put(out, ",");
        sio_builder_put_slice(out, sio_args_none(), (struct eio_str){json.p, json.n - 1}); /* its brace is open */
        sio_builder_put(out, ",\"seq\":");
        kit_put_int(out, kit_rows_int(rows, 2));
        sio_builder_put(out, "}");
    }
    sio_builder_put(out, "]");
}

static int put_call(struct page *page, int64_t call)
{
    struct kit_request *request = &page->past->request;
    struct sio_builder *out = &request->json;
    struct kit_rows rows;
    if (kit_db_query(page->db, &rows,
                     "SELECT id, status, started_ms, ended_ms, seq, call_id, metadata, agents FROM calls WHERE id=?",
                     "i", call) != KIT_ROW)
        return kit_db_fail(page->db, page->failure);
    if (page->count++) sio_builder_put(out, ",");
    calls_put_row(out, &rows, request->now_ms);
    kit_rows_end(&rows);
    struct calls_text_range range = {page->past->query, call, 0, INT64_MAX, LINES_MAX};
    enum kit_step step = calls_text_find(page->db, &rows, &range);
    if (step == KIT_FAILED) return kit_db_fail(page->db, page->failure);
    put_lines(out, &rows, step);
    sio_builder_put(out, "}");
    return 0;
}

/* Whether an earlier page had the call: it has a later line that fits. */
static int look_ahead(struct page *page, int64_t call, bool *was_shown)
{
    struct kit_rows rows;
    struct calls_text_range range = {page->past->query, call, page->past->before, INT64_MAX, 1};
    *was_shown = false;
    if (page->past->before == INT64_MAX) return 0;
    enum kit_step step = calls_text_find(page->db, &rows, &range);
    *was_shown = step == KIT_ROW;
    kit_rows_end(&rows);
    return step == KIT_FAILED ? kit_db_fail(page->db, page->failure) : 0;
}

static int may_see(struct page *page, int64_t call, bool *may)
{
    struct kit_rows row;
    struct kit_failure denied = {0, "", ""};
    struct calls_call found;
    char call_id[KIT_ID_SIZE];
    *may = page->past->request.claims->all_calls;
    if (*may) return 0;
    if (kit_db_query(page->db, &row, "SELECT call_id FROM calls WHERE id=?", "i", call) != KIT_ROW)
        return kit_db_fail(page->db, page->failure);
    snprintf(call_id, sizeof call_id, "%s", kit_rows_text(&row, 0));
    kit_rows_end(&row);
    int code = calls_find_allowed(page->db, page->past->request.claims, call_id, &found, &denied);
    *may = !code;
    if (code >= 500) *page->failure = denied;
    return code >= 500 ? code : 0;
}

/* A line of the call fits: the call's turn, if it is met for the first time. Behind a page that is full it is only
 * noted that another would follow. */
static int meet(struct page *page, int64_t call)
{
    struct met *met;
    bool may, was_shown;
    HASH_FIND(hh, page->met, &call, sizeof call, met);
    if (met) return 0;
    met = calloc(1, sizeof *met);
    if (!met) return kit_fail(page->failure, 503, NULL, "out of memory");
    met->call = call;
    HASH_ADD(hh, page->met, call, sizeof met->call, met);
    int code = may_see(page, call, &may);
    if (code || !may) return code;
    code = look_ahead(page, call, &was_shown);
    if (code || was_shown) return code;
    page->has_more = page->count == page->past->limit;
    return page->has_more ? 0 : put_call(page, call);
}

/* ------------------------------------------------------------------- a page */

struct line {
    int64_t id, call;
};

/* The lines that fit, read to the end before others are asked for: a statement runs once at a time. */
static int read_lines(struct page *page, struct line *lines, size_t *count)
{
    struct kit_rows rows;
    struct calls_text_range range = {page->past->query, 0, 0, page->past->before, LOOK_MAX};
    enum kit_step step = calls_text_find(page->db, &rows, &range);
    *count = 0;
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        lines[(*count)++] = (struct line){kit_rows_int(&rows, 0), kit_rows_int(&rows, 1)};
    return step == KIT_FAILED ? kit_db_fail(page->db, page->failure) : 0;
}

static int fill_page(struct page *page, struct line *lines)
{
    struct sio_builder *out = &page->past->request.json;
    size_t count, i = 0;
    int code = read_lines(page, lines, &count);
    for (; i < count && !code; i++) {
        code = meet(page, lines[i].call);
        if (page->has_more) break; /* the next page begins with this line */
    }
    sio_builder_put(out, "]");
    if (code || !i || (i == count && count < LOOK_MAX)) return code;
    sio_builder_put(out, ",\"next\":");
    kit_put_text(out, kit_number(lines[i - 1].id).text);
    return 0;
}

static int run_past(struct kit_db *db, struct kit_request *request)
{
    struct page page = {.db = db, .past = KIT_REQUEST(past, request), .failure = &request->op.failure};
    struct met *met, *next;
    sio_builder_put(&request->json, ",\"calls\":[");
    if (!page.past->query[0]) {
        sio_builder_put(&request->json, "]");
        return 0;
    }
    struct line *lines = malloc(LOOK_MAX * sizeof *lines);
    int code = lines ? fill_page(&page, lines) : kit_fail(page.failure, 503, NULL, "out of memory");
    free(lines);
    HASH_ITER(hh, page.met, met, next)
    {
        HASH_DEL(page.met, met);
        free(met);
    }
    return code;
}

static void start_past(struct kit_request *request)
{
    calls_index_wait(request->state, request);
}

int calls_past_start(struct calls *calls)
{
    static const struct kit_event events[] = {
        {.name = "call:search",
         .size = sizeof(struct past),
         .way = KIT_READ,
         .roles = KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN,
         .read = read_past,
         .start = start_past,
         .run = run_past},
    };
    return kit_open_events(calls->kit, calls->agents, events, 1, calls);
}
