/* What happens, as lines: names, sizes and codes, and nothing of what is said. */
#include "kit_answer.h"
#include "kit_namespace.h"
#include "trace_int.h"

#include <string.h>

/* Whom a line is about. */
struct subject {
    const struct kit_claims *claims; /* NULL: unknown */
    const char *call;                /* "": none */
};

static bool is_about(const struct trace_filter *filter, const struct subject *subject)
{
    const struct kit_claims *claims = subject->claims;
    bool is_of_tenant = claims && !strcmp(claims->tenant, filter->tenant);
    if (filter->is_confined && !is_of_tenant) return false;
    if (filter->user[0] && !(is_of_tenant && !strcmp(claims->sub, filter->user))) return false;
    return !filter->call[0] || !strcmp(filter->call, subject->call);
}

static bool is_wanted(const struct trace *trace, const struct subject *subject)
{
    for (const struct trace_watch *watch = trace->watches; watch; watch = watch->next)
        if (is_about(&watch->filter, subject)) return true;
    return false;
}

/* Sockets of other namespaces than the kit's have no claims. */
static const struct kit_claims *claims_of(const struct trace *trace, const struct sio_socket *socket)
{
    return kit_is_own_namespace(trace->kit, sio_socket_namespace(socket)) ? kit_auth_claims(socket) : NULL;
}

/* ------------------------------------------------------------------- lines */

static void put_field(struct sio_builder *line, const char *name, const char *value)
{
    if (!value || !value[0]) return;
    sio_builder_put(line, ",\"");
    sio_builder_put(line, name);
    sio_builder_put(line, "\":");
    kit_put_text(line, value);
}

static void put_number(struct sio_builder *line, const char *name, int64_t value)
{
    sio_builder_put(line, ",\"");
    sio_builder_put(line, name);
    sio_builder_put(line, "\":");
    kit_put_int(line, value);
}

static void begin_line(const struct trace *trace, struct sio_builder *line, const char *what)
{
    sio_builder_init(line);
    sio_builder_open(line);
    sio_builder_put(line, "{\"at\":");
    kit_put_time(line, (int64_t)eio_loop_unix_ms(trace->kit->loop));
    put_field(line, "node", trace->node);
    put_field(line, "what", what);
}

static void put_subject(struct sio_builder *line, const struct subject *subject)
{
    if (subject->claims) {
        put_field(line, "user", subject->claims->sub);
        put_field(line, "tenant", subject->claims->tenant);
        put_field(line, "role", kit_role_text(subject->claims->role));
    }
    put_field(line, "call", subject->call);
}

static void put_socket(struct sio_builder *line, const struct sio_socket *socket)
{
    put_field(line, "namespace", sio_namespace_name(sio_socket_namespace(socket)));
    put_field(line, "socket", sio_socket_id(socket));
}

/* Begins a line about a socket, if somebody wants it. */
static bool begin_socket_line(struct trace *trace, struct sio_builder *line, const char *what,
                              const struct subject *subject, const struct sio_socket *socket)
{
    if (!is_wanted(trace, subject)) return false;
    trace_lines_settle(trace);
    begin_line(trace, line, what);
    put_subject(line, subject);
    put_socket(line, socket);
    return true;
}

/* Clears the line. */
static void add_line(const struct trace *trace, struct sio_builder *line, const struct subject *subject)
{
    sio_builder_put(line, "}\n");
    for (struct trace_watch *watch = trace->watches; watch && !line->error; watch = watch->next)
        if (is_about(&watch->filter, subject)) trace_watch_add(watch, line->json, line->size, 1);
    sio_builder_clear(line);
}

size_t trace_line_own(const struct trace *trace, const char *what, uint64_t lines, char *out, size_t size)
{
    struct sio_builder line;
    begin_line(trace, &line, what);
    if (lines) put_number(&line, "lines", (int64_t)lines);
    sio_builder_put(&line, "}\n");
    size_t n = !line.error && line.size <= size ? line.size : 0;
    if (n) memcpy(out, line.json, n);
    sio_builder_clear(&line);
    return n;
}

