#!/usr/bin/env python3
"""A public header as Doxygen wants it: our comments are plain ones. usage: doxygen-filter.py HEADER

A comment belongs to the declaration behind it, and to those that follow that one without a line between; a comment at the
end of a line belongs to what stands before it. A type or function without a comment is an error."""
import re
import sys

COMMENT = re.compile(r"/\*(.*?)\*/", re.S)
DIVIDER = re.compile(r"^\s*-{3,}")


def escape(comment):
    """Text, with what Doxygen would take for a command; indented code is left as it is."""
    lines = comment.split("\n")
    return "\n".join(line if re.match(r"\s*\* {5,}", line) else re.sub(r"([\\@<>#%])", r"\\\1", line) for line in lines)


def declarations(lines, start):
    """The end of the declaration that begins in a line."""
    depth = 0
    for at in range(start, len(lines)):
        code = re.sub(r'/\*.*?\*/|"[^"]*"', "", lines[at])
        depth += code.count("{") - code.count("}")
        if depth == 0 and re.search(r"[;}]\s*$", code.rstrip()):
            return at
    return len(lines) - 1


def is_declaration(line):
    return bool(re.match(r"[A-Za-z_]", line)) and not line.startswith("extern \"C\"")


def name_of(lines, start, end):
    words = " ".join(lines[start:end + 1])
    found = re.match(r"(?:struct|enum|union) (\w+) \{", words) or re.search(r"(\w+)\s*\(", re.sub(r"^.*\(\*(\w+)\)", r"\1", words))
    return found[1] if found else words.strip()


def main(path):
    text = open(path, encoding="utf-8").read()
    head = COMMENT.match(text)
    out = ["/** \\file\n *" + escape(head[0][2:])]
    lines = text[head.end():].lstrip("\n").split("\n")
    comment, undocumented, at = None, [], 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("/*"):
            end = at
            while "*/" not in lines[end]:
                end += 1
            whole = "\n".join(lines[at:end + 1])
            after = lines[end + 1] if end + 1 < len(lines) else ""
            if DIVIDER.match(whole[2:]):
                comment = None
            elif is_declaration(after) or after.startswith("#define"):
                comment = "/**" + escape(whole[2:])
                if after.startswith("#define"):
                    out.append(comment)
                    comment = None
            at = end + 1
            continue
        if is_declaration(line):
            end = declarations(lines, at)
            is_forward = re.fullmatch(r"(struct|enum) \w+;.*", line)
            if comment:
                out.append(comment)
            elif not is_forward and "/*" not in lines[end]:
                undocumented.append(name_of(lines, at, end))
            body = "\n".join(lines[at:end + 1])
            is_inline = line.startswith("static inline")
            out.append(body if is_inline else mark_members(body, end == at))
            at = end + 1
            continue
        if not line.strip():
            comment = None
        out.append(line)
        at += 1
    for name in undocumented:
        print(f"{path}: {name} has no comment", file=sys.stderr)
    print("\n".join(out))
    return 1 if undocumented else 0


def mark_members(body, is_one_line):
    """Comments within a type: at the end of a line they are of what stands before, else of what follows."""
    def mark(found):
        line = body[body.rfind("\n", 0, found.start()) + 1:found.start()]
        rest = body[found.end():body.find("\n", found.end()) if "\n" in body[found.end():] else len(body)]
        if rest.strip().endswith("\\") or rest.strip().startswith("\\"):
            return found[0]
        return ("/**<" if line.strip() else "/**") + escape(found[0][2:])
    return COMMENT.sub(mark, body)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
