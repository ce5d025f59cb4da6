/* What a model is asked for a summary, and what of its answer is one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calls_summary_model.h"

static void assert_read(const char *answer, const char *need, const char *done, const char *open)
{
    struct calls_sections sections;
    if (!calls_sections_read(&sections, answer)) fail_msg("refused: %s", answer);
    assert_string_equal(sections.need, need);
    assert_string_equal(sections.done, done);
    assert_string_equal(sections.open, open);
    calls_sections_clear(&sections);
}

static void an_object_is_found_whatever_stands_around_it(void **state)
{
    (void)state;
    assert_read("{\"need\":\"a\",\"done\":[],\"open\":\"\"}", "a", "", "");
    assert_read(
        "```json\n{\"need\": \"a refund\", \"done\": [\"label sent\", \"noted\"], \"open\": [\"call back\"]}\n```",
        "a refund", "label sent\nnoted", "call back");
    assert_read("<think>{what} now {\"need\":1}</think>{\"need\":\"a\",\"done\":\"b\",\"open\":[],\"more\":{}} bye",
                "a", "b", "");
    assert_read("{\"need\":[\" a\\n\\tb\\u001b[1m \"],\"done\":\"\xc3\xbc\",\"open\":\"\"}", "a b [1m", "\xc3\xbc", "");
}

static void anything_else_is_no_summary(void **state)
{
    static const char *const wrong[] = {"",
                                        "The customer wants a refund.",
                                        "{",
                                        "[]",

                                        "{\"need\":\"\",\"done\":[],\"open\":[]}",
                                        "{\"need\":7,\"done\":[],\"open\":[]}",
                                        "{\"need\":\"a\",\"done\":[7],\"open\":[]}",

                                        "{\"need\":\"a\\u0000b\",\"done\":[],\"open\":[]}"};
    struct calls_sections sections;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (calls_sections_read(&sections, wrong[i])) fail_msg("taken: %s", wrong[i]);
    assert_false(calls_sections_read(&sections, NULL));
    char many[80], *longest = malloc(CALLS_WRITTEN_MAX + 100);
    memset(many, '{', sizeof many - 1);
    many[sizeof many - 1] = 0;
    assert_false(calls_sections_read(&sections, many));
    int n = sprintf(longest, "{\"done\":[],\"open\":[],\"need\":\"");
    memset(longest + n, 'x', CALLS_WRITTEN_MAX + 1);
    strcpy(longest + n + CALLS_WRITTEN_MAX + 1, "\"}");
    assert_false(calls_sections_read(&sections, longest));
    strcpy(longest + n + CALLS_WRITTEN_MAX, "\"}");
    assert_true(calls_sections_read(&sections, longest));
    calls_sections_clear(&sections);
    free(longest);
}

static void a_long_call_is_asked_about_by_its_beginning_and_its_end(void **state)
{
    static const struct calls_spoken lines[] = {
        {true, {"one", 3}}, {false, {"two", 3}}, {true, {"three", 5}}, {false, {"four", 4}}, {true, {"five", 4}}};
    char *text = calls_summary_text(lines, 5, "Refunds", "1. Look\n2. Pay", 10000);
    (void)state;
    assert_string_equal(text, "The article that fitted best: Refunds\n1. Look\n2. Pay\n\nThe transcript:\n"
                              "customer: one\nagent: two\ncustomer: three\nagent: four\ncustomer: five\n");
    free(text);
    text = calls_summary_text(lines, 5, "", NULL, 63);
    assert_string_equal(text, "The transcript:\ncustomer: one\n[…]\nagent: four\ncustomer: five\n");
    free(text);
    text = calls_summary_text(lines, 5, "", NULL, 1);
    assert_string_equal(text, "The transcript:\n[…]\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_found_whatever_stands_around_it),
        cmocka_unit_test(anything_else_is_no_summary),
        cmocka_unit_test(a_long_call_is_asked_about_by_its_beginning_and_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
