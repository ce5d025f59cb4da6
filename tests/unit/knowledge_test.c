#include "kit_fixture.h"

#include "kit_embed.h"
#include "knowledge_int.h"

struct fixture {
    struct kit_config config;
    struct kit_work *work;
    struct kit_store *store;
    struct knowledge *knowledge;
};

static struct fixture f;

static int with_glossary;

static int set_up(void **state)
{
    struct kit_work_options options = {1, 100, 1 << 20};
    char error[512] = "";
    (void)state;
    fixture_config_data(&f.config, ":memory:");
    f.config.demo = *state == &with_glossary;
    f.work = kit_work_new(NULL, &options);
    f.store = kit_store_open(f.work, &f.config, error, sizeof error);
    if (!f.store) fail_msg("%s", error);
    f.knowledge = knowledge_new(&f.config, error, sizeof error);
    if (!f.knowledge) fail_msg("%s", error);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kit_work_free(f.work);
    kit_store_close(f.store);
    knowledge_free(f.knowledge);
    kit_config_clear(&f.config);
    return 0;
}

static size_t import(const char *name, const char *text)
{
    struct knowledge_import file = {.source = name, .text = eio_str(text)};
    char error[512] = "";
    if (knowledge_import(f.store, &file, error, sizeof error)) fail_msg("%s", error);
    f.knowledge->build_s = 0; /* an index that took long to build rests for a while: on a busy machine any does */
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
    bool is_typed;
    struct knowledge_result results[KNOWLEDGE_RESULTS_MAX];
    size_t count;
};

static int run_search(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    struct eio_str turn = eio_str(o->text);
    const struct knowledge_question question = {.turns = &turn, .turn_count = 1, .is_typed = o->is_typed};
    return knowledge_search_question(f.knowledge, db, &question, o->results, &o->count, &op->failure);
}

static int run_rows(struct kit_db *db, struct kit_store_op *op)
{
    struct op *o = (struct op *)op;
    char sql[128], value[64];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", o->text);
    if (kit_db_ask(db, sql, value, sizeof value)) return kit_db_fail(db, &op->failure);
    o->count = strtoul(value, NULL, 10);
    return 0;
}

static struct op ask(const char *text, bool is_typed)
{
    struct op o;
    memset(&o, 0, sizeof o);
    o.op.run = run_search;
    o.text = text;
    o.is_typed = is_typed;
    if (kit_store_run_now(f.store, &o.op)) fail_msg("%s", o.op.failure.message);
    return o;
}

static struct op search(const char *text)
{
    return ask(text, false);
}

