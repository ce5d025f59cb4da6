/* Who may use the Admin UI: a token with the role admin (`token` of the handshake, or pasted as the password with an
 * empty user name), or the configured user. Passwords are never compared as text. */
#include "admin_int.h"
#include "kit_auth.h"
#include "kit_file.h"

#include <stdlib.h>
#include <string.h>

#define PASSWORD_MIN 8
#define PASSWORD_SIZE 1024
#define PASSWORD_FILE_MAX 65536
#define ARGON2_PREFIX "$argon2"

/* ------------------------------------------------------------------ loading */

static void make_digest(const struct admin_password *password, const char *text, uint8_t *digest)
{
    crypto_generichash(digest, crypto_generichash_BYTES, (const uint8_t *)text, strlen(text), password->key,
                       sizeof password->key);
}

static bool is_argon2(const char *text)
{
    return strncmp(text, ARGON2_PREFIX, strlen(ARGON2_PREFIX)) == 0;
}

const char *admin_check_password(const char *text)
{
    size_t n = strlen(text);
    bool is_good = n >= PASSWORD_MIN && n < PASSWORD_SIZE;
    if (is_good && is_argon2(text))
        is_good = n < crypto_pwhash_STRBYTES && crypto_pwhash_str_needs_rehash(text, crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                                                               crypto_pwhash_MEMLIMIT_INTERACTIVE) >= 0;
    return is_good ? NULL : "a password of 8 to 1023 bytes, or its Argon2 hash";
}

/* The first line; false if it cannot be read. */
static bool read_line(const char *path, char line[PASSWORD_SIZE])
{
    size_t n;
    char *text = kit_file_read(path, KIT_FILE_REGULAR, PASSWORD_FILE_MAX, &n);
    if (text) snprintf(line, PASSWORD_SIZE, "%.*s", (int)strcspn(text, "\r\n"), text);
    if (text) sodium_memzero(text, n);
    free(text);
    return text != NULL;
}

const char *admin_check_password_file(const char *path)
{
    char line[PASSWORD_SIZE];
    if (!read_line(path, line)) return "a readable regular file";
    const char *allowed = admin_check_password(line);
    sodium_memzero(line, sizeof line);
    return allowed ? "a file with a password of 8 to 1023 bytes, or its Argon2 hash, in the first line" : NULL;
}

static void set_password(struct admin_password *password, const char *text)
{
    password->is_set = true;
    password->is_argon2 = is_argon2(text);
    randombytes_buf(password->key, sizeof password->key);
    make_digest(password, text, password->digest);
    if (password->is_argon2) snprintf(password->argon2, sizeof password->argon2, "%s", text);
}

int admin_login_load(struct admin *admin, char *error, size_t error_size)
{
    const struct admin_config *config = admin->config;
    char line[PASSWORD_SIZE] = "";
    if (config->admin_password[0]) {
        set_password(&admin->password, config->admin_password);
        return 0;
    }
    if (!config->admin_password_file[0]) return 0;
    /* It was checked when the options were read; it may be another one now. */
    if (!read_line(config->admin_password_file, line) || admin_check_password(line))
        return kit_config_refuse(admin->kit->config, "admin_password_file", "a readable file with a password", error,
                                 error_size);
    set_password(&admin->password, line);
    sodium_memzero(line, sizeof line);
    return 0;
}

/* ----------------------------------------------------------------- checking */

static bool is_same(const struct admin_password *password, const char *text, const uint8_t *digest)
{
    uint8_t other[crypto_generichash_BYTES];
    make_digest(password, text, other);
    return sodium_memcmp(other, digest, sizeof other) == 0;
}

/* An Argon2 hash to be checked off the loop. */
struct check {
    struct kit_job job;
    struct admin *admin;
    struct adminui_login *login;
    bool has_user, matches;
    char password[PASSWORD_SIZE];
};

static void run_check(struct kit_job *job)
{
    struct check *check = (struct check *)(void *)job;
    check->matches =
        crypto_pwhash_str_verify(check->admin->password.argon2, check->password, strlen(check->password)) == 0;
}

