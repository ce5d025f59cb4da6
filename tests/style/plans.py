#!/usr/bin/env python3
"""No statement of app/ reads a whole table that grows with history: every statement in the sources is explained by
SQLite on a database that the program made. usage: PARLEY=… plans.py; prints what scans, ends with 1."""
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Statements that may read a whole table, by a part of their text, and why. One that no longer does is an error, too.
ALLOWED = {
    "SELECT count(*) FROM documents": "once, when a server with the demo starts",
    "FROM documents ORDER BY id": "builds the index, when documents changed",
    "FROM documents d JOIN document_phrases": "the same",
    "FROM documents d LEFT JOIN document_expansions": "by parley expand-documents",
    "SELECT source, count(*) FROM hook_outbox GROUP BY": "at most every five seconds, of at most hook_queue_max",
    "DELETE FROM chat_pieces WHERE owner<>": "they are of the last two or three seconds",
    "FROM alert_rules": "there are at most CALLS_RULES_MAX",
}
# In a plan: a table of the statement's own (a subquery is called latest), or an index that is asked for one row.
HARMLESS = re.compile(r"SCAN (\d+ )?CONSTANT ROW|SCAN json_each VIRTUAL TABLE INDEX 1:$|SCAN (latest$|\(?subquery)|SCAN \S+ VIRTUAL TABLE INDEX \d+:[^ ]*M")


def sources():
    return sorted((ROOT / "app").rglob("*.c"))


def literals(text, at):
    """The value of "a" "b" NAME "c" from `at` to the end of the argument, and where it ends; None if it is another
    expression."""
    macros = dict(re.findall(r'#define (\w+) ((?:"(?:[^"\\]|\\.)*"\s*)+)\n', text))
    token = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\w+)')
    value = ""
    while match := token.match(text, at):
        part = match[1] if match[1][0] == '"' else macros.get(match[1])
        if part is None:
            return None, at
        value += "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', part))
        at = match.end()
    return (value.replace('\\"', '"'), at) if re.match(r"\s*[,)]", text[at:]) else (None, at)


def statements():
    """(place, SQL) of every statement that app/ runs; SQL None: not a literal."""
    for path in sources():
        if path.name in {"kit_db.c", "kit_sqlite.c", "kit_postgresql.c"}:
            continue
        text = path.read_text(encoding="utf-8")
        for match in re.finditer(r"\bkit_db_(?:run|change|query\([^,()]*,)\(?[^,()]*,\s*", text):
            yield f"{path.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}", literals(text, match.end())[0]


def make_database(folder):
    document = Path(folder) / "a.md"
    document.write_text("# A\n\na\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY")}
    subprocess.run([os.environ["PARLEY"], "import-documents", "--data", f"{folder}/data", str(document)], check=True,
                   stdout=subprocess.DEVNULL, env=environment)
    return sqlite3.connect(f"{folder}/data/parley.db")


def scans(database, sql):
    rows = database.execute("EXPLAIN QUERY PLAN " + sql, [None] * len(parameters(sql))).fetchall()
    return [row[3] for row in rows if row[3].startswith("SCAN") and not HARMLESS.match(row[3])]


def parameters(sql):
    numbered = set(re.findall(r"\?(\d+)", sql))
    return range(max(map(int, numbered)) if numbered else sql.count("?"))


def problems(database):
    used = set()
    count = 0
    for place, sql in statements():
        if sql is None:
            yield f"{place}: a statement must be a literal, so that its plan can be looked at"
            continue
        count += 1
        if re.match(r"BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|PRAGMA", sql):
            continue
        found = scans(database, sql)
        reason = next((part for part in ALLOWED if part in sql), None)
        if found and reason:
            used.add(reason)
        elif found:
            yield f"{place}: {'; '.join(found)}: {sql}"
    for part in ALLOWED.keys() - used:
        yield f"plans.py: no statement with \"{part}\" scans any more; take it off the list"
    if count < 20:
        yield f"plans.py: only {count} statements were found in app/"


def main():
    with tempfile.TemporaryDirectory(prefix="parley-plans-") as folder:
        found = list(problems(make_database(folder)))
    for problem in found:
        print(problem)
    return bool(found)


sys.exit(main())
