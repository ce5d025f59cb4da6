/* Requests of other nodes and of emitters. Malformed ones are counted and ignored. Those of old versions concern one
 * socket, by "sid". */
#include "rooms_classic_int.h"

#include <stdlib.h>
#include <string.h>

enum { ASKED_TIMEOUT_MAX_MS = 3600000 };

/* A broadcast with acks of another node, while sockets here answer. */
struct classic_asked {
    struct classic *classic;
    struct classic_asked *prev, *next;
    struct base_timer timer;
    bool is_late;
    size_t clients, acks;
    struct rooms_name channel; /* where the answers go */
    struct rooms_bytes request_id;
    char text[];
};

static void ignore_message(struct classic *classic, const char *why)
{
    rooms__redis_ignored(classic->redis, why);
}

/* ------------------------------------------------------------- the channel */

/* Where answers to the request go; *memory is to be freed. p NULL: nowhere. */
static struct rooms_name answer_channel(const struct classic *classic, const struct rooms__classic_message *message,
                                        char **memory)
{
    struct rooms_bytes uid = message->field[ROOMS__CLASSIC_F_UID];
    struct rooms_name shared = classic->responses;
    *memory = NULL;
    if (!classic->options->specific_response_channel || !rooms__json_is_text(uid)) return shared;
    *memory = malloc(shared.n + uid.n + 1);
    if (!*memory) return (struct rooms_name){NULL, 0};
    memcpy(*memory, shared.p, shared.n);
    size_t n = shared.n + (size_t)rooms__json_text(uid, *memory + shared.n);
    (*memory)[n] = '#';
    return (struct rooms_name){*memory, n + 1};
}

/* Publishes what was put into the payload. */
static void publish_answer(struct classic *classic, const struct rooms__classic_message *message)
{
    char *memory;
    struct rooms_name channel = answer_channel(classic, message, &memory);
    if (!channel.p || rooms__classic_publish(classic, channel) != 0)
        rooms__redis_log(classic->redis, ROOMS_LOG_WARN, "cannot answer a request in %s", classic->nsp.p);
    free(memory);
}

/* ------------------------------------------------------------------- lists */

struct list {
    struct rooms_packer *packer;
    struct rooms_index *index;
    bool any;
    bool only_ids;
};

static void put_comma(struct list *list)
{
    if (list->any) rooms__put(list->packer, ",");
    list->any = true;
}

static void put_socket(void *ctx, struct rooms_bytes json)
{
    struct list *list = ctx;
    put_comma(list);
    rooms__put_bytes(list->packer, json.p, json.n);
}

static void put_member(void *ctx, struct rooms_member *member)
{
    struct list *list = ctx;
    struct rooms_name id = {member->id, member->id_size};
    if (!list->only_ids && !rooms_is_in(list->index, member, id)) return; /* it left its own room */
    put_comma(list);
    rooms__put_text(list->packer, id);
}

static void put_room(void *ctx, struct rooms_room *room)
{
    struct list *list = ctx;
    if (rooms_member_find(list->index, rooms_room_name(room))) return; /* already listed as a socket's own room */
    put_comma(list);
    rooms__put_text(list->packer, rooms_room_name(room));
}

static struct list begin_list(struct classic *classic, const struct rooms__classic_message *message, const char *name)
{
    struct list list = {.packer = rooms__classic_begin(classic), .index = classic->adapter.local.index};
    rooms__classic_put_answer_list(list.packer, message->field[ROOMS__CLASSIC_F_REQUEST_ID], name);
    return list;
}

static void answer_sockets(struct classic *classic, const struct rooms__classic_message *message)
{
    struct rooms__names rooms;
    if (rooms__names_of_json(&rooms, message->field[ROOMS__CLASSIC_F_ROOMS]) != 0) {
        ignore_message(classic, "malformed request: `rooms` is not a list");
        return;
    }
    const struct rooms_selector who = {rooms.names, rooms.count, NULL, 0};
    struct list list = begin_list(classic, message, "sockets");
    list.only_ids = true;
    rooms_each_unchanged(list.index, &who, put_member, &list);
    rooms__classic_end_answer_list(list.packer);
    rooms__names_clear(&rooms);
    publish_answer(classic, message);
}

