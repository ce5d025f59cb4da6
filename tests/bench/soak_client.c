/* Good clients: the transports, and the upgrade between them. */
#include "soak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REQUEST_BYTES = 70000 };

#define PATH "/socket.io/?EIO=4&transport="

_Noreturn void soak_fail(const struct soak_client *client, const char *why, const char *p, size_t n)
{
    die("client %u (%s, state %d, op %d, upgrade %d): %s: %.*s", client->index,
        client->polling ? "polling" : "websocket", client->state, client->op, client->upgrade, why,
        (int)(n < 300 ? n : 300), p ? p : "");
}

/* ------------------------------------------------------------------ sending */

static void send_frame(struct soak_conn *conn, const char *p, size_t n)
{
    static uint8_t out[REQUEST_BYTES];
    soak_conn_send(conn, out, frame_put(out, p, n));
}

static void poll_again(struct soak_client *client)
{
    char request[256];
    int n = snprintf(request, sizeof request, "GET " PATH "polling%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
                     client->sid[0] ? "&sid=" : "", client->sid);
    client->poll_pending = true;
    soak_conn_send(&client->conn[0], request, (size_t)n);
}

static void post(struct soak_client *client, const char *p, size_t n)
{
    static char request[REQUEST_BYTES];
    static const char separator[] = "\x1e";
    const char *pong = client->pong_due ? "3" : "";
    int size = snprintf(request, sizeof request,
                        "POST " PATH "polling&sid=%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: %zu\r\n\r\n%.*s%s%s",
                        client->sid, n + (client->pong_due ? 1 + (n > 0) : 0), (int)n, p,
                        client->pong_due && n > 0 ? separator : "", pong);
    client->pong_due = false;
    client->post_pending = true;
    soak_conn_send(&client->conn[1], request, (size_t)size);
}

/* One Engine.IO packet. */
void soak_client_send(struct soak_client *client, const char *packet, size_t n)
{
    if (client->polling)
        post(client, packet, n);
    else
        send_frame(client->socket, packet, n);
}

void soak_client_send_soon(struct soak_client *client, const char *packet, size_t n)
{
    if (!client->polling || !client->post_pending) {
        soak_client_send(client, packet, n);
        return;
    }
    memcpy(client->soon, packet, n);
    client->soon_size = n;
}

void soak_client_send_binary(struct soak_client *client, const uint8_t *p, size_t n)
{
    static uint8_t out[REQUEST_BYTES];
    size_t size = frame_put(out, (const char *)p, n);
    out[0] = 0x82;
    soak_conn_send(client->socket, out, size);
}

/* ------------------------------------------------------------------ opening */

void soak_client_open(struct soak_client *client)
{
    client->state = SOAK_OPENING;
    client->polling = client->kind != SOAK_WEBSOCKET;
    client->socket = client->polling ? NULL : &client->conn[0];
    client->upgrade = SOAK_NO_UPGRADE;
    client->upgrade_soon = client->kind == SOAK_UPGRADE;
    client->op = SOAK_NOTHING;
    client->poll_pending = client->post_pending = client->pong_due = client->got_poll = false;
    client->sid[0] = '\0';
    client->soon_size = 0;
    client->room = SOAK_NO_ROOM;
    client->joined = false;
    client->op_at = soak.now;
    client->leave_at = soak.now + soak_about(soak.options.lifetime_s);
    soak.opening++;
    soak_conn_open(&client->conn[0]);
}

static void ask_for_websocket(struct soak_conn *conn, const char *sid)
{
    char request[320];
    int n = snprintf(request, sizeof request,
                     "GET " PATH "websocket%s%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                     "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: " LOAD_KEY "\r\n\r\n",
                     sid[0] ? "&sid=" : "", sid);
    soak_conn_send(conn, request, (size_t)n);
}

static void on_connected(struct soak_conn *conn)
{
    struct soak_client *client = (struct soak_client *)(void *)conn->owner;
    if (conn->index == 2)
        ask_for_websocket(conn, client->sid);
    else if (conn->index == 1)
        soak_client_send(client, "40", 2);
    else if (client->polling)
        poll_again(client);
    else
        ask_for_websocket(conn, "");
}

