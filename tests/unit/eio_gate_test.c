/* The request gate. Every input is fed whole, cut at every byte, and byte by byte as a connection does it; each piece
 * is an allocation of just its size, so that the sanitizer sees a read past its end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "eio_codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST "Host: a\r\n"
#define END HOST "\r\n"

static const struct eio__gate_limits limits = {.max_head_bytes = 1024, .max_line_bytes = 256, .max_fields = 8};

static ssize_t parse_exact(const char *p, size_t n, struct eio__gate_head *out, struct eio__fault *fault)
{
    uint8_t *exact = calloc(1, n ? n : 1);
    if (n) memcpy(exact, p, n);
    ssize_t rc = eio__gate_parse(n ? exact : exact + 1, n, &limits, out, fault);
    free(exact);
    return rc;
}

/* As a connection: parses only when the scan says so. Returns what was decided, and after how many bytes. */
static ssize_t parse_drip(const char *p, size_t n, struct eio__gate_head *out, struct eio__fault *fault, size_t *after)
{
    struct eio__gate_scan scan = {0};
    for (size_t i = 1; i <= n; i++) {
        uint8_t *exact = malloc(i);
        memcpy(exact, p, i);
        bool wanted = eio__gate_scan(&scan, exact, i, &limits);
        free(exact);
        ssize_t rc = wanted ? parse_exact(p, i, out, fault) : 0;
        *after = i;
        if (rc != 0) return rc;
    }
    return 0;
}

/* "GET /a?b 1.1 length=0 keep-alive upgrade|name=value|…", or "400 why". */
static void print_head(const struct eio__gate_head *parsed, char *out, size_t size)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    const struct eio_http_head *head = parsed->take_head;
    struct eio_str target = eio_http_head_target(head), name, value;
    size_t n = (size_t)snprintf(out, size, "%s %.*s 1.%d length=%d%s%s%s", names[head->method], (int)target.n, target.p,
                                parsed->minor_version, (int)parsed->content_length, head->keep_alive ? " keep" : "",
                                parsed->expect_continue ? " expect" : "", parsed->upgrade_websocket ? " upgrade" : "");
    for (size_t i = 0; eio_http_head_field_at(head, i, &name, &value) && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "|%.*s=%.*s", (int)name.n, name.p, (int)value.n, value.p);
}

static void outcome(ssize_t rc, struct eio__gate_head *parsed, const struct eio__fault *fault, char *out, size_t size)
{
    if (rc > 0) {
        print_head(parsed, out, size);
        free(parsed->take_head);
    } else if (rc == 0) {
        snprintf(out, size, "more");
    } else {
        assert_null(parsed->take_head);
        assert_non_null(fault->why);
        snprintf(out, size, "%d", fault->close_code);
    }
}

static void check_bytes(const char *p, size_t n, const char *wanted)
{
    struct eio__gate_head parsed;
    struct eio__fault fault;
    char got[2048];
    ssize_t whole = parse_exact(p, n, &parsed, &fault);
    outcome(whole, &parsed, &fault, got, sizeof got);
    if (strcmp(got, wanted) != 0) fail_msg("\"%.80s\": wanted %s, got %s", p, wanted, got);
    /* A piece of it never says something else. */
    for (size_t i = 0; i < n; i++) {
        ssize_t rc = parse_exact(p, i, &parsed, &fault);
        if (rc == 0) continue;
        outcome(rc, &parsed, &fault, got, sizeof got);
        if (strcmp(got, wanted) != 0) fail_msg("\"%.80s\" cut at %zu: wanted %s, got %s", p, i, wanted, got);
        if (rc > 0) assert_int_equal(rc, whole);
    }
    size_t after = 0;
    ssize_t rc = parse_drip(p, n, &parsed, &fault, &after);
    outcome(rc, &parsed, &fault, got, sizeof got);
    if (strcmp(got, wanted) != 0) fail_msg("\"%.80s\" dripped: wanted %s, got %s", p, wanted, got);
    if (rc > 0) assert_int_equal(after, rc);
}

static void check(const char *text, const char *wanted)
{
    check_bytes(text, strlen(text), wanted);
}

/* ------------------------------------------------------------------- cases */

