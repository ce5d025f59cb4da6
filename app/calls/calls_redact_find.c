/* Finds numbers and addresses in what was said. Pure: text in, places out.
 *
 * Numbers are read as groups: digits (an IBAN: digits and letters) with a separator between groups, as people and
 * recognisers write them: one character, or with blanks around it where what is found has a check of its own or begins
 * as telephone numbers do ("0171 / 1234567" is one, "1000 - 2000" is not). A number begins and ends with a group, so
 * that "order 12345, card 4111 …" is looked at group by group, and a part of a longer number is never taken for one. */
#include "calls_redact.h"

#include <ctype.h>
#include <string.h>

#define GROUPS_MAX 24
#define SPOKEN_MIN 20         /* bytes: 3 digits are "triple one", the others may be digits */
#define SPOKEN_PARTIAL_MIN 10 /* "quadruple o 12" */
#define IBAN_MIN 15
#define IBAN_MAX 34
#define PHONE_MIN 7
#define PHONE_MAX 15
#define PARTIAL_MIN 6 /* digits at the end of a partial text that are hidden: fewer say little of what they begin */

static const struct calls_span nowhere = {0, 0};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static bool is_letter(char c)
{
    return (unsigned char)((c | 0x20) - 'a') < 26;
}

/* What stands before or behind a number, and makes it part of a name. Not letters beyond ASCII: quotes and dashes are
 * no others to a byte, and where words are written without blanks a number follows a letter. */
static bool is_name(char c)
{
    return isascii(c) && isalnum((unsigned char)c);
}

/* The bytes of one of these at i, 0 if absent. */
static size_t one_of(struct eio_str text, size_t i, const char *narrow, const char *const *wide)
{
    if (i >= text.n) return 0;
    if (isascii(text.p[i])) return text.p[i] && strchr(narrow, text.p[i]);
    for (; *wide; wide++) {
        size_t n = strlen(*wide);
        if (text.n - i >= n && !memcmp(text.p + i, *wide, n)) return n;
    }
    return 0;
}

/* More than a blank: those of typography, and what takes no room. */
static size_t blank_at(struct eio_str text, size_t i)
{
    static const char *const wide[] = {"\u00a0", "\u00ad", "\u2007", "\u2009", "\u200b",
                                       "\u202f", "\u2060", "\u3000", NULL};
    return one_of(text, i, " \t\r\n", wide);
}

/* The bytes of a separator at i, 0 if absent. */
static size_t separator_at(struct eio_str text, size_t i)
{
    static const char *const wide[] = {"\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2212", NULL};
    size_t blank = blank_at(text, i);
    return blank ? blank : one_of(text, i, "-./", wide);
}

/* The same with up to two blanks before and behind it. */
static size_t spaced_separator_at(struct eio_str text, size_t i)
{
    size_t end = i;
    for (int k = 0; k < 2; k++) end += blank_at(text, end);
    end += separator_at(text, end);
    for (int k = 0; k < 2; k++) end += blank_at(text, end);
    return end - i;
}

/* The same, or a comma. */
static size_t loose_separator_at(struct eio_str text, size_t i)
{
    if (i < text.n && text.p[i] == ',') return 1 + spaced_separator_at(text, i + 1);
    return spaced_separator_at(text, i);
}

typedef size_t (*separator_fn)(struct eio_str text, size_t i);

struct groups {
    struct calls_span list[GROUPS_MAX];
    size_t count;
};

/* Reads on behind the groups that are there, from `i`, as long as there is room. */
static void read_more_groups(struct eio_str text, size_t i, separator_fn separator_of, struct groups *groups)
{
    while (groups->count < GROUPS_MAX) {
        size_t end = i;
        while (end < text.n && is_digit(text.p[end])) end++;
        if (end == i) return;
        groups->list[groups->count++] = (struct calls_span){i, end};
        size_t separator = separator_of(text, end);
        if (!separator) return;
        i = end + separator;
    }
}

