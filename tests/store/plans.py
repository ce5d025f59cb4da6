#!/usr/bin/env python3
"""No statement reads a whole table that grows, on PostgreSQL: the tests given are run there while it logs the plan of every
statement and avoids sequential scans wherever an index will do (tests/style/plans.py does the same for SQLite).
usage: with-postgresql plans.py TEST…"""
import os
import re
import subprocess
import sys
from pathlib import Path

SMALL = {  # tables that do not grow with history
    "alert_changes", "alert_rules", "chat_pieces", "knowledge_changes", "migrations", "store_nodes",
}
OF_TESTS = re.compile(r"UPDATE calls SET started_ms = started_ms - \d+$")


def run_sql(sql):
    subprocess.run(["psql", os.environ["TEST_STORE"], "-qAtc", sql], check=True, stdout=subprocess.DEVNULL)


def main():
    folder = Path(os.environ["TEST_STORE_FOLDER"])
    with open(folder / "data/postgresql.conf", "a", encoding="ascii") as settings:
        settings.write("session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\nenable_seqscan = off\n")
    run_sql("SELECT pg_reload_conf()")
    for test in sys.argv[1:]:
        subprocess.run([test], check=True, stdout=subprocess.DEVNULL)
    plans = re.split(r"\n(?=\d{4}-\d\d-\d\d )", (folder / "log").read_text(encoding="utf-8"))
    found, count = set(), 0
    for plan in plans:
        query = re.search(r"Query Text: (.*?)\n\t?[A-Z][A-Za-z ]+ .*\(cost=", plan, re.S)
        if not query:
            continue
        count += 1
        text = " ".join(query[1].split())
        scanned = set(re.findall(r"Seq Scan on (\w+)", plan)) - SMALL
        if scanned and not re.match(r"(CREATE|ALTER|SET|DROP) ", text) and not OF_TESTS.match(text):
            found.add(f"{', '.join(sorted(scanned))}: {text[:300]}")
    for problem in sorted(found):
        print(problem)
    if count < 1000:
        print(f"only {count} plans were logged")
    return bool(found) or count < 1000


sys.exit(main())
