/* Requests of this node to the others: how many they are, which sockets they have, their acks. A request goes out
 * together with a count of the servers (PUBSUB NUMSUB of the requests' channel) and is complete when as many have
 * answered. While it waits, the servers are counted again, so that one that went away does not delay it until the
 * timeout. */
#include "rooms_classic_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECOUNT_MS = 1000, NAMING_MS = 500, NAMES_FRESH_US = 5000000 };

enum kind { KIND_COUNT, KIND_FETCH, KIND_SERVER_SIDE, KIND_ACKS };

struct classic_question {
    char id[CLASSIC_ID_SIZE + 1];
    enum kind kind;
    struct classic *classic;
    struct classic_question *prev, *next;
    struct base_timer timer; /* the next count, or the end */
    uint64_t deadline_us;
    bool is_counting; /* waiting for the count from Redis */
    bool is_counted;  /* `others` is known */
    bool was_active;  /* this node listened when Redis was asked, and is among those that were counted */
    bool is_deaf;     /* over: nothing is called any more, but sockets may still refer to this memory */
    bool is_late;     /* past its deadline, and lingering */
    bool is_naming;   /* past its deadline, and Redis has been asked which servers there are */
    size_t others;    /* servers whose answers are waited for */
    size_t answered;  /* servers that have answered */
    /* KIND_FETCH, KIND_SERVER_SIDE, KIND_COUNT */
    rooms_fetch_fn each;
    rooms_answer_fn answer;
    rooms_done_fn done;
    void (*result)(void *ctx, int error, size_t servers);
    void *ctx;
    /* KIND_ACKS */
    struct rooms_ack_sink sink;
    size_t clients, acks;             /* everywhere */
    size_t local_clients, local_acks; /* acks pending here; they refer to this memory until the last has come */
};

static struct rooms_name id_of(const void *item)
{
    const struct classic_question *question = item;
    return (struct rooms_name){question->id, CLASSIC_ID_SIZE};
}

void rooms__classic_questions_init(struct classic *classic)
{
    rooms__table_init(&classic->questions, id_of, classic->key);
}

static void question_free(struct classic_question *question)
{
    struct classic *classic = question->classic;
    if (question->is_counting || question->is_naming) rooms__redis_cancel(classic->redis, question);
    base_timer_clear(&question->timer);
    rooms__table_remove(&classic->questions, question);
    *(question->prev ? &question->prev->next : &classic->first_question) = question->next;
    if (question->next) question->next->prev = question->prev;
    free(question);
}

/* ---------------------------------------------------------------- the ends */

static void tell_done(struct classic_question *question, int error)
{
    if (question->done) question->done(question->ctx, error);
    if (question->result) question->result(question->ctx, error, question->others + 1);
}

/* The question is gone afterwards. */
static void finish_question(struct classic_question *question, int error)
{
    struct classic_question last = *question;
    question_free(question);
    tell_done(&last, error);
}

static void retire(struct classic_question *question)
{
    question->is_deaf = true;
    if (question->local_acks < question->local_clients) return; /* the timer frees it */
    question_free(question);
}

/* Nothing of the question may be touched after this. */
static void check_complete(struct classic_question *question)
{
    if (question->is_deaf || !question->is_counted || question->answered < question->others) return;
    if (question->kind != KIND_ACKS)
        finish_question(question, ROOMS_OK);
    else if (question->acks >= question->clients)
        retire(question);
}

/* Some servers went away, and their answers are missing. */
static void give_up_on(struct classic_question *question, size_t gone)
{
    rooms__redis_log(question->classic->redis, ROOMS_LOG_WARN,
                     "other servers: %zu of %zu disconnected before answering a request in %s", gone, question->others,
                     question->classic->nsp.p);
    question->others -= gone;
    if (question->answered < question->others) return;
    if (question->kind == KIND_ACKS) {
        question->sink.counted(question->sink.ctx);
        check_complete(question);
        return;
    }
    finish_question(question, ROOMS_ETIMEOUT);
}

/* ------------------------------------------------------------- the missing */

struct rooms_name rooms__classic_missing(struct rooms_adapter *adapter)
{
    const struct classic *classic = classic_of(adapter);
    return (struct rooms_name){classic->missing, strlen(classic->missing)};
}

