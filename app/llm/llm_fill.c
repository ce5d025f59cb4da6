/* Fills in parameters, the surest first: moments, addresses, known values, numbers with their names; then where a
 * phrase says the value stands; then quotations, and last what is left. A part of the text becomes one value only. */
#include "llm_fill.h"

#include "llm_find.h"
#include "llm_schema.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHOICES_MAX 256 /* values of an enum that are looked for */

/* ------------------------------------------------------------------- marks */

static void mark(struct llm_fill *fill, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) fill->used[i] = LLM_OF_VALUE;
}

static bool is_value(const struct llm_fill *fill, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (fill->used[i] == LLM_OF_VALUE) return true;
    return false;
}

static bool is_filled(const struct llm_fill *fill, const struct llm_property *property)
{
    return json_object_get(fill->args, property->name) != NULL;
}

static void put_value(struct llm_fill *fill, const struct llm_property *property, json_t *take_value)
{
    if (take_value) json_object_set_new(fill->args, property->name, take_value);
}

/* Within limits of the schema, or left out. */
static bool put_text(struct llm_fill *fill, const struct llm_property *property, struct eio_str text)
{
    const json_t *max = json_object_get(property->schema, "maxLength");
    if (!text.n || (json_is_integer(max) && (json_int_t)text.n > json_integer_value(max) * 4)) return false;
    put_value(fill, property, json_stringn(text.p, text.n));
    return true;
}

static bool put_number(struct llm_fill *fill, const struct llm_property *property, double value)
{
    const json_t *min = json_object_get(property->schema, "minimum"),
                 *max = json_object_get(property->schema, "maximum");
    if (json_is_number(min) && value < json_number_value(min)) return false;
    if (json_is_number(max) && value > json_number_value(max)) return false;
    bool is_whole = floor(value) == value && fabs(value) < 9e15;
    if (property->is_integer && !is_whole) return false;
    put_value(fill, property, is_whole ? json_integer((json_int_t)value) : json_real(value));
    return true;
}

static const struct llm_slot *slot_of(const struct llm_fill *fill, const struct llm_property *property)
{
    for (size_t i = 0; i < fill->slot_count; i++)
        if (!strcmp(fill->slots[i].name, property->name)) return &fill->slots[i];
    return NULL;
}

/* Where to look for it first. */
static struct llm_range range_of(const struct llm_fill *fill, const struct llm_property *property)
{
    const struct llm_slot *slot = slot_of(fill, property);
    return slot ? slot->at : fill->at;
}

/* ----------------------------------------------------------------- moments */

static bool put_moment(struct llm_fill *fill, const struct llm_property *property, const struct llm_moment *moment)
{
    char text[LLM_TIME_SIZE];
    bool is_good = property->kind == LLM_PROPERTY_DATE   ? llm_time_put_date(moment, text)
                   : property->kind == LLM_PROPERTY_TIME ? llm_time_put_time(moment, text)
                                                         : llm_time_put_date_time(moment, text);
    if (is_good) put_value(fill, property, json_string(text));
    return is_good;
}

/* What has been filled in from which moment: a date and a time of the same one are two values. */
struct shared {
    struct llm_range at;
    enum llm_property_kind kind;
};

static bool is_open_for(const struct llm_fill *fill, const struct llm_moment *moment,
                        const struct llm_property *property, const struct shared *shared)
{
    bool is_pair = shared->kind != property->kind && shared->kind != LLM_PROPERTY_DATE_TIME &&
                   property->kind != LLM_PROPERTY_DATE_TIME;
    bool is_own = is_pair && moment->from >= shared->at.from && moment->to <= shared->at.to;
    return !fill->is_quoted[moment->to - 1] && (is_own || !is_value(fill, moment->from, moment->to));
}

/* With a slot the moment that reaches into it: "at {time}" in "tomorrow at 7" is the whole of that. */
static bool reaches(const struct llm_slot *slot, const struct llm_moment *moment)
{
    return !slot || (moment->to > slot->at.from && moment->from < slot->at.to);
}

