/* How often the document that fits a call is found: cold, and after calls were learned. Prints the parts in per cent,
 * first and among the first three, with 95 % intervals; run by scripts/eval-suggestions, and with --check by ctest,
 * which fails when a part is below its floor. */
#include "kit_embed.h"
#include "knowledge_examples.h"
#include "knowledge_int.h"
#include "kit_file.h"

#include <ctype.h>
#include <jansson.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct set {
    struct knowledge_documents documents;
    struct knowledge_reader reader;
    struct knowledge_index *index;
    struct knowledge_weights weights;
    struct knowledge_examples calls;
};

/* Texts that live as long as the program. */
static char *keep(char *text)
{
    static char *kept[64];
    static size_t count;
    if (!text || count == 64) {
        fprintf(stderr, "suggest_eval: out of memory\n");
        exit(2);
    }
    return kept[count++] = text;
}

static char *read_file(const char *path)
{
    size_t size;
    char *bytes = kit_file_read(path, KIT_FILE_ANY, KNOWLEDGE_FILE_BYTES_MAX, &size);
    if (!bytes) {
        perror(path);
        exit(2);
    }
    char *text = keep(strndup(bytes, size));
    free(bytes);
    return text;
}

/* ------------------------------------------------------------------- input */

static char *normal(const char *title)
{
    char *out = malloc(strlen(title) + 1), *p = out;
    for (; *title; title++)
        if (isalnum((unsigned char)*title)) *p++ = (char)tolower((unsigned char)*title);
    *p = 0;
    return out;
}

static uint32_t find_title(const struct set *set, const char *title)
{
    char *wanted = normal(title);
    uint32_t found = UINT32_MAX;
    for (size_t i = 0; i < set->documents.count && found == UINT32_MAX; i++) {
        char *have = normal(set->documents.list[i].title);
        if (!strcmp(have, wanted)) found = (uint32_t)i;
        free(have);
    }
    free(wanted);
    if (found == UINT32_MAX) fprintf(stderr, "no document is called '%s'\n", title);
    return found;
}

static struct knowledge_example *new_call(struct set *set, uint32_t document)
{
    struct knowledge_example *call;
    if (!knowledge_examples_add(&set->calls, document, &call)) return call;
    fprintf(stderr, "suggest_eval: out of memory\n");
    exit(2);
}

/* "* title", then one call a line, turns between " / ". */
static void read_calls(struct set *set, const char *path)
{
    uint32_t document = UINT32_MAX;
    for (char *line = strtok(read_file(path), "\n"); line; line = strtok(NULL, "\n")) {
        if (line[0] == '#') continue;
        if (line[0] == '*') {
            document = find_title(set, line + 2);
            continue;
        }
        struct knowledge_example *call = new_call(set, document);
        for (char *turn = line; turn && call->turn_count < KNOWLEDGE_EXAMPLE_TURNS;) {
            char *end = strstr(turn, " / ");
            call->turns[call->turn_count++] = (struct eio_str){turn, end ? (size_t)(end - turn) : strlen(turn)};
            turn = end ? end + 3 : NULL;
        }
    }
}

/* topic,text with quotes where needed; one question a line. */
static void read_questions(struct set *set, const char *path)
{
    char *line = strchr(read_file(path), '\n') + 1;
    while (*line) {
        char *end = strchrnul(line, '\n'), *comma = strchr(line, ',');
        *comma = 0;
        char *text = comma + 1, *stop = end;
        if (*text == '"') {
            text++;
            stop = text;
            while (stop[0] != '"' || stop[1] == '"') stop += stop[0] == '"' ? 2 : 1;
            end = strchrnul(stop, '\n');
        }
        struct knowledge_example *call = new_call(set, find_title(set, line));
        call->turns[call->turn_count++] = (struct eio_str){text, (size_t)(stop - text)};
        line = *end ? end + 1 : end;
    }
}

