"""Which model a library means: folders that move, weights that change, vectors and sentences that leave."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sterna.errors import ModelError
from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.library.test_indexing import counts, names


def load(spec: str | None) -> ColourEncoder:
    """A model from a folder whose `config.json` holds a name: the fingerprint comes from that."""
    try:
        encoder = ColourEncoder((Path(spec or "") / "config.json").read_text(encoding="utf-8"))
    except OSError:
        raise ModelError(f"{spec}: no model of any known kind") from None
    encoder.name = Path(spec or "").name
    return encoder


def make_model(folder: Path, weights: str = "first") -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(weights, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sterna.encoders.load", load)


def specs(library: Library) -> list[tuple[str, str, bool]]:
    return [(model.name, Path(model.spec).name, model.default) for model in library.status().models]


def test_a_model_that_moved_is_found_again_by_indexing_with_it(tmp_path: Path, colours: Path) -> None:
    old = make_model(tmp_path / "old")
    library = Library.open(tmp_path / "library")
    library.index(colours, model=old)
    new = old.rename(tmp_path / "new")
    library = Library.open(tmp_path / "library")
    with pytest.raises(ModelError):
        library.search("red")
    assert counts(library.index(model=new)) == {}
    assert names(Library.open(tmp_path / "library")) == ["blue.png", "green.png", "red.png"]
    assert specs(library) == [("new", "new", True)]


def test_a_model_keeps_the_name_that_still_loads_it(tmp_path: Path, colours: Path) -> None:
    library = Library.open(tmp_path / "library")
    library.index(colours, model=make_model(tmp_path / "here"))
    assert counts(library.index(model=make_model(tmp_path / "copy"))) == {}
    assert specs(library) == [("here", "here", True)]
    assert counts(library.index(model=load(str(tmp_path / "copy")))) == {}  # as an object
    shutil.rmtree(tmp_path / "here")
    assert counts(library.index(model=load(str(tmp_path / "copy")))) == {}
    assert specs(library) == [("here", "here", True)]
    assert counts(library.index(model=tmp_path / "copy")) == {}
    assert specs(library) == [("copy", "copy", True)]


def test_the_status_of_a_library_of_a_training_run_does_not_load_it(
    tmp_path: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "settings.yaml").touch()
    loaded: list[object] = []
    monkeypatch.setattr("sterna.encoders.load", lambda spec: loaded.append(spec) or ColourEncoder("run"))
    Library.open(tmp_path / "library").index(colours, model=run)
    assert loaded
    loaded.clear()
    status = Library.open(tmp_path / "library").status()
    assert (status.indexed, status.stale, loaded) == (3, 0, [])


def rows(library: Library) -> dict[str, int]:
    """How many rows the segments of each model take, in vectors."""
    return {model.name: model.bytes // (2 * model.dim) for model in library.status().models}


def test_the_room_of_removed_photographs_is_given_back_by_every_model(
    library: Library, colours: Path, encoder: ColourEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._tidy._WORTH", 2)
    other = ColourEncoder("other")
    library.index(colours)
    library.index(model=other)
    shutil.rmtree(colours / "trips")
    library.index()
    assert rows(library) == {"colours": 1, "other": 1}
    assert names(library) == names(library, model=other) == ["red.png"]


def test_what_a_killed_run_did_not_give_back_the_next_one_does(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sterna.library._tidy._WORTH", 2)
    library.index(colours)
    shutil.rmtree(colours / "trips")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sterna.library._indexing.compact", killed)
        with pytest.raises(KeyboardInterrupt):
            library.index()
    assert rows(library) == {"colours": 3}
    assert counts(library.index()) == {}
    assert rows(library) == {"colours": 1}


def test_segments_are_not_counted_where_nothing_was_lost(
    library: Library, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.index(colours)
    save(colours / "white.png", "white")
    monkeypatch.setattr("sterna.library._tidy._compact_model", lambda *_: pytest.fail("they were counted"))
    assert counts(library.index()) == {"new": 1}


def sentences(library: Library) -> dict[str, int]:
    """The files of sentences with their sizes."""
    folder = library.path / "sentences"
    return {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}


def test_only_the_library_s_own_sentences_are_kept(library: Library, colours: Path) -> None:
    library.index(colours)
    library.captions(colours / "red.png", captions=[f"given {number} red" for number in range(40)])
    assert sentences(library) == {}
    for kind in ("one", "another"):
        lines = "\n".join(f"{kind} {number} red" for number in range(40))
        (colours / "red.txt").write_text(lines, encoding="utf-8")
        library.index()
        assert len(library.captions(colours / "red.png", k=50)) == 40
        if kind == "one":
            before = sentences(library)
    assert len(before) == 1
    assert sentences(library) == before  # the second ones took the place of the first


def test_sentences_leave_with_the_model_that_encoded_them(tmp_path: Path, colours: Path) -> None:
    (colours / "red.txt").write_text("\n".join(f"{number} red" for number in range(40)), encoding="utf-8")
    model = make_model(tmp_path / "model")
    library = Library.open(tmp_path / "library")
    library.index(colours, model=model)
    library.captions(colours / "red.png")
    old = sentences(library)
    (model / "config.json").write_text("second", encoding="utf-8")
    library = Library.open(tmp_path / "library")
    assert counts(library.index()) == {"new": 3}
    assert len(old) == 1
    assert sentences(library) == {}
    assert len(library.captions(colours / "red.png", k=50)) == 40
    assert counts(library.index()) == {}
    assert len(sentences(library)) == 1
