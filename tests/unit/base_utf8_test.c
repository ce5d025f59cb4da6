/* UTF-8 validation against an oracle that knows UTF-8 only from encoding all code points. */
#include "base_utf8.h"
#include "guard.h"
#include "test.h"

#include <string.h>

/* ------------------------------------------------------------------------------------------------------- oracle */

/* RFC 3629, section 3, for all code points but the surrogates. */
static size_t encode(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; code >>= 6) out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)(0xF00 >> n | code);
    return n;
}

/* What begins a character without being one, by its bytes: a bit for each string of one, two and three bytes. */
static uint8_t *prefixes[4];
static uint8_t *whole[4];

static void mark(uint8_t *set, uint32_t key)
{
    set[key >> 3] |= (uint8_t)(1u << (key & 7));
}

static bool marked(const uint8_t *set, uint32_t key)
{
    return set[key >> 3] >> (key & 7) & 1;
}

static void make_oracle(void)
{
    if (whole[1]) return;
    for (size_t n = 1; n <= 3; n++) {
        prefixes[n] = calloc(1, (1u << (8 * n)) / 8);
        whole[n] = calloc(1, (1u << (8 * n)) / 8);
        assert_true(prefixes[n] && whole[n]);
    }
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) continue;
        uint8_t bytes[4];
        size_t n = encode(code, bytes);
        uint32_t key = 0;
        for (size_t i = 0; i < n; i++) {
            key = key << 8 | bytes[i];
            if (i + 1 < n)
                mark(prefixes[i + 1], key);
            else if (n < 4)
                mark(whole[n], key);
        }
    }
}

struct oracle {
    uint32_t key;
    size_t n;
};

/* False if no text begins like that. All four-byte characters with a common start of three bytes exist or none. */
static bool oracle_feed(struct oracle *oracle, uint8_t byte)
{
    uint32_t key = oracle->key << 8 | byte;
    size_t n = oracle->n + 1;
    if (n == 4 ? (byte & 0xC0) == 0x80 : marked(whole[n], key)) {
        *oracle = (struct oracle){0, 0};
        return true;
    }
    if (n == 4 || !marked(prefixes[n], key)) return false;
    *oracle = (struct oracle){key, n};
    return true;
}

/* Position of the first byte that cannot be, n if there is none; *complete: the end is between characters. */
static size_t oracle_judge(const uint8_t *p, size_t n, bool *complete)
{
    struct oracle oracle = {0, 0};
    size_t i = 0;
    while (i < n && oracle_feed(&oracle, p[i])) i++;
    *complete = oracle.n == 0;
    return i;
}

/* ---------------------------------------------------------------------------------------------------- comparison */

/* Byte by byte it must fail on the same byte, at once on the same input, and in two pieces too. */
static bool agrees(const uint8_t *p, size_t n)
{
    bool complete;
    size_t bad = oracle_judge(p, n, &complete);
    struct base_utf8 utf8 = {0};
    size_t i = 0;
    while (i < n && base_utf8_feed(&utf8, p + i, 1)) i++;
    if (i != bad || (bad == n && base_utf8_complete(&utf8) != complete)) return false;
    if (base_utf8_valid(p, n) != (bad == n && complete)) return false;
    utf8 = (struct base_utf8){0};
    return base_utf8_feed(&utf8, p, n) == (bad == n) && (bad < n || base_utf8_complete(&utf8) == complete);
}

static void assert_agrees(const uint8_t *p, size_t n)
{
    if (agrees(p, n)) return;
    for (size_t i = 0; i < n; i++) fprintf(stderr, "%02x ", p[i]);
    fail_msg("disagrees with the oracle about these %zu bytes", n);
}

TEST(utf8, all_strings_of_up_to_three_bytes_are_judged_as_by_encoding_all_code_points)
{
    make_oracle();
    for (size_t n = 0; n <= 3; n++) {
        for (uint32_t key = 0; key < 1u << (8 * n); key++) {
            uint8_t bytes[3];
            for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(key >> (8 * (n - 1 - i)));
            assert_agrees(bytes, n);
        }
    }
}

/* RFC 3629, section 4: four bytes. All of them behind F0, F4 and their neighbours; in each, the last two bytes in steps
 * that meet every bound. */
TEST(utf8, four_byte_characters_end_at_their_bounds)
{
    static const uint8_t tails[] = {0x00, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x9F, 0xA0, 0xBE, 0xBF, 0xC0, 0xFF};
    make_oracle();
    for (unsigned first = 0xE0; first <= 0xFF; first++) {
        for (unsigned second = 0; second <= 0xFF; second++) {
            for (size_t i = 0; i < sizeof tails; i++) {
                for (size_t j = 0; j < sizeof tails; j++) {
                    uint8_t bytes[] = {(uint8_t)first, (uint8_t)second, tails[i], tails[j]};
                    assert_agrees(bytes, 4);
                }
            }
        }
    }
}

