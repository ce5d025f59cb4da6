#include "kit_fixture.h"

#include "kit_embed.h"

struct fixture {
    struct kit_config config;
    struct kit_work *work;
    struct kit_store *store;
};

static struct fixture f;

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

static size_t import(const char *name, const char *text)
{
    struct knowledge_import file = {.source = name, .text = eio_str(text)};
    char error[512] = "";
    if (knowledge_import(f.store, &file, error, sizeof error)) fail_msg("%s", error);
    return file.count;
}

static size_t import_guidelines(void)
{
    const struct kit_embedded_file *file = kit_embedded_find(kit_embedded_demo, "guidelines.json");
    assert_non_null(file);
    return import("guidelines.json", (const char *)file->data);
}

/* A search or a statement, run at once. */
struct op {
    struct kit_store_op op;
    const char *text;
    struct knowledge_result results[KNOWLEDGE_RESULTS_MAX];
    size_t count;
};

static int run_search(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    return knowledge_search(db, o->text, o->results, &o->count, &op->failure);
}

static int run_sql(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    return sqlite3_exec(kit_db_sqlite(db), o->text, NULL, NULL, NULL) ? kit_db_fail(db, &op->failure) : 0;
}

static struct op search(const char *text)
{
    struct op o;
    memset(&o, 0, sizeof o);
    o.op.run = run_search;
    o.text = text;
    if (kit_store_run_now(f.store, &o.op)) fail_msg("%s", o.op.failure.message);
    return o;
}

static void sql(const char *text)
{
    struct op o;
    memset(&o, 0, sizeof o);
    o.op.run = run_sql;
    o.op.writes = true;
    o.text = text;
    if (kit_store_run_now(f.store, &o.op)) fail_msg("%s", o.op.failure.message);
}

static void assert_best(const char *said, const char *id)
{
    struct op o = search(said);
    assert_true(o.count >= 1);
    if (strcmp(o.results[0].id, id)) fail_msg("'%s': %s instead of %s", said, o.results[0].id, id);
    assert_true(o.count <= KNOWLEDGE_RESULTS_MAX);
    for (size_t i = 0; i < o.count; i++) {
        assert_true(o.results[i].relevance > 0 && o.results[i].relevance < 1);
        if (i) assert_true(o.results[i].relevance <= o.results[i - 1].relevance);
        assert_true(o.results[i].title[0] && o.results[i].excerpt[0]);
    }
}

static void the_guidelines_become_a_document_per_subflow(void **state)
{
    (void)state;
    assert_int_equal(import_guidelines(), 55);
    struct op o = search("recover username");
    assert_string_equal(o.results[0].id, "account-access.recover-username");
    assert_string_equal(o.results[0].title, "Recover Username");
    assert_non_null(strstr(o.results[0].topic, "Account Access"));
}

static void what_customers_say_finds_the_right_guideline(void **state)
{
    (void)state;
    import_guidelines();
    assert_best("Hi! I need to return an item, can you help me with that? I got the wrong size.",
                "product-defect.return-due-to-size");
    assert_best("there is a stain on the shirt i bought and i want to return it", "product-defect.return-due-to-stain");
    assert_best("I forgot my password and cannot log in", "account-access.recover-password");
    assert_best("my promo code does not work, it says it is out of date", "purchase-dispute.promo-code-out-of-date");
    assert_best("what is the status of my refund?", "product-defect.refund-status");
    assert_best("The website is too slow today", "troubleshoot-site.website-too-slow");
    assert_best("my credit card is declined, it says invalid", "troubleshoot-site.invalid-credit-card");
    assert_best("i moved, please change my address", "manage-account.manage-change-address");
    assert_best("I want an extension for paying my subscription bill", "subscription-inquiry.manage-extension");
    assert_best("one item is missing in my package", "shipping-issue.missing-item");
    assert_best("I forgot my username", "account-access.recover-username");
    assert_best("my cart is not updating when i add things", "troubleshoot-site.cart-not-updating");
    assert_best("i lost my phone for two factor authentication", "account-access.reset-two-factor-auth");
    assert_best("a competitor has a lower price", "purchase-dispute.bad-price-competitor");
}

static void small_talk_and_personal_data_find_nothing(void **state)
{
    (void)state;
    import_guidelines();
    assert_int_equal(search("Hi! How are you? Thanks, bye").count, 0);
    assert_int_equal(search("").count, 0);
    assert_int_equal(search("3348917502").count, 0);
    assert_int_equal(search("cminh730@email.com").count, 0);
    assert_int_equal(search("(977) 625-2661").count, 0);
    assert_int_equal(search("I would like to order").count, 0); /* a word that most documents have */
}

static void operators_of_the_query_language_are_words_like_others(void **state)
{
    char all[256];
    (void)state;
    import_guidelines();
    search("\" OR 1 NEAR(refund, 2) title:refund ^refund refund* AND NOT -refund (\"");
    search("near near not and or");
    for (int c = 1; c < 256; c++) all[c - 1] = (char)c;
    all[255] = 0;
    search(all);
    search("';DROP TABLE documents;--");
    assert_best("refund' status\"", "product-defect.refund-status");
}

static void feedback_changes_the_ranking(void **state)
{
    (void)state;
    import("a.md", "# Alpha\nwidget repair guide\n");
    import("b.md", "# Beta\nwidget repair guide\n");
    struct op before = search("widget repair");
    assert_int_equal(before.count, 2);
    assert_string_equal(before.results[0].id, "a.alpha");
    sql("UPDATE documents SET helpful=5 WHERE doc_id='b.beta'");
    sql("UPDATE documents SET unhelpful=5 WHERE doc_id='a.alpha'");
    struct op after = search("widget repair");
    assert_string_equal(after.results[0].id, "b.beta");
    assert_true(after.results[0].relevance > before.results[0].relevance);
}

static void a_new_import_replaces_the_text(void **state)
{
    (void)state;
    import("a.md", "# Alpha\nold words\n");
    import("a.md", "# Alpha\nfresh words\n");
    assert_int_equal(search("old").count, 0);
    assert_int_equal(search("fresh").count, 1);
    assert_int_equal(search("words").count, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_guidelines_become_a_document_per_subflow),
        TEST(what_customers_say_finds_the_right_guideline),
        TEST(small_talk_and_personal_data_find_nothing),
        TEST(operators_of_the_query_language_are_words_like_others),
        TEST(feedback_changes_the_ranking),
        TEST(a_new_import_replaces_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
