/* Documents over HTTP: DELETE /api/v1/documents/{doc_id}. */
#include "kit_request.h"
#include "knowledge_int.h"

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
    sio_builder_put(&request->json, ",\"doc_id\":");
    kit_put_text(&request->json, request->about);
}

int knowledge_http_start(struct kit *kit)
{
    static const struct kit_event events[] = {
        {.size = sizeof(struct kit_request),
         .way = KIT_WRITE,
         .roles = KIT_ROLE_ADMIN | KIT_ROLE_SUPERVISOR,
         .about = "doc_id",
         .run = run_delete,
         .reply = reply_delete,
         .method = EIO_HTTP_DELETE,
         .path = "/api/v1/documents/{doc_id}"},
    };
    return kit_open_paths(kit, events, sizeof events / sizeof events[0], NULL);
}