/* {"document": title, "lines": [{"speaker", "text"}]} a line. */
static void read_jsonl(struct set *set, const char *path)
{
    for (char *rest = read_file(path), *line; (line = strsep(&rest, "\n"));) {
        json_error_t error;
        json_t *object = json_loads(line, 0, &error), *lines = json_object_get(object, "lines"), *one;
        const char *title = json_string_value(json_object_get(object, "document"));
        uint32_t document = title ? find_title(set, title) : UINT32_MAX;
        size_t i;
        if (document != UINT32_MAX) {
            struct knowledge_example *call = new_call(set, document);
            json_array_foreach(lines, i, one)
            {
                const char *speaker = json_string_value(json_object_get(one, "speaker"));
                const char *text = json_string_value(json_object_get(one, "text"));
                if (!speaker || !text || strcmp(speaker, "customer") || call->turn_count == KNOWLEDGE_EXAMPLE_TURNS)
                    continue;
                call->turns[call->turn_count++] = eio_str(json_string_value(json_incref(json_object_get(one, "text"))));
            }
        }
        json_decref(object);
    }
}

static void read_topics(struct set *set, const char *path)
{
    for (char *line = strtok(read_file(path), "\n"); line; line = strtok(NULL, "\n")) {
        struct knowledge_text none = {NULL, 0, 0, false};
        struct knowledge_new_document d = {.file = eio_str("t"),
                                           .name = eio_str(line),
                                           .title = eio_str(line),
                                           .topic = eio_str(""),
                                           .take_text = &none};
        knowledge_documents_add(&set->documents, &d);
    }
}

static void build(struct set *set)
{
    knowledge_index_free(set->index);
    set->index = knowledge_index_new();
    for (size_t i = 0; i < set->documents.count; i++) {
        const struct knowledge_document *d = &set->documents.list[i];
        char id[32];
        snprintf(id, sizeof id, "%zu", i);
        struct knowledge_indexed one = {id, d->title, d->topic, d->text};
        knowledge_index_add(set->index, &set->reader, &one);
    }
    knowledge_index_finish(set->index);
}

/* --------------------------------------------------------------------- ask */

/* What must be right at least, in per cent. */
static const struct {
    const char *name;
    double first, three;
} floors[] = {
    {"calls, words, 2 turns, cold", 36, 51},
    {"calls, table, 2 turns, cold", 44, 64},
    {"calls, table, 2 turns, 2 of 3 learned", 41, 67},
    {"calls, glossary + table, 2 turns, cold", 64, 84},
    {"calls, glossary + table, 2 turns, 2 of 3 learned", 68, 88},
    {"banking77, words, 10 learned", 67, 86},
    {"banking77, table, 0 learned", 48, 68},
    {"banking77, table, 3 learned", 63, 82},
    {"banking77, table, 10 learned", 74, 88},
};
static bool is_check, below_floor;

static void print(const char *what, const struct knowledge_score *r)
{
    double first = 100.0 * r->first / r->asked, three = 100.0 * r->three / r->asked;
    if (!r->asked) return;
    printf("%-50s %4u asked  first %5.1f ±%.1f  three %5.1f ±%.1f\n", what, r->asked, first,
           knowledge_score_interval(r->first, r->asked), three, knowledge_score_interval(r->three, r->asked));
    for (size_t i = 0; is_check && i < sizeof floors / sizeof floors[0]; i++) {
        if (strcmp(what, floors[i].name) || (first >= floors[i].first && three >= floors[i].three)) continue;
        printf("%s: below the floor of %.0f and %.0f\n", what, floors[i].first, floors[i].three);
        below_floor = true;
    }
}

static void learn(struct set *set, knowledge_choose_fn is_learned, unsigned parameter)
{
    knowledge_examples_learn(set->index, &set->reader, &set->calls, is_learned, parameter);
}

static void ask(struct set *set, const struct knowledge_example *call, size_t turns, struct knowledge_score *score)
{
    knowledge_examples_ask(set->index, &set->reader, &set->weights, call, turns, score);
}

static bool other_third(const struct knowledge_example *call, unsigned third)
{
    return call->number % 3 != third;
}

