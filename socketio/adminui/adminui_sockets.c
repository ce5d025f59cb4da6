/* Which sockets pages know: at most max_sockets, of all nodes together. A page that comes gets the list of those of its
 * node in one go, and those of other nodes, as what is too much for one go, in slices. */
#include "adminui_int.h"

#include <stdlib.h>
#include <string.h>

static uint32_t hash_of(const struct sio_socket *socket)
{
    uint64_t hash = (uint64_t)(uintptr_t)socket * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32);
}

static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u;
    while (*text) hash = (hash ^ (uint8_t)*text++) * 0x100000001b3u;
    return hash;
}

/* ---------------------------------------------------------- what is written */

static const json_t *data_of(struct adminui *adminui, struct sio_socket *socket)
{
    adminui->reading = true;
    const json_t *data = sio_socket_data(socket);
    adminui->reading = false;
    return data;
}

/* Returns the hash of what it wrote. */
static uint64_t put_data(struct adminui *adminui, struct sio_socket *socket, struct sio_builder *args)
{
    const json_t *data = data_of(adminui, socket);
    char *text = data ? json_dumps(data, JSON_COMPACT) : NULL;
    uint64_t hash = hash_text(text ? text : "{}");
    if (args) sio_builder_put(args, text ? text : "{}");
    free(text);
    return hash;
}

static void put_member(struct sio_builder *args, const char *before, const char *text, size_t size)
{
    sio_builder_put(args, before);
    sio_builder_put_text(args, text, size);
}

static void put_rooms(const struct sio_socket *socket, struct sio_builder *args)
{
    struct eio_str room;
    sio_builder_put(args, "[");
    for (size_t i = 0; sio_socket_room_at(socket, i, &room); i++) put_member(args, i ? "," : "", room.p, room.n);
    sio_builder_put(args, "]");
}

/* A piece, not an argument of its own. */
static void put_socket(struct adminui *adminui, struct sio_socket *socket, struct sio_builder *args)
{
    const struct eio_session *session = sio_socket_session(socket);
    const char *id = sio_socket_id(socket), *client = eio_session_id(session);
    const char *nsp = sio_namespace_name(sio_socket_namespace(socket));
    bool is_polling = eio_session_transport(session) == EIO_POLLING;
    size_t client_size = strlen(client);
    put_member(args, "{\"id\":", id, strlen(id));
    put_member(args, ",\"clientId\":", client, client_size < 12 ? client_size : 12);
    sio_builder_put(args, is_polling ? ",\"transport\":\"polling\"" : ",\"transport\":\"websocket\"");
    put_member(args, ",\"nsp\":", nsp, strlen(nsp));
    sio_builder_put(args, ",\"data\":");
    put_data(adminui, socket, args);
    sio_builder_put(args, ",\"handshake\":");
    sio_socket_put_request(socket, args);
    sio_builder_put(args, ",\"rooms\":");
    put_rooms(socket, args);
    sio_builder_put(args, "}");
}

void adminui__put_socket(struct adminui *adminui, struct sio_socket *socket, struct sio_builder *args)
{
    sio_builder_open(args);
    put_socket(adminui, socket, args);
}

/* ------------------------------------------------------------------- known */

struct adminui__shown *adminui__shown_find(const struct adminui *adminui, const struct sio_socket *socket)
{
    size_t at;
    uint32_t hash = hash_of(socket);
    struct adminui__shown *shown = base_table_first(&adminui->shown_by_socket, hash, &at);
    while (shown && shown->socket != socket) shown = base_table_next(&adminui->shown_by_socket, hash, &at);
    return shown;
}

static size_t room_for(const struct adminui *adminui)
{
    size_t share = adminui->options.max_sockets / adminui->servers;
    if (share == 0) share = 1;
    return adminui->shown_count < share ? share - adminui->shown_count : 0;
}

struct adminui__shown *adminui__shown_add(struct adminui *adminui, struct sio_socket *socket)
{
    struct adminui__shown *shown = room_for(adminui) ? calloc(1, sizeof *shown) : NULL;
    if (shown && base_table_add(&adminui->shown_by_socket, hash_of(socket), shown) != BASE_OK) {
        free(shown);
        shown = NULL;
    }
    if (!shown) {
        adminui->stats.sockets_left_out++;
        return NULL;
    }
    shown->socket = socket;
    shown->data_hash = put_data(adminui, socket, NULL);
    shown->prev = adminui->last_shown;
    *(shown->prev ? &shown->prev->next : &adminui->first_shown) = shown;
    adminui->last_shown = shown;
    adminui->shown_count++;
    return shown;
}

