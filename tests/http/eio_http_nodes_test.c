/* Requests that come to a node that does not own their session, and get to the one that does. */
#include "http_nodes.h"

#include "test.h"

#include "eio_id.h"

static struct nodes nodes;
static struct client client;
static char sid[33], other_sid[33];

static void start(size_t count)
{
    nodes_init(&nodes, count);
    nodes_start(&nodes);
}

static void stop(void)
{
    client_close(&client);
    nodes_stop(&nodes);
}

/* ----------------------------------------------------------------- polling */

TEST(nodes, answer_a_poll_and_a_post_wherever_they_come)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_echo(&client, sid, "hello");
    assert_int_equal(nodes.node[0].messages, 1);
    assert_int_equal(nodes.node[1].messages, 0);
    /* One handover: from then on the connection is the owner's. */
    assert_int_equal(node_stats(&nodes.node[1]).handed_over, 1);
    assert_int_equal(node_stats(&nodes.node[0]).adopted, 1);
    assert_int_equal(link_stats(&nodes, 1, 0).sent, 1);
    assert_int_equal(link_stats(&nodes, 0, 1).received, 1);
    stop();
}

TEST(nodes, keep_nothing_of_a_connection_that_they_hand_over)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_write(&client, sid, NULL);
    client_settle(&client);
    assert_int_equal(node_stats(&nodes.node[1]).connections, 0);
    assert_int_equal(node_stats(&nodes.node[1]).parked, 0);
    assert_int_equal(node_stats(&nodes.node[1]).requests, 0);
    assert_int_equal(node_stats(&nodes.node[1]).bytes_in, 0);
    assert_int_equal(node_stats(&nodes.node[0]).connections, 1);
    assert_int_equal(node_stats(&nodes.node[0]).parked, 1);
    eio_loop_advance(nodes.loop, 24000); /* longer than any deadline that the former node could have left */
    client_expect_quiet(&client);
    stop();
}

TEST(nodes, follow_a_kept_alive_connection_from_session_to_session)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_handshake(&nodes, 1, other_sid);
    node_open(&client, &nodes, 0);
    for (int i = 0; i < 20; i++) {
        client_echo(&client, sid, "to the first");
        client_echo(&client, other_sid, "to the second");
    }
    assert_int_equal(nodes.node[0].messages, 20);
    assert_int_equal(nodes.node[1].messages, 20);
    assert_int_equal(node_stats(&nodes.node[0]).handed_over, 20);
    assert_int_equal(node_stats(&nodes.node[1]).handed_over, 19);
    stop();
}

TEST(nodes, pass_a_connection_on_to_a_third)
{
    start(3);
    node_handshake(&nodes, 1, sid);
    node_handshake(&nodes, 2, other_sid);
    node_open(&client, &nodes, 0);
    client_echo(&client, sid, "one");
    client_echo(&client, other_sid, "two");
    client_echo(&client, sid, "one again");
    assert_int_equal(nodes.node[0].messages, 0);
    assert_int_equal(nodes.node[1].messages, 2);
    assert_int_equal(nodes.node[2].messages, 1);
    stop();
}

TEST(nodes, open_sessions_on_connections_that_they_adopted)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_echo(&client, sid, "hello");
    client_handshake(&client, other_sid);
    assert_int_equal(eio_server_owner_of(nodes.node[0].server, other_sid, 20), 0);
    stop();
}

/* ------------------------------------------------------- bytes on their way */

TEST(nodes, hand_over_a_body_that_was_read_in_part)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    char head[256];
    snprintf(head, sizeof head,
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n4ab",
             sid);
    client_send(&client, head);
    client_settle(&client);
    assert_int_equal(link_stats(&nodes, 1, 0).sent, 1); /* the head is enough */
    assert_int_equal(nodes.node[0].messages, 0);
    client_send(&client, "cdefg");
    client_expect(&client, "\r\n\r\nok");
    assert_int_equal(nodes.node[0].messages, 1);
    stop();
}

TEST(nodes, hand_over_a_chunked_body)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    char head[256];
    snprintf(head, sizeof head,
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
             "chunked\r\n\r\n3\r\n4",
             sid);
    client_send(&client, head);
    client_settle(&client);
    client_send(&client, "ab\r\n0\r\n\r\n");
    client_expect(&client, "\r\n\r\nok");
    stop();
}

