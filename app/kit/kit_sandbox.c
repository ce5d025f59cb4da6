/* Files by Landlock: folders of what the configuration names, the data, and what libraries read of the system. Folders
 * and not files, since a renewed certificate or a rotated log is a new file. */
#include "kit_sandbox.h"

#include "kit_file.h"
#include "kit_listen.h"
#include "kit_log.h"
#include "kit_options.h"
#include "kit_sandbox_calls.h"
#include "kit_store.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ABI_WITH_REFER 2
#define ABI_WITH_TRUNCATE 3
#define REFER (1ULL << 13)
#define TRUNCATE (1ULL << 14) /* newer than Debian 12's headers */
#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE                                                                                                      \
    (READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | REFER | \
     TRUNCATE)
#define SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
/* All that version 1 knows. */
#define HANDLED ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define INNER_MAX_BYTES 1048576

struct sandbox {
    const struct kit_config *config;
    int ruleset, abi;
    uint64_t handled;
    int failed; /* errno of what failed first */
};

/* ------------------------------------------------------------------- rules */

/* What is not there needs no rule. */
static void allow(struct sandbox *sandbox, const char *path, uint64_t access)
{
    static const uint64_t of_files = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE;
    struct stat info;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return;
    bool is_folder = !fstat(fd, &info) && S_ISDIR(info.st_mode);
    struct landlock_path_beneath_attr rule = {.allowed_access = access & sandbox->handled, .parent_fd = fd};
    if (!is_folder) rule.allowed_access &= of_files;
    if (syscall(SYS_landlock_add_rule, sandbox->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) && !sandbox->failed)
        sandbox->failed = errno;
    close(fd);
}

/* The folder of a file; of one in "/" the file alone. */
static void allow_folder(struct sandbox *sandbox, const char *path, uint64_t access)
{
    char copy[PATH_MAX];
    if (!path[0] || strlen(path) >= sizeof copy) return;
    strcpy(copy, path);
    const char *folder = dirname(copy);
    allow(sandbox, strcmp(folder, "/") ? folder : path, access);
}

/* A file that is read now and again later. It may be a link into another folder, where its next version will be, too.
 */
static void allow_file(struct sandbox *sandbox, const char *path)
{
    struct stat info;
    char real[PATH_MAX];
    if (stat(path, &info) || !S_ISREG(info.st_mode)) return;
    allow_folder(sandbox, path, READ);
    if (realpath(path, real)) allow_folder(sandbox, real, READ);
}

/* ----------------------------------------------------------- configuration */

/* Each piece of a text between these characters that is a file. */
static void allow_pieces(struct sandbox *sandbox, const char *text, const char *separators)
{
    char piece[PATH_MAX];
    while (*text) {
        size_t n = strcspn(text, separators);
        if (n && n < sizeof piece) {
            memcpy(piece, text, n);
            piece[n] = 0;
            allow_file(sandbox, piece);
        }
        text += n + (text[n] != 0);
    }
}

/* Lists of models and MCP servers name files with keys. */
static void allow_inner(struct sandbox *sandbox, const char *path)
{
    size_t size;
    char *text = path[0] ? kit_file_read(path, KIT_FILE_REGULAR, INNER_MAX_BYTES, &size) : NULL;
    if (text) allow_pieces(sandbox, text, "\"");
    free(text);
}

/* Options that are texts: what in them is a file. Their values are paths, lists of names with paths, and URLs with
 * parameters that are paths. */
static void allow_options(struct sandbox *sandbox)
{
    struct kit_setting setting;
    const struct kit_config *config = sandbox->config;
    for (size_t i = 0; (setting = kit_setting_at(config, i)).option; i++) {
        const char *value = config->texts[i];
        size_t n = strlen(setting.option->name);
        if (setting.option->type != KIT_TEXT || !value) continue;
        allow_pieces(sandbox, value, ",=?& ");
        allow_file(sandbox, value);
        if (n > 5 && !strcmp(setting.option->name + n - 5, "_file")) allow_inner(sandbox, value);
    }
}

static void allow_more(struct sandbox *sandbox)
{
    char path[PATH_MAX];
    const char *list = sandbox->config->sandbox_paths;
    while (*list) {
        size_t n = strcspn(list, ",");
        snprintf(path, sizeof path, "%.*s", (int)n, list);
        if (n && n < sizeof path) allow(sandbox, path, READ);
        list += n + (list[n] == ',');
    }
}

