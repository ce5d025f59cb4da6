/* SQL by the engine of the connection. */
#include "kit_engine.h"

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

enum kit_step kit_db_query(struct kit_db *db, struct kit_rows *rows, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum kit_step step = db->engine->query(db, rows, sql, format, args);
    va_end(args);
    return step;
}

enum kit_step kit_rows_next(struct kit_rows *rows)
{
    return rows->db->engine->next(rows);
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
    va_list args;
    va_start(args, format);
    int64_t count = db->engine->change(db, sql, format, args);
    va_end(args);
    return count;
}

int kit_db_run(struct kit_db *db, const char *sql, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int failed = db->engine->run(db, sql, format, args);
    va_end(args);
    return failed;
}

int kit_db_ask(struct kit_db *db, const char *sql, char *text, size_t size)
{
    return db->engine->ask(db, sql, text, size);
}

int kit_db_fail(struct kit_db *db, struct kit_failure *failure)
{
    return db->engine->fail(db, failure);
}
