"""Texts of a grammar in llama.cpp's notation, drawn at random: what an engine could be made to write."""

import random
import re

TOKEN = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\](?:\{\d+,\d+\}|\?)?|[A-Za-z0-9]+|\|')
SIGN = re.compile(r"\\x([0-9A-F]{2})|\\u([0-9A-F]{4})|\\U([0-9A-F]{8})|\\(.)|(.)", re.DOTALL)
CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}

Rules = dict[str, list[list[str]]]


def rules(grammar: str) -> Rules:
    found: Rules = {}
    for line in grammar.splitlines():
        name, _, body = line.partition(" ::= ")
        found[name] = [[]]
        for token in TOKEN.findall(body):
            if token == "|":
                found[name].append([])
            elif token != '""':
                found[name][-1].append(token)
    return found


def draw(grammar: Rules, random_: random.Random, budget: int = 4000) -> str | None:
    """One text; None when it gets long. The further it is, the more it tends to end."""
    text: list[str] = []
    todo = ["root"]
    while todo:
        token = todo.pop()
        budget -= 1
        if budget < 0:
            return None
        if token[0] == '"':
            text.append("".join(_signs(token[1:-1])))
        elif token[0] == "[":
            text.append(_of_set(token, random_))
        else:
            options = grammar[token]
            shortest = min(options, key=len) if budget < 2000 else random_.choice(options)
            todo += reversed(shortest)
    return "".join(text)


def _signs(text: str) -> list[str]:
    return [
        chr(int(x or u or long, 16)) if x or u or long else CONTROLS.get(escaped, escaped) or plain
        for x, u, long, escaped, plain in SIGN.findall(text)
    ]


def _of_set(token: str, random_: random.Random) -> str:
    body, _, count = token.rpartition("]")
    signs = _signs(body[1:])
    spans = []
    at = 0
    if signs[0] == "^":
        spans = [("a", "z"), (" ", " "), ("é", "é")]
    while not spans or (at < len(signs) and signs[0] != "^"):
        if at + 2 < len(signs) and signs[at + 1] == "-" and "\\x2D" not in body:
            spans.append((signs[at], signs[at + 2]))
            at += 3
        else:
            spans.append((signs[at], signs[at]))
            at += 1
    most = int(count[1:-1].partition(",")[2]) if count.startswith("{") else 1
    least = int(count[1:-1].partition(",")[0]) if count.startswith("{") else 0 if count else 1
    picked = [random_.choice(spans) for _ in range(random_.randint(least, most))]
    return "".join(chr(random_.randint(ord(low), ord(high))) for low, high in picked)
