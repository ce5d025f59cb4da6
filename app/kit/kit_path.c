/* Requests over HTTP: finds the row of the path and the method, checks who asks, makes one payload of body, query and
 * parameters, and sends the answer. */
#include "kit_http.h"
#include "kit_quota.h"
#include "kit_request.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define QUERY_VALUE_MAX 1024

/* ------------------------------------------------------------------- paths */

/* The next segment of a path or pattern, without its slash; *rest goes on behind it. */
static struct eio_str next_segment(struct eio_str *rest)
{
    struct eio_str segment = {rest->p + 1, rest->n - 1};
    const char *end = memchr(segment.p, '/', segment.n);
    if (end) segment.n = (size_t)(end - segment.p);
    rest->p += segment.n + 1;
    rest->n -= segment.n + 1;
    return segment;
}

/* As eio_query_decode(), but '+' is itself. Returns the size or a negative code. */
static int decode_segment(struct eio_str raw, char *out, size_t size)
{
    char plain[3 * KIT_USER_SIZE];
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        if (n + 3 > sizeof plain) return EIO_ETOOBIG;
        if (raw.p[i] != '+') {
            plain[n++] = raw.p[i];
            continue;
        }
        memcpy(plain + n, "%2B", 3);
        n += 3;
    }
    return eio_query_decode((struct eio_str){plain, n}, out, size);
}

static bool match_parameter(struct eio_str pattern, struct eio_str segment, struct kit_parameters *parameters)
{
    char *value = parameters->list[parameters->count].value;
    int n = decode_segment(segment, value, KIT_USER_SIZE - 1);
    if (n < 0 || memchr(value, 0, (size_t)n)) return false;
    value[n] = 0;
    parameters->list[parameters->count++].name = (struct eio_str){pattern.p + 1, pattern.n - 2};
    return pattern.p[0] == '{' ? kit_is_id(value, (size_t)n) : kit_is_user(value, (size_t)n);
}

static bool is_parameter(struct eio_str segment)
{
    return segment.n && (segment.p[0] == '{' || segment.p[0] == '<');
}

/* What is written out in the pattern is the same in the path, and there are as many segments. */
static bool has_shape(struct eio_str pattern, struct eio_str path)
{
    while (pattern.n && path.n) {
        struct eio_str wanted = next_segment(&pattern), segment = next_segment(&path);
        if (is_parameter(wanted)) continue;
        if (wanted.n != segment.n || memcmp(wanted.p, segment.p, segment.n)) return false;
    }
    return !pattern.n && !path.n;
}

bool kit_path_match(const char *pattern, struct eio_str path, struct kit_parameters *parameters)
{
    struct eio_str rest = {pattern, strcspn(pattern, "{<")};
    parameters->count = 0;
    if (path.n < rest.n || memcmp(path.p, pattern, rest.n)) return false;
    rest.n += strlen(pattern + rest.n);
    if (!has_shape(rest, path)) return false;
    while (rest.n) {
        struct eio_str wanted = next_segment(&rest), segment = next_segment(&path);
        if (is_parameter(wanted) && !match_parameter(wanted, segment, parameters)) return false;
    }
    return true;
}

const char *kit_method_name(enum eio_http_method method)
{
    static const char *const names[] = {
        [EIO_HTTP_GET] = "GET",     [EIO_HTTP_HEAD] = "HEAD",     [EIO_HTTP_POST] = "POST",      [EIO_HTTP_PUT] = "PUT",
        [EIO_HTTP_PATCH] = "PATCH", [EIO_HTTP_DELETE] = "DELETE", [EIO_HTTP_OPTIONS] = "OPTIONS"};
    return names[method];
}

static struct eio_str last_segment(struct eio_str path)
{
    const char *slash = memrchr(path.p, '/', path.n);
    if (!slash) return (struct eio_str){path.p, 0};
    return (struct eio_str){slash + 1, (size_t)(path.p + path.n - slash - 1)};
}

/* The row for a request. NULL: none; allowed has the methods of those with its path, "" if absent. */
static const struct kit_route *find_path(const struct kit *kit, const struct eio_http_head *head,
                                         struct kit_parameters *parameters, char allowed[64])
{
    enum eio_http_method method = head->method == EIO_HTTP_HEAD ? EIO_HTTP_GET : (enum eio_http_method)head->method;
    size_t n = 0;
    unsigned listed = 0; /* methods, as bits: a path may fit two rows, with a name in it and with a parameter */
    struct eio_str path = eio_http_head_path(head), last = last_segment(path);
    allowed[0] = 0;
    for (size_t i = 0; i < kit->path_count; i++) {
        const struct kit_event *event = kit->paths[i].event;
        struct eio_str wanted = kit->paths[i].last; /* most paths differ in it */
        if (wanted.n && (wanted.n != last.n || memcmp(wanted.p, last.p, last.n))) continue;
        if (!kit_path_match(event->path, path, parameters)) continue;
        if (event->method == method) return &kit->paths[i];
        if (listed & 1u << event->method) continue;
        listed |= 1u << event->method;
        n += (size_t)snprintf(allowed + n, 64 - n, "%s%s%s", n ? ", " : "", kit_method_name(event->method),
                              event->method == EIO_HTTP_GET ? ", HEAD" : "");
    }
    return NULL;
}