static bool first_calls(const struct knowledge_example *call, unsigned count)
{
    return call->number < count;
}

static void evaluate_turns(struct set *set, const char *name, size_t turns)
{
    struct knowledge_score cold = {0, 0, 0}, learned = {0, 0, 0};
    char what[100];
    build(set);
    for (size_t i = 0; i < set->calls.count; i++) ask(set, &set->calls.list[i], turns, &cold);
    snprintf(what, sizeof what, "%s, %zu turns, cold", name, turns);
    print(what, &cold);
    for (unsigned third = 0; third < 3; third++) {
        build(set);
        learn(set, other_third, third);
        for (size_t i = 0; i < set->calls.count; i++)
            if (set->calls.list[i].number % 3 == third) ask(set, &set->calls.list[i], turns, &learned);
    }
    snprintf(what, sizeof what, "%s, %zu turns, 2 of 3 learned", name, turns);
    print(what, &learned);
}

static void evaluate_questions(struct set *set, const char *name, unsigned learned)
{
    struct knowledge_score result = {0, 0, 0};
    char what[100];
    build(set);
    learn(set, first_calls, learned);
    for (size_t i = 0; i < set->calls.count; i++)
        if (set->calls.list[i].number >= 10) ask(set, &set->calls.list[i], 1, &result);
    snprintf(what, sizeof what, "%s, %u learned", name, learned);
    print(what, &result);
}

/* -------------------------------------------------------------------- sets */

static struct kit_words *words;
static struct knowledge_table *table;

static void clear(struct set *set)
{
    knowledge_documents_clear(&set->documents);
    knowledge_index_free(set->index);
    free(set->calls.list);
}

static struct knowledge_glossary *read_glossary(const char *path)
{
    char error[256];
    struct knowledge_glossary *glossary = NULL;
    if (!knowledge_glossary_read(&glossary, words, path, eio_str(read_file(path)), error, sizeof error))
        return glossary;
    fprintf(stderr, "suggest_eval: %s\n", error);
    exit(2);
}

static void read_documents(struct set *set, const char *path)
{
    char error[256];
    if (!knowledge_documents_parse(&set->documents, path, eio_str(read_file(path)), error, sizeof error)) return;
    fprintf(stderr, "suggest_eval: %s\n", error);
    exit(2);
}

/* With and without glossary and table. */
static void evaluate_calls(struct set *set, const char *name, struct knowledge_glossary *glossary)
{
    static const char *const with[] = {"words", "table", "glossary", "glossary + table"};
    for (int i = 0; i < (glossary ? 4 : 2); i++) {
        char what[64];
        set->reader = (struct knowledge_reader){words, i & 2 ? glossary : NULL, table};
        set->weights = (struct knowledge_weights){3, i & 2 ? 0.3 : 0.6, 0.3, i & 1 ? 16 : 0};
        snprintf(what, sizeof what, "%s, %s", name, with[i]);
        for (size_t turns = is_check ? 2 : 1; turns <= (is_check ? 2 : 3); turns++) evaluate_turns(set, what, turns);
    }
}

