/* What an import does to the documents that are there: who keeps which id, who goes, and whose feedback is whose. */
#include "kit_fixture.h"

#include "knowledge_int.h"

static struct {
    struct kit_config config;
    struct kit_work *work;
    struct kit_store *store;
    struct knowledge_import last;
} f;

static int set_up(void **state)
{
    struct kit_work_options options = {1, 100, 1 << 20};
    char error[512] = "";
    (void)state;
    fixture_config_data(&f.config, ":memory:");
    f.work = kit_work_new(NULL, &options);
    f.store = kit_store_open(f.work, &f.config, error, sizeof error);
    if (!f.store) fail_msg("%s", error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kit_work_free(f.work);
    kit_store_close(f.store);
    kit_config_clear(&f.config);
    return 0;
}

static void import(const char *source, const char *text)
{
    char error[512] = "";
    f.last = (struct knowledge_import){.source = source, .text = eio_str(text)};
    if (knowledge_import(f.store, &f.last, error, sizeof error)) fail_msg("%s", error);
}

struct sql_op {
    struct kit_store_op op;
    const char *sql;
    char out[4096];
};

static int run_sql(struct kit_db *db, struct kit_store_op *op)
{
    struct sql_op *o = (struct sql_op *)(void *)op;
    return kit_db_ask(db, o->sql, o->out, sizeof o->out) ? kit_db_fail(db, &op->failure) : 0;
}

/* The first value of the first row, valid until the next but one call. */
static const char *ask(const char *format, ...)
{
    static struct sql_op ops[4];
    static unsigned next;
    struct sql_op *o = &ops[next++ % 4];
    char sql[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(sql, sizeof sql, format, args);
    va_end(args);
    memset(o, 0, sizeof *o);
    o->op.run = run_sql;
    o->op.writes = true;
    o->sql = sql;
    assert_int_equal(kit_store_run_now(f.store, &o->op), 0);
    return o->out;
}

static const char *id_of(const char *text)
{
    return ask("SELECT coalesce((SELECT doc_id FROM documents WHERE text LIKE '%%%s%%'), '')", text);
}

static void assert_titles(const char *titles)
{
    assert_string_equal(ask("SELECT %s(title, '|') FROM (SELECT title FROM documents ORDER BY id) AS t",
                            getenv("TEST_STORE") ? "string_agg" : "group_concat"),
                        titles);
}

static void assert_count(int count)
{
    assert_int_equal(atoi(ask("SELECT count(*) FROM documents")), count);
}

static void vote(const char *doc_id, const char *agent, int helpful)
{
    ask("INSERT INTO feedback VALUES ('c', '%s', '%s', %d, 1)", doc_id, agent, helpful);
}

static const char *totals(const char *text)
{
    return ask("SELECT helpful || '/' || unhelpful FROM documents WHERE text LIKE '%%%s%%'", text);
}

/* ------------------------------------------------------------------ tests */

static void files_of_one_name_are_different_documents(void **state)
{
    (void)state;
    import("/kb/a/index.md", "# Intro\n\none\n");
    import("/kb/b/index.md", "# Intro\n\ntwo\n");
    import("/kb/b/Index.md", "# Intro\n\nthree\n");
    import("/kb/release-1.2.md", "# Fees\n\nfour\n");
    import("/kb/release-1.3.md", "# Fees\n\nfive\n");
    import("/kb/release-1-3.md", "# Fees\n\nsix\n");
    import("/kb/release-1.3.txt", "# Fees\n\nseven\n");
    assert_count(7);
    assert_string_equal(id_of("one"), "index.intro");
    assert_string_equal(id_of("five"), "release-1.3.fees");
    char *id = strdup(id_of("two"));
    import("/kb/a/index.md", "# Intro\n\none again\n");
    import("/kb/b/index.md", "# Intro\n\ntwo again\n");
    assert_count(7);
    assert_string_equal(id_of("two"), id);
    assert_string_equal(id_of("one again"), "index.intro");
    free(id);
}

static void guidelines_of_two_files_are_different_documents(void **state)
{
    (void)state;
    import("/a/g.json", "{\"Flow\":{\"subflows\":{\"Sub\":{\"instructions\":[\"one\"]}}}}");
    import("/b/g.json", "{\"Flow\":{\"subflows\":{\"Sub\":{\"instructions\":[\"two\"]}}}}");
    assert_count(2);
    assert_string_equal(id_of("one"), "flow.sub");
}

static void an_edit_keeps_the_id(void **state)
{
    (void)state;
    import("/r.md", "# Returns\n\nfirst\n\n## Exceptions\n\nsoftware\n\n## Refund\n\nto the card\n");
    vote(id_of("software"), "ann", 1);
    import("/r.md",
           "# Returns\n\nfirst\n\n## New\n\nfresh\n\n## Exceptions\n\nsoftware and games\n\n## Refund\n\ncard\n");
    assert_titles("Returns|New|Exceptions|Refund");
    assert_string_equal(id_of("games"), "r.exceptions");
    assert_string_equal(totals("games"), "1/0");
    assert_int_equal(f.last.gone, 0);
    assert_int_equal(f.last.count, 4);
}

static void a_section_that_is_gone_goes_and_may_come_back(void **state)
{
    (void)state;
    import("/r.md", "# R\n\nask\n\n## In 30 days\n\nthe card\n");
    vote("r.in-30-days", "ann", 1);
    vote("r.in-30-days", "bob", 0);
    import("/r.md", "# R\n\nask\n\n## In 14 days\n\nother card\n");
    assert_titles("R|In 14 days");
    assert_int_equal(f.last.gone, 1);
    assert_string_equal(totals("other card"), "0/0");
    import("/r.md", "# R\n\nask\n\n## In 30 days\n\nthe card, again\n");
    assert_string_equal(id_of("again"), "r.in-30-days");
    assert_string_equal(totals("again"), "1/1");
    /* While it was away its id was nobody else's. */
    import("/r.md", "# R\n\nask\n");
    import("/x/r.md", "# In 30 days\n\nstranger\n");
    assert_string_not_equal(id_of("stranger"), "r.in-30-days");
    assert_string_equal(totals("stranger"), "0/0");
}

static void sections_of_one_name_keep_their_ids(void **state)
{
    (void)state;
    import("/c.md", "# C\n\n## Added\n\none\n\n## Added\n\ntwo\n\n## Added\n\nthree\n");
    assert_string_equal(id_of("one"), "c.added");
    assert_string_equal(id_of("two"), "c.added.2");
    assert_string_equal(id_of("three"), "c.added.3");
    /* A new one before them all, and an edit of the second. */
    import("/c.md", "# C\n\n## Added\n\nnewest\n\n## Added\n\none\n\n## Added\n\n2, edited\n\n## Added\n\nthree\n");
    assert_string_equal(id_of("one"), "c.added");
    assert_string_equal(id_of("2, edited"), "c.added.2");
    assert_string_equal(id_of("three"), "c.added.3");
    assert_string_equal(id_of("newest"), "c.added.4");
    /* The first is gone: nobody moves up. */
    import("/c.md", "# C\n\n## Added\n\n2, edited\n\n## Added\n\nthree\n");
    assert_string_equal(id_of("2, edited"), "c.added.2");
    assert_string_equal(id_of("three"), "c.added.3");
    assert_int_equal(f.last.gone, 2);
    /* In another order. */
    import("/c.md", "# C\n\n## Added\n\nthree\n\n## Added\n\n2, edited\n");
    assert_string_equal(id_of("2, edited"), "c.added.2");
    assert_string_equal(id_of("three"), "c.added.3");
}

static void one_name_under_two_headings_is_two_documents(void **state)
{
    (void)state;
    import("/c.md", "# C\n\n## 1.1\n\n### Added\n\none\n");
    char *id = strdup(id_of("one"));
    import("/c.md", "# C\n\n## 1.2\n\n### Added\n\ntwo\n\n## 1.1\n\n### Added\n\none, edited\n");
    assert_string_equal(id_of("one, edited"), id);
    assert_string_not_equal(id_of("two"), id);
    free(id);
}

static void a_new_name_above_moves_no_id(void **state)
{
    (void)state;
    import("/c.md", "# Returns\n\n## Exceptions\n\nsoftware\n\n## Times\n\nweeks\n");
    import("/c.md", "# Returns and refunds\n\n## Times\n\nweeks\n\n## Exceptions\n\nsoftware\n");
    assert_string_equal(id_of("software"), "c.exceptions");
    assert_string_equal(id_of("weeks"), "c.times");
    assert_int_equal(f.last.gone, 0);
}

static void a_slug_that_looks_like_a_number_takes_no_ones_place(void **state)
{
    (void)state;
    import("/c.md", "# a.2\n\none\n\n# a\n\ntwo\n\n# a\n\nthree\n\n# a-2\n\nfour\n");
    assert_count(4);
}

static void documents_of_before_are_taken_over(void **state)
{
    (void)state;
    ask("INSERT INTO documents(doc_id, source, topic, title, text, helpful) VALUES"
        " ('r.refund', 'kb/r.md', 'R', 'Refund', 'old', 1)");
    ask("INSERT INTO documents(doc_id, source, topic, title, text) VALUES ('r.x', 'kb/r.md', 'R', 'X', 'old')");
    ask("INSERT INTO document_ids(doc_id, source) SELECT doc_id, source FROM documents");
    vote("r.refund", "ann", 1);
    char error[256];
    struct knowledge_import file = {.source = "/srv/kb/r.md", .name = "kb/r.md", .text = eio_str("# Refund\n\nnew\n")};
    assert_int_equal(knowledge_import(f.store, &file, error, sizeof error), 0);
    assert_titles("Refund");
    assert_string_equal(id_of("new"), "r.refund");
    assert_string_equal(totals("new"), "1/0");
}

static void a_bad_file_changes_nothing(void **state)
{
    char error[256];
    struct knowledge_import file = {.source = "/r.md", .text = {"# R\xff\n\nb\n", 8}};
    (void)state;
    import("/r.md", "# R\n\na\n");
    assert_int_equal(knowledge_import(f.store, &file, error, sizeof error), EIO_EINVAL);
    assert_titles("R");
}

static void an_emptied_file_loses_its_documents_and_gets_them_back(void **state)
{
    static const char *const empty[] = {"", " \n", "\xef\xbb\xbf", "---\ntitle: R\n---\n", "# R\n\n## Refund\n"};
    (void)state;
    import("/other.md", "# Other\n\nstays\n");
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        import("/r.md", "# R\n\na\n\n## Refund\n\nto the card\n");
        assert_count(3);
        assert_string_equal(id_of("card"), "r.refund");
        if (i == 0) vote("r.refund", "ann", 1);
        import("/r.md", empty[i]);
        assert_titles("Other");
        assert_int_equal(f.last.gone, 2);
        assert_int_equal(f.last.count, 0);
        import("/r.md", empty[i]); /* and again: nothing is wrong with it */
        assert_int_equal(f.last.gone, 0);
    }
    import("/r.md", "# R\n\n## Refund\n\nto the card\n");
    assert_string_equal(totals("card"), "1/0");
}

static void a_file_that_never_had_text_is_refused(void **state)
{
    char error[256] = "";
    struct knowledge_import file = {.source = "/r.md", .text = {"# R\n", 4}};
    (void)state;
    assert_int_equal(knowledge_import(f.store, &file, error, sizeof error), EIO_EINVAL);
    assert_string_equal(error, "/r.md: no text found");
}

/* With a cube, as it was, 2 000 took half a minute. */
static void many_sections_of_one_name_take_a_time_that_grows_with_them(void **state)
{
    enum { COUNT = 10000 };
    char *text = malloc(COUNT * 32), *p = text;
    (void)state;
    for (int i = 0; i < COUNT; i++) p += sprintf(p, "## Added\n\nLine %d.\n\n", i);
    import("/c.md", text);
    assert_count(COUNT);
    import("/c.md", strstr(text, "## Added\n\nLine 1."));
    assert_int_equal(f.last.gone, 1);
    assert_string_equal(ask("SELECT doc_id FROM documents WHERE text LIKE 'Line 9999.%%'"), "c.added.10000");
    free(text);
}

/* ------------------------------------------------------------- random edits */

#define SECTIONS_MAX 12
struct section {
    char parent, title;
    int text;
};
struct version {
    struct section list[SECTIONS_MAX];
    size_t count;
};

static void random_edit(struct version *v)
{
    size_t at = v->count ? (size_t)rand() % v->count : 0;
    switch (v->count ? rand() % 4 : 0) {
    case 0: /* insert */
        if (v->count == SECTIONS_MAX) return;
        memmove(&v->list[at + 1], &v->list[at], (v->count - at) * sizeof v->list[0]);
        v->list[at] = (struct section){(char)('P' + rand() % 2), (char)('A' + rand() % 3), rand() % 40};
        v->count++;
        break;
    case 1: /* remove */
        if (v->count < 2) return;
        memmove(&v->list[at], &v->list[at + 1], (--v->count - at) * sizeof v->list[0]);
        break;
    case 2:
        v->list[at].text = rand() % 40;
        break;
    default: { /* swap */
        size_t other = (size_t)rand() % v->count;
        struct section s = v->list[at];
        v->list[at] = v->list[other];
        v->list[other] = s;
    }
    }
}

/* True if no other section of the version has its headings. */
static bool is_only(const struct version *v, const struct section *s)
{
    size_t n = 0;
    for (size_t i = 0; i < v->count; i++) n += v->list[i].parent == s->parent && v->list[i].title == s->title;
    return n == 1;
}

static void import_version(const struct version *v, char ids[SECTIONS_MAX][KIT_ID_SIZE])
{
    char text[SECTIONS_MAX * 64] = "", *p = text;
    for (size_t i = 0; i < v->count; i++)
        p += sprintf(p, "# %c\n\n## %c\n\ntext %d.\n\n", v->list[i].parent, v->list[i].title, v->list[i].text);
    import("/r.md", text);
    assert_count((int)v->count);
    for (size_t i = 0; i < v->count; i++) {
        snprintf(
            ids[i], KIT_ID_SIZE, "%s",
            ask("SELECT doc_id FROM documents WHERE title='%c' AND text='text %d.\n'"
                " ORDER BY id LIMIT 1 OFFSET (SELECT count(*) FROM documents WHERE title='%c' AND text='text %d.\n'"
                " AND id < (SELECT id FROM documents ORDER BY id LIMIT 1 OFFSET %zu))",
                v->list[i].title, v->list[i].text, v->list[i].title, v->list[i].text, i));
        assert_true(ids[i][0]);
        for (size_t k = 0; k < i; k++) assert_string_not_equal(ids[i], ids[k]);
    }
}

/* Whatever becomes of a file: it has its sections in order, no two have one id, and a section that is the only one of
 * its headings before and after keeps its own. */
static void random_edits_keep_every_id_where_it_belongs(void **state)
{
    static char before_ids[SECTIONS_MAX][KIT_ID_SIZE], ids[SECTIONS_MAX][KIT_ID_SIZE];
    struct version before, v = {.count = 0};
    (void)state;
    srand(7);
    random_edit(&v);
    for (int round = 0; round < 300; round++) {
        before = v;
        memcpy(before_ids, ids, sizeof ids);
        for (int edits = rand() % 3; edits >= 0 || !v.count; edits--) random_edit(&v);
        import_version(&v, ids);
        for (size_t i = 0; i < v.count; i++)
            for (size_t k = 0; k < before.count && round; k++)
                if (v.list[i].parent == before.list[k].parent && v.list[i].title == before.list[k].title &&
                    is_only(&v, &v.list[i]) && is_only(&before, &before.list[k]))
                    assert_string_equal(ids[i], before_ids[k]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(files_of_one_name_are_different_documents),
        TEST(guidelines_of_two_files_are_different_documents),
        TEST(an_edit_keeps_the_id),
        TEST(a_section_that_is_gone_goes_and_may_come_back),
        TEST(sections_of_one_name_keep_their_ids),
        TEST(one_name_under_two_headings_is_two_documents),
        TEST(a_new_name_above_moves_no_id),
        TEST(a_slug_that_looks_like_a_number_takes_no_ones_place),
        TEST(documents_of_before_are_taken_over),
        TEST(a_bad_file_changes_nothing),
        TEST(an_emptied_file_loses_its_documents_and_gets_them_back),
        TEST(a_file_that_never_had_text_is_refused),
        TEST(random_edits_keep_every_id_where_it_belongs),
        TEST(many_sections_of_one_name_take_a_time_that_grows_with_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
