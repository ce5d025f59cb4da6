/* Subscriptions of this node. An entry is one name of one kind, with all its subscribers. Changes are collected and
 * sent at the end of the pass, one name per command, so that replies and errors can be assigned. */
#include "rooms_redis_conn.h"

#include <sodium.h>
#include <stdlib.h>

#define NAME_MAX_BYTES ((size_t)1 << 20)

struct word {
    const char *subscribe, *unsubscribe; /* commands */
    const char *said, *unsaid;           /* what Redis answers */
};
static const struct word words[] = {
    [ROOMS__REDIS_CHANNEL] = {"SUBSCRIBE", "UNSUBSCRIBE", "subscribe", "unsubscribe"},
    [ROOMS__REDIS_PATTERN] = {"PSUBSCRIBE", "PUNSUBSCRIBE", "psubscribe", "punsubscribe"},
    [ROOMS__REDIS_SHARD] = {"SSUBSCRIBE", "SUNSUBSCRIBE", "ssubscribe", "sunsubscribe"},
};
#define KINDS (sizeof words / sizeof *words)

static struct rooms_name entry_name(const void *item)
{
    const struct rooms__redis_entry *entry = item;
    return (struct rooms_name){entry->name, entry->name_size};
}

static void dirty_add(struct rooms__redis_names *names, struct rooms__redis_entry *entry)
{
    if (entry->dirty) return;
    entry->dirty = true;
    entry->dirty_next = NULL;
    if (names->dirty_last)
        names->dirty_last->dirty_next = entry;
    else
        names->dirty_first = entry;
    names->dirty_last = entry;
}

static void mark(struct rooms_redis *redis, struct rooms__redis_entry *entry)
{
    dirty_add(&redis->names, entry);
    rooms__redis_schedule(redis);
}

static struct rooms__redis_entry *dirty_take(struct rooms__redis_names *names)
{
    struct rooms__redis_entry *entry = names->dirty_first;
    if (!entry) return NULL;
    names->dirty_first = entry->dirty_next;
    if (!names->dirty_first) names->dirty_last = NULL;
    entry->dirty = false;
    return entry;
}

static void set_refused(struct rooms_redis *redis, struct rooms__redis_entry *entry, bool refused)
{
    if (entry->refused == refused) return;
    entry->refused = refused;
    redis->names.refused += refused ? 1 : SIZE_MAX;
    rooms__redis_update_health(redis);
}

/* ------------------------------------------------------------- subscribing */

static struct rooms__redis_entry *entry_new(struct rooms_redis *redis, enum rooms__redis_kind kind,
                                            struct rooms_name name)
{
    struct rooms__redis_entry *entry = calloc(1, sizeof *entry + name.n);
    if (!entry) return NULL;
    memcpy(entry->name, name.p, name.n);
    entry->name_size = (uint32_t)name.n;
    entry->kind = (uint8_t)kind;
    if (rooms__table_insert(&redis->names.tables[kind], entry) == ROOMS_OK) return entry;
    free(entry);
    return NULL;
}

int rooms__redis_subscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription,
                           struct rooms_name name)
{
    if (name.n == 0 || (unsigned)subscription->kind >= KINDS || subscription->entry) return ROOMS_EINVAL;
    if (name.n > NAME_MAX_BYTES || name.n > redis->options.max_message_bytes / 2) return ROOMS_ELIMIT;
    struct rooms__redis_entry *entry = rooms__table_find(&redis->names.tables[subscription->kind], name);
    if (!entry) entry = entry_new(redis, subscription->kind, name);
    if (!entry) return ROOMS_ENOMEM;
    subscription->entry = entry;
    subscription->told = false;
    subscription->next = NULL;
    subscription->previous = entry->last;
    if (entry->last)
        entry->last->next = subscription;
    else
        entry->first = subscription;
    entry->last = subscription;
    redis->names.subscriptions++;
    mark(redis, entry);
    return ROOMS_OK;
}

