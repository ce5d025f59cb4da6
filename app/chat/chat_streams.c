/* Turns over HTTP as other protocols stream them: the AI SDK's chat and AG-UI (bridges/). A request is a peer of the
 * chat, and is over with its turn or when that asks something; the turn itself goes on without it. */
#include "chat_streams.h"

#include "chat_bridge.h"
#include "chat_int.h"
#include "kit_dismiss.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

#define LOOK_ROWS 100 /* of the history, for the question that is answered once more */
#define SETTLE_MS 50  /* questions that are asked together end it together */
#define BEAT_MS 15000 /* between comments that keep the connection */

struct telling {
    struct kit_request request;
    const struct chat_bridge *bridge;
    struct chat_peer *peer;
    struct chat_wanted wanted;
    struct chat_teller teller;
    struct chat_out out;
    struct eio_http_stream *stream;
    struct eio_timer timer, beat; /* the timer ends it, outside of the peer's callbacks */
    struct kit_stay stay;
    char *ready;  /* session.init's answer */
    size_t asked; /* and not answered */
    bool is_ending, resumes;
};

/* ------------------------------------------------------------------ sending */

static void send_data(void *ctx, struct eio_str text)
{
    struct telling *telling = ctx;
    char *piece = telling->stream ? malloc(text.n + 8) : NULL;
    if (!piece) return;
    memcpy(piece, "data: ", 6);
    memcpy(piece + 6, text.p, text.n);
    memcpy(piece + 6 + text.n, "\n\n", 2);
    eio_http_stream_write(telling->stream, piece, text.n + 8);
    free(piece);
}

static void end_soon(struct telling *telling)
{
    telling->is_ending = true;
    eio_timer_start(&telling->timer, 0);
}

/* Once the stream has begun, it says why it ends. */
static void fail_telling(struct telling *telling, const struct kit_failure *failure)
{
    if (!telling->is_ending && telling->stream) {
        json_t *payload = json_pack("{s:i, s:s}", "code", failure->code, "message", failure->message);
        char *text = payload ? json_dumps(payload, JSON_COMPACT) : NULL;
        if (text) telling->bridge->error(&telling->teller, eio_str(text), &telling->out);
        free(text);
        json_decref(payload);
    }
    if (!telling->is_ending) telling->request.op.failure = *failure;
    end_soon(telling);
}

static void on_dismissed(struct kit_stay *stay, const struct kit_failure *failure)
{
    fail_telling(KIT_OWNER(stay, struct telling, stay), failure);
}

static void finish(struct telling *telling)
{
    struct eio_http_stream *stream = telling->stream;
    eio_timer_stop(&telling->timer);
    eio_timer_stop(&telling->beat);
    kit_stay_end(&telling->stay);
    telling->stream = NULL;
    if (stream) eio_http_stream_end(stream);
    kit_request_finish(&telling->request);
}

static void on_timer(void *ctx)
{
    struct telling *telling = ctx;
    if (!telling->is_ending && telling->stream) telling->bridge->wait(&telling->teller, &telling->out);
    if (telling->stream && telling->bridge == &chat_ui) send_data(telling, eio_str("[DONE]"));
    finish(telling);
}

static void on_beat(void *ctx)
{
    struct telling *telling = ctx;
    if (!telling->stream) return;
    eio_http_stream_write(telling->stream, ":\n\n", 3);
    eio_timer_start(&telling->beat, BEAT_MS);
}

/* The client is gone, or too slow: the turn goes on without it. */
static void on_abort(void *ctx)
{
    struct telling *telling = ctx;
    telling->stream = NULL;
    end_soon(telling);
}

