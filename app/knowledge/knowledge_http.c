/* Documents over HTTP, for the page of the knowledge base: list, read with what was learned, write, delete. */
#include "kit_request.h"
#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>

#define DOCUMENTS_PATH "/api/v1/documents"
#define READERS (KIT_ROLE_AGENT | KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN)
#define WRITERS (KIT_ROLE_SUPERVISOR | KIT_ROLE_ADMIN)
#define SOURCE "written here" /* of documents that no file has; files have whole paths */
#define LIST_MAX 200
#define LOOK_MAX 20000 /* documents that a page is chosen from: it may be short, and `next` goes on */
#define LOOK_STEP 1000 /* read at a time */
#define QUERY_MAX 200
#define LEARNED_MAX 50

static void put_field(struct sio_builder *json, const char *name, const char *text)
{
    sio_builder_put(json, ",\"");
    sio_builder_put(json, name);
    sio_builder_put(json, "\":");
    kit_put_text(json, text);
}

static void put_number(struct sio_builder *json, const char *name, int64_t number)
{
    sio_builder_put(json, ",\"");
    sio_builder_put(json, name);
    sio_builder_put(json, "\":");
    kit_put_int(json, number);
}

/* A weight (knowledge.h) in calls: a decimal without needless digits. */
static void put_calls(struct sio_builder *json, const char *name, int64_t weight)
{
    char text[32];
    snprintf(text, sizeof text, "%.4g", (double)weight / KNOWLEDGE_WEIGHT_ONE);
    sio_builder_put(json, ",\"");
    sio_builder_put(json, name);
    sio_builder_put(json, "\":");
    sio_builder_put(json, text);
}

/* -------------------------------------------------------------------- list */

#define COLUMNS "d.doc_id, d.title, d.topic, d.source, d.helpful, d.unhelpful"
#define BESIDE ", coalesce(s.n, 0), coalesce(l.n, 0), d.id"
#define JOINS " LEFT JOIN document_shown s ON s.doc_id = d.doc_id LEFT JOIN learned_calls l ON l.doc_id = d.doc_id"

/* An object without its closing brace, of a row of COLUMNS and BESIDE. */
static void put_document(struct sio_builder *json, const struct kit_rows *row)
{
    sio_builder_put(json, "{\"id\":");
    kit_put_text(json, kit_rows_text(row, 0));
    put_field(json, "title", kit_rows_text(row, 1));
    put_field(json, "topic", kit_rows_text(row, 2));
    put_field(json, "source", kit_rows_text(row, 3));
    put_number(json, "helpful", kit_rows_int(row, 4));
    put_number(json, "unhelpful", kit_rows_int(row, 5));
    put_number(json, "shown", kit_rows_int(row, 6));
    put_calls(json, "learned_calls", kit_rows_int(row, 7));
}

struct list {
    struct kit_request request;
    int64_t before, limit;
    int64_t at;  /* the id of the last document that was looked at */
    char *query; /* folded words with a blank before each; NULL: all documents */
    int64_t count;
    bool has_more; /* one that did not fit onto the page */
};

static int read_list(struct kit_request *request, const json_t *payload)
{
    struct list *list = KIT_REQUEST(list, request);
    const char *before = json_string_value(json_object_get(payload, "before"));
    const json_t *limit = json_object_get(payload, "limit"), *query = json_object_get(payload, "query");
    list->before = INT64_MAX;
    list->limit = LIST_MAX;
    if (limit) kit_json_int64(limit, 1, LIST_MAX, &list->limit);
    if (query) {
        list->query = knowledge_fold_words(json_string_value(query));
        if (!list->query) return kit_fail(&request->op.failure, 503, NULL, "out of memory");
    }
    if (!before || kit_text_int64(eio_str(before), 0, INT64_MAX, &list->before)) return 0;
    return kit_fail(&request->op.failure, 400, "/before", "must be the `next` of an answer");
}

static void clear_list(struct kit_request *request)
{
    const struct list *list = KIT_REQUEST(list, request);
    free(list->query);
}

