/* The Admin UI's namespace within its limits: what a page or a guesser cannot make the server do. */
#include "adminui.h"
#include "sio_fixture.h"

#define NSP "/admin,"

static struct talk t;
static struct adminui *adminui;
static struct adminui_options options;
static struct adminui_login *waiting[8];
static size_t waiting_count;

static void on_login(struct adminui_login *login, void *ctx)
{
    char password[32];
    (void)ctx;
    if (adminui_login_text(login, "password", password, sizeof password) < 0)
        adminui_refuse(login, NULL);
    else if (strcmp(password, "later") == 0)
        waiting[waiting_count++] = login;
    else if (strcmp(password, "right") == 0)
        adminui_accept(login, "ann", INT64_MAX, 0);
    else if (strcmp(password, "old") == 0)
        adminui_accept(login, "ann", 5000, 0);
    else if (strcmp(password, "brief") == 0)
        adminui_accept(login, "ann", 0, eio_loop_unix_ms(t.loop) + 3000);
    else
        adminui_refuse(login, NULL);
}

static int setup(void **state)
{
    (void)state;
    talk_init(&t);
    t.options.engine.ping_interval_ms = t.options.engine.ping_timeout_ms = 10000000;
    talk_start(&t);
    adminui_options_init(&options);
    options.mode = ADMINUI_DEVELOPMENT;
    options.readonly = false;
    options.on_login = on_login;
    waiting_count = 0;
    adminui = NULL;
    return 0;
}

static void start(void)
{
    adminui = adminui_new(t.io, &options);
    assert_non_null(adminui);
}

static int teardown(void **state)
{
    (void)state;
    adminui_stop(adminui);
    talk_clear(&t);
    adminui_free(adminui);
    return 0;
}

static struct adminui_stats stats(void)
{
    struct adminui_stats now;
    adminui_get_stats(adminui, &now);
    return now;
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) found++;
    return found;
}

/* A page that has logged in; what it was sent by then is in `heard`. */
static int page_open(const char *auth, const char **heard)
{
    char connect[256];
    int fd = client_open(&t);
    snprintf(connect, sizeof connect, "40" NSP "%s", auth);
    *heard = client_say(&t, fd, connect);
    return fd;
}

static int page(void)
{
    const char *heard;
    int fd = page_open("{\"password\":\"right\"}", &heard);
    assert_non_null(strstr(heard, "[\"all_sockets\""));
    return fd;
}

static const char *refused_for(const char *auth)
{
    const char *heard;
    close(page_open(auth, &heard));
    talk_turn(&t);
    return heard;
}

/* ------------------------------------------------------------------ logins */

static void too_many_failed_logins_are_refused_unseen(void **state)
{
    (void)state;
    options.max_failed_logins = 3;
    start();
    for (int i = 0; i < 3; i++)
        assert_string_equal(refused_for("{\"password\":\"wrong\"}"),
                            "1:44" NSP "{\"message\":\"invalid credentials\"}\n");
    const char *expected = "1:44" NSP "{\"message\":\"too many failed logins; try again in a minute\"}\n";
    assert_string_equal(refused_for("{\"password\":\"right\"}"), expected);
    assert_string_equal(refused_for("{\"sessionId\":\"0123456789abcdef\"}"), expected);
    assert_int_equal(stats().logins_throttled, 2);
    eio_loop_advance(t.loop, 60000);
    close(page());
}

static void guesses_of_sessions_count_as_failed_logins(void **state)
{
    (void)state;
    options.max_failed_logins = 3;
    start();
    for (int i = 0; i < 3; i++)
        assert_non_null(strstr(refused_for("{\"sessionId\":\"0123456789abcdef\"}"), "invalid credentials"));
    assert_non_null(strstr(refused_for("{\"password\":\"right\"}"), "too many"));
}

static void logins_that_succeed_are_not_counted(void **state)
{
    (void)state;
    options.max_failed_logins = 2;
    start();
    for (int i = 0; i < 10; i++) close(page());
    assert_int_equal(stats().logins, 10);
}

/* Otherwise as many could be tried at once as connections can be made. */
static void many_at_once_are_no_way_around_the_limit(void **state)
{
    const char *heard;
    int fds[4];
    (void)state;
    options.max_failed_logins = 3;
    start();
    for (int i = 0; i < 4; i++) fds[i] = page_open("{\"password\":\"later\"}", &heard);
    assert_non_null(strstr(heard, "too many failed logins"));
    assert_int_equal(waiting_count, 3);
    close(fds[1]); /* whoever goes away meanwhile is not let in, and nothing breaks */
    talk_turn(&t);
    for (size_t i = 0; i < 3; i++) adminui_accept(waiting[i], "ann", 0, 0);
    assert_non_null(strstr(client_hear(&t, fds[0]), "40" NSP));
    assert_int_equal(stats().pages, 2);
    for (int i = 0; i < 4; i++)
        if (i != 1) close(fds[i]);
}

