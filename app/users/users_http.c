/* Users over HTTP, for administrators: list, add or change, remove, disconnect. */
#include "kit_http.h"
#include "users_int.h"

#include <stdlib.h>
#include <string.h>

#define USERS_PATH "/api/v1/users"
#define LIST_MAX 1000

/* Users of this server belong to no tenant, and an administrator of one is not theirs. */
static int allow_own(struct kit_db *db, struct kit_request *request)
{
    (void)db;
    if (!request->claims->tenant[0]) return 0;
    return kit_fail(&request->op.failure, 403, NULL, "an administrator of a tenant may not do this");
}

/* -------------------------------------------------------------------- list */

struct list {
    struct kit_request request;
    char after[KIT_USER_SIZE], last[KIT_USER_SIZE];
    int64_t limit, count;
    bool has_more;
};

static int read_list(struct kit_request *request, const json_t *payload)
{
    struct list *list = KIT_REQUEST(list, request);
    list->limit = LIST_MAX;
    kit_copy_text(list->after, sizeof list->after, payload, "after");
    kit_json_int64(json_object_get(payload, "limit"), 1, LIST_MAX, &list->limit);
    return 0;
}

static void put_user(void *ctx, const struct users_row *row)
{
    struct list *list = ctx;
    struct sio_builder *json = &list->request.json;
    list->has_more = list->count == list->limit;
    if (list->has_more) return;
    sio_builder_put(json, list->count++ ? ",{\"name\":" : "{\"name\":");
    kit_put_text(json, row->name);
    sio_builder_put(json, ",\"role\":");
    kit_put_text(json, row->role);
    sio_builder_put(json, ",\"calls\":");
    kit_put_text(json, row->calls);
    sio_builder_put(json, ",\"chats\":");
    kit_put_text(json, row->chats);
    sio_builder_put(json, ",\"created_at\":");
    kit_put_time(json, row->created_ms);
    sio_builder_put(json, "}");
    memcpy(list->last, row->name, sizeof list->last);
}

static int run_list(struct kit_db *db, struct kit_request *request)
{
    struct list *list = KIT_REQUEST(list, request);
    sio_builder_put(&request->json, ",\"users\":[");
    /* One more than the page has, which shows whether there is another. */
    int code = users_each(db, list->after, list->limit + 1, put_user, list, &request->op.failure);
    sio_builder_put(&request->json, "]");
    if (!list->has_more) return code;
    sio_builder_put(&request->json, ",\"next\":");
    kit_put_text(&request->json, list->last);
    return code;
}

/* --------------------------------------------------------------------- put */

struct put {
    struct kit_request request;
    struct users_row row;
    struct users_hashing hashing;
    bool is_new;
};

/* Joined by commas; NULL if they are left out. Returns 0 or the code of failure. */
static int read_ids(char **text, size_t size, const json_t *ids, const char *field, struct kit_failure *failure)
{
    *text = ids ? calloc(1, size) : NULL;
    size_t n = 0;
    if (ids && !*text) return kit_fail(failure, 503, NULL, "out of memory");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *one = json_string_value(json_array_get(ids, i));
        if (strchr(one, ',')) return kit_fail(failure, 400, field, "must not contain commas");
        n += (size_t)snprintf(*text + n, size - n, "%s%s", n ? "," : "", one);
        if (n >= size) return kit_fail(failure, 400, field, "must have at most %zu bytes together", size - 1);
    }
    return 0;
}

static int read_rights(struct users_row *row, const json_t *payload, struct kit_failure *failure)
{
    int code = read_ids(&row->calls, USERS_CALLS_SIZE, json_object_get(payload, "calls"), "/calls", failure);
    if (code) return code;
    return read_ids(&row->chats, USERS_CHATS_SIZE, json_object_get(payload, "chats"), "/chats", failure);
}

static int read_put(struct kit_request *request, const json_t *payload)
{
    struct put *put = KIT_REQUEST(put, request);
    const struct users *users = request->state;
    const json_t *password = json_object_get(payload, "password");
    size_t size = json_string_length(password);
    request->op.locks[0] = USERS_LOCK;
    kit_copy_text(put->row.name, sizeof put->row.name, payload, "name");
    kit_copy_text(put->row.role, sizeof put->row.role, payload, "role");
    kit_copy_text(put->hashing.password, sizeof put->hashing.password, payload, "password");
    if (password && (size < users->config->password_bytes_min || strlen(put->hashing.password) != size))
        return kit_fail(&request->op.failure, 400, "/password", "must have %u to %d bytes",
                        users->config->password_bytes_min, USERS_PASSWORD_SIZE - 1);
    return read_rights(&put->row, payload, &request->op.failure);
}