TEST(utf8, any_four_bytes_around_the_bounds_are_judged_alike_wherever_they_stand)
{
    static const uint8_t bytes[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                    0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};
    enum { COUNT = sizeof bytes };
    make_oracle();
    struct guard guard = {0};
    for (unsigned i = 0; i < COUNT * COUNT * COUNT * COUNT; i++) {
        uint8_t text[48];
        memset(text, 'a', sizeof text);
        size_t before = i % 37, after = i / 37 % 7;
        text[before] = bytes[i % COUNT];
        text[before + 1] = bytes[i / COUNT % COUNT];
        text[before + 2] = bytes[i / COUNT / COUNT % COUNT];
        text[before + 3] = bytes[i / COUNT / COUNT / COUNT];
        assert_agrees(text + before, 4);
        size_t n = before + 4 + after;
        assert_agrees(guard_put(&guard, text, n), n);
    }
    guard_free(&guard);
}

/* Unicode, section 3.9: what is replaced by one U+FFFD is the longest part that could begin a character, or one byte.
 */
TEST(utf8, one_character_is_taken_whole_or_its_longest_beginning)
{
    make_oracle();
    for (uint32_t code = 0x80; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) continue;
        uint8_t bytes[4], put[4];
        bool valid;
        size_t n = encode(code, bytes);
        assert_int_equal(base_utf8_put(code, (char *)put), n);
        assert_memory_equal(put, bytes, n);
        assert_int_equal(base_utf8_sequence(bytes, bytes + n, &valid), n);
        assert_true(valid);
        if (code % 97 && code < 0x10FF00) continue;
        for (size_t cut = 1; cut < n; cut++) {
            assert_int_equal(base_utf8_sequence(bytes, bytes + cut, &valid), cut);
            assert_false(valid);
        }
    }
    for (uint32_t key = 0; key < 1u << 24; key++) {
        uint8_t bytes[3] = {(uint8_t)(key >> 16), (uint8_t)(key >> 8), (uint8_t)key};
        bool valid;
        if (bytes[0] < 0x80) continue;
        size_t taken = base_utf8_sequence(bytes, bytes + 3, &valid);
        size_t expected = 1;
        if (marked(whole[2], key >> 8))
            expected = 2;
        else if (marked(whole[3], key) || marked(prefixes[3], key))
            expected = 3;
        else if (marked(prefixes[2], key >> 8))
            expected = 2;
        if (taken != expected) fail_msg("%06x: %zu bytes are taken, %zu expected", key, taken, expected);
        if (valid != (marked(whole[2], key >> 8) || marked(whole[3], key))) fail_msg("%06x", key);
    }
    char ascii[4];
    assert_int_equal(base_utf8_put('a', ascii), 1);
    assert_int_equal(ascii[0], 'a');
}

TEST(utf8, every_character_may_be_cut_anywhere)
{
    make_oracle();
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code <= 0xDFFF) continue;
        uint8_t text[4];
        size_t n = encode(code, text);
        assert_true(base_utf8_valid(text, n));
        for (size_t cut = 0; cut <= n; cut++) {
            struct base_utf8 utf8 = {0};
            assert_true(base_utf8_feed(&utf8, text, cut));
            assert_int_equal(base_utf8_complete(&utf8), cut == 0 || cut == n);
            assert_true(base_utf8_feed(&utf8, text + cut, n - cut));
            assert_true(base_utf8_complete(&utf8));
        }
    }
}

TEST(utf8, a_bad_byte_is_found_at_every_place_of_a_long_text)
{
    make_oracle();
    struct guard guard = {0};
    uint8_t text[200];
    for (size_t n = 0; n <= sizeof text; n++) {
        memset(text, 'x', sizeof text);
        assert_true(base_utf8_valid(guard_put(&guard, text, n), n));
        for (size_t at = 0; at < n; at++) {
            uint8_t *copy = guard_put(&guard, text, n);
            copy[at] = 0xFF;
            assert_false(base_utf8_valid(copy, n));
            copy[at] = 0xC3; /* wants a second byte, gets 'x' or the end */
            assert_false(base_utf8_valid(copy, n));
        }
    }
    guard_free(&guard);
}

static uint64_t seed = 1;

static uint32_t roll(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

TEST(utf8, random_texts_in_all_scripts_with_random_damage_and_cuts)
{
    make_oracle();
    struct guard guard = {0};
    for (unsigned round = 0; round < 30000; round++) {
        uint8_t text[300];
        size_t n = 0, characters = roll(70);
        for (size_t i = 0; i < characters; i++) {
            static const uint32_t above[] = {0x80, 0x80, 0x800, 0x10000, 0x110000};
            uint32_t code = roll(above[roll(5)]);
            if (code >= 0xD800 && code <= 0xDFFF) code = 0xFFFD;
            n += encode(code, text + n);
        }
        if (n && roll(2)) text[roll((uint32_t)n)] = (uint8_t)roll(256);
        assert_agrees(guard_put(&guard, text, n), n);
        struct base_utf8 utf8 = {0};
        bool complete, good = true;
        size_t bad = oracle_judge(text, n, &complete);
        for (size_t at = 0; at < n && good;) {
            size_t piece = 1 + roll(40);
            if (piece > n - at) piece = n - at;
            good = base_utf8_feed(&utf8, guard_put(&guard, text + at, piece), piece);
            at += piece;
            assert_int_equal(good, at <= bad);
        }
        assert_int_equal(good && base_utf8_complete(&utf8), bad == n && complete);
    }
    guard_free(&guard);
}

TEST_MAIN
