/* The metadata before a Markdown text, as wikis and static site generators write it. Pure. */
#include "knowledge_int.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

/* The line at the beginning of `rest` without its end; rest goes behind it. */
static struct eio_str next_line(struct eio_str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct eio_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t taken = line.n + (end != NULL);
    rest->p += taken;
    rest->n -= taken;
    return line;
}

static bool is_fence(struct eio_str line, const char *fence)
{
    while (line.n && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t')) line.n--;
    return eio_str_is(line, fence);
}

/* The lines between two fences at the beginning of the text; false if it does not begin so. */
static bool find_block(struct eio_str text, const char *fence, const char *other_end, struct eio_str *block,
                       size_t *size)
{
    struct eio_str rest = text;
    if (!text.n || !is_fence(next_line(&rest), fence)) return false;
    block->p = rest.p;
    while (rest.n) {
        const char *start = rest.p;
        struct eio_str line = next_line(&rest);
        /* A blank line after the first fence makes it a thematic break, as in Pandoc. */
        if (start == block->p && !knowledge_trim(line).n) return false;
        if (!is_fence(line, fence) && !(other_end && is_fence(line, other_end))) continue;
        block->n = (size_t)(start - block->p);
        *size = text.n - rest.n;
        return true;
    }
    return false;
}

/* -------------------------------------------------------------------- YAML */

static struct eio_str scalar(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE) return (struct eio_str){NULL, 0};
    return knowledge_trim((struct eio_str){(const char *)node->data.scalar.value, node->data.scalar.length});
}

static void add_phrase(struct knowledge_text *says, struct eio_str phrase)
{
    if (!phrase.n || memchr(phrase.p, '\n', phrase.n)) return;
    knowledge_text_put(says, "- ");
    knowledge_text_append(says, phrase.p, phrase.n);
    knowledge_text_put(says, "\n");
}

/* One phrase or a list of them. */
static void take_phrases(yaml_document_t *document, const yaml_node_t *value, struct knowledge_text *says)
{
    add_phrase(says, scalar(value));
    if (value->type != YAML_SEQUENCE_NODE) return;
    for (yaml_node_item_t *item = value->data.sequence.items.start; item < value->data.sequence.items.top; item++)
        add_phrase(says, scalar(yaml_document_get_node(document, *item)));
}

/* Names of fields have small letters or, where a person wrote them, a capital one. */
static bool is_name(struct eio_str text, const char *name)
{
    return text.n == strlen(name) && !strncasecmp(text.p, name, text.n);
}

static void take_values(yaml_document_t *document, const yaml_node_t *root, struct knowledge_front_matter *front)
{
    for (yaml_node_pair_t *pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *value = yaml_document_get_node(document, pair->value);
        struct eio_str name = scalar(yaml_document_get_node(document, pair->key)), text = scalar(value);
        if (is_name(name, "title") && text.n && !front->title.n) knowledge_text_append(&front->title, text.p, text.n);
        if (is_name(name, "says")) take_phrases(document, value, &front->says);
    }
}

/* "Billing: an overview" as a plain value is not valid YAML, but is common. */
static void take_title_line(struct eio_str block, struct knowledge_text *title)
{
    static const char key[] = "title:";
    while (block.n) {
        struct eio_str line = next_line(&block);
        if (line.n < sizeof key - 1 || strncasecmp(line.p, key, sizeof key - 1)) continue;
        line.p += sizeof key - 1;
        line.n -= sizeof key - 1;
        line = knowledge_trim(line);
        knowledge_text_append(title, line.p, line.n);
        return;
    }
}

static bool has_key_first(struct eio_str block)
{
    while (block.n) {
        struct eio_str line = next_line(&block);
        size_t n = 0;
        if (!knowledge_trim(line).n || line.p[0] == '#') continue;
        while (n < line.n && line.p[n] != ':' && line.p[n] != ' ') n++;
        return n && n < line.n && line.p[n] == ':';
    }
    return true;
}

/* False: the block is not metadata but text between two thematic breaks. */
static bool read_yaml(struct eio_str block, struct knowledge_front_matter *front)
{
    yaml_parser_t parser;
    yaml_document_t document;
    bool is_metadata = false;
    if (!yaml_parser_initialize(&parser)) return false;
    yaml_parser_set_input_string(&parser, (const unsigned char *)block.p, block.n);
    if (yaml_parser_load(&parser, &document)) {
        const yaml_node_t *root = yaml_document_get_root_node(&document);
        is_metadata = !root || root->type == YAML_MAPPING_NODE; /* nothing but comments has no root */
        if (root && is_metadata) take_values(&document, root, front);
        yaml_document_delete(&document);
    } else if (has_key_first(block)) {
        is_metadata = true;
        take_title_line(block, &front->title);
    }
    yaml_parser_delete(&parser);
    return is_metadata;
}

/* -------------------------------------------------------------------- TOML */

/* title = "…" or '…' among the first keys, before any table. */
static void read_toml(struct eio_str block, struct knowledge_text *title)
{
    while (block.n) {
        struct eio_str line = knowledge_trim(next_line(&block));
        if (line.n && line.p[0] == '[') return;
        if (line.n < 5 || strncasecmp(line.p, "title", 5)) continue;
        struct eio_str value = knowledge_trim((struct eio_str){line.p + 5, line.n - 5});
        if (!value.n || value.p[0] != '=') continue;
        value = knowledge_trim((struct eio_str){value.p + 1, value.n - 1});
        const char *end = value.n > 1 && value.p[0] == '\'' ? memchr(value.p + 1, '\'', value.n - 1) : NULL;
        if (end) knowledge_text_append(title, value.p + 1, (size_t)(end - value.p - 1));
        /* A basic string has the escapes of JSON. */
        json_error_t error;
        json_t *text = json_loadb(value.n ? value.p : "", value.n, JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK, &error);
        if (json_is_string(text)) knowledge_text_put(title, json_string_value(text));
        json_decref(text);
        return;
    }
}

void knowledge_front_matter_read(struct eio_str text, struct knowledge_front_matter *front)
{
    struct eio_str block;
    size_t size = 0;
    memset(front, 0, sizeof *front);
    if (find_block(text, "---", "...", &block, &size)) {
        if (read_yaml(block, front)) front->size = size;
    } else if (find_block(text, "+++", NULL, &block, &size)) {
        read_toml(block, &front->title);
        front->size = size;
    }
}