static void logins_that_wait_are_limited(void **state)
{
    const char *heard;
    int fds[3];
    (void)state;
    options.max_pending_logins = 2;
    start();
    for (int i = 0; i < 3; i++) fds[i] = page_open("{\"password\":\"later\"}", &heard);
    assert_non_null(strstr(heard, "too many logins at a time"));
    for (size_t i = 0; i < waiting_count; i++) adminui_refuse(waiting[i], NULL);
    for (int i = 0; i < 3; i++) close(fds[i]);
}

static void a_login_may_be_answered_after_the_end(void **state)
{
    const char *heard;
    (void)state;
    start();
    int fd = page_open("{\"password\":\"later\"}", &heard);
    adminui_stop(adminui);
    adminui_accept(waiting[0], "ann", 0, 0);
    assert_string_equal(client_hear(&t, fd), "");
    assert_int_equal(stats().pages, 0);
    close(fd);
}

static void a_session_ends_with_its_time(void **state)
{
    const char *heard;
    char id[17] = "", auth[64];
    (void)state;
    start();
    int fd = page_open("{\"password\":\"brief\"}", &heard);
    const char *session = strstr(heard, "[\"session\",\"");
    assert_non_null(session);
    memcpy(id, session + 12, 16);
    snprintf(auth, sizeof auth, "{\"sessionId\":\"%s\"}", id);
    int again = page_open(auth, &heard);
    assert_non_null(strstr(heard, "[\"config\""));
    assert_null(strstr(heard, "[\"session\""));
    eio_loop_advance(t.loop, 5000);
    assert_non_null(strstr(client_hear(&t, fd), "1:41" NSP "\n"));
    assert_non_null(strstr(client_hear(&t, again), "1:41" NSP "\n"));
    assert_int_equal(stats().sessions, 0);
    assert_non_null(strstr(refused_for(auth), "invalid credentials"));
    close(fd);
    close(again);
}

/* Credentials of before a moment are void: pages and sessions that came of them end, others' and newer ones stay. */
static void a_dismissed_user_loses_pages_and_sessions(void **state)
{
    const char *heard;
    char auth[64];
    (void)state;
    start();
    int old = page_open("{\"password\":\"old\"}", &heard);
    const char *session = strstr(heard, "[\"session\",\"");
    assert_non_null(session);
    snprintf(auth, sizeof auth, "{\"sessionId\":\"%.16s\"}", session + 12);
    int other = page();
    assert_int_equal(adminui_dismiss(adminui, "ann", 4000), 0);
    assert_int_equal(adminui_dismiss(adminui, "bob", 5001), 0);
    assert_int_equal(adminui_dismiss(adminui, "ann", 5001), 1);
    talk_turn(&t);
    assert_non_null(strstr(client_hear(&t, old), "1:41" NSP "\n"));
    assert_null(strstr(client_hear(&t, other), "1:41" NSP));
    assert_int_equal(stats().sessions, 1);
    assert_non_null(strstr(refused_for(auth), "invalid credentials"));
    close(old);
    close(other);
}

static void sessions_are_limited_and_the_oldest_ends(void **state)
{
    (void)state;
    options.max_sessions = 2;
    start();
    for (int i = 0; i < 5; i++) close(page());
    assert_int_equal(stats().sessions, 2);
}

/* ------------------------------------------------------------------ limits */

static void nothing_is_watched_while_no_page_is_there(void **state)
{
    (void)state;
    start();
    int fd = client_join(&t, "", NULL);
    assert_false(t.io->watcher_count > 0);
    int first = page(), second = page();
    assert_true(t.io->watcher_count > 0);
    close(first);
    talk_turn(&t);
    assert_true(t.io->watcher_count > 0);
    close(second);
    talk_turn(&t);
    assert_false(t.io->watcher_count > 0);
    uint64_t reported = stats().reported;
    client_say(&t, fd, "42[\"x\"]");
    eio_loop_advance(t.loop, 5000);
    assert_int_equal(stats().reported, reported);
    close(fd);
}

static void events_above_the_rate_are_left_out_and_counted(void **state)
{
    (void)state;
    options.max_events_per_minute = 30;
    start();
    int fd = client_join(&t, "", NULL), admin = page();
    for (int i = 0; i < 20; i++) client_say(&t, fd, "42[\"x\"]");
    assert_int_equal(count(client_hear(&t, admin), "\"event_received\""), 5);
    assert_int_equal(stats().events_left_out, 15);
    eio_loop_advance(t.loop, 2000);
    const char *heard = client_hear(&t, admin);
    assert_non_null(strstr(heard, "{\"type\":\"leftOut\",\"subType\":\"events\""));
    client_say(&t, fd, "42[\"x\"]");
    assert_int_equal(count(client_hear(&t, admin), "\"event_received\""), 1);
    close(fd);
    close(admin);
}

