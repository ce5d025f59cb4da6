/* What a client of another protocol sends is the whole conversation, up to the largest body, of which little is news:
 * no tree is made of the rest. */
#include "chat_bridge.h"

#include "kit_answer.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 4096

struct body {
    struct sio_builder *out;
    size_t value_max_bytes;
    struct kit_failure *failure;
};

static bool is_one_of(struct eio_str key, const char *const *names)
{
    while (*names && !kit_json_text_is(key, *names)) names++;
    return *names != NULL;
}

/* Begins a member or an element; key n 0: an element. */
static void put_name(struct body *body, struct eio_str key)
{
    const struct sio_builder *out = body->out;
    char last = out->size ? out->json[out->size - 1] : '{';
    if (last != '{' && last != '[') sio_builder_put(body->out, ",");
    if (key.n) kit_put_json(body->out, key);
    if (key.n) sio_builder_put(body->out, ":");
}

static void put_member(struct body *body, struct eio_str key, struct eio_str value, size_t max_bytes)
{
    char pointer[64];
    if (value.n > max_bytes) {
        snprintf(pointer, sizeof pointer, "/%.*s", (int)(key.n - 2), key.p + 1);
        kit_fail(body->failure, 413, pointer, "must be at most %zu bytes", max_bytes);
        return;
    }
    put_name(body, key);
    kit_put_json(body->out, value);
}

/* Of a part stays what is said, and what was approved. */
static bool put_part(struct body *body, struct eio_str part)
{
    static const char *const names[] = {"type", "text", "state", "approval", NULL};
    struct kit_json_walk walk;
    struct eio_str key, value;
    bool is_text = kit_json_text_is(chat_field(part, "type"), "text"), is_wanted = chat_field(part, "approval").n;
    if (!is_text && !is_wanted) return false;
    put_name(body, (struct eio_str){NULL, 0});
    sio_builder_put(body->out, "{");
    kit_json_open(&walk, part);
    while (kit_json_each(&walk, &key, &value))
        if (is_one_of(key, names))
            put_member(body, key, value, kit_json_text_is(key, "text") ? SIZE_MAX : body->value_max_bytes);
    sio_builder_put(body->out, "}");
    return true;
}

static void put_parts(struct body *body, struct eio_str key, struct eio_str parts)
{
    struct kit_json_walk walk;
    struct eio_str part;
    size_t count = 0;
    put_name(body, key);
    if (parts.p[0] != '[' || !kit_json_open(&walk, parts)) {
        kit_put_json(body->out, parts.p[0] == '"' ? parts : eio_str("null"));
        return;
    }
    sio_builder_put(body->out, "[");
    while (count <= PARTS_MAX && kit_json_each(&walk, NULL, &part)) count += put_part(body, part);
    sio_builder_put(body->out, "]");
    if (count > PARTS_MAX) kit_fail(body->failure, 413, "/messages", "a message has more than %d parts", PARTS_MAX);
}

static void put_message(struct body *body, struct eio_str message)
{
    static const char *const names[] = {"id", "role", NULL}, *const said[] = {"parts", "content", NULL};
    struct kit_json_walk walk;
    struct eio_str key, value;
    put_name(body, (struct eio_str){NULL, 0});
    if (message.p[0] != '{' || !kit_json_open(&walk, message)) {
        sio_builder_put(body->out, "null");
        return;
    }
    sio_builder_put(body->out, "{");
    while (kit_json_each(&walk, &key, &value)) {
        if (is_one_of(key, names)) put_member(body, key, value, body->value_max_bytes);
        if (is_one_of(key, said)) put_parts(body, key, value);
    }
    sio_builder_put(body->out, "}");
}

/* The user's last one and the last of all. */
static void put_messages(struct body *body, struct eio_str key, struct eio_str messages)
{
    struct kit_json_walk walk;
    struct eio_str message, last = {NULL, 0}, user = {NULL, 0};
    put_name(body, key);
    if (messages.p[0] != '[' || !kit_json_open(&walk, messages)) {
        sio_builder_put(body->out, "null");
        return;
    }
    while (kit_json_each(&walk, NULL, &message)) {
        last = message;
        if (kit_json_text_is(chat_field(message, "role"), "user")) user = message;
    }
    sio_builder_put(body->out, "[");
    if (user.n && user.p != last.p) put_message(body, user);
    if (last.n) put_message(body, last);
    sio_builder_put(body->out, "]");
}

/* What passes through clients of AG-UI: of ours there is one. */
static void put_forwarded(struct body *body, struct eio_str key, struct eio_str value)
{
    struct eio_str zone = chat_field(value, "time_zone");
    if (!zone.n) return;
    put_name(body, key);
    sio_builder_put(body->out, "{");
    put_member(body, eio_str("\"time_zone\""), zone, body->value_max_bytes);
    sio_builder_put(body->out, "}");
}

static void reduce_body(struct body *body, struct eio_str text)
{
    static const char *const names[] = {"id",       "trigger", "messageId", "elicitation", "time_zone",
                                        "threadId", "runId",   "resume",    NULL};
    struct kit_json_walk walk;
    struct eio_str key, value;
    kit_json_open(&walk, text);
    sio_builder_put(body->out, "{");
    while (kit_json_each(&walk, &key, &value)) {
        if (is_one_of(key, names)) put_member(body, key, value, body->value_max_bytes);
        if (kit_json_text_is(key, "forwardedProps")) put_forwarded(body, key, value);
        if (kit_json_text_is(key, "messages")) put_messages(body, key, value);
    }
    sio_builder_put(body->out, "}");
}

json_t *chat_body_parse(struct eio_str text, size_t max_depth, size_t value_max_bytes, struct kit_failure *failure)
{
    struct kit_json_walk walk;
    struct sio_builder out;
    struct body body = {&out, value_max_bytes, failure};
    json_t *json = NULL;
    if (kit_json_check(text, max_depth, failure)) return NULL;
    if (!kit_json_open(&walk, text) || !walk.is_object) {
        kit_fail(failure, 400, NULL, "the message must be a JSON object");
        return NULL;
    }
    sio_builder_init(&out);
    sio_builder_open(&out);
    reduce_body(&body, text);
    if (out.error)
        kit_fail(failure, 503, NULL, "out of memory");
    else if (!failure->code)
        json = chat_message_parse((struct eio_str){out.json, out.size}, max_depth, failure);
    sio_builder_clear(&out);
    return json;
}
