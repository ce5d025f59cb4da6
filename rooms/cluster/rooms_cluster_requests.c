/* Requests. Ours go to all other nodes, each of which answers at most once; they end when all have answered or are
 * gone, or when the time is up, with what has arrived. Theirs are kept here while their answers are still to come from
 * clients or handlers. */
#include "rooms_cluster_int.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNKNOWN SIZE_MAX /* of request.expected */

enum {
    ID_SIZE = 16,
    SERVED_LINGER_MS = 30000, /* the namespace may still hold what it was given when its own time is up */
};

/* A node, as one request sees it. */
struct part {
    bool answered, gone;
    size_t clients, acks; /* that it announced; that came */
    uint8_t uid_size;
    char uid[ROOMS_UID_MAX];
};

struct rooms__request {
    struct rooms_cluster *cluster;
    struct base_timer timer;
    struct rooms__request *prev, *next;
    uint64_t ticket; /* its hexadecimal form is the id */
    char id[ID_SIZE + 1];
    struct rooms__asker asker;
    struct part *parts;
    size_t part_count, part_capacity;
    size_t expected; /* answers, of this many nodes; UNKNOWN: not yet known */
    size_t answered, gone;
    size_t clients, acks;
    bool counted; /* counted() of the asker has been called */
};

/* ------------------------------------------------------------------- table */

static struct rooms_name request_id(const void *item)
{
    return (struct rooms_name){((const struct rooms__request *)item)->id, ID_SIZE};
}

static void take_out(struct rooms_cluster *cluster, struct rooms__request *request)
{
    base_timer_clear(&request->timer);
    rooms__table_remove(&cluster->state->requests, request);
    if (request->prev)
        request->prev->next = request->next;
    else
        cluster->state->first_request = request->next;
    if (request->next) request->next->prev = request->prev;
}

static void request_free(struct rooms__request *request)
{
    free(request->parts);
    free(request);
}

static bool is_uid(const struct part *part, struct rooms_name uid)
{
    return part->uid_size == uid.n && memcmp(part->uid, uid.p, uid.n) == 0;
}

static struct part *find_part(struct rooms__request *request, struct rooms_name uid)
{
    for (size_t i = 0; i < request->part_count; i++)
        if (is_uid(&request->parts[i], uid)) return &request->parts[i];
    return NULL;
}

static struct part *add_part(struct rooms__request *request, struct rooms_name uid)
{
    if (uid.n > ROOMS_UID_MAX) return NULL;
    if (request->part_count == request->part_capacity) {
        size_t capacity = request->part_capacity ? request->part_capacity * 2 : 4;
        struct part *parts = realloc(request->parts, capacity * sizeof *parts);
        if (!parts) return NULL;
        request->parts = parts;
        request->part_capacity = capacity;
    }
    struct part *part = &request->parts[request->part_count++];
    *part = (struct part){.uid_size = (uint8_t)uid.n};
    memcpy(part->uid, uid.p, uid.n);
    return part;
}

/* ------------------------------------------------------------------ results */

/* Who is known and did not answer, by name, and how many more there are. */
static void name_missing(struct rooms_cluster *cluster, const struct rooms__request *request)
{
    char *out = cluster->state->missing;
    size_t at = 0, left = request->expected == UNKNOWN ? 0 : request->expected - request->answered - request->gone;
    bool is_known = request->expected != UNKNOWN;
    for (size_t i = 0; i < request->part_count && (left > 0 || !is_known); i++) {
        const struct part *part = &request->parts[i];
        if (part->answered || part->gone) continue;
        if (at + part->uid_size + sizeof ", 18446744073709551615 more" >= ROOMS__MISSING_SIZE) break;
        at += (size_t)snprintf(out + at, ROOMS__MISSING_SIZE - at, "%s%.*s", at ? ", " : "", (int)part->uid_size,
                               part->uid);
        if (is_known) left--;
    }
    if (left > 0) snprintf(out + at, ROOMS__MISSING_SIZE - at, at ? ", %zu more" : "%zu unknown", left);
}

