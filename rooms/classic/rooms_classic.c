/* The adapter that speaks with @socket.io/redis-adapter 8: channels, broadcasts, and changes that concern sockets of
 * several nodes. Questions and their answers are in rooms_classic_ask.c and rooms_classic_answer.c.
 *
 * Everything that concerns sockets here is done here and at once, whatever Redis does; what comes back from Redis with
 * our own uid is passed over. The official adapter waits for its own joins, leaves and disconnects to come back, and
 * does them then: a difference that no other node can see, except that ours also work while Redis is away. */
#include "rooms_classic_int.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_PAYLOAD_BYTES 65536

/* A room with members here, and the subscription to its channel. */
struct listening {
    struct rooms__redis_subscription subscription;
    size_t size;
    char room[];
};

static struct rooms_name room_of(const void *item)
{
    const struct listening *listening = item;
    return (struct rooms_name){listening->room, listening->size};
}

static bool is_same_name(struct rooms_name a, struct rooms_name b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

void rooms__classic_random_id(char id[CLASSIC_ID_SIZE + 1])
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t random[CLASSIC_ID_SIZE];
    randombytes_buf(random, sizeof random);
    for (size_t i = 0; i < CLASSIC_ID_SIZE; i++) id[i] = letters[random[i] & 63];
    id[CLASSIC_ID_SIZE] = '\0';
}

/* -------------------------------------------------------------- publishing */

static struct rooms_packer *reuse(struct rooms_packer *packer)
{
    if (packer->error || packer->capacity > KEPT_PAYLOAD_BYTES) rooms_packer_clear(packer);
    packer->size = 0;
    return packer;
}

struct rooms_packer *rooms__classic_begin(struct classic *classic)
{
    return reuse(&classic->payload);
}

int rooms__classic_publish(struct classic *classic, struct rooms_name channel)
{
    const struct rooms_packer *payload = &classic->payload;
    if (classic->is_closing) return ROOMS_OK;
    if (payload->error) return payload->error;
    return rooms__redis_publish(classic->redis, false, channel, (struct rooms_bytes){payload->bytes, payload->size});
}

/* The channel of a room, valid until the next call. p NULL: out of memory. */
static struct rooms_name room_channel(struct classic *classic, struct rooms_name room)
{
    struct rooms_packer *name = reuse(&classic->name);
    rooms__put_bytes(name, classic->channel.p, classic->channel.n);
    rooms__put_bytes(name, room.p, room.n);
    rooms__put(name, "#");
    return (struct rooms_name){name->error ? NULL : (const char *)name->bytes, name->size};
}

/* The official adapter publishes first and then delivers, whether or not publishing succeeded. */
static int classic_broadcast(struct rooms_adapter *adapter, const struct rooms_selector *who,
                             const struct rooms_flags *flags, const struct rooms_message *message)
{
    struct classic *classic = classic_of(adapter);
    int error = ROOMS_OK;
    if (!flags->local && !classic->is_closing) {
        struct rooms__classic_event event = {classic->nsp, who, flags, message};
        rooms__classic_put_broadcast(rooms__classic_begin(classic), classic_uid(classic), &event);
        struct rooms_name channel = who->room_count == 1 ? room_channel(classic, who->rooms[0]) : classic->channel;
        error = channel.p ? rooms__classic_publish(classic, channel) : ROOMS_ENOMEM;
    }
    adapter->local.deliver(adapter->local.ctx, who, flags, message);
    return error;
}

static int publish_change(struct classic *classic, enum rooms__classic_type type, const struct rooms_selector *who,
                          const struct rooms_selector *rooms)
{
    rooms__classic_put_change(rooms__classic_begin(classic), classic_uid(classic), type, who, rooms);
    return rooms__classic_publish(classic, classic->requests);
}

static int classic_join(struct rooms_adapter *adapter, const struct rooms_selector *who,
                        const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count)
{
    const struct rooms_selector list = {rooms, room_count, NULL, 0};
    int error = flags->local ? ROOMS_OK : publish_change(classic_of(adapter), ROOMS__CLASSIC_JOIN, who, &list);
    adapter->local.join(adapter->local.ctx, who, rooms, room_count);
    return error;
}