static void fill_moment(struct llm_fill *fill, const struct llm_property *property, struct shared *shared)
{
    const struct llm_slot *slot = slot_of(fill, property);
    struct llm_moment moment;
    size_t from = fill->at.from;
    while (llm_time_find(fill->lexed, from, fill->clock, &moment) && moment.to <= fill->at.to) {
        from = moment.to;
        if (!reaches(slot, &moment) || !is_open_for(fill, &moment, property, shared)) continue;
        if (!put_moment(fill, property, &moment)) continue;
        mark(fill, moment.from, moment.to);
        *shared = (struct shared){{moment.from, moment.to}, property->kind};
        return;
    }
}

static void fill_moments(struct llm_fill *fill, struct llm_property *list, size_t count)
{
    struct shared shared = {{0, 0}, LLM_PROPERTY_DATE_TIME};
    for (size_t k = 0; k < count; k++)
        if (list[k].kind >= LLM_PROPERTY_DATE_TIME && list[k].kind <= LLM_PROPERTY_TIME)
            fill_moment(fill, &list[k], &shared);
}

/* --------------------------------------------------------------- addresses */

static void fill_address(struct llm_fill *fill, const struct llm_property *property)
{
    struct llm_range range = range_of(fill, property);
    size_t from = range.from, end = from;
    for (;; from = end) {
        struct eio_str text = property->kind == LLM_PROPERTY_MAIL ? llm_find_mail(fill->lexed, &from, range.to, &end)
                                                                  : llm_find_url(fill->lexed, &from, range.to, &end);
        if (!text.p) return;
        if (is_value(fill, from, end)) continue;
        if (put_text(fill, property, text)) mark(fill, from, end);
        return;
    }
}

/* ------------------------------------------------------------ known values */

/* Where the words of the scratch stand in the range, one behind the other; false: nowhere. */
static bool find_words(const struct llm_fill *fill, struct llm_range range, size_t *from)
{
    const struct llm_lexed *words = fill->scratch, *text = fill->lexed;
    for (size_t i = range.from; words->count && i + words->count <= range.to; i++) {
        size_t k = 0;
        for (; k < words->count; k++) {
            const struct llm_lex *a = &words->list[k], *b = &text->list[i + k];
            struct eio_str own = llm_lex_slice(words, k, k + 1), other = llm_lex_slice(text, i + k, i + k + 1);
            bool is_same =
                a->kind == b->kind && (a->kind == LLM_LEX_WORD ? a->term[0] && !strcmp(a->term, b->term)
                                                               : own.n == other.n && !memcmp(own.p, other.p, own.n));
            if (!is_same) break;
        }
        if (k < words->count || is_value(fill, i, i + k)) continue;
        *from = i;
        return true;
    }
    return false;
}

static bool find_name(const struct llm_fill *fill, const char *name, struct llm_range range, struct llm_range *at)
{
    char words[256];
    llm_schema_name(name, words, sizeof words);
    llm_lex_read(fill->scratch, fill->words, eio_str(words));
    if (!find_words(fill, range, &at->from)) return false;
    at->to = at->from + fill->scratch->count;
    return true;
}

/* One of the choices: its value, and what people call it. */
static json_t *choice_at(json_t *schema, size_t i, const char **title)
{
    json_t *values = json_object_get(schema, "enum"), *titled = json_object_get(schema, "oneOf");
    json_t *value = json_array_get(values, i);
    if (!titled) titled = json_object_get(schema, "anyOf");
    if (!values) value = json_object_get(json_array_get(titled, i), "const");
    *title = json_string_value(json_object_get(json_array_get(titled, i), "title"));
    if (!*title) *title = json_string_value(json_array_get(json_object_get(schema, "enumNames"), i));
    return value;
}

