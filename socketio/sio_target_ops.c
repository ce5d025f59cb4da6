/* What else is done by target: join, leave, disconnect, fetch, and what concerns whole servers. */
#include "sio_emit.h"
#include "sio_namespace.h"
#include "sio_socket.h"

#include <stdlib.h>
#include <string.h>

struct change {
    const struct rooms_name *rooms;
    size_t count;
    bool close;
    int (*apply)(struct sio_namespace *nsp, const struct sio__who *who, const struct sio_target *target,
                 const struct change *change);
};

static int apply_join(struct sio_namespace *nsp, const struct sio__who *who, const struct sio_target *target,
                      const struct change *change)
{
    struct rooms_adapter *adapter = nsp->adapter;
    return adapter->ops->join(adapter, &who->selector, &target->flags, change->rooms, change->count);
}

static int apply_leave(struct sio_namespace *nsp, const struct sio__who *who, const struct sio_target *target,
                       const struct change *change)
{
    struct rooms_adapter *adapter = nsp->adapter;
    return adapter->ops->leave(adapter, &who->selector, &target->flags, change->rooms, change->count);
}

static int apply_disconnect(struct sio_namespace *nsp, const struct sio__who *who, const struct sio_target *target,
                            const struct change *change)
{
    struct rooms_adapter *adapter = nsp->adapter;
    return adapter->ops->disconnect(adapter, &who->selector, &target->flags, change->close);
}

static int change_one(struct sio_namespace *nsp, const struct sio_target *target, void *ctx)
{
    const struct change *change = ctx;
    struct sio__who who;
    int result = sio__who_init(&who, target);
    if (result != 0) return result;
    result = sio__rooms_result(change->apply(nsp, &who, target, change));
    sio__who_clear(&who);
    return result;
}

int sio_target_join(struct sio_target target, const struct rooms_name *rooms, size_t count)
{
    return sio__target_each_namespace(&target, change_one, &(struct change){rooms, count, false, apply_join});
}

int sio_target_leave(struct sio_target target, const struct rooms_name *rooms, size_t count)
{
    return sio__target_each_namespace(&target, change_one, &(struct change){rooms, count, false, apply_leave});
}

int sio_target_disconnect(struct sio_target target, bool close)
{
    return sio__target_each_namespace(&target, change_one, &(struct change){NULL, 0, close, apply_disconnect});
}

/* --------------------------------------------------------------- each local */

struct each {
    sio_socket_fn fn;
    void *ctx;
};

static void call_one(void *ctx, struct rooms_member *member)
{
    const struct each *each = ctx;
    struct sio_socket *socket = sio__socket_of(member);
    if (sio_socket_is_connected(socket)) each->fn(socket, each->ctx);
}

static int each_in(struct sio_namespace *nsp, const struct sio_target *target, void *ctx)
{
    struct sio__who who;
    int result = sio__who_init(&who, target);
    if (result != 0) return result;
    long called = rooms_each(nsp->index, &who.selector, call_one, ctx);
    sio__who_clear(&who);
    return called < 0 ? sio__rooms_result((int)called) : 0;
}

int sio_target_each_local(struct sio_target target, sio_socket_fn fn, void *ctx)
{
    return sio__target_each_namespace(&target, each_in, &(struct each){fn, ctx});
}

/* -------------------------------------------------------------- collecting */

/* A list that other nodes add to. */
struct collecting {
    struct sio_builder list;
    sio_answers_fn done;
    void *ctx;
};

static struct collecting *collecting_new(sio_answers_fn done, void *ctx)
{
    struct collecting *collecting = calloc(1, sizeof *collecting);
    if (!collecting) return NULL;
    sio_builder_init(&collecting->list);
    collecting->done = done;
    collecting->ctx = ctx;
    return collecting;
}

static void collecting_free(struct collecting *collecting)
{
    sio_builder_clear(&collecting->list);
    free(collecting);
}

static void collect_socket(void *ctx, struct rooms_bytes json)
{
    struct collecting *collecting = ctx;
    sio_builder_raw(&collecting->list, (struct eio_str){(const char *)json.p, json.n});
}

