"""Results in a notebook: the line that prints, above a table of the fields that are one value."""

from __future__ import annotations

from dataclasses import fields
from html import escape
from typing import Any

import numpy as np
from torch import Tensor


class Shown:
    """Shows a dataclass as HTML where a notebook ends a cell with it; a base of results.

    Arrays, functions and private fields are left out: nothing is computed to show a result.

    >>> import otdist
    >>> html = otdist.wasserstein([0.0], [2.5])._repr_html_()
    >>> '<th scope="row">upper</th><td>2.5</td>' in html
    True
    """

    def _repr_html_(self) -> str:
        rows = [
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>'
            for name, text in _figures(self)
        ]
        return f"<code>{escape(repr(self))}</code><table>{''.join(rows)}</table>"


def _figures(result: Any) -> list[tuple[str, str]]:
    """Names and texts of the public fields of a result that are one value each."""
    found = ((f.name, _text(getattr(result, f.name))) for f in fields(result) if f.repr)
    return [(name, text) for name, text in found if text and not name.startswith("_")]


def _text(value: Any) -> str:
    """A number to eight digits, a text as it is; empty for what is not one value."""
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim == 0:
        value = value.item()
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    if isinstance(value, (int, float, np.number)):
        return f"{value:.8g}" if isinstance(value, (float, np.floating)) else str(value)
    return value if isinstance(value, str) else ""
