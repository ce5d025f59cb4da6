/* Plain WebSockets: which path speaks which dialect, and a peer of the chat for each connection. What is said is the
 * dialects' (dialects/). */
#include "chat_plain.h"

#include "chat_dialect.h"
#include "chat_int.h"
#include "kit_http.h"
#include "kit_json.h"
#include "kit_schema.h"
#include "kit_ws.h"
#include "llm.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define HISTORY_ROWS 100 /* that a client of the tree gets when it comes back */

struct plain;

/* What was asked and is not answered yet. */
struct asked {
    struct plain *plain;
    const char *event; /* a literal */
    char ref_id[KIT_ID_SIZE];
    struct asked *prev, *next;
};

/* A connection. */
struct plain {
    struct kit_ws *ws;
    struct chat *chat;
    const struct chat_dialect *dialect; /* NULL: the first message decides */
    struct chat_voice voice;
    struct chat_out out;
    struct chat_peer *peer; /* NULL: it has no session */
    struct asked *asked;
    struct chat_wish wish; /* waits for the session; while it does, nothing is read */
    char chat_room[CHAT_ROOM_SIZE], session_room[sizeof KIT_SESSION_ROOM + KIT_ID_SIZE]; /* for emitters; "": none */
    bool is_opening, is_guess, comes_back;
};

enum { AT_SESSION, AT_CHAT, AT_TREE, AT_ANY, AT_WIDGET, ENDPOINTS };
static const struct kit_ws_ops plain_ops;

static const struct chat_dialect *dialect_of(const struct plain *plain)
{
    return plain->dialect ? plain->dialect : &chat_typed;
}

static void send_text(void *ctx, struct eio_str text)
{
    kit_ws_send(((const struct plain *)ctx)->ws, text.p, text.n);
}

static void read_clock(struct plain *plain)
{
    plain->voice.now_ms = (int64_t)eio_loop_unix_ms(plain->chat->kit->loop);
}

static void put_failure(struct plain *plain, const struct kit_failure *failure, const char *ref_id)
{
    read_clock(plain);
    dialect_of(plain)->put_failure(&plain->voice, failure, ref_id, &plain->out);
}

/* ------------------------------------------------------------------- rooms */

static void leave_room(const struct plain *plain, char *room)
{
    if (room[0]) kit_ws_leave(plain->ws, room);
    room[0] = 0;
}

static void leave_rooms(struct plain *plain)
{
    leave_room(plain, plain->chat_room);
    leave_room(plain, plain->session_room);
}

static void join_room(const struct plain *plain, char *room)
{
    if (!kit_ws_join(plain->ws, room)) return;
    kit_log(EIO_LOG_ERROR, "a plain WebSocket does not get what is emitted to its chat: it could not join the room",
            "room", room, NULL);
    room[0] = 0;
}

/* Those of the chat, and of the session by the name that the client was given. The room of the path is another. */
static void join_rooms(struct plain *plain)
{
    const struct chat_voice *voice = &plain->voice;
    const char *session = dialect_of(plain) == &chat_tree_talk ? voice->chat_id : voice->session_id;
    leave_rooms(plain);
    snprintf(plain->chat_room, sizeof plain->chat_room, CHAT_ROOM "%s", voice->chat_id);
    join_room(plain, plain->chat_room);
    if (!strcmp(session, CHAT_SESSION_CLOSED) || !strcmp(session, kit_ws_parameter(plain->ws))) return;
    snprintf(plain->session_room, sizeof plain->session_room, KIT_SESSION_ROOM "%s", session);
    join_room(plain, plain->session_room);
}

/* ----------------------------------------------------------------- entries */

static void on_entry(struct chat_peer *peer, const struct chat_entry *entry)
{
    struct plain *plain = chat_peer_ctx(peer);
    read_clock(plain);
    chat_voice_hear(&plain->voice, entry);
    if (!strcmp(entry->event, "session.ready")) join_rooms(plain);
    dialect_of(plain)->put_entry(&plain->voice, entry, &plain->out);
}

static void on_end(struct chat_peer *peer, const char *chat_id, const struct kit_failure *why)
{
    struct plain *plain = chat_peer_ctx(peer);
    if (!strcmp(chat_id, plain->voice.chat_id)) leave_rooms(plain);
    put_failure(plain, why, "");
}