static void finish_request(struct rooms_cluster *cluster, struct rooms__request *request, int error)
{
    const struct rooms__asker *asker = &request->asker;
    take_out(cluster, request);
    cluster->state->missing[0] = '\0';
    if (error) {
        cluster->state->stats->request_timeouts++;
        name_missing(cluster, request);
        if (cluster->state->carrier->incomplete) cluster->state->carrier->incomplete(cluster, cluster->state->missing);
    }
    switch (asker->kind) {
    case ROOMS__ASK_SOCKETS:
    case ROOMS__ASK_EVENT:
        asker->done(asker->ctx, error);
        break;
    case ROOMS__ASK_COUNT:
        asker->count(asker->ctx, error, 1 + (request->expected == UNKNOWN ? 0 : request->expected));
        break;
    case ROOMS__ASK_ACKS: /* the asker has a timeout of its own */
        break;
    }
    cluster->state->missing[0] = '\0';
    request_free(request);
}

struct rooms_name rooms_cluster_missing(struct rooms_adapter *adapter)
{
    const struct rooms_cluster *cluster = rooms__cluster_of(adapter);
    return (struct rooms_name){cluster->state->missing, strlen(cluster->state->missing)};
}

static void on_timeout(void *ctx)
{
    struct rooms__request *request = ctx;
    finish_request(request->cluster, request, ROOMS_ETIMEOUT);
}

static bool has_all(const struct rooms__request *request)
{
    return request->expected != UNKNOWN && request->answered + request->gone >= request->expected;
}

/* A request for acks tells its asker once all nodes have sent their counts; acks still come after that. Returns true if
 * the request has ended. */
static bool check_request(struct rooms_cluster *cluster, struct rooms__request *request)
{
    if (!has_all(request)) return false;
    if (request->asker.kind != ROOMS__ASK_ACKS) {
        finish_request(cluster, request, ROOMS_OK);
        return true;
    }
    /* The last callback may free the asker. */
    struct rooms_ack_sink sink = request->asker.sink;
    bool tell = !request->counted, over = request->acks >= request->clients;
    request->counted = true;
    if (over) finish_request(cluster, request, ROOMS_OK);
    if (tell) sink.counted(sink.ctx);
    return over;
}

/* ------------------------------------------------------------------ asking */

static void note_nodes(struct rooms_cluster *cluster, struct rooms__request *request)
{
    const struct rooms__node *head = &cluster->state->silent_longest;
    for (const struct rooms__node *node = head->next; node != head; node = node->next)
        if (!node->lost) add_part(request, (struct rooms_name){node->uid, node->uid_size});
}

static struct rooms__request *request_new(struct rooms_cluster *cluster, const struct rooms__asker *asker,
                                          uint32_t timeout_ms)
{
    if (cluster->state->requests.table.count >= cluster->state->options.max_requests) {
        cluster->state->stats->limit_requests++;
        return NULL;
    }
    struct rooms__request *request = calloc(1, sizeof *request);
    if (!request) return NULL;
    if (base_timer_init(&request->timer, &cluster->state->timers, on_timeout, request) != BASE_OK) {
        free(request);
        return NULL;
    }
    request->cluster = cluster;
    randombytes_buf(&request->ticket, sizeof request->ticket);
    snprintf(request->id, sizeof request->id, "%016" PRIx64, request->ticket);
    request->asker = *asker;
    request->expected = UNKNOWN;
    if (rooms__table_insert(&cluster->state->requests, request) != ROOMS_OK) {
        base_timer_clear(&request->timer);
        free(request);
        return NULL;
    }
    request->next = cluster->state->first_request;
    if (request->next) request->next->prev = request;
    cluster->state->first_request = request;
    uint32_t wait_ms = timeout_ms ? timeout_ms : cluster->state->options.request_timeout_ms;
    base_timer_start(&request->timer, wait_ms);
    note_nodes(cluster, request);
    return request;
}

