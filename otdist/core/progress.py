"""Progress of work that a person waits for, on stderr, in a terminal, a notebook or a log."""

from __future__ import annotations

import html
import math
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
_logged: ContextVar[bool | None] = ContextVar("logged", default=None)
"""Whether stages are lines where stderr is no terminal; None outside of the command."""
_LINES = 20
"""Most lines for work whose steps are counted."""
_APART = 1.0
"""Least seconds between lines where there are more steps than that."""
_PAUSE = 5.0
"""Seconds between lines for work whose steps are not counted."""
_FRAME = 0.1
"""Seconds between updates of a bar in a notebook."""
_share: ContextVar[Callable[[float], None] | None] = ContextVar("share", default=None)
"""Called with the share of the work that loops within it have done; None where nothing shows it."""


class Say(Protocol):
    """Called with a word on the current stage, and how many steps lie behind it."""

    def __call__(self, stage: str, done: int | None = None) -> None:
        """Show it."""
        ...


@contextmanager
def in_command(*, quiet: bool) -> Iterator[None]:
    """Within, progress is written to a log or pipe too, a line a stage; or nowhere if `quiet`."""
    before = _logged.set(not quiet)
    try:
        yield
    finally:
        _logged.reset(before)


@contextmanager
def progress(title: str, *, quiet: bool = False, total: int | None = None) -> Iterator[Say]:
    """Elapsed time and stage; with a total also a bar and an estimate of the time that is left.

    A terminal shows one line, which is removed at the end, so that what remains on the screen is
    the result; a notebook a bar. In a pipe or a log nothing is written, except by the command: a
    line a stage.

    Args:
        title: Of the work.
        quiet: Write nothing.
        total: Steps, where they are counted.

    >>> with progress("solving", quiet=True) as say:
    ...     say("coarse duals")
    """
    logged = _logged.get()
    if quiet or logged is False:
        yield lambda stage, done=None: None
    elif sys.stderr.isatty():
        with _on_terminal(title, total) as say:
            yield say
    elif (notebook := _notebook()) is not None:
        yield _in_notebook(notebook, title, total)
    elif logged:
        yield _in_log(title, total)
    else:
        yield lambda stage, done=None: None


@contextmanager
def following(tell: Callable[[float], None]) -> Iterator[None]:
    """Within, `tell` is called with the share of the work that `portions` and `share_done` report.

    >>> with following(lambda share: print(f"{share:.0%}")):
    ...     for _ in portions("ab"):
    ...         share_done(0.5)
    25%
    50%
    75%
    100%
    """
    before = _share.set(tell)
    try:
        yield
    finally:
        _share.reset(before)


def followed() -> Callable[[float], None] | None:
    """What `following` was given: for threads, which do not inherit it."""
    return _share.get()


def share_done(share: float) -> None:
    """Report the share, from 0 to 1, of the work of this loop that is done."""
    if (tell := _share.get()) is not None:
        tell(share)


def portions(items: Collection[Item]) -> Iterator[Item]:
    """The items one after another: each is an equal portion of the work, in turn divisible."""
    tell = _share.get()
    if tell is None:
        yield from items
        return
    for k, item in enumerate(items):
        with following(lambda share, k=k: tell((k + share) / len(items))):
            yield item
        tell((k + 1) / len(items))


@contextmanager
def _on_terminal(title: str, total: int | None) -> Iterator[Say]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )  # fmt: skip

    columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}", markup=False)]
    if total is not None:
        columns += [BarColumn(20), MofNCompleteColumn()]
    columns.append(TimeElapsedColumn())
    if total is not None:
        columns += [TextColumn("left"), TimeRemainingColumn()]
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda stage, done=None: bar.update(
            task, description=f"{title}: {stage}", completed=done
        )


def _in_log(title: str, total: int | None) -> Say:
    begun = time.perf_counter()
    last = [-1.0, 0.0]  # share of the work, and time, of the last line

    def say(stage: str, done: int | None = None) -> None:
        now = time.perf_counter() - begun
        share, apart = math.inf, _PAUSE
        if total and done is not None:
            share, apart = _LINES * done / total, _APART if total > _LINES else 0.0
        if last[0] >= 0 and (share - last[0] < 1 - 1e-9 or now - last[1] < apart):
            return
        last[:] = min(share, _LINES), now
        print(f"otdist: {title}: {stage}{_so_far(done, total, now)}", file=sys.stderr, flush=True)

    print(f"otdist: {title}", file=sys.stderr, flush=True)
    return say


def _so_far(done: int | None, total: int | None, seconds: float) -> str:
    """How much is done, how long it took, and how long the rest may take."""
    if not total or done is None:
        return f", {seconds:.0f} s"
    left = f", about {seconds / done * (total - done):.0f} s left" if done else ""
    return f" ({done} of {total} done, {seconds:.0f} s{left})"


def _notebook() -> Callable[..., Any] | None:
    """IPython's display, in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    if getattr(shell, "kernel", None) is None:
        return None
    from IPython.display import display  # pyright: ignore[reportMissingImports]

    return display


def _in_notebook(display: Callable[..., Any], title: str, total: int | None) -> Say:
    begun = time.perf_counter()

    def shown(stage: str, done: int | None) -> dict[str, str]:
        share = f' value="{done}" max="{total}"' if total and done is not None else ""
        words = f"{title}: {stage}{_so_far(done, total, time.perf_counter() - begun)}"
        bar = f"<label><progress{share}></progress> {html.escape(words)}</label>"
        return {"text/html": bar, "text/plain": words}

    handle = display(shown("begun", None), raw=True, display_id=True)
    last = [-math.inf]  # time of the last message: a notebook that gets thousands comes to a halt

    def say(stage: str, done: int | None = None) -> None:
        now = time.perf_counter()
        if now - last[0] >= _FRAME:
            last[0] = now
            handle.update(shown(stage, done), raw=True)

    return say
