/* Documents over HTTP: DELETE /api/v1/documents/{id}. */
#include "kit_answer.h"
#include "kit_auth.h"
#include "kit_http.h"
#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>

#define DOCUMENTS_PATH "/api/v1/documents/"

struct delete_op {
    struct kit_store_op op;
    struct kit *kit;
    struct eio_http_request *request; /* NULL: the client went away */
    struct kit_http_user *user;
    char doc_id[KIT_ID_SIZE];
};

/* The id is kept for the document's return, as when a file loses a section. */
static int run_delete(struct kit_db *db, struct kit_store_op *op)
{
    const struct delete_op *delete = (const struct delete_op *)(void *)op;
    int64_t count = kit_db_change(db, "DELETE FROM documents WHERE doc_id=?", "t", delete->doc_id);
    if (count < 0) return kit_db_fail(db, &op->failure);
    if (!count) return kit_fail(&op->failure, 404, NULL, "document not found");
    if (kit_db_run(db, "UPDATE document_ids SET position=NULL WHERE doc_id=?", "t", delete->doc_id))
        return kit_db_fail(db, &op->failure);
    return knowledge_note_change(db, &op->failure);
}

static void finish(struct delete_op *delete)
{
    struct sio_builder json;
    if (delete->request && delete->op.failure.code) {
        kit_http_reply_failure(delete->kit, delete->request, &delete->op.failure);
    } else if (delete->request) {
        sio_builder_init(&json);
        sio_builder_open(&json);
        sio_builder_put(&json, "{\"ok\":true,\"doc_id\":");
        kit_put_text(&json, delete->doc_id);
        sio_builder_put(&json, "}");
        kit_http_reply_builder(delete->request, 200, &json);
    }
    kit_http_user_unref(delete->kit, delete->user);
    free(delete);
}

static void on_deleted(struct kit_store_op *op)
{
    finish((struct delete_op *)(void *)op);
}

static void on_abort(void *ctx)
{
    ((struct delete_op *)ctx)->request = NULL;
}

/* True with the id of the path's end. */
static bool read_id(struct eio_http_request *request, char doc_id[KIT_ID_SIZE])
{
    struct eio_str path = eio_http_head_path(eio_http_request_head(request));
    size_t prefix = strlen(DOCUMENTS_PATH);
    int n = eio_query_decode((struct eio_str){path.p + prefix, path.n - prefix}, doc_id, KIT_ID_SIZE - 1);
    if (n < 0 || !kit_is_id(doc_id, (size_t)n)) return false;
    doc_id[n] = 0;
    return true;
}

static void submit_delete(struct delete_op *delete)
{
    delete->op.run = run_delete;
    delete->op.done = on_deleted;
    delete->op.writes = true;
    delete->op.source = kit_http_source(delete->user, false);
    eio_http_request_on_abort(delete->request, on_abort, delete);
    if (!kit_store_submit(delete->kit->store, &delete->op, sizeof *delete)) return;
    kit_fail(&delete->op.failure, 503, NULL, "too many writes are queued; try again");
    finish(delete);
}

static void on_document(struct eio_http_request *request, void *ctx)
{
    struct kit *kit = ctx;
    struct kit_failure failure = {0, "", ""};
    char doc_id[KIT_ID_SIZE];
    if (!read_id(request, doc_id)) {
        kit_http_reply_nothing(kit, request);
        return;
    }
    if (!kit_http_method_is(kit, request, EIO_HTTP_DELETE)) return;
    struct kit_claims *claims = kit_http_authorize(kit, request, KIT_ROLE_ADMIN | KIT_ROLE_SUPERVISOR, &failure);
    struct delete_op *delete = claims ? calloc(1, sizeof *delete) : NULL;
    if (delete) *delete = (struct delete_op){.kit = kit, .request = request, .user = kit_http_user_ref(kit, claims)};
    kit_claims_unref(claims);
    if (delete &&delete->user) {
        memcpy(delete->doc_id, doc_id, sizeof doc_id);
        submit_delete(delete);
        return;
    }
    if (!failure.code) kit_fail(&failure, 503, NULL, "out of memory");
    kit_http_reply_failure(kit, request, &failure);
    free(delete);
}

int knowledge_http_start(struct kit *kit)
{
    return eio_http_route(sio_server_http(kit->io), DOCUMENTS_PATH "*", 0, on_document, kit);
}
