/* What the clients do, and what must come back. */
#include "load.h"

#include <stdio.h>
#include <string.h>

static void repeat(struct load *load, void (*step)(struct load *load), double seconds)
{
    double until = now_s() + seconds;
    while (now_s() < until) step(load);
}

/* Until the server has worked that long (a server that compiles as it runs is warm by work, not by waiting), but not
 * for ever: some are not asked for so much. */
static void warm_up(struct load *load, void (*step)(struct load *load))
{
    double warm_at = server_cpu_s(load) + load->options.warmup_seconds;
    double give_up_at = now_s() + 4 * load->options.warmup_seconds;
    while (server_cpu_s(load) < warm_at && now_s() < give_up_at) repeat(load, step, 0.02);
}

/* Repeats `step` for the time of the run. Returns what was done in it. */
static uint64_t run_measured(struct load *load, void (*step)(struct load *load))
{
    measure_start(load);
    uint64_t at_start = load->done;
    repeat(load, step, load->options.seconds);
    return load->done - at_start;
}

/* Turns until everything that is due has come. */
static void await_due(struct load *load)
{
    double give_up_at = now_s() + 20;
    while (load->done < load->due) {
        load_turn(load, 100);
        if (now_s() > give_up_at) die("lost: %lu of %lu", load->due - load->done, load->due);
    }
}

static void one_turn(struct load *load)
{
    load_turn(load, 10);
}

static void wait_s(struct load *load, double seconds)
{
    double until = now_s() + seconds;
    while (now_s() < until) load_turn(load, 50);
}

static void no_packet(struct client *client, const char *p, size_t n)
{
    (void)client;
    die("unexpected message: %.*s", (int)n, p);
}

/* -------------------------------------------------------------------- echo */

/* Acks come in order, so client->received is the id of the next one. */
#define ECHO_ARGUMENT "{\"call_id\":\"bench\",\"text\":\"Hello, how can I help you today?\"}"
static const char echo_head[] = "[\"echo\"," ECHO_ARGUMENT "]", echo_tail[] = "[" ECHO_ARGUMENT "]";
enum { ECHO_TEXT_BYTES = 128, MAX_IN_FLIGHT = 64 };

static size_t echo_text(char out[ECHO_TEXT_BYTES], uint32_t id)
{
    char digits[10];
    size_t count = 0, at = 2;
    do digits[count++] = (char)('0' + id % 10);
    while (id /= 10);
    memcpy(out, "42", 2);
    while (count > 0) out[at++] = digits[--count];
    memcpy(out + at, echo_head, sizeof echo_head - 1);
    return at + sizeof echo_head - 1;
}

static void echo_check(struct client *client, const char *p, size_t n)
{
    uint32_t id = 0;
    size_t at = 1;
    if (n == 0 || p[0] != '3') die("not an ack: %.*s", (int)n, p);
    while (at < n && p[at] >= '0' && p[at] <= '9') id = id * 10 + (uint32_t)(p[at++] - '0');
    if (id != client->received || n - at != sizeof echo_tail - 1 || memcmp(p + at, echo_tail, n - at) != 0)
        die("ack %u expected: %.*s", client->received, (int)n, p);
    client->received++;
    client->load->done++;
}

static void echo_on_packet(struct client *client, const char *p, size_t n)
{
    echo_check(client, p, n);
}

/* As many as were answered in one read go out in one write. */
static void echo_on_read(struct client *client)
{
    uint8_t out[MAX_IN_FLIGHT * (ECHO_TEXT_BYTES + 8)];
    char text[ECHO_TEXT_BYTES];
    size_t size = 0;
    if (client->load->stopping) return;
    for (; client->sent - client->received < client->load->options.in_flight; client->load->due++)
        size += frame_put(out + size, text, echo_text(text, client->sent++));
    if (size > 0) conn_send(&client->conn[0], out, size);
}

static void echo_run(struct load *load)
{
    if (load->options.in_flight > MAX_IN_FLIGHT) die("at most %d in flight", MAX_IN_FLIGHT);
    load_open_all(load, false);
    for (unsigned i = 0; i < load->client_count; i++) echo_on_read(&load->clients[i]);
    warm_up(load, one_turn);
    measure_print(load, run_measured(load, one_turn), "");
    load->stopping = true;
    await_due(load);
}