/* The count is asked for behind the question, not before it: an answer that is faster is not lost. */
int rooms__request(struct rooms_cluster *cluster, const struct rooms__asker *asker, uint32_t timeout_ms,
                   struct rooms_cluster_message *message)
{
    bool counts = cluster->state->carrier->count_others != NULL;
    struct rooms__request *request = request_new(cluster, asker, timeout_ms);
    if (!request) return ROOMS_ELIMIT;
    cluster->state->stats->requests++;
    if (!counts) request->expected = request->part_count;
    bool is_sent = !message || request->expected == 0;
    if (!is_sent) {
        message->request = request_id(request);
        is_sent = rooms__cluster_say(cluster, message) == ROOMS_OK;
    }
    if (is_sent && counts && cluster->state->carrier->count_others(cluster, request->ticket) == ROOMS_OK)
        return ROOMS_OK;
    /* It is unknown which nodes should answer. Acks are then never counted, and their asker's timeout ends it. */
    if (!is_sent || counts)
        finish_request(cluster, request, ROOMS_ETIMEOUT);
    else if (!message)
        finish_request(cluster, request, ROOMS_OK);
    else
        check_request(cluster, request);
    return ROOMS_OK;
}

void rooms_cluster_counted(struct rooms_cluster *cluster, uint64_t ticket, int error, size_t others)
{
    char id[ID_SIZE + 1];
    snprintf(id, sizeof id, "%016" PRIx64, ticket);
    struct rooms__request *request = rooms__table_find(&cluster->state->requests, (struct rooms_name){id, ID_SIZE});
    if (!request || request->expected != UNKNOWN) return;
    if (error) {
        finish_request(cluster, request, ROOMS_ETIMEOUT);
        return;
    }
    request->expected = others;
    if (request->asker.kind == ROOMS__ASK_COUNT)
        finish_request(cluster, request, ROOMS_OK);
    else
        check_request(cluster, request);
}

void rooms__requests_node_gone(struct rooms_cluster *cluster, struct rooms_name uid)
{
    struct rooms__request *request = cluster->state->first_request;
    while (request) {
        struct part *part = find_part(request, uid);
        struct rooms__request *next = request->next;
        if (part && !part->answered && !part->gone) {
            part->gone = true;
            request->gone++;
            if (check_request(cluster, request))
                next = cluster->state->first_request; /* callbacks may have sent another */
        }
        request = next;
    }
}

/* ----------------------------------------------------------------- answers */

static bool is_kind(const struct rooms__request *request, enum rooms_cluster_type type)
{
    switch (type) {
    case ROOMS_CLUSTER_FETCH_SOCKETS_RESPONSE:
        return request->asker.kind == ROOMS__ASK_SOCKETS;
    case ROOMS_CLUSTER_SERVER_SIDE_EMIT_RESPONSE:
        return request->asker.kind == ROOMS__ASK_EVENT;
    case ROOMS_CLUSTER_BROADCAST_CLIENT_COUNT:
    case ROOMS_CLUSTER_BROADCAST_ACK:
        return request->asker.kind == ROOMS__ASK_ACKS;
    default:
        return false;
    }
}

/* A client's answer. They have no ids of their own: of one node no more are taken than it announced. */
static void take_ack(struct rooms_cluster *cluster, struct rooms__request *request, struct part *part,
                     const struct rooms_cluster_message *answer)
{
    struct rooms_ack_sink sink = request->asker.sink;
    if (part->answered && part->acks >= part->clients) {
        cluster->state->stats->repeated++;
        return;
    }
    part->acks++;
    request->acks++;
    if (request->counted && request->acks >= request->clients) finish_request(cluster, request, ROOMS_OK);
    sink.ack(sink.ctx, &answer->packet);
}

static void take_answer(struct rooms_cluster *cluster, struct rooms__request *request, struct part *part,
                        const struct rooms_cluster_message *answer)
{
    const struct rooms__asker *asker = &request->asker;
    if (part->answered) {
        cluster->state->stats->repeated++;
        return;
    }
    part->answered = true;
    if (part->gone) request->gone--;
    part->gone = false;
    request->answered++;
    if (asker->kind == ROOMS__ASK_SOCKETS) {
        for (size_t i = 0; i < answer->socket_count; i++) asker->each(asker->ctx, answer->sockets[i]);
    } else if (asker->kind == ROOMS__ASK_EVENT) {
        asker->answer(asker->ctx, &answer->packet);
    } else {
        part->clients = answer->client_count;
        request->clients += answer->client_count;
        asker->sink.clients(asker->sink.ctx, answer->client_count);
    }
    check_request(cluster, request);
}