static void answer_all_rooms(struct classic *classic, const struct rooms__classic_message *message)
{
    const struct rooms_selector everybody = {0};
    struct list list = begin_list(classic, message, "rooms");
    rooms_each_unchanged(list.index, &everybody, put_member, &list);
    rooms_each_room(list.index, put_room, &list);
    rooms__classic_end_answer_list(list.packer);
    publish_answer(classic, message);
}

static void answer_fetch(struct classic *classic, const struct rooms__classic_message *message,
                         const struct rooms__classic_opts *opts)
{
    const struct rooms_local *local = &classic->adapter.local;
    struct rooms_selector who = rooms__classic_selector(opts);
    struct list list = begin_list(classic, message, "sockets");
    local->fetch(local->ctx, &who, put_socket, &list);
    rooms__classic_end_answer_list(list.packer);
    publish_answer(classic, message);
}

/* ----------------------------------------------------------------- changes */

static void change_rooms(struct classic *classic, const struct rooms__classic_message *message,
                         const struct rooms_selector *who, const struct rooms__names *rooms)
{
    const struct rooms_local *local = &classic->adapter.local;
    if (message->type == ROOMS__CLASSIC_JOIN)
        local->join(local->ctx, who, rooms->names, rooms->count);
    else if (message->type == ROOMS__CLASSIC_LEAVE)
        local->leave(local->ctx, who, rooms->names, rooms->count);
    else
        local->disconnect(local->ctx, who, rooms__json_is(message->field[ROOMS__CLASSIC_F_CLOSE], "true"));
}

static void change_selected(struct classic *classic, const struct rooms__classic_message *message,
                            const struct rooms__classic_opts *opts)
{
    struct rooms_selector who = rooms__classic_selector(opts);
    struct rooms__names rooms;
    if (rooms__names_of_json(&rooms, message->field[ROOMS__CLASSIC_F_ROOMS]) != 0) {
        ignore_message(classic, "malformed request: `opts.rooms` is not a list");
        return;
    }
    change_rooms(classic, message, &who, &rooms);
    rooms__names_clear(&rooms);
}

/* One value as a list of names. */
static int one_name(struct rooms__names *names, struct rooms_bytes value)
{
    *names = (struct rooms__names){.names = calloc(1, sizeof *names->names), .text = malloc(value.n + 1), .count = 1};
    if (!names->names || !names->text) {
        rooms__names_clear(names);
        return ROOMS_ENOMEM;
    }
    long n = rooms__json_text(value, names->text);
    bool is_number = n < 0 && value.n > 0 && strchr("-0123456789", value.p[0]);
    names->names[0] = is_number ? (struct rooms_name){(const char *)value.p, value.n}
                                : (struct rooms_name){names->text, n > 0 ? (size_t)n : 0};
    return ROOMS_OK;
}

/* Old versions: the node that has the socket does it and responds. */
static void change_one(struct classic *classic, const struct rooms__classic_message *message)
{
    struct rooms_bytes request_id = message->field[ROOMS__CLASSIC_F_REQUEST_ID];
    struct rooms__names sid, room;
    if (one_name(&sid, message->field[ROOMS__CLASSIC_F_SID]) != 0) return;
    if (rooms_member_find(classic->adapter.local.index, sid.names[0]) &&
        one_name(&room, message->field[ROOMS__CLASSIC_F_ROOM]) == 0) {
        const struct rooms_selector who = {sid.names, 1, NULL, 0};
        change_rooms(classic, message, &who, &room);
        rooms__names_clear(&room);
        if (request_id.n > 0) {
            rooms__classic_put_done(rooms__classic_begin(classic), request_id);
            publish_answer(classic, message);
        }
    }
    rooms__names_clear(&sid);
}

/* ------------------------------------------------------ server-side events */

/* An answer that is owed to another server. */
struct classic_owed {
    struct classic *classic;
    struct classic_owed *prev, *next;
    bool *answered; /* while the handlers run, to be set when they answer */
    size_t size;
    uint8_t request_id[];
};

static struct classic_owed *owed_new(struct classic *classic, struct rooms_bytes request_id)
{
    struct classic_owed *owed = malloc(sizeof *owed + request_id.n);
    if (!owed) return NULL;
    *owed = (struct classic_owed){.classic = classic, .next = classic->first_owed, .size = request_id.n};
    memcpy(owed->request_id, request_id.p, request_id.n);
    if (owed->next) owed->next->prev = owed;
    classic->first_owed = owed;
    return owed;
}