/* ----------------------------------------------------------------- payload */

/* A field of a query or a form, as the type that the schema gives it. NULL: out of memory, or it is not UTF-8. */
static json_t *read_field(const char *type, const char *text, size_t size)
{
    int64_t number;
    if (!strcmp(type, "string")) return json_stringn(text, size);
    if (!strcmp(type, "boolean") && !strcmp(text, "true")) return json_true();
    if (!strcmp(type, "boolean") && !strcmp(text, "false")) return json_false();
    bool is_integer =
        !strcmp(type, "integer") && kit_text_int64((struct eio_str){text, size}, INT64_MIN, INT64_MAX, &number);
    return is_integer ? json_integer(number) : json_stringn(text, size); /* the schema says what it should be */
}

static int read_fields(json_t *payload, const json_t *schema, struct eio_str text, struct kit_failure *failure)
{
    struct eio_str raw_name, raw_value;
    while (eio_query_next(&text, &raw_name, &raw_value)) {
        char name[64], value[QUERY_VALUE_MAX + 1], pointer[72];
        int n = eio_query_decode(raw_name, name, sizeof name - 1);
        int size = eio_query_decode(raw_value, value, QUERY_VALUE_MAX);
        if (n < 0 || memchr(name, 0, (size_t)n)) continue;
        name[n] = 0;
        if (size < 0) return kit_fail(failure, 413, NULL, "a field must be at most %d bytes", QUERY_VALUE_MAX);
        value[size] = 0;
        const json_t *wanted = json_object_get(json_object_get(schema, "properties"), name);
        const char *type = json_string_value(json_object_get(wanted, "type"));
        if (!type) continue; /* what the schema does not name is left out */
        snprintf(pointer, sizeof pointer, "/%s", name);
        if (memchr(value, 0, (size_t)size)) return kit_fail(failure, 400, pointer, "must not contain U+0000");
        if (json_object_set_new(payload, name, read_field(type, value, (size_t)size)))
            return kit_fail(failure, 400, pointer, "must be UTF-8");
    }
    return 0;
}

static bool is_form(const struct eio_http_head *head)
{
    static const char form[] = "application/x-www-form-urlencoded";
    struct eio_str type = eio_http_head_field(head, "content-type");
    return type.n >= sizeof form - 1 && !strncasecmp(type.p, form, sizeof form - 1);
}

/* The object of a request's body; NULL with failure. */
static json_t *read_body(const struct kit_route *route, struct eio_http_request *http, const json_t *schema,
                         struct kit_failure *failure)
{
    const struct kit_config *config = route->kit->config;
    struct eio_str body = eio_http_request_body(http);
    uint32_t limit = route->event->is_open ? config->auth_max_bytes : config->event_max_bytes;
    json_t *payload = NULL;
    if (body.n > limit) {
        kit_fail(failure, 413, NULL, "the body must be at most %u bytes", limit);
    } else if (!body.n || (route->event->is_open && is_form(eio_http_request_head(http)))) {
        payload = json_object();
        if (payload && read_fields(payload, schema, body, failure)) json_decref(payload), payload = NULL;
    } else if (!kit_json_check(body, config->io.max_depth - 1, failure)) {
        payload = json_loadb(body.p, body.n, 0, NULL);
        if (!payload)
            kit_fail(failure, 400, NULL,
                     "the body must not contain U+0000, half surrogates or numbers beyond a double");
        else if (!json_is_object(payload))
            kit_fail(failure, 400, NULL, "the body must be exactly one JSON object");
        if (failure->code) json_decref(payload), payload = NULL;
    }
    if (!payload && !failure->code) kit_fail(failure, 503, NULL, "out of memory");
    return payload;
}