void rooms__redis_unsubscribe(struct rooms_redis *redis, struct rooms__redis_subscription *subscription)
{
    struct rooms__redis_entry *entry = subscription->entry;
    if (!entry) return;
    if (redis->names.walk == subscription) redis->names.walk = subscription->next;
    if (subscription->previous)
        subscription->previous->next = subscription->next;
    else
        entry->first = subscription->next;
    if (subscription->next)
        subscription->next->previous = subscription->previous;
    else
        entry->last = subscription->previous;
    subscription->entry = NULL;
    subscription->next = subscription->previous = NULL;
    redis->names.subscriptions--;
    if (!entry->first) mark(redis, entry);
}

bool rooms__redis_is_heard(const struct rooms_redis *redis, const struct rooms__redis_subscription *subscription)
{
    const struct rooms__redis_entry *entry = subscription->entry;
    return !entry || entry->confirmed || entry->refused || !redis->up;
}

struct rooms_name rooms__redis_subscribed_name(const struct rooms__redis_subscription *subscription)
{
    return subscription->entry ? entry_name(subscription->entry) : (struct rooms_name){"", 0};
}

/* ------------------------------------------------------------------ telling */

/* Subscriptions may come and go in the calls, the one that is called included; entries stay until the next flush. */
static void tell_active(struct rooms_redis *redis, struct rooms__redis_entry *entry)
{
    struct rooms__redis_names *names = &redis->names;
    for (struct rooms__redis_subscription *subscription = entry->first; subscription; subscription = names->walk) {
        names->walk = subscription->next;
        if (subscription->told) continue;
        subscription->told = true;
        if (subscription->on_active) subscription->on_active(subscription->ctx);
    }
}

void rooms__listen_deliver(struct rooms_redis *redis, const struct rooms__resp_push *push)
{
    struct rooms__redis_names *names = &redis->names;
    struct rooms__redis_entry *entry = rooms__table_find(&names->tables[push->kind], push->name);
    redis->stats.received++;
    redis->stats.received_bytes += push->payload.n;
    if (!entry || !entry->first) {
        redis->stats.ignored++;
        return;
    }
    for (struct rooms__redis_subscription *subscription = entry->first; subscription; subscription = names->walk) {
        names->walk = subscription->next;
        subscription->on_message(subscription->ctx, push->channel, push->payload);
    }
}

/* ----------------------------------------------------------------- flushing */

static bool command(struct rooms__redis_conn *conn, struct rooms__redis_entry *entry, bool subscribe)
{
    const struct word *word = &words[entry->kind];
    const struct rooms_bytes args[] = {rooms__text(subscribe ? word->subscribe : word->unsubscribe),
                                       rooms__bytes(entry_name(entry))};
    struct rooms__redis_record record = {(uint32_t)rooms__resp_command_size(args, 2),
                                         subscribe ? ROOMS__RECORD_SUBSCRIBE : ROOMS__RECORD_UNSUBSCRIBE,
                                         {.entry = entry}};
    uint8_t *bytes = rooms__redis_queue_add(&conn->queue, &record);
    if (!bytes) return false;
    rooms__resp_command_write(bytes, args, 2);
    entry->asked = subscribe;
    entry->on = conn;
    entry->confirmed = false;
    entry->unconfirmed++;
    return true;
}

static void entry_free(struct rooms_redis *redis, struct rooms__redis_entry *entry)
{
    set_refused(redis, entry, false);
    rooms__table_remove(&redis->names.tables[entry->kind], entry);
    free(entry);
}

static void retry_later(struct rooms_redis *redis)
{
    struct rooms__redis_names *names = &redis->names;
    if (base_timer_is_running(&names->retry)) return;
    base_timer_start(&names->retry, rooms__backoff_ms(names->refusals++, redis->options.reconnect_min_ms,
                                                      redis->options.reconnect_max_ms, 0));
}

/* NULL: no member has its slot at the moment. */
static struct rooms__redis_conn *conn_of(struct rooms_redis *redis, const struct rooms__redis_entry *entry)
{
    if (entry->kind != ROOMS__REDIS_SHARD || !redis->shards) return &redis->conns[ROOMS__CONN_SUB];
    struct rooms__redis_shard *shard = rooms__shards_owner(redis->shards, entry_name(entry));
    return shard ? &shard->sub : NULL;
}

