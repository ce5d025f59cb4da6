/* Chats that are watched here (chat_room.h). */
#include "chat_room.h"

#include "chat_pieces.h"
#include "kit_audience.h"

#include <stdlib.h>
#include <string.h>

#define ADAPTER_NAME "/chat-log" /* like no namespace, and without the # of channels */
#define END_EVENT "chat:end"     /* between nodes: the chat is deleted */
#define RETRY_MS 10              /* a peer that cannot take more is asked again, */
#define RETRY_MAX_MS 160         /* more and more rarely */
#define CHECK_MS 1000            /* after who listens has changed, or who is reached */

/* An entry that came while listeners of its chat were reading. */
struct kept {
    struct kept *next;
    int64_t seq;
    size_t size;
    char event[CHAT_EVENT_SIZE];
    char payload[];
};

struct chat_room {
    struct rooms_member member;
    struct chat *chat;
    char chat_id[KIT_ID_SIZE];
    unsigned holds;
    struct chat_listener *listeners;
    size_t reading_count;
    int64_t last_seq; /* the highest that is known to be there */
    struct kept *kept, **kept_last;
    size_t kept_count, kept_bytes;
    struct eio_timer check; /* whether something was lost on the way */
    bool is_checking;
    UT_hash_handle hh;
};

struct chat_rooms {
    struct chat *chat;
    struct chat_room *by_id;
    struct kit_audience audience;
    bool is_stopping;
};

/* A page of a log, read for one listener. */
struct chat_reading {
    struct kit_store_op op;
    struct chat *chat;
    struct chat_listener *listener; /* NULL: it is gone */
    char chat_id[KIT_ID_SIZE];
    int64_t since_seq;
    struct sio_builder json; /* the payloads, one behind another */
    struct page_entry {
        char event[CHAT_EVENT_SIZE];
        int64_t seq;
        size_t at, size;
    } * entries;
    size_t count, capacity, given;
    bool has_more;
    struct eio_timer retry;
    uint32_t retry_ms;
};

/* ---------------------------------------------------------------- sending */

static unsigned want_of(const char *event)
{
    if (!strcmp(event, "debug")) return CHAT_WANT_DEBUG;
    return strcmp(event, "chat.reasoning") ? 0 : CHAT_WANT_REASONING;
}

/* Sends the array ["event",{…}] to the chat's room. */
static void broadcast(struct chat *chat, const char *chat_id, const struct sio_builder *json)
{
    char name[CHAT_ROOM_SIZE];
    struct chat_rooms *rooms = chat->rooms;
    snprintf(name, sizeof name, CHAT_ROOM "%s", chat_id);
    if (json->error)
        kit_log(EIO_LOG_ERROR, "out of memory: an entry of a chat is not sent, and will be read", "chat", chat_id,
                NULL);
    else
        kit_audience_send(&rooms->audience, name, json);
}

static void begin_message(struct sio_builder *json, const char *event)
{
    sio_builder_init(json);
    sio_builder_open(json);
    sio_builder_put(json, "[");
    kit_put_text(json, event);
    sio_builder_put(json, ",");
}

static void put_item(struct sio_builder *json, const char *chat_id, int64_t seq)
{
    sio_builder_put(json, ",\"chat_id\":");
    kit_put_text(json, chat_id);
    sio_builder_put(json, ",\"seq\":");
    kit_put_int(json, seq);
    sio_builder_put(json, "}");
}

void chat_send_aside(struct chat *chat, const char *chat_id, enum chat_want want, json_t *take_payload)
{
    struct sio_builder json;
    char *text = take_payload ? json_dumps(take_payload, JSON_COMPACT) : NULL;
    begin_message(&json, want == CHAT_WANT_DEBUG ? "debug" : "chat.reasoning");
    sio_builder_put(&json, text ? text : "{}");
    sio_builder_put(&json, "]");
    if (text) broadcast(chat, chat_id, &json);
    sio_builder_clear(&json);
    free(text);
    json_decref(take_payload);
}

