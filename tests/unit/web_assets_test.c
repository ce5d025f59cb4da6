/* Entity tags of the embedded page. The answers themselves are tested over HTTP by tests/browser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "web.h"
#include "kit_embed.h"

#include <string.h>

#define TAG "\"0123abcd\""

static void test_a_matching_tag_is_found_in_any_list(void **state)
{
    (void)state;
    assert_true(web_assets_etag_matches(eio_str(TAG), TAG));
    assert_true(web_assets_etag_matches(eio_str("W/" TAG), TAG));
    assert_true(web_assets_etag_matches(eio_str("\"x\" , " TAG " ,\"y\""), TAG));
    assert_true(web_assets_etag_matches(eio_str("*"), TAG));
}

static void test_another_tag_does_not_match(void **state)
{
    (void)state;
    assert_false(web_assets_etag_matches((struct eio_str){NULL, 0}, TAG));
    assert_false(web_assets_etag_matches(eio_str(""), TAG));
    assert_false(web_assets_etag_matches(eio_str("0123abcd"), TAG));
    assert_false(web_assets_etag_matches(eio_str("\"0123abc\", \"0123abcde\",,"), TAG));
    assert_false(web_assets_etag_matches(eio_str("W/"), TAG));
}

/* Only a prefix of the header belongs to us: nothing past its size may count. */
static void test_the_header_ends_where_its_size_says(void **state)
{
    (void)state;
    assert_false(web_assets_etag_matches((struct eio_str){TAG, strlen(TAG) - 1}, TAG));
    assert_true(web_assets_etag_matches((struct eio_str){TAG "x", strlen(TAG)}, TAG));
}

static void test_embedded_files_are_whole_and_end_with_a_nul(void **state)
{
    (void)state;
    const struct kit_embedded_file *page = kit_embedded_find(kit_embedded_assets, "index.html");
    assert_non_null(page);
    assert_memory_equal(page->data, "<!doctype html>", 15);
    assert_int_equal(*page->end, 0);
    assert_int_equal(kit_embedded_size(page), strlen((const char *)page->data));
    assert_string_equal((const char *)page->end - 8, "</html>\n");
    assert_null(kit_embedded_find(kit_embedded_assets, "no such file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_matching_tag_is_found_in_any_list),
        cmocka_unit_test(test_another_tag_does_not_match),
        cmocka_unit_test(test_the_header_ends_where_its_size_says),
        cmocka_unit_test(test_embedded_files_are_whole_and_end_with_a_nul),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
