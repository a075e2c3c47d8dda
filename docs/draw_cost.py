"""Draw docs/images/cost.svg, dev rsum against the cost of training, from docs/runs.csv.

python docs/draw_cost.py
"""

from __future__ import annotations

import csv
import html
import math
from pathlib import Path

HERE = Path(__file__).parent
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 820, 460, 64, 210, 24, 56


def main() -> None:
    """Read the runs and write the figure."""
    with (HERE / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    minutes = [float(row["minutes"]) for row in rows]
    sums = [float(row["rsum"]) for row in rows]
    across = (math.floor(math.log10(min(minutes))), math.ceil(math.log10(max(minutes))))
    up = (10 * math.floor(min(sums) / 10), 10 * math.ceil(max(sums) / 10))

    def x(value: float) -> float:
        share = (math.log10(value) - across[0]) / (across[1] - across[0])
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - up[0]) / (up[1] - up[0]) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for tick in range(up[0], up[1] + 1, 20):
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
        )
        parts.append(f'<text x="{LEFT - 10}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for power in range(across[0], across[1] + 1):
        place, name = x(10**power), f"{10**power:g}"
        parts.append(
            f'<line x1="{place:.1f}" x2="{place:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="grid"/>'
        )
        parts.append(f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{name}</text>')
    taken: list[tuple[float, float]] = []
    named: set[str] = set()
    for row, cost, rsum in sorted(zip(rows, minutes, sums, strict=True), key=lambda one: -one[2]):
        kind = "ships" if row["run"].endswith("*") else "run"
        parts.append(f'<circle cx="{x(cost):.1f}" cy="{y(rsum):.1f}" r="5" class="{kind}"/>')
        name = row["run"].rstrip("*").partition(" (seed")[0]  # seeds share a name, beside the best of them
        if name in named:
            continue
        named.add(name)
        label = y(rsum) + 4
        while any(abs(label - other) < 14 and abs(x(cost) - place) < 200 for place, other in taken):
            label += 14
        taken.append((x(cost), label))
        parts.append(f'<text x="{x(cost) + 10:.1f}" y="{label:.1f}">{html.escape(name)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">minutes of training on two cores</text>'
    )
    parts.append(
        f'<text x="16" y="{HEIGHT / 2}" text-anchor="middle" '
        f'transform="rotate(-90 16 {HEIGHT / 2})">dev rsum</text>'
    )
    body = "\n".join(parts)
    (HERE / "images" / "cost.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="Dev rsum of the runs against minutes of training">\n'
        "<style>text{font:12px system-ui,sans-serif;fill:#4a4f57}.grid{stroke:#d9dbde;stroke-width:1}"
        ".run{fill:#1f6f8b}.ships{fill:#c2571a}rect{fill:#fff}</style>\n"
        f'<rect width="{WIDTH}" height="{HEIGHT}"/>\n{body}\n</svg>\n',
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