void chat_send_end(struct chat *chat, const char *chat_id)
{
    struct sio_builder json;
    begin_message(&json, END_EVENT);
    sio_builder_put(&json, "{}]");
    broadcast(chat, chat_id, &json);
    sio_builder_clear(&json);
}

/* ----------------------------------------------------------------- giving */

/* A copy of the payload without its patch, which is for those who asked for it. NULL: as it is. */
static char *without_patch(const struct chat_entry *entry, unsigned want)
{
    if ((want & CHAT_WANT_PATCH) || strcmp(entry->event, "tree.update")) return NULL;
    json_t *payload = json_loadb(entry->payload.p, entry->payload.n, 0, NULL);
    json_object_del(payload, "patch");
    char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
    json_decref(payload);
    return text;
}

static void give_entry(struct chat_listener *listener, const struct chat_entry *entry)
{
    char *text = without_patch(entry, listener->want);
    struct chat_entry own = *entry;
    if (text) own.payload = eio_str(text);
    if (entry->seq) listener->sent = entry->seq;
    listener->peer->ops->on_entry(listener->peer, &own);
    free(text);
}

/* Sockets that get the same are sent it together. */
#define TOGETHER_MAX 64
struct together {
    struct rooms_name names[TOGETHER_MAX];
    size_t count;
};

static void send_together(struct chat *chat, struct together *sockets, const struct chat_entry *entry)
{
    struct sio_args args = {entry->payload, NULL, 0};
    if (sockets->count)
        sio_emit(sio_to_all(sio_local(sio_all(chat->nsp)), sockets->names, sockets->count), entry->event, args);
    sockets->count = 0;
}

static bool can_take(const struct chat_listener *listener)
{
    const struct chat_peer_ops *ops = listener->peer->ops;
    return !ops->can_take || ops->can_take(listener->peer);
}

/* But for those that read slowly: they read the log from where they are, as much as they can take. */
static void give_to_all(struct chat_room *room, const struct chat_entry *entry)
{
    struct together sockets = {.count = 0};
    struct chat_listener *listener, *next;
    bool is_same = strcmp(entry->event, "tree.update") != 0;
    DL_FOREACH_SAFE(room->listeners, listener, next)
    {
        if (listener->reading || entry->seq != listener->sent + 1 || !can_take(listener)) continue;
        if (!is_same || !listener->peer->sid[0]) {
            give_entry(listener, entry);
            continue;
        }
        listener->sent = entry->seq;
        if (sockets.count == TOGETHER_MAX) send_together(room->chat, &sockets, entry);
        sockets.names[sockets.count++] = (struct rooms_name){listener->peer->sid, strlen(listener->peer->sid)};
    }
    send_together(room->chat, &sockets, entry);
}

/* ---------------------------------------------------------------- keeping */

static void forget_kept(struct chat_room *room)
{
    while (room->kept) {
        struct kept *next = room->kept->next;
        free(room->kept);
        room->kept = next;
    }
    room->kept_last = &room->kept;
    room->kept_count = room->kept_bytes = 0;
}

/* What does not fit is read again. */
static void keep_entry(struct chat_room *room, const struct chat_entry *entry)
{
    const struct chat_config *config = room->chat->config;
    bool fits = room->kept_count < config->replay_entries_max &&
                room->kept_bytes + entry->payload.n <= config->replay_bytes_max;
    struct kept *kept = fits ? malloc(sizeof *kept + entry->payload.n + 1) : NULL;
    if (!fits) room->chat->counters.replays_full++;
    if (!kept) return;
    *kept = (struct kept){.seq = entry->seq, .size = entry->payload.n};
    snprintf(kept->event, sizeof kept->event, "%s", entry->event);
    memcpy(kept->payload, entry->payload.p, kept->size);
    kept->payload[kept->size] = 0;
    *room->kept_last = kept;
    room->kept_last = &kept->next;
    room->kept_count++;
    room->kept_bytes += kept->size;
}

static void give_kept(struct chat_listener *listener)
{
    const struct chat_room *room = listener->room;
    for (const struct kept *kept = room->kept; kept; kept = kept->next) {
        struct chat_entry entry = {room->chat_id, kept->event, kept->seq, {kept->payload, kept->size}};
        if (kept->seq == listener->sent + 1) give_entry(listener, &entry);
    }
}