void adminui__shown_remove(struct adminui *adminui, struct adminui__shown *shown)
{
    for (struct adminui__roster *roster = adminui->rosters; roster; roster = roster->next)
        if (roster->at == shown) roster->at = shown->next;
    struct adminui__shown **at = &adminui->dirty;
    while (shown->dirty && *at && *at != shown) at = &(*at)->next_dirty;
    if (shown->dirty && *at) *at = shown->next_dirty;
    *(shown->prev ? &shown->prev->next : &adminui->first_shown) = shown->next;
    *(shown->next ? &shown->next->prev : &adminui->last_shown) = shown->prev;
    base_table_remove(&adminui->shown_by_socket, hash_of(shown->socket), shown);
    adminui->shown_count--;
    free(shown);
}

void adminui__shown_clear(struct adminui *adminui)
{
    while (adminui->first_shown) adminui__shown_remove(adminui, adminui->first_shown);
}

/* -------------------------------------------------------------------- fill */

struct filling {
    struct adminui *adminui;
    size_t left;
    bool reports;
};

static void report_connected(struct adminui *adminui, struct sio_target target, struct sio_socket *socket)
{
    struct sio_builder args;
    sio_builder_init(&args);
    adminui__put_socket(adminui, socket, &args);
    adminui__put_time(&args, sio_socket_head(socket)->issued_ms);
    if (!args.error) sio_emit(target, "socket_connected", sio_builder_args(&args));
    sio_builder_clear(&args);
}

static void fill_one(struct sio_socket *socket, void *ctx)
{
    struct filling *filling = ctx;
    if (!filling->left || adminui__shown_find(filling->adminui, socket)) return;
    filling->left--;
    if (!adminui__shown_add(filling->adminui, socket))
        filling->left = 0;
    else if (filling->reports)
        report_connected(filling->adminui, adminui__pages(filling->adminui), socket);
}

static void fill_namespace(struct sio_namespace *nsp, void *ctx)
{
    const struct filling *filling = ctx;
    if (filling->left) sio_target_each_local(sio_all(nsp), fill_one, ctx);
}

static void count_sockets(struct sio_namespace *nsp, void *ctx)
{
    *(size_t *)ctx += sio_namespace_socket_count(nsp);
}

void adminui__shown_fill(struct adminui *adminui, size_t limit, bool reports)
{
    size_t sockets = 0, room = room_for(adminui);
    struct filling filling = {adminui, room < limit ? room : limit, reports};
    if (!room) return;
    sio_each_namespace(adminui->io, count_sockets, &sockets);
    if (sockets > adminui->shown_count) sio_each_namespace(adminui->io, fill_namespace, &filling);
}

/* -------------------------------------------------------------------- data */

static void on_data_timer(void *ctx)
{
    struct adminui *adminui = ctx;
    while (adminui->dirty) {
        struct adminui__shown *shown = adminui->dirty;
        struct sio_builder args;
        adminui->dirty = shown->next_dirty;
        shown->dirty = false;
        sio_builder_init(&args);
        const char *id = sio_socket_id(shown->socket);
        const char *nsp = sio_namespace_name(sio_socket_namespace(shown->socket));
        sio_builder_open(&args);
        put_member(&args, "{\"id\":", id, strlen(id));
        put_member(&args, ",\"nsp\":", nsp, strlen(nsp));
        sio_builder_put(&args, ",\"data\":");
        uint64_t hash = put_data(adminui, shown->socket, &args);
        sio_builder_put(&args, "}");
        if (hash != shown->data_hash && adminui__may_report_change(adminui))
            adminui__send_to_pages(adminui, "socket_updated", &args);
        else
            sio_builder_clear(&args);
        shown->data_hash = hash;
    }
}

void adminui__shown_touch(struct adminui *adminui, struct adminui__shown *shown)
{
    if (adminui->reading || shown->dirty) return;
    shown->dirty = true;
    shown->next_dirty = adminui->dirty;
    adminui->dirty = shown;
    eio_timer_start(&adminui->data_timer, 0);
}

/* ----------------------------------------------------------------- rosters */

static void roster_free(struct adminui *adminui, struct adminui__roster *roster)
{
    struct adminui__roster **at = &adminui->rosters;
    while (*at != roster) at = &(*at)->next;
    *at = roster->next;
    free(roster);
}

