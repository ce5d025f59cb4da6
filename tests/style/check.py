#!/usr/bin/env python3
"""Rules of the tree that a compiler does not check. usage: check.py RULE…; prints what breaks a rule, ends with 1."""
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 100
CODE = {".c", ".h", ".mjs", ".js", ".py", ".css", ".cmake", ".sh"}
# What a folder may see besides its own files: all of a folder (without those in it), or one header. Arrows only point down.
LIBRARIES = ["engineio.h", "engineio_http.h", "rooms.h", "cluster.h", "socketio.h", "adminui.h"]
CLUSTER = ["rooms", "rooms/msgpack", "rooms.h", "rooms_msgpack.h", "cluster.h", "base"]
MODULE = ["app/kit", "app/web", "knowledge.h", "llm.h", "mcp.h", "hooks.h"]
MAY_SEE = {
    "base": [],
    "engineio": ["engineio.h", "engineio_http.h", "base"],
    "rooms": ["rooms.h", "rooms_msgpack.h", "base"],
    "rooms/msgpack": ["rooms", "rooms.h", "rooms_msgpack.h", "base"],
    "rooms/cluster": CLUSTER,
    "rooms/bus": [*CLUSTER, "rooms/cluster"],
    "rooms/redis": CLUSTER,
    "rooms/classic": [*CLUSTER, "rooms/redis"],
    "rooms/sharded": [*CLUSTER, "rooms/cluster", "rooms/redis"],
    "rooms/postgresql": CLUSTER,
    "rooms/streams": [*CLUSTER, "rooms/cluster", "rooms/redis", "rooms/sharded"],
    "socketio": ["socketio.h", "engineio.h", "engineio_http.h", "rooms.h", "rooms_msgpack.h", "base"],
    "socketio/adminui": ["adminui.h", "engineio.h", "rooms.h", "socketio.h", "base"],
    "app/kit": [*LIBRARIES, "base"],
    "app/node": ["app/kit", "cluster.h"],
    **{f"app/{module}": ["app/kit"] for module in ("web", "knowledge", "users", "llm", "mcp", "hooks", "trace")},
    # Never each other.
    "app/calls": [*MODULE, "app/calls/vendors"],
    "app/chat": [*MODULE, "app/chat/dialects", "app/chat/bridges"],
    "app/calls/vendors": ["socketio.h"],
    # Pure: entries of a chat's log to text and back.
    "app/chat/dialects": ["app/kit", "chat.h"],
    "app/chat/bridges": ["app/kit", "chat.h", "chat_dialect.h"],
    "app/admin": ["app/kit", "app/web", "adminui.h"],
    "app": ["app/*", *LIBRARIES, "base"],
}
TREES = {folder.partition("/")[0] for folder in MAY_SEE}
# What base/ stands on, besides the C library and POSIX.
BASE_MAY_USE = ("event2/", "emmintrin.h")
PUBLIC_HEADERS = ["engineio/include/engineio.h", "engineio/include/engineio_http.h", "rooms/include/rooms.h", "rooms/include/rooms_msgpack.h",
                  "rooms/include/cluster.h", "socketio/include/socketio.h", "socketio/adminui/include/adminui.h"]
SKIPPED_FOLDERS = {".git", "build", "node_modules", "data"}
BUILT = ("app/admin/page/dist/", "clients/dist/")  # the latter by clients/build.mjs; the test clients.dist compares it with what stands beside it