/* ---------------------------------------------------------------- reading */

static void read_page(struct chat_reading *reading);

static void free_reading(struct chat_reading *reading)
{
    eio_timer_stop(&reading->retry);
    sio_builder_clear(&reading->json);
    free(reading->entries);
    free(reading);
}

static void end_reading(struct chat_listener *listener)
{
    struct chat_room *room = listener->room;
    listener->reading = NULL;
    if (!--room->reading_count) forget_kept(room);
}

static bool add_entry(struct chat_reading *reading, const char *event, int64_t seq, struct eio_str fields)
{
    if (reading->count == reading->capacity) {
        size_t capacity = reading->capacity ? reading->capacity * 2 : 16;
        struct page_entry *entries = realloc(reading->entries, capacity * sizeof *entries);
        if (!entries) return false;
        reading->entries = entries;
        reading->capacity = capacity;
    }
    struct page_entry *entry = &reading->entries[reading->count++];
    *entry = (struct page_entry){.seq = seq, .at = reading->json.size};
    snprintf(entry->event, sizeof entry->event, "%s", event);
    sio_builder_put_slice(&reading->json, sio_args_none(), fields);
    put_item(&reading->json, reading->chat_id, entry->seq);
    entry->size = reading->json.size - entry->at;
    return true;
}

static void empty_page(struct chat_reading *reading)
{
    sio_builder_clear(&reading->json);
    sio_builder_init(&reading->json);
    sio_builder_open(&reading->json);
    reading->count = reading->given = 0;
    reading->has_more = false;
}

/* Returns false if the page is full, or memory is out. */
static bool put_entry(struct chat_reading *reading, const char *event, int64_t seq, struct eio_str fields)
{
    const struct chat_config *config = reading->chat->config;
    reading->has_more = reading->count == config->replay_entries_max ||
                        (reading->count && reading->json.size + fields.n > config->replay_bytes_max);
    if (reading->has_more) return false;
    if (!add_entry(reading, event, seq, fields)) reading->json.error = EIO_ENOMEM;
    return !reading->json.error;
}

/* The entries of a row that the peer does not have. */
static bool put_row(struct chat_reading *reading, const struct kit_rows *row)
{
    struct chat_run_walk walk;
    struct eio_str fields;
    const char *type = kit_rows_text(row, 1), *event = strcmp(type, CHAT_RUN) ? type : CHAT_TOKEN;
    chat_run_open(&walk, type, kit_rows_int(row, 0), kit_rows_bytes(row, 2));
    while (chat_run_each(&walk, &fields))
        if (walk.seq > reading->since_seq && !put_entry(reading, event, walk.seq, fields)) return false;
    return true;
}

static bool put_piece(void *ctx, const struct chat_piece_line *line)
{
    return put_entry(ctx, CHAT_TOKEN, line->seq, line->fields);
}

/* Those that are not in the log yet. */
static int put_pieces(struct kit_db *db, struct chat_reading *reading, struct kit_failure *failure)
{
    struct kit_rows row;
    char owner[64] = "";
    int64_t key = 0, after_seq = 0;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT id, seq, pieces FROM chats WHERE chat_id=?", "t", reading->chat_id);
    if (step == KIT_FAILED) return kit_db_fail(db, failure);
    if (step == KIT_DONE) return 0;
    key = kit_rows_int(&row, 0);
    after_seq = kit_rows_int(&row, 1);
    snprintf(owner, sizeof owner, "%s", kit_rows_text(&row, 2));
    kit_rows_end(&row);
    if (after_seq < reading->since_seq) after_seq = reading->since_seq;
    return chat_pieces_each(db, owner, key, after_seq, put_piece, reading, failure);
}

