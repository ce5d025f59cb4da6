/* The module: options, metrics, and users who are disconnected wherever they are. */
#include "kit_metrics.h"
#include "kit_options.h"
#include "users_int.h"

#include <stdlib.h>
#include <string.h>

#define DISCONNECT_EVENT "parley:disconnect" /* between nodes */

/* ----------------------------------------------------------------- options */

#define KIT_VALUES struct users_config
static const struct kit_option option_rows[] = {
    KIT_U32_ROW("token_ttl_s", token_ttl_s, "28800", 60, 31536000, "Users", "how long the token of a login is valid"),
    KIT_U32_ROW("user_poll_ms", user_poll_ms, "2000", 100, KIT_DAY_MS, "Users",
                "how often the store is asked who was removed by a command or at another node"),
    KIT_U32_ROW("login_burst", login_burst, "10", 0, 1000000, "Users",
                "failed logins of one user from one client address in a row; above: error 429; 0: no limit"),
    KIT_U32_ROW("login_interval_ms", login_interval_ms, "6000", 1, KIT_DAY_MS, "Users",
                "time after which one more of them is allowed"),
    KIT_U32_ROW("login_address_burst", login_address_burst, "30", 0, 1000000, "Users",
                "the same from one client address, whatever the users"),
    KIT_U32_ROW("login_address_interval_ms", login_address_interval_ms, "2000", 1, KIT_DAY_MS, "Users",
                "time after which one more of them is allowed"),
    KIT_U32_ROW("login_user_burst", login_user_burst, "100", 0, 1000000, "Users",
                "failed logins of one user from all addresses; above: error 429 at addresses from which the user has "
                "not logged in before; 0: no limit"),
    KIT_U32_ROW("login_user_interval_ms", login_user_interval_ms, "1000", 1, KIT_DAY_MS, "Users",
                "time after which one more of them is allowed"),
    KIT_U32_ROW("login_tracked_max", login_tracked_max, "65536", 16, 10000000, "Users",
                "users and addresses whose failed logins are remembered; above: the oldest are forgotten"),
    KIT_U32_ROW("password_queue_max", password_queue_max, "512", 1, 1000000, "Users",
                "passwords waiting to be hashed; above: error 503"),
    KIT_U32_ROW("password_bytes_min", password_bytes_min, "10", 1, 1024, "Users", "length of a new password"),
    KIT_NUMBER_ROW("password_memory_bytes", KIT_SIZE, password_memory_bytes, "67108864", 8192, KIT_BYTES_MAX, "Users",
                   "memory that hashing a password takes (Argon2id); one at a time is hashed"),
    KIT_U32_ROW("password_passes", password_passes, "2", 1, 100, "Users", "passes over that memory"),
};
const struct kit_option_set users_options = KIT_OPTION_SET(option_rows);

/* ----------------------------------------------------------------- metrics */

#define KIT_NUMBERS struct users
static const struct kit_metric metric_rows[] = {
    KIT_COUNTER_ROW("logins_total", logins, "Logins that succeeded."),
    KIT_COUNTER_ROW("login_failures_total", login_failures, "Logins refused because of a wrong name or password."),
    KIT_COUNTER_ROW("login_limited_total", login_limited,
                    "Logins refused because of login_burst, login_address_burst or login_user_burst."),
    KIT_COUNTER_ROW("password_queue_full_total", queue_full, "Passwords refused because of password_queue_max."),
    KIT_GAUGE_ROW("password_queue", queued, "Passwords waiting to be hashed."),
    KIT_COUNTER_ROW("user_disconnects_total", disconnects,
                    "Sockets and connections of users disconnected by an administrator."),
};
static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, NULL);

/* -------------------------------------------------------------- disconnect */

static void on_disconnect(struct sio_socket *socket, const struct sio_event *event, void *ctx)
{
    struct users_cut cut = {.not_before_s = 0};
    json_t *before = sio_args_parse(event->args, 2);
    bool is_named = sio_args_text(event->args, 0, cut.tenant, sizeof cut.tenant) >= 0 &&
                    sio_args_text(event->args, 1, cut.name, sizeof cut.name) > 0;
    (void)socket;
    kit_json_int64(before, 0, KIT_JWT_TIME_MAX, &cut.not_before_s);
    if (is_named) users_cut_here(ctx, &cut);
    if (is_named) users_keep_cut(ctx, &cut);
    json_decref(before);
}

void users_cut_everywhere(struct users *users, const struct users_cut *cut)
{
    struct sio_builder args;
    sio_builder_init(&args);
    sio_builder_text(&args, cut->tenant, strlen(cut->tenant));
    sio_builder_text(&args, cut->name, strlen(cut->name));
    sio_builder_int(&args, cut->not_before_s);
    if (kit_has_peers(users->kit))
        sio_server_side_emit(sio_of(users->kit->io, "/"), DISCONNECT_EVENT, sio_builder_args(&args), NULL, NULL);
    sio_builder_clear(&args);
    users_cut_here(users, cut);
}

/* ------------------------------------------------------------------ module */

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    struct users *users = *state = calloc(1, sizeof *users);
    (void)error, (void)error_size;
    if (!users) return EIO_ENOMEM;
    users->kit = kit;
    users->config = kit_config_values(kit->config, &users_options);
    users->attempts = kit_buckets_new(users->config->login_tracked_max);
    if (!users->attempts) return EIO_ENOMEM;
    kit_strand_init(&users->strand, kit->work, 1, NULL, NULL);
    int failed = sio_on_server_event(sio_of(kit->io, "/"), DISCONNECT_EVENT, on_disconnect, users);
    if (!failed) failed = users_cutoffs_start(users);
    if (!failed) failed = users_login_start(users);
    return failed ? failed : users_http_start(users);
}

static void pause_polling(void *state)
{
    if (state) users_cutoffs_pause(state);
}

static void stop(void *state)
{
    struct users *users = state;
    if (!users) return;
    users_cutoffs_stop(users);
    kit_buckets_free(users->attempts);
    free(users);
}

const struct kit_module users_module = {.name = "users",
                                        .options = &users_options,
                                        .metrics = &metrics,
                                        .migrations = users_migrations,
                                        .start = start,
                                        .pause = pause_polling,
                                        .stop = stop};
