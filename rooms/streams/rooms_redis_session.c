/* Connection state recovery over Redis: the node whose connection broke saves the session under a key, and the node
 * that the client comes back to takes it; what the client missed is in the stream.
 *
 * A replay must end exactly where the reader is, or a client would miss a message or get one twice. So it reads the
 * stream up to where the reader was when the replay began; what the reader delivers meanwhile is kept in the tail, and
 * replayed after that, in the turn in which the member enters. */
#include "rooms_redis_streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000, NUMBER_SIZE = 24 };

struct rooms__stream_copy {
    struct rooms__stream_copy *next;
    struct rooms_cluster_message *message; /* one block */
    struct rooms__stream_id id;
};

/* A session to be restored, or a replay. */
struct rooms__stream_question {
    struct base_timer timer;
    struct rooms__stream_question *prev, *next;
    struct rooms__streams_adapter *adapter;
    void *ctx;
    struct rooms__stream_id from;
    /* restoring */
    rooms_restore_fn restored; /* NULL: a replay */
    char pid[ROOMS__PID_MAX + 1];
    struct rooms__eviction eviction;
    bool was_evicted; /* it was asked for: the session is looked for once more, and no further */
    bool is_valid;    /* else nothing is restored, but the old connection ends all the same */
    bool has_offset;
    bool is_entry; /* the offset is in the stream */
    bool has_info;
    struct rooms__stream_info info;
    /* replaying */
    rooms_replay_fn each;
    rooms_done_fn done;
    struct rooms__stream_id at, to;       /* read so far; where the reader was */
    struct rooms__stream_copy *tail_from; /* the last copy that is older than the replay */
    bool is_read;                         /* all up to `to` */
};

static struct rooms__streams_adapter *adapter_of(struct rooms_adapter *adapter)
{
    return rooms__streams_adapter_of(rooms__cluster_of(adapter));
}

/* ---------------------------------------------------------------- questions */

static void on_late(void *ctx);

static struct rooms__stream_question *question_new(struct rooms__streams_adapter *adapter, void *ctx)
{
    struct rooms__stream_question *question = calloc(1, sizeof *question);
    if (!question) return NULL;
    if (base_timer_init(&question->timer, &adapter->carrier.cluster.state->timers, on_late, question) != BASE_OK) {
        free(question);
        return NULL;
    }
    question->adapter = adapter;
    question->ctx = ctx;
    question->next = adapter->questions;
    if (question->next) question->next->prev = question;
    adapter->questions = question;
    return question;
}

static void tail_clear(struct rooms__streams_adapter *adapter)
{
    while (adapter->tail_first) {
        struct rooms__stream_copy *copy = adapter->tail_first;
        adapter->tail_first = copy->next;
        free(copy->message);
        free(copy);
    }
    adapter->tail_last = NULL;
    adapter->tail_bytes = 0;
}

static void question_free(struct rooms__stream_question *question)
{
    struct rooms__streams_adapter *adapter = question->adapter;
    rooms__redis_cancel(adapter->carrier.redis, question);
    rooms__evict_stop(&question->eviction);
    base_timer_clear(&question->timer);
    if (question->prev)
        question->prev->next = question->next;
    else
        adapter->questions = question->next;
    if (question->next) question->next->prev = question->prev;
    free(question);
    if (!rooms__sessions_listen(adapter)) tail_clear(adapter);
}

static int ask_redis(struct rooms__stream_question *question, const struct rooms_bytes *args, size_t count,
                     rooms__redis_reply_fn fn)
{
    struct rooms__redis_command command = {.args = args, .arg_count = count, .fn = fn, .ctx = question};
    return rooms__redis_ask(question->adapter->carrier.redis, &command);
}

static int ask_info(struct rooms__stream_question *question, rooms__redis_reply_fn fn)
{
    const struct rooms_bytes args[] = {rooms__text("XINFO"), rooms__text("STREAM"),
                                       rooms__text(question->adapter->stream->name)};
    return ask_redis(question, args, 3, fn);
}