static int run_reading(struct kit_db *db, struct kit_store_op *op)
{
    struct chat_reading *reading = KIT_OWNER(op, struct chat_reading, op);
    const struct chat_config *config = reading->chat->config;
    struct kit_rows rows;
    empty_page(reading);
    enum kit_step step =
        kit_db_query(db, &rows,
                     "SELECT l.seq, l.type, l.payload FROM chats c JOIN chat_log l ON l.chat = c.id"
                     " WHERE c.chat_id=? AND l.seq>? ORDER BY l.seq LIMIT ?",
                     "tii", reading->chat_id, reading->since_seq, (int64_t)config->replay_entries_max + 1);
    for (; step == KIT_ROW; step = kit_rows_next(&rows))
        if (!put_row(reading, &rows)) break;
    if (step == KIT_FAILED) return kit_db_fail(db, &op->failure);
    kit_rows_end(&rows);
    int code = reading->has_more || reading->json.error ? 0 : put_pieces(db, reading, &op->failure);
    if (code) return code;
    return reading->json.error ? kit_fail(&op->failure, 503, NULL, "out of memory") : 0;
}

/* Gives what was read, as far as the peer can take it. False: not all. */
static bool give_page(struct chat_reading *reading)
{
    struct chat_listener *listener = reading->listener;
    while (reading->given < reading->count) {
        const struct page_entry *page = &reading->entries[reading->given];
        struct chat_entry entry = {
            reading->chat_id, page->event, page->seq, {reading->json.json + page->at, page->size}};
        if (!can_take(listener)) return false;
        reading->retry_ms = RETRY_MS;
        reading->given++;
        if (page->seq > listener->sent) give_entry(listener, &entry);
    }
    return true;
}

/* It goes on until nothing is known to be missing. */
static void go_on(struct chat_reading *reading)
{
    struct chat_listener *listener = reading->listener;
    if (!give_page(reading)) {
        eio_timer_start(&reading->retry, reading->retry_ms);
        reading->retry_ms = reading->retry_ms > RETRY_MAX_MS / 2 ? RETRY_MAX_MS : reading->retry_ms * 2;
        return;
    }
    if (!reading->has_more) give_kept(listener);
    if (listener->sent < listener->room->last_seq && !reading->chat->rooms->is_stopping) {
        read_page(reading);
        return;
    }
    end_reading(listener);
    free_reading(reading);
}

static void on_retry(void *ctx)
{
    go_on(ctx);
}

static void on_read(struct kit_store_op *op)
{
    struct chat_reading *reading = KIT_OWNER(op, struct chat_reading, op);
    struct chat_listener *listener = reading->listener;
    if (!listener) {
        free_reading(reading);
    } else if (op->failure.code) {
        struct kit_failure why = op->failure;
        end_reading(listener);
        free_reading(reading);
        chat_listener_end(listener, &why);
    } else {
        /* What was numbered and is not there was deleted with the chat. */
        if (!reading->count) listener->room->last_seq = listener->sent;
        go_on(reading);
    }
}

static void read_page(struct chat_reading *reading)
{
    struct chat_listener *listener = reading->listener;
    reading->since_seq = listener->sent;
    reading->op.source = kit_user_source(listener->peer->user, false);
    if (!kit_store_submit_read(reading->chat->kit->store, &reading->op, sizeof *reading)) return;
    struct kit_failure why = reading->op.failure;
    end_reading(listener);
    free_reading(reading);
    chat_listener_end(listener, &why);
}

/* What comes meanwhile is kept. */
static void begin_reading(struct chat_listener *listener)
{
    static const struct kit_failure no_memory = {.code = 503, .message = "out of memory"};
    struct chat_room *room = listener->room;
    struct chat_reading *reading = NULL;
    if (room->chat->rooms->is_stopping) return;
    reading = calloc(1, sizeof *reading);
    if (!reading) {
        chat_listener_end(listener, &no_memory);
        return;
    }
    reading->op.run = run_reading;
    reading->op.done = on_read;
    reading->chat = room->chat;
    reading->listener = listener;
    memcpy(reading->chat_id, room->chat_id, sizeof reading->chat_id);
    reading->retry_ms = RETRY_MS;
    sio_builder_init(&reading->json);
    eio_timer_init(&reading->retry, room->chat->kit->loop, on_retry, reading);
    listener->reading = reading;
    room->reading_count++;
    room->chat->counters.replays++;
    read_page(reading);
}

/* ----------------------------------------------------------------- taking */

