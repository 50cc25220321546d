"""Results as Markdown, for the terminal and the docs."""

from __future__ import annotations

from statistics import median

from bench.jobs.figures import Figure, Figures, Size
from bench.jobs.run import Ending, Result


def of_troubles(result: Result) -> str:
    """What happened, and whether it made a difference."""
    happened = ", ".join(f"{number} x {name}" for name, number in result.troubles.items())
    return "\n".join(
        (
            f"{result.states:,} states; one job twice, by {result.workers} workers.",
            f"Undisturbed: {_ending(result.undisturbed)}",
            f"Disturbed ({happened}): {_ending(result.disturbed)}",
            "The two ended alike." if result.is_same else "THE TWO ENDED DIFFERENTLY.",
        )
    )


def of_figures(figures: Figures) -> str:
    """Two tables."""
    rows = [
        ("states", "seconds", "states a second", "most memory, MiB", "queries a thousand states"),
        ("---",) * 5,
        *map(_size, figures.sizes),
    ]
    kinds = [
        ("job", "states", "floor, s", "ours, s", "ratio", "states a second", "queries a thousand states"),
        ("---",) * 7,
        *map(_figure, figures.kinds),
    ]
    return "\n".join((f"{figures.states:,} states on PostgreSQL.", "", *map(_line, rows), "", *map(_line, kinds)))


def _ending(ending: Ending) -> str:
    counts = ", ".join(f"{number:,} {name}" for name, number in ending.counts.items())
    return f"{ending.seconds:.0f} s, {counts}; {ending.findings} findings of a verification"


def _size(size: Size) -> tuple[str, ...]:
    return (
        f"{size.states:,}",
        f"{size.seconds:.1f}",
        f"{size.states / size.seconds:,.0f}",
        f"{size.peak / 1024:.0f}",
        f"{size.queries / size.states * 1000:.1f}",
    )


def _figure(figure: Figure) -> tuple[str, ...]:
    ours = median(figure.ours)
    return (
        figure.kind,
        f"{figure.states:,}",
        f"{median(figure.floor):.2f}",
        f"{ours:.2f}",
        f"{figure.ratio:.1f}",
        f"{figure.states / ours:,.0f}",
        f"{figure.queries / figure.states * 1000:.1f}",
    )


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
