/* Sockets and connections that come from other processes. */
#include "http_server.h"

#include "test.h"

TEST(listen_fd, serves_on_a_socket_that_was_bound_before)
{
    struct server server;
    server_start(&server, NULL);
    eio_http_stop_listening(server.http);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(eio_http_listen_fd(server.http, fd), 0);
    assert_true(eio_http_port(server.http) != 0);
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct client client;
    client_open(&client, server.loop, eio_http_port(server.http));
    client_send(&client, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    client_expect(&client, "/a|");
    client_close(&client);
    server_stop(&server);
}

TEST(listen_fd, closes_what_it_cannot_use)
{
    struct server server;
    server_start(&server, NULL);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct eio_http_listener nowhere = {.take_fd = fd, .door = EIO_HTTP_DOORS};
    assert_int_equal(eio_http_listen_on(server.http, &nowhere), EIO_EINVAL);
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    eio_http_stop_listening(server.http);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    assert_int_equal(eio_http_listen_fd(server.http, pair[0]), EIO_ESYS);
    assert_int_equal(fcntl(pair[0], F_GETFD), -1);
    assert_int_equal(eio_http_port(server.http), 0);
    close(pair[1]);
    server_stop(&server);
}

TEST_MAIN
