/* Tokens that were checked: whose claims are known without a look at the signature, and when they are not. */
#include "kit_tokens.h"

#include "kit_fixture.h"

#define TOKENS 8

static struct kit_tokens *tokens;
static uint8_t digest[KIT_TOKEN_DIGEST];

static struct kit_claims *claims_of(const char *sub)
{
    json_t *token = json_pack("{s:s, s:s, s:i}", "sub", sub, "role", "agent", "exp", 2000000000);
    struct kit_claims *claims = kit_claims_new(token);
    json_decref(token);
    assert_non_null(claims);
    return claims;
}

static const char *find(const char *token, uint64_t keys, int64_t unix_s)
{
    static char sub[KIT_USER_SIZE];
    struct kit_claims *claims = kit_tokens_find(tokens, eio_str(token), keys, unix_s, digest);
    if (!claims) return NULL;
    snprintf(sub, sizeof sub, "%s", claims->sub);
    kit_claims_unref(claims);
    return sub;
}

static void keep(const char *token, const char *sub)
{
    struct kit_claims *claims = claims_of(sub);
    assert_null(find(token, 1, 1000));
    kit_tokens_keep(tokens, digest, 1, 1000, claims);
    kit_claims_unref(claims);
}

static int set_up(void **state)
{
    (void)state;
    tokens = kit_tokens_new(TOKENS);
    return tokens ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    kit_tokens_free(tokens);
    return 0;
}

static void a_token_is_known_after_its_check_and_no_other_is(void **state)
{
    (void)state;
    keep("a.b.c", "ann");
    assert_string_equal(find("a.b.c", 1, 1000), "ann");
    assert_string_equal(find("a.b.c", 1, 5000), "ann");
    assert_null(find("a.b.d", 1, 1000));
    assert_null(find("a.b.", 1, 1000));
    assert_null(find("", 1, 1000));
    struct kit_tokens_stats stats = kit_tokens_get_stats(tokens);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.misses, 4);
}

static void other_keys_and_an_earlier_time_ask_for_another_check(void **state)
{
    (void)state;
    keep("a.b.c", "ann");
    assert_null(find("a.b.c", 2, 1000));
    assert_null(find("a.b.c", 1, 999));
}

static void many_tokens_take_each_others_places_and_are_never_mistaken(void **state)
{
    char token[32], sub[32];
    size_t known = 0;
    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(token, sizeof token, "token %d", i);
        snprintf(sub, sizeof sub, "user %d", i);
        keep(token, sub);
        assert_string_equal(find(token, 1, 1000), sub);
    }
    for (int i = 0; i < 100; i++) {
        snprintf(token, sizeof token, "token %d", i);
        snprintf(sub, sizeof sub, "user %d", i);
        const char *found = find(token, 1, 1000);
        known += found != NULL;
        if (found) assert_string_equal(found, sub);
    }
    assert_in_range(known, 1, TOKENS);
}

static void without_a_place_nothing_is_known(void **state)
{
    struct kit_claims *claims = claims_of("ann");
    (void)state;
    assert_null(kit_tokens_new(0));
    assert_null(kit_tokens_find(NULL, eio_str("a.b.c"), 1, 1000, digest));
    kit_tokens_keep(NULL, digest, 1, 1000, claims);
    kit_claims_unref(claims);
    assert_int_equal(kit_tokens_get_stats(NULL).hits, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_token_is_known_after_its_check_and_no_other_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_keys_and_an_earlier_time_ask_for_another_check, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_tokens_take_each_others_places_and_are_never_mistaken, set_up, tear_down),
        cmocka_unit_test(without_a_place_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
