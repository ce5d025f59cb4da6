/* TLS at the HTTP layer: an OpenSSL client on the same thread as the server, and connections taken as an upgrade takes
 * them. The certificates are made by openssl(1) when the tests start. */
#include "http_owner.h"

#include <signal.h>

/* -------------------------------------------------------------------- HTTP */

static void on_secure(struct eio_http_request *request, void *ctx)
{
    *(bool *)ctx = eio_http_request_head(request)->secure;
    server_reply(request, 200, "ok", 2);
}

static void requests_are_answered_and_known_to_be_secure(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    bool secure = false;
    start(&server, NULL);
    assert_int_equal(eio_http_route(server.http, "/secure", 0, on_secure, &secure), 0);
    peer_connect(&peer, &server);
    peer_say(&peer, "GET /secure HTTP/1.1\r\nHost: x\r\nX-Forwarded-Proto: http\r\n\r\n");
    UNTIL(&peer, peer_has(&peer, "\r\n\r\nok"));
    assert_true(secure);
    peer_close(&peer);
    server_stop(&server);
}

static void large_bodies_travel_both_ways(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    start(&server, NULL);
    peer_connect(&peer, &server);
    enum { SIZE = 3000000 };
    char *body = malloc(SIZE), head[128];
    memset(body, 'b', SIZE);
    snprintf(head, sizeof head, "POST /large HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SIZE);
    peer_say(&peer, head);
    peer_send(&peer, body, SIZE);
    size_t before = peer.size;
    UNTIL(&peer, peer.size >= before + SIZE);
    peer.size = 0;
    peer_say(&peer, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    UNTIL(&peer, peer.size > 8u << 20);
    free(body);
    peer_close(&peer);
    server_stop(&server);
}

static void a_parked_request_is_aborted_when_the_client_goes(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    start(&server, NULL);
    peer_connect(&peer, &server);
    peer_say(&peer, "GET /park HTTP/1.1\r\nHost: x\r\n\r\n");
    UNTIL(&peer, server.parked_count == 1);
    shutdown(peer.tcp.fd, SHUT_RDWR);
    UNTIL(&peer, server.aborted == 1);
    assert_int_equal(server_stats(&server).connections, 0);
    peer_close(&peer);
    server_stop(&server);
}

static void a_handshake_that_does_not_end_is_cut(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    start(&server, NULL);
    client_open(&client, server.loop, server.port);
    client_send_bytes(&client, "\x16\x03\x01", 3);
    client_pump(&client, 20);
    assert_false(client.eof);
    eio_loop_advance(server.loop, 60001);
    client_pump(&client, 1000);
    assert_true(client.eof || client.reset);
    client_close(&client);
    server_stop(&server);
}

static void plain_http_is_told_so(void **state)
{
    (void)state;
    struct server server;
    struct client client;
    start(&server, NULL);
    client_open(&client, server.loop, server.port);
    client_send(&client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    client_pump(&client, 1000);
    assert_non_null(strstr(client.text, "HTTP/1.1 400 Bad Request\r\n"));
    assert_true(client.eof);
    assert_int_equal(server_stats(&server).tls_errors, 1);
    assert_int_equal(server_stats(&server).connections, 0);
    client_close(&client);
    server_stop(&server);
}

static void above_max_connections_the_refusal_arrives(void **state)
{
    (void)state;
    struct server server;
    struct peer first, second;
    struct eio_http_options options;
    eio_http_options_init(&options);
    options.max_connections = 1;
    start(&server, &options);
    peer_connect(&first, &server);
    peer_open(&second, server.loop, server.port);
    UNTIL(&second, peer_has(&second, "HTTP/1.1 503 "));
    UNTIL(&second, second.ended);
    peer_close(&second);
    peer_close(&first);
    server_stop(&server);
}

/* ------------------------------------------------------------------- files */

static char last_line[512];
static void on_line(enum eio_log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)ctx;
    snprintf(last_line, sizeof last_line, "%s", line);
}

static void expect_refused(const char *cert, const char *key, const char *why)
{
    struct eio_loop *loop = eio_loop_new_with_fake_clock();
    struct eio_http_options options;
    eio_http_options_init(&options);
    options.tls_cert_file = cert;
    options.tls_key_file = key;
    eio_log_set(on_line, NULL, EIO_LOG_WARN);
    assert_null(eio_http_new(loop, &options));
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    if (!strstr(last_line, why)) fail_msg("\"%s\" does not say \"%s\"", last_line, why);
    eio_loop_free(loop);
}

static void unusable_files_are_refused_with_the_reason(void **state)
{
    (void)state;
    expect_refused("/none.pem", key_file, "/none.pem: No such file");
    expect_refused(cert_file, "/none.key", "/none.key: No such file");
    expect_refused(key_file, key_file, "certificate");
    expect_refused(cert_file, other_key_file, "key");
    expect_refused(cert_file, NULL, "both a certificate and a key");
    expect_refused(NULL, key_file, "both a certificate and a key");
}

static void copy_file(const char *from, const char *to)
{
    char command[256];
    snprintf(command, sizeof command, "cp %s %s", from, to);
    assert_int_equal(system(command), 0);
}

static bool peer_sees(struct peer *peer, const char *name)
{
    char text[64] = "";
    X509 *cert = SSL_get1_peer_certificate(peer->ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, text, sizeof text);
    X509_free(cert);
    return strcmp(text, name) == 0;
}

static void a_reload_is_for_new_connections_and_keeps_the_old_certificate_if_it_fails(void **state)
{
    (void)state;
    struct server server;
    struct peer old, new, newer;
    char saved_cert[80], saved_key[80];
    start(&server, NULL);
    peer_connect(&old, &server);
    assert_true(peer_sees(&old, "one"));
    snprintf(saved_cert, sizeof saved_cert, "%s.saved", cert_file);
    snprintf(saved_key, sizeof saved_key, "%s.saved", key_file);
    assert_int_equal(rename(cert_file, saved_cert), 0);
    assert_int_equal(rename(key_file, saved_key), 0);
    eio_log_set(on_line, NULL, EIO_LOG_WARN);
    assert_int_equal(eio_http_reload_tls(server.http), EIO_EINVAL);
    eio_log_set(NULL, NULL, EIO_LOG_WARN);
    peer_connect(&new, &server);
    assert_true(peer_sees(&new, "one"));
    copy_file(other_cert_file, cert_file);
    copy_file(other_key_file, key_file);
    assert_int_equal(eio_http_reload_tls(server.http), 0);
    peer_connect(&newer, &server);
    assert_true(peer_sees(&newer, "two"));
    peer_say(&old, "GET /again HTTP/1.1\r\nHost: x\r\n\r\n");
    UNTIL(&old, peer_has(&old, "/again|"));
    peer_close(&old);
    peer_close(&new);
    peer_close(&newer);
    server_stop(&server);
    assert_int_equal(rename(saved_cert, cert_file), 0);
    assert_int_equal(rename(saved_key, key_file), 0);
}

static void a_plain_server_has_nothing_to_reload(void **state)
{
    (void)state;
    struct server server;
    server_start(&server, NULL);
    assert_int_equal(eio_http_reload_tls(server.http), EIO_EINVAL);
    server_stop(&server);
}

/* ------------------------------------------------------- taken connections */

static void a_taken_connection_reads_and_writes(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    peer_say(&peer, "hello");
    UNTIL(&peer, owner.read == 5);
    assert_string_equal(owner.text, "hello");
    char wor[] = "wor", ld[] = "ld";
    struct iovec parts[] = {{wor, 3}, {ld, 2}};
    assert_int_equal(owner.io->ops->write(owner.io, parts, 2), 5);
    UNTIL(&peer, peer_has(&peer, "world"));
    char *large = calloc(1, 100000);
    peer_send(&peer, large, 100000);
    UNTIL(&peer, owner.read == 100005);
    free(large);
    finish(&owner, &peer, &server);
}

static void what_waits_to_be_written_is_bounded_and_room_is_reported(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    size_t written = fill(&owner); /* the kernel's buffers, then ours */
    assert_true(written > 65536);
    for (int i = 0; i < 500; i++) { /* the peer reads nothing */
        eio_loop_turn(server.loop, 0);
        written += fill(&owner);
    }
    assert_int_equal(fill(&owner), 0);
    owner.happened = 0;
    owner.io->ops->watch(owner.io, EV_READ | EV_WRITE);
    for (int i = 0; i < 20; i++) eio_loop_turn(server.loop, 0);
    assert_false(owner.happened & EV_WRITE);
    UNTIL(&peer, owner.happened & EV_WRITE);
    UNTIL(&peer, peer.size == written);
    finish(&owner, &peer, &server);
}

static void reading_stops_and_goes_on_as_watched(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    owner.io->ops->watch(owner.io, 0);
    peer_say(&peer, "later");
    for (int i = 0; i < 20; i++) turn(&peer);
    assert_int_equal(owner.read, 0);
    owner.io->ops->watch(owner.io, EV_READ);
    UNTIL(&peer, owner.read == 5);
    finish(&owner, &peer, &server);
}

/* It may have been noticed already, together with the bytes before it. */
static void the_peers_end_waits_while_nothing_is_wanted(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct server server;
        struct peer peer;
        struct owner owner;
        start(&server, NULL);
        take(&owner, &peer, &server);
        owner.last = 1;
        owner.stops = true;
        static const uint8_t zeros[16000]; /* one record */
        SSL_write(peer.ssl, zeros, sizeof zeros);
        if (clean) SSL_shutdown(peer.ssl);
        shutdown(peer.tcp.fd, SHUT_WR);
        UNTIL(&peer, owner.read > 0);
        for (int i = 0; i < 20; i++) turn(&peer);
        assert_int_equal(owner.read, 1000); /* once, then it did not want more */
        for (int i = 2; i <= 16; i++) {
            owner.io->ops->watch(owner.io, EV_READ);
            UNTIL(&peer, owner.read == (size_t)i * 1000);
            assert_int_equal(owner.last, 1000);
        }
        owner.io->ops->watch(owner.io, EV_READ);
        UNTIL(&peer, owner.last == 0);
        finish(&owner, &peer, &server);
    }
}

static void what_was_written_arrives_after_the_close(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    size_t written = fill(&owner);
    owner.io->ops->close(owner.io);
    owner.io = NULL;
    UNTIL(&peer, peer.ended);
    assert_int_equal(peer.size, written);
    finish(&owner, &peer, &server);
}

static void a_closed_connection_that_nobody_reads_is_given_up(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    for (int i = 0; i < 500; i++) {
        eio_loop_turn(server.loop, 0);
        fill(&owner);
    }
    owner.io->ops->close(owner.io);
    owner.io = NULL;
    eio_loop_turn(server.loop, 0);
    eio_loop_advance(server.loop, 2001);
    eio_loop_turn(server.loop, 0);
    UNTIL(&peer, peer.failed || peer.ended);
    finish(&owner, &peer, &server);
}

static void a_shutdown_waits_for_what_was_written(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    size_t written = fill(&owner);
    owner.io->ops->shutdown(owner.io);
    UNTIL(&peer, peer.ended);
    assert_int_equal(peer.size, written);
    char x[] = "x";
    struct iovec part = {x, 1};
    assert_int_equal(owner.io->ops->write(owner.io, &part, 1), -1);
    finish(&owner, &peer, &server);
}

static void the_peers_end_comes_after_its_bytes(void **state)
{
    (void)state;
    for (int clean = 0; clean < 2; clean++) {
        struct server server;
        struct peer peer;
        struct owner owner;
        start(&server, NULL);
        take(&owner, &peer, &server);
        owner.last = 1;
        SSL_write(peer.ssl, "bye", 3);
        if (clean) SSL_shutdown(peer.ssl);
        shutdown(peer.tcp.fd, SHUT_WR);
        UNTIL(&peer, owner.last == 0);
        assert_int_equal(owner.read, 3);
        finish(&owner, &peer, &server);
    }
}

static void bytes_that_make_no_sense_are_an_error(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    start(&server, NULL);
    take(&owner, &peer, &server);
    assert_int_equal(send(peer.tcp.fd, "this is no record of TLS", 24, MSG_NOSIGNAL), 24);
    UNTIL(&peer, owner.last == -1);
    assert_int_equal(server_stats(&server).tls_errors, 1);
    char x[] = "x";
    struct iovec part = {x, 1};
    assert_int_equal(owner.io->ops->write(owner.io, &part, 1), -1);
    finish(&owner, &peer, &server);
}

static void a_taken_connection_counts_until_it_is_closed(void **state)
{
    (void)state;
    struct server server;
    struct peer peer, refused, next;
    struct owner owner;
    struct eio_http_options options;
    eio_http_options_init(&options);
    options.max_connections = 1;
    start(&server, &options);
    take(&owner, &peer, &server);
    peer_open(&refused, server.loop, server.port);
    UNTIL(&refused, peer_has(&refused, "HTTP/1.1 503 "));
    owner.io->ops->close(owner.io);
    owner.io = NULL;
    peer_connect(&next, &server);
    peer_close(&refused);
    peer_close(&next);
    finish(&owner, &peer, &server);
}

static void it_may_be_closed_from_its_own_callback(void **state)
{
    (void)state;
    struct server server;
    struct peer peer;
    struct owner owner;
    char bytes[5000] = "";
    start(&server, NULL);
    take(&owner, &peer, &server);
    owner.close_on_read = true;
    peer_send(&peer, bytes, sizeof bytes);
    UNTIL(&peer, owner.io == NULL);
    UNTIL(&peer, peer.ended || peer.failed);
    finish(&owner, &peer, &server);
}

static void the_server_may_go_first(void **state)
{
    (void)state;
    struct server server;
    struct peer peer, other_peer;
    struct owner owner, closing;
    start(&server, NULL);
    take(&owner, &peer, &server);
    free(server.taken_head);
    take(&closing, &other_peer, &server);
    size_t written = fill(&closing);
    closing.io->ops->close(closing.io);
    UNTIL(&other_peer, other_peer.size > 0); /* so that the kernel has room for what waits here */
    char late[] = "late";
    struct iovec part = {late, 4};
    assert_int_equal(owner.io->ops->write(owner.io, &part, 1), 4);
    struct eio_loop *loop = server.loop;
    free(server.taken_head);
    eio_http_free(server.http);
    UNTIL(&peer, peer_has(&peer, "late"));
    UNTIL(&other_peer, other_peer.size == written);
    owner.io->ops->close(owner.io);
    peer_close(&peer);
    peer_close(&other_peer);
    eio_loop_free(loop);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_answered_and_known_to_be_secure),
        cmocka_unit_test(large_bodies_travel_both_ways),
        cmocka_unit_test(a_parked_request_is_aborted_when_the_client_goes),
        cmocka_unit_test(a_handshake_that_does_not_end_is_cut),
        cmocka_unit_test(plain_http_is_told_so),
        cmocka_unit_test(above_max_connections_the_refusal_arrives),
        cmocka_unit_test(unusable_files_are_refused_with_the_reason),
        cmocka_unit_test(a_reload_is_for_new_connections_and_keeps_the_old_certificate_if_it_fails),
        cmocka_unit_test(a_plain_server_has_nothing_to_reload),
        cmocka_unit_test(a_taken_connection_reads_and_writes),
        cmocka_unit_test(what_waits_to_be_written_is_bounded_and_room_is_reported),
        cmocka_unit_test(reading_stops_and_goes_on_as_watched),
        cmocka_unit_test(the_peers_end_waits_while_nothing_is_wanted),
        cmocka_unit_test(what_was_written_arrives_after_the_close),
        cmocka_unit_test(a_closed_connection_that_nobody_reads_is_given_up),
        cmocka_unit_test(a_shutdown_waits_for_what_was_written),
        cmocka_unit_test(the_peers_end_comes_after_its_bytes),
        cmocka_unit_test(bytes_that_make_no_sense_are_an_error),
        cmocka_unit_test(a_taken_connection_counts_until_it_is_closed),
        cmocka_unit_test(it_may_be_closed_from_its_own_callback),
        cmocka_unit_test(the_server_may_go_first),
    };
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