/* Parameters are fields like others; one that is there already must be the same. */
static int add_parameters(json_t *payload, const struct kit_parameters *parameters, struct kit_failure *failure)
{
    for (size_t i = 0; i < parameters->count; i++) {
        char name[64], pointer[72];
        const char *value = parameters->list[i].value;
        snprintf(name, sizeof name, "%.*s", (int)parameters->list[i].name.n, parameters->list[i].name.p);
        snprintf(pointer, sizeof pointer, "/%s", name);
        const json_t *other = json_object_get(payload, name);
        if (other && (!json_is_string(other) || strcmp(json_string_value(other), value)))
            return kit_fail(failure, 400, pointer, "must be the one in the path");
        if (!other && json_object_set_new(payload, name, json_string(value)))
            return kit_fail(failure, 400, pointer, "must be UTF-8");
    }
    return 0;
}

/* What a request says, checked; NULL with failure. */
static json_t *read_payload(const struct kit_route *route, struct eio_http_request *http,
                            const struct kit_parameters *parameters, struct kit_failure *failure)
{
    const struct kit_event *event = route->event;
    const json_t *schema = event->name ? kit_schema_find(route->kit->schemas, event->name) : NULL;
    bool has_body = event->name && event->method != EIO_HTTP_GET && event->method != EIO_HTTP_DELETE;
    struct kit_schema_error error = {"", "this event has no schema"};
    json_t *payload = has_body ? read_body(route, http, schema, failure) : json_object();
    if (!payload && !failure->code) kit_fail(failure, 503, NULL, "out of memory");
    if (!failure->code && event->name && !has_body)
        read_fields(payload, schema, eio_http_head_query(eio_http_request_head(http)), failure);
    if (!failure->code) add_parameters(payload, parameters, failure);
    if (!failure->code && event->name && !(schema && kit_schema_check(schema, payload, &error)))
        kit_fail(failure, 400, error.pointer, "%s", error.message);
    if (!failure->code) return payload;
    json_decref(payload);
    return NULL;
}

/* ------------------------------------------------------------------ answer */

static void succeed_http(struct kit_request *request)
{
    if (!request->http) return;
    eio_http_request_on_abort(request->http, NULL, NULL);
    if (request->type)
        kit_http_reply(request->kit, request->http, request->status, request->type, request->json.json,
                       request->json.size);
    else
        kit_http_reply_builder(request->kit, request->http, request->status, &request->json);
    request->http = NULL;
}

static void fail_http(struct kit_request *request)
{
    if (!request->http) return;
    eio_http_request_on_abort(request->http, NULL, NULL);
    kit_http_reply_failure(request->kit, request->http, &request->op.failure);
    request->http = NULL;
}

static const struct kit_reply_ops http_ops = {succeed_http, fail_http};

static void on_abort(void *ctx)
{
    ((struct kit_request *)ctx)->http = NULL;
}

struct eio_http_stream *kit_request_stream(struct kit_request *request, const char *type,
                                           struct eio_http_reply_field more,
                                           const struct eio_http_stream_options *options)
{
    struct eio_http_request *http = request->http;
    if (!http) return NULL;
    eio_http_request_on_abort(http, NULL, NULL);
    request->http = NULL;
    return kit_http_stream(request->kit, http, type, more, options);
}

/* ----------------------------------------------------------------- request */

static int spend_bytes(struct kit *kit, struct eio_http_request *http, const struct kit_claims *claims, size_t size,
                       struct kit_failure *failure)
{
    struct kit_spender spender;
    kit_spender_init(&spender, kit, eio_http_request_head(http)->address);
    if (claims) kit_spender_set_user(&spender, claims);
    int code = kit_spend_event(&spender, size, failure);
    kit_spender_clear(&spender);
    return code;
}

int kit_request_spend(struct kit_request *request, size_t size, struct kit_failure *failure)
{
    return spend_bytes(request->kit, request->http, request->claims, size, failure);
}

/* NULL: everybody may, or failure says why not. */
static struct kit_claims *authorize(const struct kit_event *event, struct kit *kit, struct eio_http_request *http,
                                    struct kit_failure *failure)
{
    const struct eio_http_head *head = eio_http_request_head(http);
    if (event->is_open) return NULL;
    if (event->admits_guests && !eio_http_head_field(head, "authorization").p && kit_guest_claims(kit, head))
        return kit_claims_ref(kit_guest_claims(kit, head));
    return kit_http_authorize(kit, http, failure);
}

