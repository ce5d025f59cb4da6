/* Profiles admin and admin-ro: `app` with the namespace of the Admin UI. The one in development mode behind a user name
 * and a password, the other for everybody to look at. */
#include "conformance.h"

#include <string.h>

#define TEXT_SIZE 64

/* In a time that does not depend on where they differ. */
static bool is_same(const char *text, const char *expected)
{
    char padded[TEXT_SIZE] = "", wanted[TEXT_SIZE] = "";
    unsigned char difference = 0;
    memcpy(padded, text, strlen(text));
    memcpy(wanted, expected, strlen(expected));
    for (size_t i = 0; i < TEXT_SIZE; i++) difference |= (unsigned char)(padded[i] ^ wanted[i]);
    return difference == 0;
}

static void on_login(struct adminui_login *login, void *ctx)
{
    char user[TEXT_SIZE] = "", password[TEXT_SIZE] = "";
    (void)ctx;
    bool has_user = adminui_login_text(login, "username", user, sizeof user) >= 0;
    bool has_password = adminui_login_text(login, "password", password, sizeof password) >= 0;
    bool is_right = is_same(has_user ? user : "", "admin") & is_same(has_password ? password : "", "s3cret");
    if (is_right)
        adminui_accept(login, user, 0, 0);
    else
        adminui_refuse(login, NULL);
}

static int open_admin(struct conformance *conformance, bool is_readonly)
{
    int error = conformance_open_app(conformance);
    if (error != 0) return error;
    struct adminui_options options;
    adminui_options_init(&options);
    options.server_id = conformance->options->name;
    options.mode = is_readonly ? ADMINUI_PRODUCTION : ADMINUI_DEVELOPMENT;
    options.readonly = is_readonly;
    if (!is_readonly) options.on_login = on_login;
    /* Suites want to see everything, and log in wrongly as often as they like. */
    options.max_failed_logins = 1000000;
    options.max_sockets = 100000;
    options.max_events_per_minute = options.max_changes_per_minute = 60000000;
    options.max_event_bytes_per_second = 67108864;
    conformance->adminui = adminui_new(conformance->io, &options);
    return conformance->adminui ? 0 : EIO_ENOMEM;
}

static int open_development(struct conformance *conformance)
{
    return open_admin(conformance, false);
}

static int open_readonly(struct conformance *conformance)
{
    return open_admin(conformance, true);
}

const struct conformance_profile conformance_admin = {"admin", open_development};
const struct conformance_profile conformance_admin_ro = {"admin-ro", open_readonly};