/* False: its page is gone. */
static bool target_of(const struct adminui *adminui, const struct adminui__roster *roster, struct sio_target *target)
{
    if (!roster->is_own) {
        *target = sio_to(sio_all(adminui->nsp), roster->sid);
        return adminui__is_watched_elsewhere(adminui);
    }
    struct sio_socket *page = sio_socket_find(adminui->nsp, roster->sid, strlen(roster->sid));
    if (page) *target = sio_local(sio_only(page));
    return page != NULL;
}

static void send_slice(struct adminui *adminui, struct adminui__roster *roster)
{
    struct sio_target target;
    if (!target_of(adminui, roster, &target)) roster->at = NULL;
    for (size_t i = 0; i < ADMINUI__SLICE_SOCKETS && roster->at; i++) {
        struct adminui__shown *shown = roster->at;
        roster->at = shown->next;
        report_connected(adminui, target, shown->socket);
    }
    if (!roster->at) roster_free(adminui, roster);
}

static void on_slice_timer(void *ctx)
{
    struct adminui *adminui = ctx;
    for (struct adminui__roster *roster = adminui->rosters, *next; roster; roster = next) {
        next = roster->next;
        send_slice(adminui, roster);
    }
    if (adminui->rosters) eio_timer_start(&adminui->slice_timer, ADMINUI__SLICE_MS);
}

static void roster_add(struct adminui *adminui, const char *sid, struct adminui__shown *from, bool is_own)
{
    struct adminui__roster *roster = adminui->rosters;
    if (!from) return;
    while (roster && strcmp(roster->sid, sid) != 0) roster = roster->next;
    bool is_new = !roster;
    if (is_new) roster = calloc(1, sizeof *roster);
    if (!roster) return;
    roster->at = from;
    roster->is_own = is_own;
    snprintf(roster->sid, sizeof roster->sid, "%s", sid);
    if (!is_new) return;
    roster->next = adminui->rosters;
    adminui->rosters = roster;
    if (!eio_timer_running(&adminui->slice_timer)) eio_timer_start(&adminui->slice_timer, 0);
}

/* The first sockets; *rest is the one after them. */
static void put_list(struct adminui *adminui, struct sio_builder *args, struct adminui__shown **rest)
{
    struct adminui__shown *shown = adminui->first_shown;
    sio_builder_open(args);
    sio_builder_put(args, "[");
    for (size_t i = 0; shown && i < ADMINUI__FIRST_SOCKETS; i++, shown = shown->next) {
        sio_builder_put(args, i ? "," : "");
        put_socket(adminui, shown->socket, args);
    }
    sio_builder_put(args, "]");
    *rest = shown;
}

/* However many pages want the list, it is made once in a turn. */
static void on_list_timer(void *ctx)
{
    struct adminui *adminui = ctx;
    struct adminui__shown *rest;
    struct sio_builder args;
    adminui__shown_fill(adminui, SIZE_MAX, false);
    sio_builder_init(&args);
    put_list(adminui, &args, &rest);
    adminui->stats.lists++;
    for (struct adminui__page *page = adminui->pages; page; page = page->next) {
        if (!page->wants_list) continue;
        page->wants_list = false;
        if (!args.error) sio_emit(sio_local(sio_only(page->socket)), "all_sockets", sio_builder_args(&args));
        roster_add(adminui, sio_socket_id(page->socket), rest, true);
    }
    sio_builder_clear(&args);
}

void adminui__roster_own(struct adminui *adminui, struct adminui__page *page)
{
    page->wants_list = true;
    eio_timer_start(&adminui->list_timer, 0);
}

void adminui__roster_other(struct adminui *adminui, const char *sid)
{
    if (adminui->options.mode != ADMINUI_DEVELOPMENT) return;
    adminui__shown_fill(adminui, SIZE_MAX, false);
    roster_add(adminui, sid, adminui->first_shown, false);
}

/* ---------------------------------------------------------- opening, ending */

void adminui__sockets_open(struct adminui *adminui)
{
    sio_builder_init(&adminui->leaving);
    eio_timer_init(&adminui->slice_timer, adminui->loop, on_slice_timer, adminui);
    eio_timer_init(&adminui->list_timer, adminui->loop, on_list_timer, adminui);
    eio_timer_init(&adminui->data_timer, adminui->loop, on_data_timer, adminui);
}

void adminui__sockets_stop(struct adminui *adminui)
{
    while (adminui->rosters) roster_free(adminui, adminui->rosters);
    adminui__shown_clear(adminui);
    base_table_clear(&adminui->shown_by_socket);
    eio_timer_stop(&adminui->slice_timer);
    eio_timer_stop(&adminui->list_timer);
    eio_timer_stop(&adminui->data_timer);
    sio_builder_clear(&adminui->leaving);
}