/* Its slot has moved, and the former owner has not revoked it yet. */
static bool leave_former(struct rooms_redis *redis, struct rooms__redis_entry *entry,
                         const struct rooms__redis_conn *conn)
{
    if (!entry->asked || entry->on == conn) return true;
    if (command(entry->on, entry, false)) return true;
    dirty_add(&redis->names, entry); /* want of memory */
    retry_later(redis);
    return false;
}

/* Commands are not bounded by max_pending_bytes: they are as many as there are names. */
void rooms__listen_flush(struct rooms_redis *redis)
{
    for (struct rooms__redis_entry *entry; (entry = dirty_take(&redis->names)) != NULL;) {
        struct rooms__redis_conn *conn = conn_of(redis, entry);
        bool is_ready = conn && rooms__conn_is_ready(conn);
        if (!leave_former(redis, entry, conn)) return;
        bool wanted = entry->first != NULL;
        bool waits = wanted && entry->refused && base_timer_is_running(&redis->names.retry);
        if (is_ready && wanted != entry->asked && !waits && !command(conn, entry, wanted)) {
            dirty_add(&redis->names, entry); /* want of memory */
            retry_later(redis);
            return;
        }
        if (!wanted && !entry->asked && entry->unconfirmed == 0)
            entry_free(redis, entry);
        else if (entry->confirmed)
            tell_active(redis, entry);
    }
}

static void each_entry(struct rooms_redis *redis,
                       void (*fn)(struct rooms_redis *redis, struct rooms__redis_entry *entry))
{
    for (size_t kind = 0; kind < KINDS; kind++) {
        const struct rooms_table *table = &redis->names.tables[kind];
        for (size_t i = 0; i < table->table.slot_count; i++)
            if (table->table.items[i]) fn(redis, table->table.items[i]);
    }
}

static void forget_entry(struct rooms_redis *redis, struct rooms__redis_entry *entry)
{
    set_refused(redis, entry, false);
    entry->asked = entry->confirmed = false;
    entry->on = NULL;
    for (struct rooms__redis_subscription *subscription = entry->first; subscription; subscription = subscription->next)
        subscription->told = false;
    mark(redis, entry);
}

/* ------------------------------------------------------------ confirmations */

void rooms__listen_connected(struct rooms__redis_conn *conn)
{
    conn->redis->names.refusals = 0;
    each_entry(conn->redis, mark);
}

void rooms__listen_lost(struct rooms__redis_conn *conn)
{
    struct rooms_redis *redis = conn->redis;
    base_timer_stop(&redis->names.retry);
    for (size_t kind = 0; kind < KINDS; kind++) {
        const struct rooms_table *table = &redis->names.tables[kind];
        for (size_t i = 0; i < table->table.slot_count; i++) {
            struct rooms__redis_entry *entry = table->table.items[i];
            if (entry && (entry->on == conn || !entry->on)) forget_entry(redis, entry);
        }
    }
}

void rooms__listen_unanswered(const struct rooms__redis_record *record)
{
    if (record->kind == ROOMS__RECORD_SUBSCRIBE || record->kind == ROOMS__RECORD_UNSUBSCRIBE)
        record->entry->unconfirmed--;
}

void rooms__listen_moved(struct rooms_redis *redis)
{
    base_timer_stop(&redis->names.retry);
    each_entry(redis, mark);
}

static bool says(const redisReply *reply, const char *word)
{
    return reply->type == REDIS_REPLY_STRING && strcmp(reply->str, word) == 0;
}

/* The slot of a sharded channel has moved, and Redis has revoked the subscription. */
static const char *taken_away(struct rooms_redis *redis, const redisReply *reply, size_t kind)
{
    struct rooms_name name = {reply->element[1]->str, reply->element[1]->len};
    struct rooms__redis_entry *entry = rooms__table_find(&redis->names.tables[kind], name);
    if (!entry || !entry->asked) return NULL;
    rooms__redis_log(redis, redis->shards ? ROOMS_LOG_DEBUG : ROOMS_LOG_INFO,
                     "redis sub: the subscription to %.*s was revoked", (int)name.n, name.p);
    entry->asked = entry->confirmed = false;
    for (struct rooms__redis_subscription *subscription = entry->first; subscription; subscription = subscription->next)
        subscription->told = false;
    if (redis->shards)
        rooms__shards_refresh(redis->shards); /* then it is asked for where the slot is */
    else
        mark(redis, entry);
    return NULL;
}