static void events_above_the_bytes_are_left_out(void **state)
{
    (void)state;
    options.max_event_bytes_per_second = 40;
    options.max_events_per_minute = 10000;
    start();
    int fd = client_join(&t, "", NULL), admin = page();
    client_say(&t, fd, "42[\"x\",\"0123456789012345678901234567890123456789\"]");
    client_say(&t, fd, "42[\"y\",\"012345678901234567\"]");
    client_say(&t, fd, "42[\"z\",\"012345678901234567\"]");
    client_say(&t, fd, "42[\"z\",1]");
    const char *heard = client_hear(&t, admin);
    assert_null(strstr(heard, "[\"x\""));
    assert_non_null(strstr(heard, "[\"y\""));
    assert_int_equal(count(heard, "\"event_received\""), 2);
    assert_int_equal(stats().events_left_out, 2);
    close(fd);
    close(admin);
}

/* The share is that of the sockets that pages know: others, however many, do not hide them. */
static void events_of_sockets_left_out_take_no_share(void **state)
{
    (void)state;
    options.max_sockets = 2; /* the page's own is one */
    options.max_events_per_minute = 30;
    options.max_event_bytes_per_second = 20;
    start();
    int known = client_join(&t, "", NULL), admin = page(), other = client_join(&t, "", NULL);
    for (int i = 0; i < 20; i++) client_say(&t, other, "42[\"other\",\"01234\"]");
    assert_int_equal(stats().events_left_out, 20);
    client_say(&t, known, "42[\"known\",\"01234\"]");
    const char *heard = client_hear(&t, admin);
    assert_non_null(strstr(heard, "[\"known\""));
    assert_null(strstr(heard, "[\"other\""));
    assert_int_equal(stats().events_left_out, 20);
    close(known);
    close(other);
    close(admin);
}

static void sockets_above_the_limit_are_left_out_until_there_is_room(void **state)
{
    int fds[6];
    const char *heard;
    (void)state;
    options.max_sockets = 3; /* the page's own is one */
    start();
    for (int i = 0; i < 4; i++) fds[i] = client_join(&t, "", NULL);
    int admin = page_open("{\"password\":\"right\"}", &heard);
    assert_int_equal(count(strstr(heard, "[\"all_sockets\""), "\"clientId\""), 3);
    fds[4] = client_join(&t, "", NULL);
    client_say(&t, fds[4], "42[\"x\"]");
    heard = client_hear(&t, admin);
    assert_null(strstr(heard, "socket_connected"));
    assert_null(strstr(heard, "event_received"));
    assert_true(stats().sockets_left_out > 0);
    close(fds[0]);
    close(fds[1]);
    talk_turn(&t);
    eio_loop_advance(t.loop, 1000);
    heard = client_hear(&t, admin);
    assert_int_equal(count(heard, "\"socket_connected\""), count(heard, "\"socket_disconnected\""));
    assert_int_equal(stats().sockets, 3);
    for (int i = 2; i < 5; i++) close(fds[i]);
    close(admin);
}

/* What was left out would be wrong on the page for ever. */
static void after_too_many_changes_the_list_comes_anew(void **state)
{
    (void)state;
    options.max_changes_per_minute = 12;
    start();
    int admin = page(), fds[5];
    for (int i = 0; i < 5; i++) fds[i] = client_join(&t, "", NULL);
    assert_int_equal(count(client_hear(&t, admin), "\"socket_connected\""), 2);
    eio_loop_advance(t.loop, 11000);
    const char *heard = client_hear(&t, admin), *list = strstr(heard, "[\"all_sockets\"");
    assert_non_null(list);
    assert_int_equal(count(heard, "[\"all_sockets\""), 1);
    assert_int_equal(count(list, "\"clientId\""), 6);
    sio_join(t.root->sockets[0], eio_str("later"));
    assert_non_null(strstr(client_hear(&t, admin), "[\"room_joined\",\"/\",\"later\""));
    for (int i = 0; i < 5; i++) close(fds[i]);
    close(admin);
}

static void what_a_socket_leaves_is_told_to_no_page_that_is_gone(void **state)
{
    (void)state;
    start();
    int fd = client_join(&t, "", NULL), admin = page();
    sio_join(t.root->sockets[0], eio_str("r"));
    json_object_set_new(sio_socket_data(t.root->sockets[0]), "a", json_integer(1));
    sio_socket_disconnect(t.root->sockets[0], true); /* with its data waiting to be sent */
    close(admin);
    talk_turn(&t);
    talk_turn(&t);
    assert_int_equal(stats().sockets, 0);
    close(fd);
}

