/* BM25 over the fields of a document, concepts and words apart; what calls taught; vectors. docs/knowledge.md has the
 * formula. */
#include "knowledge_index.h"

#include "knowledge_lesson.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/utf8.h>
#include <uthash.h>

enum field { TITLE, FLOW, DESCRIPTION, LEAD, STEPS, FIELDS };
/* How much an occurrence counts; steps that many documents share say little. */
static const float concept_weights[FIELDS] = {6, 1, 0.3f, 4, 0.1f};
static const float word_weights[FIELDS] = {4, 1, 1, 3, 0.3f};
#define CONCEPT_SATURATION 2.0
#define WORD_SATURATION 1.2
#define PAIR_FACTOR 0.5        /* of a learned pair of words */
#define OWN_VECTOR_FACTOR 2.0f /* a document's own vector counts like this many calls */
/* Less than this is noise among so many documents: a word that half of them have, a vector alone. */
#define NOISE_DOCUMENTS 20
#define NOISE_SCORE 0.5
#define NOISE_LEARNED 0.5
#define CLEAR_VECTOR 0.35
#define TYPED_EVIDENT 0.99 /* of the words that somebody typed: all, but for rounding */
#define VECTOR_ONE 16384.0f
#define PHRASES_MAX 400     /* of an author and beside the document; as many calls can teach */
#define BOILERPLATE_PART 10 /* a passage in more than one of so many documents */

struct occurrence {
    uint32_t document;
    uint16_t n[FIELDS];
};
struct posting {
    uint32_t document;
    float tf;
};

struct term {
    char *name;
    double idf;
    struct occurrence *occurrences; /* until finish() */
    struct posting *postings;       /* from then on, a part of the index's */
    size_t count, capacity;
    UT_hash_handle hh;
};

struct learned_posting {
    uint32_t document;
    float n; /* in quarters of a call, so that sums stay exact */
};
/* What calls say: a feature, in which documents' calls it was, how often. */
struct feature {
    char *name;
    double n;
    struct learned_posting *postings;
    size_t count, capacity;
    UT_hash_handle hh;
};

struct document {
    char *id;
    uint32_t number;
    uint32_t lengths[FIELDS];
    struct term **title_concepts;
    size_t title_concept_count;
    double title_idf;
    bool has_vector;
    int16_t vector[KNOWLEDGE_VECTOR]; /* of title and lead with what calls added, of length VECTOR_ONE */
    int16_t *own;                     /* of title and lead alone; NULL: no call added anything */
    double calls;                     /* learned */
    struct feature **learned;
    size_t learned_count;
    struct knowledge_lesson *says; /* phrases that customers say, as somebody wrote them; NULL: none */
    UT_hash_handle hh;
};

/* A passage by its hash, and the number of documents that have it. */
struct passage {
    uint64_t hash;
    uint32_t documents, last;
    UT_hash_handle hh;
};

struct knowledge_index {
    struct document *documents;
    size_t count, capacity;
    struct document *by_id;
    struct term *terms;
    struct feature *features;
    struct passage *passages;
    struct posting *postings; /* of all terms: one block, so that what the build needed can be given back */
    double learned_calls;
    double averages[FIELDS];
    double *concepts, *words, *learned, *found; /* of the search, one for each document */
};

struct knowledge_index *knowledge_index_new(void)
{
    return calloc(1, sizeof(struct knowledge_index));
}

static void free_terms(struct knowledge_index *index)
{
    struct term *term, *next;
    HASH_ITER(hh, index->terms, term, next)
    {
        HASH_DEL(index->terms, term);
        free(term->name);
        free(term->occurrences);
        free(term);
    }
}

static void free_features(struct knowledge_index *index)
{
    struct feature *feature, *next;
    HASH_ITER(hh, index->features, feature, next)
    {
        HASH_DEL(index->features, feature);
        free(feature->name);
        free(feature->postings);
        free(feature);
    }
}