/* The longest choice that stands in the range; NULL: none does. */
static json_t *find_choice(struct llm_fill *fill, json_t *schema, struct llm_range range, struct llm_range *at)
{
    json_t *best = NULL, *value;
    const char *title;
    *at = (struct llm_range){0, 0};
    for (size_t i = 0; i < CHOICES_MAX && (value = choice_at(schema, i, &title)); i++) {
        const char *names[] = {title, json_string_value(value)};
        for (size_t k = 0; k < 2; k++) {
            struct llm_range found;
            if (!names[k] || !find_name(fill, names[k], range, &found)) continue;
            if (best && found.to - found.from <= at->to - at->from) continue;
            best = value;
            *at = found;
        }
    }
    return best;
}

static void fill_choice(struct llm_fill *fill, const struct llm_property *property)
{
    struct llm_range at;
    json_t *value = find_choice(fill, property->schema, range_of(fill, property), &at);
    if (!value) return;
    put_value(fill, property, json_incref(value));
    mark(fill, at.from, at.to);
}

static void fill_choices(struct llm_fill *fill, const struct llm_property *property)
{
    json_t *items = json_object_get(property->schema, "items"), *list = json_array(), *value;
    struct llm_range at;
    while ((value = find_choice(fill, items, range_of(fill, property), &at))) {
        size_t i;
        json_t *other;
        bool is_known = false;
        json_array_foreach(list, i, other) is_known = is_known || json_equal(other, value);
        if (!is_known) json_array_append(list, value);
        mark(fill, at.from, at.to);
    }
    if (json_array_size(list))
        put_value(fill, property, list);
    else
        json_decref(list);
}

/* ---------------------------------------------------------------- booleans */

static bool has_any(const struct llm_lexed *lexed, size_t from, size_t to, const char *words)
{
    for (size_t i = from; i < to; i++)
        if (llm_lex_is_any(lexed, i, words)) return true;
    return false;
}

/* "with breakfast", "no breakfast", "breakfast: off". */
static void fill_boolean(struct llm_fill *fill, const struct llm_property *property)
{
    static const char no[] = "no not without don false off disable disabled nein ohne";
    static const char yes[] = "yes true on enable enabled with ja mit";
    const struct llm_slot *slot = slot_of(fill, property);
    struct llm_range at;
    if (slot) {
        bool is_no = has_any(fill->lexed, slot->at.from, slot->at.to, no);
        if (is_no || has_any(fill->lexed, slot->at.from, slot->at.to, yes))
            put_value(fill, property, json_boolean(!is_no));
        return;
    }
    if (!find_name(fill, property->name, fill->at, &at)) return;
    size_t before = at.from > fill->at.from + 2 ? at.from - 2 : fill->at.from;
    size_t after = at.to + 3 < fill->at.to ? at.to + 3 : fill->at.to;
    bool is_no = has_any(fill->lexed, before, at.from, no) || has_any(fill->lexed, at.to, after, "no false off");
    put_value(fill, property, json_boolean(!is_no));
    mark(fill, at.from, at.to);
}

/* ----------------------------------------------------------------- numbers */

static bool number_at(const struct llm_fill *fill, size_t i, double *value, size_t *from)
{
    const struct llm_lexed *lexed = fill->lexed;
    if (fill->used[i] != LLM_FREE || fill->is_quoted[i] || !llm_lex_number(lexed, i, value)) return false;
    *from = i;
    bool is_minus = i && llm_lex_is_mark(lexed, i - 1, '-') && lexed->list[i].is_glued && !lexed->list[i - 1].is_glued;
    if (!is_minus) return true;
    *value = -*value;
    --*from;
    return true;
}

static bool take_number(struct llm_fill *fill, const struct llm_property *property, size_t i)
{
    double value;
    size_t from;
    if (!number_at(fill, i, &value, &from) || !put_number(fill, property, value)) return false;
    mark(fill, from, i + 1);
    return true;
}