static bool is_dynamic(struct eio_str name, void *ctx)
{
    (void)ctx;
    return name.n > 5 && memcmp(name.p, "/dyn-", 5) == 0;
}

/* Appends what the page is sent now to a text that holds everything, and returns it. */
static const char *read_on(int fd, size_t *have)
{
    static char wire[4 << 20];
    ssize_t n;
    while ((n = recv(fd, wire + *have, sizeof wire - 1 - *have, MSG_DONTWAIT)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            if (!wire[*have + (size_t)i]) wire[*have + (size_t)i] = ' '; /* of frames' heads */
        *have += (size_t)n;
    }
    wire[*have] = 0;
    return wire;
}

/* No turn serializes more than a thousand for a page that comes, or a slice of those that follow. */
static void a_long_list_goes_in_slices(void **state)
{
    enum { CLIENTS = 21, EACH = 60, FIRST = 1000, SLICE = 50 };
    int fds[CLIENTS];
    char connect[64];
    (void)state;
    options.max_sockets = 100000;
    start();
    sio_of_matching(t.io, is_dynamic, NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(&t);
        for (int k = 0; k < EACH; k++) {
            snprintf(connect, sizeof connect, "40/dyn-%d,", k);
            client_say(&t, fds[i], connect);
        }
    }
    int admin = client_open(&t);
    peer_text(admin, "40" NSP "{\"password\":\"right\"}");
    talk_turn(&t);
    size_t have = 0, followed = 0;
    const char *text = read_on(admin, &have);
    for (size_t i = 0; i < 100 && followed < CLIENTS * EACH + 1 - FIRST; i++) {
        eio_loop_advance(t.loop, 250);
        talk_turn(&t);
        text = read_on(admin, &have);
        followed = count(text, "\"socket_connected\"");
        assert_true(followed <= SLICE * (i + 2)); /* one at once, one each quarter of a second */
    }
    assert_int_equal(count(text, "\"all_sockets\""), 1);
    assert_int_equal(count(text, "\"clientId\""), CLIENTS * EACH + 1); /* its own, too */
    assert_int_equal(followed, CLIENTS * EACH + 1 - FIRST);
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
    close(admin);
}

static void pages_that_come_together_share_a_list(void **state)
{
    int fds[5];
    (void)state;
    start();
    for (int i = 0; i < 5; i++) fds[i] = client_open(&t);
    for (int i = 0; i < 5; i++) peer_text(fds[i], "40" NSP "{\"password\":\"right\"}");
    talk_turn(&t);
    talk_turn(&t);
    for (int i = 0; i < 5; i++) assert_int_equal(count(peer_read(fds[i]), "[\"all_sockets\""), 1);
    assert_int_equal(stats().lists, 1);
    for (int i = 0; i < 5; i++) close(fds[i]);
}

/* ----------------------------------------------------------------- actions */

static void a_page_may_disconnect_itself_and_everybody(void **state)
{
    (void)state;
    start();
    int fd = client_join(&t, "", NULL), admin = page();
    client_say(&t, admin, "42" NSP "[\"_disconnect\",\"/\",true]");
    assert_non_null(strstr(client_hear(&t, fd), "8:"));
    client_say(&t, admin, "42" NSP "[\"_disconnect\",\"/admin\",false]");
    assert_int_equal(stats().pages, 0);
    assert_int_equal(stats().actions, 2);
    close(fd);
    close(admin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(too_many_failed_logins_are_refused_unseen),
        TEST(guesses_of_sessions_count_as_failed_logins),
        TEST(logins_that_succeed_are_not_counted),
        TEST(many_at_once_are_no_way_around_the_limit),
        TEST(logins_that_wait_are_limited),
        TEST(a_login_may_be_answered_after_the_end),
        TEST(a_session_ends_with_its_time),
        TEST(a_dismissed_user_loses_pages_and_sessions),
        TEST(sessions_are_limited_and_the_oldest_ends),
        TEST(nothing_is_watched_while_no_page_is_there),
        TEST(events_above_the_rate_are_left_out_and_counted),
        TEST(events_above_the_bytes_are_left_out),
        TEST(events_of_sockets_left_out_take_no_share),
        TEST(sockets_above_the_limit_are_left_out_until_there_is_room),
        TEST(after_too_many_changes_the_list_comes_anew),
        TEST(what_a_socket_leaves_is_told_to_no_page_that_is_gone),
        TEST(a_long_list_goes_in_slices),
        TEST(pages_that_come_together_share_a_list),
        TEST(a_page_may_disconnect_itself_and_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
