/* Who may in: sessions, credentials that the application checks, and a limit on guessing.
 *
 * A session is 64 random bits that a page keeps. Nodes do not share them: one that does not know a session asks the
 * others once, so that a page which reaches another node after a reload is logged in there, too. */
#include "adminui_int.h"

#include <arpa/inet.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define FAILURES_MS 60000

/* ----------------------------------------------------------------- logins */

struct adminui_login {
    struct adminui *adminui;
    struct adminui_login *prev, *next;
    struct sio_admission *admission; /* NULL: the socket is gone, the answer has no effect */
    json_t *auth;
    char address[46];
    char session[ADMINUI__SESSION_SIZE]; /* that it claims to have; "": none */
};

static struct adminui_login *login_new(struct adminui *adminui, struct sio_socket *socket,
                                       struct sio_admission *admission)
{
    struct adminui_login *login = calloc(1, sizeof *login);
    if (!login) return NULL;
    struct eio_str auth = sio_socket_auth(socket);
    login->adminui = adminui;
    login->admission = admission;
    if (auth.n <= ADMINUI__AUTH_BYTES_MAX) login->auth = json_loadb(auth.p, auth.n, 0, NULL);
    const char *session = json_string_value(json_object_get(login->auth, "sessionId"));
    if (session && strlen(session) == ADMINUI__SESSION_SIZE - 1) memcpy(login->session, session, ADMINUI__SESSION_SIZE);
    snprintf(login->address, sizeof login->address, "%s", sio_socket_head(socket)->address);
    login->next = adminui->logins;
    if (login->next) login->next->prev = login;
    adminui->logins = login;
    adminui->login_count++;
    return login;
}

static void login_free(struct adminui_login *login)
{
    struct adminui *adminui = login->adminui;
    *(login->prev ? &login->prev->next : &adminui->logins) = login->next;
    if (login->next) login->next->prev = login->prev;
    adminui->login_count--;
    json_decref(login->auth);
    sodium_memzero(login->session, sizeof login->session);
    free(login);
}

int adminui_login_text(const struct adminui_login *login, const char *member, char *out, size_t size)
{
    const json_t *value = json_object_get(login->auth, member);
    size_t n = json_string_length(value);
    if (!json_is_string(value)) return EIO_EINVAL;
    if (n >= size) return EIO_ETOOBIG;
    memcpy(out, json_string_value(value), n + 1);
    return (int)n;
}

/* ---------------------------------------------------------------- guessing */

/* The address, of IPv6 its network. */
static void address_key(const char *text, uint8_t key[16])
{
    memset(key, 0, 16);
    if (inet_pton(AF_INET, text, key + 12) == 1) {
        key[10] = key[11] = 0xff;
        return;
    }
    if (inet_pton(AF_INET6, text, key) == 1) memset(key + 8, 0, 8);
}

/* The failures of an address; another's place is taken if there are too many: the one that failed first. */
static struct adminui__failures *failures_of(struct adminui *adminui, const char *address)
{
    uint64_t now = eio_loop_now_ms(adminui->loop);
    struct adminui__failures *found = NULL, *oldest = NULL;
    uint8_t key[16];
    address_key(address, key);
    for (size_t i = 0; i < adminui->address_count && !found; i++) {
        struct adminui__failures *one = &adminui->failures[i];
        if (memcmp(one->address, key, sizeof key) == 0) found = one;
        if (!oldest || one->since_ms < oldest->since_ms) oldest = one;
    }
    bool has_place = adminui->address_count < ADMINUI__ADDRESSES;
    if (!found) {
        found = has_place ? &adminui->failures[adminui->address_count++] : oldest;
        *found = (struct adminui__failures){.since_ms = now};
        memcpy(found->address, key, sizeof key);
    }
    if (now - found->since_ms >= FAILURES_MS) *found = (struct adminui__failures){.since_ms = now, .count = 0};
    memcpy(found->address, key, sizeof key);
    return found;
}

/* Every attempt counts as failed until it has succeeded: many at once are no way around the limit. */
static bool take_attempt(struct adminui *adminui, const char *address)
{
    struct adminui__failures *failures = failures_of(adminui, address);
    if (failures->count >= adminui->options.max_failed_logins) return false;
    failures->count++;
    return true;
}

static void give_attempt_back(struct adminui *adminui, const char *address)
{
    struct adminui__failures *failures = failures_of(adminui, address);
    if (failures->count) failures->count--;
}

/* ---------------------------------------------------------------- sessions */

static void drop_session(struct adminui *adminui, size_t at)
{
    memmove(&adminui->sessions[at], &adminui->sessions[at + 1],
            (--adminui->session_count - at) * sizeof adminui->sessions[0]);
}