static void assert_rows(const char *table, size_t count)
{
    struct op o;
    memset(&o, 0, sizeof o);
    o.op.run = run_rows;
    o.text = table;
    if (kit_store_run_now(f.store, &o.op)) fail_msg("%s", o.op.failure.message);
    assert_int_equal(o.count, count);
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
    assert_best("there is a stain on what i bought and i want to return it", "product-defect.return-due-to-stain");
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

struct vote_op {
    struct kit_store_op op;
    struct knowledge_vote vote;
};

static int run_vote(struct kit_db *db, struct kit_store_op *op)
{
    return knowledge_vote(f.knowledge, db, &((struct vote_op *)(void *)op)->vote, &op->failure);
}

static void teach(const char *call_id, const char *doc_id, int64_t weight, const char *said)
{
    struct eio_str turn = eio_str(said);
    struct vote_op o = {{.run = run_vote, .writes = true}, {call_id, doc_id, "ann", weight, &turn, 1}};
    if (kit_store_run_now(f.store, &o.op)) fail_msg("%s", o.op.failure.message);
}

static void vote(const char *call_id, const char *doc_id, bool helpful, const char *said)
{
    teach(call_id, doc_id, helpful ? KNOWLEDGE_WEIGHT_ONE : 0, said);
}

static void what_customers_of_a_helpful_document_said_finds_it(void **state)
{
    (void)state;
    import_guidelines();
    static const char said[] = "the doohickey squeaks when i wiggle it";
    assert_int_equal(search(said).count, 0);
    struct op before = search("my refund status please");
    vote("c1", "manage-account.manage-change-address", true, "my doohickey squeaks");
    vote("c2", "manage-account.manage-change-address", true, "there is a squeak in it");
    vote("c3", "product-defect.refund-status", true, "refund where");
    assert_best(said, "manage-account.manage-change-address");
    /* A vote that is repeated counts once, one that is changed counts no more. */
    struct op learned = search(said);
    vote("c1", "manage-account.manage-change-address", true, "my doohickey squeaks");
    assert_true(search(said).results[0].relevance == learned.results[0].relevance);
    vote("c1", "manage-account.manage-change-address", false, "whatever is said now");
    vote("c2", "manage-account.manage-change-address", false, "");
    vote("c3", "product-defect.refund-status", false, "");
    assert_int_equal(search(said).count, 0);
    assert_memory_equal(search("my refund status please").results, before.results, sizeof before.results);
    assert_rows("learned", 0);
    assert_rows("learned_votes", 0);
}

static void phrases_of_the_author_find_a_document_and_are_not_shown(void **state)
{
    (void)state;
    static const char said[] = "the doohickey squeaks when i wiggle it";
    import("help.md", "# Broken hinge\n\nOil the hinge.\n\n# Opening hours\n\nWe open at ten.\n");
    assert_int_equal(search(said).count, 0);
    import("help.md", "# Broken hinge\n\nOil the hinge.\n\n## Says\n\n- my doohickey squeaks\n- \"it creaks\"\n\n"
                      "# Opening hours\n\nWe open at ten.\n");
    struct op found = search(said);
    assert_string_equal(found.results[0].title, "Broken hinge");
    assert_string_equal(found.results[0].excerpt, "Oil the hinge.");
    /* Beside what calls taught, and gone with the phrases. */
    vote("c1", "help.broken-hinge", true, "my doohickey squeaks");
    double both = search(said).results[0].relevance;
    assert_true(both > found.results[0].relevance);
    vote("c1", "help.broken-hinge", false, "");
    assert_true(search(said).results[0].relevance == found.results[0].relevance);
    import("help.md", "# Broken hinge\n\nOil the hinge.\n\n# Opening hours\n\nWe open at ten.\n");
    assert_int_equal(search(said).count, 0);
}

static int run_forget(struct kit_db *db, struct kit_store_op *op)
{
    return knowledge_forget_call(db, ((struct op *)op)->text, &op->failure);
}

/* With an embeddings service a call's text waits for its vector: no longer than its vote and its call. */
static void a_text_that_waits_goes_with_its_vote_and_its_call(void **state)
{
    (void)state;
    f.knowledge->model = "a model";
    import_guidelines();
    vote("c1", "product-defect.refund-status", true, "my doohickey squeaks");
    vote("c2", "product-defect.refund-status", true, "the gizmo hums");
    assert_rows("embeddings_wanted", 2);
    vote("c1", "product-defect.refund-status", false, "");
    assert_rows("embeddings_wanted", 1);
    struct op o = {.op = {.run = run_forget, .writes = true}, .text = "c2"};
    assert_int_equal(kit_store_run_now(f.store, &o.op), 0);
    assert_rows("embeddings_wanted", 0);
    assert_rows("learned_votes", 0);
    assert_rows("learned_calls", 1); /* what the document gained stays */
}

static double relevance_after(int64_t weight)
{
    teach("c1", "product-defect.refund-status", weight, "my doohickey squeaks");
    struct op found = search("refund for a doohickey that squeaks");
    for (size_t i = 0; i < found.count; i++)
        if (!strcmp(found.results[i].id, "product-defect.refund-status")) return found.results[i].relevance;
    return 0;
}

static void what_weighs_less_teaches_less_and_is_replaced_by_what_weighs_more(void **state)
{
    (void)state;
    import_guidelines();
    double before = relevance_after(0);
    double opened = relevance_after(KNOWLEDGE_WEIGHT_OPENED), copied = relevance_after(KNOWLEDGE_WEIGHT_COPIED);
    double voted = relevance_after(KNOWLEDGE_WEIGHT_ONE);
    assert_true(before < opened && opened < copied && copied < voted);
    assert_true(relevance_after(KNOWLEDGE_WEIGHT_OPENED) == opened);
    assert_true(relevance_after(0) == before);
    assert_rows("learned", 0);
}

static void what_was_learned_outlives_a_new_import(void **state)
{
    (void)state;
    import("a.md", "# Alpha\n\nwidget repair\n\n# Beta\n\ngadget repair\n");
    vote("c1", "a.beta", true, "it squeaks");
    import("a.md", "# Alpha\n\nwidget repair\n\n# Beta\n\ngadget repair, edited\n");
    assert_best("what squeaks", "a.beta");
    import("a.md", "# Alpha\n\nwidget repair\n");
    search("what squeaks");
    import("a.md", "# Alpha\n\nwidget repair\n\n# Beta\n\nback again\n");
    assert_best("what squeaks", "a.beta");
}

static void a_suggestion_names_what_was_said_and_the_passage_that_fits(void **state)
{
    (void)state;
    import("a.md", "# Parcels\n\nAsk for the order.\n\nA parcel that is lost is sent again.\n\nBe polite.\n");
    import("b.md", "# Payment\n\nAsk for the order.\n\nBy card.\n");
    struct op o = search("Hello, my PARCELS got lost");
    assert_string_equal(o.results[0].id, "a.parcels");
    assert_string_equal(o.results[0].excerpt, "A parcel that is lost is sent again.");
    assert_string_equal(o.results[0].why, "parcels\nlost");
}

static void words_of_other_scripts_find_documents(void **state)
{
    static const char *const pairs[][3] = {
        {"# \u0412\u043e\u0437\u0432\u0440\u0430\u0442",
         "\u0413\u0434\u0435 \u043c\u043e\u0438 \u0412\u041e\u0417\u0412\u0420\u0410\u0422\u042b?",
         "russian, another ending"},
        {"# \u8fd4\u54c1\u306b\u3064\u3044\u3066", "\u5546\u54c1\u306e\u8fd4\u54c1\u3092\u3057\u305f\u3044",
         "japanese"},
        {"# \u9000\u6b3e", "\u6211\u7684\u9000\u6b3e\u5462", "chinese"},
        {"# \u0e01\u0e32\u0e23\u0e04\u0e37\u0e19\u0e40\u0e07\u0e34\u0e19",
         "\u0e15\u0e49\u0e2d\u0e07\u0e01\u0e32\u0e23\u0e04\u0e37\u0e19\u0e40\u0e07\u0e34\u0e19", "thai"},
        {"# Stra\u00dfe", "die STRASSE", "sharp s"},
        {"# Caf\u00e9", "the cafe\u0301s", "a combining accent"},
        {"# Istanbul", "\u0130STANBUL", "a dotted capital i"},
        {"# Refund", "\uff32\uff45\uff46\uff55\uff4e\uff44", "full width"},
        {"# Router", "my\u00a0router\u2014dead", "no-break space and dash"},
        {"# Abo", "\u201eAbo\u201c", "quotes"},
        {"# Hotline", "l\u2019hotline", "apostrophe"},
    };
    (void)state;
    import("other.md", "# Something else\n\nhere\n");
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s\n\nx\n", pairs[i][0]);
        import("a.md", text);
        struct op o = search(pairs[i][1]);
        if (!o.count || !strncmp(o.results[0].id, "other", 5)) fail_msg("%s: not found", pairs[i][2]);
    }
}

