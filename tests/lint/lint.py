#!/usr/bin/env python3
"""Checks that no compiler makes: the include graph, the coroutine rule, names that must not be compared.

Run from anywhere: tests/lint/lint.py. Prints file:line: message and ends with status 1 if it found any.
"""
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# docs/design/architecture.md, "Who may include whom". A module may always include itself.
ALLOWED = {
    "base": set(),
    "model": {"base"},
    "spec": {"base", "model"},
    "core": {"base", "model"},
    "store": {"base", "model"},
    "task": {"base", "model"},
    "executor": {"base", "model", "task"},
    "http": {"base"},
    "runtime": {"base", "model", "core", "store", "executor", "spec", "task"},
    "api": {"base", "model", "core", "runtime", "store", "http", "executor", "spec"},
}
ALLOWED["cli"] = set(ALLOWED) | {"cli", "wiring", "config"}
LOWER_OPERATORS = {"engine", "connect", "lake", "expression", "binding", "policy", "privacy"}
# A sensor looks with the http and sql operators; an extract from an API speaks HTTP as they do.
# A load writes to outside systems through the interface of the data sources.
# What a mask task will do is part of where columns come from, and that judges what is written.
FAMILY_USES = {"sensor": {"external"}, "extract": {"external"}, "lineage": {"mask"}, "load": {"extract", "lineage"},
               "command": {"extract", "lineage"}, "transform": {"lineage"}, "validate": {"lineage"}}
# The table of DuckDB's functions is a header by its nature; only the engine's .cpp files include it.
HEAVY_ALLOWED = {"operators/engine/library.hpp", "daemon/http/asio.hpp", "daemon/http/session.hpp"}
HEAVY = re.compile(r'#include <(boost/asio|boost/beast|pqxx/|duckdb\.h)')
CONDITION = re.compile(r"\b(?:if|while|for|switch)\s*\(")
COROUTINE_BAD = [
    (re.compile(r"\bco_await\b[^;]*(\[[^\]]*\]\s*(\([^)]*\)\s*)?\{|\{\s*\.)"),
     "co_await beside a lambda or an aggregate temporary (g++ 12 destroys it twice)"),
]


def files():
    out = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                         capture_output=True, text=True, check=True).stdout
    return [Path(line) for line in out.splitlines() if (ROOT / line).is_file()]


def module_of(path):
    parts = path.parts
    if parts[0] == "daemon":
        return parts[1] if len(parts) > 2 else "wiring"
    return f"operators/{parts[1]}" if len(parts) > 2 else "operators"


def include_problem(path, target):
    """Why `path` may not include `target` (a path inside the repository), or None."""
    here, there = module_of(path), target.split("/")
    if here == "wiring":
        return None
    if there[0] == "operators":
        if path.parts[0] == "daemon":
            return "daemon/ includes nothing of operators/ but in wiring"
        family = there[1] if len(there) > 2 else None
        mine = here.split("/")[-1]
        if here == "operators" or family in (None, mine) or family in LOWER_OPERATORS | FAMILY_USES.get(mine, set()):
            return None
        return f"operator family {mine} includes family {family}"
    if path.parts[0] == "operators":
        return None if there[0] in ("base", "model", "task") else f"operators/ includes daemon module {there[0]}"
    if there[0] == here or there[0] in ALLOWED.get(here, set()):
        return None
    return f"module {here} may not include module {there[0]}"


def awaits_in_condition(line):
    """True if a co_await stands inside the parentheses of an if, while, for or switch (on one line)."""
    for found in CONDITION.finditer(line):
        depth, at = 1, found.end()
        while at < len(line) and depth:
            depth += {"(": 1, ")": -1}.get(line[at], 0)
            at += 1
        if "co_await" in line[found.end():at]:
            return True
    return False


def check_cpp(path, text, problems):
    is_test = path.stem.endswith(("_test", "_fixture")) or path.parts[0] == "tests"
    for number, line in enumerate(text.splitlines(), 1):
        def problem(message, at=number):
            problems.append(f"{path}:{at}: {message}")
        found = re.match(r'#include "([^"]+)"', line)
        if found and not is_test and path.parts[0] in ("daemon", "operators"):
            why = include_problem(path, found.group(1))
            if why:
                problem(why)
        if awaits_in_condition(line):
            problem("co_await inside a condition (g++ 12 miscompiles it)")
        if path.suffix == ".hpp" and HEAVY.match(line) and str(path) not in HEAVY_ALLOWED:
            problem("heavy header in a header: keep it in the .cpp")
        for pattern, message in COROUTINE_BAD:
            if pattern.search(line):
                problem(message)
        if path.parts[:2] != ("operators", "control") and re.search(r'[!=]=\s*"empty"|"empty"\s*[!=]=', line):
            problem('only operators/control may compare an operator\'s name with "empty"')
        if path.suffix == ".hpp" and number == 1 and not line.startswith(f"// {path.name}"):
            problem(f"a header opens with what it is for: // {path.name} — ...")


def check_any(path, text, problems):
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(r"(//|#|/\*|--).*\b(TODO|FIXME|XXX)\b(?!\(#\d+\))", line) and path.name != "lint.py":
            problems.append(f"{path}:{number}: a TODO needs an issue number: TODO(#n)")


def main():
    problems = []
    for path in files():
        if path.suffix not in (".cpp", ".hpp", ".py", ".ts", ".tsx", ".sh", ".sql", ".cmake"):
            continue
        text = (ROOT / path).read_text(encoding="utf-8")
        if path.suffix in (".cpp", ".hpp") and path.parts[0] in ("daemon", "operators", "tests", "bench"):
            check_cpp(path, text, problems)
        check_any(path, text, problems)
    print("\n".join(problems) if problems else "lint: clean")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
