/* The knowledge base: files become documents with valid ids or are refused; whatever a customer says is a query that
 * SQLite understands, and its results are in order. */
#include "app.h"
#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)            \
    do {                           \
        if (!(condition)) abort(); \
    } while (0)

struct search {
    struct kit_store_op op;
    const char *text;
};

static struct knowledge *knowledge;

static int run(struct kit_db *db, struct kit_store_op *op)
{
    struct knowledge_result results[KNOWLEDGE_RESULTS_MAX];
    size_t count;
    struct eio_str turn = eio_str(((struct search *)(void *)op)->text);
    int code = knowledge_search(knowledge, db, &turn, 1, results, &count, &op->failure);
    MUST(!code && count <= KNOWLEDGE_RESULTS_MAX);
    for (size_t i = 0; i < count; i++) {
        MUST(results[i].relevance >= 0 && results[i].relevance <= 1);
        MUST(!i || results[i].relevance <= results[i - 1].relevance);
    }
    return code;
}

static struct kit_store *open_store(void)
{
    static struct kit_config config;
    struct kit_work_options options = {1, 10, 1000};
    static const char guide[] = "# Refund status\nhow to refund\n# Return\nthe wrong size and a refund\n";
    struct knowledge_import import = {.source = "g.md", .text = eio_str(guide)};
    char error[256];
    kit_config_init(&config, app_modules);
    config.data = ":memory:";
    struct kit_store *store = kit_store_open(kit_work_new(NULL, &options), &config, error, sizeof error);
    MUST(store && !knowledge_import(store, &import, error, sizeof error));
    knowledge = knowledge_new(&config, error, sizeof error);
    MUST(knowledge);
    return store;
}

static void parse(const char *name, const uint8_t *data, size_t size)
{
    struct knowledge_documents documents = {NULL, 0, 0};
    struct eio_str text = {(const char *)data, size};
    char error[256];
    if (!knowledge_documents_parse(&documents, name, text, error, sizeof error)) {
        for (size_t i = 0; i < documents.count; i++)
            MUST(kit_is_id(documents.list[i].slug, strlen(documents.list[i].slug)) && documents.list[i].text);
    }
    knowledge_documents_clear(&documents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kit_store *store;
    struct search search;
    if (!store) store = open_store();
    if (size > 4096) return 0;
    parse("a.json", data, size);
    parse("a.md", data, size);
    char *text = malloc(size + 1);
    MUST(text);
    if (size) memcpy(text, data, size);
    text[size] = 0;
    memset(&search, 0, sizeof search);
    search.op.run = run;
    search.text = text;
    MUST(!kit_store_run_now(store, &search.op));
    free(text);
    return 0;
}
