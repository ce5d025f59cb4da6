/* What pages ask for: emit, join, leave, disconnect, for a namespace, or in it for a room or a socket. What is not
 * understood is never done to more sockets than it names: it is not done. */
#include "adminui_int.h"

#include <string.h>

struct action {
    const char *name;
    /* Positions of the arguments; the namespace is at 0. */
    size_t filter;
    int (*run)(const struct action *action, struct sio_target target, struct sio_args args);
};

/* ---------------------------------------------------------------- carry out */

static int run_emit(const struct action *action, struct sio_target target, struct sio_args args)
{
    char event[ADMINUI__NAME_SIZE];
    (void)action;
    int size = sio_args_text(args, 2, event, sizeof event);
    return size < 0 ? size : sio_emit(target, event, sio_args_skip(args, 3));
}

static int change_rooms(struct sio_target target, struct sio_args args,
                        int (*change)(struct sio_target target, const struct rooms_name *rooms, size_t count))
{
    char room[ADMINUI__NAME_SIZE];
    int size = sio_args_text(args, 1, room, sizeof room);
    if (size <= 0) return size ? size : EIO_EINVAL;
    struct rooms_name name = {room, (size_t)size};
    return change(target, &name, 1);
}

static int run_join(const struct action *action, struct sio_target target, struct sio_args args)
{
    (void)action;
    return change_rooms(target, args, sio_target_join);
}

static int run_leave(const struct action *action, struct sio_target target, struct sio_args args)
{
    (void)action;
    return change_rooms(target, args, sio_target_leave);
}

static int run_disconnect(const struct action *action, struct sio_target target, struct sio_args args)
{
    struct eio_str close = sio_args_at(args, 1);
    (void)action;
    if (!eio_str_is(close, "true") && !eio_str_is(close, "false") && !eio_str_is(close, "null") && close.n)
        return EIO_EINVAL;
    return sio_target_disconnect(target, eio_str_is(close, "true"));
}

static const struct action actions[] = {
    {"emit", 1, run_emit},
    {"join", 2, run_join},
    {"leave", 2, run_leave},
    {"_disconnect", 2, run_disconnect},
};
enum { ACTIONS = sizeof actions / sizeof actions[0] };

/* 1: there is a filter, 0: everybody is meant, negative: it is not understood. */
static int read_filter(struct sio_args args, size_t at, char *filter, size_t size)
{
    struct eio_str raw = sio_args_at(args, at);
    if (!raw.n || eio_str_is(raw, "null") || eio_str_is(raw, "\"\"") || eio_str_is(raw, "false")) return 0;
    int n = sio_args_text(args, at, filter, size);
    return n > 0 ? 1 : EIO_EINVAL;
}

static int run_action(struct sio_namespace *nsp, bool is_local, const struct action *action, struct sio_args args)
{
    char filter[ADMINUI__NAME_SIZE];
    int filtered = read_filter(args, action->filter, filter, sizeof filter);
    if (filtered < 0) return filtered;
    struct sio_target target = sio_all(nsp);
    if (filtered) target = sio_to(target, filter);
    return action->run(action, is_local ? sio_local(target) : target, args);
}

/* ------------------------------------------------------------------- asked */

/* Namespaces that only other nodes have are not made here: each of the others looks for itself. */
static int pass_on(struct adminui *adminui, const struct action *action, struct sio_args args)
{
    struct sio_builder out;
    sio_builder_init(&out);
    sio_builder_text(&out, "act", 3);
    sio_builder_text(&out, action->name, strlen(action->name));
    if (args.json.n) sio_builder_slice(&out, args, args.json);
    int error = out.error;
    adminui__send_to_nodes(adminui, &out);
    return error;
}

static void on_action(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct adminui *adminui = ctx;
    char name[ADMINUI__NAME_SIZE];
    const struct action *action = NULL;
    if (!sio_socket_user(socket)) return;
    for (size_t i = 0; i < ACTIONS; i++)
        if (eio_str_is(event->name, actions[i].name)) action = &actions[i];
    int error = sio_args_text(event->args, 0, name, sizeof name);
    struct sio_namespace *nsp = error < 0 ? NULL : adminui__find_namespace(adminui->io, name);
    if (nsp)
        error = run_action(nsp, false, action, event->args);
    else if (error >= 0)
        error = pass_on(adminui, action, event->args);
    if (error < 0)
        adminui->stats.actions_refused++;
    else
        adminui->stats.actions++;
}

void adminui__act_here(struct adminui *adminui, struct sio_args args)
{
    char name[ADMINUI__NAME_SIZE], word[16];
    struct sio_args rest = sio_args_skip(args, 1);
    if (sio_args_text(args, 0, word, sizeof word) < 0 || sio_args_text(rest, 0, name, sizeof name) < 0) return;
    struct sio_namespace *nsp = adminui__find_namespace(adminui->io, name);
    for (size_t i = 0; nsp && i < ACTIONS; i++)
        if (strcmp(word, actions[i].name) == 0) run_action(nsp, true, &actions[i], rest);
}

int adminui__actions_open(struct adminui *adminui)
{
    int error = 0;
    for (size_t i = 0; i < ACTIONS && !error; i++) error = sio_on(adminui->nsp, actions[i].name, on_action, adminui);
    return error;
}
