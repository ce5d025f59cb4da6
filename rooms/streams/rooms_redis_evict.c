/* Connection state recovery over Redis, the part that other implementations lack: the old connection of a client that
 * is back may still count as alive at another node, which then has not saved its session. All nodes of this kind are
 * asked to evict it; each answers once the session, if it had it, is on its way to Redis.
 *
 *   <prefix>-evict#<nsp>#         {"uid":"e30a0234e49a1f0d","id":7,"pid":"…"}
 *   <prefix>-evict#<nsp>#<uid>#   {"id":7,"evicted":true}
 *
 * Node's adapters do not subscribe to these channels and are not counted: PUBLISH returns the number of nodes that got
 * it. */
#include "rooms_redis_streams.h"

static struct rooms_packer *begin_text(struct rooms__streams_adapter *adapter)
{
    struct rooms_packer *text = &adapter->carrier.payload;
    text->size = 0;
    text->error = 0;
    return text;
}

/* n 0: out of memory. */
static struct rooms_name put_channel(const struct rooms__streams_adapter *adapter, struct rooms_name uid,
                                     struct rooms_packer *channel)
{
    const struct rooms__redis_carrier *carrier = &adapter->carrier;
    rooms_packer_init(channel);
    rooms__put(channel, rooms__redis_options(carrier->redis)->key_prefix);
    rooms__put(channel, "-evict#");
    rooms__put_bytes(channel, carrier->cluster.state->nsp, carrier->cluster.state->nsp_size);
    rooms__put(channel, "#");
    if (uid.n) {
        rooms__put_bytes(channel, uid.p, uid.n);
        rooms__put(channel, "#");
    }
    return (struct rooms_name){(const char *)channel->bytes, channel->error ? 0 : channel->size};
}

/* ------------------------------------------------------------------- asking */

static void finish_eviction(struct rooms__eviction *eviction)
{
    void (*done)(struct rooms__eviction *) = eviction->done;
    rooms__evict_stop(eviction);
    done(eviction);
}

static void check_eviction(struct rooms__eviction *eviction)
{
    if (eviction->is_counted && eviction->answers >= eviction->others) finish_eviction(eviction);
}

static void on_late(void *ctx)
{
    struct rooms__eviction *eviction = ctx;
    struct rooms_cluster *cluster = &eviction->adapter->carrier.cluster;
    cluster->state->stats->request_timeouts++;
    rooms__redis_carrier_incomplete(cluster, "");
    finish_eviction(eviction);
}

/* The count includes this node. */
static void on_published(void *ctx, const struct redisReply *reply)
{
    struct rooms__eviction *eviction = ctx;
    bool is_count = reply && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0;
    eviction->is_counted = true;
    eviction->others = is_count ? (uint64_t)reply->integer - 1 : 0;
    check_eviction(eviction);
}

int rooms__evict(struct rooms__streams_adapter *adapter, struct rooms__eviction *eviction, struct rooms_name pid)
{
    struct rooms_cluster *cluster = &adapter->carrier.cluster;
    struct rooms_packer channel, *text = begin_text(adapter);
    if (adapter->eviction_count >= cluster->state->options.max_requests) {
        cluster->state->stats->limit_requests++;
        return ROOMS_ELIMIT;
    }
    if (base_timer_init(&eviction->timer, &cluster->state->timers, on_late, eviction) != BASE_OK) return ROOMS_ENOMEM;
    rooms__put(text, "{\"uid\":");
    rooms__put_text(text, rooms_cluster_uid(&adapter->carrier.cluster));
    rooms__put(text, ",\"id\":");
    rooms__put_uint(text, ++adapter->last_eviction);
    rooms__put(text, ",\"pid\":");
    rooms__put_text(text, pid);
    rooms__put(text, "}");
    struct rooms_name name = put_channel(adapter, (struct rooms_name){NULL, 0}, &channel);
    const struct rooms_bytes args[] = {rooms__text("PUBLISH"), rooms__bytes(name), {text->bytes, text->size}};
    struct rooms__redis_command command = {.args = args, .arg_count = 3, .fn = on_published, .ctx = eviction};
    int error = name.n == 0 || text->error ? ROOMS_ENOMEM : rooms__redis_ask(adapter->carrier.redis, &command);
    rooms_packer_clear(&channel);
    if (error) {
        base_timer_clear(&eviction->timer);
        return error;
    }
    cluster->state->stats->requests++;
    eviction->adapter = adapter;
    eviction->id = adapter->last_eviction;
    eviction->is_counted = false;
    eviction->others = eviction->answers = 0;
    eviction->next = adapter->evictions;
    if (eviction->next) eviction->next->prev = eviction;
    eviction->prev = NULL;
    adapter->evictions = eviction;
    adapter->eviction_count++;
    base_timer_start(&eviction->timer, cluster->state->options.request_timeout_ms);
    return ROOMS_OK;
}