/* Takes the references to claims and user into the request; NULL with failure. */
static struct kit_request *make_request(const struct kit_route *route, struct eio_http_request *http,
                                        struct kit_failure *failure)
{
    struct kit *kit = route->kit;
    const struct kit_event *event = route->event;
    struct kit_claims *claims = authorize(event, kit, http, failure);
    if (failure->code || kit_request_check_role(event, claims, failure) ||
        spend_bytes(kit, http, claims, eio_http_request_body(http).n, failure)) {
        kit_note_answered(kit, &(struct kit_answered){.name = event->name ? event->name : event->path,
                                                      .claims = claims,
                                                      .code = failure->code});
        kit_claims_unref(claims);
        return NULL;
    }
    struct kit_user *user = kit_user_ref(kit, claims, eio_http_request_head(http)->address);
    struct kit_caller caller = {&http_ops, claims, user, NULL};
    struct kit_request *request = kit_request_new(route, &caller);
    kit_claims_unref(claims);
    kit_user_unref(user);
    if (request) {
        request->http = http;
        eio_http_request_on_abort(http, on_abort, request);
        return request;
    }
    kit_fail(failure, 503, NULL, "out of memory");
    return NULL;
}

static void copy_about(struct kit_request *request, const struct kit_parameters *parameters)
{
    for (size_t i = 0; request->event->about && i < parameters->count; i++)
        if (eio_str_is(parameters->list[i].name, request->event->about))
            memcpy(request->about, parameters->list[i].value, sizeof request->about);
}

static void begin_request(const struct kit_route *route, struct eio_http_request *http,
                          const struct kit_parameters *parameters)
{
    struct kit_failure failure = {0, "", ""};
    if (route->kit->draining) kit_fail(&failure, 503, NULL, "the server is stopping");
    struct kit_request *request = failure.code ? NULL : make_request(route, http, &failure);
    if (!request) {
        kit_http_reply_failure(route->kit, http, &failure);
        return;
    }
    copy_about(request, parameters);
    if (route->event->is_streamed && route->event->is_streamed(eio_http_request_head(http))) {
        route->event->stream(request);
        return;
    }
    if (route->event->take) {
        route->event->take(request, eio_http_request_body(http));
        return;
    }
    json_t *payload = read_payload(route, http, parameters, &request->op.failure);
    if (payload)
        kit_request_begin(request, payload);
    else
        kit_request_finish(request);
    json_decref(payload);
}

static void on_request(struct eio_http_request *http, void *ctx)
{
    struct kit *kit = ctx;
    const struct eio_http_head *head = eio_http_request_head(http);
    struct kit_parameters parameters;
    char allowed[64];
    const struct kit_route *route = find_path(kit, head, &parameters, allowed);
    if (route)
        begin_request(route, http, &parameters);
    else if (!allowed[0])
        kit_http_reply_nothing(kit, http);
    else
        kit_http_reply_allowed(kit, http, allowed);
}

/* The body is too large, or too slow. */
static void on_refused(struct eio_http_request *http, int status, const char *why, void *ctx)
{
    struct kit_failure failure;
    kit_fail(&failure, status, NULL, "%s", why);
    kit_http_reply_failure(ctx, http, &failure);
}

static int open_path(struct kit *kit, const char *path)
{
    struct eio_http *http = sio_server_http(kit->io);
    int error = eio_http_route(http, path, 0, on_request, kit);
    return error ? error : eio_http_route_refused(http, path, on_refused);
}

/* Whether a request is handled before its body has come. Its route's ctx is the kit. */
static bool is_early(const struct eio_http_head *head, void *ctx)
{
    const struct kit *kit = ctx;
    struct kit_parameters parameters;
    for (size_t i = 0; i < kit->path_count; i++) {
        const struct kit_event *event = kit->paths[i].event;
        if (event->is_streamed && event->method == (enum eio_http_method)head->method && event->is_streamed(head) &&
            kit_path_match(event->path, eio_http_head_path(head), &parameters))
            return true;
    }
    return false;
}

int kit_open_paths(struct kit *kit, const struct kit_event *events, size_t count, void *state)
{
    for (size_t i = 0; i < count; i++) {
        const char *path = events[i].path;
        if (!path) continue;
        if (kit->path_count == KIT_ROUTES_MAX) return EIO_ETOOBIG;
        if (!events[i].roles && !events[i].is_open) return EIO_EINVAL;
        struct eio_str last = last_segment(eio_str(path));
        if (is_parameter(last)) last.n = 0;
        kit->paths[kit->path_count++] = (struct kit_route){kit, &events[i], state, last};
        /* What is not below /api/ has to be plain, and several methods may share it. */
        int error = strncmp(path, "/api/", 5) ? open_path(kit, path) : 0;
        if (error && error != EIO_EEXIST) return error;
    }
    return 0;
}

int kit_path_start(struct kit *kit)
{
    int error = open_path(kit, "/api");
    if (!error) error = open_path(kit, "/api/*");
    return error ? error : eio_http_route_early(sio_server_http(kit->io), "/api/*", is_early);
}
