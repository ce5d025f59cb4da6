/* Reading the requests of the profile app. */
#include "app_request.h"

#include <stdlib.h>
#include <string.h>

/* What stands between the brackets of a list, as arguments; anything else as the only one. */
static struct sio_args items_of(struct sio_args from, struct eio_str json)
{
    if (json.n >= 2 && json.p[0] == '[') json = (struct eio_str){json.p + 1, json.n - 2};
    from.json = json;
    return from;
}

static bool is_null(struct eio_str json)
{
    return json.n == 0 || eio_str_is(json, "null");
}

/* ------------------------------------------------------------------- names */

/* Appends the next name at out; returns where the text ends. The name "" is one, too: a room without members, not
 * "all". */
static char *add_name(struct app_names *names, struct eio_str value, char *out)
{
    struct sio_args one = {value, NULL, 0};
    int size = (int)value.n;
    if (value.p[0] == '"')
        size = sio_args_text(one, 0, out, value.n);
    else
        memcpy(out, value.p, value.n);
    if (size < 0) return out;
    names->names[names->count++] = (struct rooms_name){out, (size_t)size};
    return out + size;
}

int app_names_init(struct app_names *names, struct eio_str json)
{
    *names = (struct app_names){NULL, 0, NULL};
    if (is_null(json)) return 0;
    struct sio_args list = items_of(sio_args_none(), json);
    size_t count = sio_args_count(list);
    if (count == 0) return 0;
    names->names = calloc(count, sizeof *names->names);
    names->text = malloc(json.n);
    if (!names->names || !names->text) {
        app_names_clear(names);
        return EIO_ENOMEM;
    }
    char *out = names->text;
    for (size_t i = 0; i < count; i++, list = sio_args_skip(list, 1)) out = add_name(names, sio_args_at(list, 0), out);
    return 0;
}

void app_names_clear(struct app_names *names)
{
    free(names->names);
    free(names->text);
    *names = (struct app_names){NULL, 0, NULL};
}

/* ------------------------------------------------------------------ targets */

void app_target_init(struct app_target *request, struct sio_target target, struct eio_str object)
{
    int to = app_names_init(&request->to, sio_json_member(object, "to"));
    int except = app_names_init(&request->except, sio_json_member(object, "except"));
    target = sio_to_all(target, request->to.names, request->to.count);
    request->target = sio_except_all(target, request->except.names, request->except.count);
    if (to != 0 || except != 0) request->target.error = EIO_ENOMEM;
}

void app_target_clear(struct app_target *request)
{
    app_names_clear(&request->to);
    app_names_clear(&request->except);
}

/* ----------------------------------------------------------------- members */

int app_member_text(struct eio_str object, const char *name, char out[APP_NAME_MAX_BYTES + 1])
{
    struct sio_args member = {sio_json_member(object, name), NULL, 0};
    return sio_args_text(member, 0, out, APP_NAME_MAX_BYTES + 1);
}

uint32_t app_number(struct eio_str json, uint32_t otherwise)
{
    uint64_t number = 0;
    for (size_t i = 0; i < json.n; i++) {
        if (json.p[i] < '0' || json.p[i] > '9') return otherwise;
        number = number * 10 + (uint64_t)(json.p[i] - '0');
        if (number > UINT32_MAX) return otherwise;
    }
    return json.n ? (uint32_t)number : otherwise;
}

bool app_truthy(struct eio_str json)
{
    return !is_null(json) && !eio_str_is(json, "false") && !eio_str_is(json, "0") && !eio_str_is(json, "\"\"");
}

/* ------------------------------------------------------------------- emits */

void app_emit_init(struct app_emit *emit, struct sio_args from, struct eio_str object)
{
    int size = app_member_text(object, "ev", emit->event);
    struct eio_str args = sio_json_member(object, "args");
    sio_builder_init(&emit->builder);
    if (!is_null(args)) sio_builder_slice(&emit->builder, from, items_of(from, args).json);
    emit->error = size < 0 ? size : emit->builder.error;
    emit->args = sio_builder_args(&emit->builder);
}

void app_emit_clear(struct app_emit *emit)
{
    sio_builder_clear(&emit->builder);
}

void app_ack_result(const struct sio_event *event, int result)
{
    if (result == 0)
        sio_ack(event, sio_args_json("\"ok\""));
    else
        sio_ack_pack(event, "{s:s}", "error", eio_strerror(result));
}
