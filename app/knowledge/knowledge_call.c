/* A call reduced to what documents are scored by. */
#include "knowledge_int.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define TERMS_MAX 400
#define FEATURES_MAX 400

struct seen {
    char *name;
    UT_hash_handle hh;
};

/* True the first time. The name is borrowed. */
static bool see(struct seen **table, char *name)
{
    struct seen *seen;
    HASH_FIND_STR(*table, name, seen);
    if (seen) return false;
    seen = calloc(1, sizeof *seen);
    if (!seen) return false;
    seen->name = name;
    HASH_ADD_KEYPTR(hh, *table, seen->name, strlen(seen->name), seen);
    return true;
}

static void forget(struct seen **table)
{
    struct seen *seen, *next;
    HASH_ITER(hh, *table, seen, next)
    {
        HASH_DEL(*table, seen);
        free(seen);
    }
}

/* malloc */
static char *name_of(char kind, const char *a, const char *b)
{
    size_t n = strlen(a), m = b ? strlen(b) + 1 : 0;
    char *name = malloc(n + m + 2);
    if (!name) return NULL;
    name[0] = kind;
    memcpy(name + 1, a, n + 1);
    if (b) {
        name[n + 1] = ' ';
        memcpy(name + n + 2, b, m);
    }
    return name;
}

/* The words of a token as they were said; malloc. */
static char *said(const struct knowledge_token *token)
{
    size_t n = 1;
    for (size_t i = 0; i < token->word_count; i++) n += strlen(token->words[i].surface) + 1;
    char *text = malloc(n), *p = text;
    for (size_t i = 0; text && i < token->word_count; i++) {
        if (i) *p++ = ' ';
        p = stpcpy(p, token->words[i].surface);
    }
    return text;
}

static int add_term(struct knowledge_call *call, struct seen **table, const struct knowledge_token *token)
{
    if ((!token->is_concept && token->is_plain) || call->term_count == TERMS_MAX) return 0;
    char *name = name_of(token->is_concept ? 'c' : 'w', token->term, NULL);
    if (!name) return EIO_ENOMEM;
    if (!see(table, name)) {
        free(name);
        return 0;
    }
    struct knowledge_term *term = &call->terms[call->term_count++];
    term->name = name;
    term->said = said(token);
    return term->said ? 0 : EIO_ENOMEM;
}

static int add_feature(struct knowledge_call *call, struct seen **table, char *take_name)
{
    if (!take_name) return EIO_ENOMEM;
    if (call->feature_count == FEATURES_MAX || !see(table, take_name))
        free(take_name);
    else
        call->features[call->feature_count++] = take_name;
    return 0;
}

/* Words, pairs of neighbours and concepts of one turn. */
static int add_features(struct knowledge_call *call, struct seen **table, const struct knowledge_reader *reader,
                        struct eio_str turn)
{
    const struct kit_word *words, *before = NULL;
    struct knowledge_token *tokens;
    int failed = 0;
    size_t count = knowledge_glossary_scan(reader->glossary, reader->words, turn, &tokens);
    for (size_t i = 0; i < count && !failed; i++)
        if (tokens[i].is_concept) failed = add_feature(call, table, name_of('c', tokens[i].term, NULL));
    free(tokens);
    count = kit_words_read(reader->words, turn, &words);
    for (size_t i = 0; i < count && !failed; i++) {
        if (words[i].is_number) continue;
        if (!words[i].is_stop) failed = add_feature(call, table, name_of('w', words[i].term, NULL));
        if (!failed && before) failed = add_feature(call, table, name_of('p', before->term, words[i].term));
        before = &words[i];
    }
    return failed;
}

/* Turns in one text; malloc. */
static char *join(const struct eio_str *turns, size_t count)
{
    size_t n = 1;
    for (size_t i = 0; i < count; i++) n += turns[i].n + 1;
    char *text = malloc(n), *p = text;
    for (size_t i = 0; text && i < count; i++) {
        if (turns[i].n) memcpy(p, turns[i].p, turns[i].n);
        p += turns[i].n;
        *p++ = '\n';
    }
    if (text) *p = 0;
    return text;
}

static int read_vector(const struct knowledge_reader *reader, const struct eio_str *turns, size_t count,
                       float vector[KNOWLEDGE_VECTOR])
{
    char *text = reader->table ? join(turns, count) : NULL;
    if (!reader->table) return 0;
    if (!text) return EIO_ENOMEM;
    knowledge_table_read(reader->table, eio_str(text), vector);
    free(text);
    return 0;
}

/* True if a turn is about something: neither "yes, thanks" nor a number alone. */
static bool says_something(const struct knowledge_reader *reader, struct eio_str turn)
{
    struct knowledge_token *tokens;
    size_t count = knowledge_glossary_scan(reader->glossary, reader->words, turn, &tokens), i = 0;
    while (i < count && !tokens[i].is_concept && tokens[i].is_plain) i++;
    free(tokens);
    return i < count;
}

static int read_terms(struct knowledge_call *call, struct seen **table, const struct knowledge_reader *reader,
                      struct eio_str turn)
{
    struct knowledge_token *tokens;
    int failed = 0;
    size_t count = knowledge_glossary_scan(reader->glossary, reader->words, turn, &tokens);
    for (size_t i = 0; i < count && !failed; i++) failed = add_term(call, table, &tokens[i]);
    free(tokens);
    return failed;
}

static int read_turns(struct knowledge_call *call, const struct knowledge_reader *reader, const struct eio_str *turns,
                      size_t count)
{
    struct seen *terms = NULL, *features = NULL;
    size_t first = count < KNOWLEDGE_LEARN_TURNS ? count : KNOWLEDGE_LEARN_TURNS;
    int failed = 0;
    for (size_t i = 0; i < count && !failed; i++) {
        failed = read_terms(call, &terms, reader, turns[i]);
        if (!failed && i < first) failed = add_features(call, &features, reader, turns[i]);
    }
    if (!failed) failed = read_vector(reader, turns, count, call->vector);
    if (!failed) failed = read_vector(reader, turns, first, call->first_vector);
    forget(&terms);
    forget(&features);
    return failed;
}

int knowledge_call_read(struct knowledge_call *call, const struct knowledge_reader *reader, const struct eio_str *turns,
                        size_t turn_count)
{
    size_t count = 0;
    memset(call, 0, sizeof *call);
    call->terms = calloc(TERMS_MAX, sizeof *call->terms);
    call->features = calloc(FEATURES_MAX, sizeof *call->features);
    /* Tokens without meaning for the subject do not change scores. */
    struct eio_str *about = malloc((turn_count + 1) * sizeof *about);
    int failed = call->terms && call->features && about ? 0 : EIO_ENOMEM;
    for (size_t i = 0; i < turn_count && !failed; i++)
        if (says_something(reader, turns[i])) about[count++] = turns[i];
    if (!failed) failed = read_turns(call, reader, about, count);
    free(about);
    return failed;
}

void knowledge_call_clear(struct knowledge_call *call)
{
    for (size_t i = 0; i < call->term_count; i++) {
        free(call->terms[i].name);
        free(call->terms[i].said);
    }
    for (size_t i = 0; i < call->feature_count; i++) free(call->features[i]);
    free(call->terms);
    free(call->features);
    memset(call, 0, sizeof *call);
}
