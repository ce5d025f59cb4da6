/* What good clients do, and what must come of it: answers byte by byte, and of each room every message that was due, in
 * order, none that was not. A message is due to who has been told that he joined before it was sent, and who asks
 * to leave after it was acknowledged. */
#include "soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 66000, LARGE_BYTES = 40000, MIDDLE_BYTES = 4000, SMALL_BYTES = 100 };

/* The argument of an echo: its size and content follow from who asks and the number. */
static size_t echo_argument(char *out, const struct soak_client *client)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
    size_t n = (size_t)sprintf(out, "{\"client\":%u,\"n\":%u,\"text\":\"", client->index, client->op_id);
    for (uint32_t i = 0; i < client->op_size; i++) out[n++] = letters[(i + client->op_id) & 31];
    memcpy(out + n, "\"}", 2);
    return n + 2;
}

static uint32_t echo_size(void)
{
    unsigned how = soak_random(100);
    if (how < 80) return soak_random(SMALL_BYTES);
    if (how < 98) return soak_random(MIDDLE_BYTES);
    return soak_random(LARGE_BYTES);
}

/* ------------------------------------------------------------------- asking */

static void begin_echo(struct soak_client *client, char *out)
{
    client->op_size = echo_size();
    size_t n = (size_t)sprintf(out, "42%u[\"echo\",", client->op_id);
    n += echo_argument(out + n, client);
    out[n++] = ']';
    soak_client_send(client, out, n);
}

static void begin_binary(struct soak_client *client, char *out)
{
    client->op_size = 1 + echo_size();
    client->binary_due = false;
    size_t n = (size_t)sprintf(out, "451-%u[\"echo\",{\"_placeholder\":true,\"num\":0}]", client->op_id);
    soak_client_send(client, out, n);
    memset(out, (int)client->op_id, client->op_size);
    soak_client_send_binary(client, (uint8_t *)out, client->op_size);
}

static void begin_join(struct soak_client *client, char *out)
{
    /* One in ten is in the same room: large broadcasts, too. */
    client->room = soak_random(10) == 0 ? 0 : (int)soak_random(soak.room_count);
    if (client->room == (int)client->index)
        client->room = (client->room + 1) % (int)soak.room_count; /* not one's own */
    client->joined = false;
    client->last = 0;
    client->first_min = soak.rooms[client->room].acked + 1;
    soak_client_send(client, out, (size_t)sprintf(out, "42%u[\"join\",\"r%d\"]", client->op_id, client->room));
}

static void begin_leave(struct soak_client *client, char *out)
{
    client->due = soak.rooms[client->room].acked;
    soak_client_send(client, out, (size_t)sprintf(out, "42%u[\"leave\",\"r%d\"]", client->op_id, client->room));
}

static void begin_publish(struct soak_client *client, char *out)
{
    int n = sprintf(out, "42%u[\"broadcast\",{\"to\":\"r%u\",\"ev\":\"b\",\"args\":[%u,%u]}]", client->op_id,
                    client->index, client->index, ++soak.rooms[client->index].sent);
    soak_client_send(client, out, (size_t)n);
}

void soak_begin(struct soak_client *client, enum soak_op op)
{
    static char out[TEXT_BYTES];
    client->op = (uint8_t)op;
    client->op_at = soak.now;
    client->op_id++;
    switch (op) {
    case SOAK_ECHO:
        begin_echo(client, out);
        break;
    case SOAK_BINARY:
        begin_binary(client, out);
        break;
    case SOAK_JOIN:
        begin_join(client, out);
        break;
    case SOAK_LEAVE:
        begin_leave(client, out);
        break;
    case SOAK_PUSH:
        client->pushed = 0;
        soak_client_send(client, out, (size_t)sprintf(out, "42[\"push\",%d,\"p\"]", SOAK_PUSHES));
        break;
    case SOAK_ASK:
        soak_client_send(client, out,
                         (size_t)sprintf(out, "42%u[\"ask\",\"q\",{\"n\":%u}]", client->op_id, client->op_id));
        break;
    default:
        begin_publish(client, out);
    }
}

void soak_do_something(struct soak_client *client)
{
    bool publishes = client->index < soak.room_count;
    unsigned what = soak_random(100);
    if (soak.now > client->leave_at && (client->room == SOAK_NO_ROOM || what < 30))
        soak_client_leave(client);
    else if (publishes && what < 70)
        soak_begin(client, SOAK_PUBLISH);
    else if (client->room == SOAK_NO_ROOM && what < 50)
        soak_begin(client, SOAK_JOIN);
    else if (client->joined && (what < 10 || soak.now > client->leave_at))
        soak_begin(client, SOAK_LEAVE);
    else if (what < 55)
        soak_begin(client, SOAK_PUSH);
    else if (what < 60)
        soak_begin(client, SOAK_ASK);
    else if (what < 70 && !client->polling)
        soak_begin(client, SOAK_BINARY);
    else
        soak_begin(client, SOAK_ECHO);
}

/* ------------------------------------------------------------------ answers */