TEST(nodes, hand_over_a_body_much_larger_than_what_was_read_of_it)
{
    static char body[600001];
    start(2);
    node_handshake(&nodes, 0, sid);
    memset(body, 'x', sizeof body - 1);
    body[0] = '4';
    node_open(&client, &nodes, 1);
    struct answer answer = client_ask(&client, sid, body);
    assert_int_equal(answer.status, 200);
    answer = client_ask(&client, sid, NULL);
    assert_string_equal(answer.body, body);
    stop();
}

TEST(nodes, hand_over_requests_that_were_sent_ahead)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_handshake(&nodes, 1, other_sid);
    node_open(&client, &nodes, 1);
    char text[1024];
    /* For the first, the first, the second. */
    snprintf(text, sizeof text,
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n4abc"
             "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n"
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n4def",
             sid, sid, other_sid);
    client_send(&client, text);
    client_expect_times(&client, "HTTP/1.1 200", 3);
    client_expect(&client, "4abc");
    assert_int_equal(nodes.node[0].messages, 1);
    assert_int_equal(nodes.node[1].messages, 1);
    stop();
}

TEST(nodes, hand_over_no_connection_that_owes_an_answer)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_handshake(&nodes, 1, other_sid);
    node_open(&client, &nodes, 1);
    char text[1024];
    snprintf(text, sizeof text,
             "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n"
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n4abc",
             other_sid, sid);
    client_send(&client, text);
    client_expect_quiet(&client);
    assert_int_equal(nodes.node[1].offered, 0);
    struct client second;
    node_open(&second, &nodes, 0);
    client_ask(&second, other_sid, "4wake up");
    client_expect_times(&client, "HTTP/1.1 200", 2);
    assert_ptr_equal(strstr(client.text, "4wake up") < strstr(client.text, "ok"), true);
    assert_int_equal(nodes.node[0].messages, 1);
    client_close(&second);
    stop();
}

TEST(nodes, pass_on_the_end_of_a_client_while_its_poll_waits_elsewhere)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_write(&client, sid, NULL);
    client_settle(&client);
    assert_int_equal(node_stats(&nodes.node[0]).parked, 1);
    client_reset(&client);
    nodes_settle(nodes.loop);
    assert_int_equal(node_stats(&nodes.node[0]).parked, 0);
    assert_int_equal(node_stats(&nodes.node[0]).aborted, 1);
    assert_int_equal(node_stats(&nodes.node[0]).connections, 0);
    stop();
}

TEST(nodes, answer_on_an_adopted_connection_as_on_an_accepted_one)
{
    static const struct {
        const char *before, *after; /* the session id */
    } requests[] = {
        {"GET /engine.io/?EIO=4&transport=polling&sid=", " HTTP/1.1\r\nHost: h\r\n\r\n"},
        {"HEAD /engine.io/?EIO=4&transport=polling&sid=", " HTTP/1.1\r\nHost: h\r\n\r\n"},
        {"PUT /engine.io/?EIO=4&transport=polling&sid=", " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
        {"GET /engine.io/?EIO=4&transport=polling&sid=", " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"},
        {"GET /engine.io/?EIO=4&transport=polling&sid=", " HTTP/1.0\r\nHost: h\r\n\r\n"},
        {"POST /engine.io/?EIO=4&transport=nonsense&sid=", " HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"},
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        char answers[2][4096];
        for (unsigned wrong = 0; wrong < 2; wrong++) {
            char text[512];
            nodes_init(&nodes, 2);
            nodes.engine.cors.origin = "*";
            nodes.engine.initial_packet = "first";
            nodes_start(&nodes);
            node_handshake(&nodes, 0, sid);
            struct eio_session *session = eio_server_find(nodes.node[0].server, sid, 20);
            memcpy(eio_session_reserve(session, EIO_TEXT, 5), "hello", 5);
            node_open(&client, &nodes, wrong);
            snprintf(text, sizeof text, "%s%s%s", requests[i].before, sid, requests[i].after);
            client_send(&client, text);
            client_settle(&client);
            assert_int_equal(nodes.node[wrong].offered, wrong);
            snprintf(answers[wrong], sizeof answers[wrong], "%s%s", client.text, client.eof ? "<end>" : "");
            assert_true(client.size > 0);
            stop();
        }
        assert_string_equal(answers[1], answers[0]);
    }
}

/* --------------------------------------------------------------- WebSocket */

TEST(nodes, upgrade_a_session_wherever_its_websocket_comes)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_upgrade(&client, sid);
    client_frame(&client, "2probe"); /* need not wait for the answer */
    client_expect(&client, "HTTP/1.1 101");
    client_expect(&client, "3probe");
    client_frame(&client, "5");
    client_frame(&client, "4hello");
    client_expect(&client, "4hello");
    assert_int_equal(nodes.node[0].messages, 1);
    assert_int_equal(node_stats(&nodes.node[0]).connections, 0);
    client_close(&client);
    nodes_settle(nodes.loop);
    assert_int_equal(nodes.node[0].closed, 1);
    stop();
}

