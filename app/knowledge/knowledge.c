/* The knowledge base: documents in the store, and the search over them. Everything but the import runs inside store
 * operations, on a thread. */
#include "knowledge_int.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Words of a query; the latest count. Each costs a look-up in the index. */
#define QUERY_WORDS_MAX 48
#define WORD_MAX 40
/* Candidates that are ranked with the feedback before the best are taken. */
#define CANDIDATES 20
/* bm25 weights of the columns: what a document is called says more than what it mentions. */
#define WEIGHTS "6.0, 2.0, 1.0"
/* The score at which relevance is one half. */
#define HALF_SCORE 6.0
/* What a title adds whose words were all said. */
#define TITLE_FACTOR 2.0
#define TITLE_SCORE 2.0
/* Matches on nothing but words that half of the documents have are noise, unless there are few documents anyway. */
#define NOISE_SCORE 0.1
#define NOISE_DOCUMENTS 20
/* Documents below this part of the best one's score are left out. */
#define TAIL 0.25
/* Votes that every document starts with, half of them helpful: a single vote moves little. */
#define PRIOR_VOTES 4.0

/* ------------------------------------------------------------------ store */

int knowledge_count(struct kit_db *db, int64_t *count, struct kit_failure *failure)
{
    sqlite3_stmt *s = kit_db_statement(db, "SELECT count(*) FROM documents");
    if (kit_db_step(s, "") != SQLITE_ROW) return kit_db_fail(db, failure);
    *count = sqlite3_column_int64(s, 0);
    return 0;
}

struct import_op {
    struct kit_store_op op;
    const struct knowledge_documents *documents;
    struct knowledge_import *import;
};

static int run_import(struct kit_db *db, struct kit_store_op *op)
{
    struct import_op *o = (struct import_op *)(void *)op;
    return knowledge_store(db, o->documents, o->import, &op->failure);
}

int knowledge_import(struct kit_store *store, struct knowledge_import *import, char *error, size_t error_size)
{
    struct knowledge_documents documents = {NULL, 0, 0};
    const char *name = import->name ? import->name : import->source;
    struct import_op o = {.op = {.run = run_import, .writes = true}, .documents = &documents, .import = import};
    int failed = knowledge_documents_parse(&documents, name, import->text, error, error_size);
    if (!failed) {
        failed = kit_store_run_now(store, &o.op);
        if (failed) snprintf(error, error_size, "%s: %s", name, o.op.failure.message);
    }
    knowledge_documents_clear(&documents);
    return failed ? EIO_EINVAL : 0;
}

/* ------------------------------------------------------------------ query */

/* Words that say nothing about the subject: English function words and the phrases of a call. Sorted. */
static const char *const stop_words[] = {
    "a",        "about",    "actually",   "again",    "ah",      "all",       "already", "also",  "am",      "an",
    "and",      "any",      "anything",   "are",      "as",      "ask",       "at",      "be",    "because", "been",
    "before",   "bought",   "but",        "buy",      "buying",  "by",        "bye",     "can",   "cannot",  "could",
    "d",        "day",      "did",        "do",       "does",    "doing",     "don",     "done",  "else",    "even",
    "ever",     "every",    "everything", "fine",     "for",     "forward",   "from",    "get",   "getting", "give",
    "go",       "going",    "good",       "got",      "great",   "guys",      "had",     "happy", "has",     "have",
    "he",       "hear",     "hearing",    "hello",    "help",    "her",       "here",    "hey",   "hi",      "him",
    "his",      "hope",     "how",        "i",        "if",      "in",        "into",    "is",    "issue",   "it",
    "its",      "just",     "know",       "let",      "like",    "ll",        "long",    "look",  "looking", "m",
    "make",     "maybe",    "me",         "month",    "more",    "much",      "my",      "name",  "need",    "new",
    "nice",     "nicely",   "no",         "not",      "nothing", "now",       "of",      "off",   "oh",      "ok",
    "okay",     "on",       "one",        "only",     "or",      "other",     "our",     "out",   "people",  "please",
    "problem",  "question", "re",         "really",   "right",   "s",         "said",    "say",   "see",     "she",
    "should",   "so",       "some",       "somebody", "someone", "something", "soon",    "sorry", "still",   "sure",
    "t",        "take",     "tell",       "than",     "thank",   "thanks",    "that",    "the",   "their",   "them",
    "then",     "there",    "these",      "they",     "thing",   "think",     "this",    "those", "to",      "today",
    "tomorrow", "too",      "try",        "trying",   "up",      "us",        "ve",      "very",  "wait",    "waiting",
    "want",     "wanted",   "was",        "way",      "we",      "week",      "well",    "were",  "what",    "when",
    "where",    "which",    "who",        "why",      "will",    "with",      "would",   "yeah",  "yes",     "you",
    "your"};

static int compare_words(const void *key, const void *item)
{
    return strcmp(key, *(const char *const *)item);
}

static bool is_stop_word(const char *word)
{
    return bsearch(word, stop_words, sizeof stop_words / sizeof stop_words[0], sizeof stop_words[0], compare_words);
}

struct query {
    char words[QUERY_WORDS_MAX][WORD_MAX];
    size_t count;
};

static void add_word(struct query *query, const char *word)
{
    if (is_stop_word(word) || query->count == QUERY_WORDS_MAX) return;
    /* Numbers are orders, phones and zip codes: they name the customer, not the subject. */
    if (strspn(word, "0123456789") == strlen(word)) return;
    for (size_t i = 0; i < query->count; i++)
        if (!strcmp(query->words[i], word)) return;
    strcpy(query->words[query->count++], word);
}

