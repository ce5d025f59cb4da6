/* Phrases that mean the same. A phrase is found by the terms of its words, so that its endings do not matter. */
#include "knowledge_glossary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define PHRASE_WORDS_MAX 8
#define PHRASE_BYTES_MAX 512
#define CONCEPTS_OF_A_PHRASE_MAX 4

struct concept {
    char *name;
    UT_hash_handle hh;
};

struct phrase {
    char *terms; /* separated by blanks */
    const char *concepts[CONCEPTS_OF_A_PHRASE_MAX];
    size_t concept_count;
    UT_hash_handle hh;
};

struct knowledge_glossary {
    struct concept *concepts;
    struct phrase *phrases;
    size_t longest; /* words */
};

void knowledge_glossary_free(struct knowledge_glossary *glossary)
{
    struct concept *concept, *next_concept;
    struct phrase *phrase, *next_phrase;
    if (!glossary) return;
    HASH_ITER(hh, glossary->phrases, phrase, next_phrase)
    {
        HASH_DEL(glossary->phrases, phrase);
        free(phrase->terms);
        free(phrase);
    }
    HASH_ITER(hh, glossary->concepts, concept, next_concept)
    {
        HASH_DEL(glossary->concepts, concept);
        free(concept->name);
        free(concept);
    }
    free(glossary);
}

/* Terms of words [0, count) as a key; its size, 0: too long. */
static size_t join_terms(const struct kit_word *words, size_t count, char key[PHRASE_BYTES_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(words[i].term);
        if (n + size + 2 > PHRASE_BYTES_MAX) return 0;
        if (i) key[n++] = ' ';
        memcpy(key + n, words[i].term, size);
        n += size;
    }
    key[n] = 0;
    return n;
}

/* -------------------------------------------------------------------- read */

static const char *make_concept(struct knowledge_glossary *glossary, struct eio_str name)
{
    struct concept *concept;
    name.n = strnlen(name.p, name.n);
    HASH_FIND(hh, glossary->concepts, name.p, name.n, concept);
    if (concept) return concept->name;
    concept = calloc(1, sizeof *concept);
    if (concept) concept->name = strndup(name.p, name.n);
    if (!concept || !concept->name) {
        free(concept);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, glossary->concepts, concept->name, name.n, concept);
    return concept->name;
}

static struct phrase *make_phrase(struct knowledge_glossary *glossary, const char *key, size_t size)
{
    struct phrase *phrase;
    HASH_FIND(hh, glossary->phrases, key, size, phrase);
    if (phrase) return phrase;
    phrase = calloc(1, sizeof *phrase);
    if (phrase) phrase->terms = strndup(key, size);
    if (!phrase || !phrase->terms) {
        free(phrase);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, glossary->phrases, phrase->terms, size, phrase);
    return phrase;
}

/* Returns 0, EIO_EINVAL for a phrase without words or with too many, or EIO_ENOMEM. */
static int add_phrase(struct knowledge_glossary *glossary, struct kit_words *words, struct eio_str text,
                      const char *concept)
{
    char key[PHRASE_BYTES_MAX];
    const struct kit_word *list;
    size_t count = kit_words_read(words, text, &list);
    size_t size = count && count <= PHRASE_WORDS_MAX ? join_terms(list, count, key) : 0;
    if (!size) return EIO_EINVAL;
    struct phrase *phrase = make_phrase(glossary, key, size);
    if (!phrase) return EIO_ENOMEM;
    if (glossary->longest < count) glossary->longest = count;
    for (size_t i = 0; i < phrase->concept_count; i++)
        if (phrase->concepts[i] == concept) return 0;
    if (phrase->concept_count < CONCEPTS_OF_A_PHRASE_MAX) phrase->concepts[phrase->concept_count++] = concept;
    return 0;
}

static struct eio_str trim(struct eio_str s)
{
    while (s.n && strchr(" \t\r", s.p[0])) s.p++, s.n--;
    while (s.n && strchr(" \t\r", s.p[s.n - 1])) s.n--;
    return s;
}