/* Each word of the query begins one of the text's; both are as knowledge_fold_words() makes them. */
static bool has_words(const char *text, const char *query)
{
    char word[QUERY_MAX + 2];
    while (*query) {
        size_t n = 1 + strcspn(query + 1, " ");
        if (n >= sizeof word) return false; /* longer when folded, which no title is */
        memcpy(word, query, n);
        word[n] = 0;
        if (!strstr(text, word)) return false;
        query += n;
    }
    return true;
}

/* Whether the row is asked for: 1 or 0; -1: out of memory. */
static int fits(const struct list *list, const struct kit_rows *row)
{
    struct knowledge_text text = {NULL, 0, 0, false};
    if (!list->query) return 1;
    for (int column = 0; column < 3; column++) { /* of COLUMNS: id, title, topic */
        knowledge_text_put(&text, kit_rows_text(row, column));
        knowledge_text_put(&text, " ");
    }
    char *folded = text.failed ? NULL : knowledge_fold_words(text.p);
    int is_wanted = folded ? has_words(folded, list->query) : -1;
    free(folded);
    knowledge_text_clear(&text);
    return is_wanted;
}

/* Puts those of the next rows that are asked for, up to the page's end and the first behind it; *looked: how many rows
 * there were. */
static int add_rows(struct kit_db *db, struct list *list, int64_t most, int64_t *looked)
{
    struct sio_builder *json = &list->request.json;
    struct kit_failure *failure = &list->request.op.failure;
    struct kit_rows rows;
    int is_wanted = 0;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT " COLUMNS BESIDE " FROM documents d" JOINS " WHERE d.id < ? ORDER BY d.id DESC LIMIT ?",
        "ii", list->at, most);
    *looked = 0;
    for (; step == KIT_ROW && is_wanted >= 0; step = kit_rows_next(&rows)) {
        is_wanted = fits(list, &rows);
        list->has_more = is_wanted > 0 && list->count == list->limit;
        if (list->has_more) break; /* the next page begins with it */
        list->at = kit_rows_int(&rows, 8);
        ++*looked;
        if (is_wanted <= 0) continue;
        if (list->count++) sio_builder_put(json, ",");
        put_document(json, &rows);
        sio_builder_put(json, "}");
    }
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    kit_rows_end(&rows);
    return is_wanted < 0 ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}

static int has_more(struct kit_db *db, const struct list *list, bool *has)
{
    struct kit_rows row;
    enum kit_step step = kit_db_query(db, &row, "SELECT id FROM documents WHERE id < ? LIMIT 1", "i", list->at);
    *has = step == KIT_ROW;
    kit_rows_end(&row);
    return step == KIT_FAILED ? KIT_FAILED : 0;
}

static int run_list(struct kit_db *db, struct kit_request *request)
{
    struct list *list = KIT_REQUEST(list, request);
    struct sio_builder *json = &request->json;
    int64_t looked = 1;
    bool more = false;
    int code = 0;
    list->at = list->before;
    sio_builder_put(json, ",\"documents\":[");
    for (int64_t all = 0; !code && looked && !list->has_more && all < LOOK_MAX; all += looked)
        code = add_rows(db, list, list->query ? LOOK_STEP : list->limit + 1, &looked);
    sio_builder_put(json, "]");
    if (!code && looked && !list->has_more && has_more(db, list, &more)) code = kit_db_fail(db, &request->op.failure);
    if (!code && (more || list->has_more)) put_field(json, "next", kit_number(list->at).text);
    return code;
}

/* -------------------------------------------------------------------- read */