/* Compares with all of them, so that the time tells nothing. */
static struct adminui__session *find_session(struct adminui *adminui, const char *id)
{
    struct adminui__session *found = NULL;
    uint64_t now = eio_loop_now_ms(adminui->loop);
    for (size_t i = 0; i < adminui->session_count; i++)
        if (sodium_memcmp(adminui->sessions[i].id, id, ADMINUI__SESSION_SIZE) == 0) found = &adminui->sessions[i];
    return found && found->until_ms > now ? found : NULL;
}

static void keep_session(struct adminui *adminui, const struct adminui__session *session)
{
    size_t max = adminui->options.max_sessions;
    if (!adminui->sessions) adminui->sessions = calloc(max, sizeof *session);
    if (!adminui->sessions) return;
    if (adminui->session_count == max) drop_session(adminui, 0);
    adminui->sessions[adminui->session_count++] = *session;
}

void adminui__login_expire(struct adminui *adminui)
{
    uint64_t now = eio_loop_now_ms(adminui->loop);
    for (size_t i = adminui->session_count; i > 0; i--)
        if (adminui->sessions[i - 1].until_ms <= now) drop_session(adminui, i - 1);
    for (struct adminui__page *page = adminui->pages, *next; page; page = next) {
        next = page->next;
        if (page->until_ms <= now) sio_socket_disconnect(page->socket, false);
    }
}

size_t adminui_dismiss(struct adminui *adminui, const char *user, uint64_t before_unix_ms)
{
    size_t count = 0;
    char name[ADMINUI__USER_SIZE]; /* cut as those of sessions are */
    snprintf(name, sizeof name, "%s", user);
    for (size_t i = adminui->session_count; i > 0; i--) {
        const struct adminui__session *session = &adminui->sessions[i - 1];
        if (session->since_ms < before_unix_ms && !strcmp(session->user, name)) drop_session(adminui, i - 1);
    }
    for (struct adminui__page *page = adminui->pages, *next; page; page = next) {
        next = page->next;
        if (page->since_ms >= before_unix_ms || strcmp(page->user, name) != 0) continue;
        sio_socket_disconnect(page->socket, false);
        count++;
    }
    return count;
}

void adminui__login_asked(struct adminui *adminui, const struct sio_event *event)
{
    char id[ADMINUI__SESSION_SIZE];
    const struct adminui__session *session = NULL;
    if (sio_args_text(event->args, 1, id, sizeof id) == ADMINUI__SESSION_SIZE - 1) session = find_session(adminui, id);
    if (session)
        sio_ack_pack(event, "{s:s, s:I, s:I}", "user", session->user, "left_ms",
                     (json_int_t)(session->until_ms - eio_loop_now_ms(adminui->loop)), "since_ms",
                     (json_int_t)session->since_ms);
    else
        sio_ack_pack(event, "n");
}

/* ----------------------------------------------------------------- answers */

static bool set_page(struct adminui *adminui, struct sio_socket *socket, const struct adminui__session *session,
                     bool is_new)
{
    struct adminui__page *page = calloc(1, sizeof *page);
    if (!page) return false;
    page->socket = socket;
    page->until_ms = session->until_ms;
    page->since_ms = session->since_ms;
    memcpy(page->user, session->user, sizeof page->user);
    if (is_new) memcpy(page->new_session, session->id, sizeof page->new_session);
    sio_socket_set_user(socket, page);
    (void)adminui;
    return true;
}

/* The login is over. */
static void admit(struct adminui_login *login, const struct adminui__session *session, bool is_new)
{
    struct adminui *adminui = login->adminui;
    struct sio_admission *admission = login->admission;
    struct sio_socket *socket = admission ? sio_admission_socket(admission) : NULL;
    give_attempt_back(adminui, login->address);
    login_free(login);
    if (!admission) return;
    if (socket && !set_page(adminui, socket, session, is_new)) {
        sio_refuse(admission, "out of memory", NULL);
        return;
    }
    adminui->stats.logins++;
    sio_next(admission);
}

static void refuse(struct adminui_login *login, const char *message)
{
    struct sio_admission *admission = login->admission;
    login->adminui->stats.logins_refused += admission != NULL;
    login_free(login);
    if (admission) sio_refuse(admission, message, NULL);
}