static void requests_are_parsed(void **state)
{
    (void)state;
    check("GET / HTTP/1.1\r\n" END, "GET / 1.1 length=0 keep|host=a");
    check("GET /a/b?c=d&e HTTP/1.1\r\nHOST: x:80\r\nX-Y:  z \t\r\nEmpty:\r\n\r\n",
          "GET /a/b?c=d&e 1.1 length=0 keep|host=x:80|x-y=z|empty=");
    check("POST /p HTTP/1.1\r\nContent-Length: 0017\r\n" END, "POST /p 1.1 length=17 keep|content-length=0017|host=a");
    check("POST /p HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n" END,
          "POST /p 1.1 length=-1 keep|transfer-encoding=Chunked|host=a");
    check("GET / HTTP/1.0\r\n\r\n", "GET / 1.0 length=0");
    check("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / 1.0 length=0 keep|connection=keep-alive");
    check("GET / HTTP/1.1\r\nConnection: foo ,, CLOSE\r\n" END, "GET / 1.1 length=0|connection=foo ,, CLOSE|host=a");
    check("\r\nGET / HTTP/1.1\r\n" END, "GET / 1.1 length=0 keep|host=a");
    check("GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / 1.1 length=0 keep|host=");
    check("OPTIONS /o HTTP/1.1\r\nX: \x80\xff\r\n" END, "OPTIONS /o 1.1 length=0 keep|x=\x80\xff|host=a");
    check("POST / HTTP/1.1\r\nExpect: 100-Continue\r\n" END,
          "POST / 1.1 length=0 keep expect|expect=100-Continue|host=a");
    check("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "POST / 1.0 length=0|expect=100-continue");
}

static void every_method_has_its_name(void **state)
{
    (void)state;
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char text[64], wanted[64];
        snprintf(text, sizeof text, "%s / HTTP/1.1\r\n" END, names[i]);
        snprintf(wanted, sizeof wanted, "%s / 1.1 length=0 keep|host=a", names[i]);
        check(text, wanted);
    }
}

/* RFC 9112, section 3.2.2: the authority of an absolute-form target replaces the Host header. */
static void absolute_form_replaces_the_host(void **state)
{
    (void)state;
    check("GET http://b:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y 1.1 length=0 keep|host=b:1");
    check("GET HTTPS://b?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /?y 1.1 length=0 keep|host=b");
    check("GET http://longer.example HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n",
          "GET / 1.1 length=0 keep|x=y|host=longer.example");
    check("GET http://b/ HTTP/1.0\r\n\r\n", "GET / 1.0 length=0|host=b");
    check("GET http://b/ HTTP/1.1\r\n\r\n", "400");
    check("GET http:///x HTTP/1.1\r\n" END, "400");
    check("GET ftp://b/x HTTP/1.1\r\n" END, "400");
    static const char *const bad[] = {"u:p@b", "b:abc", "[::1", "[]", "b%zz", ":80", "b:65536"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[128];
        snprintf(text, sizeof text, "GET http://%s/ HTTP/1.1\r\n" END, bad[i]);
        check(text, "400");
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        check(text, "400");
    }
}

/* Section 3.2.4. */
static void asterisk_form_is_for_options_alone(void **state)
{
    (void)state;
    check("OPTIONS * HTTP/1.1\r\n" END, "OPTIONS * 1.1 length=0 keep|host=a");
    check("GET * HTTP/1.1\r\n" END, "400");
    check("OPTIONS ** HTTP/1.1\r\n" END, "400");
}

static void upgrades_are_recognised(void **state)
{
    (void)state;
    check("GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" END,
          "GET / 1.1 length=0 keep upgrade|connection=keep-alive, Upgrade|upgrade=WebSocket|host=a");
    check("GET / HTTP/1.1\r\nUpgrade: websocket\r\n" END, "GET / 1.1 length=0 keep|upgrade=websocket|host=a");
    check("GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" END,
          "GET / 1.1 length=0 keep|connection=upgrade|upgrade=h2c|host=a");
    check("POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END,
          "POST / 1.1 length=0 keep|connection=upgrade|upgrade=websocket|host=a");
    check("GET / HTTP/1.1\r\nContent-Length: 1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" END,
          "GET / 1.1 length=1 keep|content-length=1|connection=upgrade|upgrade=websocket|host=a");
}

static void ambiguous_lengths_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Content-Length: 1\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 1",
        "Content-Length: 1\r\nContent-Length: 1",
        "Content-Length:",
        "Content-Length: \t",
        "Content-Length: 1,1",
        "Content-Length: +1",
        "Content-Length: 1 1",
        "Content-Length : 1",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip", /* RFC 9112, section 6.3: without chunked at its end, not 501 */
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked, chunked",
        "Transfer-Encoding: chunked;a=b",
        "Transfer-Encoding: chunked chunked",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,",
        "Content-Length: 0x1",
        "Content-Length: 1\x0b",
        "Content_Length : 1",
        "Content-Length\x00: 1",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\n" HOST "%s\r\n\r\n", bad[i]);
        check(text, "400");
    }
    check("POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", "501");
    check("POST / HTTP/1.1\r\n" HOST "Content-Length: 9999999999999999999\r\n\r\n", "413");
    check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
}