static bool can_take(struct chat_peer *peer)
{
    return kit_ws_can_take(((const struct plain *)chat_peer_ctx(peer))->ws);
}

static const struct chat_peer_ops peer_ops = {on_entry, on_end, can_take};

/* ------------------------------------------------------------------ asking */

static void forget_asked(struct plain *plain, struct asked *asked)
{
    DL_DELETE(plain->asked, asked);
    free(asked);
}

static void on_answer(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct asked *asked = ctx;
    struct plain *plain = asked->plain;
    const struct chat_dialect *dialect = dialect_of(plain);
    read_clock(plain);
    if (failure->code)
        dialect->put_failure(&plain->voice, failure, asked->ref_id, &plain->out);
    else if (dialect->put_answer)
        dialect->put_answer(&plain->voice, asked->event, json, &plain->out);
    forget_asked(plain, asked);
}

static void on_closed(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct asked *asked = ctx;
    struct kit_ws *ws = asked->plain->ws;
    (void)failure, (void)json;
    forget_asked(asked->plain, asked);
    kit_ws_close(ws);
}

static void ask(struct plain *plain, const char *event, const json_t *payload, chat_reply_fn fn)
{
    struct asked *asked = calloc(1, sizeof *asked);
    const char *id = json_string_value(json_object_get(payload, "id"));
    if (!asked) return; /* as if it was lost on its way */
    asked->plain = plain;
    asked->event = event;
    if (id) snprintf(asked->ref_id, sizeof asked->ref_id, "%s", id);
    DL_APPEND(plain->asked, asked);
    chat_peer_ask(plain->peer, event, payload, fn, asked);
}

static void end_session(struct plain *plain)
{
    chat_peer_free(plain->peer);
    plain->peer = NULL;
    leave_rooms(plain);
    if (plain->is_opening) kit_ws_wait(plain->ws, false);
    plain->is_opening = plain->is_guess = false;
    while (plain->asked) forget_asked(plain, plain->asked);
}

/* --------------------------------------------------------------- messages */

static void say(struct plain *plain, json_t *payload)
{
    char id[KIT_ID_SIZE];
    const char *given = json_string_value(json_object_get(payload, "id"));
    if (!given) chat_make_id(id, "msg_");
    if (!given) json_object_set_new(payload, "id", json_string(id));
    snprintf(plain->voice.own_id, sizeof plain->voice.own_id, "%s", given ? given : id);
    ask(plain, "chat.message", payload, on_answer);
}

/* "tomorrow at 7" is a time, as it is in a message that begins a turn. */
static json_t *read_answer(struct plain *plain, const json_t *payload, const char *text)
{
    const struct chat_question_open *question = &plain->voice.question;
    const char *zone = json_string_value(json_object_get(payload, "time_zone"));
    json_t *answer = chat_answer_of_text(question, text);
    if (answer || !question->schema) return answer;
    read_clock(plain);
    json_t *values = llm_read_values(plain->chat->llm, question->schema, text, plain->voice.now_ms,
                                     zone && kit_zone_is_known(zone) ? zone : plain->voice.zone);
    answer = chat_answer_of_values(question, values);
    json_decref(values);
    return answer;
}

/* A text that does not answer the open question takes its place. */
static void say_or_answer(struct plain *plain, json_t *payload)
{
    const struct chat_question_open *question = &plain->voice.question;
    const char *text = json_string_value(json_object_get(payload, "content"));
    json_t *answer = read_answer(plain, payload, text);
    bool is_answer = answer != NULL;
    if (!answer && question->id[0]) answer = json_pack("{s:s}", "action", "cancel");
    if (answer) {
        json_object_set_new(answer, "reply_to", json_string(question->id));
        ask(plain, "elicitation.submit", answer, on_answer);
        json_object_set_new(payload, "queue", json_true());
        json_decref(answer);
    }
    if (!is_answer) say(plain, payload);
}