static void free_passages(struct knowledge_index *index)
{
    struct passage *passage, *next;
    HASH_ITER(hh, index->passages, passage, next)
    {
        HASH_DEL(index->passages, passage);
        free(passage);
    }
}

void knowledge_index_free(struct knowledge_index *index)
{
    if (!index) return;
    HASH_CLEAR(hh, index->by_id);
    for (size_t i = 0; i < index->count; i++) {
        free(index->documents[i].id);
        free(index->documents[i].title_concepts);
        free(index->documents[i].learned);
        free(index->documents[i].own);
        if (index->documents[i].says) knowledge_lesson_clear(index->documents[i].says);
        free(index->documents[i].says);
    }
    free(index->documents);
    free_terms(index);
    free_features(index);
    free_passages(index);
    free(index->postings);
    free(index->concepts);
    free(index->words);
    free(index->learned);
    free(index->found);
    free(index);
}

/* ---------------------------------------------------------------- passages */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Behind "1. ", "- ", "## " and the like. */
static struct eio_str drop_list_mark(struct eio_str line)
{
    size_t n = 0;
    while (line.n && is_blank(line.p[0])) line.p++, line.n--;
    while (line.n && is_blank(line.p[line.n - 1])) line.n--;
    while (n < line.n && line.p[n] >= '0' && line.p[n] <= '9') n++;
    if (n && n < line.n && (line.p[n] == '.' || line.p[n] == ')'))
        n++;
    else
        for (n = 0; n < line.n && strchr("-*+>#", line.p[n]);) n++;
    if (n && n < line.n && !is_blank(line.p[n])) return line;
    while (n < line.n && is_blank(line.p[n])) n++;
    return (struct eio_str){line.p + n, line.n - n};
}

#define LONG_LINE_BYTES 200

/* Bytes up to the end of the first sentence. */
static size_t sentence_size(struct eio_str line)
{
    for (size_t i = 0; i < line.n;) {
        UChar32 c;
        U8_NEXT_OR_FFFD((const uint8_t *)line.p, i, line.n, c);
        if (c == 0x3002 || c == 0xff01 || c == 0xff1f) return i; /* of Chinese and Japanese */
        if ((c == '.' || c == '!' || c == '?') && (i == line.n || is_blank(line.p[i]))) return i;
    }
    return line.n;
}

bool knowledge_next_passage(struct eio_str *rest, struct eio_str *passage)
{
    while (rest->n) {
        const char *end = memchr(rest->p, '\n', rest->n);
        struct eio_str line = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
        size_t taken = line.n + (end != NULL);
        if (line.n > LONG_LINE_BYTES) taken = line.n = sentence_size(line);
        rest->p += taken;
        rest->n -= taken;
        *passage = drop_list_mark(line);
        if (passage->n) return true;
    }
    return false;
}

static uint64_t hash_passage(struct eio_str passage)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < passage.n; i++) hash = (hash ^ (uint8_t)passage.p[i]) * 1099511628211u;
    return hash;
}

static int count_passages(struct knowledge_index *index, uint32_t document, struct eio_str text)
{
    struct eio_str one;
    while (knowledge_next_passage(&text, &one)) {
        struct passage *passage;
        uint64_t hash = hash_passage(one);
        HASH_FIND(hh, index->passages, &hash, sizeof hash, passage);
        if (!passage) {
            passage = calloc(1, sizeof *passage);
            if (!passage) return EIO_ENOMEM;
            passage->hash = hash;
            HASH_ADD(hh, index->passages, hash, sizeof hash, passage);
        } else if (passage->last == document) {
            continue;
        }
        passage->last = document;
        passage->documents++;
    }
    return 0;
}

/* Only what is in many documents is asked for. */
static void drop_rare_passages(struct knowledge_index *index)
{
    struct passage *passage, *next;
    HASH_ITER(hh, index->passages, passage, next)
    {
        if (passage->documents > 1 && passage->documents > index->count / BOILERPLATE_PART) continue;
        HASH_DEL(index->passages, passage);
        free(passage);
    }
}