static int ask_range(struct rooms__stream_question *question, struct rooms__stream_id from, struct rooms__stream_id to,
                     rooms__redis_reply_fn fn)
{
    char first[ROOMS_OFFSET_SIZE], last[ROOMS_OFFSET_SIZE], count[NUMBER_SIZE];
    snprintf(count, sizeof count, "%d", PAGE);
    const struct rooms_bytes args[] = {rooms__text("XRANGE"),
                                       rooms__text(question->adapter->stream->name),
                                       rooms__bytes(rooms__stream_id_put(from, first)),
                                       rooms__bytes(rooms__stream_id_put(to, last)),
                                       rooms__text("COUNT"),
                                       rooms__text(count)};
    return ask_redis(question, args, 6, fn);
}

/* ------------------------------------------------------------------- saving */

/* What certainly arrived on a connection that breaks now: what was delivered before the last pings were answered. A
 * young connection proves nothing. */
static struct rooms__stream_id arrived_until(const struct rooms__streams_adapter *adapter, uint64_t connected_ms)
{
    const struct rooms_local *local = &adapter->carrier.cluster.adapter.local;
    uint64_t now = local->now_ms(local->ctx), liveness_ms = local->recovery->liveness_ms;
    struct rooms__stream_id none = {0, 0};
    if (connected_ms + liveness_ms >= now) return none;
    if (adapter->moved_ms + liveness_ms < now) return adapter->moved_to;
    size_t kept = adapter->sample_count < ROOMS__SAMPLES ? adapter->sample_count : ROOMS__SAMPLES;
    for (size_t i = 1; i <= kept; i++) { /* the newest first */
        size_t at = (adapter->sample_count - i) % ROOMS__SAMPLES;
        if (adapter->samples[at].at_ms + liveness_ms < now) return adapter->samples[at].id;
    }
    return none;
}

/* The end of what came before is kept, unless one close to it is. */
static void take_sample(struct rooms__streams_adapter *adapter)
{
    const struct rooms_local *local = &adapter->carrier.cluster.adapter.local;
    if (!local->recovery) return;
    uint64_t step = local->recovery->liveness_ms / (ROOMS__SAMPLES / 2);
    uint64_t now = local->now_ms(local->ctx);
    size_t last = (adapter->sample_count - 1) % ROOMS__SAMPLES;
    if (adapter->sample_count == 0 || adapter->moved_ms - adapter->samples[last].at_ms >= step ||
        now - adapter->moved_ms >= step) {
        size_t at = adapter->sample_count++ % ROOMS__SAMPLES;
        adapter->samples[at].at_ms = adapter->moved_ms;
        adapter->samples[at].id = adapter->moved_to;
    }
    adapter->moved_ms = now;
    adapter->moved_to = adapter->stream->last;
}

static int put_key(struct rooms__streams_adapter *adapter, struct rooms_name pid, struct rooms_packer *key)
{
    rooms_packer_init(key);
    rooms__put(key, rooms__redis_options(adapter->carrier.redis)->session_prefix);
    rooms__put_bytes(key, pid.p, pid.n);
    if (!key->error) return ROOMS_OK;
    rooms_packer_clear(key);
    return ROOMS_ENOMEM;
}

int rooms__sessions_save(struct rooms_adapter *base, const struct rooms_session *session)
{
    struct rooms__streams_adapter *adapter = adapter_of(base);
    struct rooms_packer key, value;
    char text[ROOMS_OFFSET_SIZE], ms[NUMBER_SIZE];
    if (!base->local.recovery) return ROOMS_OK;
    if (put_key(adapter, session->pid, &key) != ROOMS_OK) return ROOMS_ENOMEM;
    struct rooms__stream_id id = arrived_until(adapter, session->connected_ms);
    struct rooms_name floor = rooms__stream_id_put(id, text);
    if (id.ms == 0 && id.seq == 0) floor.n = 0;
    rooms_packer_init(&value);
    rooms__stream_session_put(&value, session, floor);
    snprintf(ms, sizeof ms, "%u", base->local.recovery->max_disconnection_ms);
    const struct rooms_bytes args[] = {
        rooms__text("SET"), {key.bytes, key.size}, {value.bytes, value.size}, rooms__text("PX"), rooms__text(ms)};
    int error = value.error;
    if (!error) error = rooms__redis_post(adapter->carrier.redis, args, 5);
    if (!error) adapter->saved++;
    rooms_packer_clear(&key);
    rooms_packer_clear(&value);
    return error;
}