static bool is_answer_to(const struct rooms__redis_record *record, size_t kind, bool subscribed, const redisReply *name)
{
    enum rooms__redis_record_kind expected = subscribed ? ROOMS__RECORD_SUBSCRIBE : ROOMS__RECORD_UNSUBSCRIBE;
    return record && record->kind == expected && record->entry->kind == kind && record->entry->name_size == name->len &&
           memcmp(record->entry->name, name->str, name->len) == 0;
}

const char *rooms__listen_confirm(struct rooms__redis_conn *conn, const redisReply *reply)
{
    struct rooms_redis *redis = conn->redis;
    const redisReply *name = reply->element[1];
    struct rooms__redis_record record;
    size_t kind = 0;
    bool subscribed = false;
    for (; kind < KINDS; kind++) {
        subscribed = says(reply->element[0], words[kind].said);
        if (subscribed || says(reply->element[0], words[kind].unsaid)) break;
    }
    if (kind == KINDS || name->type != REDIS_REPLY_STRING) return "message of unknown kind";
    if (!is_answer_to(rooms__redis_queue_peek(&conn->queue), kind, subscribed, name))
        return subscribed ? "confirmation of an unknown subscription" : taken_away(redis, reply, kind);
    rooms__redis_queue_answered(&conn->queue, &record);
    struct rooms__redis_entry *entry = record.entry;
    entry->unconfirmed--;
    if (entry->asked && entry->unconfirmed == 0) {
        entry->confirmed = true;
        set_refused(redis, entry, false);
        tell_active(redis, entry);
    } else if (!entry->asked) {
        mark(redis, entry);
    }
    return NULL;
}

void rooms__listen_refused(struct rooms_redis *redis, const struct rooms__redis_record *record, const char *text)
{
    struct rooms__redis_entry *entry = record->entry;
    entry->unconfirmed--;
    bool is_moved = redis->shards && strncmp(text, "MOVED ", 6) == 0;
    rooms__redis_log(redis, is_moved ? ROOMS_LOG_DEBUG : ROOMS_LOG_WARN, "redis sub: %s %.*s: %s",
                     record->kind == ROOMS__RECORD_SUBSCRIBE ? words[entry->kind].subscribe
                                                             : words[entry->kind].unsubscribe,
                     (int)(entry->name_size < 200 ? entry->name_size : 200), entry->name, text);
    rooms__shards_refresh(redis->shards);
    if (record->kind == ROOMS__RECORD_SUBSCRIBE && entry->unconfirmed == 0) {
        entry->asked = false;
        set_refused(redis, entry, true);
        retry_later(redis);
    }
    mark(redis, entry);
}

/* It counts as refused until Redis has confirmed it: asking again does not mean that all is well. */
static void try_again(struct rooms_redis *redis, struct rooms__redis_entry *entry)
{
    if (entry->refused) mark(redis, entry);
}

static void on_retry(void *ctx)
{
    each_entry(ctx, try_again);
    rooms__redis_schedule(ctx);
}

int rooms__listen_init(struct rooms_redis *redis)
{
    struct rooms__redis_names *names = &redis->names;
    randombytes_buf(names->key, sizeof names->key);
    for (size_t kind = 0; kind < KINDS; kind++) rooms__table_init(&names->tables[kind], entry_name, names->key);
    return base_timer_init(&names->retry, &redis->timers, on_retry, redis) == BASE_OK ? ROOMS_OK : ROOMS_ENOMEM;
}

static void drop_entry(struct rooms_redis *redis, struct rooms__redis_entry *entry)
{
    (void)redis;
    BASE_CHECK(!entry->first); /* its adapter should have been freed before */
    free(entry);
}

void rooms__listen_clear(struct rooms_redis *redis)
{
    base_timer_clear(&redis->names.retry);
    each_entry(redis, drop_entry);
    for (size_t kind = 0; kind < KINDS; kind++) rooms__table_clear(&redis->names.tables[kind]);
}