static void owed_free(struct classic_owed *owed)
{
    *(owed->prev ? &owed->prev->next : &owed->classic->first_owed) = owed->next;
    if (owed->next) owed->next->prev = owed->prev;
    free(owed);
}

/* The official adapter answers these on the shared channel, whatever its options. */
static void answer_server_side(void *ctx, const struct rooms_message *args)
{
    struct classic_owed *owed = ctx;
    struct classic *classic = owed->classic;
    if (owed->answered) *owed->answered = true;
    rooms__classic_put_server_side_answer(rooms__classic_begin(classic),
                                          (struct rooms_bytes){owed->request_id, owed->size}, args);
    rooms__classic_publish(classic, classic->responses);
    owed_free(owed);
}

static void take_server_side_event(struct classic *classic, const struct rooms__classic_message *message)
{
    const struct rooms_local *local = &classic->adapter.local;
    struct rooms_bytes data = message->field[ROOMS__CLASSIC_F_DATA];
    struct rooms_bytes request_id = message->field[ROOMS__CLASSIC_F_REQUEST_ID];
    struct classic_owed *owed = NULL;
    bool answered = false;
    if (!rooms__json_is_array(data)) {
        ignore_message(classic, "malformed server-side event: `data` is not a list");
        return;
    }
    if (request_id.n > 0) {
        owed = owed_new(classic, request_id);
        if (!owed) return;
        owed->answered = &answered;
    }
    struct rooms_message args = rooms__classic_event(data, &message->decoded);
    bool is_owed = local->server_side_event(local->ctx, &args, owed ? answer_server_side : NULL, owed);
    if (!owed || answered) return;
    owed->answered = NULL;
    if (!is_owed) owed_free(owed);
}

/* -------------------------------------------------------------------- acks */

static void asked_free(struct classic_asked *asked)
{
    base_timer_clear(&asked->timer);
    *(asked->prev ? &asked->prev->next : &asked->classic->first_asked) = asked->next;
    if (asked->next) asked->next->prev = asked->prev;
    asked->classic->asked_count--;
    free(asked);
}

/* Sockets here have until now to answer, on a clock of their own, so the memory stays for a while. */
static void on_asked_timer(void *ctx)
{
    struct classic_asked *asked = ctx;
    if (asked->is_late) {
        asked_free(asked);
        return;
    }
    asked->is_late = true;
    base_timer_start(&asked->timer, CLASSIC_LINGER_MS);
}

static void on_clients(void *ctx, size_t count)
{
    struct classic_asked *asked = ctx;
    asked->clients = count;
    rooms__classic_put_client_count(rooms__classic_begin(asked->classic), asked->request_id, count);
    rooms__classic_publish(asked->classic, asked->channel);
    if (count == 0) asked_free(asked);
}

static void on_counted(void *ctx)
{
    (void)ctx; /* other servers speak for themselves */
}

static void on_ack(void *ctx, const struct rooms_message *args)
{
    struct classic_asked *asked = ctx;
    if (!asked->is_late) {
        rooms__classic_put_ack(rooms__classic_begin(asked->classic), asked->request_id, args);
        rooms__classic_publish(asked->classic, asked->channel);
    }
    if (++asked->acks >= asked->clients) asked_free(asked);
}

/* NULL: no memory, or too many. */
static struct classic_asked *asked_new(struct classic *classic, const struct rooms__classic_message *message,
                                       uint32_t timeout_ms)
{
    struct rooms_bytes id = message->field[ROOMS__CLASSIC_F_REQUEST_ID];
    char *memory;
    struct rooms_name channel = answer_channel(classic, message, &memory);
    bool room = channel.p && classic->asked_count < classic->options->max_requests;
    struct classic_asked *asked = room ? calloc(1, sizeof *asked + id.n + channel.n) : NULL;
    if (asked &&
        base_timer_init(&asked->timer, rooms__redis_timers(classic->redis), on_asked_timer, asked) != BASE_OK) {
        free(asked);
        asked = NULL;
    }
    if (asked) {
        memcpy(asked->text, id.p, id.n);
        memcpy(asked->text + id.n, channel.p, channel.n);
        asked->request_id = (struct rooms_bytes){(const uint8_t *)asked->text, id.n};
        asked->channel = (struct rooms_name){asked->text + id.n, channel.n};
        asked->classic = classic;
        asked->next = classic->first_asked;
        if (asked->next) asked->next->prev = asked;
        classic->first_asked = asked;
        classic->asked_count++;
        base_timer_start(&asked->timer, timeout_ms);
    }
    free(memory);
    return asked;
}