static void find_gaps(struct chat_room *room)
{
    struct chat_listener *listener, *next;
    room->holds++;
    DL_FOREACH_SAFE(room->listeners, listener, next)
    {
        if (!listener->reading && listener->sent < room->last_seq) begin_reading(listener);
    }
    chat_room_release(room);
}

static void take_entry(struct chat_room *room, const struct chat_entry *entry)
{
    if (entry->seq > room->last_seq) room->last_seq = entry->seq;
    give_to_all(room, entry);
    if (room->reading_count) keep_entry(room, entry);
    find_gaps(room);
}

static void take_aside(struct chat_room *room, struct chat_entry *entry, unsigned want)
{
    struct chat_listener *listener, *next;
    entry->seq = 0;
    DL_FOREACH_SAFE(room->listeners, listener, next)
    {
        if ((listener->want & want) && !listener->reading && can_take(listener)) give_entry(listener, entry);
    }
}

static void end_all(struct chat_room *room)
{
    static const struct kit_failure gone = {.code = 404, .message = "the chat was deleted"};
    chat_room_hold(room->chat, room->chat_id);
    while (room->listeners) chat_listener_end(room->listeners, &gone);
    chat_room_release(room);
}

static void take_message(void *ctx, struct rooms_member *member)
{
    const struct rooms_message *message = ctx;
    struct chat_room *room = KIT_OWNER(member, struct chat_room, member);
    struct sio_args args = {{(const char *)message->json.p + 1, message->json.n - 2}, NULL, 0};
    char event[CHAT_EVENT_SIZE];
    struct chat_entry entry = {.chat_id = room->chat_id, .event = event, .payload = sio_args_at(args, 1)};
    if (sio_args_text(args, 0, event, sizeof event) < 0 || !entry.payload.p) return;
    struct eio_str number = sio_json_member(entry.payload, "seq");
    unsigned want = want_of(event);
    entry.seq = number.n ? strtoll(number.p, NULL, 10) : 0; /* a brace or comma ends it */
    if (!strcmp(event, END_EVENT))
        end_all(room);
    else if (want)
        take_aside(room, &entry, want);
    else if (entry.seq > 0)
        take_entry(room, &entry);
}

static void on_deliver(void *ctx, const struct rooms_selector *who, const struct rooms_message *message)
{
    const struct chat_rooms *rooms = ctx;
    rooms_each(rooms->audience.index, who, take_message, (void *)(uintptr_t)message);
}

/* No other process listens: as if it had come back from there, without being written and read on the way. */
static void send_here(struct chat *chat, const char *chat_id, const char *event, struct eio_str fields, int64_t seq)
{
    struct sio_builder json;
    struct chat_room *room;
    HASH_FIND_STR(chat->rooms->by_id, chat_id, room);
    if (!room) return;
    sio_builder_init(&json);
    sio_builder_open(&json);
    sio_builder_put_slice(&json, sio_args_none(), fields);
    put_item(&json, chat_id, seq);
    struct chat_entry entry = {room->chat_id, event, seq, {json.json, json.size}};
    if (!json.error) take_entry(room, &entry);
    sio_builder_clear(&json);
}

static void send_to_all(struct chat *chat, const char *chat_id, const char *event, struct eio_str fields, int64_t seq)
{
    struct sio_builder json;
    begin_message(&json, event);
    sio_builder_put_slice(&json, sio_args_none(), fields);
    put_item(&json, chat_id, seq);
    sio_builder_put(&json, "]");
    broadcast(chat, chat_id, &json);
    sio_builder_clear(&json);
}

void chat_entry_send(struct chat *chat, const char *chat_id, const char *event, struct eio_str fields, int64_t seq)
{
    if (kit_has_peers(chat->kit))
        send_to_all(chat, chat_id, event, fields, seq);
    else
        send_here(chat, chat_id, event, fields, seq);
    chat->counters.entries++;
}

void chat_batch_send(struct chat *chat, const struct chat_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct chat_item *item = &batch->items[i];
        chat_entry_send(chat, batch->chat_id, item->event, (struct eio_str){item->fields, item->size},
                        batch->last_seq - (int64_t)(batch->count - 1 - i));
    }
}