static bool begin_stream(struct telling *telling)
{
    const struct eio_http_stream_options options = {.on_abort = on_abort, .ctx = telling};
    struct eio_http_reply_field field = {NULL, NULL};
    if (telling->stream || telling->is_ending) return telling->stream != NULL;
    if (telling->bridge == &chat_ui) field = (struct eio_http_reply_field){"x-vercel-ai-ui-message-stream", "v1"};
    telling->stream = kit_request_stream(&telling->request, "text/event-stream", field, &options);
    if (!telling->stream) {
        end_soon(telling);
        return false;
    }
    eio_timer_start(&telling->beat, BEAT_MS);
    telling->bridge->begin(&telling->teller, eio_str(telling->ready), &telling->out);
    return true;
}

/* ------------------------------------------------------------------ entries */

/* Questions that are open end it, once nothing more comes with them. */
static void look_at_end(struct telling *telling)
{
    if (telling->is_ending) return;
    if (telling->teller.is_over)
        end_soon(telling);
    else if (telling->stream && !telling->asked && chat_teller_waits(&telling->teller))
        eio_timer_start(&telling->timer, SETTLE_MS);
    else
        eio_timer_stop(&telling->timer);
}

static void on_entry(struct chat_peer *peer, const struct chat_entry *entry)
{
    struct telling *telling = chat_peer_ctx(peer);
    if (!telling->stream || telling->is_ending) return;
    chat_teller_hear(&telling->teller, entry, &telling->out);
    look_at_end(telling);
}

static void on_end(struct chat_peer *peer, const char *chat_id, const struct kit_failure *why)
{
    (void)chat_id;
    fail_telling(chat_peer_ctx(peer), why);
}

static bool can_take(struct chat_peer *peer)
{
    const struct telling *telling = chat_peer_ctx(peer);
    return !telling->stream ||
           eio_http_stream_queued(telling->stream) < telling->request.kit->config->io.engine.high_water_bytes;
}

/* ------------------------------------------------------------------- asking */

/* since_seq: what comes behind it is wanted; n 0: what comes from now on. */
static void open_chat(struct telling *telling, struct eio_str since_seq, chat_reply_fn fn)
{
    json_t *init = json_pack("{s:s, s:[s,s]}", "chat_id", telling->teller.chat_id, "want", "patch", "reasoning");
    if (init && since_seq.n) json_object_set_new(init, "since_seq", json_integer(strtoll(since_seq.p, NULL, 10)));
    chat_peer_ask(telling->peer, "session.init", init, fn, telling);
    json_decref(init);
}

static void on_replayed(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    (void)json;
    if (failure->code) fail_telling(ctx, failure);
}

/* All of the turn, from the log behind since_seq: what it says of other turns is left out. */
static void replay(struct telling *telling, struct eio_str since_seq)
{
    if (begin_stream(telling)) open_chat(telling, since_seq.n ? since_seq : eio_str("0"), on_replayed);
}

static void on_said(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct telling *telling = ctx;
    struct eio_str attempt = chat_field(json, "attempt");
    if (failure->code) {
        fail_telling(telling, failure);
        return;
    }
    chat_copy_field(telling->teller.ref_id, sizeof telling->teller.ref_id, json, "ref_id");
    telling->teller.attempt = attempt.n ? strtoll(attempt.p, NULL, 10) : 1;
    if (chat_field_is_true(json, "duplicate"))
        replay(telling, chat_field(json, "since_seq"));
    else
        begin_stream(telling);
}

/* One that was answered before is no failure: a request may be repeated. */
static void on_answered(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct telling *telling = ctx;
    (void)json;
    telling->asked--;
    if (failure->code && failure->code != 409) {
        fail_telling(telling, failure);
        return;
    }
    look_at_end(telling);
}

static bool has_answer_to(const struct telling *telling, const char *question_id)
{
    const json_t *answer;
    size_t i;
    json_array_foreach(telling->wanted.answers, i, answer)
    {
        const char *id = json_string_value(json_object_get(answer, "id"));
        if (id && question_id[0] && !strcmp(id, question_id)) return true;
    }
    return false;
}

