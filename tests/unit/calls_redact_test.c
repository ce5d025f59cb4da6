/* What is hidden before it is stored, and what is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "calls_redact.h"
#include "test.h"

static struct calls_redaction *rules(const char *text)
{
    char error[256];
    struct calls_redaction *redaction = text ? calls_redaction_new(eio_str(text), error, sizeof error)
                                             : calls_redaction_open("default", error, sizeof error);
    if (!redaction) fail_msg("%s", error);
    return redaction;
}

/* The text at the end of a page, so that a look beyond it is seen; NULL: unchanged. */
static char *redact(const struct calls_redaction *redaction, const char *text, bool is_partial)
{
    char *out, *exact = malloc(strlen(text) + !*text);
    size_t size;
    assert_non_null(exact);
    memcpy(exact, text, strlen(text));
    assert_int_equal(calls_redact(redaction, (struct eio_str){exact, strlen(text)}, is_partial, &out, &size), 0);
    free(exact);
    if (out) assert_int_equal(strlen(out), size);
    return out;
}

static void assert_becomes(const char *text, const char *wanted)
{
    struct calls_redaction *redaction = rules(NULL);
    char *out = redact(redaction, text, false);
    assert_string_equal(out ? out : text, wanted);
    free(out);
    calls_redaction_free(redaction);
}

static void assert_stays(const char *text)
{
    assert_becomes(text, text);
}

/* The card 4111 1111 1111 1111, as people say it and recognisers write it. */
static void card_numbers_in_words_are_hidden(void **state)
{
    (void)state;
    assert_becomes("it is four one one one one one one one one one one one one one one one, yes", "it is [card], yes");
    assert_becomes("Four one one one, one one one one. double one double one, ONE one one one", "[card]");
    assert_becomes("forty-one eleven eleven eleven eleven eleven eleven eleven", "[card]");
    assert_becomes("forty one triple one one one 1111 double one and one one then one", "[card]");
    assert_becomes("4111 1111 one one one one one one one one expires", "[card] expires");
    assert_becomes("five five oh oh zero o zero zero zero zero zero zero zero zero zero four",
                   "[card]"); /* 5500 … 0004 */
    assert_becomes("vier eins eins eins eins eins eins eins doppel eins einmal",
                   "vier eins eins eins eins eins eins eins "
                   "doppel eins einmal");
    assert_becomes("Vier eins eins eins, elf elf elf elf, eins eins eins eins", "[card]");
    assert_becomes("einundvierzig elf elf elf elf elf elf elf", "[card]");
    assert_becomes("f\u00fcnf F\u00dcNF null null null null null null null null null null null null null vier",
                   "[card]");
    assert_becomes("quatre un un un un un un un un un un un un un un un", "[card]");
    assert_becomes("cuatro uno uno uno uno uno uno uno uno uno uno uno uno uno uno uno", "[card]");
    assert_stays("four one one one one one one one one one one one one one one two"); /* does not fit */
    assert_becomes("order 12345 four one one one one one one one one one one one one one one one",
                   "order 12345 [card]");
    assert_becomes("is two, four one one one one one one one one one one one one one one one two",
                   "is two, [card] two");
    assert_stays("one of the four things we sell, and two or three more");
    assert_stays("one two three four five six seven eight nine ten, here I come");
    assert_stays("und und und einund undeins und dann die die die die die die die");
    assert_stays("twenty twenty-one and nineteen ninety-nine");
}

static void a_number_in_words_that_may_go_on_is_hidden(void **state)
{
    struct calls_redaction *redaction = rules(NULL);
    (void)state;
    char *out = redact(redaction, "it is four one one one one one", true);
    assert_string_equal(out, "it is [card]");
    free(out);
    assert_null(redact(redaction, "it is four one one one one one", false));
    assert_null(redact(redaction, "one of the four things", true));
    calls_redaction_free(redaction);
}

static void card_numbers_that_fit_luhn_are_hidden(void **state)
{
    (void)state;
    assert_becomes("my card is 4111111111111111, yes", "my card is [card], yes");
    assert_becomes("4111 1111 1111 1111", "[card]");
    assert_becomes("4111-1111-1111-1111.", "[card].");
    assert_becomes("378282246310005", "[card]");
    assert_becomes("3782 822463 10005", "[card]");
    assert_becomes("4111\u00a01111\u20111111\u20131111", "[card]");
    assert_becomes("order 12345 4111 1111 1111 1111", "order 12345 [card]");
    assert_becomes("4111 1111 1111 1111 12/27", "[card] 12/27");
    assert_becomes("4111 1111 1111 1111 and 5500 0000 0000 0004", "[card] and [card]");
    assert_becomes("x4111111111111111x", "x[card]x");
    assert_becomes("4111, 1111, 1111, 1111", "[card]");
    assert_becomes("4111 - 1111 - 1111 - 1111", "[card]");
    assert_becomes("4111  1111\u200b1111\u20141111", "[card]");
    assert_becomes("\u66314111111111111111\u3067\u3059", "\u6631[card]\u3067\u3059");
    assert_stays("4111111111111112");
    assert_stays("41111111111111111111111"); /* too long, and no part of it is looked for */
}