/* ------------------------------------------------------------ polling echo */

/* One echo at a time: the next POST goes out when the last one was answered and the ack has come by the GET. */
static void polling_on_posted(struct client *client)
{
    char text[ECHO_TEXT_BYTES];
    if (client->post_pending || client->ack_pending || client->load->stopping) return;
    client->ack_pending = true;
    client->load->due++;
    client_post(client, text, echo_text(text, client->sent++));
}

static void polling_on_packet(struct client *client, const char *p, size_t n)
{
    echo_check(client, p, n);
    client->ack_pending = false;
    polling_on_posted(client);
}

static void polling_run(struct load *load)
{
    load->options.polling = true;
    load_open_all(load, false);
    for (unsigned i = 0; i < load->client_count; i++) polling_on_posted(&load->clients[i]);
    warm_up(load, one_turn);
    measure_print(load, run_measured(load, one_turn), "");
    load->stopping = true;
    await_due(load);
}

/* --------------------------------------------------------------- broadcast */

/* The number has seven digits from the first, so that all publishes have one size. A delivery must be the publish,
 * byte by byte, and each member must get all of them in order. */
#define UPDATE_HEAD "2[\"transcription:update\",{\"call_id\":\"bench\",\"seq\":"
#define UPDATE_TAIL \
    ",\"speaker\":\"agent\",\"text\":\"Let me look that up for you, one moment.\",\"timestamp\":1763700000000}]"
enum { FIRST_SEQ = 1000000, HEAD_SIZE = sizeof UPDATE_HEAD - 1, TAIL_SIZE = sizeof UPDATE_TAIL - 1, SEQ_DIGITS = 7 };
enum { UPDATE_SIZE = HEAD_SIZE + SEQ_DIGITS + TAIL_SIZE, SENT_TIMES = 65536, MAX_BURST = 16 };

static struct client publisher; /* is not in the room */
static double sent_at[SENT_TIMES];

static void publisher_open(struct load *load)
{
    publisher = (struct client){.load = load,
                                .port = load->options.ports[0],
                                .feeds = publisher.feeds,
                                .conn = {{.client = &publisher}, {.client = &publisher}}};
    client_open(&publisher);
    while (publisher.state != CLIENT_READY) load_turn(load, 1000);
}

/* Nodes listen to a room of theirs a moment after its first member was told that it is in. */
static void broadcast_open(struct load *load)
{
    load_open_all(load, true);
    publisher_open(load);
    if (load->options.port_count > 1) wait_s(load, 0.3);
}

static void publish(struct load *load, unsigned count)
{
    uint8_t out[MAX_BURST * (UPDATE_SIZE + 16)];
    char text[UPDATE_SIZE + 8];
    size_t size = 0;
    double now = now_s();
    for (unsigned i = 0; i < count; i++) {
        sent_at[publisher.sent % SENT_TIMES] = now;
        int n = snprintf(text, sizeof text, "4" UPDATE_HEAD "%u" UPDATE_TAIL, FIRST_SEQ + publisher.sent++);
        size += frame_put(out + size, text, (size_t)n);
    }
    load->due += (uint64_t)count * load->client_count;
    conn_send(&publisher.conn[0], out, size);
}

/* Where recovery is on, an offset stands between the last argument and the bracket. */
static bool is_update(const struct client *client, const char *p, size_t n)
{
    size_t tail = TAIL_SIZE;
    if (client->load->options.recovery) {
        const char *offset = memmem(p, n, "},\"", 3);
        tail--;
        if (!offset || offset + 1 - p != (ptrdiff_t)UPDATE_SIZE - 1) return false;
    } else if (n != UPDATE_SIZE) {
        return false;
    }
    return memcmp(p, UPDATE_HEAD, HEAD_SIZE) == 0 && memcmp(p + HEAD_SIZE + SEQ_DIGITS, UPDATE_TAIL, tail) == 0;
}