/* ---------------------------------------------------------------- restoring */

static void end_restore(struct rooms__stream_question *question, const struct rooms_session *session)
{
    rooms_restore_fn restored = question->restored;
    void *ctx = question->ctx;
    question_free(question);
    restored(ctx, session);
}

/* Finds where to replay from, for question->from. A session saved by this implementation has the offset at which its
 * connection began, so the client's own may be lost from the log, or missing. Otherwise the client's must be in the
 * log. */
static bool find_from(struct rooms__stream_question *question, const struct rooms__stream_session *saved)
{
    struct rooms__stream_id began, floor;
    if (!rooms__stream_id_read(saved->session.offset, &began)) return question->has_offset && question->is_entry;
    if (!question->has_offset) question->from = began;
    if (rooms__stream_id_after(began, question->from)) return false;
    if (rooms__stream_id_after(question->from, question->info.last)) return false;
    if (rooms__stream_id_read(saved->arrived, &floor) && rooms__stream_id_after(floor, question->from))
        question->from = floor;
    return true;
}

static int ask_session(struct rooms__stream_question *question);

/* Saved by the node that had it, or meanwhile at its own end. */
static void on_evicted(struct rooms__eviction *eviction)
{
    struct rooms__stream_question *question = container_of(eviction, struct rooms__stream_question, eviction);
    if (!question->is_valid || ask_session(question) != ROOMS_OK) end_restore(question, NULL);
}

/* Another node may still count the old connection as alive. Returns true if it has been asked. */
static bool ask_to_evict(struct rooms__stream_question *question)
{
    if (question->was_evicted) return false;
    question->was_evicted = true;
    question->has_info = question->is_entry = false;
    question->eviction.done = on_evicted;
    struct rooms_name pid = {question->pid, strlen(question->pid)};
    return rooms__evict(question->adapter, &question->eviction, pid) == ROOMS_OK;
}

static void on_session(void *ctx, const struct redisReply *reply)
{
    struct rooms__stream_question *question = ctx;
    struct rooms__stream_session saved;
    char offset[ROOMS_OFFSET_SIZE];
    if (reply && reply->type == REDIS_REPLY_NIL && question->has_info && ask_to_evict(question)) return;
    bool is_there = reply && reply->type == REDIS_REPLY_STRING && question->has_info &&
                    rooms__stream_session_read(
                        &saved, (struct rooms_bytes){(const uint8_t *)reply->str, (size_t)reply->len}) == ROOMS_OK;
    if (!is_there) {
        end_restore(question, NULL);
        return;
    }
    bool is_whole = find_from(question, &saved) && rooms__stream_reaches(&question->info, question->from);
    saved.session.offset = rooms__stream_id_put(question->from, offset);
    end_restore(question, is_whole ? &saved.session : NULL);
    rooms__stream_session_clear(&saved);
}

static void on_entry(void *ctx, const struct redisReply *reply)
{
    struct rooms__stream_question *question = ctx;
    question->is_entry = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1;
}

static void on_info(void *ctx, const struct redisReply *reply)
{
    struct rooms__stream_question *question = ctx;
    question->has_info = rooms__stream_info_read(reply, &question->info);
}

/* Answered in this order. Taken out with one command (Redis 6.2), so that no two nodes take it. */
static int ask_session(struct rooms__stream_question *question)
{
    struct rooms_packer key;
    struct rooms_name pid = {question->pid, strlen(question->pid)};
    int error = question->has_offset ? ask_range(question, question->from, question->from, on_entry) : ROOMS_OK;
    if (!error) error = ask_info(question, on_info);
    if (!error) error = put_key(question->adapter, pid, &key);
    if (error) return error;
    const struct rooms_bytes args[] = {rooms__text("GETDEL"), {key.bytes, key.size}};
    error = ask_redis(question, args, 2, on_session);
    rooms_packer_clear(&key);
    return error;
}

