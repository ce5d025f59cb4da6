/* What session.init says of a chat: the tree, the turn that runs as far as it is, the open questions. On a thread. */
#include "chat_pieces.h"
#include "chat_tree.h"
#include "chat_turn_store.h"

#include <stdlib.h>
#include <string.h>

static void put_field(struct sio_builder *out, const char *name, const char *text)
{
    sio_builder_put(out, ",");
    kit_put_text(out, name);
    sio_builder_put(out, ":");
    kit_put_text(out, text);
}

static void put_number(struct sio_builder *out, const char *name, int64_t value)
{
    sio_builder_put(out, ",");
    kit_put_text(out, name);
    sio_builder_put(out, ":");
    kit_put_int(out, value);
}

static int put_tree(struct kit_db *db, const struct chat_row *row, struct sio_builder *out, struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT tree FROM chats WHERE id=?", "i", row->key) != KIT_ROW)
        return kit_db_fail(db, failure);
    const char *tree = kit_rows_text(&rows, 0);
    sio_builder_put(out, ",\"initial_tree\":");
    sio_builder_put(out, tree && *tree ? tree : CHAT_TREE_EMPTY);
    kit_rows_end(&rows);
    put_number(out, "tree_version", row->tree_version);
    return 0;
}

static int put_history_count(struct kit_db *db, const struct chat_row *row, struct sio_builder *out,
                             struct kit_failure *failure)
{
    struct kit_rows rows;
    if (kit_db_query(db, &rows, "SELECT count(*) FROM chat_history WHERE chat=?", "i", row->key) != KIT_ROW)
        return kit_db_fail(db, failure);
    put_number(out, "history_count", kit_rows_int(&rows, 0));
    kit_rows_end(&rows);
    return 0;
}

/* ------------------------------------------------------------ a turn so far */

struct so_far {
    const struct chat_turn_row *turn;
    struct sio_builder text; /* what was streamed */
    json_t *thinking, *tools;
};

static void add_text(struct sio_builder *text, const json_t *payload)
{
    sio_builder_put(text, json_string_value(json_object_get(payload, "content")));
}

static void end_tool(json_t *tools, const char *call_id)
{
    size_t i;
    json_t *tool;
    json_array_foreach(tools, i, tool)
    {
        const char *own = json_string_value(json_object_get(tool, "call_id"));
        if (!own || !call_id || strcmp(own, call_id)) continue;
        json_array_remove(tools, i);
        return;
    }
}

static void add_entry(struct so_far *so_far, const char *type, json_t *payload)
{
    if (!strcmp(type, "chat.token")) add_text(&so_far->text, payload);
    if (!strcmp(type, "chat.thinking")) json_array_append(so_far->thinking, json_object_get(payload, "step"));
    if (!strcmp(type, "tool.start")) json_array_append(so_far->tools, payload);
    if (!strcmp(type, "tool.end")) end_tool(so_far->tools, json_string_value(json_object_get(payload, "call_id")));
}

static void add_row(struct so_far *so_far, const struct kit_rows *row)
{
    struct chat_run_walk walk;
    struct eio_str fields;
    const char *type = kit_rows_text(row, 0), *event = strcmp(type, CHAT_RUN) ? type : CHAT_TOKEN;
    chat_run_open(&walk, type, 0, kit_rows_bytes(row, 1));
    while (chat_run_each(&walk, &fields)) {
        json_t *payload = chat_parse_fields(fields);
        add_entry(so_far, event, payload);
        json_decref(payload);
    }
}

static bool add_piece(void *ctx, const struct chat_piece_line *line)
{
    struct so_far *so_far = ctx;
    const char *ref_id = so_far->turn->ref_id;
    bool is_own = line->attempt == so_far->turn->attempt && line->ref_id.n == strlen(ref_id) &&
                  !memcmp(line->ref_id.p, ref_id, line->ref_id.n);
    json_t *payload = is_own ? chat_parse_fields(line->fields) : NULL;
    if (payload) add_entry(so_far, CHAT_TOKEN, payload);
    json_decref(payload);
    return true;
}

/* Those that are not in the log yet. */
static int read_pieces(struct kit_db *db, int64_t chat_key, struct so_far *so_far, struct kit_failure *failure)
{
    struct kit_rows row;
    char owner[64] = "";
    enum kit_step step = kit_db_query(db, &row, "SELECT seq, pieces FROM chats WHERE id=?", "i", chat_key);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return 0;
    int64_t after_seq = kit_rows_int(&row, 0);
    snprintf(owner, sizeof owner, "%s", kit_rows_text(&row, 1));
    kit_rows_end(&row);
    return chat_pieces_each(db, owner, chat_key, after_seq, add_piece, so_far, failure);
}

