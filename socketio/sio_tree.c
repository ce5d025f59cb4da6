/* From scanned JSON text to jansson's values. jansson's own parser refuses some of what JavaScript peers may send (lone
 * surrogates, integers above 64 bits, 1e999); here every text that the scanner accepts becomes a tree. */
#include "sio_codec.h"

#include <stdlib.h>
#include <string.h>

#define INTEGER_DIGITS 18 /* always fit an int64_t */

struct tree {
    struct eio_str rest;
    json_t *open[SIO__JSON_DEPTH_MAX]; /* borrowed, but for open[0] */
    struct eio_str key;                /* of the value that comes next, if the innermost is an object */
    size_t depth;
};

static void skip_bytes(struct eio_str *text, size_t n)
{
    text->p += n;
    text->n -= n;
}

static json_t *make_text(struct eio_str quoted)
{
    char small[256];
    char *text = quoted.n <= sizeof small ? small : malloc(quoted.n);
    if (!text) return NULL;
    size_t n = sio__json_decode_text(quoted, text);
    json_t *value = json_stringn_nocheck(text, n); /* the scanner has seen that it is UTF-8 */
    if (text != small) free(text);
    return value;
}

static json_t *make_number(struct eio_str text)
{
    size_t i = text.p[0] == '-', limit = i + INTEGER_DIGITS;
    json_int_t value = 0;
    for (; i < text.n && i < limit && text.p[i] >= '0' && text.p[i] <= '9'; i++) {
        value = value * 10 + (text.p[i] - '0');
    }
    if (i == text.n) return json_integer(text.p[0] == '-' ? -value : value);
    json_t *number = json_loadb(text.p, text.n, JSON_DECODE_ANY, NULL);
    if (!number) number = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
    return number ? number : json_null(); /* Infinity, which JavaScript writes as null */
}

static json_t *make_value(struct eio_str text)
{
    switch (text.p[0]) {
    case '"':
        return make_text(text);
    case '{':
        return json_object();
    case '[':
        return json_array();
    case 't':
        return json_true();
    case 'f':
        return json_false();
    case 'n':
        return json_null();
    default:
        return make_number(text);
    }
}

/* Puts a value into the innermost open container; takes the reference. Of equal keys the last wins. */
static int take_add(struct tree *tree, json_t *value)
{
    json_t *parent = tree->open[tree->depth - 1];
    if (json_is_array(parent)) return json_array_append_new(parent, value);
    char small[256];
    char *key = tree->key.n < sizeof small ? small : malloc(tree->key.n);
    if (!key) {
        json_decref(value);
        return -1;
    }
    size_t n = sio__json_decode_text(tree->key, key);
    key[n] = '\0';
    int result = json_object_setn_new_nocheck(parent, key, n, value);
    if (key != small) free(key);
    return result;
}

/* Closes what ends here and passes commas and colons; takes the next key. False at the end of the text. */
static bool to_next_value(struct tree *tree)
{
    struct eio_str *rest = &tree->rest;
    for (;;) {
        *rest = sio__json_trim(*rest);
        if (rest->n == 0 || tree->depth == 0) return false;
        bool object = json_is_object(tree->open[tree->depth - 1]);
        if (*rest->p == ']' || *rest->p == '}') {
            tree->depth--;
            skip_bytes(rest, 1);
        } else if (*rest->p == ',') {
            skip_bytes(rest, 1);
        } else if (object && *rest->p == '"' && !tree->key.p) {
            tree->key = (struct eio_str){rest->p, base_json_skip((const uint8_t *)rest->p, rest->n)};
            skip_bytes(rest, tree->key.n);
        } else if (object && *rest->p == ':') {
            skip_bytes(rest, 1);
        } else {
            return true;
        }
    }
}

/* One value: a scalar as a whole, of a container its opening bracket. */
static int take_value(struct tree *tree, json_t **root)
{
    struct eio_str *rest = &tree->rest;
    bool container = *rest->p == '{' || *rest->p == '[';
    size_t size = container ? 1 : base_json_skip((const uint8_t *)rest->p, rest->n);
    json_t *value = size ? make_value((struct eio_str){rest->p, size}) : NULL;
    if (!value) return -1;
    skip_bytes(rest, size);
    if (!*root) {
        *root = value;
    } else if (take_add(tree, value) != 0) {
        return -1;
    }
    tree->key = (struct eio_str){NULL, 0};
    if (!container) return 0;
    if (tree->depth == SIO__JSON_DEPTH_MAX) return -1;
    tree->open[tree->depth++] = value;
    return 0;
}

json_t *sio__json_tree(struct eio_str value)
{
    struct tree tree;
    json_t *root = NULL;
    tree.rest = sio__json_trim(value);
    tree.key = (struct eio_str){NULL, 0};
    tree.depth = 0;
    if (tree.rest.n == 0) return NULL;
    do {
        if (take_value(&tree, &root) != 0) {
            json_decref(root);
            return NULL;
        }
    } while (to_next_value(&tree));
    return root;
}