TEST(nodes, upgrade_on_a_connection_that_was_adopted_before)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_echo(&client, sid, "hello");
    client_upgrade(&client, sid);
    client_expect(&client, "HTTP/1.1 101");
    client_frame(&client, "2probe");
    client_expect(&client, "3probe");
    stop();
}

TEST(nodes, refuse_a_bad_upgrade_at_the_owner)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    char text[512];
    snprintf(text, sizeof text,
             "GET /engine.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
             "Upgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
             sid);
    client_send(&client, text);
    client_expect(&client, "HTTP/1.1 426");
    client_expect_eof(&client);
    stop();
}

/* ---------------------------------------------------------------- declined */

TEST(nodes, answer_for_a_session_that_nobody_takes)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_handshake(&nodes, 1, other_sid);
    node_open(&client, &nodes, 1);
    nodes.node[1].decline = true;
    client_expect_unknown(&client, sid);
    client_echo(&client, other_sid, "the connection goes on");
    nodes.node[1].decline = false;
    client_echo(&client, sid, "and may go later");
    stop();
}

TEST(nodes, move_no_preflights_and_no_requests_without_a_session)
{
    nodes_init(&nodes, 2);
    nodes.engine.cors.origin = "*";
    nodes_start(&nodes);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    char text[512];
    snprintf(text, sizeof text, "OPTIONS /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n", sid);
    client_send(&client, text);
    client_expect(&client, "HTTP/1.1 204");
    client_forget(&client);
    client_send(&client, "GET /engine.io/?EIO=4&transport=polling&sid= HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "0{\"sid\":");
    client_expect_unknown(&client, "short");
    snprintf(text, sizeof text, "GET /elsewhere/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\n\r\n", sid);
    client_forget(&client);
    client_send(&client, text);
    client_expect(&client, "HTTP/1.1 404");
    assert_int_equal(nodes.node[1].offered, 0);
    stop();
}

TEST(nodes, send_no_connection_in_circles)
{
    start(3);
    struct eio__ids ids;
    eio__ids_init(&ids, 2, (const uint8_t *)"the nodes' key.");
    assert_true(eio__id_make(&ids, 0, sid));
    nodes.node[0].misled = nodes.node[1].misled = true;
    node_open(&client, &nodes, 0);
    client_expect_unknown(&client, sid); /* by the second: it was handed over for this request */
    assert_int_equal(nodes.node[0].offered, 1);
    assert_int_equal(nodes.node[1].offered, 0);
    client_expect_unknown(&client, sid); /* the next request may move */
    assert_int_equal(nodes.node[1].offered, 1);
    stop();
}

TEST(nodes, answer_when_the_owner_is_gone)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    node_stop(&nodes, 0);
    client_expect_unknown(&client, sid);
    client_settle(&client);
    assert_int_equal(nodes.node[1].links_closed, 1);
    client_expect_unknown(&client, sid);
    assert_int_equal(link_stats(&nodes, 1, 0).declined, 2);
    stop();
}

TEST(nodes, know_no_sessions_of_a_former_life)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_stop(&nodes, 0);
    eio_loop_turn(nodes.loop, 0);
    nodes_unlink(&nodes, 1, 0);
    node_start(&nodes, 0);
    nodes_link(&nodes, 0, 1);
    node_handshake(&nodes, 0, other_sid); /* in the same slot */
    node_open(&client, &nodes, 1);
    client_expect_unknown(&client, sid);
    client_echo(&client, other_sid, "but of this");
    stop();
}

/* ------------------------------------------------------------------ limits */