static void take_ask(struct classic *classic, const struct rooms__classic_message *message,
                     const struct rooms__classic_opts *opts)
{
    const struct rooms_local *local = &classic->adapter.local;
    struct rooms_selector who = rooms__classic_selector(opts);
    struct rooms_flags flags = opts->flags;
    struct rooms_bytes data = rooms__classic_packet_data(message);
    if (data.n == 0) {
        ignore_message(classic, "malformed broadcast with acks: the arguments are not a list");
        return;
    }
    if (flags.timeout_ms == 0) flags.timeout_ms = classic->options->request_timeout_ms;
    if (flags.timeout_ms > ASKED_TIMEOUT_MAX_MS) flags.timeout_ms = ASKED_TIMEOUT_MAX_MS;
    struct classic_asked *asked = asked_new(classic, message, flags.timeout_ms);
    if (!asked) {
        rooms__redis_log(classic->redis, ROOMS_LOG_WARN,
                         "too many broadcasts with acks are pending; one was not delivered");
        return;
    }
    struct rooms_message event = rooms__classic_event(data, &message->decoded);
    const struct rooms_ack_sink sink = {on_clients, on_counted, on_ack, asked};
    local->deliver_with_ack(local->ctx, &who, &flags, &event, &sink);
}

void rooms__classic_asked_free(struct classic *classic)
{
    while (classic->first_asked) asked_free(classic->first_asked);
    while (classic->first_owed) owed_free(classic->first_owed);
}

/* ---------------------------------------------------------------- dispatch */

static void take_selected(struct classic *classic, const struct rooms__classic_message *message)
{
    struct rooms__classic_opts opts;
    if (rooms__classic_read_opts(message, &opts) != 0) {
        ignore_message(classic, "malformed request: neither a socket id nor rooms are given");
        return;
    }
    if (message->type == ROOMS__CLASSIC_FETCH)
        answer_fetch(classic, message, &opts);
    else if (message->type == ROOMS__CLASSIC_BROADCAST)
        take_ask(classic, message, &opts);
    else
        change_selected(classic, message, &opts);
    rooms__classic_opts_clear(&opts);
}

static void serve_request(struct classic *classic, const struct rooms__classic_message *message)
{
    bool has_id = message->field[ROOMS__CLASSIC_F_REQUEST_ID].n > 0;
    bool asks = message->type <= ROOMS__CLASSIC_ALL_ROOMS || message->type == ROOMS__CLASSIC_FETCH ||
                message->type == ROOMS__CLASSIC_BROADCAST;
    if (asks && !has_id) {
        ignore_message(classic, "malformed request: an answer is expected, but the request id is missing");
        return;
    }
    switch (message->type) {
    case ROOMS__CLASSIC_SOCKETS:
        answer_sockets(classic, message);
        return;
    case ROOMS__CLASSIC_ALL_ROOMS:
        answer_all_rooms(classic, message);
        return;
    case ROOMS__CLASSIC_JOIN:
    case ROOMS__CLASSIC_LEAVE:
    case ROOMS__CLASSIC_DISCONNECT:
        if (message->field[ROOMS__CLASSIC_F_OPTS].n == 0 && message->field[ROOMS__CLASSIC_F_SID].n > 0) {
            change_one(classic, message);
            return;
        }
        take_selected(classic, message);
        return;
    case ROOMS__CLASSIC_FETCH:
    case ROOMS__CLASSIC_BROADCAST:
        take_selected(classic, message);
        return;
    case ROOMS__CLASSIC_SERVER_SIDE_EMIT:
        take_server_side_event(classic, message);
        return;
    default:
        ignore_message(classic, "unknown type of request");
    }
}

void rooms__classic_on_request(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct classic *classic = ctx;
    struct rooms__classic_message message;
    (void)channel;
    if (rooms__classic_read(payload, &message)) {
        ignore_message(classic, "malformed request");
        return;
    }
    if (!rooms__json_text_is(message.field[ROOMS__CLASSIC_F_UID], classic_uid(classic)))
        serve_request(classic, &message);
    rooms__classic_clear(&message);
}