/* The part before the separator, or all; rest goes behind it. */
static struct eio_str cut(struct eio_str *rest, char separator)
{
    const char *end = memchr(rest->p, separator, rest->n);
    struct eio_str part = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
    size_t taken = part.n + (end != NULL);
    rest->p += taken;
    rest->n -= taken;
    return part;
}

/* Returns 0 or a negative code with what is wrong in *bad. */
static int add_line(struct knowledge_glossary *glossary, struct kit_words *words, struct eio_str line,
                    struct eio_str *bad)
{
    *bad = line;
    if (!memchr(line.p, ':', line.n)) return EIO_EINVAL;
    struct eio_str name = trim(cut(&line, ':'));
    if (!name.n) return EIO_EINVAL;
    const char *concept = make_concept(glossary, name);
    if (!concept) return EIO_ENOMEM;
    while (line.n) {
        struct eio_str phrase = *bad = trim(cut(&line, ','));
        int failed = phrase.n ? add_phrase(glossary, words, phrase, concept) : 0;
        if (failed) return failed;
    }
    return 0;
}

int knowledge_glossary_read(struct knowledge_glossary **glossary, struct kit_words *words, const char *name,
                            struct eio_str text, char *error, size_t error_size)
{
    int failed = 0;
    if (!*glossary) *glossary = calloc(1, sizeof **glossary);
    if (!*glossary) failed = EIO_ENOMEM;
    for (unsigned number = 1; text.n && !failed; number++) {
        struct eio_str line = trim(cut(&text, '\n')), bad;
        if (!line.n || line.p[0] == '#') continue;
        failed = add_line(*glossary, words, line, &bad);
        if (failed == EIO_EINVAL)
            snprintf(error, error_size,
                     "%s: line %u: invalid entry '%.*s' (expected concept: phrase, phrase…; phrases of 1 to %d words)",
                     name, number, bad.n < 80 ? (int)bad.n : 80, bad.p, PHRASE_WORDS_MAX);
    }
    if (failed && failed != EIO_EINVAL) snprintf(error, error_size, "%s: out of memory", name);
    return failed;
}

/* -------------------------------------------------------------------- scan */

/* The longest phrase that begins with the first word; *size is its number of words. */
static const struct phrase *find_phrase(const struct knowledge_glossary *glossary, const struct kit_word *words,
                                        size_t count, size_t *size)
{
    char key[PHRASE_BYTES_MAX];
    if (!glossary) return NULL;
    for (*size = count < glossary->longest ? count : glossary->longest; *size > 0; (*size)--) {
        struct phrase *phrase;
        size_t n = join_terms(words, *size, key);
        if (!n) continue;
        HASH_FIND(hh, glossary->phrases, key, n, phrase);
        if (phrase) return phrase;
    }
    return NULL;
}

/* One more; false: out of memory. */
static bool add_token(struct knowledge_token **list, size_t *count, size_t *capacity, struct knowledge_token token)
{
    if (*count == *capacity) {
        size_t wanted = *capacity ? *capacity * 2 : 32;
        struct knowledge_token *grown = realloc(*list, wanted * sizeof *grown);
        if (!grown) return false;
        *list = grown;
        *capacity = wanted;
    }
    (*list)[(*count)++] = token;
    return true;
}

size_t knowledge_glossary_scan(const struct knowledge_glossary *glossary, struct kit_words *words, struct eio_str text,
                               struct knowledge_token **list)
{
    const struct kit_word *found;
    size_t count = kit_words_read(words, text, &found), n = 0, capacity = 0, size;
    bool fits = true;
    *list = NULL;
    for (size_t i = 0; i < count && fits;) {
        const struct kit_word *word = &found[i];
        const struct phrase *phrase = find_phrase(glossary, word, count - i, &size);
        if (!phrase) {
            bool is_plain = word->is_stop || word->is_number;
            fits = add_token(list, &n, &capacity, (struct knowledge_token){word->term, word, 1, false, is_plain});
            i++;
            continue;
        }
        for (size_t k = 0; k < phrase->concept_count && fits; k++)
            fits =
                add_token(list, &n, &capacity, (struct knowledge_token){phrase->concepts[k], word, size, true, false});
        i += size;
    }
    return n;
}