TEST(nodes, count_a_connection_by_its_peers_address_where_it_is)
{
    nodes_init(&nodes, 2);
    nodes.http.max_connections_per_address = 2;
    nodes_start(&nodes);
    node_handshake(&nodes, 0, sid);
    struct client clients[3];
    for (int i = 0; i < 3; i++) node_open(&clients[i], &nodes, 1); /* the third is one too many */
    client_expect(&clients[2], "HTTP/1.1 429");
    client_close(&clients[2]);
    for (int i = 0; i < 2; i++) client_ask(&clients[i], sid, "4x"); /* both move: there is room again, but not there */
    node_open(&client, &nodes, 1);
    client_write(&client, sid, "4x");
    client_expect(&client, "HTTP/1.1 429");
    client_expect_eof(&client);
    assert_int_equal(node_stats(&nodes.node[0]).limit_hits[EIO_LIMIT_CONNECTIONS_PER_ADDRESS], 1);
    client_close(&clients[0]);
    client_close(&clients[1]);
    client_close(&client);
    eio_loop_advance(nodes.loop, 3000);
    nodes_settle(nodes.loop);
    node_open(&client, &nodes, 1);
    client_ask(&client, sid, "4x");
    stop();
}

TEST(nodes, take_the_clients_address_and_its_proxies_as_if_it_had_come_here)
{
    nodes_init(&nodes, 2);
    nodes.http.trusted_proxies = "127.0.0.0/8";
    nodes.engine.max_sessions_per_address = 1;
    nodes_start(&nodes);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_echo(&client, sid, "it moves");
    client_forget(&client);
    client_send(&client,
                "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    client_expect(&client, "0{\"sid\":\"");
    struct answer answer = client_answer(&client);
    memcpy(other_sid, answer.body + 9, 20);
    struct eio_session *session = eio_server_find(nodes.node[0].server, other_sid, 20);
    assert_string_equal(eio_session_head(session)->address, "192.0.2.7");
    assert_false(eio_session_head(session)->secure);
    stop();
}

TEST(nodes, close_adopted_connections_that_idle)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    client_echo(&client, sid, "hello");
    eio_loop_advance(nodes.loop, nodes.http.idle_timeout_ms + 1000);
    client_expect_eof(&client);
    assert_int_equal(node_stats(&nodes.node[0]).connections, 0);
    stop();
}

TEST(nodes, give_a_body_its_time_after_the_handover)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_open(&client, &nodes, 1);
    char head[256];
    snprintf(head, sizeof head,
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\n4ab",
             sid);
    client_send(&client, head);
    client_settle(&client);
    eio_loop_advance(nodes.loop, nodes.http.body_timeout_ms + 1000);
    client_expect(&client, "HTTP/1.1 408");
    client_expect_eof(&client);
    stop();
}

/* ---------------------------------------------------------------- adopting */

static void take_by_hand(void)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    nodes.node[1].by_hand = true;
    node_open(&client, &nodes, 1);
    client_write(&client, sid, "4x");
    client_settle(&client);
    assert_true(nodes.node[1].taken.fd >= 0);
}

TEST(nodes, close_a_connection_that_came_through_many_machines_after_one_answer)
{
    take_by_hand();
    nodes.node[1].taken.hops = EIO_HOPS_MAX;
    assert_int_equal(eio_http_adopt(nodes.node[0].http, &nodes.node[1].taken), 0);
    client_expect(&client, "Connection: close");
    client_expect(&client, "\r\n\r\nok");
    client_expect_eof(&client);
    stop();
}

TEST(nodes, say_through_how_many_machines_a_connection_came)
{
    take_by_hand();
    nodes.node[1].taken.hops = 1;
    assert_int_equal(eio_http_adopt(nodes.node[0].http, &nodes.node[1].taken), 0);
    client_expect(&client, "Connection: keep-alive");
    node_handshake(&nodes, 1, other_sid);
    nodes.node[0].by_hand = true;
    client_write(&client, other_sid, "4x");
    client_settle(&client);
    assert_int_equal(nodes.node[0].taken.hops, 1);
    stop();
}

TEST(nodes, adopt_nothing_that_is_unsound)
{
    start(1);
    static const char *const addresses[] = {"192.0.2.1", "", "nobody", NULL};
    for (int i = 0; i < 6; i++) {
        int pair[2];
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        struct eio_http_handover handover = {.fd = pair[0], .bytes = malloc(4), .size = 4};
        memcpy(handover.bytes, "GET ", 4);
        const char *address = addresses[i < 3 ? i : 0];
        memcpy(handover.address, address, strlen(address));
        if (i == 3) memset(handover.address, '1', sizeof handover.address);
        if (i == 4) handover.size = EIO_HANDOVER_BYTES_MAX + 1;
        if (i == 5) {
            free(handover.bytes);
            handover.bytes = NULL;
        }
        assert_int_equal(eio_http_adopt(nodes.node[0].http, &handover), i == 0 ? 0 : EIO_EINVAL);
        assert_int_equal(handover.fd, -1);
        assert_null(handover.bytes);
        close(pair[1]);
    }
    nodes_settle(nodes.loop);
    assert_int_equal(node_stats(&nodes.node[0]).adopted, 1);
    assert_int_equal(node_stats(&nodes.node[0]).connections, 0);
    node_open(&client, &nodes, 0);
    stop();
}

