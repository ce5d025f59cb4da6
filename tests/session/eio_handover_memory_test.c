/* Handovers while allocations fail: a connection may be refused or lost, nothing else. */
#include "../http/http_nodes.h"

#include "../http/http_peer.h"
#include "failing_malloc.h"
#include "test.h"

static struct nodes nodes;

static void settle(int turns)
{
    for (int i = 0; i < turns; i++) eio_loop_turn(nodes.loop, 1);
}

static size_t request(char *out, size_t size, const char *sid, bool post)
{
    return (size_t)snprintf(out, size, "%s /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n%s",
                            post ? "POST" : "GET", sid, post ? "Content-Length: 6\r\n\r\n4hello" : "\r\n");
}

/* Plain: a POST to the wrong node, then an upgrade on what was adopted. */
static void talk(void)
{
    char sid[21], text[512];
    struct client client;
    size_t failing = fail_at;
    fail_at = 0;
    nodes_init(&nodes, 2);
    nodes_start(&nodes);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    settle(10);
    allocations = failed = 0;
    fail_at = failing;
    request(text, sizeof text, sid, true);
    client_send(&client, text);
    settle(10);
    client_take(&client);
    if (!client.eof && !client.reset) client_upgrade(&client, sid);
    settle(10);
    fail_at = 0;
    client_close(&client);
    settle(10);
    assert_int_equal(node_stats(&nodes.node[0]).connections + node_stats(&nodes.node[1]).connections, 0);
    nodes_stop(&nodes);
    fail_at = failing;
}

/* TLS: the same through a pump. */
static void talk_tls(void)
{
    char sid[21], text[512];
    struct peer peer;
    size_t failing = fail_at;
    fail_at = 0;
    nodes_init(&nodes, 2);
    nodes_start(&nodes);
    node_handshake(&nodes, 0, sid);
    struct eio_http_options secure = nodes.http;
    secure.tls_cert_file = cert_file;
    secure.tls_key_file = key_file;
    nodes.http = secure;
    node_stop(&nodes, 1);
    node_start(&nodes, 1);
    nodes_unlink(&nodes, 0, 1);
    nodes_link(&nodes, 0, 1);
    peer_open(&peer, nodes.loop, eio_http_port(nodes.node[1].http));
    while (!SSL_is_init_finished(peer.ssl)) {
        int result = SSL_do_handshake(peer.ssl);
        if (result <= 0) peer_note(&peer, result);
        turn(&peer);
    }
    allocations = failed = 0;
    fail_at = failing;
    request(text, sizeof text, sid, true);
    peer_say(&peer, text);
    settle(10);
    fail_at = 0;
    peer_close(&peer);
    settle(10);
    assert_int_equal(node_stats(&nodes.node[0]).connections + node_stats(&nodes.node[1]).connections, 0);
    assert_int_equal(node_stats(&nodes.node[1]).pumps, 0);
    nodes_stop(&nodes);
    fail_at = failing;
}

/* What waits for a peer that does not read. */
static void talk_queue(void)
{
    int pair[2], small = 1;
    size_t failing = fail_at;
    fail_at = 0;
    nodes_init(&nodes, 1);
    nodes_start(&nodes);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    allocations = failed = 0;
    fail_at = failing;
    struct eio_handoff *handoff = eio_handoff_new(nodes.node[0].http, pair[0], NULL);
    for (int i = 0; handoff && i < 20; i++) {
        struct eio_http_handover handover = {
            .fd = socket(AF_INET, SOCK_STREAM, 0), .address = "192.0.2.1", .bytes = malloc(1000), .size = 1000};
        if (handover.bytes)
            memset(handover.bytes, 'x', 1000);
        else
            handover.size = 0;
        if (eio_handoff_send(handoff, &handover) != 0) eio_http_handover_clear(&handover);
    }
    close(pair[1]);
    settle(10);
    fail_at = 0;
    eio_handoff_free(handoff);
    nodes_stop(&nodes);
    fail_at = failing;
}

static void fail_each(void (*conversation)(void))
{
    size_t before = open_descriptors(), rounds = 0;
    for (fail_at = 1;; fail_at++) {
        conversation();
        assert_int_equal(open_descriptors(), before);
        if (!failed) break;
        rounds++;
    }
    fail_at = 0;
    assert_true(rounds > 3);
}

TEST(handover_memory, plain)
{
    fail_each(talk);
}
TEST(handover_memory, tls)
{
    fail_each(talk_tls);
}
TEST(handover_memory, queue)
{
    fail_each(talk_queue);
}

int main(void)
{
    return _cmocka_run_group_tests(__FILE__, test_list, test_count, make_certificates, remove_certificates);
}