static void ibans_that_fit_their_check_are_hidden(void **state)
{
    (void)state;
    assert_becomes("it is DE89 3704 0044 0532 0130 00 please", "it is [iban] please");
    assert_becomes("de89370400440532013000", "[iban]");
    assert_becomes("GB82 WEST 1234 5698 7654 32.", "[iban].");
    assert_becomes("NO93 8601 1117 947", "[iban]");
    assert_becomes("\u201eDE89370400440532013000\u201c", "\u201e[iban]\u201c");
    assert_becomes("DE89 - 3704 - 0044 - 0532 - 0130 - 00", "[iban]");
    assert_stays("DE8937040044053201300X");
}

static void addresses_are_hidden(void **state)
{
    (void)state;
    assert_becomes("write to ann.smith+x@mail.example.com.", "write to [email].");
    assert_becomes("<j\u00fcrgen@b\u00fccher.example>", "<[email]>");
    assert_becomes("a@b.c,d@e.f", "[email],[email]");
    assert_stays("meet me @ noon");
    assert_stays("price @10.50");
    assert_stays("@handle");
    assert_stays("ann@localhost");
    assert_stays("@");
    assert_stays("x@.");
}

static void phone_numbers_need_plus_brackets_or_separators(void **state)
{
    (void)state;
    assert_becomes("call +491711234567 now", "call [phone] now");
    assert_becomes("+49 171 1234567", "[phone]");
    assert_becomes("+49 (0) 171 1234567", "[phone]");
    assert_becomes("(555) 010-0199", "[phone]");
    assert_becomes("(0171) 2345678", "[phone]");
    assert_becomes("555-010-0199 or 0171/2345678", "[phone] or [phone]");
    assert_becomes("555.010.01999", "[phone]");
    assert_becomes("0171 / 1234567, (0171) - 123 45 67", "[phone], [phone]");
    assert_becomes("\u201e0171-1234567\u201c, \u2026+49 171 1234567", "\u201e[phone]\u201c, \u2026[phone]");
    assert_becomes("\u756a\u53f7\u306f090-1234-5678\u3067\u3059", "\u756a\u53f7\u306f[phone]\u3067\u3059");
    assert_stays("between 1000 - 2000, 2019 / 2020");
    assert_stays("on 05 / 11 / 2026");
    assert_stays("order 4711081512");
    assert_stays("order 12345678 please");
    assert_stays("on 2026-11-29 and 29.11.2026 and 1/31/2026");
    assert_stays("it cost 1.234.567 at 192.168.100.200");
    assert_stays("room 12-34");
    assert_stays("from 10 to 20");
    assert_stays("ABC1234-56789");
}

static void what_may_become_a_number_is_hidden_at_the_end_of_a_partial_text(void **state)
{
    static const char whole[] = "my card is 4111 1111 1111 1111";
    struct calls_redaction *redaction = rules(NULL);
    (void)state;
    for (size_t n = 0; n <= strlen(whole); n++) {
        char *part = strndup(whole, n), *out = redact(redaction, part, true);
        assert_null(strstr(out ? out : part, "4111 11"));
        free(out);
        free(part);
    }
    char *out = redact(redaction, "reach me at ann@mail", true);
    assert_string_equal(out, "reach me at [email]");
    free(out);
    out = redact(redaction, "call +49 171", true);
    assert_string_equal(out, "call [phone]");
    free(out);
    assert_null(redact(redaction, "order 123456 is late", true));
    assert_null(redact(redaction, "gate 12345", true));
    calls_redaction_free(redaction);
}

static void digits_of_other_scripts_and_widths_are_digits(void **state)
{
    (void)state;
    assert_becomes("\uff14\uff11\uff11\uff11 1111 1111 1111", "[card]");
    assert_becomes(
        "\u0664\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661 \u0661\u0661\u0661\u0661",
        "[card]");
    assert_becomes("\uff0b49 \u0967\u096d\u0967 1234567", "[phone]");
    assert_becomes("ann\uff20example.com", "[email]");
    assert_becomes("\uff08\u0661\uff09 4111111111111111",
                   "(1) [card]"); /* what is hidden costs the others their width */
    assert_stays("\u5341\uff0c\uff11\uff12\u0663");
    assert_stays("\xff\xef\xbc");
}

static void patterns_of_a_file_are_rules_too(void **state)
{
    struct calls_redaction *redaction = rules("# ours\n\n order : /\\bORD-\\d{4,8}\\b/ \r\ncard: card\n");
    (void)state;
    char *out = redact(redaction, "ORD-12345 and ORD-99 paid by 4111111111111111 +491711234567", false);
    assert_string_equal(out, "[order] and ORD-99 paid by [card] +491711234567");
    free(out);
    calls_redaction_free(redaction);
    redaction = rules("all: /.*/\n");
    out = redact(redaction, "x", false);
    assert_string_equal(out, "[all]");
    free(out);
    calls_redaction_free(redaction);
    redaction = rules("none: /x*/\n");
    assert_null(redact(redaction, "abc", false));
    calls_redaction_free(redaction);
}

