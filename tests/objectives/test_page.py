"""docs/objectives.md names all there is, and what it shows works."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("pytorch_metric_learning")
yaml = pytest.importorskip("yaml")

from sterna.errors import UsageError
from sterna.objectives import LEFT_OUT, METRIC_LEARNING, OBJECTIVES, build_objective
from sterna.objectives import __all__ as door

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "objectives.md").read_text(encoding="utf-8")


def test_all_names_and_parameters_are_on_the_page() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert named >= {*OBJECTIVES, *(name for names in METRIC_LEARNING.values() for name in names)}
    parts = {name for name, why in LEFT_OUT.items() if why != "what others are made of"}
    assert named >= parts
    for name, kind in OBJECTIVES.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        parameters = set(inspect.signature(kind).parameters) - {"embedding", "images"}
        assert set(re.findall(r"`(\w+)`", row.split("|")[2])) >= parameters


def test_the_settings_on_the_page_build() -> None:
    shown = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert len(shown) == 3
    for one in shown:
        objective = yaml.safe_load(one)["objective"]
        build_objective(objective["name"], objective["params"], images=5, embedding=8)


def test_the_objective_that_the_page_adds_works(monkeypatch: pytest.MonkeyPatch) -> None:
    (shown,) = [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "class " in code]
    room: dict[str, object] = {}
    exec(shown, room)
    monkeypatch.setitem(OBJECTIVES, "pull", room["Pull"])
    images, owners = torch.eye(3), torch.tensor([0, 0, 1])
    loss = build_objective("pull")(images, images[[0, 1, 1]], owners)
    assert loss.item() == pytest.approx(1 / 3)
    assert build_objective("pull", {"similarity": "MrSw"}).needs == {"score:MrSw"}
    with pytest.raises(UsageError, match="objective pull: most=0.0: must be above 0"):
        build_objective("pull", {"most": 0})


@pytest.mark.parametrize("value", [1.5, True, "2", 10**400])
def test_a_whole_number_is_asked_for_where_the_default_is_one(
    monkeypatch: pytest.MonkeyPatch, value: object
) -> None:
    def counted(*, count: int = 3) -> object:
        return count

    monkeypatch.setitem(OBJECTIVES, "counted", counted)
    with pytest.raises(UsageError, match=r"objective counted: count=.*: a whole number is needed"):
        build_objective("counted", {"count": value})


def test_all_that_the_door_names_is_there() -> None:
    import sterna.objectives as room

    assert len(set(door)) == len(door)
    assert all(hasattr(room, name) for name in door)
