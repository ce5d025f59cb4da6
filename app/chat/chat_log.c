/* The log: what is appended, and how it is numbered and stored. Sending is chat_room.c's. */
#include "chat_int.h"
#include "chat_pieces.h"

#include <stdlib.h>
#include <string.h>

void chat_batch_init(struct chat_batch *batch, const char *chat_id)
{
    memset(batch, 0, sizeof *batch);
    snprintf(batch->chat_id, sizeof batch->chat_id, "%s", chat_id);
}

static void drop_items(struct chat_batch *batch, size_t from)
{
    for (size_t i = from; i < batch->count; i++) free(batch->items[i].fields);
    batch->count = from;
}

void chat_batch_clear(struct chat_batch *batch)
{
    drop_items(batch, 0);
    free(batch->items);
    memset(batch, 0, sizeof *batch);
}

void chat_batch_set_ref(struct chat_batch *batch, const char *ref_id, int64_t attempt)
{
    snprintf(batch->ref_id, sizeof batch->ref_id, "%s", ref_id);
    batch->attempt = attempt;
}

json_t *chat_parse_fields(struct eio_str fields)
{
    char *text = fields.p ? malloc(fields.n + 1) : NULL;
    if (!text) return NULL;
    memcpy(text, fields.p, fields.n);
    text[fields.n] = '}';
    json_t *payload = json_loadb(text, fields.n + 1, 0, NULL);
    free(text);
    return payload;
}

/* Takes the text, an object without its closing brace. */
static void add_item(struct chat_batch *batch, const char *event, char *take_fields, size_t size)
{
    if (batch->count == batch->capacity) {
        size_t capacity = batch->capacity ? batch->capacity * 2 : 4;
        struct chat_item *items = realloc(batch->items, capacity * sizeof *items);
        if (!items) take_fields = (free(take_fields), NULL);
        if (items) batch->items = items, batch->capacity = capacity;
    }
    if (!take_fields) {
        batch->error = EIO_ENOMEM;
        return;
    }
    struct chat_item *item = &batch->items[batch->count++];
    *item = (struct chat_item){.fields = take_fields, .size = size, .attempt = batch->attempt};
    snprintf(item->event, sizeof item->event, "%s", event);
    memcpy(item->ref_id, batch->ref_id, sizeof item->ref_id);
}

void chat_batch_append(struct chat_batch *batch, struct chat_batch *from)
{
    for (size_t i = 0; i < from->count; i++) {
        struct chat_item *item = &from->items[i];
        struct chat_item *added;
        size_t count = batch->count;
        add_item(batch, item->event, item->fields, item->size);
        if (batch->count == count) continue;
        added = &batch->items[count];
        memcpy(added->ref_id, item->ref_id, sizeof added->ref_id);
        added->attempt = item->attempt;
    }
    batch->error = batch->error ? batch->error : from->error;
    from->count = 0;
    chat_batch_clear(from);
}

void chat_batch_mark(struct chat_batch *batch)
{
    batch->marked = batch->count;
}

void chat_batch_rewind(struct chat_batch *batch)
{
    drop_items(batch, batch->marked);
}

static void put_ref(const struct chat_batch *batch, struct sio_builder *json)
{
    if (!batch->ref_id[0]) return;
    sio_builder_put(json, ",\"ref_id\":");
    kit_put_text(json, batch->ref_id);
    if (batch->attempt <= 1) return;
    sio_builder_put(json, ",\"attempt\":");
    kit_put_int(json, batch->attempt);
}

static void put_fields(const struct chat_batch *batch, struct sio_builder *json, const char *name, struct eio_str text)
{
    sio_builder_put(json, "{");
    sio_builder_put_text(json, name, strlen(name));
    sio_builder_put(json, ":");
    sio_builder_put_text(json, text.p ? text.p : "", text.n);
    put_ref(batch, json);
}

void chat_batch_put_said(const struct chat_batch *batch, struct sio_builder *json, struct eio_str text)
{
    put_fields(batch, json, "content", text);
}

void chat_batch_add_said(struct chat_batch *batch, struct eio_str fields)
{
    char *copy = malloc(fields.n + 1);
    if (copy) memcpy(copy, fields.p, fields.n);
    if (copy) copy[fields.n] = 0;
    add_item(batch, CHAT_TOKEN, copy, fields.n);
}

/* Takes over what was built. */
static void add_built(struct chat_batch *batch, const char *event, struct sio_builder *json)
{
    char *text = json->error ? NULL : malloc(json->size + 1);
    if (text) memcpy(text, json->json, json->size);
    if (text) text[json->size] = 0;
    add_item(batch, event, text, json->size);
    sio_builder_clear(json);
}

void chat_batch_add_fields(struct chat_batch *batch, const char *event, struct eio_str fields)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put_slice(&json, sio_args_none(), fields);
    put_ref(batch, &json);
    add_built(batch, event, &json);
}

void chat_batch_add(struct chat_batch *batch, const char *event, json_t *take_payload)
{
    char *text = take_payload ? json_dumps(take_payload, JSON_COMPACT) : NULL;
    size_t size = text ? strlen(text) : 0;
    json_decref(take_payload);
    if (size < 3)
        batch->error = EIO_ENOMEM;
    else
        chat_batch_add_fields(batch, event, (struct eio_str){text, size - 1});
    free(text);
}

void chat_batch_add_text(struct chat_batch *batch, const char *event, const char *name, struct eio_str text)
{
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_open(&json);
    put_fields(batch, &json, name, text);
    add_built(batch, event, &json);
}

/* ------------------------------------------------------------------- store */

/* By both: on SQLite the key of a chat that was deleted meanwhile may be another's. */
static int take_numbers(struct kit_db *db, int64_t chat_key, const struct chat_batch *batch, int64_t *first,
                        struct kit_failure *failure)
{
    struct kit_rows row;
    int64_t bytes = 0;
    for (size_t i = 0; i < batch->count; i++) bytes += (int64_t)batch->items[i].size;
    char owner[64] = "";
    enum kit_step step = kit_db_query(
        db, &row,
        "UPDATE chats SET seq = seq + ?, log_bytes = log_bytes + ? WHERE id=? AND chat_id=? RETURNING seq, pieces",
        "iiit", (int64_t)batch->count, bytes, chat_key, batch->chat_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/chat_id", "chat not found");
    *first = kit_rows_int(&row, 0) - (int64_t)batch->count + 1;
    snprintf(owner, sizeof owner, "%s", kit_rows_text(&row, 1));
    kit_rows_end(&row);
    if (!owner[0]) return 0;
    struct chat_settle settle = {.owner = owner, .chat_key = chat_key, .after_seq = *first - 1, .tells = true};
    int code = chat_pieces_settle(db, &settle, failure);
    *first += settle.count;
    return code;
}

int chat_batch_write(struct kit_db *db, int64_t chat_key, struct chat_batch *batch, struct kit_failure *failure)
{
    int64_t seq = 0;
    if (batch->error) return kit_fail(failure, 503, NULL, "out of memory");
    int code = batch->count ? take_numbers(db, chat_key, batch, &seq, failure) : 0;
    for (size_t i = 0; i < batch->count && !code; i++, seq++) {
        const struct chat_item *item = &batch->items[i];
        batch->last_seq = seq;
        if (kit_db_run(db, "INSERT INTO chat_log(chat, seq, ref_id, attempt, type, payload) VALUES (?, ?, ?, ?, ?, ?)",
                       "iititb", chat_key, seq, item->ref_id, item->attempt, item->event, item->fields, item->size))
            code = kit_db_fail(db, failure);
    }
    return code;
}