static int classic_leave(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, const struct rooms_name *rooms, size_t room_count)
{
    const struct rooms_selector list = {rooms, room_count, NULL, 0};
    int error = flags->local ? ROOMS_OK : publish_change(classic_of(adapter), ROOMS__CLASSIC_LEAVE, who, &list);
    adapter->local.leave(adapter->local.ctx, who, rooms, room_count);
    return error;
}

static int classic_disconnect(struct rooms_adapter *adapter, const struct rooms_selector *who,
                              const struct rooms_flags *flags, bool close)
{
    struct classic *classic = classic_of(adapter);
    int error = ROOMS_OK;
    if (!flags->local) {
        rooms__classic_put_disconnect(rooms__classic_begin(classic), classic_uid(classic), who, close);
        error = rooms__classic_publish(classic, classic->requests);
    }
    adapter->local.disconnect(adapter->local.ctx, who, close);
    return error;
}

/* --------------------------------------------------------------- listening */

struct rooms_message rooms__classic_event(struct rooms_bytes json, const struct rooms_decoded *decoded)
{
    return (struct rooms_message){
        .json = json, .attachments = decoded->attachments, .attachment_count = decoded->attachment_count};
}

static bool has_room(struct rooms_index *index, struct rooms_name room)
{
    return rooms_find(index, room) || rooms_member_find(index, room);
}

static bool means_somebody(struct rooms_index *index, const struct rooms__names *rooms)
{
    if (rooms->count == 0) return rooms_member_count(index) > 0;
    for (size_t i = 0; i < rooms->count; i++)
        if (has_room(index, rooms->names[i])) return true;
    return false;
}

static void deliver(struct classic *classic, struct rooms_bytes data, const struct rooms__classic_opts *opts)
{
    static const struct rooms_msgpack_limits limits = {ROOMS_MSGPACK_DEPTH_MAX, ROOMS__ATTACHMENTS_MAX};
    const struct rooms_local *local = &classic->adapter.local;
    struct rooms_decoded decoded;
    struct rooms_msgpack_fault fault;
    if (rooms_msgpack_decode(data.p, data.n, &limits, &decoded, &fault) < 0) {
        rooms__redis_ignored(classic->redis, fault.why);
        return;
    }
    struct rooms_selector who = rooms__classic_selector(opts);
    struct rooms_message message =
        rooms__classic_event((struct rooms_bytes){(const uint8_t *)decoded.json, decoded.json_size}, &decoded);
    local->deliver(local->ctx, &who, &opts->flags, &message);
    rooms_decoded_clear(&decoded);
}

/* Messages of this node, or for rooms without members here, are recognised before the rest is decoded. */
static void take_broadcast(struct classic *classic, struct rooms_bytes payload)
{
    struct rooms__classic_broadcast broadcast;
    struct rooms__classic_opts opts;
    struct rooms_name uid;
    if (rooms__classic_read_uid(payload, &uid) == 0 && uid.p && is_same_name(uid, classic_uid(classic))) return;
    if (rooms__classic_read_broadcast(payload, &broadcast)) {
        rooms__redis_ignored(classic->redis, "malformed broadcast");
        return;
    }
    struct rooms_name root = {"/", 1};
    if (!is_same_name(broadcast.nsp.p ? broadcast.nsp : root, classic->nsp)) return;
    if (rooms__classic_read_broadcast_opts(&broadcast, &opts)) {
        rooms__redis_ignored(classic->redis, "malformed broadcast: `rooms` is not a list");
        return;
    }
    if (means_somebody(classic->adapter.local.index, &opts.rooms)) deliver(classic, broadcast.data, &opts);
    rooms__classic_opts_clear(&opts);
}

static void on_broadcast(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    (void)channel;
    take_broadcast(ctx, payload);
}

/* From a pattern: the channel names the room. Patterns match bytes, so the channel is checked again. */
static void on_some_broadcast(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct classic *classic = ctx;
    struct rooms_name prefix = classic->channel, room;
    if (channel.n < prefix.n || memcmp(channel.p, prefix.p, prefix.n) != 0) return;
    room = (struct rooms_name){channel.p + prefix.n, channel.n - prefix.n};
    if (room.n > 0) {
        room.n--; /* the # behind it */
        if (!has_room(classic->adapter.local.index, room)) return;
    }
    take_broadcast(classic, payload);
}

/* Sockets are rooms too: one pattern covers all names as long as their ids. */
static bool is_heard_by_pattern(const struct classic *classic, struct rooms_name room)
{
    return classic->one_pattern || room.n == CLASSIC_SOCKET_SIZE;
}

