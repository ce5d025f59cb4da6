/* Redaction of JSON text: of what the server does not know the meaning of, every string, key and long number. */
#include "calls_redact_json.h"

#include "calls_redact.h"
#include "kit_json.h"

#include <stdlib.h>
#include <string.h>

#define NUMBER_MIN 15 /* digits; shorter numbers are times more often than cards */

struct found {
    char *text; /* malloc; NULL: nothing is to be taken out */
    size_t size;
};

static int look_at_string(const struct calls_redaction *redaction, struct eio_str quoted, struct found *found)
{
    struct eio_str inside = {quoted.p + 1, quoted.n - 2};
    if (!memchr(quoted.p, '\\', quoted.n)) return calls_redact(redaction, inside, false, &found->text, &found->size);
    char *text = malloc(quoted.n);
    if (!text) return EIO_ENOMEM;
    size_t size = kit_json_decode(quoted, text);
    int failed = calls_redact(redaction, (struct eio_str){text, size}, false, &found->text, &found->size);
    free(text);
    return failed;
}

/* Looks at the whole number in it: what follows a point is a measurement. */
static int look_at_number(const struct calls_redaction *redaction, struct eio_str number, struct found *found)
{
    size_t begin = number.p[0] == '-', end = begin;
    while (end < number.n && number.p[end] >= '0' && number.p[end] <= '9') end++;
    struct eio_str digits = {number.p + begin, end - begin};
    return digits.n < NUMBER_MIN ? 0 : calls_redact(redaction, digits, false, &found->text, &found->size);
}

static int look_at(const struct calls_redaction *redaction, struct eio_str value, struct found *found)
{
    *found = (struct found){NULL, 0};
    if (value.p[0] == '"') return look_at_string(redaction, value, found);
    if (calls_json_is_number(value)) return look_at_number(redaction, value, found);
    return 0;
}

bool calls_json_is_number(struct eio_str value)
{
    return value.n && (value.p[0] == '-' || (value.p[0] >= '0' && value.p[0] <= '9'));
}

bool calls_json_has_secret(const struct calls_redaction *redaction, struct eio_str value)
{
    struct kit_json_walk walk;
    struct eio_str key, inner;
    if (!kit_json_open(&walk, value)) {
        struct found found;
        bool is_secret = look_at(redaction, value, &found) || found.text;
        free(found.text);
        return is_secret;
    }
    while (kit_json_each(&walk, &key, &inner)) {
        if (walk.is_object && calls_json_has_secret(redaction, key)) return true;
        if (calls_json_has_secret(redaction, inner)) return true;
    }
    return false;
}

/* A string, a number or a word; numbers from which something is taken become strings. */
static int put_scalar(const struct calls_redaction *redaction, struct eio_str value, struct sio_builder *out)
{
    struct found found;
    int failed = look_at(redaction, value, &found);
    if (found.text)
        sio_builder_put_text(out, found.text, found.size);
    else
        kit_put_json(out, value);
    free(found.text);
    return failed;
}

int calls_json_redact(const struct calls_redaction *redaction, struct eio_str value, struct sio_builder *out)
{
    struct kit_json_walk walk;
    struct eio_str key, inner;
    int failed = 0;
    if (!kit_json_open(&walk, value)) return put_scalar(redaction, value, out);
    sio_builder_put(out, walk.is_object ? "{" : "[");
    for (size_t i = 0; !failed && kit_json_each(&walk, &key, &inner); i++) {
        if (i) sio_builder_put(out, ",");
        if (walk.is_object) failed = put_scalar(redaction, key, out);
        if (walk.is_object) sio_builder_put(out, ":");
        if (!failed) failed = calls_json_redact(redaction, inner, out);
    }
    sio_builder_put(out, walk.is_object ? "}" : "]");
    return failed ? failed : out->error;
}