/* ------------------------------------------------------------------ check */

struct check {
    struct kit_store_op op;
    struct chat_room *room; /* held */
    int64_t seq;
};

static int run_check(struct kit_db *db, struct kit_store_op *op)
{
    struct check *check = KIT_OWNER(op, struct check, op);
    struct kit_rows row;
    enum kit_step step =
        kit_db_query(db, &row, "SELECT seq, id, pieces FROM chats WHERE chat_id=?", "t", check->room->chat_id);
    char owner[64] = "";
    if (step == KIT_FAILED) return kit_db_fail(db, &op->failure);
    check->seq = step == KIT_ROW ? kit_rows_int(&row, 0) : -1;
    if (step == KIT_DONE) return 0;
    int64_t key = kit_rows_int(&row, 1);
    snprintf(owner, sizeof owner, "%s", kit_rows_text(&row, 2));
    kit_rows_end(&row);
    return chat_pieces_last(db, owner, key, &check->seq, &op->failure);
}

static void on_checked(struct kit_store_op *op)
{
    struct check *check = KIT_OWNER(op, struct check, op);
    struct chat_room *room = check->room;
    room->is_checking = false;
    if (!op->failure.code && check->seq < 0) {
        end_all(room);
    } else if (!op->failure.code && check->seq > room->last_seq) {
        room->last_seq = check->seq;
        find_gaps(room);
    }
    free(check);
    chat_room_release(room);
}

/* An entry that was sent while the way to this process was not open, or broken, shows by the next one; this is for the
 * last of them. */
static void check_room(void *ctx)
{
    struct chat_room *room = ctx;
    struct check *check = room->is_checking ? NULL : calloc(1, sizeof *check);
    if (!check || room->chat->rooms->is_stopping) {
        free(check);
        return;
    }
    check->op.run = run_check;
    check->op.done = on_checked;
    check->room = room;
    if (kit_store_submit_read(room->chat->kit->store, &check->op, sizeof *check)) {
        free(check);
        eio_timer_start(&room->check, CHECK_MS);
        return;
    }
    room->is_checking = true;
    room->holds++;
}

static void check_soon(struct chat_room *room)
{
    if (kit_has_peers(room->chat->kit) && !eio_timer_running(&room->check)) eio_timer_start(&room->check, CHECK_MS);
}

static void on_peers_changed(void *ctx)
{
    struct chat_rooms *rooms = ctx;
    for (struct chat_room *room = rooms->by_id; room; room = room->hh.next) check_soon(room);
}

/* ------------------------------------------------------------------- rooms */

struct chat_room *chat_room_hold(struct chat *chat, const char *chat_id)
{
    struct chat_rooms *rooms = chat->rooms;
    char name[CHAT_ROOM_SIZE];
    struct chat_room *room;
    HASH_FIND_STR(rooms->by_id, chat_id, room);
    if (room) {
        room->holds++;
        return room;
    }
    room = calloc(1, sizeof *room);
    if (!room) return NULL;
    room->chat = chat;
    room->kept_last = &room->kept;
    room->holds = 1;
    snprintf(room->chat_id, sizeof room->chat_id, "%s", chat_id);
    eio_timer_init(&room->check, chat->kit->loop, check_room, room);
    snprintf(name, sizeof name, CHAT_ROOM "%s", chat_id);
    if (rooms_add(rooms->audience.index, &room->member, room->chat_id, strlen(room->chat_id)) ||
        rooms_join(rooms->audience.index, &room->member, (struct rooms_name){name, strlen(name)})) {
        rooms_remove(rooms->audience.index, &room->member);
        free(room);
        return NULL;
    }
    HASH_ADD_STR(rooms->by_id, chat_id, room);
    chat->rooms_open++;
    return room;
}

static void free_if_unused(struct chat_room *room)
{
    struct chat_rooms *rooms = room->chat->rooms;
    if (room->holds || room->listeners) return;
    HASH_DEL(rooms->by_id, room);
    rooms_remove(rooms->audience.index, &room->member);
    eio_timer_stop(&room->check);
    forget_kept(room);
    room->chat->rooms_open--;
    free(room);
}

