/* `parley learn`: past calls with the document that fitted, and how often it would have been found. */
#include "knowledge_examples.h"
#include "knowledge_int.h"
#include "knowledge_learn_files.h"
#include "kit_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#define EXIT_USAGE 2
#define FOLDS 3 /* one call in so many is left out in turn */

/* A document by its id, or by its title without case, blanks and punctuation. */
struct name {
    char *key;
    const char *doc_id; /* NULL: several documents are called so */
    UT_hash_handle hh;
};

/* A document by the words of its title and of its topic, each between blanks. */
struct outcome {
    const char *doc_id;
    char *title, *topic;
};

/* What is kept of a line: the example's texts are those of the object. */
struct line {
    json_t *object;
    const char *doc_id;
    char call_id[KIT_ID_SIZE];
};

struct run {
    struct kit_store *store;
    struct knowledge *knowledge;
    struct name *names;
    struct outcome *outcomes; /* of all documents */
    size_t outcome_count;
    struct knowledge_examples examples;
    struct line *lines; /* of the examples */
    size_t line_count, line_capacity;
    bool failed;
};

static void complain(struct run *run, const char *path, size_t number, const char *why)
{
    if (number)
        fprintf(stderr, "parley: %s: line %zu: %s\n", path, number, why);
    else
        fprintf(stderr, "parley: %s: %s\n", path, why);
    run->failed = true;
}

/* ------------------------------------------------------------------- names */

/* The words of a title as one; malloc. */
static char *bare_title(struct run *run, const char *title)
{
    struct knowledge_text key = {NULL, 0, 0, false};
    const struct kit_word *words;
    size_t count = kit_words_read(run->knowledge->learner.words, eio_str(title), &words);
    knowledge_text_put(&key, "title ");
    for (size_t i = 0; i < count; i++) knowledge_text_put(&key, words[i].surface);
    return knowledge_text_take(&key);
}

static int add_name(struct run *run, char *take_key, const char *doc_id)
{
    struct name *name = NULL;
    if (take_key) HASH_FIND_STR(run->names, take_key, name);
    if (name) {
        name->doc_id = NULL;
        free(take_key);
        return 0;
    }
    name = take_key ? calloc(1, sizeof *name) : NULL;
    if (!name) {
        free(take_key);
        return EIO_ENOMEM;
    }
    name->key = take_key;
    name->doc_id = doc_id;
    HASH_ADD_KEYPTR(hh, run->names, name->key, strlen(name->key), name);
    return 0;
}

/* " word word ", without numbers: "timing_4" is a kind of timing. malloc. */
static char *words_of(struct run *run, const char *text)
{
    struct knowledge_text all = {NULL, 0, 0, false};
    const struct kit_word *words;
    char *plain = strdup(text);
    for (char *c = plain; c && *c; c++)
        if (*c == '_') *c = ' ';
    size_t count = plain ? kit_words_read(run->knowledge->learner.words, eio_str(plain), &words) : 0;
    knowledge_text_put(&all, " ");
    for (size_t i = 0; i < count; i++) {
        if (words[i].is_number) continue;
        knowledge_text_put(&all, words[i].term);
        knowledge_text_put(&all, " ");
    }
    free(plain);
    return knowledge_text_take(&all);
}

static bool has_words(const char *words, const char *wanted)
{
    char one[128];
    for (wanted += strspn(wanted, " "); *wanted; wanted += strspn(wanted, " ")) {
        size_t n = strcspn(wanted, " ");
        snprintf(one, sizeof one, " %.*s ", (int)(n < 120 ? n : 120), wanted);
        if (!strstr(words, one)) return false;
        wanted += n;
    }
    return true;
}

/* The only document of a topic whose title has all words of an outcome ("return_size": "Return Due to Size"). */
static const char *find_outcome(struct run *run, const char *called, const char *topic, const char **why)
{
    char *title_words = words_of(run, called), *topic_words = words_of(run, topic);
    const char *found = NULL;
    *why = "no document of this topic has such a title";
    for (size_t i = 0; i < run->outcome_count && title_words && topic_words && title_words[1]; i++) {
        const struct outcome *o = &run->outcomes[i];
        if (!has_words(o->title, title_words) || !has_words(o->topic, topic_words)) continue;
        if (found) {
            *why = "several documents of this topic have such a title";
            found = NULL;
            break;
        }
        found = o->doc_id;
    }
    free(title_words);
    free(topic_words);
    return found;
}

