/* How a file is called in the store: by its whole path, so that two files never pass for one. Links are not resolved:
 * they are how a folder gets a new version under its old name. */
#include "knowledge_int.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unicode/utf8.h>
#include <unistd.h>

/* Drops the last component. "a/link/.." is not "a" if link leads elsewhere: then the link is resolved first. */
static int go_up(char path[PATH_MAX])
{
    struct stat info;
    if (path[0] && !lstat(path, &info) && S_ISLNK(info.st_mode)) {
        char real[PATH_MAX];
        if (!realpath(path, real)) return EIO_ESYS;
        strcpy(path, strcmp(real, "/") ? real : "");
    }
    char *slash = strrchr(path, '/');
    if (slash) *slash = 0;
    return 0;
}

static int go_into(char path[PATH_MAX], const char *name, size_t size)
{
    size_t n = strlen(path);
    if (n + 1 + size >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return EIO_ESYS;
    }
    path[n] = '/';
    memcpy(path + n + 1, name, size);
    path[n + 1 + size] = 0;
    return 0;
}

static bool is_utf8(const char *text)
{
    int32_t i = 0, n = (int32_t)strlen(text);
    while (i < n) {
        UChar32 c;
        U8_NEXT((const uint8_t *)text, i, n, c);
        if (c < 0) return false;
    }
    return true;
}

/* A name in no known encoding, with every byte beyond ASCII written out; malloc. */
static char *write_bytes(const char *path)
{
    static const char prefix[] = "bytes:";
    char *out = malloc(sizeof prefix + strlen(path) * 3), *p = out;
    if (!out) return NULL;
    p += sprintf(p, "%s", prefix);
    for (; *path; path++) {
        unsigned char c = (unsigned char)*path;
        p += sprintf(p, c >= 0x80 || c == '%' ? "%%%02X" : "%c", c);
    }
    return out;
}

char *knowledge_source(const char *path)
{
    char whole[PATH_MAX] = "";
    char *here = path[0] == '/' ? NULL : get_current_dir_name(); /* as the shell shows it, links included */
    if (path[0] != '/' && (!here || strlen(here) >= PATH_MAX)) {
        free(here);
        return NULL;
    }
    if (here && strcmp(here, "/")) strcpy(whole, here);
    free(here);
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        int failed = 0;
        if (n == 2 && !memcmp(p, "..", 2))
            failed = go_up(whole);
        else if (n && !(n == 1 && p[0] == '.'))
            failed = go_into(whole, p, n);
        if (failed) return NULL;
        p += n;
        while (*p == '/') p++;
    }
    return is_utf8(whole) ? strdup(whole[0] ? whole : "/") : write_bytes(whole);
}
