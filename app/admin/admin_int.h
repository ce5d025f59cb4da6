/* What the files of this module share. */
#ifndef ADMIN_INT_H
#define ADMIN_INT_H

#include "admin.h"
#include "web.h"

#include <adminui.h>
#include <sodium.h>

enum admin_ui { ADMIN_OFF, ADMIN_PRODUCTION, ADMIN_DEVELOPMENT };

struct admin_config {
    int admin_ui; /* enum admin_ui */
    bool admin_readonly;
    const char *admin_user, *admin_password, *admin_password_file;
    uint32_t admin_session_s;
    uint32_t admin_failed_logins_max;
    size_t admin_sockets_max;
    uint32_t admin_events_max, admin_changes_max;
    size_t admin_event_bytes_max;
};
extern const struct kit_option_set admin_options;

/* The login of the Admin UI's own. */
struct admin_password {
    bool is_set;
    bool is_argon2;                           /* else the digest */
    uint8_t key[crypto_generichash_KEYBYTES]; /* of the digests, random */
    uint8_t digest[crypto_generichash_BYTES]; /* of a password in plain text */
    char argon2[crypto_pwhash_STRBYTES];
};

struct admin {
    struct kit *kit;
    const struct admin_config *config;
    struct adminui *adminui; /* NULL: off */
    struct web_folder *page;
    struct admin_password password;
    struct kit_strand strand; /* Argon2 takes its time and memory: one after another */
    char *preset;             /* what preset.js is called with, whole */
};

/* admin_login.c: NULL, or what is allowed instead. */
const char *admin_check_password(const char *text);
const char *admin_check_password_file(const char *path);
/* Reads the password. Returns 0 or a negative code with a line in error. */
int admin_login_load(struct admin *admin, char *error, size_t error_size);
/* An adminui_login_fn; ctx: struct admin. */
void admin_on_login(struct adminui_login *login, void *ctx);
/* A kit_dismiss_fn; ctx: struct admin. */
size_t admin_dismiss(void *ctx, const struct kit_dismissal *who);

/* admin_page.c */
int admin_page_start(struct admin *admin);

#endif