static void a_pattern_that_takes_too_long_hides_the_whole_text(void **state)
{
    struct calls_redaction *redaction = rules("slow: /^(a|aa)+$/\n");
    char text[64];
    (void)state;
    memset(text, 'a', 60);
    strcpy(text + 60, "!");
    char *out = redact(redaction, text, false);
    assert_non_null(out);
    assert_string_equal(out, "[slow]");
    free(out);
    calls_redaction_free(redaction);
}

static void mistakes_in_a_file_name_their_line(void **state)
{
    static const char *const wrong[] = {"card", "card:", ": card", "x: kard", "x: /", "x: //", "x: /(/", "x: /\\C/"};
    char error[256];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "a: card\n%s\n", wrong[i]);
        assert_null(calls_redaction_new(eio_str(text), error, sizeof error));
        assert_memory_equal(error, "line 2: ", 8);
    }
    assert_null(calls_redaction_open("/nowhere/rules", error, sizeof error));
    assert_string_equal(error, "/nowhere/rules: No such file or directory");
    assert_null(calls_redaction_open("off", error, sizeof error));
    assert_string_equal(error, "");
}

/* Whatever bytes come, all that is found lies within them. */
static void finders_stay_within_the_text(void **state)
{
    static const char letters[] = "0123456789 -./()+@.aZ\xc2\xa0\xe2\x80\x93";
    static const calls_find_fn finders[] = {calls_find_card, calls_find_iban, calls_find_email, calls_find_phone};
    uint32_t seed = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)round % 48;
        char *text = malloc(n + !n);
        for (size_t i = 0; i < n; i++)
            text[i] = letters[((seed = seed * 1664525u + 1013904223u) >> 8) % (sizeof letters - 1)];
        for (size_t k = 0; k < 4; k++) {
            size_t from = 0;
            for (;;) {
                struct calls_span span = finders[k]((struct eio_str){text, n}, from, round & 1);
                if (span.end <= span.begin) break;
                assert_true(span.begin >= from && span.end <= n);
                from = span.end;
            }
        }
        free(text);
    }
}

/* Texts of what numbers and addresses are made of: where a glance says that a finder has nothing to find, it has not.
 */
static void a_glance_rules_out_nothing_that_is_there(void **state)
{
    static const calls_find_fn finders[] = {calls_find_card, calls_find_iban, calls_find_email, calls_find_phone};
    static const char *const pieces[] = {"4111 1111 1111 1111",
                                         "DE89370400440532013000",
                                         "ann@example.org",
                                         "+4",
                                         "030 123456",
                                         "123456",
                                         "12",
                                         "7",
                                         "@",
                                         "a",
                                         ".",
                                         " ",
                                         "-",
                                         "+",
                                         "(0)",
                                         "GB",
                                         "é"};
    enum { PIECES = sizeof pieces / sizeof pieces[0], FINDERS = sizeof finders / sizeof finders[0] };
    uint32_t seed = 1;
    size_t ruled_out = 0, found = 0;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        char text[160] = "";
        for (int i = 0; i < 1 + round % 5; i++)
            strcat(text, pieces[(seed = seed * 1664525 + 1013904223) / 65536 % PIECES]);
        struct eio_str all = eio_str(text);
        struct calls_glance glance = calls_glance_at(all);
        for (size_t i = 0; i < FINDERS; i++) {
            for (int is_partial = 0; is_partial < 2; is_partial++) {
                struct calls_span span = finders[i](all, 0, is_partial);
                bool may = calls_may_find(finders[i], &glance, is_partial);
                if (span.end > span.begin && !may) fail_msg("finder %zu, partial %d: %s", i, is_partial, text);
                ruled_out += !may;
                found += span.end > span.begin;
            }
        }
    }
    assert_true(ruled_out > 10000 && found > 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(card_numbers_that_fit_luhn_are_hidden),
        cmocka_unit_test(card_numbers_in_words_are_hidden),
        cmocka_unit_test(a_number_in_words_that_may_go_on_is_hidden),
        cmocka_unit_test(ibans_that_fit_their_check_are_hidden),
        cmocka_unit_test(addresses_are_hidden),
        cmocka_unit_test(phone_numbers_need_plus_brackets_or_separators),
        cmocka_unit_test(what_may_become_a_number_is_hidden_at_the_end_of_a_partial_text),
        cmocka_unit_test(digits_of_other_scripts_and_widths_are_digits),
        cmocka_unit_test(patterns_of_a_file_are_rules_too),
        cmocka_unit_test(a_pattern_that_takes_too_long_hides_the_whole_text),
        cmocka_unit_test(mistakes_in_a_file_name_their_line),
        cmocka_unit_test(finders_stay_within_the_text),
        cmocka_unit_test(a_glance_rules_out_nothing_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