/* Digits with separators between them, from the digit at `begin`. */
static void read_groups(struct eio_str text, size_t begin, separator_fn separator_of, struct groups *groups)
{
    groups->count = 0;
    read_more_groups(text, begin, separator_of, groups);
}

/* Without the first group, and with what follows the last one: each group of a long row is read once. */
static void move_groups(struct eio_str text, separator_fn separator_of, struct groups *groups)
{
    bool was_full = groups->count == GROUPS_MAX;
    memmove(groups->list, groups->list + 1, --groups->count * sizeof groups->list[0]);
    if (!was_full) return;
    size_t end = groups->list[groups->count - 1].end, separator = separator_of(text, end);
    if (separator) read_more_groups(text, end + separator, separator_of, groups);
}

static struct calls_span span_of(const struct groups *groups, size_t first, size_t last)
{
    return (struct calls_span){groups->list[first].begin, groups->list[last].end};
}

static size_t size_of(const struct groups *groups, size_t i)
{
    return groups->list[i].end - groups->list[i].begin;
}

static size_t digits_of(const struct groups *groups, size_t first, size_t last)
{
    size_t n = 0;
    for (size_t i = first; i <= last; i++) n += groups->list[i].end - groups->list[i].begin;
    return n;
}

/* The next digit that begins a group. */
static bool next_run(struct eio_str text, size_t *i)
{
    while (*i < text.n && !is_digit(text.p[*i])) ++*i;
    return *i < text.n;
}

/* True if digits from here to the end of a partial text may be the beginning of a number. */
static bool may_go_on(struct eio_str text, const struct groups *groups, size_t digits)
{
    size_t end = groups->list[groups->count - 1].end;
    return digits >= PARTIAL_MIN && end + loose_separator_at(text, end) == text.n;
}

/* -------------------------------------------------------------------- cards */

/* ISO/IEC 7812-1, annex B. */
bool calls_fits_luhn(struct eio_str text)
{
    unsigned sum = 0;
    bool doubles = false;
    for (size_t i = text.n; i-- > 0;) {
        if (!is_digit(text.p[i])) continue;
        unsigned digit = (unsigned)(text.p[i] - '0') << doubles;
        sum += digit > 9 ? digit - 9 : digit;
        doubles = !doubles;
    }
    return sum % 10 == 0;
}

/* The longest card number that begins with the first group. */
static struct calls_span card_of(struct eio_str text, const struct groups *groups)
{
    size_t count = 0, digits = 0;
    while (count < groups->count && digits < CALLS_CARD_MAX) digits += size_of(groups, count++);
    for (; count > 0 && digits >= CALLS_CARD_MIN; digits -= size_of(groups, --count)) {
        struct calls_span span = span_of(groups, 0, count - 1);
        struct eio_str number = {text.p + span.begin, span.end - span.begin};
        if (digits <= CALLS_CARD_MAX && calls_fits_luhn(number)) return span;
    }
    return nowhere;
}

struct calls_span calls_find_card(struct eio_str text, size_t from, bool is_partial)
{
    struct groups groups = {.count = 0};
    for (size_t i = from; groups.count || next_run(text, &i);
         i = groups.list[0].end, move_groups(text, loose_separator_at, &groups)) {
        if (!groups.count) read_groups(text, i, loose_separator_at, &groups);
        i = groups.list[0].begin;
        struct calls_span card = card_of(text, &groups);
        if (card.end > card.begin) return card;
        size_t digits = digits_of(&groups, 0, groups.count - 1);
        if (is_partial && digits < CALLS_CARD_MAX && may_go_on(text, &groups, digits))
            return (struct calls_span){i, text.n};
    }
    return nowhere;
}

/* -------------------------------------------------------------------- IBANs */

/* ISO 13616: the first four characters go to the end, letters are numbers from 10 on, and the whole is 1 modulo 97. */
static bool fits_mod97(const char *characters, size_t n)
{
    unsigned rest = 0;
    for (size_t i = 0; i < n; i++) {
        char c = characters[(i + 4) % n];
        unsigned value = is_digit(c) ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
        rest = (rest * (value > 9 ? 100 : 10) + value) % 97;
    }
    return rest == 1;
}