static void broadcast_on_packet(struct client *client, const char *p, size_t n)
{
    uint32_t seq = 0;
    if (client == &publisher || !is_update(client, p, n)) die("not an update for this client: %.*s", (int)n, p);
    for (int i = 0; i < SEQ_DIGITS; i++) seq = seq * 10 + (uint32_t)(p[HEAD_SIZE + i] - '0');
    if (seq != FIRST_SEQ + client->received) die("update %u expected: %.*s", FIRST_SEQ + client->received, (int)n, p);
    client->received++;
    client->load->done++;
}

static void broadcast_round(struct load *load)
{
    publish(load, load->options.in_flight);
    await_due(load);
}

static void broadcast_run(struct load *load)
{
    if (load->options.in_flight > MAX_BURST) die("at most %d publishes at a time", MAX_BURST);
    broadcast_open(load);
    warm_up(load, broadcast_round);
    measure_print(load, run_measured(load, broadcast_round), "");
}

/* ------------------------------------------------------------------- paced */

static double next_publish_at;

static void paced_on_packet(struct client *client, const char *p, size_t n)
{
    double sent = sent_at[client->received % SENT_TIMES];
    broadcast_on_packet(client, p, n);
    histogram_add(&client->load->latency, now_s() - sent);
}

/* One publish, then what arrives until it is time for the next one. The last millisecond is not slept through. */
static void paced_step(struct load *load)
{
    double now;
    publish(load, 1);
    next_publish_at += 1.0 / load->options.rate;
    while ((now = now_s()) < next_publish_at) load_turn(load, next_publish_at - now > 0.0015 ? 1 : 0);
}

static void paced_run(struct load *load)
{
    char extra[128];
    broadcast_open(load);
    next_publish_at = now_s();
    warm_up(load, paced_step);
    await_due(load);
    histogram_reset(&load->latency);
    next_publish_at = now_s();
    uint64_t at_start = load->done;
    (void)run_measured(load, paced_step);
    await_due(load);
    snprintf(extra, sizeof extra, ",\"rate\":%u,\"p50_ms\":%.3f,\"p99_ms\":%.3f", load->options.rate,
             histogram_quantile_ms(&load->latency, 0.5), histogram_quantile_ms(&load->latency, 0.99));
    measure_print(load, load->done - at_start, extra);
}

/* --------------------------------------------------------------- elsewhere */

static struct client stranger;

/* The stranger at the last node joins `rooms` other rooms, so that there are many. */
static void stranger_join(struct load *load)
{
    char text[128];
    stranger = (struct client){.load = load,
                               .port = load->options.ports[load->options.port_count - 1],
                               .conn = {{.client = &stranger}, {.client = &stranger}}};
    client_open(&stranger);
    while (stranger.state != CLIENT_READY) load_turn(load, 1000);
    for (unsigned i = 0; i < load->options.rooms; i++) {
        int n = snprintf(text, sizeof text, "42[\"call:subscribe\",{\"call_id\":\"other-%u\"}]", i);
        client_send_text(&stranger, text, (size_t)n);
        if (i % 256 == 255) wait_s(load, 0.01);
    }
    wait_s(load, 1);
}

/* All members are at the first node: what do publishes cost the others? */
static void elsewhere_run(struct load *load)
{
    if (load->options.in_flight > MAX_BURST) die("at most %d publishes at a time", MAX_BURST);
    for (unsigned i = 0; i < load->client_count; i++) load->clients[i].port = load->options.ports[0];
    broadcast_open(load);
    stranger_join(load);
    warm_up(load, broadcast_round);
    measure_print(load, run_measured(load, broadcast_round) / load->client_count, "");
}

/* -------------------------------------------------------------------- call */

/* A live call of parley itself: a feed says lines, agents see them. Every event of the room has a number, one more than
 * the last one's. */