/* The turn whose question was answered: it is replayed, as for a message that comes twice. */
static void on_looked(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct telling *telling = ctx;
    struct kit_failure closed;
    struct kit_json_walk walk;
    struct eio_str row;
    char id[KIT_ID_SIZE], ref_id[KIT_ID_SIZE] = "";
    if (!failure->code && kit_json_open(&walk, chat_field(json, "messages")))
        while (kit_json_each(&walk, NULL, &row)) {
            if (!kit_json_text_is(chat_field(row, "type"), "component")) continue;
            chat_copy_field(id, sizeof id, chat_field(row, "data"), "id");
            if (has_answer_to(telling, id)) chat_copy_field(ref_id, sizeof ref_id, row, "ref_id");
        }
    if (!ref_id[0]) {
        kit_fail(&closed, 409, NULL, "no question is open");
        fail_telling(telling, &closed);
        return;
    }
    json_t *again = json_pack("{s:s, s:s}", "id", ref_id, "content", "-");
    chat_peer_ask(telling->peer, "chat.message", again, on_said, telling);
    json_decref(again);
}

static void ask_answers(struct telling *telling)
{
    const json_t *answer;
    size_t i;
    if (!telling->teller.ref_id[0]) {
        json_t *page = json_pack("{s:i}", "limit", LOOK_ROWS);
        chat_peer_ask(telling->peer, "chat.history", page, on_looked, telling);
        json_decref(page);
        return;
    }
    telling->asked = json_array_size(telling->wanted.answers);
    if (!begin_stream(telling)) return;
    json_array_foreach(telling->wanted.answers, i, answer)
    {
        const char *id = json_string_value(json_object_get(answer, "id"));
        json_t *question = id ? json_object_get(telling->teller.open, id) : NULL;
        struct eio_str text = {json_string_value(question), json_string_length(question)};
        json_t *payload = telling->bridge->read_answer(answer, text);
        chat_peer_ask(telling->peer, "elicitation.submit", payload, on_answered, telling);
        json_decref(payload);
        if (telling->is_ending) return;
    }
    look_at_end(telling);
}

/* What runs, or waits; 204: nothing does. */
static void resume(struct telling *telling)
{
    struct eio_str running = chat_field(eio_str(telling->ready), "running");
    struct eio_str attempt = chat_field(running, "attempt");
    chat_copy_field(telling->teller.ref_id, sizeof telling->teller.ref_id, running, "ref_id");
    if (!telling->teller.ref_id[0]) {
        telling->request.status = 204;
        end_soon(telling);
        return;
    }
    telling->teller.attempt = attempt.n ? strtoll(attempt.p, NULL, 10) : 1;
    replay(telling, chat_field(running, "since_seq"));
}

static void on_opened(void *ctx, const struct kit_failure *failure, struct eio_str json)
{
    struct telling *telling = ctx;
    if (!failure->code) telling->ready = strndup(json.p, json.n);
    if (failure->code && telling->resumes && failure->code == 404) {
        telling->request.status = 204;
        end_soon(telling);
    } else if (failure->code) {
        fail_telling(telling, failure);
    } else if (!telling->ready) {
        end_soon(telling);
    } else if (telling->resumes) {
        resume(telling);
    } else if (telling->wanted.message) {
        chat_peer_ask(telling->peer, "chat.message", telling->wanted.message, on_said, telling);
    } else if (telling->wanted.again) {
        chat_peer_ask(telling->peer, "chat.regenerate", telling->wanted.again, on_said, telling);
    } else {
        chat_teller_hear_ready(&telling->teller, eio_str(telling->ready));
        ask_answers(telling);
    }
}

/* ----------------------------------------------------------------- requests */

static void init_telling(struct telling *telling, const struct chat_bridge *bridge)
{
    telling->bridge = bridge;
    telling->out = (struct chat_out){.fn = send_data, .ctx = telling};
    chat_teller_init(&telling->teller, bridge);
    eio_timer_init(&telling->timer, telling->request.kit->loop, on_timer, telling);
    eio_timer_init(&telling->beat, telling->request.kit->loop, on_beat, telling);
}