void trace_lines_say_looking(struct trace_watch *watch)
{
    char line[256];
    size_t n = trace_line_own(watch->trace, "looking", 0, line, sizeof line);
    trace_watch_add(watch, line, n, 1);
}

/* ----------------------------------------------------------------- sockets */

static void on_connection(struct sio_socket *socket, void *ctx)
{
    struct trace *trace = ctx;
    struct subject subject = {claims_of(trace, socket), ""};
    struct sio_builder line;
    if (!begin_socket_line(trace, &line, "connected", &subject, socket)) return;
    put_field(&line, "address", sio_socket_head(socket)->address);
    put_field(&line, "session", eio_session_id(sio_socket_session(socket)));
    add_line(trace, &line, &subject);
}

static void on_upgrade(struct sio_socket *socket, void *ctx)
{
    struct trace *trace = ctx;
    struct subject subject = {claims_of(trace, socket), ""};
    struct sio_builder line;
    if (!begin_socket_line(trace, &line, "upgraded", &subject, socket)) return;
    add_line(trace, &line, &subject);
}

static void on_disconnect(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct trace *trace = ctx;
    struct subject subject = {claims_of(trace, socket), ""};
    struct sio_builder line;
    if (!begin_socket_line(trace, &line, "disconnected", &subject, socket)) return;
    put_field(&line, "reason", reason);
    add_line(trace, &line, &subject);
}

/* The call of a payload, "" if it names none. */
static void read_call(struct sio_args args, char call[KIT_ID_SIZE])
{
    struct eio_str id = sio_json_member(sio_args_at(args, 0), "call_id");
    call[0] = 0;
    if (id.n && sio_args_text((struct sio_args){id, NULL, 0}, 0, call, KIT_ID_SIZE) < 0) call[0] = 0;
}

/* FNV-1a. */
static uint64_t key_of(const char *sid, const char *event)
{
    uint64_t key = 14695981039346656037u;
    for (; *sid; sid++) key = (key ^ (uint8_t)*sid) * 1099511628211u;
    for (; *event; event++) key = (key ^ (uint8_t)*event) * 1099511628211u;
    return key;
}

static void note_asked(struct trace *trace, const struct sio_socket *socket, const char *event, const char *call)
{
    struct trace_asked *asked = &trace->asked[trace->asked_count++ % TRACE_ASKED_MAX];
    asked->key = key_of(sio_socket_id(socket), event);
    memcpy(asked->call, call, sizeof asked->call);
}

static const char *call_asked(const struct trace *trace, const struct kit_answered *answered)
{
    size_t end = trace->asked_count, begin = end > TRACE_ASKED_MAX ? end - TRACE_ASKED_MAX : 0;
    if (answered->call_id) return answered->call_id;
    uint64_t key = answered->sid ? key_of(answered->sid, answered->name) : 0;
    while (answered->sid && end-- > begin)
        if (trace->asked[end % TRACE_ASKED_MAX].key == key) return trace->asked[end % TRACE_ASKED_MAX].call;
    return "";
}

static void on_event(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct trace *trace = ctx;
    char call[KIT_ID_SIZE], name[TRACE_NAME_SIZE] = "";
    struct subject subject = {claims_of(trace, socket), call};
    struct sio_builder line;
    read_call(event->args, call);
    if (!begin_socket_line(trace, &line, "received", &subject, socket)) return;
    bool is_known = sio_handles(sio_socket_namespace(socket), event->name);
    snprintf(name, sizeof name, "unknown event");
    if (is_known) snprintf(name, sizeof name, "%.*s", (int)event->name.n, event->name.p);
    note_asked(trace, socket, name, call);
    put_field(&line, "event", name);
    put_number(&line, "bytes", (int64_t)event->args.json.n);
    add_line(trace, &line, &subject);
}