bool knowledge_index_is_boilerplate(const struct knowledge_index *index, struct eio_str passage)
{
    struct passage *found;
    uint64_t hash = hash_passage(passage);
    HASH_FIND(hh, index->passages, &hash, sizeof hash, found);
    return found != NULL;
}

/* --------------------------------------------------------------------- add */

static struct term *make_term(struct knowledge_index *index, const struct knowledge_token *token)
{
    char name[512];
    struct term *term;
    size_t n = (size_t)snprintf(name, sizeof name, "%c%s", token->is_concept ? 'c' : 'w', token->term);
    if (n >= sizeof name) n = sizeof name - 1;
    HASH_FIND(hh, index->terms, name, n, term);
    if (term) return term;
    term = calloc(1, sizeof *term);
    if (term) term->name = strdup(name);
    if (!term || !term->name) {
        free(term);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, index->terms, term->name, n, term);
    return term;
}

static int add_occurrence(struct term *term, uint32_t document, enum field field)
{
    struct occurrence *last = term->count ? &term->occurrences[term->count - 1] : NULL;
    if (!last || last->document != document) {
        if (term->count == term->capacity) {
            size_t capacity = term->capacity ? term->capacity * 2 : 4;
            struct occurrence *list = realloc(term->occurrences, capacity * sizeof *list);
            if (!list) return EIO_ENOMEM;
            term->occurrences = list;
            term->capacity = capacity;
        }
        last = &term->occurrences[term->count++];
        memset(last, 0, sizeof *last);
        last->document = document;
    }
    if (last->n[field] < UINT16_MAX) last->n[field]++;
    return 0;
}

static int add_title_concept(struct document *d, struct term *term)
{
    for (size_t i = 0; i < d->title_concept_count; i++)
        if (d->title_concepts[i] == term) return 0;
    struct term **list = realloc(d->title_concepts, (d->title_concept_count + 1) * sizeof(struct term *));
    if (!list) return EIO_ENOMEM;
    d->title_concepts = list;
    list[d->title_concept_count++] = term;
    return 0;
}

static int add_field(struct knowledge_index *index, const struct knowledge_reader *reader, struct eio_str text,
                     enum field field)
{
    struct document *d = &index->documents[index->count - 1];
    struct knowledge_token *tokens;
    int failed = 0;
    size_t count = knowledge_glossary_scan(reader->glossary, reader->words, text, &tokens);
    for (size_t i = 0; i < count && !failed; i++) {
        if (!tokens[i].is_concept && tokens[i].is_plain) continue;
        struct term *term = make_term(index, &tokens[i]);
        failed = term ? add_occurrence(term, d->number, field) : EIO_ENOMEM;
        if (!failed && tokens[i].is_concept && field == TITLE) failed = add_title_concept(d, term);
        d->lengths[field]++;
    }
    free(tokens);
    return failed;
}

size_t knowledge_lead_size(struct eio_str text)
{
    for (size_t i = 0; i < text.n;) {
        const char *line = text.p + i, *end = memchr(line, '\n', text.n - i);
        struct eio_str whole = {line, end ? (size_t)(end - line) : text.n - i};
        size_t taken = whole.n + 1;
        while (whole.n && is_blank(whole.p[0])) whole.p++, whole.n--;
        struct eio_str bare = drop_list_mark(whole);
        if (bare.p != whole.p && whole.p[0] != '#' && whole.p[0] != '>') return i;
        i += taken;
    }
    return text.n;
}

static void read_own_vector(struct document *d, const struct knowledge_reader *reader,
                            const struct knowledge_indexed *from, size_t lead)
{
    char text[4096];
    float vector[KNOWLEDGE_VECTOR];
    if (!reader->table) return;
    snprintf(text, sizeof text, "%s. %.*s", from->title, (int)(lead < sizeof text ? lead : sizeof text), from->text);
    d->has_vector = knowledge_table_read(reader->table, eio_str(text), vector);
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) d->vector[i] = (int16_t)lrintf(vector[i] * VECTOR_ONE);
}