static void collect_answer(void *ctx, const struct rooms_message *args)
{
    struct collecting *collecting = ctx;
    struct eio_str first = sio_args_at(sio__args_of_message(args), 0);
    if (args->attachment_count) {
        eio_log(EIO_LOG_WARN, "a server's response has attachments, which are not supported; replaced by null");
        first.n = 0;
    }
    if (first.n)
        sio_builder_raw(&collecting->list, first);
    else
        sio_builder_null(&collecting->list);
}

static void collected(void *ctx, int error)
{
    struct collecting *collecting = ctx;
    int result = error ? sio__rooms_result(error) : collecting->list.error;
    if (collecting->done) collecting->done(collecting->ctx, result, sio_builder_args(&collecting->list));
    collecting_free(collecting);
}

int sio_target_fetch(struct sio_target target, sio_answers_fn done, void *ctx)
{
    struct sio__who who;
    if (target.error) return target.error;
    if (!target.nsp->index || !done) return EIO_EINVAL; /* parents: as the reference */
    struct collecting *collecting = collecting_new(done, ctx);
    if (!collecting) return EIO_ENOMEM;
    int result = sio__who_init(&who, &target);
    if (result == 0) {
        struct rooms_adapter *adapter = target.nsp->adapter;
        result = sio__rooms_result(
            adapter->ops->fetch(adapter, &who.selector, &target.flags, collect_socket, collected, collecting));
        sio__who_clear(&who);
    }
    if (result != 0) collecting_free(collecting);
    return result;
}

/* ----------------------------------------------------------------- servers */

static int server_side_emit(struct sio_namespace *nsp, struct eio_str json, const struct sio_args *args,
                            struct collecting *collecting)
{
    struct rooms_adapter *adapter = nsp->adapter;
    struct rooms_flags flags = {.compress = true};
    struct rooms_message message = {
        .json = {(const uint8_t *)json.p, json.n},
        .attachments = args->attachments,
        .attachment_count = args->attachment_count,
    };
    return sio__rooms_result(adapter->ops->server_side_emit(
        adapter, &flags, &message, collecting ? collect_answer : NULL, collecting ? collected : NULL, collecting));
}

int sio_server_side_emit(struct sio_namespace *nsp, const char *event, struct sio_args args, sio_answers_fn done,
                         void *ctx)
{
    if (!nsp->index) return EIO_EINVAL;
    struct sio_builder json;
    sio_builder_init(&json);
    sio_builder_put(&json, "[");
    sio_builder_put_text(&json, event, strlen(event));
    if (args.json.n) {
        sio_builder_put(&json, ",");
        sio_builder_put_slice(&json, sio_args_none(), args.json);
    }
    sio_builder_put(&json, "]");
    struct collecting *collecting = done ? collecting_new(done, ctx) : NULL;
    int result = json.error ? json.error : done && !collecting ? EIO_ENOMEM : 0;
    if (result == 0) result = server_side_emit(nsp, sio_builder_args(&json).json, &args, collecting);
    if (result != 0 && collecting) collecting_free(collecting);
    sio_builder_clear(&json);
    return result;
}

struct counting {
    void (*result)(void *ctx, int error, size_t servers);
    void *ctx;
};

static void on_counted(void *ctx, int error, size_t servers)
{
    struct counting counting = *(struct counting *)ctx;
    free(ctx);
    counting.result(counting.ctx, sio__rooms_result(error), servers);
}

int sio_server_count(struct sio_namespace *nsp, void (*result)(void *ctx, int error, size_t servers), void *ctx)
{
    if (!nsp->index || !result) return EIO_EINVAL;
    struct counting *counting = malloc(sizeof *counting);
    if (!counting) return EIO_ENOMEM;
    *counting = (struct counting){result, ctx};
    int error = nsp->adapter->ops->server_count(nsp->adapter, on_counted, counting);
    if (error) free(counting);
    return sio__rooms_result(error);
}
