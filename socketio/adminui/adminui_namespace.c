/* The pieces put together: the namespace, its pages, its clock, and what nodes say to each other. */
#include "adminui_int.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void adminui_options_init(struct adminui_options *options)
{
    *options = (struct adminui_options){
        .namespace_name = "/admin",
        .mode = ADMINUI_PRODUCTION,
        .readonly = true,
        .session_s = 86400,
        .max_sessions = 1000,
        .max_failed_logins = 10,
        .max_pending_logins = 16,
        .max_sockets = 1000,
        .max_events_per_minute = 120,
        .max_event_bytes_per_second = 262144,
        .max_changes_per_minute = 600,
    };
}

/* ------------------------------------------------------------------- nodes */

static void send_word_to_nodes(struct adminui *adminui, const char *word, const char *sid)
{
    struct sio_builder args;
    sio_builder_init(&args);
    sio_builder_text(&args, word, strlen(word));
    if (sid) sio_builder_text(&args, sid, strlen(sid));
    adminui__send_to_nodes(adminui, &args);
}

static void on_count(void *ctx, int error, size_t servers)
{
    struct adminui *adminui = ctx;
    if (!error && servers) adminui->servers = servers;
}

/* The list of this node replaces what the page knows; those of the others add to it. */
static void send_rosters(struct adminui *adminui, struct adminui__page *page)
{
    if (adminui->options.mode != ADMINUI_DEVELOPMENT || !sio_socket_is_connected(page->socket)) return;
    adminui__roster_own(adminui, page);
    send_word_to_nodes(adminui, "list", sio_socket_id(page->socket));
}

/* A page that is slow to read gets its list when it has read what is queued for it. */
static void renew_rosters(struct adminui *adminui)
{
    for (struct adminui__page *page = adminui->pages; page; page = page->next) {
        if (eio_session_queued_bytes(sio_socket_session(page->socket)) > ADMINUI__QUEUED_MAX)
            adminui->outdated = true;
        else
            send_rosters(adminui, page);
    }
}

/* Begins or ends watching as pages come and go. */
static void update_watching(struct adminui *adminui)
{
    bool wanted = !adminui->stopped && (adminui->page_count || adminui__is_watched_elsewhere(adminui));
    if (wanted == adminui->watching) return;
    adminui->watching = wanted;
    if (wanted) sio_server_count(adminui->nsp, on_count, adminui);
    if (adminui->options.mode != ADMINUI_DEVELOPMENT) return;
    if (wanted)
        adminui__watch_begin(adminui);
    else
        adminui__watch_end(adminui);
}

static void on_watched(struct adminui *adminui)
{
    adminui->watched_until_ms = eio_loop_now_ms(adminui->loop) + ADMINUI__WATCHED_MS;
    update_watching(adminui);
}

/* What another node says: "watch" while it has pages, "list" for one page's list, "renew" when its own sockets changed
 * too fast to be reported one by one, "session" to ask for one, "act" for an action on a namespace it does not have. */
static void on_node(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct adminui *adminui = ctx;
    char word[16], sid[ADMINUI__SID_SIZE];
    (void)socket;
    if (adminui->stopped || sio_args_text(event->args, 0, word, sizeof word) < 0) return;
    if (strcmp(word, "watch") == 0) {
        on_watched(adminui);
    } else if (strcmp(word, "list") == 0) {
        on_watched(adminui);
        if (sio_args_text(event->args, 1, sid, sizeof sid) > 0) adminui__roster_other(adminui, sid);
    } else if (strcmp(word, "renew") == 0) {
        renew_rosters(adminui);
    } else if (strcmp(word, "session") == 0) {
        adminui__login_asked(adminui, event);
    } else if (strcmp(word, "act") == 0 && !adminui->options.readonly) {
        adminui__act_here(adminui, sio_args_skip(event->args, 1));
    }
}

/* ------------------------------------------------------------------- pages */

static void send_config(const struct adminui *adminui, struct sio_socket *socket)
{
    static const char actions[] = "\"EMIT\",\"JOIN\",\"LEAVE\",\"DISCONNECT\",\"MJOIN\",\"MLEAVE\",\"MDISCONNECT\",";
    char json[256];
    snprintf(json, sizeof json, "{\"supportedFeatures\":[%s\"AGGREGATED_EVENTS\"%s]}",
             adminui->options.readonly ? "" : actions,
             adminui->options.mode == ADMINUI_DEVELOPMENT ? ",\"ALL_EVENTS\"" : "");
    sio_emit(sio_local(sio_only(socket)), "config", sio_args_json(json));
}

static void send_session(struct adminui__page *page)
{
    struct sio_builder args;
    if (!page->new_session[0]) return;
    sio_builder_init(&args);
    sio_builder_text(&args, page->new_session, strlen(page->new_session));
    sio_emit(sio_local(sio_only(page->socket)), "session", sio_builder_args(&args));
    sio_builder_clear(&args);
    page->new_session[0] = 0;
}

static void on_connection(struct sio_socket *socket, void *ctx)
{
    struct adminui *adminui = ctx;
    struct adminui__page *page = sio_socket_user(socket);
    if (!page || adminui->stopped) return;
    page->next = adminui->pages;
    if (page->next) page->next->prev = page;
    adminui->pages = page;
    bool is_first = adminui->page_count++ == 0;
    send_session(page);
    send_config(adminui, socket);
    update_watching(adminui);
    send_word_to_nodes(adminui, "watch", NULL);
    if (is_first) adminui__stats_send(adminui);
    send_rosters(adminui, page);
}

