/* Several nodes on one loop, each with an HTTP server, an Engine.IO echo and a pair of sockets to every other. */
#ifndef HTTP_NODES_H
#define HTTP_NODES_H

#include "http_client.h"

#include "eio_http_int.h"

#include <dirent.h>
#include <sys/ioctl.h>

enum { NODES_MAX = 3 };

struct node {
    struct nodes *all;
    unsigned owner;
    struct eio_http *http;
    struct eio_server *server;
    struct eio_handoff *to[NODES_MAX];
    unsigned opened, closed, messages, offered, links_closed;
    bool decline, misled;           /* misled: offers everything to the next node */
    bool by_hand, secure;           /* secure: the last message's request */
    struct eio_http_handover taken; /* by hand */
};

struct nodes {
    struct eio_loop *loop;
    size_t count;
    struct node node[NODES_MAX];
    struct eio_http_options http;
    struct eio_options engine;
    struct eio_handoff_options handoff;
};

static inline void node_on_open(struct eio_session *session, void *ctx)
{
    struct node *node = ctx;
    (void)session;
    node->opened++;
}

static inline void node_on_message(struct eio_session *session, const struct eio_message *message, void *ctx)
{
    struct node *node = ctx;
    node->messages++;
    node->secure = message->head->secure;
    uint8_t *out = eio_session_reserve(session, message->kind, message->size);
    if (out && message->size) memcpy(out, message->bytes, message->size);
}

static inline void node_on_close(struct eio_session *session, enum eio_close_reason reason, const char *detail,
                                 void *ctx)
{
    struct node *node = ctx;
    (void)session;
    (void)reason;
    (void)detail;
    node->closed++;
}

static inline void node_on_foreign(struct eio_offer *offer, unsigned owner, void *ctx)
{
    struct node *node = ctx;
    node->offered++;
    if (node->decline || owner >= node->all->count) return;
    if (node->by_hand) {
        assert_int_equal(eio_offer_take(offer, &node->taken), 0);
        return;
    }
    if (node->misled) owner = (node->owner + 1) % (unsigned)node->all->count;
    if (node->to[owner]) eio_handoff_offer(node->to[owner], offer);
}

static inline void node_on_link_closed(void *ctx)
{
    struct node *node = ctx;
    node->links_closed++;
}

static inline void nodes_init(struct nodes *nodes, size_t count)
{
    *nodes = (struct nodes){.count = count};
    nodes->loop = eio_loop_new_with_fake_clock();
    eio_http_options_init(&nodes->http);
    eio_options_init(&nodes->engine);
    eio_handoff_options_init(&nodes->handoff);
}

static inline void node_start(struct nodes *nodes, unsigned i)
{
    static const uint8_t key[EIO_OWNER_KEY_BYTES] = "the nodes' key.";
    struct eio_handlers handlers = {node_on_open, node_on_message, node_on_close};
    struct node *node = &nodes->node[i];
    *node = (struct node){.all = nodes, .owner = i, .taken.fd = -1};
    struct eio_options engine = nodes->engine;
    engine.owner = i;
    if (!engine.owner_key) engine.owner_key = key;
    node->http = eio_http_new(nodes->loop, &nodes->http);
    node->server = eio_server_new(nodes->loop, &engine, &handlers, node);
    assert_non_null(node->http);
    assert_non_null(node->server);
    eio_server_set_foreign(node->server, node_on_foreign, node);
    assert_int_equal(eio_server_attach(node->server, node->http), 0);
    assert_int_equal(eio_http_listen(node->http, "127.0.0.1", 0), 0);
}

static inline void nodes_link(struct nodes *nodes, unsigned i, unsigned j)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    struct node *a = &nodes->node[i], *b = &nodes->node[j];
    a->to[j] = eio_handoff_new(a->http, pair[0], &nodes->handoff);
    b->to[i] = eio_handoff_new(b->http, pair[1], &nodes->handoff);
    assert_non_null(a->to[j]);
    assert_non_null(b->to[i]);
    eio_handoff_on_closed(a->to[j], node_on_link_closed, a);
    eio_handoff_on_closed(b->to[i], node_on_link_closed, b);
}

static inline void nodes_start(struct nodes *nodes)
{
    for (unsigned i = 0; i < nodes->count; i++) node_start(nodes, i);
    for (unsigned i = 0; i < nodes->count; i++)
        for (unsigned j = i + 1; j < nodes->count; j++) nodes_link(nodes, i, j);
}

static inline void nodes_unlink(struct nodes *nodes, unsigned i, unsigned j)
{
    eio_handoff_free(nodes->node[i].to[j]);
    nodes->node[i].to[j] = NULL;
}

static inline void node_stop(struct nodes *nodes, unsigned i)
{
    struct node *node = &nodes->node[i];
    for (unsigned j = 0; j < nodes->count; j++) nodes_unlink(nodes, i, j);
    eio_http_handover_clear(&node->taken);
    eio_server_free(node->server);
    eio_http_free(node->http);
    node->server = NULL;
    node->http = NULL;
}

static inline void nodes_stop(struct nodes *nodes)
{
    for (unsigned i = 0; i < nodes->count; i++)
        if (nodes->node[i].http) node_stop(nodes, i);
    for (int i = 0; i < 4; i++) eio_loop_turn(nodes->loop, 0);
    eio_loop_free(nodes->loop);
}

