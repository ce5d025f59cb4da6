/* What the events of the profile app have in common: requests are JSON objects that name rooms and describe emits. */
#ifndef APP_REQUEST_H
#define APP_REQUEST_H

#include <socketio.h>

struct conformance;

#define APP_NAME_MAX_BYTES 1024 /* of an event's, room's or namespace's name in a request */

/* Names out of a JSON string or list of strings (numbers count as their digits). init/clear. */
struct app_names {
    struct rooms_name *names;
    size_t count;
    char *text;
};
int app_names_init(struct app_names *names, struct eio_str json);
void app_names_clear(struct app_names *names);

/* A target with what the object says in "to" and "except" added. init/clear; usable until clear. */
struct app_target {
    struct sio_target target;
    struct app_names to, except;
};
void app_target_init(struct app_target *request, struct sio_target target, struct eio_str object);
void app_target_clear(struct app_target *request);

/* The text of a member, terminated. Returns its size or a negative code, as sio_args_text(). */
int app_member_text(struct eio_str object, const char *name, char out[APP_NAME_MAX_BYTES + 1]);
/* A whole number, or `otherwise`. */
uint32_t app_number(struct eio_str json, uint32_t otherwise);
/* What JavaScript takes for true. */
bool app_truthy(struct eio_str json);

/* The event that an object describes by "ev" and "args". init/clear. */
struct app_emit {
    char event[APP_NAME_MAX_BYTES + 1];
    struct sio_builder builder;
    struct sio_args args;
    int error; /* of init: there is no usable "ev", or memory is out */
};
void app_emit_init(struct app_emit *emit, struct sio_args from, struct eio_str object);
void app_emit_clear(struct app_emit *emit);

/* Answers "ok", or {"error":…}. */
void app_ack_result(const struct sio_event *event, int result);

/* Records what other servers send; answers with it, and forgets it. */
int app_listen_to_servers(struct conformance *conformance);
void app_answer_received(const struct sio_event *event, struct conformance *conformance);

/* The handler of the event "op"; ctx: struct conformance. */
void app_on_op(struct sio_socket *socket, const struct sio_event *event, void *ctx);

#endif