/* In a call such words are noise among 56 documents; an agent who types them wants the document that has them. */
static void what_somebody_types_is_found_by_its_words_however_deep_they_stand(void **state)
{
    char text[16384] = "# Wardrobe\n\nHow to assemble it.\n\n";
    size_t n = strlen(text);
    (void)state;
    import_guidelines();
    for (int i = 1; i <= 200; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%d. Take part %d and screw it to part %d%s.\n", i, i, i + 1,
                              i == 150 ? " where the purple hinge squeaks" : "");
    import("assembly.md", text);
    struct op o = ask("purple hinge squeaking", true);
    assert_true(o.count >= 1);
    assert_string_equal(o.results[0].id, "assembly.wardrobe");
    assert_non_null(strstr(o.results[0].excerpt, "purple hinge"));
    for (size_t i = 1; i < o.count; i++) assert_true(o.results[i].relevance <= o.results[i - 1].relevance);
    /* A question in words of everyday finds what it found. */
    o = ask("how do I reset the password", true);
    assert_string_equal(o.results[0].id, "account-access.recover-password");
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

/* The first document has the word in a step, the second is near by its meaning alone. */
static void weights_decide_what_counts(void **state)
{
    struct knowledge_weights weights = f.knowledge->weights;
    (void)state;
    assert_true(weights.title == 3 && weights.word == 0.6 && weights.learned == 0.3 && weights.vector == 16);
    import("a.md", "# Parking\nWhere to leave a car.\n\n1. Give the guest a voucher\n");
    import("b.md", "# Gift certificate\nA coupon that was bought.\n\n1. Look it up\n");
    assert_best("voucher", "b.gift-certificate");
    f.knowledge->weights.vector = 0;
    assert_best("voucher", "a.parking");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_guidelines_become_a_document_per_subflow),
        TEST(weights_decide_what_counts),
        cmocka_unit_test_prestate_setup_teardown(what_customers_say_finds_the_right_guideline, set_up, tear_down,
                                                 &with_glossary),
        TEST(small_talk_and_personal_data_find_nothing),
        TEST(operators_of_the_query_language_are_words_like_others),
        TEST(phrases_of_the_author_find_a_document_and_are_not_shown),
        TEST(a_text_that_waits_goes_with_its_vote_and_its_call),
        TEST(what_customers_of_a_helpful_document_said_finds_it),
        TEST(what_weighs_less_teaches_less_and_is_replaced_by_what_weighs_more),
        TEST(what_was_learned_outlives_a_new_import),
        TEST(a_suggestion_names_what_was_said_and_the_passage_that_fits),
        TEST(words_of_other_scripts_find_documents),
        TEST(what_somebody_types_is_found_by_its_words_however_deep_they_stand),
        TEST(a_new_import_replaces_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
