"""Docstrings are written for `help()`; the site wants other marks around the same words.

Formulas get TeX delimiters, examples a fence, and one-line sections such as "Cost: a sort." become
paragraphs: griffe would take the first of their lines for the title of a box.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

MATH = re.compile(r"^( *)\.\. math::(.*\n(?:\1 +\S.*\n|\n(?=\1 +\S))*)", re.MULTILINE)
ROLE = re.compile(r":math:`([^`]+)`")
SECTION = re.compile(r"^([A-Z][A-Za-z]*(?: [a-z]+){0,3}): (\S.*(?:\n +\S.*)*)\n", re.MULTILINE)
EXAMPLE = re.compile(r"^( *)>>> .*\n(?:\1\S.*\n|\1 +\S.*\n)*", re.MULTILINE)


def to_markdown(text: str) -> str:
    r"""Replace `.. math::` blocks, :math:`…` roles, one-line sections and doctests.

    >>> to_markdown("A cost :math:`|x|^p`.\n")
    'A cost \\(|x|^p\\).\n'
    >>> to_markdown("Cost: a sort, and\n    a pass.\nReference: none.\n")
    '\n**Cost:** a sort, and a pass.\n\n\n**Reference:** none.\n\n'
    """

    def formula(match: re.Match[str]) -> str:
        body = " ".join(line.strip() for line in match[2].strip().splitlines())
        return f"\n{match[1]}\\[{body}\\]\n\n"

    def example(match: re.Match[str]) -> str:
        code = textwrap.dedent(match[0])
        return textwrap.indent(f"\n```pycon\n{code}```\n", match[1])

    def section(match: re.Match[str]) -> str:
        words = " ".join(line.strip() for line in match[2].splitlines())
        return f"\n**{match[1]}:** {words}\n\n"

    text = text if text.endswith("\n") else text + "\n"
    text = SECTION.sub(section, text)
    return EXAMPLE.sub(example, ROLE.sub(r"\\(\1\\)", MATH.sub(formula, text)))


class Docstrings(griffe.Extension):
    """Rewrites docstrings when they are loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)
