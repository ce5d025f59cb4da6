/* The Admin UI's options. */
#include "admin_int.h"
#include "kit_options.h"

#include <string.h>

#define KIT_VALUES struct admin_config

static const struct kit_choice modes[] = {
    {"off", ADMIN_OFF}, {"production", ADMIN_PRODUCTION}, {"development", ADMIN_DEVELOPMENT}, {NULL, 0}};

static const char *check_user(const char *value)
{
    return value[0] && strlen(value) < 64 ? NULL : "1 to 63 bytes";
}

static const struct kit_option rows[] = {
    KIT_CHOICE_ROW("admin_ui", admin_ui, "off", modes, "Admin UI",
                   "serve the Socket.IO Admin UI at /admin/, for tokens with the role `admin` and for `admin_user`: "
                   "numbers only (production), or sockets, rooms and events as well (development)"),
    KIT_BOOL_ROW("admin_readonly", admin_readonly, "false", "Admin UI",
                 "no emitting, joining, leaving and disconnecting from the Admin UI"),
    KIT_CHECKED_ROW("admin_user", admin_user, "admin", check_user, "Admin UI",
                    "name for logging in to the Admin UI; without a password only tokens are accepted"),
    KIT_SECRET_ROW("admin_password", admin_password, admin_check_password, "Admin UI",
                   "its password, at least 8 bytes, or its Argon2 hash (`$argon2id$…`); prefer `admin_password_file`"),
    KIT_CHECKED_ROW("admin_password_file", admin_password_file, "", admin_check_password_file, "Admin UI",
                    "file with the same, in its first line"),
    KIT_U32_ROW("admin_session_s", admin_session_s, "86400", 60, 31536000, "Admin UI",
                "time after which the Admin UI asks for the login again"),
    KIT_U32_ROW("admin_failed_logins_max", admin_failed_logins_max, "10", 1, 1000000, "Admin UI",
                "failed logins in a minute from one address (IPv6: /64); above: refused without a look"),
    KIT_COUNT_ROW("admin_sockets_max", admin_sockets_max, "1000", 1, 1000000, "Admin UI",
                  "sockets that the Admin UI lists, of all nodes together; others are only counted"),
    KIT_U32_ROW("admin_events_max", admin_events_max, "120", 6, 1000000, "Admin UI",
                "events of sockets that a process reports in a minute, a sixth of them at once; above: left out and "
                "counted"),
    KIT_SIZE_ROW("admin_event_bytes_max", admin_event_bytes_max, "262144", 1024, "Admin UI",
                 "bytes of their arguments that it reports in a second; the same applies"),
    KIT_U32_ROW("admin_changes_max", admin_changes_max, "600", 6, 1000000, "Admin UI",
                "connects, disconnects, joins and the like that a process reports in a minute, a sixth of them at "
                "once; above: the whole list again, some seconds later"),
};
const struct kit_option_set admin_options = KIT_OPTION_SET(rows);