/* -------------------------------------------------------------------- cost */

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Documents of 20 to 100 words of the guidelines, so that a question finds thousands. */
static void add_documents(struct knowledge_index *index, const struct set *from, unsigned count)
{
    unsigned seed = 1;
    for (unsigned i = 0; i < count; i++) {
        char id[32], text[4096];
        const struct knowledge_document *title = &from->documents.list[i % from->documents.count];
        size_t n = 0, words_left = 20 + rand_r(&seed) % 81;
        snprintf(id, sizeof id, "%u", i);
        while (words_left--) {
            const char *all = from->documents.list[(unsigned)rand_r(&seed) % from->documents.count].text;
            const char *word = all + (unsigned)rand_r(&seed) % (strlen(all) + 1);
            word += strcspn(word, " ");
            word += strspn(word, " ");
            n += (size_t)snprintf(text + n, sizeof text - n, "%.*s ", (int)(strcspn(word, " ") % 30), word);
        }
        struct knowledge_indexed one = {id, title->title, title->topic, text};
        knowledge_index_add(index, &from->reader, &one);
    }
    knowledge_index_finish(index);
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void evaluate_cost(struct set *set, unsigned count)
{
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    struct knowledge_index *index = knowledge_index_new();
    add_documents(index, set, count);
    size_t size = mallinfo2().uordblks + mallinfo2().hblkhd - before;
    double *took = malloc(set->calls.count * sizeof *took);
    struct knowledge_score score = {0, 0, 0};
    for (size_t i = 0; i < set->calls.count; i++) {
        double begin = cpu_ms();
        knowledge_examples_ask(index, &set->reader, &set->weights, &set->calls.list[i], 3, &score);
        took[i] = cpu_ms() - begin;
    }
    qsort(took, set->calls.count, sizeof *took, compare_doubles);
    printf("%u documents: %.1f MB; a search takes %.2f ms of a processor, the longest %.2f\n", count,
           (double)size / 1e6, took[set->calls.count / 2], took[set->calls.count - 1]);
    knowledge_index_free(index);
    free(took);
}

static void evaluate_own(char **paths)
{
    struct set set = {.index = NULL};
    struct knowledge_glossary *glossary = NULL;
    for (; *paths; paths++) {
        size_t n = strlen(*paths);
        if (n > 6 && !strcmp(*paths + n - 6, ".jsonl"))
            read_jsonl(&set, *paths);
        else if (strstr(*paths, "glossary"))
            glossary = read_glossary(*paths);
        else
            read_documents(&set, *paths);
    }
    evaluate_calls(&set, "calls", glossary);
    knowledge_glossary_free(glossary);
    clear(&set);
}

static void evaluate_ours(const char *root)
{
    static const unsigned learned[] = {0, 1, 3, 10};
    char path[1024];
    struct set calls = {.index = NULL}, bank = {.reader = {words, NULL, table}};
    snprintf(path, sizeof path, "%s/app/demo/glossary-retail.txt", root);
    struct knowledge_glossary *glossary = read_glossary(path);
    snprintf(path, sizeof path, "%s/app/demo/guidelines.json", root);
    read_documents(&calls, path);
    snprintf(path, sizeof path, "%s/tests/suggest/data/calls.txt", root);
    read_calls(&calls, path);
    evaluate_calls(&calls, "calls", glossary);
    if (!is_check) evaluate_cost(&calls, 55);
    if (!is_check) evaluate_cost(&calls, 10000);
    snprintf(path, sizeof path, "%s/tests/suggest/data/banking77-topics.txt", root);
    read_topics(&bank, path);
    snprintf(path, sizeof path, "%s/tests/suggest/data/banking77.csv", root);
    read_questions(&bank, path);
    for (int i = 0; i < 2; i++) {
        bank.weights = (struct knowledge_weights){3, 0.6, 0.3, i ? 16 : 0};
        for (size_t k = 0; k < 4; k++)
            evaluate_questions(&bank, i ? "banking77, table" : "banking77, words", learned[k]);
    }
    knowledge_glossary_free(glossary);
    clear(&calls);
    clear(&bank);
}

int main(int argc, char **argv)
{
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_knowledge, "table-128.bin");
    if (argc < 2) {
        fprintf(stderr, "usage: suggest_eval PROJECT [--check | DOCUMENTS… [GLOSSARY] CALLS.jsonl…]\n");
        return 2;
    }
    is_check = argc > 2 && !strcmp(argv[2], "--check");
    words = kit_words_new();
    table = knowledge_table_new((struct eio_str){(const char *)file->data, kit_embedded_size(file)});
    if (!words || !table) return 2;
    if (argc > 2 && !is_check)
        evaluate_own(argv + 2);
    else
        evaluate_ours(argv[1]);
    knowledge_table_free(table);
    kit_words_free(words);
    return is_check && below_floor;
}