static void finish(struct admin *admin, struct adminui_login *login, bool is_right)
{
    if (is_right)
        adminui_accept(login, admin->config->admin_user, INT64_MAX, 0); /* nobody's token */
    else
        adminui_refuse(login, NULL);
}

static void on_checked(struct kit_job *job)
{
    struct check *check = (struct check *)(void *)job;
    finish(check->admin, check->login, check->has_user && check->matches);
    sodium_memzero(check->password, sizeof check->password);
    free(check);
}

/* The hash is checked even if the name is wrong: the time does not tell. */
static void check_argon2(struct admin *admin, struct adminui_login *login, bool has_user, const char *password)
{
    struct check *check = calloc(1, sizeof *check);
    if (check) {
        check->job.run = run_check;
        check->job.done = on_checked;
        check->admin = admin;
        check->login = login;
        check->has_user = has_user;
        snprintf(check->password, sizeof check->password, "%s", password);
        if (kit_strand_submit(&admin->strand, NULL, &check->job) == 0) return;
        free(check);
    }
    adminui_refuse(login, "the server is busy; try again");
}

static void check_password(struct admin *admin, struct adminui_login *login, const char *user, const char *password)
{
    const struct admin_password *own = &admin->password;
    uint8_t expected[crypto_generichash_BYTES];
    if (!own->is_set) {
        adminui_refuse(login, NULL);
        return;
    }
    make_digest(own, admin->config->admin_user, expected);
    bool has_user = is_same(own, user, expected);
    if (own->is_argon2)
        check_argon2(admin, login, has_user, password);
    else
        finish(admin, login, (int)has_user & (int)is_same(own, password, own->digest));
}

/* How a user is called there: one of a tenant is another than the server's own. */
static void put_user(char *out, size_t size, const char *tenant, const char *sub)
{
    snprintf(out, size, "%s%s%s", tenant, tenant[0] ? "/" : "", sub);
}

size_t admin_dismiss(void *ctx, const struct kit_dismissal *who)
{
    const struct admin *admin = ctx;
    char user[2 * KIT_USER_SIZE];
    put_user(user, sizeof user, who->tenant, who->sub);
    uint64_t before_ms = who->issued_before_s < INT64_MAX / 1000 ? (uint64_t)who->issued_before_s * 1000 : INT64_MAX;
    return adminui_dismiss(admin->adminui, user, before_ms);
}

static void accept_claims(struct adminui_login *login, const struct kit_claims *claims)
{
    char user[2 * KIT_USER_SIZE];
    put_user(user, sizeof user, claims->tenant, claims->sub);
    adminui_accept(login, user, claims->iat_s > 0 ? (uint64_t)claims->iat_s * 1000 : 0,
                   claims->exp_s > 0 ? (uint64_t)claims->exp_s * 1000 : 1);
}

static void check_token(struct admin *admin, struct adminui_login *login, const char *token)
{
    struct kit_failure failure = {0, "", ""};
    struct kit_claims *claims = kit_auth_check(admin->kit, eio_str(token), &failure);
    if (claims && claims->role != KIT_ROLE_ADMIN)
        kit_fail(&failure, 403, NULL, "role %s may not use the Admin UI", kit_role_text(claims->role));
    if (failure.code)
        adminui_refuse(login, failure.message);
    else
        accept_claims(login, claims);
    kit_claims_unref(claims);
}

void admin_on_login(struct adminui_login *login, void *ctx)
{
    struct admin *admin = ctx;
    char user[PASSWORD_SIZE], password[PASSWORD_SIZE], token[KIT_JWT_TOKEN_MAX + 1];
    bool has_user = adminui_login_text(login, "username", user, sizeof user) > 0;
    if (adminui_login_text(login, "token", token, sizeof token) >= 0)
        check_token(admin, login, token);
    else if (!has_user && adminui_login_text(login, "password", token, sizeof token) > 0)
        check_token(admin, login, token);
    else if (has_user && adminui_login_text(login, "password", password, sizeof password) >= 0)
        check_password(admin, login, user, password);
    else
        adminui_refuse(login, NULL);
    sodium_memzero(password, sizeof password);
    sodium_memzero(token, sizeof token);
}