static int read_so_far(struct kit_db *db, int64_t chat_key, const struct chat_turn_row *turn, struct so_far *so_far,
                       struct kit_failure *failure)
{
    struct kit_rows rows;
    enum kit_step step = kit_db_query(db, &rows,
                                      "SELECT type, payload FROM chat_log WHERE chat=? AND seq>=? AND ref_id=? AND"
                                      " attempt=? AND type IN ('chat.token','chat.tokens','chat.thinking','tool.start',"
                                      "'tool.end')"
                                      " ORDER BY seq",
                                      "iiti", chat_key, turn->first_seq, turn->ref_id, turn->attempt);
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) add_row(so_far, &rows);
    return step == KIT_FAILED ? kit_db_fail(db, failure) : read_pieces(db, chat_key, so_far, failure);
}

static void begin_so_far(struct so_far *so_far, const struct chat_turn_row *turn)
{
    so_far->turn = turn;
    sio_builder_init(&so_far->text);
    sio_builder_open(&so_far->text);
    so_far->thinking = json_array();
    so_far->tools = json_array();
}

static void clear_so_far(struct so_far *so_far)
{
    sio_builder_clear(&so_far->text);
    json_decref(so_far->thinking);
    json_decref(so_far->tools);
}

int chat_turn_read_text(struct kit_db *db, int64_t chat_key, const struct chat_turn_row *turn, char **text,
                        struct kit_failure *failure)
{
    struct so_far so_far;
    begin_so_far(&so_far, turn);
    int code = read_so_far(db, chat_key, turn, &so_far, failure);
    *text = code ? NULL : strndup(so_far.text.json ? so_far.text.json : "", so_far.text.size);
    clear_so_far(&so_far);
    return code || *text ? code : kit_fail(failure, 503, NULL, "out of memory");
}

static int put_running(struct kit_db *db, const struct chat_row *row, struct sio_builder *out,
                       struct kit_failure *failure)
{
    struct so_far so_far;
    struct chat_turn_row turn;
    bool found;
    int code = chat_turn_find_open(db, row->key, &turn, &found, failure);
    if (code || !found) return code;
    begin_so_far(&so_far, &turn);
    code = read_so_far(db, row->key, &turn, &so_far, failure);
    char *thinking = json_dumps(so_far.thinking, JSON_COMPACT), *tools = json_dumps(so_far.tools, JSON_COMPACT);
    sio_builder_put(out, ",\"running\":{\"ref_id\":");
    kit_put_text(out, turn.ref_id);
    put_number(out, "attempt", turn.attempt);
    put_number(out, "since_seq", turn.first_seq);
    sio_builder_put(out, ",\"text\":");
    sio_builder_put_text(out, so_far.text.json ? so_far.text.json : "", so_far.text.size);
    sio_builder_put(out, ",\"thinking\":");
    sio_builder_put(out, thinking ? thinking : "[]");
    sio_builder_put(out, ",\"tools\":");
    sio_builder_put(out, tools ? tools : "[]");
    sio_builder_put(out, "}");
    free(thinking);
    free(tools);
    clear_so_far(&so_far);
    return code;
}

static int put_pending(struct kit_db *db, const struct chat_row *row, struct sio_builder *out,
                       struct kit_failure *failure)
{
    struct kit_rows rows;
    size_t count = 0;
    enum kit_step step = kit_db_query(
        db, &rows, "SELECT question FROM chat_elicitations WHERE chat=? AND state='open' ORDER BY id", "i", row->key);
    sio_builder_put(out, ",\"pending\":[");
    for (; step == KIT_ROW; step = kit_rows_next(&rows)) {
        if (count++) sio_builder_put(out, ",");
        sio_builder_put(out, kit_rows_text(&rows, 0));
    }
    sio_builder_put(out, "]");
    return step == KIT_FAILED ? kit_db_fail(db, failure) : 0;
}

int chat_snapshot(struct kit_db *db, const struct chat_row *row, struct sio_builder *out, struct kit_failure *failure)
{
    if (row->time_zone[0]) put_field(out, "time_zone", row->time_zone);
    put_field(out, "session_id", row->session_id[0] ? row->session_id : CHAT_SESSION_CLOSED);
    put_field(out, "chat_id", row->chat_id);
    if (row->intent_id[0]) put_field(out, "intent_id", row->intent_id);
    put_field(out, "title", row->title);
    put_field(out, "assistant", row->assistant);
    sio_builder_put(out, row->is_owner ? ",\"is_owner\":true" : ",\"is_owner\":false");
    if (row->taken_by[0]) put_field(out, "taken_by", row->taken_by);
    int code = put_tree(db, row, out, failure);
    if (!code) code = put_history_count(db, row, out, failure);
    put_number(out, "seq", row->seq);
    if (!code) code = put_running(db, row, out, failure);
    if (!code) code = put_pending(db, row, out, failure);
    if (code) return code;
    return out->error ? kit_fail(failure, 503, NULL, "out of memory") : 0;
}