/* The longest IBAN that begins here; its groups may have a separator between them. */
static struct calls_span iban_at(struct eio_str text, size_t begin)
{
    char characters[IBAN_MAX];
    struct calls_span best = nowhere;
    size_t n = 0;
    for (size_t i = begin; i < text.n && n < IBAN_MAX;) {
        if (!isascii(text.p[i]) || !isalnum((unsigned char)text.p[i])) {
            size_t separator = loose_separator_at(text, i);
            if (!separator || i + separator >= text.n || !isalnum((unsigned char)text.p[i + separator])) break;
            i += separator;
            continue;
        }
        characters[n++] = (char)toupper((unsigned char)text.p[i++]);
        if (n <= 2 ? is_digit(characters[n - 1]) : n <= 4 && !is_digit(characters[n - 1])) break;
        bool ends = i == text.n || !is_name(text.p[i]);
        if (ends && n >= IBAN_MIN && fits_mod97(characters, n)) best = (struct calls_span){begin, i};
    }
    return best;
}

struct calls_span calls_find_iban(struct eio_str text, size_t from, bool is_partial)
{
    (void)is_partial; /* the digits of one that goes on are hidden by calls_find_card() */
    for (size_t i = from; i + IBAN_MIN <= text.n; i++) {
        /* The third character is a digit: most words fail at a glance. */
        if (!is_letter(text.p[i]) || (is_letter(text.p[i + 1]) && is_letter(text.p[i + 2]))) continue;
        if (i && is_name(text.p[i - 1])) continue;
        struct calls_span iban = iban_at(text, i);
        if (iban.end > iban.begin) return iban;
    }
    return nowhere;
}

/* ------------------------------------------------------------------- e-mail */

static bool is_local(char c)
{
    return is_word(c) || (c && strchr(".!#$%&'*+/=?^_`{|}~-", c));
}

static bool is_domain(char c)
{
    return is_word(c) || c == '-' || c == '.';
}

struct calls_span calls_find_email(struct eio_str text, size_t from, bool is_partial)
{
    for (size_t at = from; at < text.n; at++) {
        if (text.p[at] != '@') continue;
        size_t begin = at, end = at + 1;
        while (begin > from && is_local(text.p[begin - 1])) begin--;
        while (end < text.n && is_domain(text.p[end])) end++;
        bool goes_on = is_partial && end == text.n;
        while (end > at + 1 && !is_word(text.p[end - 1])) end--;
        const char *dot = memchr(text.p + at + 1, '.', end - at - 1);
        if (begin < at && ((dot && dot > text.p + at + 1) || goes_on))
            return (struct calls_span){begin, goes_on ? text.n : end};
    }
    return nowhere;
}

/* ------------------------------------------------------------------- phones */

/* The first character behind a group that is not a blank, or a blank if absent. */
static char mark_behind(struct eio_str text, const struct groups *groups, size_t i)
{
    size_t end = groups->list[i].end;
    while (end < text.n && text.p[end] == ' ') end++;
    return end == text.n || is_digit(text.p[end]) ? ' ' : text.p[end];
}

static bool has_separator(struct eio_str text, const struct groups *groups, size_t i, const char *which)
{
    return strchr(which, mark_behind(text, groups, i)) != NULL;
}

/* 2026-01-31, 31.1.2026, 1/31/26: three groups with the same separator. */
static bool is_date(struct eio_str text, const struct groups *groups)
{
    if (groups->count != 3 || mark_behind(text, groups, 0) != mark_behind(text, groups, 1)) return false;
    if (!has_separator(text, groups, 0, "-./")) return false;
    size_t first = size_of(groups, 0), last = size_of(groups, 2);
    return size_of(groups, 1) <= 2 && ((first == 4 && last <= 2) || (first <= 2 && (last == 4 || last == 2)));
}