static inline struct eio_http_stats node_stats(const struct node *node)
{
    struct eio_http_stats stats;
    eio_http_get_stats(node->http, &stats);
    return stats;
}

static inline struct eio_handoff_stats link_stats(const struct nodes *nodes, unsigned i, unsigned j)
{
    struct eio_handoff_stats stats;
    eio_handoff_get_stats(nodes->node[i].to[j], &stats);
    return stats;
}

static inline void node_open(struct client *client, struct nodes *nodes, unsigned i)
{
    client_open(client, nodes->loop, eio_http_port(nodes->node[i].http));
}

/* Whether the kernel has handed over all that was sent on the process's connections. */
static inline bool are_sockets_at_rest(void)
{
    enum { FDS = 256 };
    for (int fd = 3; fd < FDS; fd++) {
        int domain = 0, under_way = 0;
        socklen_t size = sizeof domain;
        if (!getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) && domain == AF_INET &&
            !ioctl(fd, TIOCOUTQ, &under_way) && under_way)
            return false;
    }
    return true;
}

/* Everything under way arrives, however busy the machine is: its loopback delivers when it has time for it. */
static inline void nodes_settle(struct eio_loop *loop)
{
    uint64_t end = client_now_ms() + CLIENT_WAIT_MS;
    for (int i = 0; i < 20; i++) {
        eio_loop_turn(loop, 1);
        while (!are_sockets_at_rest() && client_now_ms() < end) eio_loop_turn(loop, 1);
    }
}

static inline void client_settle(struct client *client)
{
    nodes_settle(client->loop);
    client_take(client);
}

static inline size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder)) count++;
    closedir(folder);
    return count;
}

/* --------------------------------------------------------- whole responses */

struct answer {
    int status;
    const char *body; /* in the client's text, good until the next request */
};

/* Forgets what was received. */
static inline void client_forget(struct client *client)
{
    client->size = 0;
    client->text[0] = '\0';
}

static inline bool answer_parse(const struct client *client, struct answer *answer)
{
    const char *end = strstr(client->text, "\r\n\r\n"), *length = strstr(client->text, "Content-Length: ");
    if (!end || !length || sscanf(client->text, "HTTP/1.1 %d", &answer->status) != 1) return false;
    answer->body = end + 4;
    return strlen(answer->body) >= (size_t)atoi(length + 16);
}

static inline struct answer client_answer(struct client *client)
{
    struct answer answer = {0};
    uint64_t until = client_now_ms() + CLIENT_WAIT_MS;
    while (!answer_parse(client, &answer)) {
        if (client->eof || client->reset || client_now_ms() > until)
            fail_msg("no answer: \"%s\"%s", client->text, client->eof ? " and the end" : "");
        client_pump(client, 1);
    }
    return answer;
}

/* sid NULL: a handshake. body NULL: GET, else POST. */
static inline void client_write(struct client *client, const char *sid, const char *body)
{
    char head[512];
    client_forget(client);
    snprintf(head, sizeof head, "%s /engine.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: h\r\n",
             body ? "POST" : "GET", sid ? "&sid=" : "", sid ? sid : "");
    client_send(client, head);
    if (body) {
        snprintf(head, sizeof head, "Content-Type: text/plain\r\nContent-Length: %zu\r\n", strlen(body));
        client_send(client, head);
    }
    client_send(client, "\r\n");
    if (body) client_send(client, body);
}

static inline struct answer client_ask(struct client *client, const char *sid, const char *body)
{
    client_write(client, sid, body);
    return client_answer(client);
}

/* Opens a session and copies its id. */
static inline void client_handshake(struct client *client, char sid[21])
{
    struct answer answer = client_ask(client, NULL, NULL);
    assert_int_equal(answer.status, 200);
    assert_memory_equal(answer.body, "0{\"sid\":\"", 9);
    memcpy(sid, answer.body + 9, 20);
    sid[20] = '\0';
}

/* A session of that node, opened on a connection of its own. */
static inline void node_handshake(struct nodes *nodes, unsigned i, char sid[21])
{
    struct client client;
    node_open(&client, nodes, i);
    client_handshake(&client, sid);
    client_close(&client);
}

/* What a client says must come back by the next poll. */
static inline void client_echo(struct client *client, const char *sid, const char *text)
{
    char packet[128];
    snprintf(packet, sizeof packet, "4%s", text);
    struct answer answer = client_ask(client, sid, packet);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, "ok");
    answer = client_ask(client, sid, NULL);
    assert_int_equal(answer.status, 200);
    assert_string_equal(answer.body, packet);
}

#define UNKNOWN_SESSION "{\"code\":1,\"message\":\"Session ID unknown\"}"

static inline void client_expect_unknown(struct client *client, const char *sid)
{
    struct answer answer = client_ask(client, sid, NULL);
    assert_int_equal(answer.status, 400);
    assert_string_equal(answer.body, UNKNOWN_SESSION);
}

/* --------------------------------------------------------------- WebSocket */

static inline void client_upgrade(struct client *client, const char *sid)
{
    char head[512];
    client_forget(client);
    snprintf(head, sizeof head,
             "GET /engine.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
             "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             sid);
    client_send(client, head);
}

/* A masked text frame, at most 125 bytes. The mask is zero. */
static inline void client_frame(struct client *client, const char *text)
{
    char wire[256] = {(char)0x81, (char)(0x80 | strlen(text))};
    memcpy(wire + 6, text, strlen(text));
    client_send_bytes(client, wire, 6 + strlen(text));
}
#endif
