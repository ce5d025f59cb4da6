/* A list of documents, and which format a file has. Pure: text in, documents out. */
#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void knowledge_documents_clear(struct knowledge_documents *documents)
{
    for (size_t i = 0; i < documents->count; i++) {
        struct knowledge_document *d = &documents->list[i];
        free(d->slug);
        free(d->heading);
        free(d->title);
        free(d->topic);
        free(d->text);
    }
    free(documents->list);
    memset(documents, 0, sizeof *documents);
}

static char *copy(struct eio_str s)
{
    char *text = malloc(s.n + 1);
    if (!text) return NULL;
    if (s.n) memcpy(text, s.p, s.n);
    text[s.n] = 0;
    return text;
}

int knowledge_documents_add(struct knowledge_documents *documents, const struct knowledge_new_document *document)
{
    char slug[KNOWLEDGE_SLUG_SIZE];
    if (documents->count == documents->capacity) {
        size_t capacity = documents->capacity ? documents->capacity * 2 : 64;
        struct knowledge_document *list = realloc(documents->list, capacity * sizeof *list);
        if (!list) return EIO_ENOMEM;
        documents->list = list;
        documents->capacity = capacity;
    }
    struct knowledge_document *d = &documents->list[documents->count++];
    knowledge_slug(document->file, document->name, slug);
    d->slug = copy(eio_str(slug));
    d->heading = copy(document->heading);
    d->title = copy(document->title);
    d->topic = copy(document->topic);
    d->text = knowledge_text_take(document->take_text);
    /* What is missing is freed with the rest by clear(). */
    return d->slug && d->heading && d->title && d->topic && d->text ? 0 : EIO_ENOMEM;
}

struct eio_str knowledge_stem(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name, *dot = strrchr(base, '.');
    struct eio_str stem = {base, dot && dot > base ? (size_t)(dot - base) : strlen(base)};
    return stem;
}

/* ----------------------------------------------------------------- formats */

typedef int (*parse_fn)(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                        size_t error_size);

static const struct {
    const char *ending;
    parse_fn parse;
} formats[] = {{".json", knowledge_guidelines_parse},
               {".md", knowledge_markdown_parse},
               {".markdown", knowledge_markdown_parse},
               {".txt", knowledge_markdown_parse}};

static parse_fn find_format(const char *name)
{
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof formats / sizeof formats[0]; i++)
        if (!strcasecmp(dot, formats[i].ending)) return formats[i].parse;
    return NULL;
}

bool knowledge_is_document_name(const char *name)
{
    return find_format(name) != NULL;
}

int knowledge_documents_parse(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                              size_t error_size)
{
    struct knowledge_text decoded = {NULL, 0, 0, false};
    parse_fn parse = find_format(name);
    if (!parse) {
        snprintf(error, error_size, "%s: unsupported type of document (supported: .json, .md, .markdown, .txt)", name);
        return EIO_EINVAL;
    }
    int failed = knowledge_decode(name, text, &decoded, error, error_size);
    struct eio_str content = {decoded.p, decoded.n};
    if (!failed) failed = parse(documents, name, content, error, error_size);
    knowledge_text_clear(&decoded);
    return failed;
}