static struct document *new_document(struct knowledge_index *index, const char *id)
{
    if (index->count == index->capacity) {
        size_t capacity = index->capacity ? index->capacity * 2 : 64;
        struct document *list = realloc(index->documents, capacity * sizeof *list);
        if (!list) return NULL;
        index->documents = list;
        index->capacity = capacity;
    }
    struct document *d = &index->documents[index->count];
    memset(d, 0, sizeof *d);
    d->number = (uint32_t)index->count++;
    d->id = strdup(id);
    return d->id ? d : NULL;
}

/* The beginning of a text, cut between characters. */
static struct eio_str beginning(const char *text, size_t max)
{
    size_t n = strnlen(text, max + 1);
    if (n > max)
        for (n = max; n && ((unsigned char)text[n] & 0xc0) == 0x80;) n--;
    return (struct eio_str){text, n};
}

static int add_phrase(struct document *d, const struct knowledge_reader *reader, struct eio_str phrase, double weight)
{
    if (!d->says) d->says = calloc(1, sizeof *d->says);
    if (!d->says) return EIO_ENOMEM;
    if (d->says->count == PHRASES_MAX) return 0;
    return knowledge_lesson_add(d->says, reader, &phrase, 1, weight);
}

int knowledge_index_add_phrase(struct knowledge_index *index, const struct knowledge_reader *reader, uint32_t document,
                               struct eio_str phrase, double weight)
{
    return add_phrase(&index->documents[document], reader, phrase, weight);
}

static int read_phrases(struct document *d, const struct knowledge_reader *reader, struct eio_str phrases)
{
    struct eio_str phrase;
    int failed = 0;
    while (!failed && knowledge_next_phrase(&phrases, &phrase)) failed = add_phrase(d, reader, phrase, 1);
    return failed;
}

int knowledge_index_add(struct knowledge_index *index, const struct knowledge_reader *reader,
                        const struct knowledge_indexed *from)
{
    struct document *d = new_document(index, from->id);
    if (!d) return EIO_ENOMEM;
    const char *colon = strstr(from->topic, ": ");
    struct eio_str phrases, text = beginning(from->text, KNOWLEDGE_INDEXED_BYTES_MAX);
    text = knowledge_says_split(text, &phrases);
    size_t lead = knowledge_lead_size(text), flow = colon ? (size_t)(colon - from->topic) : strlen(from->topic);
    const struct eio_str texts[FIELDS] = {
        [TITLE] = eio_str(from->title),
        [FLOW] = {from->topic, flow},
        [DESCRIPTION] = eio_str(colon ? colon + 2 : ""),
        [LEAD] = {from->text, lead},
        [STEPS] = {text.p + lead, text.n - lead},
    };
    int failed = 0;
    for (int field = 0; field < FIELDS && !failed; field++)
        failed = add_field(index, reader, texts[field], (enum field)field);
    if (!failed) failed = count_passages(index, d->number, text);
    if (!failed) read_own_vector(d, reader, from, lead);
    return failed ? failed : read_phrases(d, reader, phrases);
}

/* ------------------------------------------------------------------ finish */

static float term_frequency(const struct knowledge_index *index, const struct occurrence *o, const float *weights)
{
    const struct document *d = &index->documents[o->document];
    double tf = 0;
    for (int f = 0; f < FIELDS; f++)
        if (o->n[f]) tf += weights[f] * o->n[f] / (0.5 + 0.5 * d->lengths[f] / index->averages[f]);
    return (float)tf;
}

static void finish_term(const struct knowledge_index *index, struct term *term, struct posting *postings)
{
    double df = (double)term->count, n = (double)index->count;
    term->idf = log(1 + (n - df + 0.5) / (df + 0.5));
    term->postings = postings;
    for (size_t i = 0; i < term->count; i++) {
        const struct occurrence *o = &term->occurrences[i];
        float tf = term_frequency(index, o, term->name[0] == 'c' ? concept_weights : word_weights);
        term->postings[i] = (struct posting){o->document, tf};
    }
    free(term->occurrences);
    term->occurrences = NULL;
}