/* The session is there. */
static void do_wish(struct plain *plain, struct chat_wish *wish)
{
    if (wish->kind == CHAT_WISH_CLOSE)
        ask(plain, "session.close", wish->payload, on_closed);
    else if (wish->kind == CHAT_WISH_SAY)
        say_or_answer(plain, wish->payload);
    else if (wish->kind == CHAT_WISH_ASK && !strcmp(wish->event, "chat.message"))
        say(plain, wish->payload);
    else if (wish->kind == CHAT_WISH_ASK)
        ask(plain, wish->event, wish->payload, on_answer);
    chat_wish_clear(wish);
}

/* ---------------------------------------------------------------- sessions */

static void on_init(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct asked *asked = ctx;
    struct plain *plain = asked->plain;
    struct chat_wish wish = plain->wish;
    bool was_guess = plain->is_guess;
    forget_asked(plain, asked);
    memset(&plain->wish, 0, sizeof plain->wish);
    plain->is_opening = plain->is_guess = false;
    kit_ws_wait(plain->ws, false);
    if (failure->code) {
        if (!was_guess) put_failure(plain, failure, wish.ref_id);
        end_session(plain);
        chat_wish_clear(&wish);
        return;
    }
    if (plain->comes_back && !eio_str_is(chat_field(json, "history_count"), "0")) {
        json_t *page = json_pack("{s:i}", "limit", HISTORY_ROWS);
        ask(plain, "chat.history", page, on_answer);
        json_decref(page);
    }
    do_wish(plain, &wish);
}

/* ?time_zone=, for clients whose messages have no place for it. */
static void set_zone(const struct plain *plain, json_t *init)
{
    char zone[KIT_ZONE_SIZE];
    int size = eio_query_get(eio_http_head_query(kit_ws_head(plain->ws)), "time_zone", zone, sizeof zone);
    if (size > 0 && !json_object_get(init, "time_zone")) json_object_set_new(init, "time_zone", json_string(zone));
}

/* A new peer for it: one that had a session leaves that. wish: what is asked once it is there; consumed. */
static void open_session(struct plain *plain, json_t *init, bool makes_chats, struct chat_wish *take_wish)
{
    struct chat_peer_options options = {.ops = &peer_ops,
                                        .claims = kit_ws_claims(plain->ws),
                                        .address = kit_ws_head(plain->ws)->address,
                                        .connection_id = kit_ws_id(plain->ws),
                                        .makes_chats = makes_chats,
                                        .ctx = plain};
    end_session(plain);
    plain->wish = *take_wish;
    memset(take_wish, 0, sizeof *take_wish);
    plain->peer = chat_peer_new(plain->chat, &options);
    if (!plain->peer) {
        struct kit_failure failure;
        kit_fail(&failure, 503, NULL, "out of memory");
        put_failure(plain, &failure, plain->wish.ref_id);
        chat_wish_clear(&plain->wish);
        return;
    }
    plain->is_opening = true;
    kit_ws_wait(plain->ws, true);
    set_zone(plain, init);
    ask(plain, "session.init", init, on_init);
}

/* A user's name for a chat, in a path, is that user's own. */
static void name_chat(const struct plain *plain, char chat_id[KIT_ID_SIZE])
{
    const struct kit_claims *claims = kit_ws_claims(plain->ws);
    const char *const names[] = {claims->tenant, claims->sub, kit_ws_parameter(plain->ws)};
    unsigned char hash[16];
    char text[2 * sizeof hash + 1];
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof hash);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        crypto_generichash_update(&state, (const unsigned char *)names[i], strlen(names[i]) + 1);
    crypto_generichash_final(&state, hash, sizeof hash);
    sodium_bin2hex(text, sizeof text, hash, sizeof hash);
    snprintf(chat_id, KIT_ID_SIZE, "ws_%s", text);
}

/* The chat of the path. A guess: only if it is there. */
static void open_typed(struct plain *plain, bool is_guess, struct chat_wish *take_wish)
{
    char chat_id[KIT_ID_SIZE], since[24];
    int64_t since_seq;
    name_chat(plain, chat_id);
    json_t *init = json_pack("{s:s}", "chat_id", chat_id);
    int n = kit_http_query(kit_ws_head(plain->ws), "since_seq", since, sizeof since);
    if (n != 0 && n != EIO_EINVAL) {
        bool is_number = n > 0 && kit_text_int64(eio_str(since), 0, INT64_MAX, &since_seq);
        plain->voice.with_seq = true;
        /* Anything but a number is refused as it would be in session.init. */
        json_object_set_new(init, "since_seq", is_number ? json_integer(since_seq) : json_string("?"));
    }
    open_session(plain, init, !is_guess, take_wish);
    plain->is_guess = is_guess && plain->peer;
    json_decref(init);
}