/* What calls taught: words, pairs of neighbours, concepts of the glossary, the most frequent first. */
static int put_learned(struct kit_db *db, const char *doc_id, struct sio_builder *json, struct kit_failure *failure)
{
    static const char *const kinds[] = {"word", "pair", "concept"};
    struct kit_rows rows;
    size_t count = 0;
    enum kit_step step =
        kit_db_query(db, &rows, "SELECT feature, n FROM learned WHERE doc_id=? ORDER BY n DESC, feature LIMIT ?", "ti",
                     doc_id, (int64_t)LEARNED_MAX);
    sio_builder_put(json, ",\"learned\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        const char *feature = kit_rows_text(&rows, 0);
        const char *kind = kinds[feature[0] == 'p' ? 1 : feature[0] == 'c' ? 2 : 0];
        sio_builder_put(json, count++ ? ",{\"kind\":" : "{\"kind\":");
        kit_put_text(json, kind);
        put_field(json, "text", feature + 1);
        put_calls(json, "calls", kit_rows_int(&rows, 1));
        sio_builder_put(json, "}");
    }
    sio_builder_put(json, "]");
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

static int run_read(struct kit_db *db, struct kit_request *request)
{
    struct sio_builder *json = &request->json;
    struct kit_failure *failure = &request->op.failure;
    struct kit_rows row;
    enum kit_step step = kit_db_query(
        db, &row, "SELECT " COLUMNS BESIDE ", d.text FROM documents d" JOINS " WHERE d.doc_id=?", "t", request->about);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/doc_id", "document not found");
    sio_builder_put(json, ",\"document\":");
    put_document(json, &row);
    put_field(json, "text", kit_rows_text(&row, 9));
    kit_rows_end(&row);
    int code = put_learned(db, request->about, json, failure);
    if (!code) code = knowledge_put_phrases(db, request->about, json, failure);
    sio_builder_put(json, "}");
    return code;
}

/* ------------------------------------------------------------------- write */

struct edit {
    struct kit_request request;
    char doc_id[KIT_ID_SIZE];   /* "": a new one, which gets its id here */
    char *title, *topic, *text; /* NULL: as it was */
};

static char *copy_field(const json_t *payload, const char *name, bool *failed)
{
    const json_t *field = json_object_get(payload, name);
    char *copy = field ? strdup(json_string_value(field)) : NULL;
    *failed |= field && !copy;
    return copy;
}

static int read_edit(struct kit_request *request, const json_t *payload)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    bool failed = false;
    kit_copy_text(edit->doc_id, sizeof edit->doc_id, payload, "doc_id");
    edit->title = copy_field(payload, "title", &failed);
    edit->topic = copy_field(payload, "topic", &failed);
    edit->text = copy_field(payload, "text", &failed);
    return failed ? kit_fail(&request->op.failure, 503, NULL, "out of memory") : 0;
}

static void clear_edit(struct kit_request *request)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    free(edit->title);
    free(edit->topic);
    free(edit->text);
}

static int run_edit(struct kit_db *db, struct kit_request *request)
{
    const struct edit *edit = KIT_REQUEST(edit, request);
    struct kit_failure *failure = &request->op.failure;
    int64_t count = kit_db_change(db,
                                  "UPDATE documents SET title=coalesce(?1, title), topic=coalesce(?2, topic),"
                                  " text=coalesce(?3, text) WHERE doc_id=?4",
                                  "tttt", edit->title, edit->topic, edit->text, edit->doc_id);
    if (count < 0) return kit_db_fail(db, failure);
    if (!count) return kit_fail(failure, 404, "/doc_id", "document not found");
    return knowledge_note_change(db, failure);
}

/* An id that no document has or had: by the title, with a number if need be. */
static int choose_id(struct kit_db *db, const struct edit *edit, char id[KIT_ID_SIZE], struct kit_failure *failure)
{
    char slug[KNOWLEDGE_SLUG_SIZE];
    knowledge_slug(eio_str("kb"), eio_str(edit->title), slug);
    for (int n = 1; n < 10000; n++) {
        struct kit_rows row;
        snprintf(id, KIT_ID_SIZE, n > 1 ? "%s.%d" : "%s", slug, n);
        enum kit_step step = kit_db_query(db, &row, "SELECT 1 FROM document_ids WHERE doc_id=?", "t", id);
        kit_rows_end(&row);
        if (step == KIT_FAILED) return kit_db_fail(db, failure);
        if (step == KIT_DONE) return 0;
    }
    return kit_fail(failure, 409, "/title", "too many documents have this title");
}