static int finish_terms(struct knowledge_index *index)
{
    struct term *term;
    size_t count = 0;
    for (term = index->terms; term; term = term->hh.next) count += term->count;
    index->postings = malloc((count + 1) * sizeof *index->postings);
    if (!index->postings) return EIO_ENOMEM;
    struct posting *next = index->postings;
    for (term = index->terms; term; term = term->hh.next) {
        finish_term(index, term, next);
        next += term->count;
    }
    return 0;
}

int knowledge_index_finish(struct knowledge_index *index)
{
    struct document *list = realloc(index->documents, (index->count + 1) * sizeof *list);
    if (list) index->documents = list;
    for (size_t i = 0; i < index->count; i++) {
        struct document *d = &index->documents[i];
        HASH_ADD_KEYPTR(hh, index->by_id, d->id, strlen(d->id), d);
        for (int f = 0; f < FIELDS; f++) index->averages[f] += d->lengths[f] / (double)index->count;
    }
    int failed = finish_terms(index);
    for (size_t i = 0; i < index->count; i++)
        for (size_t k = 0; k < index->documents[i].title_concept_count; k++)
            index->documents[i].title_idf += index->documents[i].title_concepts[k]->idf;
    drop_rare_passages(index);
    for (size_t i = 0; i < index->count && !failed; i++)
        if (index->documents[i].says) failed = knowledge_index_learn(index, (uint32_t)i, 0, NULL, 0, NULL);
    index->concepts = calloc(index->count + 1, sizeof *index->concepts);
    index->words = calloc(index->count + 1, sizeof *index->words);
    index->learned = calloc(index->count + 1, sizeof *index->learned);
    index->found = calloc(index->count + 1, sizeof *index->found);
    return failed || !index->concepts || !index->words || !index->learned || !index->found ? EIO_ENOMEM : 0;
}

size_t knowledge_index_count(const struct knowledge_index *index)
{
    return index->count;
}

const char *knowledge_index_id(const struct knowledge_index *index, uint32_t document)
{
    return index->documents[document].id;
}

uint32_t knowledge_index_find(const struct knowledge_index *index, const char *id)
{
    struct document *d;
    HASH_FIND_STR(index->by_id, id, d);
    return d ? d->number : UINT32_MAX;
}

double knowledge_index_weight(const struct knowledge_index *index, const char *name, uint32_t document)
{
    struct term *term;
    HASH_FIND_STR(index->terms, name, term);
    size_t low = 0, high = term ? term->count : 0;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (term->postings[middle].document < document)
            low = middle + 1;
        else
            high = middle;
    }
    return term && low < term->count && term->postings[low].document == document ? term->idf : 0;
}

/* ------------------------------------------------------------------- learn */

static struct feature *make_feature(struct knowledge_index *index, const char *name)
{
    struct feature *feature;
    HASH_FIND_STR(index->features, name, feature);
    if (feature) return feature;
    feature = calloc(1, sizeof *feature);
    if (feature) feature->name = strdup(name);
    if (!feature || !feature->name) {
        free(feature);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, index->features, feature->name, strlen(feature->name), feature);
    return feature;
}

static int add_learned(struct feature *feature, uint32_t document, double n)
{
    feature->n += n;
    if (feature->count && feature->postings[feature->count - 1].document == document) {
        feature->postings[feature->count - 1].n += (float)n;
        return 0;
    }
    if (feature->count == feature->capacity) {
        size_t capacity = feature->capacity ? feature->capacity * 2 : 2;
        struct learned_posting *list = realloc(feature->postings, capacity * sizeof *list);
        if (!list) return EIO_ENOMEM;
        feature->postings = list;
        feature->capacity = capacity;
    }
    feature->postings[feature->count++] = (struct learned_posting){document, (float)n};
    return 0;
}