/* The chat that the user opened last: for a connection that shows the tree beside another that talks. */
static void on_list(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct asked *asked = ctx;
    struct plain *plain = asked->plain;
    struct kit_json_walk walk;
    struct eio_str one;
    struct chat_wish wish = {0};
    char chat_id[KIT_ID_SIZE] = "";
    json_t *init = json_object();
    forget_asked(plain, asked);
    if (!failure->code && kit_json_open(&walk, chat_field(json, "chats")) && kit_json_each(&walk, NULL, &one))
        chat_copy_field(chat_id, sizeof chat_id, one, "chat_id");
    if (chat_id[0]) json_object_set_new(init, "chat_id", json_string(chat_id));
    open_session(plain, init, false, &wish);
    json_decref(init);
}

static void find_tree(struct plain *plain)
{
    struct chat_peer_options options = {.ops = &peer_ops,
                                        .claims = kit_ws_claims(plain->ws),
                                        .address = kit_ws_head(plain->ws)->address,
                                        .connection_id = kit_ws_id(plain->ws),
                                        .ctx = plain};
    json_t *page = json_pack("{s:i}", "limit", 1);
    end_session(plain);
    plain->peer = chat_peer_new(plain->chat, &options);
    if (plain->peer && page) {
        plain->is_opening = true;
        kit_ws_wait(plain->ws, true);
        ask(plain, "chat.list", page, on_list);
    }
    json_decref(page);
}

/* session.init of the client's own. */
static void init_session(struct plain *plain, struct chat_wish *wish)
{
    struct chat_wish nothing = {0};
    plain->comes_back = json_object_get(wish->payload, "chat_id") != NULL && !plain->voice.tree_only;
    if (plain->voice.tree_only && !json_object_get(wish->payload, "chat_id"))
        find_tree(plain);
    else
        open_session(plain, wish->payload, false, &nothing);
    chat_wish_clear(wish);
}

/* What needs a session and has none: the dialect's own begins. */
static void open_for(struct plain *plain, struct chat_wish *take_wish)
{
    json_t *chat = json_object_get(take_wish->payload, "chat_id"), *init = json_object();
    if (plain->dialect == &chat_typed) {
        open_typed(plain, false, take_wish);
    } else {
        if (chat) json_object_set(init, "chat_id", chat);
        open_session(plain, init, plain->dialect == &chat_widget, take_wish);
    }
    json_decref(init);
}

/* A window may go on with another of its chats. */
static bool is_elsewhere(const struct plain *plain, const struct chat_wish *wish)
{
    const char *chat_id = json_string_value(json_object_get(wish->payload, "chat_id"));
    return plain->dialect == &chat_widget && chat_id && strcmp(chat_id, plain->voice.chat_id) != 0;
}

static void take_wish(struct plain *plain, struct chat_wish *wish)
{
    if (wish->kind == CHAT_WISH_PING) {
        read_clock(plain);
        plain->dialect->put_pong(&plain->voice, &plain->out);
    } else if (wish->kind == CHAT_WISH_INIT) {
        init_session(plain, wish);
    } else if (wish->kind == CHAT_WISH_CLOSE && !plain->peer) {
        kit_ws_close(plain->ws);
    } else if (!plain->peer || plain->is_guess || is_elsewhere(plain, wish)) {
        open_for(plain, wish);
    } else {
        do_wish(plain, wish);
    }
    chat_wish_clear(wish);
}

/* ------------------------------------------------------------- connections */

static void welcome(struct plain *plain)
{
    read_clock(plain);
    if (plain->dialect->put_welcome) plain->dialect->put_welcome(&plain->voice, &plain->out);
}

