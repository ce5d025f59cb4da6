#include "chat_nodes.h"

#include "chat_room.h"
#include "chat_turn.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_EVENT "chat:answer"
#define STOP_EVENT "chat:stop"
#define OWNER_EVENT "chat:owner"

static void send_to_others(struct chat *chat, const char *event, json_t *take_payload)
{
    struct sio_builder args;
    sio_builder_init(&args);
    if (take_payload) sio_builder_json(&args, take_payload);
    if (kit_has_peers(chat->kit) && take_payload)
        sio_server_side_emit(chat->nsp, event, sio_builder_args(&args), NULL, NULL);
    sio_builder_clear(&args);
    json_decref(take_payload);
}

void chat_nodes_answer(struct chat *chat, const struct chat_answer *answer)
{
    send_to_others(chat, ANSWER_EVENT,
                   json_pack("{s:s, s:I, s:s, s:s, s:O?}", "chat_id", answer->row.chat_id, "turn",
                             (json_int_t)answer->turn, "id", answer->id, "action", answer->action, "content",
                             answer->read));
}

void chat_nodes_stop(struct chat *chat, const char *chat_id, int64_t turn)
{
    send_to_others(chat, STOP_EVENT, json_pack("{s:s, s:I}", "chat_id", chat_id, "turn", (json_int_t)turn));
}

/* The turn that a message is about, if it runs here. */
static struct chat_turn *find_turn(const struct chat *chat, const json_t *payload)
{
    const char *chat_id = json_string_value(json_object_get(payload, "chat_id"));
    struct chat_turn *turn = chat_id ? chat_turn_find(chat, chat_id) : NULL;
    return turn && turn->row.id == json_integer_value(json_object_get(payload, "turn")) ? turn : NULL;
}

static void on_answer(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    json_t *payload = sio_args_parse(event->args, 0);
    struct chat_turn *turn = find_turn(ctx, payload);
    const char *id = json_string_value(json_object_get(payload, "id"));
    const char *action = json_string_value(json_object_get(payload, "action"));
    const json_t *content = json_object_get(payload, "content");
    (void)socket;
    if (turn && id && action) chat_turn_answer(turn, id, action, json_is_object(content) ? content : NULL);
    json_decref(payload);
}

static void on_stop(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    json_t *payload = sio_args_parse(event->args, 0);
    struct chat_turn *turn = find_turn(ctx, payload);
    (void)socket;
    if (turn) chat_turn_stop(turn);
    json_decref(payload);
}

/* ------------------------------------------------------------ who listens */

static void on_owner(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    json_t *payload = sio_args_parse(event->args, 0);
    const char *chat_id = json_string_value(json_object_get(payload, "chat_id"));
    (void)socket;
    sio_ack_pack(event, "b", chat_id && chat_room_owner_count(ctx, chat_id) > 0);
    json_decref(payload);
}

struct owner_question {
    void (*done)(void *ctx, bool listens);
    void *ctx;
};

/* Without all answers it is not known: then it listens. */
static void on_owners(void *ctx, int error, struct sio_args answers)
{
    struct owner_question *question = ctx;
    bool listens = error != 0;
    size_t count = sio_args_count(answers);
    for (size_t i = 0; i < count; i++) listens |= eio_str_is(sio_args_at(answers, i), "true");
    question->done(question->ctx, listens);
    free(question);
}

void chat_nodes_ask_owner(struct chat *chat, const char *chat_id, void (*done)(void *ctx, bool listens), void *ctx)
{
    struct owner_question *question = kit_has_peers(chat->kit) ? malloc(sizeof *question) : NULL;
    struct sio_builder args;
    if (!question) {
        done(ctx, kit_has_peers(chat->kit));
        return;
    }
    *question = (struct owner_question){done, ctx};
    json_t *payload = json_pack("{s:s}", "chat_id", chat_id);
    sio_builder_init(&args);
    sio_builder_json(&args, payload);
    json_decref(payload);
    if (sio_server_side_emit(chat->nsp, OWNER_EVENT, sio_builder_args(&args), on_owners, question)) {
        free(question);
        done(ctx, true);
    }
    sio_builder_clear(&args);
}

int chat_nodes_start(struct chat *chat)
{
    int error = sio_on_server_event(chat->nsp, ANSWER_EVENT, on_answer, chat);
    if (!error) error = sio_on_server_event(chat->nsp, STOP_EVENT, on_stop, chat);
    return error ? error : sio_on_server_event(chat->nsp, OWNER_EVENT, on_owner, chat);
}