void adminui_accept(struct adminui_login *login, const char *user, uint64_t since_unix_ms, uint64_t until_unix_ms)
{
    struct adminui *adminui = login->adminui;
    uint64_t left_ms = 1000ull * adminui->options.session_s, now_ms = adminui__unix_ms(adminui);
    struct adminui__session session = {.since_ms = since_unix_ms};
    uint8_t bytes[(ADMINUI__SESSION_SIZE - 1) / 2];
    if (until_unix_ms && until_unix_ms < now_ms + left_ms)
        left_ms = until_unix_ms > now_ms ? until_unix_ms - now_ms : 0;
    session.until_ms = eio_loop_now_ms(adminui->loop) + left_ms;
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(session.id, sizeof session.id, bytes, sizeof bytes);
    snprintf(session.user, sizeof session.user, "%s", user);
    if (login->admission) {
        eio_log(EIO_LOG_INFO, "admin ui: login from %s", login->address);
        keep_session(adminui, &session);
    }
    admit(login, &session, true);
}

void adminui_refuse(struct adminui_login *login, const char *message)
{
    if (login->admission) eio_log(EIO_LOG_WARN, "admin ui: login refused, from %s", login->address);
    refuse(login, message ? message : "invalid credentials");
}

/* --------------------------------------------------------------- admission */

static bool has_credentials(const struct adminui_login *login)
{
    const char *key;
    json_t *value;
    json_object_foreach(login->auth, key, value)
    {
        if (strcmp(key, "sessionId") != 0) return true;
    }
    return false;
}

static void ask_application(struct adminui_login *login)
{
    struct adminui *adminui = login->adminui;
    if (has_credentials(login))
        adminui->options.on_login(login, adminui->options.ctx);
    else
        adminui_refuse(login, NULL);
}

/* The other nodes' answers: what one of them knows is a session here, too. */
static void on_session_answers(void *ctx, int error, struct sio_args answers)
{
    struct adminui_login *login = ctx;
    struct adminui__session session = {.until_ms = 0};
    (void)error;
    for (size_t i = 0, n = sio_args_count(answers); i < n && !session.until_ms; i++) {
        json_t *answer = sio_args_parse(answers, i);
        const char *user = json_string_value(json_object_get(answer, "user"));
        json_int_t left_ms = json_integer_value(json_object_get(answer, "left_ms"));
        json_int_t since_ms = json_integer_value(json_object_get(answer, "since_ms"));
        if (user && left_ms > 0) {
            session.until_ms = eio_loop_now_ms(login->adminui->loop) + (uint64_t)left_ms;
            session.since_ms = since_ms > 0 ? (uint64_t)since_ms : 0;
            snprintf(session.user, sizeof session.user, "%s", user);
        }
        json_decref(answer);
    }
    if (!session.until_ms) {
        ask_application(login);
        return;
    }
    memcpy(session.id, login->session, sizeof session.id);
    keep_session(login->adminui, &session);
    admit(login, &session, false);
}

static void ask_nodes(struct adminui_login *login)
{
    struct adminui *adminui = login->adminui;
    struct sio_builder args;
    sio_builder_init(&args);
    sio_builder_text(&args, "session", 7);
    sio_builder_text(&args, login->session, strlen(login->session));
    int failed = args.error ? args.error
                            : sio_server_side_emit(adminui->nsp, ADMINUI__SERVER_EVENT, sio_builder_args(&args),
                                                   on_session_answers, login);
    sio_builder_clear(&args);
    if (failed) ask_application(login);
}

static void on_admission(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    struct adminui *adminui = ctx;
    if (adminui->stopped) {
        sio_refuse(admission, "the server is shutting down", NULL);
        return;
    }
    if (!adminui->options.on_login) {
        const struct adminui__session everybody = {.until_ms = UINT64_MAX};
        if (set_page(adminui, socket, &everybody, false))
            sio_next(admission);
        else
            sio_refuse(admission, "out of memory", NULL);
        return;
    }
    const char *address = sio_socket_head(socket)->address;
    bool is_crowded = adminui->login_count >= adminui->options.max_pending_logins;
    if (is_crowded || !take_attempt(adminui, address)) {
        adminui->stats.logins_throttled++;
        sio_refuse(admission,
                   is_crowded ? "too many logins at a time; try again"
                              : "too many failed logins; try again in a minute",
                   NULL);
        return;
    }
    struct adminui_login *login = login_new(adminui, socket, admission);
    if (!login) {
        sio_refuse(admission, "out of memory", NULL);
        return;
    }
    const struct adminui__session *session = login->session[0] ? find_session(adminui, login->session) : NULL;
    if (session)
        admit(login, session, false);
    else if (login->session[0])
        ask_nodes(login);
    else
        ask_application(login);
}

int adminui__login_open(struct adminui *adminui)
{
    return sio_use(adminui->nsp, on_admission, adminui);
}

void adminui__login_stop(struct adminui *adminui)
{
    for (struct adminui_login *login = adminui->logins; login; login = login->next) login->admission = NULL;
}