static void classic_room_created(struct rooms_adapter *adapter, struct rooms_name room)
{
    struct classic *classic = classic_of(adapter);
    if (is_heard_by_pattern(classic, room)) return;
    struct listening *listening = calloc(1, sizeof *listening + room.n);
    struct rooms_name channel = room_channel(classic, room);
    if (!listening || !channel.p) goto fail;
    listening->subscription.on_message = on_broadcast;
    listening->subscription.ctx = classic;
    listening->size = room.n;
    memcpy(listening->room, room.p, room.n);
    if (rooms__table_insert(&classic->rooms, listening) != 0) goto fail;
    if (rooms__redis_subscribe(classic->redis, &listening->subscription, channel) == 0) return;
    rooms__table_remove(&classic->rooms, listening);
fail:
    rooms__redis_log(classic->redis, ROOMS_LOG_ERROR,
                     "out of memory: not subscribed to a room, which will miss messages of other nodes");
    free(listening);
}

static void classic_room_deleted(struct rooms_adapter *adapter, struct rooms_name room)
{
    struct classic *classic = classic_of(adapter);
    struct listening *listening = rooms__table_find(&classic->rooms, room);
    if (!listening) return;
    rooms__redis_unsubscribe(classic->redis, &listening->subscription);
    rooms__table_remove(&classic->rooms, listening);
    free(listening);
}

static bool classic_hears(struct rooms_adapter *adapter, struct rooms_name room)
{
    struct classic *classic = classic_of(adapter);
    const struct listening *listening = rooms__table_find(&classic->rooms, room);
    return !listening || rooms__redis_is_heard(classic->redis, &listening->subscription);
}

/* Also when Redis is up again: only the connection that publishes may have been away. */
static void on_active(void *ctx)
{
    struct classic *classic = ctx;
    classic->is_active = true;
}

static void on_down(void *ctx)
{
    struct classic *classic = ctx;
    classic->is_active = false;
}

/* ------------------------------------------------------------ making it up */

void rooms__classic_put_escaped(struct rooms_packer *packer, struct rooms_name text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (strchr("*?[]\\^-", text.p[i]) && text.p[i]) rooms__put(packer, "\\");
        rooms__put_bytes(packer, text.p + i, 1);
    }
}

static struct rooms_name part(const struct rooms_packer *packer, size_t begin)
{
    return (struct rooms_name){(const char *)packer->bytes + begin, packer->size - begin};
}

static int subscribe_pattern(struct classic *classic)
{
    static const char socket[] = "????????????????????#";
    struct rooms_packer *name = reuse(&classic->name);
    rooms__classic_put_escaped(name, classic->channel);
    rooms__put(name, classic->one_pattern ? "*" : socket);
    if (name->error) return name->error;
    return rooms__redis_subscribe(classic->redis, &classic->on_sockets, part(name, 0));
}

__attribute__((format(printf, 2, 3))) static int make_name(struct rooms_name *name, const char *format, ...)
{
    char *text;
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (n < 0) return ROOMS_ENOMEM;
    *name = (struct rooms_name){text, (size_t)n};
    return ROOMS_OK;
}

static void free_name(struct rooms_name *name)
{
    char *text = (char *)(uintptr_t)name->p;
    free(text);
    name->p = NULL;
}

static int name_channels(struct classic *classic, const char *nsp)
{
    const char *key = classic->options->key_prefix;
    int error = make_name(&classic->nsp, "%s", nsp);
    if (error == 0) error = make_name(&classic->channel, "%s#%s#", key, nsp);
    if (error == 0) error = make_name(&classic->requests, "%s-request#%s#", key, nsp);
    if (error == 0) error = make_name(&classic->responses, "%s-response#%s#", key, nsp);
    if (error == 0) error = make_name(&classic->own_responses, "%s-response#%s#%s#", key, nsp, classic->uid);
    return error;
}

static void set_listener(struct classic *classic, struct rooms__redis_subscription *subscription,
                         enum rooms__redis_kind kind,
                         void (*fn)(void *ctx, struct rooms_name channel, struct rooms_bytes payload))
{
    subscription->kind = kind;
    subscription->on_message = fn;
    subscription->ctx = classic;
}

