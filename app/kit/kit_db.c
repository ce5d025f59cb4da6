/* SQL by the engine of the connection. */
#include "kit_engine.h"

#include <base_check.h>
#include <stdlib.h>
#include <string.h>

int kit_fail(struct kit_failure *failure, int code, const char *field, const char *format, ...)
{
    va_list args;
    failure->code = code;
    failure->retry_after_ms = 0;
    snprintf(failure->field, sizeof failure->field, "%s", field ? field : "");
    va_start(args, format);
    vsnprintf(failure->message, sizeof failure->message, format, args);
    va_end(args);
    return code;
}

static void count_statement(struct kit_db *db)
{
    atomic_fetch_add_explicit(&db->statements, 1, memory_order_relaxed);
}

static size_t read_values(struct kit_value *values, const char *format, va_list *args)
{
    size_t count = 0;
    for (; format[count]; count++) {
        BASE_CHECK(count < KIT_DB_ARGUMENTS_MAX);
        struct kit_value *value = &values[count];
        *value = (struct kit_value){.kind = format[count]};
        if (value->kind == 'i') {
            value->number = va_arg(*args, int64_t);
            continue;
        }
        value->bytes = va_arg(*args, const char *);
        value->size = value->kind != 't' ? va_arg(*args, size_t) : value->bytes ? strlen(value->bytes) : 0;
    }
    return count;
}

enum kit_step kit_db_query(struct kit_db *db, struct kit_rows *rows, const char *sql, const char *format, ...)
{
    struct kit_value values[KIT_DB_ARGUMENTS_MAX];
    va_list args;
    va_start(args, format);
    size_t count = read_values(values, format, &args);
    va_end(args);
    count_statement(db);
    return db->engine->query(db, rows, sql, values, count);
}

/* The first row of what is asked for with the rows of arguments that are left. */
static enum kit_step ask_next(struct kit_rows *rows)
{
    struct kit_db *db = rows->db;
    const struct kit_many *many = rows->many;
    enum kit_step step = KIT_DONE;
    while (step == KIT_DONE && rows->asked < many->count) {
        struct kit_rows found;
        const struct kit_value *values = many->values + rows->asked++ * many->columns;
        count_statement(db);
        step = db->engine->query(db, &found, rows->sql, values, many->columns);
        rows->result = found.result;
        rows->row = found.row;
    }
    return step;
}

enum kit_step kit_rows_next(struct kit_rows *rows)
{
    enum kit_step step = rows->db->engine->next(rows);
    return step == KIT_DONE && rows->many ? ask_next(rows) : step;
}

void kit_rows_end(struct kit_rows *rows)
{
    if (rows->result) rows->db->engine->end(rows);
}

int64_t kit_rows_int(const struct kit_rows *rows, int column)
{
    return rows->db->engine->get_int(rows, column);
}

const char *kit_rows_text(const struct kit_rows *rows, int column)
{
    return rows->db->engine->get_bytes(rows, column).p;
}

struct eio_str kit_rows_bytes(const struct kit_rows *rows, int column)
{
    return rows->db->engine->get_bytes(rows, column);
}

int64_t kit_db_change(struct kit_db *db, const char *sql, const char *format, ...)
{
    struct kit_value values[KIT_DB_ARGUMENTS_MAX];
    va_list args;
    va_start(args, format);
    size_t count = read_values(values, format, &args);
    va_end(args);
    count_statement(db);
    return db->engine->change(db, sql, values, count);
}

int kit_db_run(struct kit_db *db, const char *sql, const char *format, ...)
{
    struct kit_value values[KIT_DB_ARGUMENTS_MAX];
    va_list args;
    va_start(args, format);
    size_t count = read_values(values, format, &args);
    va_end(args);
    count_statement(db);
    return db->engine->run(db, sql, values, count);
}

/* ------------------------------------------------------- many rows of arguments */

void kit_many_init(struct kit_many *many, const char *format)
{
    *many = (struct kit_many){.format = format, .columns = strlen(format)};
}

void kit_many_clear(struct kit_many *many)
{
    free(many->values);
    kit_many_init(many, many->format);
}

void kit_many_add(struct kit_many *many, ...)
{
    va_list args;
    if (many->count == many->capacity) {
        size_t capacity = many->capacity ? many->capacity * 2 : 16;
        struct kit_value *values = reallocarray(many->values, capacity, many->columns * sizeof *values);
        many->failed |= !values;
        if (!values) return;
        many->values = values;
        many->capacity = capacity;
    }
    va_start(args, many);
    read_values(many->values + many->count++ * many->columns, many->format, &args);
    va_end(args);
}

int kit_db_run_many(struct kit_db *db, const struct kit_many *many, const char *sql)
{
    if (many->failed) return KIT_FAILED;
    if (!many->count) return 0;
    size_t times = db->engine->run_many ? 1 : many->count;
    atomic_fetch_add_explicit(&db->statements, times, memory_order_relaxed);
    if (db->engine->run_many) return db->engine->run_many(db, sql, many);
    for (size_t i = 0; i < many->count; i++)
        if (db->engine->run(db, sql, many->values + i * many->columns, many->columns)) return KIT_FAILED;
    return 0;
}

enum kit_step kit_db_query_many(struct kit_db *db, struct kit_rows *rows, const struct kit_many *many, const char *sql)
{
    *rows = (struct kit_rows){.db = db, .many = many, .sql = sql};
    if (many->failed) return KIT_FAILED;
    if (!many->count) return KIT_DONE;
    if (!db->engine->query_many) return ask_next(rows);
    count_statement(db);
    return db->engine->query_many(db, rows, sql, many);
}

int kit_db_ask(struct kit_db *db, const char *sql, char *text, size_t size)
{
    return db->engine->ask(db, sql, text, size);
}

int kit_db_fail(struct kit_db *db, struct kit_failure *failure)
{
    return db->engine->fail(db, failure);
}
