/* Answers to socket events: success and failure acks, `error` events, payload checks. */
#include "kit_answer.h"

#include "kit_auth.h"

#include <stdlib.h>
#include <string.h>

void kit_put_json(struct sio_builder *builder, struct eio_str json)
{
    sio_builder_put_slice(builder, (struct sio_args){json, NULL, 0}, json);
}

void kit_put_int(struct sio_builder *builder, int64_t value)
{
    sio_builder_put(builder, kit_number(value).text);
}

void kit_put_text(struct sio_builder *builder, const char *text)
{
    sio_builder_put_text(builder, text, strlen(text));
}

void kit_put_time(struct sio_builder *builder, int64_t unix_ms)
{
    char text[25];
    kit_time_text((uint64_t)unix_ms, text);
    kit_put_text(builder, text);
}

uint32_t kit_retry_after_ms(const struct kit_failure *failure)
{
    return failure->retry_after_ms || failure->code != 503 ? failure->retry_after_ms : KIT_RETRY_AFTER_MS;
}

void kit_answer_put_error(struct sio_builder *builder, const struct kit_failure *failure)
{
    sio_builder_put(builder, "\"code\":");
    kit_put_int(builder, failure->code);
    sio_builder_put(builder, ",\"message\":");
    kit_put_text(builder, failure->message);
    if (failure->field[0]) {
        sio_builder_put(builder, ",\"field\":");
        kit_put_text(builder, failure->field);
    }
    uint32_t retry_after_ms = kit_retry_after_ms(failure);
    if (!retry_after_ms) return;
    sio_builder_put(builder, ",\"retry_after_ms\":");
    kit_put_int(builder, retry_after_ms);
}

void kit_answer_put_failure(struct sio_builder *builder, const struct kit_failure *failure)
{
    sio_builder_put(builder, "{\"ok\":false,\"error\":{");
    kit_answer_put_error(builder, failure);
    sio_builder_put(builder, "}}");
}

struct kit_answer kit_answer_later(struct kit *kit, const struct sio_event *event)
{
    struct kit_answer answer = {kit, sio_reply_later(event), sio_socket_namespace(event->socket), "", ""};
    snprintf(answer.sid, sizeof answer.sid, "%s", sio_socket_id(event->socket));
    size_t n = event->name.n < sizeof answer.event - 1 ? event->name.n : sizeof answer.event - 1;
    memcpy(answer.event, event->name.p, n);
    return answer;
}

struct sio_socket *kit_answer_socket(const struct kit_answer *answer)
{
    return answer->nsp ? sio_socket_find(answer->nsp, answer->sid, strlen(answer->sid)) : NULL;
}

void kit_answer_json(struct kit_answer *answer, const struct sio_builder *json)
{
    sio_reply(&answer->reply, sio_builder_args(json));
}

void kit_count_failure(struct kit *kit, int code)
{
    if (code == 401) kit->counters.auth_failures++;
    if (code == 403) kit->counters.forbidden++;
    if (code == 400 || code == 413) kit->counters.invalid++;
    if (code == 429) kit->counters.limited++;
    if (code == 503) kit->counters.busy++;
}

void kit_answer_failure(struct kit_answer *answer, const struct kit_failure *failure)
{
    struct sio_builder builder;
    struct sio_reply *reply = &answer->reply;
    struct sio_socket *socket = kit_answer_socket(answer);
    kit_count_failure(answer->kit, failure->code);
    if (!socket) return;
    sio_builder_init(&builder);
    sio_builder_open(&builder);
    if (reply->wanted) {
        kit_answer_put_failure(&builder, failure);
        sio_reply(reply, sio_builder_args(&builder));
    } else {
        sio_builder_put(&builder, "{");
        kit_answer_put_error(&builder, failure);
        sio_builder_put(&builder, ",\"event\":");
        kit_put_text(&builder, answer->event);
        sio_builder_put(&builder, "}");
        sio_emit(sio_local(sio_only(socket)), "error", sio_builder_args(&builder));
    }
    sio_builder_clear(&builder);
    if (failure->code == 401) sio_socket_disconnect(socket, !kit_auth_claims(socket));
}

void kit_answer_refuse(struct kit *kit, const struct sio_event *event, int code, const char *field, const char *message)
{
    struct kit_failure failure;
    struct kit_answer answer = kit_answer_later(kit, event);
    kit_fail(&failure, code, field, "%s", message);
    kit_note_refused(kit, event, code);
    kit_answer_failure(&answer, &failure);
}

void kit_on_answered(struct kit *kit, kit_answered_fn fn, void *ctx)
{
    kit->answered_fn = fn;
    kit->answered_ctx = ctx;
}

/* What is no event of the server's has a name of the client's making. */
void kit_note_refused(const struct kit *kit, const struct sio_event *event, int code)
{
    char name[32] = "unknown event";
    if (!kit->answered_fn) return;
    if (sio_handles(sio_socket_namespace(event->socket), event->name))
        snprintf(name, sizeof name, "%.*s", (int)event->name.n, event->name.p);
    kit_note_answered(kit, &(struct kit_answered){.name = name,
                                                  .claims = kit_auth_claims(event->socket),
                                                  .sid = sio_socket_id(event->socket),
                                                  .code = code});
}

struct eio_str kit_answer_text(struct kit *kit, const struct sio_event *event)
{
    struct eio_str first = sio_args_at(event->args, 0);
    bool is_object = first.n && first.p[0] == '{' && sio_args_count(event->args) == 1 && !event->args.attachment_count;
    if (!kit->draining && is_object) return first;
    kit_answer_refuse(kit, event, kit->draining ? 503 : 400, NULL,
                      kit->draining ? "the server is stopping" : "the payload must be exactly one JSON object");
    return (struct eio_str){NULL, 0};
}

json_t *kit_answer_payload(struct kit *kit, const struct sio_event *event)
{
    struct kit_schema_error error = {"", "the payload must be exactly one JSON object"};
    char name[32];
    if (!kit_answer_text(kit, event).n) return NULL;
    json_t *payload = sio_args_parse(event->args, 0);
    if (payload) {
        snprintf(name, sizeof name, "%.*s", (int)event->name.n, event->name.p);
        const json_t *schema = kit_schema_find(kit->schemas, name);
        if (schema && kit_schema_check(schema, payload, &error)) return payload;
    }
    json_decref(payload);
    kit_answer_refuse(kit, event, 400, error.pointer, error.message);
    return NULL;
}