/* Requests last: a node that is counted as a server must receive everything. */
static int subscribe(struct classic *classic)
{
    struct rooms_redis *redis = classic->redis;
    int error = subscribe_pattern(classic);
    if (error == 0 && !classic->one_pattern)
        error = rooms__redis_subscribe(redis, &classic->on_everybody, classic->channel);
    if (error == 0) error = rooms__redis_subscribe(redis, &classic->on_responses, classic->responses);
    if (error == 0) error = rooms__redis_subscribe(redis, &classic->on_own_responses, classic->own_responses);
    if (error == 0) error = rooms__redis_subscribe(redis, &classic->on_requests, classic->requests);
    return error;
}

static void forget_rooms(struct classic *classic)
{
    for (size_t i = 0; i < classic->rooms.table.slot_count; i++) {
        struct listening *listening = classic->rooms.table.items[i];
        if (!listening) continue;
        rooms__redis_unsubscribe(classic->redis, &listening->subscription);
        free(listening);
    }
    rooms__table_clear(&classic->rooms);
}

static void classic_free(struct rooms_adapter *adapter)
{
    struct classic *classic = classic_of(adapter);
    classic->is_closing = true;
    rooms__redis_unsubscribe(classic->redis, &classic->on_requests);
    rooms__redis_unsubscribe(classic->redis, &classic->on_own_responses);
    rooms__redis_unsubscribe(classic->redis, &classic->on_responses);
    rooms__redis_unsubscribe(classic->redis, &classic->on_everybody);
    rooms__redis_unsubscribe(classic->redis, &classic->on_sockets);
    rooms__redis_unwatch(classic->redis, &classic->watcher);
    rooms__classic_questions_free(classic);
    rooms__classic_asked_free(classic);
    forget_rooms(classic);
    rooms_packer_clear(&classic->name);
    rooms_packer_clear(&classic->payload);
    free_name(&classic->nsp);
    free_name(&classic->channel);
    free_name(&classic->requests);
    free_name(&classic->responses);
    free_name(&classic->own_responses);
    free(classic);
}

static const struct rooms_adapter_ops classic_ops = {
    .name = "redis",
    .free = classic_free,
    .broadcast = classic_broadcast,
    .broadcast_with_ack = rooms__classic_broadcast_with_ack,
    .join = classic_join,
    .leave = classic_leave,
    .disconnect = classic_disconnect,
    .fetch = rooms__classic_fetch,
    .server_side_emit = rooms__classic_server_side_emit,
    .server_count = rooms__classic_server_count,
    .missing = rooms__classic_missing,
    .room_created = classic_room_created,
    .room_deleted = classic_room_deleted,
    .hears = classic_hears,
};

struct rooms_adapter *rooms_adapter_redis(void *ctx, const char *namespace_name, const struct rooms_local *local)
{
    struct classic *classic = calloc(1, sizeof *classic);
    if (!classic) return NULL;
    classic->adapter.ops = &classic_ops;
    classic->adapter.local = *local;
    classic->redis = ctx;
    classic->options = rooms__redis_options(ctx);
    classic->one_pattern = classic->options->mode == ROOMS_REDIS_STATIC;
    rooms__classic_random_id(classic->uid);
    randombytes_buf(classic->key, sizeof classic->key);
    rooms__table_init(&classic->rooms, room_of, classic->key);
    rooms__classic_questions_init(classic);
    set_listener(classic, &classic->on_everybody, ROOMS__REDIS_CHANNEL, on_broadcast);
    set_listener(classic, &classic->on_sockets, ROOMS__REDIS_PATTERN, on_some_broadcast);
    set_listener(classic, &classic->on_requests, ROOMS__REDIS_CHANNEL, rooms__classic_on_request);
    set_listener(classic, &classic->on_responses, ROOMS__REDIS_CHANNEL, rooms__classic_on_response);
    set_listener(classic, &classic->on_own_responses, ROOMS__REDIS_CHANNEL, rooms__classic_on_response);
    classic->on_requests.on_active = on_active;
    classic->watcher = (struct rooms__redis_watcher){.on_up = on_active, .on_down = on_down, .ctx = classic};
    rooms__redis_watch(classic->redis, &classic->watcher);
    if (name_channels(classic, namespace_name) == 0 && subscribe(classic) == 0) return &classic->adapter;
    classic_free(&classic->adapter);
    return NULL;
}