void rooms__evict_stop(struct rooms__eviction *eviction)
{
    struct rooms__streams_adapter *adapter = eviction->adapter;
    if (!adapter) return;
    rooms__redis_cancel(adapter->carrier.redis, eviction);
    base_timer_clear(&eviction->timer);
    if (eviction->prev)
        eviction->prev->next = eviction->next;
    else
        adapter->evictions = eviction->next;
    if (eviction->next) eviction->next->prev = eviction->prev;
    adapter->eviction_count--;
    eviction->adapter = NULL;
}

/* ------------------------------------------------------------------ hearing */

static void ignored(struct rooms__streams_adapter *adapter)
{
    rooms__redis_ignored(adapter->carrier.redis, "malformed request to evict a connection");
}

static bool find_member(struct rooms_bytes payload, const char *const *names, size_t count, struct rooms_bytes *found)
{
    return rooms__json_check(payload) == ROOMS_OK && rooms__json_find(payload, names, count, found);
}

/* The node that had it ends the search; no other answer is awaited. */
static void on_answer(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    static const char *const names[] = {"id", "evicted"};
    struct rooms__streams_adapter *adapter = ctx;
    struct rooms_bytes found[2];
    uint64_t id;
    (void)channel;
    if (!find_member(payload, names, 2, found) || !rooms__json_uint(found[0], &id)) {
        ignored(adapter);
        return;
    }
    struct rooms__eviction *eviction = adapter->evictions;
    while (eviction && eviction->id != id) eviction = eviction->next;
    if (!eviction) return;
    eviction->answers++;
    if (rooms__json_is(found[1], "true"))
        finish_eviction(eviction);
    else
        check_eviction(eviction);
}

static void publish_answer(struct rooms__streams_adapter *adapter, struct rooms_name uid, uint64_t id, bool evicted)
{
    struct rooms_packer channel, *text = begin_text(adapter);
    rooms__put(text, "{\"id\":");
    rooms__put_uint(text, id);
    rooms__put(text, evicted ? ",\"evicted\":true}" : ",\"evicted\":false}");
    struct rooms_name name = put_channel(adapter, uid, &channel);
    if (name.n && !text->error)
        rooms__redis_publish(adapter->carrier.redis, false, name, (struct rooms_bytes){text->bytes, text->size});
    rooms_packer_clear(&channel);
}

/* What is saved while it is evicted is on the connection that the answer takes, before it. */
static void on_question(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    static const char *const names[] = {"uid", "id", "pid"};
    struct rooms__streams_adapter *adapter = ctx;
    const struct rooms_local *local = &adapter->carrier.cluster.adapter.local;
    struct rooms_bytes found[3];
    char uid[ROOMS_UID_MAX * 6 + 2], pid[ROOMS__PID_MAX * 6 + 2]; /* each character may be an escape */
    uint64_t id;
    (void)channel;
    bool is_valid = find_member(payload, names, 3, found) && rooms__json_uint(found[1], &id) &&
                    found[0].n <= sizeof uid && found[2].n <= sizeof pid;
    long uid_size = is_valid ? rooms__json_text(found[0], uid) : -1;
    long pid_size = is_valid ? rooms__json_text(found[2], pid) : -1;
    if (uid_size <= 0 || uid_size > ROOMS_UID_MAX || pid_size <= 0 || pid_size > ROOMS__PID_MAX) {
        ignored(adapter);
        return;
    }
    struct rooms_name asker = {uid, (size_t)uid_size}, own = rooms_cluster_uid(&adapter->carrier.cluster);
    if (asker.n == own.n && memcmp(asker.p, own.p, own.n) == 0) return;
    uint64_t saved = adapter->saved;
    if (local->evict) local->evict(local->ctx, (struct rooms_name){pid, (size_t)pid_size});
    publish_answer(adapter, asker, id, adapter->saved != saved);
}

/* --------------------------------------------------------------------- life */

static int listen_to(struct rooms__streams_adapter *adapter, struct rooms__redis_subscription *subscription,
                     struct rooms_name uid, void (*fn)(void *, struct rooms_name, struct rooms_bytes))
{
    struct rooms_packer channel;
    struct rooms_name name = put_channel(adapter, uid, &channel);
    *subscription = (struct rooms__redis_subscription){.kind = ROOMS__REDIS_CHANNEL, .on_message = fn, .ctx = adapter};
    int error = name.n ? rooms__redis_subscribe(adapter->carrier.redis, subscription, name) : ROOMS_ENOMEM;
    rooms_packer_clear(&channel);
    return error;
}

/* Answers' channel first: when the other one is confirmed, both are. */
int rooms__evictions_enter(struct rooms__streams_adapter *adapter)
{
    struct rooms_name all = {NULL, 0}, uid = rooms_cluster_uid(&adapter->carrier.cluster);
    if (!adapter->carrier.cluster.adapter.local.recovery) return ROOMS_OK;
    int error = listen_to(adapter, &adapter->evict_answers, uid, on_answer);
    if (!error) error = listen_to(adapter, &adapter->evict_questions, all, on_question);
    if (error) rooms__evictions_leave(adapter);
    return error;
}

void rooms__evictions_leave(struct rooms__streams_adapter *adapter)
{
    rooms__redis_unsubscribe(adapter->carrier.redis, &adapter->evict_answers);
    rooms__redis_unsubscribe(adapter->carrier.redis, &adapter->evict_questions);
}
