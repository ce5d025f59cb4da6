/* Texts of a known form in a text: in quotation marks, mail addresses, web addresses. Pure. */
#ifndef LLM_FIND_H
#define LLM_FIND_H

#include "llm_lex.h"

/* Each looks for the first one in the lexemes from `*from` to before `to`, sets *from and *end to its lexemes (marks
 * included) and returns its text, or {NULL, 0} if it finds nothing. */
struct eio_str llm_find_quoted(const struct llm_lexed *lexed, size_t *from, size_t to, size_t *end);
struct eio_str llm_find_mail(const struct llm_lexed *lexed, size_t *from, size_t to, size_t *end);
struct eio_str llm_find_url(const struct llm_lexed *lexed, size_t *from, size_t to, size_t *end);

#endif