static void add_other(struct classic *classic, const struct redisReply *channel)
{
    size_t prefix = classic->responses.n, at = strlen(classic->others);
    if (channel->type != REDIS_REPLY_STRING || channel->len <= prefix + 1) return;
    struct rooms_name uid = {channel->str + prefix, channel->len - prefix - 1};
    if (uid.n == CLASSIC_ID_SIZE && memcmp(uid.p, classic->uid, uid.n) == 0) return;
    classic->other_count++;
    if (at + uid.n + sizeof ", " > CLASSIC_NAMES_SIZE) return;
    snprintf(classic->others + at, CLASSIC_NAMES_SIZE - at, "%s%.*s", at ? ", " : "", (int)uid.n, uid.p);
}

/* The end of a question that not all have answered. */
static void end_late(struct classic_question *question)
{
    struct classic *classic = question->classic;
    size_t others = question->is_counted ? question->others : 0;
    size_t missing = others > question->answered ? others - question->answered : 0;
    classic->missing[0] = '\0';
    if (missing > 0 && classic->other_count > missing)
        snprintf(classic->missing, sizeof classic->missing, "%zu of %.*s", missing, CLASSIC_NAMES_SIZE - 32,
                 classic->others);
    else if (missing > 0)
        snprintf(classic->missing, sizeof classic->missing, "%s", classic->others);
    if (missing > 0)
        rooms__redis_log(classic->redis, ROOMS_LOG_WARN,
                         "a request in %s timed out; other servers that did not answer: %zu of %zu: %s", classic->nsp.p,
                         missing, others, classic->missing[0] ? classic->missing : "unknown");
    if (question->kind == KIND_ACKS)
        question->is_deaf = true;
    else
        finish_question(question, ROOMS_ETIMEOUT);
    classic->missing[0] = '\0';
}

static void on_names(void *ctx, const struct redisReply *reply)
{
    struct classic_question *question = ctx;
    struct classic *classic = question->classic;
    question->is_naming = false;
    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        classic->others[0] = '\0';
        classic->other_count = 0;
        for (size_t i = 0; i < reply->elements; i++) add_other(classic, reply->element[i]);
    }
    end_late(question);
}

/* Redis looks at all channels for this: not for each of many questions that are late. */
static bool ask_names(struct classic_question *question)
{
    struct classic *classic = question->classic;
    uint64_t now_us = base_clock_us();
    struct rooms_packer pattern;
    if (classic->others_at_us && now_us - classic->others_at_us < NAMES_FRESH_US) return false;
    rooms_packer_init(&pattern);
    rooms__classic_put_escaped(&pattern, classic->responses);
    rooms__put(&pattern, "*#");
    const struct rooms_bytes args[] = {rooms__text("PUBSUB"), rooms__text("CHANNELS"), {pattern.bytes, pattern.size}};
    struct rooms__redis_command command = {.via = ROOMS__REDIS_PUBLISHER,
                                           .args = args,
                                           .arg_count = 3,
                                           .timeout_ms = NAMING_MS,
                                           .fn = on_names,
                                           .ctx = question};
    question->is_naming = !pattern.error && rooms__redis_ask(classic->redis, &command) == 0;
    rooms_packer_clear(&pattern);
    if (question->is_naming) classic->others_at_us = now_us;
    return question->is_naming;
}

static void time_out(struct classic_question *question)
{
    rooms__redis_timed_out(question->classic->redis);
    if (question->is_counting) {
        rooms__redis_cancel(question->classic->redis, question);
        question->is_counting = false;
    }
    bool is_missing = question->is_counted && question->answered < question->others;
    if (question->kind == KIND_ACKS) question->is_deaf = true;
    if (!is_missing || !ask_names(question)) end_late(question);
}

/* ---------------------------------------------------------------- counting */

/* The reply to PUBSUB NUMSUB: channel and number. Returns false if it is something else. */
static bool read_count(const struct redisReply *reply, size_t *count)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) return false;
    const struct redisReply *number = reply->element[1];
    *count = number->integer > 0 ? (size_t)number->integer : 0;
    return number->type == REDIS_REPLY_INTEGER;
}

static void on_first_count(struct classic_question *question, size_t others)
{
    question->is_counted = true;
    question->others = others;
    if (question->kind == KIND_COUNT) {
        finish_question(question, ROOMS_OK);
        return;
    }
    if (question->kind == KIND_ACKS && question->answered >= others) question->sink.counted(question->sink.ctx);
    check_complete(question);
}

static int ask_count(struct classic_question *question);

