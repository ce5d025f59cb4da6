/* The module: the namespace on adminui's library, the page, and their numbers. */
#include "admin_int.h"
#include "kit_listen.h"
#include "kit_dismiss.h"
#include "kit_metrics.h"

#include <stdlib.h>
#include <unistd.h>

#define KIT_NUMBERS struct adminui_stats

static const struct kit_metric metric_rows[] = {
    KIT_GAUGE_ROW("admin_pages", pages, "Pages of the Admin UI that are connected."),
    KIT_GAUGE_ROW("admin_sessions", sessions, "Sessions of the Admin UI."),
    KIT_COUNTER_ROW("admin_logins_total", logins, "Logins to the Admin UI, with a session or with credentials."),
    KIT_COUNTER_ROW("admin_logins_refused_total", logins_refused, "Logins to the Admin UI that were refused."),
    KIT_COUNTER_ROW("admin_logins_throttled_total", logins_throttled,
                    "Logins to the Admin UI refused without a look: admin_failed_logins_max, or too many at a time."),
    KIT_COUNTER_ROW("admin_actions_total", actions, "Actions of the Admin UI that were carried out."),
    KIT_COUNTER_ROW("admin_actions_refused_total", actions_refused, "Actions of the Admin UI that were malformed."),
    KIT_COUNTER_ROW("admin_reported_total", reported, "Events and changes reported to the Admin UI."),
    KIT_COUNTER_ROW("admin_events_left_out_total", events_left_out,
                    "Events not reported: admin_events_max, admin_event_bytes_max, or of a socket that is not listed."),
    KIT_COUNTER_ROW("admin_changes_left_out_total", changes_left_out,
                    "Changes not reported one by one: admin_changes_max."),
    KIT_COUNTER_ROW("admin_sockets_left_out_total", sockets_left_out, "Sockets not listed: admin_sockets_max."),
};

static void read_numbers(void *ctx, void *numbers)
{
    const struct admin *admin = ctx;
    if (admin && admin->adminui) adminui_get_stats(admin->adminui, numbers);
}

static const struct kit_metric_set metrics = KIT_METRIC_SET(metric_rows, read_numbers);

/* Before a session of a former login would let it in. */
static void on_door(struct sio_socket *socket, struct sio_admission *admission, void *ctx)
{
    (void)ctx;
    if (eio_session_head(sio_socket_session(socket))->door == KIT_DOOR_OPERATOR)
        sio_next(admission);
    else
        sio_refuse(admission, "only at the operators' address", NULL);
}

static int open_namespace(struct admin *admin)
{
    const struct admin_config *config = admin->config;
    struct adminui_options options;
    char host[256] = "localhost", id[300];
    gethostname(host, sizeof host - 1);
    snprintf(id, sizeof id, "%s#%d", host, (int)getpid());
    struct sio_namespace *nsp = sio_of(admin->kit->io, "/admin");
    if (admin->kit->config->has_operators && (!nsp || sio_use(nsp, on_door, NULL))) return EIO_ENOMEM;
    adminui_options_init(&options);
    options.server_id = id;
    options.mode = config->admin_ui == ADMIN_DEVELOPMENT ? ADMINUI_DEVELOPMENT : ADMINUI_PRODUCTION;
    options.readonly = config->admin_readonly;
    options.on_login = admin_on_login;
    options.ctx = admin;
    options.session_s = config->admin_session_s;
    options.max_failed_logins = config->admin_failed_logins_max;
    options.max_sockets = config->admin_sockets_max;
    options.max_events_per_minute = config->admin_events_max;
    options.max_event_bytes_per_second = config->admin_event_bytes_max;
    options.max_changes_per_minute = config->admin_changes_max;
    admin->adminui = adminui_new(admin->kit->io, &options);
    return admin->adminui ? 0 : EIO_ENOMEM;
}

static int start(struct kit *kit, void **state, char *error, size_t error_size)
{
    struct admin *admin = calloc(1, sizeof *admin);
    *state = admin;
    if (!admin) return EIO_ENOMEM;
    admin->kit = kit;
    admin->config = kit_config_values(kit->config, &admin_options);
    if (admin->config->admin_ui == ADMIN_OFF) return 0;
    kit_strand_init(&admin->strand, kit->work, 1, NULL, NULL);
    int failed = admin_login_load(admin, error, error_size);
    if (!failed) failed = open_namespace(admin);
    if (!failed) failed = kit_on_dismiss(kit, admin_dismiss, admin);
    return failed ? failed : admin_page_start(admin);
}

static void pause_module(void *state)
{
    struct admin *admin = state;
    if (admin) adminui_stop(admin->adminui);
}

static void stop(void *state)
{
    struct admin *admin = state;
    if (!admin) return;
    adminui_free(admin->adminui);
    web_folder_free(admin->page);
    sodium_memzero(&admin->password, sizeof admin->password);
    free(admin->preset);
    free(admin);
}

const struct kit_module admin_module = {.name = "admin",
                                        .options = &admin_options,
                                        .metrics = &metrics,
                                        .start = start,
                                        .pause = pause_module,
                                        .stop = stop};
