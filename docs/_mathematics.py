r"""Formulas become MathML when the site is built: pages need neither a script nor a network.

Markdown leaves `\(…\)` and `\[…\]` in elements of class arithmatex (`pymdownx.arithmatex`), from
pages and docstrings alike; this hook of MkDocs replaces what is inside them. Every current browser
draws MathML. A formula that cannot be translated stops the build.
"""

from __future__ import annotations

import html
import re
from typing import Any

from latex2mathml.converter import convert

ELEMENT = re.compile(
    r'<(?P<tag>span|div) class="arithmatex">\s*\\(?:\((?P<inline>.*?)\\\)|\[(?P<block>.*?)\\\])\s*'
    r"</(?P=tag)>",
    re.DOTALL,
)
UNKNOWN = re.compile(r"<mi>\\|<mtext>\\")
"""What the translator writes for a command that it does not know."""


def on_page_content(content: str, **_: Any) -> str:
    r"""The page with its formulas in MathML.

    >>> "<mfrac>" in on_page_content('<span class="arithmatex">\\(\\frac{1}{2}\\)</span>')
    True
    """
    return ELEMENT.sub(_formula, content)


def _formula(match: re.Match[str]) -> str:
    block = match["block"] is not None
    source = html.unescape(match["block"] if block else match["inline"]).strip()
    mathml = convert(source, display="block" if block else "inline")
    if UNKNOWN.search(mathml):
        raise ValueError(f"a formula that MathML has no translation for: {source}")
    return f'<{match["tag"]} class="formula">{mathml}</{match["tag"]}>'