/* Rooms of calls end with their ids. */
static void on_room(enum sio_room_event what, struct eio_str room, struct sio_socket *socket, struct sio_namespace *nsp,
                    void *ctx)
{
    struct trace *trace = ctx;
    char name[KIT_USER_SIZE + 16];
    if (!socket || eio_str_is(room, sio_socket_id(socket))) return;
    snprintf(name, sizeof name, "%.*s", (int)room.n, room.p);
    const char *colon = strrchr(name, ':');
    struct subject subject = {claims_of(trace, socket), colon ? colon + 1 : ""};
    struct sio_builder line;
    (void)nsp;
    if (!is_wanted(trace, &subject)) return;
    trace_lines_settle(trace);
    begin_line(trace, &line, what == SIO_ROOM_JOINED ? "joined" : "left");
    put_subject(&line, &(struct subject){subject.claims, ""});
    put_socket(&line, socket);
    put_field(&line, "room", name);
    add_line(trace, &line, &subject);
}

/* -------------------------------------------------------------------- sent */

static void on_sending(struct sio_namespace *nsp, struct eio_str name, struct sio_args args, void *ctx)
{
    struct trace *trace = ctx;
    struct trace_sending *sending = &trace->sending;
    trace_lines_settle(trace);
    sending->namespace_name = sio_namespace_name(nsp);
    sending->bytes = args.json.n;
    snprintf(sending->event, sizeof sending->event, "%.*s", (int)name.n, name.p);
    read_call(args, sending->call);
}

static void on_outgoing(struct sio_socket *socket, struct eio_str name, struct sio_args args, void *ctx)
{
    struct trace *trace = ctx;
    struct subject subject = {claims_of(trace, socket), trace->sending.call};
    (void)name, (void)args;
    for (struct trace_watch *watch = trace->watches; watch; watch = watch->next) {
        if (!is_about(&watch->filter, &subject)) continue;
        watch->receivers++;
        snprintf(watch->receiver, sizeof watch->receiver, "%s", sio_socket_id(socket));
        if (!eio_timer_running(&trace->flush)) eio_timer_start(&trace->flush, TRACE_FLUSH_MS);
    }
}

static void tell_sent(struct trace_watch *watch)
{
    const struct trace_sending *sending = &watch->trace->sending;
    struct sio_builder line;
    begin_line(watch->trace, &line, "sent");
    put_field(&line, "user", watch->filter.user);
    put_field(&line, "call", sending->call);
    put_field(&line, "namespace", sending->namespace_name);
    if (watch->receivers == 1) put_field(&line, "socket", watch->receiver);
    put_field(&line, "event", sending->event);
    put_number(&line, "bytes", (int64_t)sending->bytes);
    put_number(&line, "receivers", watch->receivers);
    sio_builder_put(&line, "}\n");
    watch->receivers = 0;
    if (!line.error) trace_watch_add(watch, line.json, line.size, 1);
    sio_builder_clear(&line);
}

void trace_lines_settle(struct trace *trace)
{
    for (struct trace_watch *watch = trace->watches; watch; watch = watch->next)
        if (watch->receivers) tell_sent(watch);
}

/* ----------------------------------------------------------------- answers */

static void on_answered(void *ctx, const struct kit_answered *answered)
{
    struct trace *trace = ctx;
    struct subject subject = {answered->claims, call_asked(trace, answered)};
    struct sio_builder line;
    if (!is_wanted(trace, &subject)) return;
    trace_lines_settle(trace);
    begin_line(trace, &line, answered->code ? "refused" : "answered");
    put_subject(&line, &subject);
    put_field(&line, "socket", answered->sid);
    put_field(&line, "event", answered->name);
    if (answered->code) put_number(&line, "code", answered->code);
    put_number(&line, "ms", answered->took_ms);
    add_line(trace, &line, &subject);
}

/* ------------------------------------------------------------ begin and end */

void trace_lines_begin(struct trace *trace)
{
    static const struct sio_watch watch = {.on_connection = on_connection,
                                           .on_upgrade = on_upgrade,
                                           .on_disconnect = on_disconnect,
                                           .on_event = on_event,
                                           .on_sending = on_sending,
                                           .on_outgoing = on_outgoing,
                                           .on_room = on_room};
    if (sio_server_watch(trace->kit->io, &watch, trace))
        kit_log(EIO_LOG_WARN, "trace: too many watch the sockets already", NULL);
    kit_on_answered(trace->kit, on_answered, trace);
}

void trace_lines_end(struct trace *trace)
{
    sio_server_watch(trace->kit->io, NULL, trace);
    kit_on_answered(trace->kit, NULL, NULL);
}