/* ?dialect=, the path, or the configuration. NULL: the first message decides. */
static const struct chat_dialect *choose_dialect(const struct plain *plain, size_t place)
{
    static const struct chat_dialect *const by_place[ENDPOINTS] = {&chat_tree_talk, &chat_tree_talk, &chat_tree_talk,
                                                                   NULL, &chat_widget};
    static const struct chat_dialect *const by_config[] = {
        [CHAT_DIALECT_AUTO] = NULL, [CHAT_DIALECT_TYPED] = &chat_typed, [CHAT_DIALECT_TEACHING] = &chat_teaching};
    char name[16];
    const struct chat_dialect *asked = NULL;
    if (kit_http_query(kit_ws_head(plain->ws), "dialect", name, sizeof name) > 0) asked = chat_dialect_named(name);
    if (asked && place != AT_TREE && place != AT_WIDGET) return asked;
    return place == AT_ANY ? by_config[plain->chat->config->ws_dialect] : by_place[place];
}

static const char *const paths[ENDPOINTS] = {"/ws/session", "/ws/chat", "/ws/tree", "/ws/{session_id}",
                                             "/api/v1/chat/ws/chat"};

static size_t place_of(const struct kit_ws *ws)
{
    size_t place = 0;
    while (strcmp(paths[place], kit_ws_endpoint(ws)->path)) place++;
    return place;
}

static void on_open(struct kit_ws *ws)
{
    struct plain *plain = calloc(1, sizeof *plain);
    struct chat_wish nothing = {0};
    char room[sizeof KIT_SESSION_ROOM + KIT_USER_SIZE];
    kit_ws_set_data(ws, plain);
    if (!plain) {
        kit_ws_close(ws);
        return;
    }
    size_t place = place_of(ws);
    plain->ws = ws;
    plain->chat = kit_ws_state(ws);
    plain->out = (struct chat_out){.fn = send_text, .ctx = plain};
    plain->dialect = choose_dialect(plain, place);
    plain->voice.tree_only = place == AT_TREE;
    snprintf(plain->voice.connection_id, sizeof plain->voice.connection_id, "%s", kit_ws_id(ws));
    snprintf(room, sizeof room, KIT_SESSION_ROOM "%s", kit_ws_parameter(ws));
    if (place == AT_ANY) kit_ws_join(ws, room);
    if (plain->dialect) welcome(plain);
    if (place == AT_ANY && (!plain->dialect || plain->dialect == &chat_typed))
        open_typed(plain, !plain->dialect, &nothing);
}

static void on_message(struct kit_ws *ws, struct eio_str text)
{
    struct plain *plain = kit_ws_data(ws);
    struct kit_failure failure = {0, "", ""};
    struct chat_wish wish = {0};
    json_t *message = chat_message_parse(text, plain->chat->kit->config->io.max_depth - 1, &failure);
    if (message && !plain->dialect) {
        plain->dialect = chat_dialect_guess(message);
        if (plain->peer && plain->dialect != &chat_typed) end_session(plain);
        welcome(plain);
    }
    if (message && !plain->dialect->read(&plain->voice, message, &wish, &failure)) take_wish(plain, &wish);
    if (failure.code) put_failure(plain, &failure, wish.ref_id);
    if (failure.code) kit_count_failure(plain->chat->kit, failure.code);
    chat_wish_clear(&wish);
    json_decref(message);
}

static void on_failure(struct kit_ws *ws, const struct kit_failure *failure)
{
    if (kit_ws_data(ws)) put_failure(kit_ws_data(ws), failure, "");
}

static void on_event(struct kit_ws *ws, const char *event, struct eio_str data)
{
    struct plain *plain = kit_ws_data(ws);
    read_clock(plain);
    dialect_of(plain)->put_event(&plain->voice, event, data, &plain->out);
}

static void on_close(struct kit_ws *ws)
{
    struct plain *plain = kit_ws_data(ws);
    if (!plain) return;
    end_session(plain);
    chat_wish_clear(&plain->wish);
    chat_voice_clear(&plain->voice);
    free(plain);
}

static const struct kit_ws_ops plain_ops = {on_open, on_message, on_failure, on_event, on_close};

int chat_plain_start(struct chat *chat)
{
    static struct kit_ws_endpoint endpoints[ENDPOINTS];
    for (size_t i = 0; i < ENDPOINTS; i++)
        endpoints[i] = (struct kit_ws_endpoint){
            .path = paths[i], .roles = CHAT_ROLES, .admits_guests = true, .ops = &plain_ops, .state = chat};
    return kit_ws_open(chat->kit, endpoints, ENDPOINTS);
}