static void unlearn(struct knowledge_index *index, struct document *d)
{
    for (size_t i = 0; i < d->learned_count; i++) {
        struct feature *feature = d->learned[i];
        size_t k = 0;
        while (k < feature->count && feature->postings[k].document != d->number) k++;
        if (k == feature->count) continue;
        feature->n -= feature->postings[k].n;
        feature->postings[k] = feature->postings[--feature->count];
    }
    index->learned_calls -= d->calls;
    free(d->learned);
    d->learned = NULL;
    d->learned_count = 0;
    d->calls = 0;
}

static int add_vectors(struct document *d, const float *sum)
{
    float vector[KNOWLEDGE_VECTOR];
    double square = 0;
    if (!d->own) {
        d->own = malloc(sizeof d->vector);
        if (!d->own) return EIO_ENOMEM;
        memcpy(d->own, d->vector, sizeof d->vector);
    }
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) {
        vector[i] = OWN_VECTOR_FACTOR * d->own[i] / VECTOR_ONE + (sum ? sum[i] : 0);
        square += (double)vector[i] * vector[i];
    }
    float factor = square > 0 ? VECTOR_ONE / (float)sqrt(square) : 0;
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) d->vector[i] = (int16_t)lrintf(vector[i] * factor);
    return 0;
}

static int add_counts(struct knowledge_index *index, struct document *d, const struct knowledge_count *counts,
                      size_t count)
{
    struct feature **learned = realloc(d->learned, (d->learned_count + count + 1) * sizeof *learned);
    if (!learned) return EIO_ENOMEM;
    d->learned = learned;
    for (size_t i = 0; i < count; i++) {
        struct feature *feature = make_feature(index, counts[i].feature);
        if (!feature || add_learned(feature, d->number, counts[i].n)) return EIO_ENOMEM;
        d->learned[d->learned_count++] = feature;
    }
    return 0;
}

static int add_phrases(struct knowledge_index *index, struct document *d, float *sum)
{
    size_t count;
    struct knowledge_count *list = knowledge_lesson_list(d->says, &count);
    int failed = list ? add_counts(index, d, list, count) : EIO_ENOMEM;
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) sum[i] += d->says->sum[i];
    d->calls += d->says->calls;
    free(list);
    return failed;
}

int knowledge_index_learn(struct knowledge_index *index, uint32_t document, double calls,
                          const struct knowledge_count *counts, size_t count, const float *sum)
{
    struct document *d = &index->documents[document];
    float all[KNOWLEDGE_VECTOR] = {0};
    unlearn(index, d);
    if (sum) memcpy(all, sum, sizeof all);
    int failed = add_counts(index, d, counts, count);
    d->calls = calls;
    if (!failed && d->says) failed = add_phrases(index, d, all);
    index->learned_calls += d->calls;
    return failed || !d->has_vector ? failed : add_vectors(d, all);
}

/* ------------------------------------------------------------------ search */

/* Returns the weight of all terms that are in any document; index->found has that of each document's. */
static double score_terms(struct knowledge_index *index, const struct knowledge_call *call)
{
    double all = 0;
    for (size_t i = 0; i < call->term_count; i++) {
        struct term *term;
        HASH_FIND_STR(index->terms, call->terms[i].name, term);
        if (!term) continue;
        bool is_concept = term->name[0] == 'c';
        double *scores = is_concept ? index->concepts : index->words;
        double saturation = is_concept ? CONCEPT_SATURATION : WORD_SATURATION;
        all += term->idf;
        for (size_t k = 0; k < term->count; k++) {
            const struct posting *p = &term->postings[k];
            scores[p->document] += term->idf * p->tf / (saturation + p->tf);
            index->found[p->document] += term->idf;
        }
    }
    return all;
}

/* The part of the title's concepts that were said. */
static double coverage(const struct document *d, const struct knowledge_call *call)
{
    double said = 0;
    if (d->title_idf <= 0) return 0;
    for (size_t i = 0; i < d->title_concept_count; i++)
        for (size_t k = 0; k < call->term_count; k++)
            if (!strcmp(d->title_concepts[i]->name, call->terms[k].name)) said += d->title_concepts[i]->idf;
    return said / d->title_idf;
}