static int add_outcome(struct run *run, const char *doc_id, const char *title, const char *topic)
{
    struct outcome *o = &run->outcomes[run->outcome_count++];
    *o = (struct outcome){doc_id, words_of(run, title), words_of(run, topic)};
    return o->title && o->topic ? 0 : EIO_ENOMEM;
}

struct names_op {
    struct kit_store_op op;
    struct run *run;
};

static int run_names(struct kit_db *db, struct kit_store_op *op)
{
    struct run *run = ((struct names_op *)(void *)op)->run;
    int code = knowledge_prepare(run->knowledge, db, &op->failure);
    if (code) return code;
    const struct knowledge_index *index = run->knowledge->index;
    run->outcomes = calloc(knowledge_index_count(index) + 1, sizeof *run->outcomes);
    if (!run->outcomes) return kit_fail(&op->failure, 503, NULL, "out of memory");
    for (uint32_t i = 0; i < knowledge_index_count(index); i++) {
        const char *id = knowledge_index_id(index, i);
        struct kit_rows row;
        if (kit_db_query(db, &row, "SELECT title, topic FROM documents WHERE doc_id=?", "t", id) != KIT_ROW)
            return kit_db_fail(db, &op->failure);
        char *title = bare_title(run, kit_rows_text(&row, 0));
        int failed = add_outcome(run, id, kit_rows_text(&row, 0), kit_rows_text(&row, 1));
        kit_rows_end(&row);
        if (add_name(run, strdup(id), id) || add_name(run, title, id) || failed)
            return kit_fail(&op->failure, 503, NULL, "out of memory");
    }
    return 0;
}

/* NULL with *why. */
static const char *find_document(struct run *run, const char *called, const char **why)
{
    struct name *name;
    HASH_FIND_STR(run->names, called, name);
    if (!name) {
        char *key = bare_title(run, called);
        if (key) HASH_FIND_STR(run->names, key, name);
        free(key);
    }
    *why = name ? "several documents have this title; name one by its id" : "the document does not exist";
    return name ? name->doc_id : NULL;
}

/* -------------------------------------------------------------------- read */

static void take_turns(struct knowledge_example *example, const json_t *lines)
{
    size_t i;
    json_t *one;
    json_array_foreach(lines, i, one)
    {
        const char *speaker = json_string_value(json_object_get(one, "speaker"));
        const char *text = json_string_value(json_object_get(one, "text"));
        bool is_customer = speaker && (!strcasecmp(speaker, "customer") || !strcasecmp(speaker, "caller"));
        if (is_customer && text && example->turn_count < KNOWLEDGE_EXAMPLE_TURNS)
            example->turns[example->turn_count++] = eio_str(text);
    }
}

/* The same call is the same whenever it is learned. */
static void name_call(char call_id[KIT_ID_SIZE], const struct knowledge_example *example)
{
    struct knowledge_text text = {NULL, 0, 0, false};
    char hash[KNOWLEDGE_HASH_SIZE];
    for (size_t i = 0; i < example->turn_count; i++) {
        knowledge_text_append(&text, example->turns[i].p, example->turns[i].n);
        knowledge_text_append(&text, "\n", 1);
    }
    knowledge_hash(text.p ? text.p : "", text.n, hash);
    snprintf(call_id, KIT_ID_SIZE, "learned:%s", hash);
    knowledge_text_clear(&text);
}

