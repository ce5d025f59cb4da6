/* The client's files over HTTP (row P10 in the inventory of the reference's behaviour). */
#include "sio_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct talk t;
static const struct sio_asset assets[] = {
    {"socket.io.js", {"plain", 5}, {"gzipped", 7}, {"brotli", 6}},
    {"socket.io.js.map", {"{}", 2}, {NULL, 0}, {NULL, 0}},
};

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.engine.cors.origin = "*";
    talk_start(&t);
    assert_int_equal(sio_serve_client(t.io, assets, 2, "4.8.4"), 0);
    assert_int_equal(sio_listen(t.io, "127.0.0.1", 0), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    talk_clear(&t);
    return 0;
}

/* The whole response; the server closes after it. */
static const char *request(const char *method, const char *path, const char *header)
{
    static char answer[4096];
    char text[512];
    size_t size = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(eio_http_port(sio_server_http(t.io)))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    int n =
        snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, path, header);
    assert_int_equal(write(fd, text, (size_t)n), n);
    for (int turn = 0; turn < 60000; turn++) {
        talk_turn(&t);
        ssize_t got = recv(fd, answer + size, sizeof answer - 1 - size, MSG_DONTWAIT);
        if (got == 0) break;
        if (got > 0)
            size += (size_t)got;
        else
            usleep(1000);
    }
    close(fd);
    answer[size] = '\0';
    return answer;
}

#define assert_has(text, part) assert_non_null(strcasestr(text, part))
#define assert_lacks(text, part) assert_null(strcasestr(text, part))

static void a_file_with_its_headers(void **state)
{
    (void)state;
    const char *answer = request("GET", "/socket.io/socket.io.js?x=1", "");
    assert_memory_equal(answer, "HTTP/1.1 200 ", 13);
    assert_has(answer, "\r\nETag: \"4.8.4\"\r\n");
    assert_has(answer, "\r\nCache-Control: public, max-age=0\r\n");
    assert_has(answer, "\r\nContent-Type: application/javascript; charset=utf-8\r\n");
    assert_has(answer, "\r\nAccess-Control-Allow-Origin: *\r\n");
    assert_has(answer, "\r\n\r\nplain");
    assert_lacks(answer, "Content-Encoding");
    answer = request("GET", "/socket.io/socket.io.js.map", "Accept-Encoding: br\r\n");
    assert_has(answer, "\r\nContent-Type: application/json; charset=utf-8\r\n");
    assert_has(answer, "\r\n\r\n{}");
    assert_lacks(request("HEAD", "/socket.io/socket.io.js", ""), "plain");
}

static void as_the_client_accepts(void **state)
{
    (void)state;
    const char *const path = "/socket.io/socket.io.js";
    assert_has(request("GET", path, "Accept-Encoding: gzip, deflate, br\r\n"), "\r\n\r\nbrotli");
    assert_has(request("GET", path, "Accept-Encoding: gzip;q=0.5 , br ; q=0.0\r\n"), "\r\n\r\ngzipped");
    assert_has(request("GET", path, "Accept-Encoding: gzip\r\n"), "\r\nContent-Encoding: gzip\r\n");
    assert_has(request("GET", path, "Accept-Encoding: deflate, brr\r\n"), "\r\n\r\nplain");
}

static void not_again_if_the_client_has_it(void **state)
{
    (void)state;
    const char *const path = "/socket.io/socket.io.js";
    assert_memory_equal(request("GET", path, "If-None-Match: \"4.8.4\"\r\n"), "HTTP/1.1 304 ", 13);
    assert_memory_equal(request("GET", path, "If-None-Match: \"4.8.3\", W/\"4.8.4\"\r\n"), "HTTP/1.1 304 ", 13);
    assert_memory_equal(request("GET", path, "If-None-Match: \"4.8.3\"\r\n"), "HTTP/1.1 200 ", 13);
    /* What the 200 says to caches (RFC 9110, section 15.4.5). */
    const char *again = request("GET", path, "If-None-Match: \"4.8.4\"\r\n");
    assert_has(again, "\r\nCache-Control: public, max-age=0\r\n");
    assert_has(again, "\r\nVary: Accept-Encoding\r\n");
    assert_has(again, "\r\nETag: \"4.8.4\"\r\n");
}

static void the_engine_has_the_rest(void **state)
{
    (void)state;
    assert_has(request("GET", "/socket.io/?EIO=4&transport=polling", ""), "0{\"sid\"");
    assert_memory_equal(request("GET", "/socket.io/socket.io.min.js", ""), "HTTP/1.1 400 ", 13);
    assert_memory_equal(request("DELETE", "/socket.io/socket.io.js", ""), "HTTP/1.1 405 ", 13);
    const char *preflight = "Origin: http://a\r\nAccess-Control-Request-Method: GET\r\n";
    assert_memory_equal(request("OPTIONS", "/socket.io/socket.io.js", preflight), "HTTP/1.1 204 ", 13);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_file_with_its_headers),
        TEST(as_the_client_accepts),
        TEST(not_again_if_the_client_has_it),
        TEST(the_engine_has_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