static void on_hashed(struct users_hashing *hashing)
{
    struct put *put = KIT_OWNER(hashing, struct put, hashing);
    memcpy(put->row.hash, hashing->hash, sizeof put->row.hash);
    if (!hashing->has_failed) {
        kit_request_submit(&put->request);
        return;
    }
    kit_fail(&put->request.op.failure, 503, NULL, "out of memory for the password");
    kit_request_finish(&put->request);
}

static void start_put(struct kit_request *request)
{
    struct put *put = KIT_REQUEST(put, request);
    put->hashing.done = on_hashed;
    if (!put->hashing.password[0]) {
        kit_request_submit(request);
    } else if (users_hash_password(request->state, &put->hashing, kit_user_source(request->user, true))) {
        kit_fail(&request->op.failure, 503, NULL, "too many passwords are queued; try again");
        kit_request_finish(request);
    }
}

static int run_put(struct kit_db *db, struct kit_request *request)
{
    struct put *put = KIT_REQUEST(put, request);
    return users_put(db, &put->row, request->now_ms, &put->is_new, &request->op.failure);
}

/* Who has other rights, or another password, has to come again. */
static void reply_put(struct kit_request *request)
{
    struct put *put = KIT_REQUEST(put, request);
    struct users_cut cut = {.not_before_s = 0};
    memcpy(cut.name, put->row.name, sizeof cut.name);
    if (put->is_new)
        request->status = 201;
    else
        users_cut_everywhere(request->state, &cut);
    sio_builder_put(&request->json, ",\"name\":");
    kit_put_text(&request->json, put->row.name);
}

static void clear_put(struct kit_request *request)
{
    struct put *put = KIT_REQUEST(put, request);
    users_row_clear(&put->row);
    sodium_memzero(&put->hashing, sizeof put->hashing);
}

/* ------------------------------------------------------- remove, disconnect */

struct cut {
    struct kit_request request;
    struct users_cut cut;
};

static int read_cut(struct kit_request *request, const json_t *payload)
{
    struct cut *cut = KIT_REQUEST(cut, request);
    (void)payload;
    request->op.locks[0] = USERS_LOCK;
    memcpy(cut->cut.tenant, request->claims->tenant, sizeof cut->cut.tenant);
    memcpy(cut->cut.name, request->about, sizeof cut->cut.name);
    return 0;
}

static int run_disconnect(struct kit_db *db, struct kit_request *request)
{
    return users_cut(db, &KIT_REQUEST(cut, request)->cut, request->now_ms, &request->op.failure);
}

static int run_remove(struct kit_db *db, struct kit_request *request)
{
    int code = users_remove(db, request->about, &request->op.failure);
    return code ? code : run_disconnect(db, request);
}

static void reply_cut(struct kit_request *request)
{
    users_cut_everywhere(request->state, &KIT_REQUEST(cut, request)->cut);
    sio_builder_put(&request->json, ",\"name\":");
    kit_put_text(&request->json, request->about);
}

int users_http_start(struct users *users)
{
    static const struct kit_event events[] = {
        {.name = "user:list",
         .size = sizeof(struct list),
         .way = KIT_READ,
         .roles = KIT_ROLE_ADMIN,
         .read = read_list,
         .allow = allow_own,
         .run = run_list,
         .method = EIO_HTTP_GET,
         .path = USERS_PATH},
        {.name = "user:put",
         .size = sizeof(struct put),
         .way = KIT_WRITE,
         .roles = KIT_ROLE_ADMIN,
         .read = read_put,
         .start = start_put,
         .allow = allow_own,
         .run = run_put,
         .reply = reply_put,
         .clear = clear_put,
         .method = EIO_HTTP_POST,
         .path = USERS_PATH},
        {.size = sizeof(struct cut),
         .way = KIT_WRITE,
         .roles = KIT_ROLE_ADMIN,
         .about = "name",
         .allow = allow_own,
         .read = read_cut,
         .run = run_remove,
         .reply = reply_cut,
         .method = EIO_HTTP_DELETE,
         .path = USERS_PATH "/<name>"},
        {.size = sizeof(struct cut),
         .way = KIT_WRITE,
         .roles = KIT_ROLE_ADMIN | KIT_ROLE_SERVICE,
         .about = "name",
         .read = read_cut,
         .run = run_disconnect,
         .reply = reply_cut,
         .method = EIO_HTTP_POST,
         .path = USERS_PATH "/<name>/disconnect"},
    };
    return kit_open_paths(users->kit, events, sizeof events / sizeof events[0], users);
}