void rooms__request_answered(struct rooms_cluster *cluster, const struct rooms_cluster_message *answer)
{
    struct rooms__request *request = rooms__table_find(&cluster->state->requests, answer->request);
    struct part *part = NULL;
    if (request && is_kind(request, answer->type)) {
        part = find_part(request, answer->uid);
        if (!part && request->part_count < cluster->state->options.max_nodes) part = add_part(request, answer->uid);
    }
    if (!part)
        cluster->state->stats->ignored += request || !cluster->state->options.responses_reach_all;
    else if (answer->type == ROOMS_CLUSTER_BROADCAST_ACK)
        take_ack(cluster, request, part, answer);
    else
        take_answer(cluster, request, part, answer);
}

/* ------------------------------------------------------------------ serving */

/* A question of another node whose answer comes later. */
struct rooms__served {
    struct base_timer timer;
    struct rooms__served *prev, *next;
    struct rooms_cluster *cluster;
    size_t left;    /* acks that may come */
    bool *answered; /* an event: while its handlers run, to be set when they answer */
    struct rooms_name uid, request;
    char text[];
};

static void served_free(struct rooms__served *served)
{
    struct rooms_cluster *cluster = served->cluster;
    base_timer_clear(&served->timer);
    if (served->prev)
        served->prev->next = served->next;
    else
        cluster->state->first_served = served->next;
    if (served->next) served->next->prev = served->prev;
    cluster->state->served_count--;
    free(served);
}

static void on_served_late(void *ctx)
{
    served_free(ctx);
}

static struct rooms__served *served_new(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    if (cluster->state->served_count >= cluster->state->options.max_requests) {
        cluster->state->stats->limit_requests++;
        return NULL;
    }
    struct rooms__served *served = malloc(sizeof *served + message->uid.n + message->request.n);
    if (!served) return NULL;
    *served = (struct rooms__served){.next = cluster->state->first_served, .cluster = cluster};
    if (base_timer_init(&served->timer, &cluster->state->timers, on_served_late, served) != BASE_OK) {
        free(served);
        return NULL;
    }
    struct rooms_arena arena = {served->text};
    served->uid = rooms__cut_name(&arena, message->uid);
    served->request = rooms__cut_name(&arena, message->request);
    if (served->next) served->next->prev = served;
    cluster->state->first_served = served;
    cluster->state->served_count++;
    uint32_t timeout_ms =
        message->flags.timeout_ms ? message->flags.timeout_ms : cluster->state->options.request_timeout_ms;
    base_timer_start(&served->timer, (uint64_t)timeout_ms + SERVED_LINGER_MS);
    return served;
}

static void answer_with(struct rooms_cluster *cluster, struct rooms_name uid, struct rooms_cluster_message *answer)
{
    answer->uid = rooms_cluster_uid(cluster);
    cluster->state->carrier->respond(cluster, uid, answer);
}

static void on_clients(void *ctx, size_t count)
{
    struct rooms__served *served = ctx;
    served->left = count;
    answer_with(served->cluster, served->uid,
                &(struct rooms_cluster_message){
                    .type = ROOMS_CLUSTER_BROADCAST_CLIENT_COUNT, .request = served->request, .client_count = count});
    if (count == 0) served_free(served);
}

static void on_ack(void *ctx, const struct rooms_message *answer)
{
    struct rooms__served *served = ctx;
    answer_with(served->cluster, served->uid,
                &(struct rooms_cluster_message){
                    .type = ROOMS_CLUSTER_BROADCAST_ACK, .request = served->request, .packet = *answer});
    if (--served->left == 0) served_free(served);
}

static void on_counted(void *ctx)
{
    (void)ctx;
}

void rooms__serve_acks(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    struct rooms__served *served = served_new(cluster, message);
    if (!served) return;
    struct rooms_ack_sink sink = {on_clients, on_counted, on_ack, served};
    rooms__lane_apply(cluster, message, &sink, false);
}

static void on_answer(void *ctx, const struct rooms_message *args)
{
    struct rooms__served *served = ctx;
    if (served->answered) *served->answered = true;
    answer_with(served->cluster, served->uid,
                &(struct rooms_cluster_message){
                    .type = ROOMS_CLUSTER_SERVER_SIDE_EMIT_RESPONSE, .request = served->request, .packet = *args});
    served_free(served);
}

