/* Emitting events: to one socket straight into its session's memory, to more than one through the adapter. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --------------------------------------------------------------- broadcast */

static int broadcast_message(struct sio_namespace *nsp, const struct sio_target *target, struct rooms_message message)
{
    struct sio__who who;
    int result = sio__who_init(&who, target);
    if (result != 0) return result;
    result = sio__rooms_result(nsp->adapter->ops->broadcast(nsp->adapter, &who.selector, &target->flags, &message));
    sio__who_clear(&who);
    return result;
}

/* It is encoded when the adapter has given it an offset. */
static int broadcast_with_offset(struct sio_namespace *nsp, const struct sio_target *target,
                                 const struct sio__event_out *event)
{
    size_t size;
    char *json = sio__event_array(event->name, event->args.json, &size);
    if (!json) return EIO_ENOMEM;
    struct rooms_message message = {
        .json = {(const uint8_t *)json, size},
        .attachments = event->args.attachments,
        .attachment_count = event->args.attachment_count,
    };
    int result = broadcast_message(nsp, target, message);
    free(json);
    return result;
}

static int broadcast(struct sio_namespace *nsp, const struct sio_target *target, void *ctx)
{
    const struct sio__event_out *event = ctx;
    struct sio__prepared prepared;
    struct sio__outgoing packet = {
        .type = SIO__EVENT,
        .nsp = {nsp->name, nsp->name_size},
        .name = event->name,
    };
    if (nsp->recovers && (!target->flags.is_volatile || sio__args_end_with_text(event->args)))
        return broadcast_with_offset(nsp, target, event);
    int result = sio__prepare(&prepared, nsp->io->parser, &packet, event->args);
    if (result != 0) return result;
    sio__prepared_set_compress(&prepared, target->flags.compress);
    result = broadcast_message(nsp, target, sio__prepared_message(&prepared));
    sio__prepared_clear(&prepared);
    return result;
}

int sio_emit(struct sio_target target, const char *event, struct sio_args args)
{
    struct sio__event_out out = {eio_str(event), args};
    if (target.error) return target.error;
    if (sio__name_is_reserved(out.name)) return EIO_EINVAL;
    target.nsp->io->stats.emits++;
    if (!target.only) return sio__target_each_namespace(&target, broadcast, &out);
    bool is_direct = !target.nsp->recovers || (target.flags.local && !sio__args_end_with_text(args));
    if (!is_direct && target.only->state == SIO__S_CONNECTED) return broadcast(target.nsp, &target, &out);
    struct sio__outgoing packet = {.type = SIO__EVENT, .name = out.name};
    int result = sio__socket_send(target.only, &packet, args, &target.flags);
    if (result == 0) target.nsp->io->stats.deliveries++;
    return result;
}

/* ------------------------------------------------------------------- packed */

char *sio__pack(const char *format, va_list values, struct sio_args *args)
{
    size_t n = strlen(format);
    char *list_format = malloc(n + 3);
    if (!list_format) return NULL;
    snprintf(list_format, n + 3, "[%s]", format);
    json_t *list = json_vpack_ex(NULL, 0, list_format, values);
    free(list_format);
    char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (text) *args = (struct sio_args){{text + 1, strlen(text) - 2}, NULL, 0};
    return text;
}

int sio_emit_pack(struct sio_target target, const char *event, const char *format, ...)
{
    struct sio_args args;
    va_list values;
    va_start(values, format);
    char *text = sio__pack(format, values, &args);
    va_end(values);
    if (!text) return EIO_EINVAL;
    int result = sio_emit(target, event, args);
    free(text);
    return result;
}
