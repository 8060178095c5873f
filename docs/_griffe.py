"""Docstrings carry mathematics as `.. math::` and :math:`…`; the site wants TeX delimiters."""

from __future__ import annotations

import re
from typing import Any

import griffe

BLOCK = re.compile(r"^( *)\.\. math::(.*\n(?:\1 +\S.*\n|\n(?=\1 +\S))*)", re.MULTILINE)
ROLE = re.compile(r":math:`([^`]+)`")


def to_tex(text: str) -> str:
    r"""Replace both forms.

    >>> to_tex("A cost :math:`|x|^p` is")
    'A cost \\(|x|^p\\) is'
    """

    def block(match: re.Match[str]) -> str:
        indent = match[1]
        body = " ".join(line.strip() for line in match[2].strip().splitlines())
        return f"\n{indent}\\[{body}\\]\n\n"

    return ROLE.sub(r"\\(\1\\)", BLOCK.sub(block, text + "\n"))


class Mathematics(griffe.Extension):
    """Rewrites docstrings when they are loaded."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = to_tex(obj.docstring.value)