static void on_count(void *ctx, const struct redisReply *reply)
{
    struct classic_question *question = ctx;
    size_t count;
    question->is_counting = false;
    if (question->is_deaf) return;
    if (!read_count(reply, &count)) {
        /* Acks may still come; their end is the timeout. */
        if (!question->is_counted && question->kind != KIND_ACKS) finish_question(question, ROOMS_ETIMEOUT);
        return;
    }
    /* The count includes this node once it listens. If that began after the question, it is unknown whether it does.
     * Redis may also have restarted. */
    if (question->classic->is_active && !question->was_active && ask_count(question) == 0) return;
    size_t self = question->classic->is_active ? 1 : 0;
    size_t others = count > self ? count - self : 0;
    if (!question->is_counted)
        on_first_count(question, others);
    else if (others < question->others && question->answered < question->others)
        give_up_on(question, question->others - others);
}

static int ask_count(struct classic_question *question)
{
    struct classic *classic = question->classic;
    const struct rooms_bytes args[] = {rooms__text("PUBSUB"), rooms__text("NUMSUB"), rooms__bytes(classic->requests)};
    struct rooms__redis_command command = {
        .via = ROOMS__REDIS_PUBLISHER, .args = args, .arg_count = 3, .fn = on_count, .ctx = question};
    int error = rooms__redis_ask_number(classic->redis, &command);
    question->is_counting = error == 0;
    question->was_active = classic->is_active;
    return error;
}

static void start_timer(struct classic_question *question)
{
    uint64_t now_us = base_clock_us();
    uint64_t left_ms = question->deadline_us > now_us ? (question->deadline_us - now_us + 999) / 1000 : 0;
    base_timer_start(&question->timer, left_ms < RECOUNT_MS ? (uint32_t)left_ms : RECOUNT_MS);
}

static void on_timer(void *ctx)
{
    struct classic_question *question = ctx;
    if (question->is_late) {
        question_free(question);
        return;
    }
    if (base_clock_us() < question->deadline_us) {
        if (!question->is_counting && !question->is_deaf) ask_count(question);
        start_timer(question);
        return;
    }
    /* Sockets here have until now to answer, on a clock of their own. */
    if (question->kind == KIND_ACKS) {
        question->is_late = true;
        base_timer_start(&question->timer, CLASSIC_LINGER_MS);
    }
    if (!question->is_deaf) time_out(question);
}

/* ---------------------------------------------------------------- questions */

/* NULL: there is no memory, or there are too many. */
static struct classic_question *question_new(struct classic *classic, enum kind kind, uint32_t timeout_ms)
{
    if (classic->questions.table.count >= classic->options->max_requests) {
        rooms__redis_log(classic->redis, ROOMS_LOG_WARN, "too many requests are pending; one was refused");
        return NULL;
    }
    struct classic_question *question = calloc(1, sizeof *question);
    if (!question) return NULL;
    question->kind = kind;
    question->classic = classic;
    if (base_timer_init(&question->timer, rooms__redis_timers(classic->redis), on_timer, question) != BASE_OK) {
        free(question);
        return NULL;
    }
    do {
        rooms__classic_random_id(question->id);
    } while (rooms__table_find(&classic->questions, id_of(question)));
    if (rooms__table_insert(&classic->questions, question) != 0) {
        base_timer_clear(&question->timer);
        free(question);
        return NULL;
    }
    question->next = classic->first_question;
    if (question->next) question->next->prev = question;
    classic->first_question = question;
    if (timeout_ms == 0) timeout_ms = classic->options->request_timeout_ms;
    question->deadline_us = base_clock_us() + (uint64_t)timeout_ms * 1000;
    start_timer(question);
    return question;
}

static struct rooms__classic_asker asker_of(const struct classic_question *question)
{
    return (struct rooms__classic_asker){classic_uid(question->classic), id_of(question)};
}

/* Asks for the number of servers, then publishes the payload. While Redis is away no request waits; server-side events
 * are still queued for the others. */
static int ask_question(struct classic_question *question)
{
    struct classic *classic = question->classic;
    if (classic->payload.error) return classic->payload.error;
    int away = ask_count(question);
    if (away && question->kind == KIND_FETCH) return away;
    int error = rooms__classic_publish(classic, classic->requests);
    return away ? away : error;
}