static int run_create(struct kit_db *db, struct kit_request *request)
{
    struct edit *edit = KIT_REQUEST(edit, request);
    struct kit_failure *failure = &request->op.failure;
    char hash[KNOWLEDGE_HASH_SIZE];
    if (!edit->title || !edit->text) return kit_fail(failure, 400, edit->title ? "/text" : "/title", "is required");
    int code = choose_id(db, edit, edit->doc_id, failure);
    if (code) return code;
    knowledge_hash(edit->text, strlen(edit->text), hash);
    if (kit_db_run(db, "INSERT INTO document_ids(doc_id, source, heading, text_hash, position) VALUES (?,?,?,?,0)",
                   "tttt", edit->doc_id, SOURCE, edit->title, hash) ||
        kit_db_run(db, "INSERT INTO documents(doc_id, source, topic, title, text) VALUES (?,?,?,?,?)", "ttttt",
                   edit->doc_id, SOURCE, edit->topic ? edit->topic : edit->title, edit->title, edit->text))
        return kit_db_fail(db, failure);
    return knowledge_note_change(db, failure);
}

static void reply_edit(struct kit_request *request)
{
    put_field(&request->json, "doc_id", KIT_REQUEST(edit, request)->doc_id);
}

static void reply_create(struct kit_request *request)
{
    request->status = 201;
    reply_edit(request);
}

/* ------------------------------------------------------------------ delete */

/* The id is kept for the document's return, as when a file loses a section. */
static int run_delete(struct kit_db *db, struct kit_request *request)
{
    struct kit_failure *failure = &request->op.failure;
    int64_t count = kit_db_change(db, "DELETE FROM documents WHERE doc_id=?", "t", request->about);
    if (count < 0) return kit_db_fail(db, failure);
    if (!count) return kit_fail(failure, 404, NULL, "document not found");
    if (kit_db_run(db, "UPDATE document_ids SET position=NULL WHERE doc_id=?", "t", request->about))
        return kit_db_fail(db, failure);
    return knowledge_note_change(db, failure);
}

static void reply_delete(struct kit_request *request)
{
    put_field(&request->json, "doc_id", request->about);
}

/* ------------------------------------------------------------------- shown */

int knowledge_note_shown(struct kit_db *db, const struct knowledge_result *results, size_t count,
                         struct kit_failure *failure)
{
    for (size_t i = 0; i < count; i++)
        if (kit_db_run(db,
                       "INSERT INTO document_shown(doc_id, n) VALUES (?,1)"
                       " ON CONFLICT(doc_id) DO UPDATE SET n = document_shown.n + 1",
                       "t", results[i].id))
            return kit_db_fail(db, failure);
    return 0;
}

int knowledge_http_start(struct kit *kit)
{
    static const struct kit_event events[] = {
        {.name = "doc:list",
         .size = sizeof(struct list),
         .way = KIT_READ,
         .roles = READERS,
         .read = read_list,
         .run = run_list,
         .clear = clear_list,
         .method = EIO_HTTP_GET,
         .path = DOCUMENTS_PATH},
        {.size = sizeof(struct kit_request),
         .way = KIT_READ,
         .roles = READERS,
         .about = "doc_id",
         .run = run_read,
         .method = EIO_HTTP_GET,
         .path = DOCUMENTS_PATH "/{doc_id}"},
        {.name = "doc:write",
         .size = sizeof(struct edit),
         .way = KIT_WRITE,
         .roles = WRITERS,
         .lock = KNOWLEDGE_LOCK,
         .read = read_edit,
         .run = run_create,
         .reply = reply_create,
         .clear = clear_edit,
         .method = EIO_HTTP_POST,
         .path = DOCUMENTS_PATH},
        {.name = "doc:write",
         .size = sizeof(struct edit),
         .way = KIT_WRITE,
         .roles = WRITERS,
         .about = "doc_id",
         .lock = KNOWLEDGE_LOCK,
         .read = read_edit,
         .run = run_edit,
         .reply = reply_edit,
         .clear = clear_edit,
         .method = EIO_HTTP_POST,
         .path = DOCUMENTS_PATH "/{doc_id}"},
        {.size = sizeof(struct kit_request),
         .way = KIT_WRITE,
         .roles = WRITERS,
         .about = "doc_id",
         .lock = KNOWLEDGE_LOCK,
         .run = run_delete,
         .reply = reply_delete,
         .method = EIO_HTTP_DELETE,
         .path = DOCUMENTS_PATH "/{doc_id}"},
    };
    return kit_open_paths(kit, events, sizeof events / sizeof events[0], NULL);
}