static void on_gone(struct sio_socket *socket, const char *reason, void *ctx)
{
    struct adminui *adminui = ctx;
    struct adminui__page *page = sio_socket_user(socket);
    (void)reason;
    if (!page) return;
    bool was_in = page->prev || adminui->pages == page;
    sio_socket_set_user(socket, NULL);
    if (was_in) {
        *(page->prev ? &page->prev->next : &adminui->pages) = page->next;
        if (page->next) page->next->prev = page->prev;
        adminui->page_count--;
    }
    free(page);
    update_watching(adminui);
}

/* A page that comes back logs in again, with the session. */
static bool on_recover(struct sio_socket *socket, void *ctx)
{
    (void)socket;
    (void)ctx;
    return false;
}

/* ------------------------------------------------------------------- clock */

static void renew_if_outdated(struct adminui *adminui)
{
    uint64_t now = eio_loop_now_ms(adminui->loop);
    if (!adminui->outdated || now - adminui->resynced_ms < ADMINUI__RESYNC_MS) return;
    adminui->outdated = false;
    adminui->resynced_ms = now;
    renew_rosters(adminui);
    if (adminui__is_watched_elsewhere(adminui)) send_word_to_nodes(adminui, "renew", NULL);
}

static void on_tick(void *ctx)
{
    struct adminui *adminui = ctx;
    adminui__login_expire(adminui);
    adminui__stats_sample(adminui);
    adminui->ticks++;
    update_watching(adminui);
    if (!adminui->watching) {
        adminui->sample_count = 0;
    } else {
        renew_if_outdated(adminui);
        if (adminui->options.mode == ADMINUI_DEVELOPMENT) adminui__shown_fill(adminui, ADMINUI__SLICE_SOCKETS, true);
        if (adminui->ticks % ADMINUI__STATS_TICKS == 0) {
            if (adminui->page_count) send_word_to_nodes(adminui, "watch", NULL);
            sio_server_count(adminui->nsp, on_count, adminui);
            adminui__stats_send(adminui);
        }
    }
    eio_timer_start(&adminui->tick, ADMINUI__TICK_MS);
}

/* ---------------------------------------------------------- making, ending */

static int open_namespace(struct adminui *adminui)
{
    adminui->nsp = sio_of(adminui->io, adminui->namespace_name);
    if (!adminui->nsp) return EIO_ENOMEM;
    int error = adminui__login_open(adminui);
    if (!error) error = sio_on_recover(adminui->nsp, on_recover, NULL);
    if (!error) error = sio_on_connection(adminui->nsp, on_connection, adminui);
    if (!error) error = sio_on_disconnect(adminui->nsp, on_gone, adminui);
    if (!error) error = sio_on_dismissed(adminui->nsp, on_gone, adminui);
    if (!error) error = sio_on_server_event(adminui->nsp, ADMINUI__SERVER_EVENT, on_node, adminui);
    if (!error && !adminui->options.readonly) error = adminui__actions_open(adminui);
    return error ? error : eio_timer_start(&adminui->tick, ADMINUI__TICK_MS);
}

struct adminui *adminui_new(struct sio_server *io, const struct adminui_options *options)
{
    struct adminui *adminui = calloc(1, sizeof *adminui);
    if (!adminui) return NULL;
    adminui_options_init(&adminui->options);
    if (options) adminui->options = *options;
    adminui->io = io;
    adminui->loop = sio_server_loop(io);
    adminui->started_ms = eio_loop_now_ms(adminui->loop);
    adminui->servers = 1;
    if (gethostname(adminui->hostname, sizeof adminui->hostname - 1)) snprintf(adminui->hostname, 10, "localhost");
    const char *server_id = adminui->options.server_id;
    adminui->namespace_name = strdup(adminui->options.namespace_name);
    adminui->server_id = strdup(server_id ? server_id : adminui->hostname);
    eio_timer_init(&adminui->tick, adminui->loop, on_tick, adminui);
    adminui__sockets_open(adminui);
    adminui__stats_open(adminui);
    if (!adminui->namespace_name || !adminui->server_id || open_namespace(adminui)) {
        adminui_stop(adminui); /* the namespace's handlers stay: the server is of no use any more */
        adminui_free(adminui);
        return NULL;
    }
    return adminui;
}

void adminui_stop(struct adminui *adminui)
{
    if (!adminui || adminui->stopped) return;
    adminui->stopped = true;
    eio_timer_stop(&adminui->tick);
    adminui__login_stop(adminui);
    update_watching(adminui);
    adminui__sockets_stop(adminui);
}

void adminui_free(struct adminui *adminui)
{
    if (!adminui) return;
    free(adminui->sessions);
    free(adminui->namespace_name);
    free(adminui->server_id);
    free(adminui);
}

void adminui_get_stats(const struct adminui *adminui, struct adminui_stats *stats)
{
    *stats = adminui->stats;
    stats->pages = adminui->page_count;
    stats->sessions = adminui->session_count;
    stats->sockets = adminui->shown_count;
    stats->watching = adminui->watching;
}