static void on_open_packet(struct soak_client *client, const char *p, size_t n)
{
    const char *sid = memmem(p, n, "\"sid\":\"", 7);
    const char *end = sid ? memchr(sid + 7, '"', n - (size_t)(sid + 7 - p)) : NULL;
    if (!end || (size_t)(end - sid - 7) >= sizeof client->sid) soak_fail(client, "no id in the open packet", p, n);
    memcpy(client->sid, sid + 7, (size_t)(end - sid - 7));
    client->sid[end - sid - 7] = '\0';
    client->state = SOAK_NAMESPACE;
    if (client->polling)
        soak_conn_open(&client->conn[1]);
    else
        soak_client_send(client, "40", 2);
}

static void on_ready(struct soak_client *client)
{
    client->state = SOAK_READY;
    client->next_at = soak.now + soak_about(soak.options.pause_s);
    soak.ready++;
    soak.opening--;
    soak.sessions[client->kind]++;
    soak.ops[SOAK_NOTHING]++;
}

/* ------------------------------------------------------------------ leaving */

static void gone(struct soak_client *client)
{
    for (int i = 0; i < SOAK_CONNS; i++) soak_conn_close(&client->conn[i]);
    client->state = SOAK_AWAY;
    client->next_at = soak.now + soak_about(1);
    client->room = SOAK_NO_ROOM;
    client->joined = false;
}

void soak_client_leave(struct soak_client *client)
{
    static const uint8_t close_frame[] = {0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe8 ^ 2}; /* 1000 */
    unsigned how = soak_random(4);
    soak.ready--;
    client->state = SOAK_LEAVING;
    client->op_at = soak.now;
    if (how == 0) { /* the tab is closed */
        gone(client);
    } else if (client->polling) {
        soak_client_send(client,
                         how == 1 ? "41\x1e"
                                    "1"
                                  : "1",
                         how == 1 ? 4 : 1);
    } else {
        if (how == 1) soak_client_send(client, "41", 2);
        soak_conn_send(client->socket, close_frame, sizeof close_frame);
    }
}

/* ------------------------------------------------------------------ packets */

static void on_packet(struct soak_client *client, const char *p, size_t n)
{
    if (client->state == SOAK_LEAVING || n == 0) return;
    if (p[0] == '4' && client->state == SOAK_READY) {
        soak_on_packet(client, p + 1, n - 1);
    } else if (p[0] == '4' && client->state == SOAK_NAMESPACE && n > 9 && memcmp(p, "40{\"sid\":", 9) == 0) {
        on_ready(client);
    } else if (p[0] == '0' && client->state == SOAK_OPENING) {
        on_open_packet(client, p, n);
    } else if (n == 1 && p[0] == '2') {
        client->pong_due = true;
        if (!client->polling) soak_client_send(client, "3", 1);
        if (!client->polling) client->pong_due = false;
    } else if (n != 1 || p[0] != '6') {
        soak_fail(client, "unexpected packet", p, n);
    }
}

static void send_pong(struct soak_client *client)
{
    if (client->polling && client->pong_due && !client->post_pending && client->conn[1].connected) post(client, "", 0);
}

/* -------------------------------------------------------------- the upgrade */

/* The probe was answered and no poll waits: from now on all goes by the WebSocket. */
static void finish_upgrade(struct soak_client *client)
{
    if (client->upgrade != SOAK_PROBED || client->poll_pending || client->post_pending) return;
    client->upgrade = SOAK_NO_UPGRADE;
    client->polling = false;
    client->socket = &client->conn[2];
    soak_conn_close(&client->conn[0]);
    soak_conn_close(&client->conn[1]);
    send_frame(client->socket, "5", 1);
    if (client->pong_due) send_frame(client->socket, "3", 1);
    client->pong_due = false;
    client->next_at = soak.now + soak_about(soak.options.pause_s);
    soak.upgrades++;
}

static void begin_upgrade(struct soak_client *client)
{
    client->upgrade_soon = false;
    client->upgrade = SOAK_PROBING;
    client->op_at = soak.now;
    soak_conn_open(&client->conn[2]);
}

/* ------------------------------------------------------------------ reading */

static void on_polled(struct soak_client *client, const char *p, size_t n)
{
    client->poll_pending = false;
    while (n > 0) {
        const char *end = memchr(p, '\x1e', n);
        size_t size = end ? (size_t)(end - p) : n;
        on_packet(client, p, size);
        if (!end) break;
        p += size + 1;
        n -= size + 1;
    }
    send_pong(client);
    if (client->state == SOAK_LEAVING) return;
    if (client->upgrade == SOAK_PROBED)
        finish_upgrade(client);
    else if (client->state != SOAK_NAMESPACE || client->got_poll)
        poll_again(client);
}