/* A log-likelihood ratio, smoothed by what all calls say. */
static void score_learned(struct knowledge_index *index, const struct knowledge_call *call)
{
    double all = 0;
    for (size_t i = 0; i < call->feature_count; i++) {
        struct feature *feature;
        double factor = call->features[i][0] == 'p' ? PAIR_FACTOR : 1;
        HASH_FIND_STR(index->features, call->features[i], feature);
        if (!feature || feature->n <= 0) continue;
        all += factor;
        double p = (feature->n + 0.5) / (index->learned_calls + 1);
        for (size_t k = 0; k < feature->count; k++)
            index->learned[feature->postings[k].document] += factor * log(1 + feature->postings[k].n / p);
    }
    for (size_t i = 0; i < index->count; i++)
        if (index->documents[i].calls > 0) index->learned[i] -= all * log(1.0 + index->documents[i].calls);
}

static double cosine(const struct document *d, const float *vector)
{
    float sum = 0;
    for (int i = 0; i < KNOWLEDGE_VECTOR; i++) sum += d->vector[i] * vector[i];
    return sum / VECTOR_ONE;
}

/* Keeps the list sorted, best first; of equals the first document. */
static void insert(struct knowledge_hit *hits, size_t *count, size_t max, const struct knowledge_hit *hit)
{
    size_t i = *count;
    if (i == max && hits[i - 1].score >= hit->score) return;
    if (i == max)
        i--;
    else
        (*count)++;
    for (; i > 0 && hits[i - 1].score < hit->score; i--) hits[i] = hits[i - 1];
    hits[i] = *hit;
}

static double hit_score(const struct knowledge_hit *hit, const struct knowledge_weights *weights)
{
    return hit->concepts + weights->word * hit->words + weights->learned * hit->learned +
           weights->vector * hit->vector + weights->typed * hit->typed;
}

/* True if anything but chance speaks for the document. */
static bool is_evident(const struct knowledge_index *index, const struct knowledge_weights *weights,
                       const struct knowledge_hit *hit)
{
    double said = hit->concepts + hit->words;
    if (weights->typed > 0 && hit->found >= TYPED_EVIDENT) return true;
    if (index->count < NOISE_DOCUMENTS && (said > 0 || hit->learned > 0)) return true;
    return said >= NOISE_SCORE || hit->learned >= NOISE_LEARNED || hit->vector >= CLEAR_VECTOR;
}

int knowledge_index_search(struct knowledge_index *index, const struct knowledge_call *call,
                           const struct knowledge_weights *weights, const float *cosines, struct knowledge_hit *hits,
                           size_t *count)
{
    size_t max = *count;
    *count = 0;
    memset(index->concepts, 0, index->count * sizeof *index->concepts);
    memset(index->words, 0, index->count * sizeof *index->words);
    memset(index->learned, 0, index->count * sizeof *index->learned);
    memset(index->found, 0, index->count * sizeof *index->found);
    double all = score_terms(index, call);
    score_learned(index, call);
    bool any = false;
    double sum = 0;
    for (size_t i = 0; i < index->count && max && call->term_count; i++) {
        const struct document *d = &index->documents[i];
        struct knowledge_hit hit = {.document = d->number, .words = index->words[i], .learned = index->learned[i]};
        if (index->concepts[i] > 0) hit.concepts = index->concepts[i] * (1 + weights->title * coverage(d, call));
        if (all > 0) hit.found = index->found[i] / all;
        hit.typed = index->found[i] * hit.found * hit.found;
        hit.vector = cosines ? cosines[i] : d->has_vector ? cosine(d, call->vector) : 0;
        hit.score = hit_score(&hit, weights);
        sum += hit.score;
        any = any || is_evident(index, weights, &hit);
        insert(hits, count, max, &hit);
    }
    if (!any) *count = 0;
    double others = index->count > 1 ? (double)index->count - 1 : 1;
    for (size_t i = 0; i < *count; i++) hits[i].excess = hits[i].score - (sum - hits[i].score) / others;
    return 0;
}