void chat_room_release(struct chat_room *room)
{
    room->holds--;
    free_if_unused(room);
}

size_t chat_room_owner_count(const struct chat *chat, const char *chat_id)
{
    struct chat_room *room;
    const struct chat_listener *listener;
    size_t count = 0;
    HASH_FIND_STR(chat->rooms->by_id, chat_id, room);
    if (!room) return 0;
    DL_FOREACH(room->listeners, listener) count += listener->is_owner;
    return count;
}

/* --------------------------------------------------------------- listeners */

const char *chat_listener_chat(const struct chat_listener *listener)
{
    return listener->room->chat_id;
}

struct chat_listener *chat_listener_find(const struct chat_peer *peer, const char *chat_id)
{
    struct chat_listener *listener;
    DL_FOREACH2(peer->listeners, listener, next_own)
    {
        if (!strcmp(listener->room->chat_id, chat_id)) break;
    }
    return listener;
}

static void drop_reading(struct chat_listener *listener)
{
    struct chat_reading *reading = listener->reading;
    if (!reading) return;
    bool is_at_store = !eio_timer_running(&reading->retry);
    end_reading(listener);
    reading->listener = NULL;
    if (!is_at_store) free_reading(reading);
}

static struct chat_listener *add_listener(struct chat_peer *peer, struct chat_room *room)
{
    struct chat_listener *listener = calloc(1, sizeof *listener);
    if (!listener) return NULL;
    listener->peer = peer;
    listener->room = room;
    DL_APPEND(room->listeners, listener);
    DL_APPEND2(peer->listeners, listener, prev_own, next_own);
    peer->listener_count++;
    return listener;
}

int chat_listen(struct chat_peer *peer, struct chat_room *room, const struct chat_listen_options *options)
{
    struct chat_listener *listener = chat_listener_find(peer, room->chat_id);
    if (listener) drop_reading(listener);
    if (!listener) listener = add_listener(peer, room);
    if (!listener) return EIO_ENOMEM;
    listener->sent = options->since_seq;
    listener->want = options->want;
    listener->is_owner = options->is_owner;
    if (options->last_seq > room->last_seq) room->last_seq = options->last_seq;
    /* The others, too: what it has seen may never have been sent, as by a worker that died before it could. */
    find_gaps(room);
    check_soon(room);
    return 0;
}

void chat_listener_end(struct chat_listener *listener, const struct kit_failure *why)
{
    struct chat_room *room = listener->room;
    struct chat_peer *peer = listener->peer;
    drop_reading(listener);
    DL_DELETE(room->listeners, listener);
    DL_DELETE2(peer->listeners, listener, prev_own, next_own);
    peer->listener_count--;
    room->holds++;
    chat_peer_left(peer, listener);
    if (why && peer->ops->on_end) peer->ops->on_end(peer, room->chat_id, why);
    free(listener);
    chat_room_release(room);
}

/* ------------------------------------------------------------------- start */

int chat_rooms_start(struct chat *chat)
{
    struct chat_rooms *rooms = chat->rooms = calloc(1, sizeof *rooms);
    if (!rooms) return EIO_ENOMEM;
    rooms->chat = chat;
    if (kit_audience_start(&rooms->audience, chat->kit, ADAPTER_NAME, on_deliver, rooms)) return EIO_ENOMEM;
    return kit_on_peers_changed(chat->kit, on_peers_changed, rooms);
}

void chat_rooms_pause(struct chat *chat)
{
    struct chat_rooms *rooms = chat->rooms;
    if (!rooms) return;
    rooms->is_stopping = true;
    for (struct chat_room *room = rooms->by_id; room; room = room->hh.next) eio_timer_stop(&room->check);
    /* What it stands on ends before this module does. */
    kit_audience_stop(&rooms->audience);
}

void chat_rooms_stop(struct chat *chat)
{
    struct chat_rooms *rooms = chat->rooms;
    if (!rooms) return;
    kit_audience_clear(&rooms->audience);
    free(rooms);
    chat->rooms = NULL;
}