/* "for 20 minutes" where minutes are asked for, or seconds. */
static void fill_length(struct llm_fill *fill, const struct llm_property *property)
{
    struct llm_range range = range_of(fill, property);
    for (size_t i = range.from; i < range.to; i++) {
        int64_t ms;
        size_t end = llm_time_length(fill->lexed, i, &ms);
        if (end == i || end > range.to || fill->is_quoted[i] || is_value(fill, i, end)) continue;
        if (put_number(fill, property, (double)ms / (double)property->unit_ms)) mark(fill, i, end);
        return;
    }
}

/* A number beside the property's name: "width 5", "width is 5", "5 guests". */
static void fill_named_number(struct llm_fill *fill, const struct llm_property *property)
{
    struct llm_range range = range_of(fill, property), at;
    if (!find_name(fill, property->name, range, &at)) return;
    size_t next = at.to;
    while (next < range.to &&
           (llm_lex_is_any(fill->lexed, next, "is of to by as equals") || llm_lex_is_mark(fill->lexed, next, ':') ||
            llm_lex_is_mark(fill->lexed, next, '=') || llm_lex_is_mark(fill->lexed, next, '-')))
        next++;
    if (next < range.to && take_number(fill, property, next)) return;
    if (at.from > range.from) take_number(fill, property, at.from - 1);
}

static void fill_any_number(struct llm_fill *fill, const struct llm_property *property)
{
    struct llm_range range = range_of(fill, property);
    for (size_t i = range.from; i < range.to; i++) {
        bool is_word = fill->lexed->list[i].kind == LLM_LEX_WORD;
        if (!(is_word && llm_lex_is(fill->lexed, i, "one")) && take_number(fill, property, i)) return;
    }
}

/* What stands beside its name first; then in the order of the text, if each number can only mean one of them. */
static void fill_numbers(struct llm_fill *fill, struct llm_property *list, size_t count)
{
    size_t open = 0;
    for (size_t k = 0; k < count; k++) {
        if (list[k].kind != LLM_PROPERTY_NUMBER) continue;
        if (list[k].unit_ms) fill_length(fill, &list[k]);
        if (!is_filled(fill, &list[k])) fill_named_number(fill, &list[k]);
        if (!is_filled(fill, &list[k])) open++;
    }
    for (size_t k = 0; k < count; k++) {
        bool is_meant = list[k].is_required || slot_of(fill, &list[k]) || (open == 1 && !list[k].unit_ms);
        if (list[k].kind == LLM_PROPERTY_NUMBER && is_meant && !is_filled(fill, &list[k]))
            fill_any_number(fill, &list[k]);
    }
}

/* ------------------------------------------------------------------- texts */

static bool is_dropped(const struct llm_fill *fill, size_t i, bool at_start)
{
    const struct llm_lex *lex = &fill->lexed->list[i];
    if (fill->used[i] != LLM_FREE) return true;
    if (lex->kind == LLM_LEX_MARK) return memchr(".,;:!?-=", fill->lexed->text.p[lex->start], 9) != NULL;
    return llm_lex_is_any(fill->lexed, i,
                          at_start ? "please that to of the a an for about is and also with"
                                   : "please and at on for to in as by with from");
}

/* Without marks, values of others and small words at its ends. */
static struct llm_range trim(const struct llm_fill *fill, struct llm_range range)
{
    while (range.from < range.to && is_dropped(fill, range.from, true)) range.from++;
    while (range.to > range.from && is_dropped(fill, range.to - 1, false)) range.to--;
    return range;
}

static bool has_meaning(const struct llm_fill *fill, struct llm_range range)
{
    for (size_t i = range.from; i < range.to; i++)
        if (fill->lexed->list[i].kind != LLM_LEX_MARK && !fill->lexed->list[i].is_stop) return true;
    return false;
}

/* The closing mark of a quotation or a bracket that the text begins with stays. */
static void take_text(struct llm_fill *fill, const struct llm_property *property, struct llm_range range)
{
    size_t from = range.from, end;
    struct eio_str text = llm_find_quoted(fill->lexed, &from, range.to, &end);
    if (!text.p || from != range.from || end != range.to) text = llm_lex_slice(fill->lexed, range.from, range.to);
    if (put_text(fill, property, text)) mark(fill, range.from, range.to);
}