/* 1.234.567, and 192.168.100.200 */
static bool is_amount_or_address(struct eio_str text, const struct groups *groups)
{
    bool has_dots = groups->count > 1, has_threes = size_of(groups, 0) <= 3, is_address = groups->count == 4;
    for (size_t i = 0; i < groups->count; i++) {
        if (i + 1 < groups->count) has_dots &= has_separator(text, groups, i, ".");
        if (i) has_threes &= size_of(groups, i) == 3;
        is_address &= size_of(groups, i) <= 3;
    }
    return has_dots && (has_threes || is_address);
}

/* Behind an optional bracket, "(0) 171 …"; brackets within a number separate its groups as well. */
static bool skip_bracket(struct eio_str text, size_t *i)
{
    size_t k = *i + separator_at(text, *i);
    if (k >= text.n || !strchr("()", text.p[k]) || !text.p[k]) return false;
    do k++;
    while (k < text.n && ((text.p[k] && strchr("()", text.p[k])) || separator_at(text, k) == 1));
    if (k >= text.n || !is_digit(text.p[k])) return false;
    *i = k;
    return true;
}

/* Groups with brackets between them, from the digit at `begin`. */
static bool read_phone_groups(struct eio_str text, size_t begin, struct groups *groups)
{
    bool has_bracket = false, is_clear = text.p[begin] == '0' || (begin && strchr("+(", text.p[begin - 1]));
    separator_fn separator_of = is_clear ? spaced_separator_at : separator_at;
    read_groups(text, begin, separator_of, groups);
    for (;;) {
        struct groups more;
        size_t next = groups->list[groups->count - 1].end;
        if (groups->count == GROUPS_MAX || !skip_bracket(text, &next)) return has_bracket;
        has_bracket = true;
        read_groups(text, next, separator_of, &more);
        for (size_t i = 0; i < more.count && groups->count < GROUPS_MAX; i++)
            groups->list[groups->count++] = more.list[i];
    }
}

struct calls_span calls_find_phone(struct eio_str text, size_t from, bool is_partial)
{
    struct groups groups;
    for (size_t i = from; next_run(text, &i); i = groups.list[groups.count - 1].end) {
        bool has_bracket = read_phone_groups(text, i, &groups);
        size_t digits = digits_of(&groups, 0, groups.count - 1), begin = i;
        bool opens = i > from && text.p[i - 1] == '(';
        if (opens) begin--;
        bool has_plus = begin > from && text.p[begin - 1] == '+';
        if (has_plus) begin--;
        bool is_part = begin > 0 && is_name(text.p[begin - 1]); /* of a name: "AB-1234" is not, "ORD1234" is */
        bool looks = has_plus || has_bracket || opens || groups.count > 1;
        bool is_other = !has_plus && (is_date(text, &groups) || is_amount_or_address(text, &groups));
        struct calls_span span = {begin, groups.list[groups.count - 1].end};
        if (looks && !is_other && !is_part && digits >= PHONE_MIN && digits <= PHONE_MAX) return span;
        if (is_partial && has_plus && span.end + spaced_separator_at(text, span.end) == text.n)
            return (struct calls_span){begin, text.n};
    }
    return nowhere;
}

/* ----------------------------------------------------------------- at a glance */

struct calls_glance calls_glance_at(struct eio_str text)
{
    size_t digits = 0, ats = 0;
    unsigned char all = 0;
    for (size_t i = 0; i < text.n; i++) {
        digits += is_digit(text.p[i]);
        ats += text.p[i] == '@';
        all |= (unsigned char)text.p[i];
    }
    return (struct calls_glance){digits, text.n, ats > 0, all >= 0x80};
}

bool calls_may_find(calls_find_fn find, const struct calls_glance *glance, bool is_partial)
{
    if (find == calls_find_card) return glance->digits >= (is_partial ? PARTIAL_MIN : CALLS_CARD_MIN);
    if (find == calls_find_spoken_card) return glance->size >= (is_partial ? SPOKEN_PARTIAL_MIN : SPOKEN_MIN);
    if (find == calls_find_iban) return glance->digits >= 2;
    if (find == calls_find_email) return glance->has_at;
    return glance->digits >= (is_partial ? 1 : PHONE_MIN);
}