/* --------------------------------------------------------------- the link */

/* Handovers that the other side does not read fill the socket, then the queue. */
TEST(nodes, decline_when_the_queue_to_the_owner_is_full)
{
    enum { CLIENTS = 400 };
    static struct client clients[CLIENTS];
    int pair[2];
    nodes_init(&nodes, 2);
    nodes.handoff.max_queue = 3;
    node_start(&nodes, 0);
    node_start(&nodes, 1);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    nodes.node[1].to[0] = eio_handoff_new(nodes.node[1].http, pair[0], &nodes.handoff);
    node_handshake(&nodes, 0, sid);
    size_t count = 0;
    while (link_stats(&nodes, 1, 0).declined == 0) {
        assert_true(count < CLIENTS);
        struct client *one = &clients[count++];
        node_open(one, &nodes, 1);
        client_write(one, sid, NULL);
        client_settle(one);
    }
    struct eio_handoff_stats stats = link_stats(&nodes, 1, 0);
    assert_int_equal(stats.queued, 3);
    assert_int_equal(stats.sent, count - 4);
    struct answer answer = client_answer(&clients[count - 1]);
    assert_int_equal(answer.status, 400);
    assert_string_equal(answer.body, UNKNOWN_SESSION);
    /* Now somebody reads: what waited goes as well. Only one poll can wait, the others end the session. */
    nodes.node[0].to[1] = eio_handoff_new(nodes.node[0].http, pair[1], NULL);
    nodes_settle(nodes.loop);
    assert_int_equal(link_stats(&nodes, 0, 1).received, count - 1);
    assert_int_equal(link_stats(&nodes, 1, 0).queued, 0);
    for (size_t i = 0; i < count; i++) client_close(&clients[i]);
    stop();
}

TEST(nodes, answer_what_waits_for_an_owner_that_goes)
{
    enum { CLIENTS = 400 };
    static struct client clients[CLIENTS];
    int pair[2];
    start(2);
    nodes_unlink(&nodes, 0, 1);
    nodes_unlink(&nodes, 1, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
    nodes.node[1].to[0] = eio_handoff_new(nodes.node[1].http, pair[0], &nodes.handoff);
    node_handshake(&nodes, 0, sid);
    size_t count = 0;
    while (link_stats(&nodes, 1, 0).queued < 2) {
        assert_true(count < CLIENTS);
        node_open(&clients[count], &nodes, 1);
        client_write(&clients[count], sid, NULL);
        client_settle(&clients[count++]);
    }
    close(pair[1]);
    for (size_t i = count - 2; i < count; i++) {
        struct answer answer = client_answer(&clients[i]);
        assert_int_equal(answer.status, 400);
    }
    client_settle(&clients[0]);
    assert_true(clients[0].eof || clients[0].reset); /* it died with the owner */
    assert_int_equal(link_stats(&nodes, 1, 0).queued, 0);
    for (size_t i = 0; i < count; i++) client_close(&clients[i]);
    stop();
}

TEST(nodes, leave_no_descriptor_behind)
{
    start(2);
    node_handshake(&nodes, 0, sid);
    node_handshake(&nodes, 1, other_sid);
    for (int i = 0; i < 10; i++) eio_loop_turn(nodes.loop, 0);
    size_t before = open_descriptors();
    for (int i = 0; i < 500; i++) {
        node_open(&client, &nodes, (unsigned)i & 1);
        client_ask(&client, i & 1 ? sid : other_sid, "4x");
        client_ask(&client, i & 1 ? other_sid : sid, "4x");
        client_close(&client);
    }
    nodes_settle(nodes.loop);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(node_stats(&nodes.node[0]).adopted + node_stats(&nodes.node[1]).adopted, 1000);
    assert_int_equal(node_stats(&nodes.node[0]).connections + node_stats(&nodes.node[1]).connections, 0);
    stop();
}

TEST_MAIN