/* In a phrase "remind me to {text}" all that follows is the text, but for what has become another value at its ends. */
static void fill_slot(struct llm_fill *fill, const struct llm_property *property)
{
    const struct llm_slot *slot = slot_of(fill, property);
    if (!slot) return;
    struct llm_range range = trim(fill, slot->at);
    if (range.from < range.to) take_text(fill, property, range);
}

static json_t *list_of(const struct llm_fill *fill, struct llm_range range)
{
    json_t *list = json_array();
    size_t from = range.from;
    for (size_t i = range.from; i <= range.to; i++) {
        bool ends =
            i == range.to || llm_lex_is_mark(fill->lexed, i, ',') || llm_lex_is_any(fill->lexed, i, "and or und");
        if (!ends) continue;
        struct llm_range part = trim(fill, (struct llm_range){from, i});
        struct eio_str text = llm_lex_slice(fill->lexed, part.from, part.to);
        if (text.n) json_array_append_new(list, json_stringn(text.p, text.n));
        from = i + 1;
    }
    return list;
}

static void fill_list(struct llm_fill *fill, const struct llm_property *property)
{
    const struct llm_slot *slot = slot_of(fill, property);
    json_t *list = slot ? list_of(fill, slot->at) : json_array();
    size_t from = fill->at.from, end;
    struct eio_str text;
    for (; !slot && (text = llm_find_quoted(fill->lexed, &from, fill->at.to, &end)).p; from = end) {
        if (is_value(fill, from, end)) continue;
        json_array_append_new(list, json_stringn(text.p, text.n));
        mark(fill, from, end);
    }
    if (slot) mark(fill, slot->at.from, slot->at.to);
    if (json_array_size(list))
        put_value(fill, property, list);
    else
        json_decref(list);
}

static void fill_quoted(struct llm_fill *fill, const struct llm_property *property)
{
    size_t from = fill->at.from, end;
    struct eio_str text;
    for (; (text = llm_find_quoted(fill->lexed, &from, fill->at.to, &end)).p; from = end) {
        if (is_value(fill, from, end)) continue;
        if (put_text(fill, property, text)) mark(fill, from, end);
        return;
    }
}

/* Up to a comma or another value. */
static struct llm_range run_from(const struct llm_fill *fill, size_t from)
{
    size_t to = from;
    while (to < fill->at.to && fill->used[to] == LLM_FREE && !llm_lex_is_mark(fill->lexed, to, ',') &&
           !llm_lex_is_mark(fill->lexed, to, ';') && !llm_lex_is_any(fill->lexed, to, "with under below into"))
        to++;
    return trim(fill, (struct llm_range){from, to});
}

/* "called X" is a name or a title; "subject: X", "subject is X". */
static void fill_named_text(struct llm_fill *fill, const struct llm_property *property)
{
    bool is_name =
        !strcmp(property->name, "name") || !strcmp(property->name, "title") || !strcmp(property->name, "label");
    struct llm_range at;
    size_t from = SIZE_MAX;
    for (size_t i = fill->at.from; i < fill->at.to && is_name && from == SIZE_MAX; i++)
        if (llm_lex_is_any(fill->lexed, i, "called named titled")) from = i + 1;
    if (from == SIZE_MAX && find_name(fill, property->name, fill->at, &at) && at.to < fill->at.to) {
        bool is_set = llm_lex_is_mark(fill->lexed, at.to, ':') || llm_lex_is_mark(fill->lexed, at.to, '=') ||
                      llm_lex_is(fill->lexed, at.to, "is");
        if (is_set) from = at.to + 1;
    }
    if (from == SIZE_MAX) return;
    struct llm_range range = run_from(fill, from);
    if (range.from == range.to) return;
    take_text(fill, property, range);
    if (is_filled(fill, property)) fill->used[from - 1] = LLM_OF_VALUE;
}