void rooms__serve_event(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    const struct rooms_local *local = &cluster->adapter.local;
    struct rooms__served *served = message->request.n ? served_new(cluster, message) : NULL;
    bool answered = false;
    if (message->request.n && !served) return;
    if (served) served->answered = &answered;
    bool is_owed = local->server_side_event(local->ctx, &message->packet, served ? on_answer : NULL, served);
    if (!served || answered) return;
    served->answered = NULL;
    /* Who promised an answer may give it at any time, however late. */
    if (is_owed)
        base_timer_stop(&served->timer);
    else
        served_free(served);
}

/* The sockets' JSON in one buffer; slices are made when it no longer moves. */
struct listing {
    char *text;
    size_t size, capacity;
    size_t *ends;
    size_t count, count_capacity;
    bool failed;
};

static bool grow(void **memory, size_t *capacity, size_t needed, size_t unit)
{
    if (needed <= *capacity) return true;
    size_t larger = *capacity ? *capacity * 2 : 64;
    if (larger < needed) larger = needed;
    void *grown = realloc(*memory, larger * unit);
    if (!grown) return false;
    *memory = grown;
    *capacity = larger;
    return true;
}

static void list_socket(void *ctx, struct rooms_bytes json)
{
    struct listing *listing = ctx;
    void *text = listing->text, *ends = listing->ends;
    bool ok = grow(&text, &listing->capacity, listing->size + json.n, 1);
    listing->text = text;
    ok = ok && grow(&ends, &listing->count_capacity, listing->count + 1, sizeof *listing->ends);
    listing->ends = ends;
    if (!ok) {
        listing->failed = true;
        return;
    }
    memcpy(listing->text + listing->size, json.p, json.n);
    listing->size += json.n;
    listing->ends[listing->count++] = listing->size;
}

void rooms__serve_sockets(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    const struct rooms_local *local = &cluster->adapter.local;
    struct listing listing = {0};
    local->fetch(local->ctx, &message->who, list_socket, &listing);
    struct rooms_bytes *sockets = calloc(listing.count + 1, sizeof *sockets);
    for (size_t i = 0, from = 0; sockets && i < listing.count; from = listing.ends[i++])
        sockets[i] = (struct rooms_bytes){(const uint8_t *)listing.text + from, listing.ends[i] - from};
    /* Without memory there is no response: the asker sees that this node is missing. */
    if (sockets && !listing.failed)
        answer_with(cluster, message->uid,
                    &(struct rooms_cluster_message){.type = ROOMS_CLUSTER_FETCH_SOCKETS_RESPONSE,
                                                    .request = message->request,
                                                    .sockets = sockets,
                                                    .socket_count = listing.count});
    free(sockets);
    free(listing.text);
    free(listing.ends);
}

/* --------------------------------------------------------------------- life */

/* 64 bits of a keyed hash: what is new is taken for a repetition once in 10^17 times. */
bool rooms__request_is_repeated(struct rooms_cluster *cluster, const struct rooms_cluster_message *message)
{
    _Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t) && crypto_shorthash_KEYBYTES == 16, "sizes");
    uint64_t of_uid, of_request;
    crypto_shorthash((uint8_t *)&of_uid, (const uint8_t *)message->uid.p, message->uid.n, cluster->state->key);
    crypto_shorthash((uint8_t *)&of_request, (const uint8_t *)message->request.p, message->request.n,
                     cluster->state->key);
    uint64_t hash = of_request ^ (of_uid << 1 | of_uid >> 63) ^ (uint64_t)message->type;
    if (hash == 0) hash = 1;
    for (size_t i = 0; i < ROOMS__HEARD_SIZE; i++) {
        if (cluster->state->heard[i] != hash) continue;
        cluster->state->stats->repeated++;
        return true;
    }
    cluster->state->heard[cluster->state->heard_at++ % ROOMS__HEARD_SIZE] = hash;
    return false;
}

void rooms__requests_init(struct rooms_cluster *cluster)
{
    rooms__table_init(&cluster->state->requests, request_id, cluster->state->key);
}

void rooms__requests_clear(struct rooms_cluster *cluster)
{
    while (cluster->state->first_request) finish_request(cluster, cluster->state->first_request, ROOMS_ETIMEOUT);
    while (cluster->state->first_served) served_free(cluster->state->first_served);
    rooms__table_clear(&cluster->state->requests);
}
