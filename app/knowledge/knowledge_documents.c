/* Reads documents for the knowledge base out of files: the guidelines format (flow → subflow → actions, as in the ABCD
 * data set) and Markdown. Pure: text in, documents out. */
#include "app.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Text that grows. A failure sticks. */
struct text {
    char *p;
    size_t n, capacity;
    bool failed;
};

static void append(struct text *text, const char *p, size_t n)
{
    if (text->n + n + 1 > text->capacity) {
        size_t capacity = (text->n + n + 1) * 2;
        char *grown = text->failed ? NULL : realloc(text->p, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->p = grown;
        text->capacity = capacity;
    }
    if (n) memcpy(text->p + text->n, p, n);
    text->n += n;
    text->p[text->n] = 0;
}

static void append_text(struct text *text, const char *p)
{
    append(text, p, strlen(p));
}

void knowledge_documents_clear(struct knowledge_documents *documents)
{
    for (size_t i = 0; i < documents->count; i++) {
        free(documents->list[i].title);
        free(documents->list[i].topic);
        free(documents->list[i].text);
    }
    free(documents->list);
    memset(documents, 0, sizeof *documents);
}

/* "Product Defect" → "product-defect", appended to an id. Other characters than letters and digits become one '-'. */
static void append_slug(char id[KIT_ID_SIZE], const char *name, size_t size)
{
    size_t n = strlen(id), start = n;
    for (size_t i = 0; i < size && n + 1 < KIT_ID_SIZE - 8; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c < 0x80 && isalnum(c))
            id[n++] = (char)tolower(c);
        else if (n > start && id[n - 1] != '-')
            id[n++] = '-';
    }
    while (n > start && id[n - 1] == '-') n--;
    if (n == start) id[n++] = 'x';
    id[n] = 0;
}

static bool id_is_taken(const struct knowledge_documents *documents, const char *id)
{
    for (size_t i = 0; i < documents->count; i++)
        if (!strcmp(documents->list[i].id, id)) return true;
    return false;
}

static char *copy(const char *p, size_t n)
{
    char *text = malloc(n + 1);
    if (!text) return NULL;
    memcpy(text, p, n);
    text[n] = 0;
    return text;
}

/* Takes text->p. The id gets a number if another document has it. */
static int add(struct knowledge_documents *documents, const char *id, struct eio_str title, struct eio_str topic,
               struct text *text)
{
    if (documents->count == documents->capacity) {
        size_t capacity = documents->capacity ? documents->capacity * 2 : 64;
        struct knowledge_document *list = realloc(documents->list, capacity * sizeof *list);
        if (!list) return EIO_ENOMEM;
        documents->list = list;
        documents->capacity = capacity;
    }
    struct knowledge_document *document = &documents->list[documents->count];
    memset(document, 0, sizeof *document);
    snprintf(document->id, sizeof document->id, "%s", id);
    for (unsigned i = 2; id_is_taken(documents, document->id); i++)
        snprintf(document->id, sizeof document->id, "%.120s.%u", id, i);
    if (!text->p) append(text, "", 0);
    document->title = copy(title.p, title.n);
    document->topic = copy(topic.p, topic.n);
    document->text = text->failed ? NULL : text->p;
    if (!document->text) free(text->p);
    memset(text, 0, sizeof *text);
    documents->count++; /* also when something is missing: clear() frees the rest */
    return document->title && document->topic && document->text ? 0 : EIO_ENOMEM;
}

/* ------------------------------------------------------------- guidelines */

static void append_sentences(struct text *text, const json_t *list, const char *before)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *one = json_string_value(json_array_get(list, i));
        if (!one) continue;
        append_text(text, before);
        append_text(text, one);
        append_text(text, "\n");
    }
}

static void append_action(struct text *text, const json_t *action, size_t number)
{
    const char *what = json_string_value(json_object_get(action, "text"));
    const char *button = json_string_value(json_object_get(action, "button"));
    append_text(text, kit_number((long long)number).text);
    append_text(text, ". ");
    if (what) append_text(text, what);
    if (button && strcmp(button, "N/A") && (!what || !strstr(what, button))) {
        append_text(text, " [");
        append_text(text, button);
        append_text(text, "]");
    }
    append_text(text, "\n");
    append_sentences(text, json_object_get(action, "subtext"), "   - ");
}

static int add_subflow(struct knowledge_documents *documents, const char *flow, const char *description,
                       const char *name, const json_t *subflow)
{
    char id[KIT_ID_SIZE] = "", topic[256];
    struct text text = {NULL, 0, 0, false};
    json_t *instructions = json_object_get(subflow, "instructions");
    json_t *actions = json_object_get(subflow, "actions");
    append_slug(id, flow, strlen(flow));
    strcat(id, ".");
    append_slug(id, name, strlen(name));
    snprintf(topic, sizeof topic, "%s%s%s", flow, description ? ": " : "", description ? description : "");
    append_sentences(&text, instructions, "");
    for (size_t i = 0; i < json_array_size(actions); i++) append_action(&text, json_array_get(actions, i), i + 1);
    return add(documents, id, eio_str(name), eio_str(topic), &text);
}