static void allow_sockets(struct sandbox *sandbox, const char *list)
{
    struct kit_listen one;
    while (kit_listen_next(&list, &one) > 0)
        if (one.path[0]) allow_folder(sandbox, one.path, SOCKETS);
}

/* What libpq and its like read by themselves. */
static void allow_home(struct sandbox *sandbox)
{
    char path[PATH_MAX];
    const char *home = getenv("HOME"), *password = getenv("PGPASSFILE");
    if (password) allow(sandbox, password, READ);
    if (!home) return;
    if ((size_t)snprintf(path, sizeof path, "%s/.pgpass", home) < sizeof path) allow(sandbox, path, READ);
    if ((size_t)snprintf(path, sizeof path, "%s/.postgresql", home) < sizeof path) allow(sandbox, path, READ);
}

/* Names and addresses, certificates of authorities, time zones, ICU's data, parts of libc. */
static void allow_system(struct sandbox *sandbox)
{
    static const char *const paths[] = {
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/gai.conf",
        "/etc/host.conf",
        "/etc/services",
        "/etc/protocols",
        "/etc/passwd",
        "/etc/group",
        "/etc/localtime",
        "/etc/ssl",
        "/etc/ld.so.cache",
        "/etc/pki",
        "/lib",
        "/lib64",
        "/usr/lib",
        "/usr/lib64",
        "/usr/share",
        "/usr/local/lib",
        "/usr/local/share",
        "/proc",
        "/dev/urandom",
        "/sys/devices/system/cpu",
        "/run/systemd/resolve",
    };
    char real[PATH_MAX];
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) allow(sandbox, paths[i], READ);
    if (realpath("/etc/resolv.conf", real) && strcmp(real, "/etc/resolv.conf")) allow_folder(sandbox, real, READ);
    allow(sandbox, "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
}

static void allow_all(struct sandbox *sandbox)
{
    const struct kit_config *config = sandbox->config;
    allow_system(sandbox);
    allow_home(sandbox);
    allow_options(sandbox);
    allow_more(sandbox);
    allow_sockets(sandbox, config->listen);
    allow_sockets(sandbox, config->operator_listen);
    if (strcmp(config->data, ":memory:")) allow(sandbox, config->data, WRITE);
    allow_folder(sandbox, config->log_file, WRITE);
}

/* ------------------------------------------------------------------- enter */

/* NULL, or what is missing. */
static const char *restrict_files(const struct kit_config *config)
{
    struct sandbox sandbox = {.config = config};
    sandbox.abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (sandbox.abi < 1) return "Landlock (Linux 5.13, and `landlock` among the kernel's security modules)";
    sandbox.handled = HANDLED & ~(uint64_t)REFER;
    if (sandbox.abi >= ABI_WITH_REFER) sandbox.handled |= REFER;
    if (sandbox.abi >= ABI_WITH_TRUNCATE) sandbox.handled |= TRUNCATE;
    struct landlock_ruleset_attr handled = {.handled_access_fs = sandbox.handled};
    sandbox.ruleset = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (sandbox.ruleset < 0) return "a ruleset of Landlock";
    allow_all(&sandbox);
    if (!sandbox.failed && syscall(SYS_landlock_restrict_self, sandbox.ruleset, 0)) sandbox.failed = errno;
    close(sandbox.ruleset);
    errno = sandbox.failed; /* as the caller reports it */
    return sandbox.failed ? "rules of Landlock" : NULL;
}

static const char *enter(const struct kit_config *config)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return "no_new_privs";
    const char *missing = restrict_files(config);
    if (missing && config->sandbox == KIT_SANDBOX_ON) return missing;
    if (kit_sandbox_refuse_calls()) return "filters of system calls (seccomp)";
    return missing;
}

int kit_sandbox_enter(const struct kit_config *config, char *error, size_t error_size)
{
    if (config->sandbox == KIT_SANDBOX_OFF) return 0;
    if (kit_store_make_directory(config, error, error_size)) return EIO_ESYS;
    const char *missing = enter(config);
    const char *why = missing ? strerror(errno) : "";
    if (!missing) {
        kit_log(EIO_LOG_INFO, "sandbox entered", NULL);
        return 0;
    }
    if (config->sandbox == KIT_SANDBOX_TRY) {
        kit_log(EIO_LOG_WARN, "sandbox incomplete: this kernel lacks a part of it", "missing", missing, "reason", why,
                NULL);
        return 0;
    }
    snprintf(error, error_size, "option sandbox: this kernel lacks %s: %s (allowed here: off, try)", missing, why);
    return EIO_ESYS;
}