void rooms__sessions_restore(struct rooms_adapter *base, struct rooms_name pid, struct rooms_name offset,
                             rooms_restore_fn done, void *ctx)
{
    struct rooms__streams_adapter *adapter = adapter_of(base);
    struct rooms__stream_id id = {0, 0};
    bool asks = base->local.recovery && pid.n <= ROOMS__PID_MAX && rooms__redis_is_up(adapter->carrier.redis);
    struct rooms__stream_question *question = asks ? question_new(adapter, ctx) : NULL;
    if (!question) {
        done(ctx, NULL);
        return;
    }
    question->restored = done;
    memcpy(question->pid, pid.p, pid.n);
    question->has_offset = offset.n > 0;
    question->is_valid = offset.n == 0 || rooms__stream_id_read(offset, &id);
    question->from = id;
    bool is_asked = question->is_valid ? ask_session(question) == ROOMS_OK : ask_to_evict(question);
    if (!is_asked) end_restore(question, NULL);
}

/* ---------------------------------------------------------------- replaying */

static void end_replay(struct rooms__stream_question *question, int error)
{
    rooms_done_fn done = question->done;
    void *ctx = question->ctx;
    question_free(question);
    done(ctx, error);
}

/* The member enters in the turn in which the last of it is given. */
static bool try_end(struct rooms__stream_question *question)
{
    struct rooms__streams_adapter *adapter = question->adapter;
    if (!question->is_read || rooms__stream_id_after(question->from, adapter->stream->last)) return false;
    struct rooms__stream_copy *copy = question->tail_from ? question->tail_from->next : adapter->tail_first;
    for (; copy; copy = copy->next)
        if (rooms__stream_id_after(copy->id, question->from))
            question->each(question->ctx, &copy->message->who, &copy->message->packet);
    end_replay(question, ROOMS_OK);
    return true;
}

/* If entries were trimmed from the log while it was read, some are missing. */
static void on_replay_info(void *ctx, const struct redisReply *reply)
{
    struct rooms__stream_question *question = ctx;
    question->has_info = rooms__stream_info_read(reply, &question->info);
    if (!question->has_info || !rooms__stream_reaches(&question->info, question->from)) {
        end_replay(question, ROOMS_ELIMIT);
        return;
    }
    question->is_read = true;
    try_end(question);
}

static void replay_entry(struct rooms__stream_question *question, const struct rooms__stream_entry *entry)
{
    const struct rooms__redis_carrier *carrier = &question->adapter->carrier;
    struct rooms__cluster_reading reading;
    char offset[ROOMS_OFFSET_SIZE];
    if (entry->nsp.n != carrier->cluster.state->nsp_size ||
        memcmp(entry->nsp.p, carrier->cluster.state->nsp, entry->nsp.n) != 0)
        return;
    if (rooms__cluster_read_fields(&reading, entry->uid, entry->type, entry->data) != ROOMS_OK) return;
    struct rooms_cluster_message *message = &reading.message;
    if (message->type == ROOMS_CLUSTER_BROADCAST && message->request.n == 0 && !message->flags.is_volatile) {
        message->packet.offset = rooms__stream_id_put(entry->id, offset);
        question->each(question->ctx, &message->who, &message->packet);
    }
    rooms__cluster_reading_clear(&reading);
}

static int ask_page(struct rooms__stream_question *question);

static void on_page(void *ctx, const struct redisReply *reply)
{
    struct rooms__stream_question *question = ctx;
    struct rooms__stream_entry entry;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        end_replay(question, ROOMS_ELIMIT);
        return;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (!rooms__stream_entry_read(reply->element[i], &entry)) continue;
        question->at = entry.id;
        replay_entry(question, &entry);
    }
    int error = reply->elements >= PAGE ? ask_page(question) : ask_info(question, on_replay_info);
    if (error) end_replay(question, ROOMS_ELIMIT);
}