static int parse_guidelines(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                            size_t error_size)
{
    json_error_t where;
    const char *flow, *subflow_name;
    json_t *flow_value, *subflow;
    json_t *root = json_loadb(text.p, text.n, 0, &where);
    size_t before = documents->count;
    int failed = 0;
    if (!json_is_object(root)) {
        snprintf(error, error_size, "%s: %s (line %d)", name, root ? "not a JSON object" : where.text, where.line);
        json_decref(root);
        return EIO_EINVAL;
    }
    json_object_foreach(root, flow, flow_value)
    {
        const char *description = json_string_value(json_object_get(flow_value, "description"));
        json_t *subflows = json_object_get(flow_value, "subflows");
        json_object_foreach(subflows, subflow_name, subflow)
        {
            if (!failed) failed = add_subflow(documents, flow, description, subflow_name, subflow);
        }
    }
    json_decref(root);
    if (!failed && documents->count == before) {
        snprintf(error, error_size, "%s: no subflows in it; expected {\"<flow>\": {\"subflows\": {…}}}", name);
        return EIO_EINVAL;
    }
    if (failed) snprintf(error, error_size, "%s: out of memory", name);
    return failed;
}

/* --------------------------------------------------------------- Markdown */

static struct eio_str trim(struct eio_str s)
{
    while (s.n && isspace((unsigned char)s.p[0])) s.p++, s.n--;
    while (s.n && isspace((unsigned char)s.p[s.n - 1])) s.n--;
    return s;
}

/* The next line without its end; false at the end of the text. */
static bool next_line(struct eio_str *rest, struct eio_str *line)
{
    if (!rest->n) return false;
    const char *end = memchr(rest->p, '\n', rest->n);
    line->p = rest->p;
    line->n = end ? (size_t)(end - rest->p) : rest->n;
    size_t taken = line->n + (end != NULL);
    rest->p += taken;
    rest->n -= taken;
    return true;
}

/* CommonMark ATX heading: up to three spaces, 1 to 6 '#', a space. Returns its level, 0 if it is none. */
static int heading(struct eio_str line, struct eio_str *title)
{
    size_t i = 0, level = 0;
    while (i < 3 && i < line.n && line.p[i] == ' ') i++;
    while (i < line.n && line.p[i] == '#') i++, level++;
    if (level < 1 || level > 6 || (i < line.n && line.p[i] != ' ' && line.p[i] != '\t')) return 0;
    struct eio_str text = {line.p + i, line.n - i};
    text = trim(text);
    while (text.n && text.p[text.n - 1] == '#') text.n--;
    *title = trim(text);
    return (int)level;
}

/* A section being read. */
struct section {
    struct eio_str title;
    struct text text;
};

static int end_section(struct knowledge_documents *documents, const char *base, struct eio_str topic,
                       struct section *section)
{
    char id[KIT_ID_SIZE] = "";
    struct eio_str body = {section->text.p, section->text.n};
    if (!trim(body).n) {
        free(section->text.p);
        memset(&section->text, 0, sizeof section->text);
        return 0;
    }
    append_slug(id, base, strcspn(base, "."));
    strcat(id, ".");
    append_slug(id, section->title.p, section->title.n);
    return add(documents, id, section->title, topic, &section->text);
}

static int parse_markdown(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                          size_t error_size)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    struct section section = {{base, strcspn(base, ".")}, {NULL, 0, 0, false}};
    struct eio_str topic = section.title, line, title;
    bool fenced = false;
    size_t before = documents->count;
    int failed = 0;
    while (!failed && next_line(&text, &line)) {
        struct eio_str bare = trim(line);
        if (bare.n >= 3 && (!memcmp(bare.p, "```", 3) || !memcmp(bare.p, "~~~", 3))) fenced = !fenced;
        int level = fenced ? 0 : heading(line, &title);
        if (level) {
            failed = end_section(documents, base, topic, &section);
            section.title = title.n ? title : topic;
            if (level == 1 && title.n) topic = title;
            continue;
        }
        append(&section.text, line.p, line.n);
        append(&section.text, "\n", 1);
    }
    if (!failed) failed = end_section(documents, base, topic, &section);
    free(section.text.p);
    if (!failed && documents->count > before) return 0;
    snprintf(error, error_size, "%s: %s", name, failed ? "out of memory" : "no text in it");
    return failed ? failed : EIO_EINVAL;
}

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

int knowledge_documents_parse(struct knowledge_documents *documents, const char *name, struct eio_str text, char *error,
                              size_t error_size)
{
    if (ends_with(name, ".json")) return parse_guidelines(documents, name, text, error, error_size);
    if (ends_with(name, ".md") || ends_with(name, ".markdown") || ends_with(name, ".txt"))
        return parse_markdown(documents, name, text, error, error_size);
    snprintf(error, error_size, "%s: not a kind of document known here (allowed: .json, .md, .markdown, .txt)", name);
    return EIO_EINVAL;
}