static void on_posted(struct soak_client *client)
{
    client->post_pending = false;
    if (client->state == SOAK_LEAVING) {
        gone(client);
        return;
    }
    if (client->state == SOAK_NAMESPACE && !client->got_poll) {
        client->got_poll = true;
        poll_again(client);
    }
    if (client->soon_size) post(client, client->soon, client->soon_size);
    client->soon_size = 0;
    send_pong(client);
    finish_upgrade(client);
}

static size_t on_response(struct soak_conn *conn, const uint8_t *p, size_t n)
{
    struct soak_client *client = (struct soak_client *)(void *)conn->owner;
    struct response response;
    size_t used = response_get(&response, p, n);
    if (used == 0) return 0;
    if (response.status != 200 && client->state != SOAK_LEAVING) soak_fail(client, "status", (const char *)p, n);
    if (conn->index == 0)
        on_polled(client, response.body, response.n);
    else
        on_posted(client);
    return used;
}

static size_t on_websocket(struct soak_conn *conn, const uint8_t *p, size_t n)
{
    struct soak_client *client = (struct soak_client *)(void *)conn->owner;
    struct frame frame;
    size_t at = 0, used;
    while (conn->fd >= 0 && (used = frame_get(&frame, p + at, n - at)) > 0) {
        at += used;
        if (client->upgrade == SOAK_PROBING) {
            if (frame.n != 6 || memcmp(frame.p, "3probe", 6) != 0) soak_fail(client, "probe", frame.p, frame.n);
            client->upgrade = SOAK_PROBED;
            finish_upgrade(client);
        } else if (frame.opcode == 2) {
            soak_on_binary(client, frame.p, frame.n);
        } else if (frame.opcode == 1) {
            on_packet(client, frame.p, frame.n);
        } else if (frame.opcode != 8 || client->state != SOAK_LEAVING) {
            soak_fail(client, "unexpected frame", frame.p, frame.n);
        }
    }
    return at;
}

static size_t on_bytes(struct soak_conn *conn, const uint8_t *p, size_t n)
{
    struct soak_client *client = (struct soak_client *)(void *)conn->owner;
    struct response response;
    bool websocket = conn == client->socket || conn->index == 2;
    if (!websocket) return on_response(conn, p, n);
    if (p[0] == 'H') { /* no frame begins with it */
        size_t used = response_get(&response, p, n);
        if (used == 0) return 0;
        if (response.status != 101 || !response.accepted) soak_fail(client, "no upgrade", (const char *)p, n);
        if (client->upgrade == SOAK_PROBING) send_frame(conn, "2probe", 6);
        return used + on_websocket(conn, p + used, n - used);
    }
    return on_websocket(conn, p, n);
}

static void on_end(struct soak_conn *conn)
{
    struct soak_client *client = (struct soak_client *)(void *)conn->owner;
    if (client->state == SOAK_LEAVING)
        gone(client);
    else
        soak_fail(client, "the server closed a connection", "", 0);
}

/* -------------------------------------------------------------------- clock */

static bool is_waiting(const struct soak_client *client)
{
    return client->op != SOAK_NOTHING || client->upgrade != SOAK_NO_UPGRADE || client->state == SOAK_OPENING ||
           client->state == SOAK_NAMESPACE || client->state == SOAK_LEAVING;
}

void soak_client_tick(struct soak_client *client)
{
    if (is_waiting(client) && soak.now - client->op_at > soak.options.patience_s)
        soak_fail(client, "waits too long", "", 0);
    if (client->state != SOAK_READY || soak.now < client->next_at || is_waiting(client) || client->post_pending ||
        soak.stopping)
        return;
    if (client->upgrade_soon && soak_random(2) == 0)
        begin_upgrade(client);
    else
        soak_do_something(client);
}

void soak_client_init(struct soak_client *client, unsigned index)
{
    static const struct soak_conn_ops ops = {on_connected, on_bytes, on_end};
    client->owner.ops = &ops;
    client->index = index;
    /* A half on WebSockets, a quarter on polling, a quarter changes from that to this. */
    client->kind = index % 4 < 2 ? SOAK_WEBSOCKET : index % 4 == 2 ? SOAK_POLLING : SOAK_UPGRADE;
    client->room = SOAK_NO_ROOM;
    for (int i = 0; i < SOAK_CONNS; i++)
        client->conn[i] = (struct soak_conn){.owner = &client->owner, .fd = -1, .index = (uint8_t)i};
}
