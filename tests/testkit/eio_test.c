/* Sessions without HTTP: requests in memory and WebSockets on a socketpair, for the tests of engineio and of what is
 * above it. */
#include "eio_test.h"

#include "eio_int.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct test_request {
    struct eio_http_request base;
    struct eio__test_reply *reply;
    char *body;
    int fd; /* our end of the pair; -1: not an upgrade */
};

static void test_free(struct test_request *request)
{
    free(request->base.head);
    free(request->body);
    free(request);
}

static void test_on_reply(struct eio_http_request *base, const struct eio_http_reply *from)
{
    struct test_request *request = container_of(base, struct test_request, base);
    struct eio__test_reply *to = request->reply;
    to->answered = true;
    to->status = from->status;
    snprintf(to->type, sizeof to->type, "%s", from->content_type ? from->content_type : "");
    to->body = malloc(from->body_size + 1);
    BASE_CHECK(to->body);
    if (from->body_size) memcpy(to->body, from->body, from->body_size);
    to->body[from->body_size] = '\0';
    to->body_size = from->body_size;
    size_t used = 0;
    for (size_t i = 0; i < from->field_count && used < sizeof to->headers; i++)
        used += (size_t)snprintf(to->headers + used, sizeof to->headers - used, "%s: %s\n", from->fields[i].name,
                                 from->fields[i].value);
    to->request = NULL;
    if (request->fd >= 0) close(request->fd);
    test_free(request);
}

static int test_on_take(struct eio_http_request *base, struct eio__taken *taken)
{
    struct test_request *request = container_of(base, struct test_request, base);
    *taken = (struct eio__taken){.wire = {request->fd, NULL}, .head = base->head};
    base->head = NULL;
    test_free(request);
    return 0;
}

static const char *test_fields = "";

void eio__test_fields(const char *fields)
{
    test_fields = fields;
}

static struct eio__line *test_line;

void eio__test_line(struct eio__line *line)
{
    test_line = line;
}

static struct test_request *test_request_new(struct eio_server *server, const char *method, const char *target,
                                             const char *extra)
{
    static const struct eio__request_ops ops = {test_on_reply, test_on_take};
    char text[1024];
    int n = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: test\r\n%s%s\r\n", method, target, test_fields, extra);
    BASE_CHECK(n > 0 && (size_t)n < sizeof text);
    struct eio__gate_limits limits = {16384, 8192, 100};
    struct eio__gate_head head;
    struct eio__fault fault;
    BASE_CHECK(eio__gate_parse((uint8_t *)text, (size_t)n, &limits, &head, &fault) == n);
    struct test_request *request = calloc(1, sizeof *request);
    BASE_CHECK(request);
    request->base =
        (struct eio_http_request){.ops = &ops, .head = head.take_head, .loop = server->loop, .line = test_line};
    snprintf(eio__http_head_address(head.take_head), EIO__ADDRESS_CHARS, "127.0.0.1");
    request->fd = -1;
    return request;
}

static void test_run(struct eio_server *server, struct test_request *request, const void *body, size_t size,
                     struct eio__test_reply *reply)
{
    memset(reply, 0, sizeof *reply);
    request->reply = reply;
    if (body) {
        request->body = malloc(size + 1);
        BASE_CHECK(request->body);
        memcpy(request->body, body, size);
        request->base.body = (struct eio_str){request->body, size};
    }
    reply->request = &request->base;
    eio__server_on_request(&request->base, server);
}

void eio__test_request(struct eio_server *server, enum eio_http_method method, const char *target, const char *body,
                       struct eio__test_reply *reply)
{
    const char *name = method == EIO_HTTP_POST ? "POST" : method == EIO_HTTP_OPTIONS ? "OPTIONS" : "GET";
    test_run(server, test_request_new(server, name, target, ""), body, body ? strlen(body) : 0, reply);
}

void eio__test_post(struct eio_server *server, const char *target, const void *body, size_t size,
                    struct eio__test_reply *reply)
{
    test_run(server, test_request_new(server, "POST", target, ""), body, size, reply);
}

void eio__test_abort(struct eio__test_reply *reply)
{
    if (!reply->request) return;
    struct test_request *request = container_of(reply->request, struct test_request, base);
    reply->request = NULL;
    if (request->base.on_abort) request->base.on_abort(request->base.abort_ctx);
    if (request->fd >= 0) close(request->fd);
    test_free(request);
}

static const char upgrade_fields[] = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

void eio__test_upgrade_begin(struct eio_server *server, const char *target, struct eio__test_reply *reply, int *peer_fd)
{
    int pair[2];
    BASE_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    memset(reply, 0, sizeof *reply);
    struct test_request *request = test_request_new(server, "GET", target, upgrade_fields);
    request->reply = reply;
    request->base.is_upgrade = true;
    request->fd = pair[0];
    reply->request = &request->base;
    *peer_fd = pair[1];
    eio__server_on_upgrade(&request->base, server);
}

bool eio__test_take_response(int peer_fd, char *out, size_t size)
{
    ssize_t n = recv(peer_fd, out, size - 1, MSG_PEEK);
    if (n <= 0) return false;
    out[n] = '\0';
    char *end = strstr(out, "\r\n\r\n");
    if (!end) return false;
    end[4] = '\0';
    return recv(peer_fd, out, (size_t)(end + 4 - out), 0) > 0;
}

int eio__test_upgrade(struct eio_server *server, const char *target, int *peer_fd)
{
    struct eio__test_reply reply;
    char response[8192];
    eio__test_upgrade_begin(server, target, &reply, peer_fd);
    if (reply.answered) {
        free(reply.body);
        close(*peer_fd);
        return reply.status;
    }
    eio_loop_turn(server->loop, 0);
    BASE_CHECK(eio__test_take_response(*peer_fd, response, sizeof response));
    return 0;
}

struct eio_session *eio__test_websocket_as(struct eio_server *server, int protocol, const char *id, int *peer_fd)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) return NULL;
    struct test_request *request =
        test_request_new(server, "GET", "/engine.io/?EIO=4&transport=websocket", upgrade_fields);
    struct eio_http_head *head = request->base.head;
    request->base.head = NULL;
    test_free(request);
    struct eio_session *session =
        eio__ws_open_on(server, &(struct eio__opening){protocol, id}, (struct eio__wire){pair[0], NULL}, head, false);
    *peer_fd = pair[1];
    return session;
}

struct eio_session *eio__test_websocket_of(struct eio_server *server, int protocol, int *peer_fd)
{
    return eio__test_websocket_as(server, protocol, NULL, peer_fd);
}

struct eio_session *eio__test_websocket(struct eio_server *server, int *peer_fd)
{
    return eio__test_websocket_of(server, 4, peer_fd);
}