static void done(struct soak_client *client)
{
    double took = soak.now - client->op_at;
    soak.ops[client->op]++;
    histogram_add(&soak.latency, took);
    if (took > soak.latency_max_s) soak.latency_max_s = took;
    client->op = SOAK_NOTHING;
    client->next_at = soak.now + soak_about(soak.options.pause_s);
}

static void on_joined(struct soak_client *client)
{
    client->joined = true;
    client->first_max = soak.rooms[client->room].sent + 1;
}

static void on_left(struct soak_client *client)
{
    bool none_due = client->last == 0 && client->due < client->first_max;
    if (!none_due && client->last < client->due) soak_fail(client, "left without what was due", "", 0);
    client->room = SOAK_NO_ROOM;
    client->joined = false;
}

static bool is(const char *p, size_t n, const char *text, size_t size)
{
    return n == size && memcmp(p, text, n) == 0;
}

static void on_ack(struct soak_client *client, const char *p, size_t n)
{
    static char text[TEXT_BYTES];
    size_t size = (size_t)sprintf(text, "3%u", client->op_id);
    switch (client->op) {
    case SOAK_ECHO:
        text[size++] = '[';
        size += echo_argument(text + size, client);
        text[size++] = ']';
        break;
    case SOAK_ASK:
        size += (size_t)sprintf(text + size, "[{\"answer\":{\"n\":%u}}]", client->op_id);
        break;
    default:
        size += (size_t)sprintf(text + size, "[\"ok\"]");
    }
    if (!is(p, n, text, size)) soak_fail(client, "not the answer", p, n);
    if (client->op == SOAK_JOIN) on_joined(client);
    if (client->op == SOAK_LEAVE) on_left(client);
    if (client->op == SOAK_PUBLISH) soak.rooms[client->index].acked = soak.rooms[client->index].sent;
    done(client);
}

static void on_question(struct soak_client *client, const char *p, size_t n)
{
    char answer[64];
    const char *end = memchr(p, '[', n);
    if (client->op != SOAK_ASK || !end) soak_fail(client, "unexpected question", p, n);
    int size = snprintf(answer, sizeof answer, "43%.*s[{\"n\":%u}]", (int)(end - p - 1), p + 1, client->op_id);
    soak_client_send_soon(client, answer, (size_t)size);
}

static void on_pushed(struct soak_client *client, const char *p, size_t n)
{
    char text[32];
    size_t size = (size_t)snprintf(text, sizeof text, "2[\"p\",%d]", client->pushed++);
    if (client->op != SOAK_PUSH || !is(p, n, text, size)) soak_fail(client, "not the next push", p, n);
    if (client->pushed == SOAK_PUSHES) done(client);
}

static void on_delivery(struct soak_client *client, const char *p, size_t n)
{
    int room = -1;
    unsigned seq = 0;
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)n, p);
    if (sscanf(text, "2[\"b\",%d,%u]", &room, &seq) != 2 || room != client->room || !client->joined)
        soak_fail(client, "a delivery from no room of mine", p, n);
    bool first = client->last == 0;
    if (first ? seq < client->first_min || seq > client->first_max : seq != client->last + 1)
        soak_fail(client, first ? "not a first delivery" : "not the next delivery", p, n);
    client->last = seq;
    soak.deliveries++;
}

void soak_on_packet(struct soak_client *client, const char *p, size_t n)
{
    char text[80];
    if (n > 5 && memcmp(p, "2[\"b\"", 5) == 0) {
        on_delivery(client, p, n);
    } else if (n > 5 && memcmp(p, "2[\"p\"", 5) == 0) {
        on_pushed(client, p, n);
    } else if (n > 0 && p[0] == '2') {
        on_question(client, p, n);
    } else if (client->op == SOAK_BINARY) {
        int size = snprintf(text, sizeof text, "61-%u[{\"_placeholder\":true,\"num\":0}]", client->op_id);
        if (!is(p, n, text, (size_t)size)) soak_fail(client, "not the binary answer", p, n);
        client->binary_due = true;
    } else if (client->op != SOAK_NOTHING && client->op != SOAK_PUSH) {
        on_ack(client, p, n);
    } else {
        soak_fail(client, "unexpected message", p, n);
    }
}

void soak_on_binary(struct soak_client *client, const char *p, size_t n)
{
    bool good = client->binary_due && n == client->op_size;
    for (size_t i = 0; i < n && good; i++) good = (uint8_t)p[i] == (uint8_t)client->op_id;
    if (!good) soak_fail(client, "not the attachment", "", 0);
    client->binary_due = false;
    done(client);
}

bool soak_is_settled(const struct soak_client *client)
{
    if (client->state == SOAK_AWAY) return true;
    if (client->state != SOAK_READY || client->op != SOAK_NOTHING || client->upgrade != SOAK_NO_UPGRADE) return false;
    if (client->post_pending || !client->joined) return !client->post_pending;
    uint32_t sent = soak.rooms[client->room].sent;
    return client->last == sent || (client->last == 0 && sent < client->first_max);
}
