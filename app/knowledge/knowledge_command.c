/* `parley import-documents`: files and folders into the store. One that cannot be read costs itself, not the others. */
#include "knowledge_int.h"
#include "kit_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <uthash.h>

#define EXIT_USAGE 2

/* A file or folder that was met in this run, whatever it was called. */
struct met {
    struct {
        dev_t device;
        ino_t inode;
    } key;
    UT_hash_handle hh;
};

struct run {
    struct kit_store *store;
    struct met *met;
    const char *alias; /* NULL, or how the first path is called in the store */
    size_t base;       /* with an alias: bytes of that path, which the alias stands for */
    bool failed;
};

static void complain(struct run *run, const char *path, const char *why)
{
    fprintf(stderr, "parley: cannot read '%s': %s\n", path, why);
    run->failed = true;
}

/* True the first time. */
static bool meet(struct run *run, const struct stat *info)
{
    struct met *met = calloc(1, sizeof *met), *known;
    if (!met) return true;
    met->key.device = info->st_dev;
    met->key.inode = info->st_ino;
    HASH_FIND(hh, run->met, &met->key, sizeof met->key, known);
    if (known)
        free(met);
    else
        HASH_ADD(hh, run->met, key, sizeof met->key, met);
    return !known;
}

/* "name/below" for what is below the path of an alias; malloc. */
static char *source_of(const struct run *run, const char *path)
{
    if (!run->alias) return knowledge_source(path);
    const char *below = path + run->base;
    while (*below == '/') below++;
    const char *rest = *below ? below : strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    char *source = malloc(strlen(run->alias) + strlen(rest) + 2);
    if (source) sprintf(source, "%s/%s", run->alias, rest);
    return source;
}

/* ------------------------------------------------------------------- files */

static void import_file(struct run *run, const char *path)
{
    char error[512];
    struct knowledge_import import = {.name = path};
    char *text = kit_file_read(path, KIT_FILE_REGULAR, KNOWLEDGE_FILE_BYTES_MAX, &import.text.n);
    if (!text) {
        complain(run, path, kit_file_error());
        return;
    }
    char *source = source_of(run, path);
    import.text.p = text;
    import.source = source;
    if (!source) {
        complain(run, path, strerror(errno));
    } else if (knowledge_import(run->store, &import, error, sizeof error)) {
        fprintf(stderr, "parley: %s\n", error);
        run->failed = true;
    } else if (import.gone) {
        printf("%s: %zu document%s, %zu removed\n", path, import.count, kit_s(import.count), import.gone);
    } else {
        printf("%s: %zu document%s\n", path, import.count, kit_s(import.count));
    }
    free(source);
    free(text);
}

/* ----------------------------------------------------------------- folders */

static void import_path(struct run *run, const char *path, bool is_named);

/* malloc */
static char *join(const char *folder, const char *name)
{
    size_t n = strlen(folder);
    char *path = malloc(n + strlen(name) + 2);
    if (path) sprintf(path, "%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
    return path;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

struct gone_op {
    struct kit_store_op op;
    const char *folder; /* in the store, with a slash at the end */
    const char *path;   /* on the disk */
};

#define BEHIND_ALL_NAMES "\xf4\x8f\xbf\xbf" /* U+10FFFF */

/* Removes the documents of files below a folder that are not there any more. */
static int run_gone(struct kit_db *db, struct kit_store_op *op)
{
    struct gone_op *gone = (struct gone_op *)(void *)op;
    char *source = strdup(gone->folder);
    int code = source ? 0 : kit_fail(&op->failure, 503, NULL, "out of memory");
    while (!code) {
        struct kit_rows row;
        if (kit_db_query(db, &row, "SELECT min(source) FROM documents WHERE source > ?1 AND source < ?2 || ?3", "ttt",
                         source, gone->folder, BEHIND_ALL_NAMES) != KIT_ROW) {
            code = kit_db_fail(db, &op->failure);
            break;
        }
        const char *next = kit_rows_text(&row, 0);
        free(source);
        source = next ? strdup(next) : NULL;
        kit_rows_end(&row);
        if (!source) break;
        char *path = join(gone->path, source + strlen(gone->folder));
        struct stat info;
        size_t count = 0;
        if (path && stat(path, &info) && (errno == ENOENT || errno == ENOTDIR)) {
            code = knowledge_remove(db, source, &count, &op->failure);
            if (!code) printf("%s: no longer exists, %zu document%s removed\n", path, count, kit_s(count));
        }
        free(path);
    }
    free(source);
    return code;
}

static void remove_gone(struct run *run, const char *path)
{
    char *source = run->alias ? strdup(run->alias) : knowledge_source(path);
    char *folder = source ? malloc(strlen(source) + 2) : NULL;
    struct gone_op gone = {
        .op = {.run = run_gone, .writes = true, .locks = {KNOWLEDGE_LOCK}}, .folder = folder, .path = path};
    if (folder) {
        sprintf(folder, "%s%s", source, strcmp(source, "/") ? "/" : "");
        if (kit_store_run_now(run->store, &gone.op)) complain(run, path, gone.op.failure.message);
    }
    free(folder);
    free(source);
}

static void import_folder(struct run *run, const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, is_visible, alphasort);
    if (count < 0) complain(run, path, strerror(errno));
    for (int i = 0; i < count; i++) {
        char *below = join(path, entries[i]->d_name);
        if (below) import_path(run, below, false);
        free(below);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

/* What was named must be a document or a folder; what is met on the way is taken if it is one. Each once, so that a
 * folder that links to itself has an end. */
static void import_path(struct run *run, const char *path, bool is_named)
{
    struct stat info;
    if (stat(path, &info)) {
        if (is_named || knowledge_is_document_name(path)) complain(run, path, strerror(errno));
    } else if (S_ISDIR(info.st_mode)) {
        if (!meet(run, &info)) return;
        import_folder(run, path);
        if (is_named) remove_gone(run, path);
    } else if (is_named || (S_ISREG(info.st_mode) && knowledge_is_document_name(path))) {
        if (meet(run, &info))
            import_file(run, path);
        else
            printf("%s: already imported in this run\n", path);
    }
}

static void clear(struct run *run)
{
    struct met *met, *next;
    HASH_ITER(hh, run->met, met, next)
    {
        HASH_DEL(run->met, met);
        free(met);
    }
}

int knowledge_import_command(const struct kit_config *config, const char *alias, const char *const *paths,
                             size_t path_count)
{
    char error[512];
    struct kit_work_options options = {1, 16, 1024};
    struct run run = {.alias = alias, .base = path_count ? strlen(paths[0]) : 0};
    if (!path_count || (alias && (path_count > 1 || !kit_is_id(alias, strlen(alias))))) {
        fprintf(stderr,
                "parley: import-documents needs files or folders; --as takes an id and allows only one of them\n");
        return EXIT_USAGE;
    }
    struct kit_work *work = kit_work_new(NULL, &options);
    run.store = work ? kit_store_open(work, config, error, sizeof error) : NULL;
    if (!run.store) {
        fprintf(stderr, "parley: %s\n", work ? error : "cannot start threads");
        kit_work_free(work);
        return EXIT_FAILURE;
    }
    for (size_t i = 0; i < path_count; i++) import_path(&run, paths[i], true);
    clear(&run);
    kit_work_free(work);
    kit_store_close(run.store);
    return run.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