/* "in Berlin": a place's preposition is not part of it. */
static bool is_place(const struct llm_property *property)
{
    static const char *const words[] = {"city", "place", "location", "country", "town", "region", "address", "where"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcasestr(property->name, words[i])) return true;
    return false;
}

/* What follows the words of the phrase and is not yet a value. */
static void fill_rest(struct llm_fill *fill, const struct llm_property *property)
{
    size_t from = fill->at.from;
    for (size_t i = fill->at.from; i < fill->at.to; i++)
        if (fill->used[i] == LLM_OF_PHRASE) from = i + 1;
    while (from < fill->at.to && fill->used[from] == LLM_OF_VALUE) from++;
    if (is_place(property) && from < fill->at.to && llm_lex_is_any(fill->lexed, from, "in at near")) from++;
    size_t to = from;
    while (to < fill->at.to && fill->used[to] == LLM_FREE) to++;
    struct llm_range range = trim(fill, (struct llm_range){from, to});
    if (has_meaning(fill, range)) take_text(fill, property, range);
}

static void fill_texts(struct llm_fill *fill, struct llm_property *list, size_t count)
{
    struct llm_property *open = NULL;
    size_t open_count = 0;
    for (size_t k = 0; k < count; k++)
        if (list[k].kind == LLM_PROPERTY_TEXT) fill_slot(fill, &list[k]);
    for (size_t k = 0; k < count; k++)
        if (list[k].kind == LLM_PROPERTY_TEXT_LIST && slot_of(fill, &list[k])) fill_list(fill, &list[k]);
    for (size_t k = 0; k < count; k++)
        if (list[k].kind == LLM_PROPERTY_TEXT && !is_filled(fill, &list[k])) fill_named_text(fill, &list[k]);
    for (int required = 1; required >= 0; required--)
        for (size_t k = 0; k < count; k++)
            if (list[k].kind == LLM_PROPERTY_TEXT && list[k].is_required == required && !is_filled(fill, &list[k]))
                fill_quoted(fill, &list[k]);
    for (size_t k = 0; k < count; k++)
        if (list[k].kind == LLM_PROPERTY_TEXT_LIST && !is_filled(fill, &list[k])) fill_list(fill, &list[k]);
    for (size_t k = 0; k < count; k++) {
        if (list[k].kind != LLM_PROPERTY_TEXT || !list[k].is_required || is_filled(fill, &list[k])) continue;
        open = &list[k];
        open_count++;
    }
    if (open_count == 1) fill_rest(fill, open);
}

/* --------------------------------------------------------------------- all */

static void mark_quotations(struct llm_fill *fill)
{
    size_t from = fill->at.from, end;
    for (; llm_find_quoted(fill->lexed, &from, fill->at.to, &end).p; from = end)
        memset(fill->is_quoted + from, 1, end - from);
}

json_t *llm_fill(struct llm_fill *fill)
{
    struct llm_property *list = calloc(LLM_PROPERTIES_MAX, sizeof *list);
    fill->args = json_object();
    size_t count = list && fill->args ? llm_schema_read(fill->schema, fill->words, fill->scratch, list) : 0;
    mark_quotations(fill);
    fill_moments(fill, list, count);
    for (size_t k = 0; k < count; k++) {
        if (list[k].kind == LLM_PROPERTY_MAIL || list[k].kind == LLM_PROPERTY_URL) fill_address(fill, &list[k]);
        if (list[k].kind == LLM_PROPERTY_ENUM) fill_choice(fill, &list[k]);
        if (list[k].kind == LLM_PROPERTY_ENUM_LIST) fill_choices(fill, &list[k]);
    }
    fill_numbers(fill, list, count);
    for (size_t k = 0; k < count; k++)
        if (list[k].kind == LLM_PROPERTY_BOOLEAN) fill_boolean(fill, &list[k]);
    fill_texts(fill, list, count);
    free(list);
    return fill->args;
}