/* Letters, digits and everything beyond ASCII are parts of words; '@' marks an address, which is dropped whole. */
static bool in_word(unsigned char c)
{
    return isalnum(c) || c >= 0x80 || c == '@';
}

static void read_words(struct query *query, const char *text)
{
    while (*text) {
        char word[WORD_MAX];
        size_t n = 0;
        bool address = false;
        while (*text && !in_word((unsigned char)*text)) text++;
        for (; *text && (in_word((unsigned char)*text) || (address && *text == '.')); text++) {
            if (*text == '@') address = true;
            if (n < WORD_MAX - 1)
                word[n++] = (char)tolower((unsigned char)*text);
            else
                n = WORD_MAX; /* too long to be a word */
        }
        if (!n || n >= WORD_MAX || address) continue;
        word[n] = 0;
        add_word(query, word);
    }
}

/* "return" OR "item": quoted, so that nothing in a word is an operator of FTS5. */
static void put_query(const struct query *query, char *out, size_t size)
{
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < query->count && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s\"%s\"", i ? " OR " : "", query->words[i]);
}

/* ----------------------------------------------------------------- search */

static void copy_column(sqlite3_stmt *row, int column, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    size_t n = text ? strlen(text) : 0, k = 0;
    if (n >= size) {
        n = size - 1;
        while (n && ((unsigned char)text[n] & 0xc0) == 0x80) n--; /* not inside a character */
    }
    /* Lines become one. */
    for (size_t i = 0; i < n; i++) {
        char c = isspace((unsigned char)text[i]) ? ' ' : text[i];
        if (c != ' ' || (k && out[k - 1] != ' ')) out[k++] = c;
    }
    while (k && out[k - 1] == ' ') k--;
    out[k] = 0;
}

/* Half as much for what nobody found helpful, half as much again for what everybody did. */
static double vote_factor(int64_t helpful, int64_t unhelpful)
{
    double share = ((double)helpful + PRIOR_VOTES / 2) / ((double)(helpful + unhelpful) + PRIOR_VOTES);
    return 0.5 + share;
}

/* True if two words are the same but for an ending: "updated", "updating". */
static bool alike(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b), longer = n > m ? n : m, same = 0;
    while (a[same] && a[same] == b[same]) same++;
    return same == longer || (same >= 4 && same + 3 >= longer);
}

/* The part of a title's words that were said. */
static double title_coverage(const struct query *query, const char *title)
{
    struct query words = {.count = 0};
    size_t said = 0;
    read_words(&words, title);
    for (size_t i = 0; i < words.count; i++) {
        size_t k = 0;
        while (k < query->count && !alike(words.words[i], query->words[k])) k++;
        said += k < query->count;
    }
    return words.count ? (double)said / (double)words.count : 0;
}

/* The number of the newest document: enough to know a small knowledge base. */
static int64_t newest_document(struct kit_db *db)
{
    sqlite3_stmt *row = kit_db_statement(db, "SELECT coalesce(max(id), 0) FROM documents");
    int64_t id = kit_db_step(row, "") == SQLITE_ROW ? sqlite3_column_int64(row, 0) : 0;
    if (row) sqlite3_reset(row);
    return id;
}

struct candidate {
    struct knowledge_result result;
    double score;
};

static int better(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return strcmp(x->result.id, y->result.id);
}

int knowledge_search(struct kit_db *db, const char *text, struct knowledge_result results[KNOWLEDGE_RESULTS_MAX],
                     size_t *count, struct kit_failure *failure)
{
    struct query query = {.count = 0};
    struct candidate found[CANDIDATES];
    char match[QUERY_WORDS_MAX * (WORD_MAX + 8)];
    size_t n = 0;
    *count = 0;
    read_words(&query, text);
    if (!query.count) return 0;
    put_query(&query, match, sizeof match);
    sqlite3_stmt *rows =
        kit_db_statement(db, "SELECT d.doc_id, d.title, d.topic, snippet(documents_fts, 2, '', '', '…', 28),"
                             " -bm25(documents_fts, " WEIGHTS "), d.helpful, d.unhelpful"
                             " FROM documents_fts JOIN documents d ON d.id = documents_fts.rowid"
                             " WHERE documents_fts MATCH ? ORDER BY bm25(documents_fts, " WEIGHTS ") LIMIT ?");
    int step = kit_db_step(rows, "ti", match, (int64_t)CANDIDATES);
    for (; step == SQLITE_ROW && n < CANDIDATES; step = sqlite3_step(rows), n++) {
        struct candidate *c = &found[n];
        copy_column(rows, 0, c->result.id, sizeof c->result.id);
        copy_column(rows, 1, c->result.title, sizeof c->result.title);
        copy_column(rows, 2, c->result.topic, sizeof c->result.topic);
        copy_column(rows, 3, c->result.excerpt, sizeof c->result.excerpt);
        double title = title_coverage(&query, c->result.title);
        c->score = (sqlite3_column_double(rows, 4) * (1 + TITLE_FACTOR * title) + TITLE_SCORE * title) *
                   vote_factor(sqlite3_column_int64(rows, 5), sqlite3_column_int64(rows, 6));
    }
    if (step != SQLITE_ROW && step != SQLITE_DONE) return kit_db_fail(db, failure);
    sqlite3_reset(rows);
    if (n) qsort(found, n, sizeof found[0], better);
    double least = n ? found[0].score * TAIL : 0;
    if (least < NOISE_SCORE && newest_document(db) >= NOISE_DOCUMENTS) least = NOISE_SCORE;
    for (size_t i = 0; i < n && i < KNOWLEDGE_RESULTS_MAX && found[i].score >= least; i++) {
        results[i] = found[i].result;
        results[i].relevance = found[i].score / (found[i].score + HALF_SCORE);
        (*count)++;
    }
    return 0;
}
