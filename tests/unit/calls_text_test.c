/* The words of a line, as an engine gets them that is given words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calls_text.h"
#include "test.h"

/* Text and room end at the end of what was allocated, so that a step beyond is seen. */
static void assert_words_of(struct eio_str text, const char *between, const char *wanted)
{
    char *exact = malloc(text.n + !text.n), *out = malloc(CALLS_TEXT_WORDS_SIZE(text.n));
    assert_non_null(exact);
    assert_non_null(out);
    if (text.n) memcpy(exact, text.p, text.n);
    size_t size = calls_text_words((struct eio_str){exact, text.n}, between, out);
    assert_int_equal(strlen(out), size);
    assert_string_equal(out, wanted);
    free(exact);
    free(out);
}

static void assert_words(const char *text, const char *wanted)
{
    assert_words_of(eio_str(text), " ", wanted);
}

static void words_are_letters_and_digits_in_small_letters(void **state)
{
    (void)state;
    assert_words("I've PAID 4.50, on-line!", "i ve paid 4 50 on line");
    assert_words("  … -- ", "");
    assert_words("", "");
    assert_words("Ärger mit ΣΟΦΙΑ", "arger mit σοφια");
    /* What stands for a query to the engine is no part of a word. */
    assert_words("a'b:c \\d & e|f !g <-> (h)*", "a b c d e f g h");
}

static void marks_belong_to_their_letter(void **state)
{
    (void)state;
    assert_words("и\u0301 हिन्दी", "и\u0301 हिन्दी");
}

/* Of Latin letters alone, however they are written; what has no letter of its own below it stays. */
static void accents_are_left_out(void **state)
{
    (void)state;
    assert_words("Café cafe\u0301 NAÏVE ệ", "cafe cafe naive e");
    assert_words("straße Łódź øre ά й", "straße łodz øre ά й");
    assert_words("\u0301a -\u0301b", "\u0301a \u0301b");
}

static void what_is_no_character_separates(void **state)
{
    (void)state;
    assert_words("a\xff\xc3"
                 "b\xc3",
                 "a b");
    assert_words_of((struct eio_str){"a\0b", 3}, " ", "a b");
}

/* Letters that are longer when they are small: U+023A is two bytes, U+2C65 is three. */
static void small_letters_may_be_longer(void **state)
{
    (void)state;
    assert_words("ȺȺȺȺ ȺȺȺȺ", "ⱥⱥⱥⱥ ⱥⱥⱥⱥ");
}

static void between_them_stands_what_is_asked_for(void **state)
{
    (void)state;
    assert_words_of(eio_str("a b-c"), " & ", "a & b & c");
    assert_words_of(eio_str("a b c d e f"), " & ", "a & b & c & d & e & f");
}

/* Such a thing is no word, and the engine may refuse it. */
static void very_long_words_are_left_out(void **state)
{
    char text[1000], longest[256];
    (void)state;
    memset(longest, 'x', 255);
    longest[255] = 0;
    snprintf(text, sizeof text, "a %s b", longest);
    assert_words(text, text);
    snprintf(text, sizeof text, "a %sx b %sx", longest, longest);
    assert_words(text, "a b");
    snprintf(text, sizeof text, "%sx b", longest);
    assert_words(text, "b");
    snprintf(text, sizeof text, "%sx", longest);
    assert_words(text, "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_letters_and_digits_in_small_letters),
        cmocka_unit_test(marks_belong_to_their_letter),
        cmocka_unit_test(accents_are_left_out),
        cmocka_unit_test(what_is_no_character_separates),
        cmocka_unit_test(small_letters_may_be_longer),
        cmocka_unit_test(between_them_stands_what_is_asked_for),
        cmocka_unit_test(very_long_words_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