int rooms__classic_fetch(struct rooms_adapter *adapter, const struct rooms_selector *who,
                         const struct rooms_flags *flags, rooms_fetch_fn each, rooms_done_fn done, void *ctx)
{
    struct classic *classic = classic_of(adapter);
    if (flags->local || classic->is_closing) {
        adapter->local.fetch(adapter->local.ctx, who, each, ctx);
        done(ctx, ROOMS_OK);
        return ROOMS_OK;
    }
    struct classic_question *question = question_new(classic, KIND_FETCH, flags->timeout_ms);
    if (!question) return ROOMS_ENOMEM;
    adapter->local.fetch(adapter->local.ctx, who, each, ctx);
    question->each = each;
    question->done = done;
    question->ctx = ctx;
    struct rooms__classic_asker asker = asker_of(question);
    rooms__classic_put_fetch(rooms__classic_begin(classic), &asker, who);
    if (ask_question(question) != 0) finish_question(question, ROOMS_ETIMEOUT);
    return ROOMS_OK;
}

int rooms__classic_server_side_emit(struct rooms_adapter *adapter, const struct rooms_flags *flags,
                                    const struct rooms_message *message, rooms_answer_fn answer, rooms_done_fn done,
                                    void *ctx)
{
    struct classic *classic = classic_of(adapter);
    if (flags->local || classic->is_closing) {
        if (done) done(ctx, ROOMS_OK);
        return ROOMS_OK;
    }
    if (!answer) {
        struct rooms__classic_asker nobody = {.uid = classic_uid(classic)};
        rooms__classic_put_server_side_emit(rooms__classic_begin(classic), &nobody, message);
        int error = rooms__classic_publish(classic, classic->requests);
        if (error == 0 && done) done(ctx, ROOMS_OK);
        return error;
    }
    struct classic_question *question = question_new(classic, KIND_SERVER_SIDE, flags->timeout_ms);
    if (!question) return ROOMS_ENOMEM;
    question->answer = answer;
    question->done = done;
    question->ctx = ctx;
    struct rooms__classic_asker asker = asker_of(question);
    rooms__classic_put_server_side_emit(rooms__classic_begin(classic), &asker, message);
    if (ask_question(question) != 0) finish_question(question, ROOMS_ETIMEOUT);
    return ROOMS_OK;
}

int rooms__classic_server_count(struct rooms_adapter *adapter, void (*result)(void *ctx, int error, size_t servers),
                                void *ctx)
{
    struct classic *classic = classic_of(adapter);
    struct classic_question *question = classic->is_closing ? NULL : question_new(classic, KIND_COUNT, 0);
    if (!question) return ROOMS_ENOMEM;
    question->result = result;
    question->ctx = ctx;
    if (ask_count(question) != 0) finish_question(question, ROOMS_ETIMEOUT);
    return ROOMS_OK;
}

/* --------------------------------------------------------------------- acks */

static void on_local_clients(void *ctx, size_t count)
{
    struct classic_question *question = ctx;
    question->clients += count;
    question->local_clients = count;
    question->sink.clients(question->sink.ctx, count);
}

static void on_local_counted(void *ctx)
{
    (void)ctx; /* there are other servers to be counted */
}

static void on_local_ack(void *ctx, const struct rooms_message *answer)
{
    struct classic_question *question = ctx;
    question->local_acks++;
    if (question->is_deaf) {
        if (question->local_acks >= question->local_clients) question_free(question);
        return;
    }
    question->acks++;
    question->sink.ack(question->sink.ctx, answer);
    check_complete(question);
}

/* Without a request the others are not asked, and the caller is never told that all were counted: it sees at its own
 * timeout that something is missing. */
static void deliver_here(struct rooms_adapter *adapter, const struct rooms__classic_event *event,
                         const struct rooms_ack_sink *sink)
{
    adapter->local.deliver_with_ack(adapter->local.ctx, event->who, event->flags, event->message, sink);
}

int rooms__classic_broadcast_with_ack(struct rooms_adapter *adapter, const struct rooms_selector *who,
                                      const struct rooms_flags *flags, const struct rooms_message *message,
                                      const struct rooms_ack_sink *sink)
{
    struct classic *classic = classic_of(adapter);
    struct rooms__classic_event event = {classic->nsp, who, flags, message};
    struct rooms_ack_sink kept = *sink;
    if (flags->local || classic->is_closing) {
        deliver_here(adapter, &event, &kept);
        kept.counted(kept.ctx);
        return ROOMS_OK;
    }
    struct classic_question *question = question_new(classic, KIND_ACKS, flags->timeout_ms);
    if (!question) {
        deliver_here(adapter, &event, &kept);
        return ROOMS_OK;
    }
    question->sink = kept;
    struct rooms__classic_asker asker = asker_of(question);
    rooms__classic_put_ask(rooms__classic_begin(classic), &asker, &event);
    ask_question(question);
    const struct rooms_ack_sink here = {on_local_clients, on_local_counted, on_local_ack, question};
    deliver_here(adapter, &event, &here);
    return ROOMS_OK;
}

