/* Targets: values that describe who an emit is for, and the selectors made of them. */
#include "sio_emit.h"
#include "sio_socket.h"
#include "sio_server.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- building */

static struct sio_target target_of(struct sio_namespace *nsp)
{
    return (struct sio_target){.nsp = nsp, .flags = {.compress = true}, .error = nsp ? 0 : EIO_EINVAL};
}

struct sio_target sio_all(struct sio_namespace *nsp)
{
    return target_of(nsp);
}

struct sio_target sio_only(struct sio_socket *socket)
{
    struct sio_target target = target_of(socket->nsp);
    target.only = socket;
    return target;
}

struct sio_target sio_broadcast(const struct sio_socket *socket)
{
    struct sio_target target = target_of(socket->nsp);
    target.but = socket;
    return target;
}

/* How many of names[] are in use. */
static size_t inline_count(const struct sio_target *target)
{
    return (target->rooms ? 0 : target->room_count) + (target->except ? 0 : target->except_count);
}

/* Brings a caller's list into names[], from the front or from the back. */
static bool take_inline(struct sio_target *target, const struct rooms_name *names, size_t count, bool back)
{
    if (count > SIO_TARGET_NAMES - inline_count(target)) return false;
    for (size_t i = 0; i < count; i++) {
        size_t at = back ? SIO_TARGET_NAMES - 1 - target->except_count++ : target->room_count++;
        target->names[at] = names[i];
    }
    return true;
}

/* A list given as a whole, before another name is added to it. */
static bool make_inline(struct sio_target *target, bool back)
{
    const struct rooms_name **list = back ? &target->except : &target->rooms;
    size_t *count = back ? &target->except_count : &target->room_count;
    if (!*list) return true;
    const struct rooms_name *names = *list;
    size_t names_count = *count;
    *list = NULL;
    *count = 0;
    return take_inline(target, names, names_count, back);
}

static void add_names(struct sio_target *target, const struct rooms_name *names, size_t count, bool back)
{
    const struct rooms_name **list = back ? &target->except : &target->rooms;
    size_t *have = back ? &target->except_count : &target->room_count;
    if (target->error || count == 0) return;
    if (target->only) {
        target->error = EIO_EINVAL;
    } else if (*have == 0 && count > 1) {
        *list = names;
        *have = count;
    } else if (!make_inline(target, back) || !take_inline(target, names, count, back)) {
        target->error = EIO_EINVAL;
    }
}

struct sio_target sio_to_all(struct sio_target target, const struct rooms_name *rooms, size_t count)
{
    add_names(&target, rooms, count, false);
    return target;
}

struct sio_target sio_to_name(struct sio_target target, struct eio_str room)
{
    return sio_to_all(target, &(struct rooms_name){room.p, room.n}, 1);
}

struct sio_target sio_to(struct sio_target target, const char *room)
{
    return sio_to_name(target, eio_str(room));
}

struct sio_target sio_except_all(struct sio_target target, const struct rooms_name *rooms, size_t count)
{
    add_names(&target, rooms, count, true);
    return target;
}

struct sio_target sio_except_name(struct sio_target target, struct eio_str room)
{
    return sio_except_all(target, &(struct rooms_name){room.p, room.n}, 1);
}

struct sio_target sio_except(struct sio_target target, const char *room)
{
    return sio_except_name(target, eio_str(room));
}

struct sio_target sio_local(struct sio_target target)
{
    target.flags.local = true;
    return target;
}

struct sio_target sio_volatile(struct sio_target target)
{
    target.flags.is_volatile = true;
    return target;
}

struct sio_target sio_compress(struct sio_target target, bool compress)
{
    target.flags.compress = compress;
    return target;
}

struct sio_target sio_timeout(struct sio_target target, uint32_t ms)
{
    target.flags.timeout_ms = ms;
    return target;
}

/* --------------------------------------------------------------- selecting */

int sio__who_init(struct sio__who *who, const struct sio_target *target)
{
    const struct rooms_name *except =
        target->except ? target->except : target->names + SIO_TARGET_NAMES - target->except_count;
    who->except_heap = NULL;
    who->selector = (struct rooms_selector){
        .rooms = target->rooms ? target->rooms : target->names,
        .room_count = target->room_count,
        .except = except,
        .except_count = target->except_count,
    };
    if (target->only) {
        who->only = sio__socket_name(target->only);
        who->selector.rooms = &who->only;
        who->selector.room_count = 1;
    }
    if (!target->but) return 0;
    size_t count = target->except_count + 1;
    struct rooms_name *names = who->except_inline;
    if (count > SIO_TARGET_NAMES + 1) names = who->except_heap = malloc(count * sizeof *names);
    if (!names) return EIO_ENOMEM;
    names[0] = sio__socket_name(target->but);
    if (count > 1) memcpy(names + 1, except, (count - 1) * sizeof *names);
    who->selector.except = names;
    who->selector.except_count = count;
    return 0;
}

void sio__who_clear(struct sio__who *who)
{
    free(who->except_heap);
}

int sio__target_each_namespace(const struct sio_target *target,
                               int (*fn)(struct sio_namespace *nsp, const struct sio_target *target, void *ctx),
                               void *ctx)
{
    if (target->error) return target->error;
    if (target->nsp->index) return fn(target->nsp, target, ctx);
    int result = 0;
    for (struct sio_namespace *child = target->nsp->io->first_namespace; child && result == 0; child = child->next)
        if (child->parent == target->nsp) result = fn(child, target, ctx);
    return result;
}

int sio__rooms_result(int error)
{
    switch (error) {
    case ROOMS_OK:
        return 0;
    case ROOMS_ENOMEM:
        return EIO_ENOMEM;
    case ROOMS_ELIMIT:
        return EIO_ETOOBIG;
    case ROOMS_EEXIST:
        return EIO_EEXIST;
    case ROOMS_ETIMEOUT:
        return EIO_EAGAIN;
    default:
        return EIO_EINVAL;
    }
}