static int ask_page(struct rooms__stream_question *question)
{
    struct rooms__stream_id next = question->at;
    if (++next.seq == 0) next.ms++;
    return ask_range(question, next, question->to, on_page);
}

static void on_late(void *ctx)
{
    end_replay(ctx, ROOMS_ELIMIT);
}

void rooms__sessions_replay(struct rooms_adapter *base, struct rooms_name offset, rooms_replay_fn each,
                            rooms_done_fn done, void *ctx)
{
    struct rooms__streams_adapter *adapter = adapter_of(base);
    struct rooms_cluster *cluster = &adapter->carrier.cluster;
    struct rooms__stream_id from;
    bool is_valid = base->local.recovery && adapter->stream->is_known && rooms__stream_id_read(offset, &from);
    struct rooms__stream_question *question = is_valid ? question_new(adapter, ctx) : NULL;
    if (!question) {
        done(ctx, ROOMS_ELIMIT);
        return;
    }
    question->each = each;
    question->done = done;
    question->from = question->at = from;
    question->to = adapter->stream->last;
    question->tail_from = adapter->tail_last;
    base_timer_start(&question->timer, cluster->state->options.request_timeout_ms);
    question->is_read = !rooms__stream_id_after(question->to, from);
    if (question->is_read)
        try_end(question);
    else if (ask_page(question) != ROOMS_OK)
        end_replay(question, ROOMS_ELIMIT);
}

/* --------------------------------------------------------------- the reader */

bool rooms__sessions_listen(const struct rooms__streams_adapter *adapter)
{
    for (const struct rooms__stream_question *question = adapter->questions; question; question = question->next)
        if (question->done) return true;
    return false;
}

static void end_all_replays(struct rooms__streams_adapter *adapter)
{
    struct rooms__stream_question *question = adapter->questions;
    while (question) {
        bool is_replay = question->done != NULL;
        struct rooms__stream_question *next = question->next;
        if (is_replay) end_replay(question, ROOMS_ELIMIT);
        question = is_replay ? adapter->questions : next;
    }
}

/* What cannot be kept would be missing: then the replays fail, and their clients connect anew. */
void rooms__sessions_take(struct rooms__streams_adapter *adapter, const struct rooms_cluster_message *message)
{
    size_t bytes;
    if (!rooms__sessions_listen(adapter)) return;
    struct rooms__stream_copy *copy = calloc(1, sizeof *copy);
    struct rooms_cluster_message *kept = copy ? rooms__cluster_copy(message, &bytes) : NULL;
    if (!kept || adapter->tail_bytes + bytes > adapter->carrier.cluster.state->options.max_log_wait_bytes) {
        free(kept);
        free(copy);
        end_all_replays(adapter);
        return;
    }
    copy->message = kept;
    rooms__stream_id_read(kept->packet.offset, &copy->id);
    adapter->tail_bytes += bytes;
    if (adapter->tail_last)
        adapter->tail_last->next = copy;
    else
        adapter->tail_first = copy;
    adapter->tail_last = copy;
}

void rooms__sessions_moved(struct rooms__streams_adapter *adapter)
{
    take_sample(adapter);
    struct rooms__stream_question *question = adapter->questions;
    while (question) {
        struct rooms__stream_question *next = question->next;
        bool ended = question->done && try_end(question);
        question = ended ? adapter->questions : next; /* callbacks may have started another */
    }
}

struct rooms_name rooms__sessions_last_offset(struct rooms_adapter *base, char *out)
{
    const struct rooms__streams_adapter *adapter = adapter_of(base);
    if (adapter->stream->is_known) return rooms__stream_id_put(adapter->stream->last, out);
    return (struct rooms_name){NULL, 0};
}

void rooms__sessions_clear(struct rooms__streams_adapter *adapter)
{
    while (adapter->questions) {
        struct rooms__stream_question *question = adapter->questions;
        if (question->restored)
            end_restore(question, NULL);
        else
            end_replay(question, ROOMS_ELIMIT);
    }
    tail_clear(adapter);
}