/* ------------------------------------------------------------------ answers */

/* The slice in an array, as it is given to callers. It is to be freed; p NULL: out of memory. */
static struct rooms_bytes in_array(struct rooms_bytes value)
{
    uint8_t *json = malloc(value.n + 2);
    if (!json) return (struct rooms_bytes){NULL, 0};
    json[0] = '[';
    if (value.n > 0) memcpy(json + 1, value.p, value.n);
    json[value.n + 1] = ']';
    return (struct rooms_bytes){json, value.n + 2};
}

static bool take_sockets(struct classic_question *question, struct rooms_bytes sockets)
{
    struct base_json_walk walk;
    struct rooms_bytes socket;
    if (!rooms__json_is_array(sockets) || !rooms__json_open(&walk, sockets)) return false;
    while (rooms__json_next(&walk, NULL, &socket))
        if (socket.p[0] == '{') question->each(question->ctx, socket);
    question->answered++;
    return true;
}

static bool take_answer(struct classic_question *question, const struct rooms__classic_message *message)
{
    struct rooms_bytes json = in_array(message->field[ROOMS__CLASSIC_F_DATA]);
    struct rooms_message args = rooms__classic_event(json, &message->decoded);
    if (!json.p) return false;
    question->answer(question->ctx, &args);
    free((void *)(uintptr_t)json.p);
    question->answered++;
    return true;
}

static bool take_client_count(struct classic_question *question, struct rooms_bytes count)
{
    uint64_t clients;
    if (!rooms__json_uint(count, &clients) || clients > UINT32_MAX) return false;
    question->clients += (size_t)clients;
    question->answered++;
    question->sink.clients(question->sink.ctx, (size_t)clients);
    if (question->is_counted && question->answered == question->others) question->sink.counted(question->sink.ctx);
    return true;
}

static bool take_ack(struct classic_question *question, const struct rooms__classic_message *message)
{
    struct rooms_bytes json = in_array(message->field[ROOMS__CLASSIC_F_PACKET]);
    struct rooms_message args = rooms__classic_event(json, &message->decoded);
    if (!json.p) return false;
    question->acks++;
    question->sink.ack(question->sink.ctx, &args);
    free((void *)(uintptr_t)json.p);
    return true;
}

static bool take_response(struct classic_question *question, const struct rooms__classic_message *message)
{
    switch (question->kind) {
    case KIND_FETCH:
        return take_sockets(question, message->field[ROOMS__CLASSIC_F_SOCKETS]);
    case KIND_SERVER_SIDE:
        return take_answer(question, message);
    case KIND_ACKS:
        if (message->type == ROOMS__CLASSIC_CLIENT_COUNT)
            return take_client_count(question, message->field[ROOMS__CLASSIC_F_CLIENT_COUNT]);
        return message->type == ROOMS__CLASSIC_ACK && take_ack(question, message);
    case KIND_COUNT:
        break;
    }
    return false;
}

/* Most answers are to the questions of others. */
void rooms__classic_on_response(void *ctx, struct rooms_name channel, struct rooms_bytes payload)
{
    struct classic *classic = ctx;
    struct rooms__classic_message message;
    char id[CLASSIC_ID_SIZE * 6 + 2]; /* escaped, with quotes: longer ones are not ours */
    (void)channel;
    if (classic->questions.table.count == 0) return;
    if (rooms__classic_read(payload, &message)) {
        rooms__redis_ignored(classic->redis, "malformed response");
        return;
    }
    struct rooms_bytes request_id = message.field[ROOMS__CLASSIC_F_REQUEST_ID];
    long n = request_id.n <= sizeof id ? rooms__json_text(request_id, id) : -1;
    struct classic_question *question =
        n > 0 ? rooms__table_find(&classic->questions, (struct rooms_name){id, (size_t)n}) : NULL;
    if (question && !question->is_deaf) {
        if (take_response(question, &message))
            check_complete(question);
        else
            rooms__redis_ignored(classic->redis, "response does not match its request");
    }
    rooms__classic_clear(&message);
}

void rooms__classic_questions_free(struct classic *classic)
{
    while (classic->first_question) {
        struct classic_question *question = classic->first_question;
        if (question->kind == KIND_ACKS)
            question_free(question);
        else
            finish_question(question, ROOMS_ETIMEOUT);
    }
    rooms__table_clear(&classic->questions);
}