def files():
    """Every file of the project, new ones included; neither what git ignores nor what is built."""
    try:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
        names = [name for name in listed.split("\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, subfolders, entries in os.walk(ROOT):
            subfolders[:] = [name for name in subfolders if name not in SKIPPED_FOLDERS]
            names += [str((Path(folder) / entry).relative_to(ROOT)) for entry in entries]
    return sorted(Path(name) for name in set(names) if not name.startswith(BUILT) and (ROOT / name).is_file())


def text(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def c_files():
    return [path for path in files() if path.suffix in {".c", ".h"}]


def headers():
    """Each public header compiles alone, as C11 and as C++17."""
    includes = [f"-I{ROOT / Path(header).parent}" for header in PUBLIC_HEADERS]
    for header in PUBLIC_HEADERS:
        for compiler, language, standard in (("gcc", "c", "c11"), ("g++", "c++", "c++17")):
            command = [compiler, "-x", language, f"-std={standard}", "-pedantic", "-Wall", "-Wextra", "-Werror",
                       "-fsyntax-only", *includes, "-"]
            run = subprocess.run(command, input=f'#include "{Path(header).name}"\n', capture_output=True, text=True)
            if run.returncode:
                yield f"{header} alone as {standard}:\n{run.stderr}"


def is_of_base(header):
    """What the C library brings, as its package says, and what BASE_MAY_USE allows."""
    if not header or header.startswith(BASE_MAY_USE):
        return True
    command = ["dpkg", "-L", "libc6-dev"]
    if not hasattr(is_of_base, "libc"):
        is_of_base.libc = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    places = ("/usr/include/", f"/usr/include/{os.uname().machine}-linux-gnu/")
    return header in {"stdbool.h", "stddef.h", "stdarg.h", "stdint.h"} or any(p + header in is_of_base.libc for p in places)


# A database is known to its engine alone: the rest of app/ writes SQL that all engines take (kit_db.h).
ENGINES = {"sqlite3.h": "kit_sqlite", "libpq-fe.h": "kit_postgresql"}


def part_of(path):
    """The row of MAY_SEE that a file belongs to: `rooms/include` and the folders of engineio/ to the library; else its folder."""
    folder = path.parent.as_posix().removesuffix("/include")
    while folder not in MAY_SEE and not folder.startswith("app/") and "/" in folder:
        folder = folder.rpartition("/")[0]
    return folder


def layering():
    """Includes never point upwards, and across folders only at what MAY_SEE names."""
    home = {path.name: path for path in c_files() if path.suffix == ".h" and path.parts[0] in TREES}
    for path in c_files():
        folder = part_of(path)
        if path.parts[0] not in TREES:
            continue
        if folder not in MAY_SEE:
            yield f"{path}: {folder}/ has no row in MAY_SEE"
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
            name = match and Path(match[1]).name
            if name in home and home[name].parent != path.parent:
                is_public = home[name].parent.name == "include"
                of = name if is_public else part_of(home[name])
                seen = {name, of, "app/*" if of.startswith("app/") else of} & {folder, *MAY_SEE[folder]}
                if not seen:
                    yield f"{path}:{number}: {folder}/ must not include {name} of {home[name].parent}/"
            if folder.startswith("app") and not path.name.startswith(ENGINES.get(name, "")):
                yield f"{path}:{number}: {name} is for {ENGINES[name]}.c only"
            if folder == "base" and name not in home and not is_of_base(match[1] if match else None):
                yield f"{path}:{number}: base/ must not include {match[1]}, only libc and libevent"


def calls(folder):
    """Each C file below the folder, and which of the others it calls. Calls through pointers are not seen: that is what they are for."""
    paths = [path for path in c_files() if path.parts[0] == folder and path.suffix == ".c"]
    command = ["ctags", "--languages=C", "--kinds-C=f", "--fields=+f", "-f", "-", *map(str, paths)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    home, defined = {}, {path.name: set() for path in paths}
    for name, path, *rest in (line.split("\t") for line in run.stdout.splitlines()):
        defined[Path(path).name].add(name)
        if "file:" not in rest:  # static ones may have the same name in several files
            home[name] = Path(path).name
    graph = {}
    for path in paths:
        code = re.sub(r"/\*.*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])'", "", text(path), flags=re.S)
        called = set(re.findall(r"\b([a-z]\w*)\(", code)) - defined[path.name]
        graph[path.name] = {home[name] for name in called if name in home}
    return graph


def reachable(graph, start):
    found, left = set(), [start]
    while left:
        for name in graph[left.pop()] - found:
            found.add(name)
            left.append(name)
    return found


def circles():
    """Files that call each other are one family: of one first word behind the library's, as eio_http.c, eio_http_conn.c."""
    for folder in ("base", "engineio", "rooms", "socketio"):
        graph = calls(folder)
        reach = {name: reachable(graph, name) for name in graph}
        seen = set()
        for name in sorted(graph):
            circle = {other for other in reach[name] if name in reach[other]}
            if name in seen or len(circle) < 2:
                continue
            seen |= circle
            if len({re.split(r"[_.]", other)[1] for other in circle}) > 1:
                edges = sorted(f"{one} → {other}" for one in circle for other in graph[one] & circle)
                yield f"{folder}/: {len(circle)} files call each other: {', '.join(edges)}"


# Folders whose static functions say in their names what they do it to, so that a backtrace can be read. A word is bare if one of these, or if several files have a function of that name.
NAMED = ("base/", "engineio/", "rooms/", "socketio/")
EVERYWHERE = {"fail", "put", "take"}  # bare in app/ too
BARE = {"add", "ask", "call", "do", "fail", "find", "finish", "get", "handle", "put", "run", "take", "tell"}


def verbs():
    """Static functions have more of a name than one bare verb."""
    paths = [str(path) for path in c_files() if path.suffix == ".c" and path.as_posix().startswith((*NAMED, "app/"))]
    command = ["ctags", "--languages=C", "--kinds-C=f", "--fields=+fn", "-f", "-", *paths]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    places = {}
    for name, path, *rest in (line.split("\t") for line in run.stdout.splitlines()):
        if "file:" in rest and "_" not in name and (name in EVERYWHERE or path.startswith(NAMED)):
            line = next(part.split(":")[1] for part in rest if part.startswith("line:"))
            places.setdefault(name, []).append(f"{path}:{line}")
    for name, found in places.items():
        if name in BARE or len(found) > 1:
            yield f"{', '.join(found)}: {name}() of what?"


def sizes():
    """Files and functions stay small."""
    for path in files():
        lines = text(path).count("\n") if path.suffix in CODE else 0
        if lines > MAX_FILE_LINES:
            yield f"{path}: {lines} lines, at most {MAX_FILE_LINES}"
    command = ["ctags", "-L", "-", "--languages=C,C++", "--langmap=C:.c.h", "--kinds-C=f", "--fields=+ne", "-f", "-"]
    names = "\n".join(str(path) for path in c_files())
    for tag in subprocess.run(command, cwd=ROOT, input=names, capture_output=True, text=True, check=True).stdout.splitlines():
        name, path, *rest = tag.split("\t")
        fields = dict(part.split(":", 1) for part in rest if ":" in part)
        if "end" not in fields:
            continue
        lines = int(fields["end"]) - int(fields["line"]) + 1
        if lines > MAX_FUNCTION_LINES:
            yield f"{path}:{fields['line']}: {name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


def formatting():
    """clang-format would change nothing."""
    command = ["clang-format", "--dry-run", "-Werror", *(str(path) for path in c_files())]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    places = {}
    for line in run.stderr.splitlines():
        if ": error: " in line:
            path, number = line.split(":")[:2]
            places.setdefault(path, []).append(number)
    for path, numbers in places.items():
        yield f"{path}: lines {', '.join(numbers[:8])}{' …' if len(numbers) > 8 else ''}; run clang-format -i {path}"


# What each kind of lock file must have none of, and one line of what each package has.
ADDRESS = r"https?://|(?:^|\s)--(?:extra-)?index-url|--find-links|--trusted-host"
LOCKS = {
    # What npm calls so of a workspace is its folder.
    "package-lock.json": (r'"resolved": "(?!\w+",\n\s+"link": true)', None),
    # cargo's name for crates.io, which it needs to check the sums; any other address is a place.
    "Cargo.lock": (r'"(?!registry\+https://github\.com/rust-lang/crates\.io-index")[^"]*://', "checksum = "),
    "go.sum": (ADDRESS, "h1:"),
    "toolchain.sum": (ADDRESS, "h1:"),
    "requirements.txt": (ADDRESS, "--hash=sha256:"),
    "jars.sha256": (ADDRESS, "  "),
    "pom.xml": (r"<(?:repository|pluginRepository|mirror)>", None),
}


def locks():
    """Lock files name packages and checksums, not where they were downloaded."""
    for path in files():
        address, checksum = LOCKS.get(path.name, (None, None))
        if address and re.search(address, text(path), re.M):
            yield f"{path} has download addresses ({re.search(address, text(path), re.M)[0].strip()})"
        if checksum and checksum not in text(path):
            yield f"{path} has no checksums"


SNIPPET = re.compile(r"<!-- (\S+): (\w+) -->\n```(\w+)\n(.*?)```\n", re.S)


def region(path, name):
    """What stands in a file between `docs: NAME` and `docs: end`, from its own margin; each such part of the file."""
    parts = re.findall(rf"^ *(?://|#) docs: {name}\n(.*?)^ *(?://|#) docs: end\n", text(path), re.M | re.S)
    return "\n".join(textwrap.dedent(part).strip("\n") + "\n" for part in parts)


def snippets():
    """The code in docs/clients.md is the tests', but for that of languages which it says are not tried."""
    document = Path("docs/clients.md")
    tried = text(document).partition("## Not tried: ")[0]
    shown = SNIPPET.findall(tried)
    for path, name, _, code in shown:
        if not (ROOT / path).is_file() or code != region(Path(path), name) or not code:
            yield f"{document}: {name} differs from {path}"
    if len(shown) != tried.count("\n```") // 2:
        yield f"{document}: code that names no test"


# A link of Markdown, `[text](address)` or `![text](address)`, outside code.
LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")


def without_code(path):
    """A Markdown file without its code."""
    return re.sub(r"^( *)```.*?^\1```$|`[^`\n]+`", "", text(path), flags=re.M | re.S)


def anchors(path):
    """What a heading of the file is called in an address."""
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"^( *)```.*?^\1```$", "", text(path), flags=re.M | re.S), re.M):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def links():
    """Relative links lead to a file of the project, and what follows # to a heading in it."""
    known = {str(path) for path in files()}
    known |= {str(parent) for name in known for parent in Path(name).parents}
    for path in (Path(name) for name in sorted(known) if name.endswith(".md")):
        for address in LINK.findall(without_code(path)):
            if re.match(r"[a-z]+:", address):
                continue
            name, _, anchor = address.partition("#")
            target = os.path.normpath(path.parent / name) if name else str(path)
            if target not in known:
                yield f"{path}: there is no {address}"
            elif anchor and anchor not in anchors(Path(target)):
                yield f"{path}: {target} has no heading #{anchor}"
    entry = Path("docs/index.md")
    shown = {os.path.normpath(entry.parent / address) for address in LINK.findall(text(entry))}
    for name in sorted(known):
        if re.fullmatch(r"docs/[^/]+\.md", name) and name not in shown | {str(entry)}:
            yield f"{entry}: does not show {name}"


ARCHITECTURE = Path("docs/architecture.md")


def walks():
    """docs/architecture.md names every source file, none that is not there, and functions that are where it says."""
    homes = ("base", "engineio", "rooms", "socketio", "app")
    sources = {path.name: path for path in c_files() if path.parts[0] in homes}
    named = set(re.findall(r"`(?:[\w/]+/)?(\w+\.[ch])(?::\w+)?`", text(ARCHITECTURE)))
    for name in sorted(sources):
        if name.endswith(".c") and name not in named:
            yield f"{ARCHITECTURE}: does not name {sources[name]}"
    for name in sorted(named - set(sources)):
        yield f"{ARCHITECTURE}: there is no {name}"
    for name, function in sorted(set(re.findall(r"`(\w+\.c):(\w+)`", text(ARCHITECTURE)))):
        definition = rf"^[a-z][^\n;=]*\b{function}\([^;{{}}]*\)\n\{{"
        if name in sources and not re.search(definition, text(sources[name]), re.M):
            yield f"{ARCHITECTURE}: {name} has no function {function}"


def paths():
    """Nothing depends on one machine's folders."""
    pattern = re.compile(r"(?<![\w.:/])/(?:work|root(?!/children)|home/\w+|tmp/wt|Users/\w+)/")
    for path in files():
        if path.suffix in {".png", ".ico"} or path.parts[0] == "tests" and "corpus" in path.parts:
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            if path != Path("tests/style/check.py") and pattern.search(line):
                yield f"{path}:{number}: {line.strip()[:100]}"


# What docs/compatibility.md says where a row has no test.
REASONS = ("not applicable", "not needed", "out of scope", "not a server's", "nothing is executed")
EDGE_CASES = 70


def test_source(name):
    """The file that a name in the documentation means."""
    if name.endswith("_test"):
        places = [f"tests/{folder}/{name}.c" for folder in ("session", "http", "unit")]
    else:
        places = [f"tests/{folder}/{name}.test.mjs" for folder in ("clients", "browser")] + [f"tests/clients/test_{name}.py"]
    return next((Path(place) for place in places if (ROOT / place).is_file()), None)


def has_test(source, name):
    """A C test that is defined and listed; or a part of a JavaScript title, a number being one's beginning."""
    body = text(source)
    if source.suffix == ".c":
        listed = re.search(rf"\({re.escape(name)}[,)]", body) and re.search(rf"\bstatic void {re.escape(name)}\(", body)
        return bool(listed or re.search(rf"^TEST\(\w+, {re.escape(name)}\)", body, re.M))
    if source.suffix == ".py":
        return re.search(rf"^ *(?:async )?def {re.escape(name)}\(", body, re.M) is not None
    for shared in re.findall(r'from "(\./lib/[^"]+)"', body):
        body += text(source.parent / shared)
    part = rf"{name}[:, ]" if name.isdigit() else rf"[^\n]*?{re.escape(name)}"
    return re.search(rf"[\"'`]{part}", body) is not None


def numbers(cell):
    """The edge cases that a row's first cell names: "10", "42, 43", "1 to 16"."""
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", cell):
        yield from range(int(first), int(last or first) + 1)


def compatibility():
    """Every test that docs/compatibility.md names exists; a row without one gives a reason; no edge case is left out."""
    document = Path("docs/compatibility.md")
    edge_cases, section = set(), ""
    lines = text(document).splitlines()
    for number, line in enumerate(lines, 1):
        section = line if line.startswith("#") else section
        is_head = number < len(lines) and lines[number].startswith("| ---")
        if not line.startswith("| ") or line.startswith("| ---") or is_head:
            continue
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        tests = re.findall(r"([\w-]+): (`[^`]+`(?:, `[^`]+`)*)", cells[-1])
        by_number = set(numbers(cells[0])) if "edge cases" in section else set()
        edge_cases |= by_number
        if "edge-cases, " in cells[-1]:
            tests.append(("edge-cases", "".join(f"`{case}`" for case in sorted(by_number - {17}))))
        whole = any(test_source(word) for word in re.findall(r"[\w-]+", re.sub(r"`[^`]*`", "", cells[-1])))
        if not tests and not whole and not any(reason in line for reason in REASONS):
            yield f"{document}:{number}: names no test and no reason: {cells[0]}"
        for file, names in tests:
            source = test_source(file)
            if not source:
                yield f"{document}:{number}: there is no test file {file}"
            for name in re.findall(r"`([^`]+)`", names) if source else []:
                if not has_test(source, name):
                    yield f"{document}:{number}: {file} has no test {name}"
    for case in sorted(set(range(1, EDGE_CASES + 1)) - edge_cases):
        yield f"{document}: edge case {case} is not there"


def events():
    """docs/events.md and the types for TypeScript have what the schema files say; every event that the server sends has a schema."""
    document = text(Path("docs/events.md"))
    made = subprocess.run([ROOT / "scripts/events-markdown"], capture_output=True, text=True, check=True).stdout
    if made not in document:
        yield "docs/events.md: differs from the schema files: run scripts/events-markdown --write"
    types = Path("clients/react/src/events.ts")
    if subprocess.run([ROOT / "scripts/events-markdown", "--types"], capture_output=True, text=True, check=True).stdout != text(types):
        yield f"{types}: differs from the schema files: run scripts/events-markdown --write"
    folder = ROOT / "app/schemas"
    titles = {path: json.loads(path.read_text(encoding="utf-8"))["title"] for path in folder.rglob("*.json")}
    for path, title in titles.items():
        if path.stem != re.sub("[:.]", "_", title):
            yield f"{path.relative_to(ROOT)}: is called otherwise than its event, {title}"
        if made.count(f"#### `{title}`\n") < list(titles.values()).count(title):
            yield f"{path.relative_to(ROOT)}: its description does not begin with who sends it where"
    sent = {title for path, title in titles.items() if path.parent.name == "server"}
    found = set()
    for path in c_files():
        if path.parts[0] == "app" and path.suffix == ".c":
            found |= set(re.findall(r'sio_emit(?:_pack)?\([^;]*?, "([a-z]+:[a-z]+|error)"', text(path)))
            # Of chats: by the functions that add to the log, or that send beside it.
            found |= set(re.findall(r'chat_(?:batch_add(?:_text|_fields)?|turn_add|tool_emit)\([^;]*?"([a-z]+\.[a-z]+)"', text(path)))
            found |= set(re.findall(r'"(session\.ready|chat\.reasoning|debug)"', text(path))) if path.parts[1] == "chat" else set()
    for event in sorted(found ^ sent):
        yield f"app/schemas/server: {event} is {'sent without a schema' if event in found else 'never sent'}"


# What reads as if translated: negation by noun, verbs of speech for programs.
PROSE = re.compile(
    r"(?<!there )\b(?:is|are|was|were) (?:none\b|no (?:list|such|text|number|integer|object|string|client|member|call|session|id)\b)"
    r"|\bthat (?:is|are) none\b|\b(?:is|are) (?:told|heard|said) (?:of|to|by|it)\b|\bsays? (?:nothing|something|so)\b"
    r"|\bgoes untold\b|\bhe (?:is|has|was|must|may)\b|\bhis (?:own|last|next)\b")
LITERAL = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"(?:\s*"(?:\\.|[^"\\\n])*")*', re.S)


# Below app/ people speak: what was said on a call, and an offer that nobody took, are its subject.
TRANSLATED = {True: re.compile(r"\b(?:[Ww]hoever|[Hh]e|[Hh]is|(?:is|are|was|were|be|been) (?:told|heard))\b"),
              False: re.compile(r"\b(?:[Ww]hoever|[Nn]obody|[Hh]e|[Hh]is|(?:is|are|was|were|be|been) (?:told|heard|said))\b")}


def prose():
    """What operators, clients and the readers of comments read is plain English: subject, verb, reason."""
    for path in c_files():
        if path.parts[0] not in TREES:
            continue
        body = text(path)
        for found in LITERAL.finditer(body):
            said = found[0]
            if said[0] == '"':
                said = "".join(re.findall(r'"((?:\\.|[^"\\\n])*)"', said))
            else:
                said = re.sub(r"\s*\n\s*\* ?", " ", said)
            words = PROSE.search(said) or (found[0][0] != '"' and TRANSLATED[path.parts[0] == "app"].search(said))
            if words:
                yield f"{path}:{body.count(chr(10), 0, found.start()) + 1}: {words[0]}"


# A number, perhaps an adjective, and a plural (%d is left to constants, which are above one; limits in bytes are, too).
COUNTED = re.compile(r"%(?:zu|llu|lld|lu|ld|u) (?:[a-z]+ )?(?!of |bytes|address|ms|is|was|has|passes|stays)[a-z]+s\b")


def counts():
    """One document is not `1 documents`: what is printed with a count has its plural from kit_s(), or is worded without one."""
    for path in c_files():
        if path.parts[0] not in TREES or path.suffix != ".c":
            continue
        body = text(path)
        for found in LITERAL.finditer(body):
            if found[0][0] != '"':
                continue
            words = COUNTED.search("".join(re.findall(r'"((?:\\.|[^"\\\n])*)"', found[0])))
            if words:
                yield f"{path}:{body.count(chr(10), 0, found.start()) + 1}: {words[0]}"


# What answers an HTTP request; of the product's, one file adds the headers that every answer has.
REPLY = re.compile(r"\b(?:eio_http_reply|eio_server_reply|eio_http_stream_begin|eio_server_stream)\(")


def replies():
    """Every answer of the product goes through kit_http.c, which adds what browsers are to know of it."""
    for path in c_files():
        if path.parts[0] != "app" or path == Path("app/kit/kit_http.c"):
            continue
        for number, line in enumerate(text(path).splitlines(), 1):
            if REPLY.search(line) and not line.lstrip().startswith(("*", "/*")):
                yield f"{path}:{number}: {line.strip()[:100]}"


# Names that a reader is to choose, or that changes described step by step would have.
NOT_THERE_YET = {"app/schemas/call_count.json", "app/calls/calls_count.c", "rooms/NAME/rooms_NAME.c", "tests/clients/cluster-NAME.test.mjs",
                 "engineio/transport/eio_NAME.c", "app/chat/chat_tools_weather.c", "weather.py"}


def names():
    """Files of the project that a document names in its text are there."""
    known = {str(path) for path in files()}
    known |= {str(parent) for name in known for parent in Path(name).parents}
    lone = {Path(name).name for name in known}
    folder = "|".join(sorted({name.partition("/")[0] for name in known if "/" in name and not name.startswith(".")}))
    for path in (path for path in files() if path.suffix == ".md" and path != Path("CHANGELOG.md")):
        for name in re.findall(r"`([^`\n]+)`", re.sub(r"^( *)```.*?^\1```$", "", text(path), flags=re.M | re.S)):
            is_path = re.fullmatch(rf"(?:{folder})/[\w./-]*", name)
            is_file = re.fullmatch(r"[\w-]+\.(?:c|h|mjs|py|cmake)", name)
            if name in NOT_THERE_YET or not (is_path or is_file):
                continue
            if name.rstrip("/") not in known and not (is_file and name in lone) and not (ROOT / name).exists():
                yield f"{path}: there is no {name}"


# A block of commands, and what stands above it: which test runs it, or why none does.
COMMANDS = re.compile(r"(?:^<!-- (run by|not run): (.*?) -->\n)?^```sh\n(.*?)^```", re.M | re.S)
# Commands of the project, in a shell block: from the document's folder or from the root.
OWN_COMMAND = re.compile(r"(?:^|[\s($|&;])(\$?parley|(?:\./)?(?:scripts|clients|tests)/[\w./-]+)((?:[^\n|;&<>#]|\\\n)*)")


def known_options():
    """Options and flags of `parley`, as its tables write them."""
    sources = [path for path in c_files() if path.parts[0] == "app"]
    rows = {name.replace("_", "-") for path in sources for name in re.findall(r'KIT_\w+_ROW\(\s*"(\w+)"', text(path))}
    return rows | set(re.findall(r'\{"([a-z-]+)", NULL, (?:true|false), NULL\}', text("app/main.c")))


def commands():
    """Each block of shell commands in a document is run by a test, or says above it why not; its files and options are there."""
    options = known_options()
    documents = [path for path in files() if path.suffix == ".md" and (len(path.parts) == 1 or path.parts[0] in ("docs", "clients")) and "decisions" not in path.parts]
    for path in documents:
        for kind, reason, block in COMMANDS.findall(text(path)):
            first = block.strip().splitlines()[0][:60]
            if not kind:
                yield f"{path}: no test runs the block `{first}`, and nothing says why (<!-- run by: FILE --> or <!-- not run: WHY -->)"
            for name in reason.split(", ") if kind == "run by" else []:
                if not (ROOT / name).is_file():
                    yield f"{path}: `{first}` is run by {name}, which is not there"
                elif name.startswith("tests/") and path.name not in text(Path(name)):
                    yield f"{path}: `{first}` is run by {name}, which does not name {path.name}"
            for command, rest in OWN_COMMAND.findall(block):
                is_server = command in ("parley", "$parley", "scripts/serve")
                if "/" in command and not (ROOT / command).exists():
                    yield f"{path}: there is no {command}"
                for option in re.findall(r"(?<=\s)--([a-z][a-z-]*)", rest) if is_server else []:
                    if option not in options and option.removeprefix("no-") not in options:
                        yield f"{path}: parley has no --{option}"


# The packages of npm that are Parley's own, and those of them that name another.
PACKAGES = ["clients/package.json", "clients/react/package.json", "clients/console/package.json"]


def version():
    """CMakeLists.txt has the version; packages follow it, and it is the newest in the changelog, with notes for an upgrade."""
    wanted = re.search(r"^project\(parley VERSION (\S+)", text("CMakeLists.txt"), re.M)[1]
    lock = json.loads(text("clients/package-lock.json"))
    said = {name: json.loads(text(name)) for name in PACKAGES}
    said |= {f"clients/package-lock.json ({name or '.'})": lock["packages"][name] for name in ("", "react", "console")}
    for name, package in said.items():
        for what in (package["version"], package.get("dependencies", {}).get("@parley/react", wanted)):
            if what != wanted:
                yield f"{name} has {what}, not {wanted}"
    sections = re.findall(r"^## (\d[^ \n]*)[^\n]*\n(.*?)(?=^## |\Z)", text("CHANGELOG.md"), re.M | re.S)
    if not sections or sections[0][0] != wanted:
        yield f"CHANGELOG.md: the newest version is not {wanted}"
    elif "\n### Upgrade notes\n" not in sections[0][1]:
        yield f"CHANGELOG.md: {wanted} has no upgrade notes"


# Programs that a rule runs, and the Debian packages that they are in.
PROGRAMS = {"headers": {"gcc": "gcc", "g++": "g++"}, "sizes": {"ctags": "universal-ctags"},
            "circles": {"ctags": "universal-ctags"}, "verbs": {"ctags": "universal-ctags"}, "format": {"clang-format": "clang-format"}}
RULES = {"headers": headers, "layering": layering, "circles": circles, "verbs": verbs, "sizes": sizes, "format": formatting,
         "events": events, "locks": locks, "paths": paths, "compatibility": compatibility,
         "snippets": snippets, "replies": replies, "names": names, "commands": commands, "version": version, "prose": prose, "counts": counts, "links": links, "walks": walks}


def main(wanted):
    unknown = [name for name in wanted if name not in RULES]
    if unknown or not wanted:
        print(f"rules: {' '.join(RULES)}", file=sys.stderr)
        return 2
    found = 0
    for name in wanted:
        for program, package in PROGRAMS.get(name, {}).items():
            if not shutil.which(program):
                print(f"{name} needs the Debian package {package}: run scripts/install-deps --for test.")
                return 1
        for problem in RULES[name]():
            print(f"{name}: {problem}")
            found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