static void call_on_packet(struct client *client, const char *p, size_t n)
{
    static const char update[] = "2[\"transcription:update\",";
    if (client == &publisher) {
        publisher.received++; /* the acknowledgement of call:start */
        return;
    }
    const char *field = memmem(p, n, "\"seq\":", 6);
    if (!field) return; /* who watches */
    uint32_t seq = 0;
    for (field += 6; *field >= '0' && *field <= '9'; field++) seq = seq * 10 + (uint32_t)(*field - '0');
    if (client->received && seq != client->received + 1)
        die("event %u expected: %.*s", client->received + 1, (int)n, p);
    client->received = seq;
    if (n > sizeof update && memcmp(p, update, sizeof update - 1) == 0) client->load->done++;
}

static void call_open(struct load *load)
{
    static const char start[] = "42/feed,0[\"call:start\",{\"call_id\":\"bench\"}]";
    publisher.feeds = true;
    publisher_open(load);
    client_send_text(&publisher, start, sizeof start - 1);
    while (publisher.received == 0) load_turn(load, 1000);
    load_open_all(load, true);
    wait_s(load, 0.5);
}

static void call_round(struct load *load)
{
    static const char line[] = "42/feed,[\"transcription:update\",{\"call_id\":\"bench\",\"speaker\":\"agent\","
                               "\"text\":\"Let me look that up for you, one moment.\"}]";
    uint8_t out[MAX_BURST * (sizeof line + 16)];
    size_t size = 0;
    for (unsigned i = 0; i < load->options.in_flight; i++) size += frame_put(out + size, line, sizeof line - 1);
    load->due += (uint64_t)load->options.in_flight * load->client_count;
    conn_send(&publisher.conn[0], out, size);
    await_due(load);
}

static void call_run(struct load *load)
{
    if (load->options.in_flight > MAX_BURST) die("at most %d lines at a time", MAX_BURST);
    if (!load->options.token || !load->options.feed_token) die("call needs --token and --feed-token");
    call_open(load);
    warm_up(load, call_round);
    measure_print(load, run_measured(load, call_round), "");
}

/* -------------------------------------------------------------------- idle */

static void idle_run(struct load *load)
{
    char extra[160];
    wait_s(load, 0.5);
    uint64_t before = server_private_bytes(load);
    measure_start(load);
    load_open_all(load, true);
    wait_s(load, load->options.seconds);
    uint64_t after = server_private_bytes(load);
    snprintf(extra, sizeof extra, ",\"private_before\":%lu,\"private_after\":%lu,\"bytes_per_client\":%.1f", before,
             after, ((double)after - (double)before) / load->client_count);
    measure_print(load, load->client_count, extra);
}

/* ----------------------------------------------------------------- connect */

static void connect_on_ready(struct client *client)
{
    client_close(client);
}

static void connect_on_closed(struct client *client)
{
    client->load->done++;
    if (client->load->stopping) return;
    client->load->due++;
    client_open(client);
}

static void connect_run(struct load *load)
{
    for (unsigned i = 0; i < load->client_count; i++) client_open(&load->clients[i]);
    load->due += load->client_count;
    warm_up(load, one_turn);
    measure_print(load, run_measured(load, one_turn), "");
    load->stopping = true;
    await_due(load);
}

static const struct scenario scenarios[] = {
    {.name = "echo", .unit = "echoes", .run = echo_run, .on_packet = echo_on_packet, .on_read = echo_on_read},
    {.name = "polling",
     .unit = "echoes",
     .run = polling_run,
     .on_packet = polling_on_packet,
     .on_posted = polling_on_posted},
    {.name = "broadcast", .unit = "deliveries", .run = broadcast_run, .on_packet = broadcast_on_packet},
    {.name = "paced", .unit = "deliveries", .run = paced_run, .on_packet = paced_on_packet},
    {.name = "elsewhere", .unit = "publishes", .run = elsewhere_run, .on_packet = broadcast_on_packet},
    {.name = "call", .unit = "deliveries", .run = call_run, .on_packet = call_on_packet},
    {.name = "idle", .unit = "clients", .run = idle_run, .on_packet = no_packet},
    {.name = "connect",
     .unit = "connections",
     .run = connect_run,
     .on_packet = no_packet,
     .on_ready = connect_on_ready,
     .on_closed = connect_on_closed},
};

const struct scenario *scenario_find(const char *name)
{
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (strcmp(scenarios[i].name, name) == 0) return &scenarios[i];
    return NULL;
}
