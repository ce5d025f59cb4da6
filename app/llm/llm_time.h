/* Dates and times in a text, as people write them: "tomorrow at 7", "next Monday 14:30", "in two hours",
 * "2026-12-24T18:30Z", "the day after tomorrow at half past nine in the evening". Pure. */
#ifndef LLM_TIME_H
#define LLM_TIME_H

#include "llm_lex.h"

#include <stdint.h>

#define LLM_TIME_SIZE 96 /* of the texts below */

struct llm_clock {
    int64_t now_ms;     /* Unix time */
    int offset_minutes; /* local time is UTC plus this now */
    /* And then, by the local time as if it was UTC; NULL: always the same. */
    int (*offset_at)(const char *zone, int64_t local_ms);
    const char *zone;
};

struct llm_moment {
    size_t from, to; /* lexemes, the prepositions before it included; to: behind the last */
    bool has_date, has_time;
    int64_t day; /* since 1970-01-01, local */
    int minute;  /* of the day, local */
    int second;
    int offset_minutes; /* the text's own, or the clock's */
    bool has_offset;    /* the text's own, or it is so long from now */
};

/* Finds the first one that begins at or after lexeme `from`. Returns false if there is no more. */
bool llm_time_find(const struct llm_lexed *lexed, size_t from, const struct llm_clock *clock,
                   struct llm_moment *moment);

/* "2026-12-24T18:30:00+01:00", "2026-12-24", "18:30"; false if the moment does not have what is asked for. */
bool llm_time_put_date_time(const struct llm_moment *moment, char out[LLM_TIME_SIZE]);
bool llm_time_put_date(const struct llm_moment *moment, char out[LLM_TIME_SIZE]);
bool llm_time_put_time(const struct llm_moment *moment, char out[LLM_TIME_SIZE]);

/* A length of time, "two hours and 30 minutes", "90s", "half an hour", at lexeme i. Returns the lexeme behind it,
 * or i if no length of time begins there. */
size_t llm_time_length(const struct llm_lexed *lexed, size_t i, int64_t *ms);

#endif
