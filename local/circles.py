"""Names the circles of modules in the crates of a checkout: modules that depend on each other, directly or through others.

    python3 local/circles.py [CHECKOUT]

Reads the paths in each file that begin with `crate`, `super` or `self`, tests apart. A module may use what is declared below it, and
what is below may use its parents; that is no circle. Ends with 1 if there is one.
"""

from __future__ import annotations

import re
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

Module = tuple[str, ...]
USE = re.compile(r"\buse\s+((?:crate|super|self)\b[^;]+);")
PATH = re.compile(r"(?<!use )\b((?:crate|super)(?:::[a-z_0-9]+)+)")


def modules(source: Path) -> dict[Module, str]:
    """What stands in each module of a crate, without its tests and comments."""
    found: dict[Module, str] = {}
    for file in sorted(source.rglob("*.rs")):
        module = file.relative_to(source).with_suffix("").parts
        if module[-1] in ("lib", "main", "mod"):
            module = module[:-1]
        is_test = "tests" in module or module[:1] == ("bin",) or module[-1:] in (("fake",), ("testing",))
        if not is_test:
            text = file.read_text().partition("#[cfg(test)]\nmod tests")[0]
            found[module] = found.get(module, "") + re.sub(r"//[^\n]*", "", text)
    return found


def leaves(tree: str) -> list[str]:
    """The single paths of a use declaration: `a::{b, c::{d, e}}` has three."""
    head, brace, rest = tree.partition("{")
    if not brace:
        return [tree.strip()]
    parts, depth = [""], 0
    for letter in rest.rpartition("}")[0]:
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [leaf for part in parts if part.strip() for leaf in leaves(head.strip() + part.strip())]


def target(path: str, module: Module, known: dict[Module, str]) -> Module:
    """The module that a path leads into."""
    at: Module = ()
    first, *steps = re.sub(r"\s+as\s+\w+", "", path).split("::")
    if first != "crate":
        at = module if first == "self" else module[:-1]
        while steps and steps[0] == "super":
            at, steps = at[:-1], steps[1:]
    for step in steps:
        if (*at, step) not in known:
            break
        at = (*at, step)
    return at


def circle(source: Path) -> list[str]:
    """The modules of one circle in a crate, in order; none if there is none."""
    known = modules(source)
    graph: dict[Module, set[Module]] = {}
    for module, text in known.items():
        paths = [leaf for tree in USE.findall(text) for leaf in leaves(tree)] + PATH.findall(text)
        targets = {target(path, module, known) for path in paths}
        graph[module] = {one for one in targets if one and one != module and module[: len(one)] != one}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return ["::".join(module) for module in reversed(error.args[1])]
    return []


def main(root: Path) -> None:
    found = False
    for pattern in ("crates/*/src", "functions/*/src", "tests/**/src"):
        for source in sorted(root.glob(pattern)):
            if names := circle(source):
                found = True
                print(f"{source.relative_to(root)}: {' -> '.join(names)}")
    if found:
        sys.exit("Modules depend on each other in a circle: move what they share below both.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