/* Takes the object of a line; NULL, or why it is refused. */
static const char *take_line(struct run *run, json_t *object, bool *is_kept)
{
    const char *why, *called = json_string_value(json_object_get(object, "document"));
    struct knowledge_example *example;
    if (!called || !json_is_array(json_object_get(object, "lines")))
        return "not a call (expected: {\"document\": id or title, \"lines\": [{\"speaker\", \"text\"}]})";
    const char *doc_id = find_document(run, called, &why), *topic = json_string_value(json_object_get(object, "topic"));
    if (!doc_id && topic) doc_id = find_outcome(run, called, topic, &why);
    if (!doc_id) return why;
    if (run->line_count == run->line_capacity) {
        size_t capacity = run->line_capacity ? run->line_capacity * 2 : 64;
        struct line *lines = realloc(run->lines, capacity * sizeof *lines);
        if (!lines) return "out of memory";
        run->lines = lines;
        run->line_capacity = capacity;
    }
    if (knowledge_examples_add(&run->examples, knowledge_index_find(run->knowledge->index, doc_id), &example))
        return "out of memory";
    take_turns(example, json_object_get(object, "lines"));
    struct line *line = &run->lines[run->line_count++];
    *line = (struct line){.object = object, .doc_id = doc_id};
    name_call(line->call_id, example);
    *is_kept = true;
    return NULL;
}

static void read_call(struct run *run, const char *path, size_t number, json_t *take_object)
{
    bool is_kept = false;
    const char *why = take_line(run, take_object, &is_kept);
    if (why) complain(run, path, number, why);
    if (!is_kept) json_decref(take_object);
}

static void read_lines(struct run *run, const char *path, char *text)
{
    char *line;
    for (size_t number = 1; (line = strsep(&text, "\n")); number++) {
        json_error_t error;
        if (!line[strspn(line, " \t")]) continue;
        json_t *object = json_loads(line, 0, &error);
        if (object)
            read_call(run, path, number, object);
        else
            complain(run, path, number, error.text);
    }
}

/* Calls or conversations, as one list. */
static void read_list(struct run *run, const char *path, const char *text)
{
    json_error_t error;
    json_t *list = json_loads(text, 0, &error), *calls = list ? knowledge_conversations_read(list) : NULL, *one;
    size_t i;
    if (!list) complain(run, path, (size_t)error.line, error.text);
    json_array_foreach(calls, i, one)
    {
        char place[4200];
        snprintf(place, sizeof place, "%s: call %zu", path, i + 1);
        read_call(run, place, 0, json_incref(one));
    }
    json_decref(calls);
    json_decref(list);
}

/* The file beside it has its name and ends in .json. */
static void read_vtt(struct run *run, const char *path, struct eio_str text)
{
    char beside_path[4096];
    char why[256];
    snprintf(beside_path, sizeof beside_path, "%.*s.json", (int)(strrchr(path, '.') - path), path);
    json_t *beside = kit_file_read_json(beside_path, KIT_FILE_ANY, why, sizeof why);
    if (!beside || !json_is_string(json_object_get(beside, "document")))
        complain(run, beside_path, 0, beside ? "it does not name the \"document\" of the call" : why);
    else
        read_call(run, path, 0, knowledge_vtt_read(text, beside));
    json_decref(beside);
}

static bool ends_with(const char *path, const char *ending)
{
    const char *dot = strrchr(path, '.');
    return dot && !strcasecmp(dot, ending);
}

static void read_text(struct run *run, const char *path, char *text, size_t size)
{
    if (ends_with(path, ".vtt"))
        read_vtt(run, path, (struct eio_str){text, size});
    else if (text[strspn(text, " \t\r\n")] == '[')
        read_list(run, path, text);
    else
        read_lines(run, path, text);
}

static void read_file(struct run *run, const char *path)
{
    char error[512];
    size_t size;
    char *bytes = kit_file_read(path, KIT_FILE_ANY, KNOWLEDGE_FILE_BYTES_MAX, &size);
    struct knowledge_text text = {NULL, 0, 0, false};
    if (!bytes) {
        complain(run, path, 0, kit_file_error());
        return;
    }
    if (knowledge_decode(path, (struct eio_str){bytes, size}, &text, error, sizeof error)) {
        fprintf(stderr, "parley: %s\n", error);
        run->failed = true;
    } else if (text.p) {
        read_text(run, path, text.p, text.n);
    }
    knowledge_text_clear(&text);
    free(bytes);
}

/* ------------------------------------------------------------------- learn */