static void begin(struct telling *telling)
{
    static const struct chat_peer_ops ops = {on_entry, on_end, can_take};
    struct kit_request *request = &telling->request;
    const char *address = request->http ? eio_http_request_head(request->http)->address : "";
    const struct chat_peer_options options = {.ops = &ops,
                                              .claims = request->claims,
                                              .address = address,
                                              .connection_id = "http",
                                              .makes_chats = !telling->resumes,
                                              .ctx = telling};
    const char *chat_id = telling->wanted.chat_id[0] ? telling->wanted.chat_id : request->about;
    snprintf(telling->teller.chat_id, sizeof telling->teller.chat_id, "%.*s", KIT_ID_SIZE - 1, chat_id);
    snprintf(telling->teller.run_id, sizeof telling->teller.run_id, "%s", telling->wanted.run_id);
    kit_stay_begin(&telling->stay, request, on_dismissed);
    telling->peer = chat_peer_new(request->state, &options);
    if (telling->peer) {
        open_chat(telling, (struct eio_str){NULL, 0}, on_opened);
        return;
    }
    struct kit_failure failure;
    kit_fail(&failure, 503, NULL, "out of memory");
    fail_telling(telling, &failure);
}

static void take_body(struct kit_request *request, struct eio_str body, const struct chat_bridge *bridge)
{
    struct telling *telling = KIT_REQUEST(telling, request);
    struct kit_failure *failure = &request->op.failure;
    char id[KIT_ID_SIZE];
    init_telling(telling, bridge);
    const struct kit_config *config = request->kit->config;
    json_t *json = chat_body_parse(body, config->io.max_depth - 1, config->event_max_bytes, failure);
    int code = json ? bridge->read(json, &telling->wanted, failure) : failure->code;
    json_decref(json);
    if (!code && telling->wanted.message && !json_object_get(telling->wanted.message, "id")) {
        chat_make_id(id, "msg_");
        json_object_set_new(telling->wanted.message, "id", json_string(id));
    }
    if (code)
        kit_request_finish(request);
    else
        begin(telling);
}

static void take_ui(struct kit_request *request, struct eio_str body)
{
    take_body(request, body, &chat_ui);
}

static void take_agui(struct kit_request *request, struct eio_str body)
{
    take_body(request, body, &chat_agui);
}

static void start_resume(struct kit_request *request)
{
    struct telling *telling = KIT_REQUEST(telling, request);
    init_telling(telling, &chat_ui);
    telling->resumes = true;
    begin(telling);
}

static void clear_telling(struct kit_request *request)
{
    struct telling *telling = KIT_REQUEST(telling, request);
    if (telling->bridge) eio_timer_stop(&telling->timer);
    if (telling->bridge) eio_timer_stop(&telling->beat);
    chat_peer_free(telling->peer);
    chat_wanted_clear(&telling->wanted);
    chat_teller_clear(&telling->teller);
    free(telling->ready);
}

int chat_streams_start(struct chat *chat)
{
    static const struct kit_event events[] = {
        {.size = sizeof(struct telling),
         .about = "chat_id",
         .roles = CHAT_ROLES,
         .take = take_ui,
         .clear = clear_telling,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/chats/{chat_id}/ui",
         .admits_guests = true},
        {.size = sizeof(struct telling),
         .about = "chat_id",
         .roles = CHAT_ROLES,
         .start = start_resume,
         .clear = clear_telling,
         .method = EIO_HTTP_GET,
         .path = "/api/v1/chats/{chat_id}/ui/stream",
         .admits_guests = true},
        {.size = sizeof(struct telling),
         .roles = CHAT_ROLES,
         .take = take_agui,
         .clear = clear_telling,
         .method = EIO_HTTP_POST,
         .path = "/api/v1/agui",
         .admits_guests = true},
    };
    return kit_open_paths(chat->kit, events, sizeof events / sizeof events[0], chat);
}
