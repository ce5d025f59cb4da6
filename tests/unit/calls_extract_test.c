/* What of a call becomes its summary. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "calls_extract.h"

static struct calls_spoken lines[32];
static size_t count;

static void say(char who, const char *text)
{
    lines[count++] = (struct calls_spoken){who == 'c', eio_str(text)};
}

static const char *texts_of(const struct calls_section *section)
{
    static char text[2048];
    size_t n = 0;
    text[0] = 0;
    for (size_t i = 0; i < section->count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s", n ? "|" : "", (int)section->sentences[i].n,
                              section->sentences[i].p);
    return text;
}

static void a_return_is_needed_done_and_has_an_open_point(void **state)
{
    struct calls_extract extract;
    (void)state;
    count = 0;
    say('c', "Hi.");
    say('a', "Good morning, how can I help?");
    say('c', "I got the wrong size and want to return my jacket.");
    say('a', "Let me pull up the purchase. Could you tell me your order number?");
    say('c', "It is 4711.");
    say('a', "I checked the membership level of your account. I've sent the return label.");
    say('a', "You will get the money within five business days.");
    say('c', "Can I wear it until then?");
    calls_extract_make(&extract, lines, count,
                       eio_str("1. Pull up the account\n2. Check the membership level of the account"));
    assert_string_equal(texts_of(&extract.need), "I got the wrong size and want to return my jacket.");
    assert_string_equal(texts_of(&extract.done),
                        "I checked the membership level of your account.|I've sent the return label.");
    assert_string_equal(texts_of(&extract.open),
                        "You will get the money within five business days.|Can I wear it until then?");
}

static void a_question_that_was_answered_is_not_open(void **state)
{
    struct calls_extract extract;
    (void)state;
    count = 0;
    say('c', "Where is my parcel, please?");
    say('a', "At the post office.");
    calls_extract_make(&extract, lines, count, (struct eio_str){"", 0});
    assert_string_equal(texts_of(&extract.open), "");
    assert_string_equal(texts_of(&extract.done), "");
}

static void a_call_of_any_length_and_any_bytes_is_bounded(void **state)
{
    struct calls_extract extract;
    static char text[4000];
    (void)state;
    count = 0;
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = "I will go. ?\n\xc3\xa9"[i % 14];
    for (int i = 0; i < 32; i++) say(i % 2 ? 'c' : 'a', text);
    calls_extract_make(&extract, lines, count, eio_str(text));
    assert_int_equal(extract.open.count, CALLS_EXTRACT_MAX);
    count = 0;
    calls_extract_make(&extract, lines, 0, (struct eio_str){"", 0});
    assert_int_equal(extract.need.count + extract.done.count + extract.open.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_return_is_needed_done_and_has_an_open_point),
        cmocka_unit_test(a_question_that_was_answered_is_not_open),
        cmocka_unit_test(a_call_of_any_length_and_any_bytes_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