static int run_learn(struct kit_db *db, struct kit_store_op *op)
{
    struct run *run = ((struct names_op *)(void *)op)->run;
    int code = 0;
    for (size_t i = 0; i < run->line_count && !code; i++) {
        const struct knowledge_example *example = &run->examples.list[i];
        struct knowledge_vote vote = {.call_id = run->lines[i].call_id,
                                      .doc_id = run->lines[i].doc_id,
                                      .agent = "learn",
                                      .weight = KNOWLEDGE_WEIGHT_ONE,
                                      .turns = example->turns,
                                      .turn_count = example->turn_count};
        if (vote.turn_count > KNOWLEDGE_LEARN_TURNS) vote.turn_count = KNOWLEDGE_LEARN_TURNS;
        code = knowledge_vote(run->knowledge, db, &vote, &op->failure);
    }
    return code;
}

static bool is_in_other_fold(const struct knowledge_example *example, unsigned fold)
{
    return example->number % FOLDS != fold;
}

/* How often the calls' documents are found by what the others taught. */
static void measure(struct run *run)
{
    struct knowledge *k = run->knowledge;
    struct knowledge_score score = {0, 0, 0};
    for (unsigned fold = 0; fold < FOLDS; fold++) {
        if (knowledge_examples_learn(k->index, &k->searcher, &run->examples, is_in_other_fold, fold)) return;
        for (size_t i = 0; i < run->examples.count; i++) {
            const struct knowledge_example *example = &run->examples.list[i];
            if (!is_in_other_fold(example, fold))
                knowledge_examples_ask(k->index, &k->searcher, &k->weights, example, example->turn_count, &score);
        }
    }
    printf("one call in %d left out in turn: the document is first for %.0f %% (±%.0f) and among the first three for"
           " %.0f %% (±%.0f) of %u call%s\n",
           FOLDS, 100.0 * score.first / score.asked, knowledge_score_interval(score.first, score.asked),
           100.0 * score.three / score.asked, knowledge_score_interval(score.three, score.asked), score.asked,
           kit_s(score.asked));
}

static void clear(struct run *run)
{
    struct name *name, *next;
    for (size_t i = 0; i < run->outcome_count; i++) {
        free(run->outcomes[i].title);
        free(run->outcomes[i].topic);
    }
    free(run->outcomes);
    HASH_ITER(hh, run->names, name, next)
    {
        HASH_DEL(run->names, name);
        free(name->key);
        free(name);
    }
    for (size_t i = 0; i < run->line_count; i++) json_decref(run->lines[i].object);
    free(run->lines);
    free(run->examples.list);
    knowledge_free(run->knowledge);
}

static void learn(struct run *run, const char *const *paths, size_t path_count)
{
    struct names_op op = {.op = {.run = run_names}, .run = run};
    if (kit_store_run_now(run->store, &op.op)) {
        complain(run, "learn", 0, op.op.failure.message);
        return;
    }
    for (size_t i = 0; i < path_count; i++) read_file(run, paths[i]);
    if (!run->line_count) return;
    op.op.run = run_learn;
    op.op.writes = true;
    op.op.locks[0] = KNOWLEDGE_LOCK;
    if (kit_store_run_now(run->store, &op.op)) {
        complain(run, "learn", 0, op.op.failure.message);
        return;
    }
    printf("%zu call%s learned\n", run->line_count, kit_s(run->line_count));
    measure(run);
}

int knowledge_learn_command(const struct kit_config *config, const char *const *paths, size_t path_count)
{
    char error[512];
    struct kit_work_options options = {1, 16, 1024};
    struct run run = {.names = NULL};
    if (!path_count) {
        fprintf(stderr, "parley: learn needs files\n");
        return EXIT_USAGE;
    }
    run.knowledge = knowledge_new(config, error, sizeof error);
    struct kit_work *work = kit_work_new(NULL, &options);
    snprintf(error, run.knowledge ? sizeof error : 0, "cannot start threads");
    run.store = run.knowledge && work ? kit_store_open(work, config, error, sizeof error) : NULL;
    if (run.store)
        learn(&run, paths, path_count);
    else
        complain(&run, "learn", 0, error);
    clear(&run);
    kit_work_free(work);
    kit_store_close(run.store);
    return run.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