static void names_of_any_length_are_lower_case(void **state)
{
    (void)state;
    static const char token[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    char request[256], wanted[256], lower[sizeof token];
    for (size_t i = 0; i < sizeof token; i++) {
        bool is_upper = token[i] >= 'A' && token[i] <= 'Z';
        lower[i] = (char)(is_upper ? token[i] - 'A' + 'a' : token[i]);
    }
    for (size_t n = 1; n < 20; n++) {
        for (size_t from = 0; from + n < sizeof token; from++) {
            snprintf(request, sizeof request, "GET / HTTP/1.1\r\n%.*s: V\r\n" END, (int)n, token + from);
            snprintf(wanted, sizeof wanted, "GET / 1.1 length=0 keep|%.*s=V|host=a", (int)n, lower + from);
            check(request, wanted);
        }
    }
}

static void malformed_heads_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\n" END,
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\n" HOST END,
        "GET / HTTP/1.1\n" HOST "\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nX\r\n" END,
        "GET / HTTP/1.1\r\n X: y\r\n" END,
        "GET / HTTP/1.1\r\n" HOST "\tfold\r\n\r\n",
        "GET / HTTP/1.1\r\nX: \x01\r\n" END,
        "GET / HTTP/1.1\r\nX: \x7f\r\n" END,
        "GET / HTTP/1.1\r\nX: a\rb\r\n" END,
        "GET /\x7f HTTP/1.1\r\n" END,
        "GET /\xc3\xa4 HTTP/1.1\r\n" END,
        "GET /#x HTTP/1.1\r\n" END,
        "GET * HTTP/1.1\r\n" END,
        "GET / HTTPS/1.1\r\n" END,
        "GET / HTTP/1.1x\r\n" END,
        "GET / HTTP/11\r\n" END,
        "\r\n\r\n",
        "\r\rGET",
        "\n",
        " GET / HTTP/1.1\r\n",
        "\x16\x03",
        "GET\t/ HTTP/1.1\r\n" END,
        "GET / HTTP/1.1\r\n: x\r\n" END,
        "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
        "G\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(bad[i], "400");
    check_bytes("GET /\0 HTTP/1.1\r\n" END, 28, "400");
    check_bytes("GET / HTTP/1.1\r\nX: \0\r\n" END, 33, "400");
    check("GET / HTTP/2.0\r\n" END, "505");
    check("GET / HTTP/1.2\r\n" END, "505");
    check("GET / HTTP/9.9\r\n" END, "505");
    check("FOO / HTTP/1.1\r\n" END, "501");
    check("get / HTTP/1.1\r\n" END, "501");
    check("CONNECT a:1 HTTP/1.1\r\n" END, "501");
    check("POST / HTTP/1.1\r\nExpect: more\r\n" END, "417");
}

/* A scan that waited for the end of the line would wait for ever. */
static void non_http_is_refused_at_its_first_byte(void **state)
{
    (void)state;
    check("\x16", "400");
    check("(", "400");
    check("GE\x01", "400");
}

static void repeat(char *out, const char *start, char c, size_t n)
{
    size_t at = strlen(start);
    memcpy(out, start, at);
    memset(out + at, c, n);
    out[at + n] = '\0';
}

static void limits_hold(void **state)
{
    (void)state;
    char text[4096], many[1024] = "GET / HTTP/1.1\r\n";
    repeat(text, "GET /", 'a', 252);
    check(text, "414");
    repeat(text, "GET /", 'a', 200);
    check(text, "more");
    repeat(text, "GET / HTTP/1.1\r\nX: ", 'a', 254);
    check(text, "431");
    repeat(text, "GET / HTTP/1.1\r\n", 'a', 200);
    check(text, "more");
    for (int i = 0; i < 8; i++) strcat(many, "a: b\r\n");
    check(many, "more");
    strcat(many, "a: b\r\n");
    check(many, "431");
    strcpy(text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 6; i++) {
        char line[256];
        repeat(line, "X: ", 'b', 200);
        strcat(text, line);
        strcat(text, "\r\n");
    }
    check(text, "431");
    check("", "more");
    check("\r", "more");
    check("GET / HTTP/1.1\r\nHost: a\r\n\r", "more");
}

static void head_ends_where_the_body_begins(void **state)
{
    (void)state;
    struct eio__gate_head parsed;
    struct eio__fault fault;
    const char text[] = "\r\nPOST / HTTP/1.1\r\nContent-Length: 2\r\n" END "xyGET ";
    ssize_t n = parse_exact(text, sizeof text - 1, &parsed, &fault);
    assert_int_equal(n, sizeof text - 1 - 6);
    assert_int_equal(parsed.take_head->issued_ms, 0);
    free(parsed.take_head);
}

static void faults_tell_where(void **state)
{
    (void)state;
    struct eio__gate_head parsed;
    struct eio__fault fault;
    assert_int_equal(parse_exact("GET / HTTP/1.1\r\nA B: c\r\n\r\n", 26, &parsed, &fault), EIO_EPROTO);
    assert_int_equal(fault.at, 17);
    assert_string_equal(fault.why, "bad header name");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_parsed),
        cmocka_unit_test(every_method_has_its_name),
        cmocka_unit_test(asterisk_form_is_for_options_alone),
        cmocka_unit_test(absolute_form_replaces_the_host),
        cmocka_unit_test(upgrades_are_recognised),
        cmocka_unit_test(ambiguous_lengths_are_refused),
        cmocka_unit_test(names_of_any_length_are_lower_case),
        cmocka_unit_test(malformed_heads_are_refused),
        cmocka_unit_test(non_http_is_refused_at_its_first_byte),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(head_ends_where_the_body_begins),
        cmocka_unit_test(faults_tell_where),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
