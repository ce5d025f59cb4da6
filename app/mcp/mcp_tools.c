/* A server's list of tools: read page by page, kept for as long as it is fresh, read anew when it has changed. */
#include "mcp_int.h"

#include <stdlib.h>
#include <string.h>

#define PAGES_MAX 100
#define NAME_MAX_BYTES 256
#define FIRST_RETRY_MS 1000
#define SLICE_BYTES 65536 /* of tools, read in one turn of the loop */
#define SLICE_TOOLS 64
#define DROPS_LOGGED 16 /* of one list */

static void read_page(struct mcp_server *server, const char *cursor);

/* ----------------------------------------------------------------- entries */

static void clear_entry(struct mcp_entry *entry)
{
    mcp_mirrors_free(entry->mirrors);
    json_decref(entry->root);
}

void mcp_entries_clear(struct mcp_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) clear_entry(&entries->list[i]);
    free(entries->list);
    memset(entries, 0, sizeof *entries);
}

struct mcp_entry *mcp_find_entry(struct mcp_server *server, const char *name)
{
    for (size_t i = 0; i < server->tools.count; i++)
        if (!strcmp(server->tools.list[i].tool.name, name)) return &server->tools.list[i];
    return NULL;
}

static enum mcp_policy policy_of(const struct mcp_server *server, const char *name, const json_t *annotations)
{
    const char *own = json_string_value(json_object_get(server->config.policies, name));
    if (own) return !strcmp(own, "run") ? MCP_RUN : !strcmp(own, "ask") ? MCP_ASK : MCP_NEVER;
    enum mcp_policy policy = server->config.has_policy ? server->config.policy : MCP_RUN;
    bool is_destructive = json_is_true(json_object_get(annotations, "destructiveHint"));
    return is_destructive && policy == MCP_RUN ? MCP_ASK : policy;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* Why a tool cannot be used; NULL and the entry, which is the caller's to clear, if it can. */
static const char *read_entry(struct mcp_server *server, json_t *root, struct mcp_entry *entry)
{
    const char *why = NULL, *name = text_of(root, "name");
    const json_t *schema = json_object_get(root, "inputSchema"), *annotations = json_object_get(root, "annotations");
    memset(entry, 0, sizeof *entry);
    if (!*name || strlen(name) > NAME_MAX_BYTES) return "its name is empty or too long";
    if ((why = mcp_schema_check(schema))) return why;
    if (server->era == MCP_MODERN && !mcp_mirrors_read(schema, &entry->mirrors, &why)) return why;
    mcp_tool_id(server->config.id, name, entry->id);
    entry->root = json_incref(root);
    entry->tool =
        (struct mcp_tool){.server = server->config.id,
                          .name = name,
                          .title = *text_of(root, "title") ? text_of(root, "title") : text_of(annotations, "title"),
                          .description = text_of(root, "description"),
                          .input_schema = schema,
                          .annotations = annotations,
                          .policy = policy_of(server, name, annotations)};
    return NULL;
}

static bool is_found(const struct mcp_entries *entries, const struct mcp_entry *entry)
{
    for (size_t i = 0; i < entries->count; i++)
        if (!strcmp(entries->list[i].tool.name, entry->tool.name) || !strcmp(entries->list[i].id, entry->id))
            return true;
    return false;
}

/* Takes the entry. */
static const char *keep_entry(struct mcp_server *server, struct mcp_entry *entry)
{
    struct mcp_entries *entries = &server->listing.found;
    if (is_found(entries, entry)) return "another one has its name";
    struct mcp_entry *list = realloc(entries->list, (entries->count + 1) * sizeof *list);
    if (!list) return "out of memory";
    entries->list = list;
    list[entries->count++] = *entry;
    return NULL;
}

static void drop_tool(struct mcp_server *server, const char *name, const char *why)
{
    server->mcp->counters.tools_dropped++;
    if (++server->listing.dropped > DROPS_LOGGED) return;
    kit_log(EIO_LOG_WARN, "mcp tool left out", "server", server->config.id, "tool", name, "why", why, NULL);
    if (server->listing.dropped < DROPS_LOGGED) return;
    mcp_server_log(server, EIO_LOG_WARN, "mcp tools left out", "more of this list are not logged");
}

/* Returns its size. */
static size_t add_tool(struct mcp_server *server, json_t *root)
{
    struct mcp_listing *listing = &server->listing;
    const struct mcp_config *config = server->mcp->config;
    struct mcp_entry entry;
    size_t size = json_dumpb(root, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    const char *why = NULL;
    bool is_read = false;
    if (listing->found.count == config->tools_max) {
        why = "the server has more than mcp_tools_max";
    } else if (listing->bytes + size > config->tools_max_bytes) {
        why = "the server's tools are larger than mcp_tools_max_bytes";
    } else {
        why = read_entry(server, root, &entry);
        is_read = !why;
        if (is_read) why = keep_entry(server, &entry);
    }
    if (!why) listing->bytes += size;
    if (why && is_read) clear_entry(&entry);
    if (why) drop_tool(server, text_of(root, "name"), why);
    return size;
}

/* ----------------------------------------------------------------- listing */

static void drop_listing(struct mcp_server *server)
{
    struct mcp_listing *listing = &server->listing;
    eio_timer_stop(&listing->timer);
    mcp_entries_clear(&listing->found);
    json_decref(listing->cursors);
    if (listing->page) mcp_free_tree(server->mcp, listing->page);
    listing->cursors = listing->page = NULL;
    listing->ttl_ms = -1;
    listing->pages = listing->dropped = 0;
    listing->bytes = listing->at = 0;
    listing->again = false;
}

static void schedule_retry(struct mcp_server *server)
{
    uint32_t max_ms = server->mcp->config->retry_max_ms;
    eio_timer_start(&server->retry_timer, server->retry_ms);
    server->retry_ms = server->retry_ms > max_ms / 2 ? max_ms : server->retry_ms * 2;
}

static void fail_listing(struct mcp_server *server, const char *why)
{
    mcp_server_log(server, EIO_LOG_WARN, "cannot read the tools of an mcp server", why);
    drop_listing(server);
    schedule_retry(server);
    mcp_calls_listed(server);
}

/* The ids, which point into the entries, are set when those do not move any more. */
static void take_listing(struct mcp_server *server)
{
    struct mcp_listing *listing = &server->listing;
    bool again = listing->again;
    mcp_entries_clear(&server->tools);
    server->tools = listing->found;
    memset(&listing->found, 0, sizeof listing->found);
    for (size_t i = 0; i < server->tools.count; i++) server->tools.list[i].tool.id = server->tools.list[i].id;
    uint64_t now_ms = eio_loop_now_ms(server->mcp->loop);
    server->stale_ms = listing->ttl_ms < 0 ? UINT64_MAX : now_ms + (uint64_t)listing->ttl_ms;
    server->has_tools = true;
    server->retry_ms = FIRST_RETRY_MS;
    kit_log(EIO_LOG_INFO, "mcp tools", "server", server->config.id, "count",
            kit_number((long long)server->tools.count).text, NULL);
    drop_listing(server);
    mcp_calls_listed(server);
    if (again) mcp_tools_refresh(server);
}

/* A cursor that came before would go round for ever. */
static bool is_repeated(struct mcp_listing *listing, const char *cursor)
{
    if (++listing->pages >= PAGES_MAX || json_object_get(listing->cursors, cursor)) return true;
    if (!listing->cursors) listing->cursors = json_object();
    return json_object_set_new(listing->cursors, cursor, json_true()) != 0;
}

/* All of the page is read. */
static void end_page(struct mcp_server *server, const struct mcp_page *page)
{
    struct mcp_listing *listing = &server->listing;
    if (page->ttl_ms >= 0 && (listing->ttl_ms < 0 || page->ttl_ms < listing->ttl_ms)) listing->ttl_ms = page->ttl_ms;
    char *cursor = page->cursor ? strdup(page->cursor) : NULL;
    bool is_loop = cursor && is_repeated(listing, cursor);
    if (is_loop) mcp_server_log(server, EIO_LOG_WARN, "mcp server's list of tools does not end", cursor);
    mcp_free_tree(server->mcp, listing->page);
    listing->page = NULL;
    if (cursor && !is_loop && listing->found.count < server->mcp->config->tools_max)
        read_page(server, cursor);
    else
        take_listing(server);
    free(cursor);
}

/* A long page takes several turns of the loop. */
static void read_slice(void *ctx)
{
    struct mcp_server *server = ctx;
    struct mcp_listing *listing = &server->listing;
    struct mcp_page page;
    size_t bytes = 0;
    mcp_page_read(listing->page, &page);
    for (unsigned i = 0; i < SLICE_TOOLS && bytes < SLICE_BYTES; i++) {
        json_t *tool = json_array_get(page.tools, listing->at);
        if (!tool) {
            end_page(server, &page);
            return;
        }
        bytes += add_tool(server, tool);
        listing->at++;
    }
    eio_timer_start(&listing->timer, 0);
}

static void on_listed(void *owner, const struct mcp_reply *reply)
{
    struct mcp_server *server = owner;
    const struct mcp_message *message = reply->message;
    struct mcp_page page;
    server->listing.request = NULL;
    if (!message || message->kind == MCP_ERROR) {
        fail_listing(server, message ? message->text : reply->error);
        return;
    }
    if (!mcp_page_read(message->result, &page)) {
        fail_listing(server, "its answer is not a list of tools");
        return;
    }
    server->listing.page = json_incref((json_t *)(uintptr_t)message->result);
    server->listing.at = 0;
    read_slice(server);
}

static void read_page(struct mcp_server *server, const char *cursor)
{
    static const struct mcp_request_ops ops = {NULL, on_listed};
    const struct mcp_request_options options = {.kind = MCP_R_LIST,
                                                .method = "tools/list",
                                                .take_params =
                                                    cursor ? json_pack("{s:s}", "cursor", cursor) : json_object(),
                                                .ops = &ops,
                                                .owner = server,
                                                .max_ms = server->mcp->config->idle_timeout_ms};
    server->listing.request = mcp_request_new(server->sessions, &options);
    if (server->listing.request)
        mcp_session_advance(server->sessions);
    else
        schedule_retry(server);
}

void mcp_tools_refresh(struct mcp_server *server)
{
    if (server->mcp->is_draining) return;
    eio_timer_stop(&server->retry_timer);
    server->stale_ms = UINT64_MAX; /* it is being read */
    if (server->listing.request || server->listing.page) {
        server->listing.again = true;
        return;
    }
    drop_listing(server);
    read_page(server, NULL);
}

static void on_retry(void *ctx)
{
    mcp_tools_refresh(ctx);
}

void mcp_tools_init(struct mcp_server *server)
{
    server->retry_ms = FIRST_RETRY_MS;
    server->listing.ttl_ms = -1;
    eio_timer_init(&server->retry_timer, server->mcp->loop, on_retry, server);
    eio_timer_init(&server->listing.timer, server->mcp->loop, read_slice, server);
}

void mcp_tools_clear(struct mcp_server *server)
{
    eio_timer_stop(&server->retry_timer);
    if (server->listing.request) mcp_request_cancel(server->listing.request, "the client ends");
    drop_listing(server);
    mcp_entries_clear(&server->tools);
}

/* ------------------------------------------------------------------- users */

void mcp_each_tool(struct mcp *mcp, bool (*fn)(void *ctx, const struct mcp_tool *tool), void *ctx)
{
    uint64_t now_ms = eio_loop_now_ms(mcp->loop);
    for (size_t i = 0; i < mcp->server_count; i++) {
        struct mcp_server *server = &mcp->servers[i];
        if (server->stale_ms <= now_ms) mcp_tools_refresh(server);
        for (size_t k = 0; k < server->tools.count; k++) {
            const struct mcp_tool *tool = &server->tools.list[k].tool;
            if (tool->policy != MCP_NEVER && !fn(ctx, tool)) return;
        }
    }
}

const struct mcp_tool *mcp_find_tool(struct mcp *mcp, const char *id)
{
    for (size_t i = 0; i < mcp->server_count; i++) {
        struct mcp_entries *tools = &mcp->servers[i].tools;
        for (size_t k = 0; k < tools->count; k++)
            if (!strcmp(tools->list[k].id, id) && tools->list[k].tool.policy != MCP_NEVER) return &tools->list[k].tool;
    }
    return NULL;
}
