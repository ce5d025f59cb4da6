/* Chats in the store: looking them up, and who may. */
#include "chat_int.h"
#include "chat_pieces.h"

#include <sodium.h>
#include <string.h>

#define ID_LETTERS 22

void chat_make_id(char id[KIT_ID_SIZE], const char *prefix)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    uint32_t random[ID_LETTERS]; /* all in one call of the system; of 2^32 no letter has a share that is felt */
    size_t n = (size_t)snprintf(id, KIT_ID_SIZE - ID_LETTERS, "%s", prefix);
    randombytes_buf(random, sizeof random);
    for (size_t i = 0; i < ID_LETTERS; i++) id[n++] = letters[random[i] % (sizeof letters - 1)];
    id[n] = 0;
}

static void copy_column(char *out, size_t size, const struct kit_rows *rows, int column)
{
    const char *text = kit_rows_text(rows, column);
    snprintf(out, size, "%s", text ? text : "");
}

static void take_row(const struct kit_rows *rows, struct chat_row *row)
{
    row->key = kit_rows_int(rows, 0);
    copy_column(row->user, sizeof row->user, rows, 1);
    copy_column(row->tenant, sizeof row->tenant, rows, 2);
    copy_column(row->assistant, sizeof row->assistant, rows, 3);
    copy_column(row->title, sizeof row->title, rows, 4);
    copy_column(row->session_id, sizeof row->session_id, rows, 5);
    copy_column(row->intent_id, sizeof row->intent_id, rows, 6);
    copy_column(row->intent_state, sizeof row->intent_state, rows, 7);
    copy_column(row->taken_by, sizeof row->taken_by, rows, 8);
    row->seq = kit_rows_int(rows, 9);
    row->log_bytes = kit_rows_int(rows, 10);
    row->created_ms = kit_rows_int(rows, 11);
    row->updated_ms = kit_rows_int(rows, 12);
    row->tree_version = kit_rows_int(rows, 13);
    copy_column(row->chat_id, sizeof row->chat_id, rows, 14);
    copy_column(row->time_zone, sizeof row->time_zone, rows, 15);
    copy_column(row->pieces, sizeof row->pieces, rows, 16);
}

int chat_read_row(struct kit_db *db, int64_t key, struct chat_row *row, struct kit_failure *failure)
{
    struct kit_rows rows;
    memset(row, 0, sizeof *row);
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT id, user_id, tenant, assistant, title, session_id, intent_id,"
                                      " intent_state, taken_by, seq, log_bytes, created_ms, updated_ms, tree_version,"
                                      " chat_id, time_zone, pieces FROM chats WHERE id=?",
                                      "i", key);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return kit_fail(failure, 404, "/chat_id", "chat not found");
    take_row(&rows, row);
    kit_rows_end(&rows);
    return chat_pieces_last(db, row->pieces, key, &row->seq, failure);
}

/* A client's database may be newer than this server's: nobody is kept out by that. */
void chat_read_zone(const json_t *payload, char zone[KIT_ZONE_SIZE])
{
    const char *name = json_string_value(json_object_get(payload, "time_zone"));
    snprintf(zone, KIT_ZONE_SIZE, "%s", name && kit_zone_is_known(name) ? name : "");
}

int chat_set_zone(struct kit_db *db, struct chat_row *row, const char *zone, struct kit_failure *failure)
{
    if (!row->is_owner || !*zone || !strcmp(row->time_zone, zone)) return 0;
    snprintf(row->time_zone, sizeof row->time_zone, "%s", zone);
    if (kit_db_run(db, "UPDATE chats SET time_zone=? WHERE id=?", "ti", zone, row->key))
        return kit_db_fail(db, failure);
    return 0;
}

int chat_find_key(struct kit_db *db, const char *chat_id, int64_t *key, struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows, "SELECT id FROM chats WHERE chat_id=?", "t", chat_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    *key = step == KIT_ROW ? kit_rows_int(&rows, 0) : 0;
    kit_rows_end(&rows);
    return 0;
}

int chat_find(struct kit_db *db, const struct kit_claims *claims, const char *chat_id, enum chat_right right,
              struct chat_row *row, struct kit_failure *failure)
{
    int64_t key = 0;
    int code = chat_find_key(db, chat_id, &key, failure);
    memset(row, 0, sizeof *row);
    if (!code && key) code = chat_read_row(db, key, row, failure);
    if (code) return code;
    bool is_of_tenant = key && !strcmp(row->tenant, claims->tenant);
    row->is_owner = is_of_tenant && !strcmp(row->user, claims->sub);
    /* Whether another's chat exists is not for others to know. */
    if (!row->is_owner && !(is_of_tenant && kit_claims_allow_chat(claims, chat_id)))
        return kit_fail(failure, 404, "/chat_id", "chat not found");
    if (right == CHAT_OWN && !row->is_owner) return kit_fail(failure, 403, "/chat_id", "you may only watch this chat");
    return 0;
}
