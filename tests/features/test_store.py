"""The feature store: what goes in comes out, and what is damaged is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna.errors import StoreError, UsageError
from sterna.features import ColumnSpec, FeatureStore

COLUMNS = {
    "values": ColumnSpec("float16", 3),
    "boxes": ColumnSpec("float32", 4),
    "tokens": ColumnSpec("int32"),
}


def items(seed: int, lengths: list[int]) -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    return {
        "values": [rng.normal(size=(length, 3)).astype(np.float16) for length in lengths],
        "boxes": [rng.random((length, 4), dtype=np.float32) for length in lengths],
        "tokens": [rng.integers(0, 99, length).astype(np.int32) for length in lengths],
    }


def filled(path: Path, *, ids: str = "abcd", lengths: tuple[int, ...] = (2, 0, 3, 1)) -> FeatureStore:
    store = FeatureStore.create(path, COLUMNS, meta={"fingerprint": "x"})
    store.append(list(ids), items(0, list(lengths)))
    return store


parts = st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=4)


@settings(deadline=None, max_examples=10)
@given(shape=parts, names=st.sets(st.text(min_size=1, max_size=8), min_size=24, max_size=24), data=st.data())
def test_what_goes_in_comes_out(
    tmp_path_factory: pytest.TempPathFactory, shape: list[list[int]], names: set[str], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("store") / "features"
    store = FeatureStore.create(path, COLUMNS, meta={"from": "a test", "n": [1, 2]})
    queue = sorted(names)
    expected: dict[str, dict[str, np.ndarray]] = {}
    for number, lengths in enumerate(shape):
        ids = [queue.pop() for _ in lengths]
        made = items(number, lengths)
        store.append(ids, made)
        expected |= {one: {name: made[name][n] for name in made} for n, one in enumerate(ids)}
    for opened in (store, FeatureStore.open(path)):
        assert opened.ids == tuple(expected)
        assert opened.meta == {"from": "a test", "n": [1, 2]}
        assert opened.columns == COLUMNS
        chosen = data.draw(st.lists(st.sampled_from(list(expected)), max_size=9))
        for name, spec in COLUMNS.items():
            for one in expected:
                row = opened.row(name, opened.index_of(one))
                assert row.dtype == spec.dtype
                assert np.array_equal(row, expected[one][name])
            values, mask = opened.rows(name, opened.indices_of(chosen))
            lengths = [len(expected[one][name]) for one in chosen]
            assert mask.shape == values.shape[:2] == (len(chosen), max(lengths, default=0))
            assert mask.sum(1).tolist() == lengths == opened.lengths(name, opened.indices_of(chosen)).tolist()
            for place, one in enumerate(chosen):
                assert np.array_equal(values[place][mask[place]], expected[one][name])
                assert not values[place][~mask[place]].any()
        opened.verify()


def test_ids_that_are_not_text_survive(tmp_path: Path) -> None:
    strange = [
        "日本/été.jpg",
        "new\nline.jpg",
        b"latin-\xe9.jpg".decode(errors="surrogateescape"),
        "\U0001f426",
    ]
    store = filled(tmp_path / "s")
    store.append(strange, items(1, [1, 1, 1, 1]))
    assert FeatureStore.open(tmp_path / "s").ids == ("a", "b", "c", "d", *strange)


def test_values_are_mapped_and_cannot_be_changed(tmp_path: Path) -> None:
    row = filled(tmp_path / "s").row("values", 0)
    assert not row.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        row[0] = 1


def test_values_are_kept_in_the_columns_dtype_or_refused(tmp_path: Path) -> None:
    store = FeatureStore.create(tmp_path / "s", {"values": ColumnSpec("float16", 1)})
    store.append(["a"], {"values": [np.array([[1.0001]], dtype=np.float32)]})
    assert store.row("values", 0).dtype == np.float16
    with pytest.raises(UsageError, match="values: holds values too large for float16; keep it as float32"):
        store.append(["b"], {"values": [np.array([[1e6]], dtype=np.float32)]})
    assert FeatureStore.open(tmp_path / "s").ids == ("a",)


def test_a_view_can_be_added_later_to_some_items(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    store.add_columns({"flip": ColumnSpec("float16", 3)})
    store.append(["c", "a", "new"], {"flip": items(5, [2, 2, 2])["values"]})
    for opened in (store, FeatureStore.open(tmp_path / "s")):
        assert opened.ids == ("a", "b", "c", "d", "new")
        assert opened.has("flip").tolist() == [True, False, True, False, True]
        assert opened.missing("flip", ["d", "a", "nowhere"]) == ["d", "nowhere"]
        assert opened.missing("values", ["new", "d"]) == ["new"]
        assert opened.complete(["a", "c"]) == ("values", "boxes", "tokens", "flip")
        assert opened.complete(["a", "b"]) == ("values", "boxes", "tokens")
        assert np.array_equal(opened.row("flip", opened.index_of("c")), items(5, [2, 2, 2])["values"][0])
        with pytest.raises(
            StoreError, match=r"2 of the 3 items asked for have no 'flip', first 'b'; extract it"
        ):
            opened.rows("flip", [0, 1, 3])
    again = FeatureStore.open(tmp_path / "s")
    again.add_columns({"flip": ColumnSpec("float16", 3)})
    with pytest.raises(StoreError, match=r"column 'flip' holds float16\[R, 3\], not float32\[R, 3\]"):
        again.add_columns({"flip": ColumnSpec("float32", 3)})


def test_an_item_has_a_column_once(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    with pytest.raises(StoreError, match="'c' has the column 'values' already; parts never change"):
        store.append(["e", "c"], items(1, [1, 1]))
    with pytest.raises(StoreError, match="the id 'e' came twice; ids must be unique"):
        store.append(["e", "e"], items(1, [1, 1]))
    assert FeatureStore.open(tmp_path / "s").ids == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"values": [np.zeros((1, 3))]}, "values: 1 arrays came for 2 ids; each id needs one"),
        (
            {"values": [np.zeros((1, 3)), np.zeros((1, 2))]},
            r"an array of shape \[1, 2\] came; float16\[R, 3\] is needed",
        ),
        (
            {"values": [np.zeros((1, 3)), np.zeros(3)]},
            r"an array of shape \[3\] came; float16\[R, 3\] is needed",
        ),
        (
            {"tokens": [np.zeros(1), np.zeros((1, 1))]},
            r"an array of shape \[1, 1\] came; int32\[T\] is needed",
        ),
    ],
)
def test_arrays_of_another_shape_are_refused(tmp_path: Path, columns: dict, message: str) -> None:
    store = filled(tmp_path / "s")
    with pytest.raises(UsageError, match=message):
        store.append(["e", "f"], columns)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    with pytest.raises(StoreError, match="holds no item 'z'"):
        store.index_of("z")
    with pytest.raises(StoreError, match="has no column 'scores'; it has boxes, tokens, values"):
        store.rows("scores", [0])
    with pytest.raises(StoreError, match=r"is no feature store \(no manifest.json in it\)"):
        FeatureStore.open(tmp_path)
    with pytest.raises(StoreError, match="is a feature store already"):
        FeatureStore.create(tmp_path / "s", COLUMNS)


@pytest.mark.parametrize("name", ["", "../x", "ids", "x.offsets", ".x", "a b"])
def test_a_columns_name_is_a_files_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="a column's name is of letters, digits"):
        FeatureStore.create(tmp_path / "s", {name: ColumnSpec("int32")})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("float64",), "dtype='float64': a column holds one of"),
        (("int32", 0), "width=0: a column's rows have"),
    ],
)
def test_a_column_of_an_unfit_kind_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ColumnSpec(*arguments)


def test_shards_merge_by_adding_their_parts(tmp_path: Path) -> None:
    first = filled(tmp_path / "one")
    second = FeatureStore.create(
        tmp_path / "two", {**COLUMNS, "flip": ColumnSpec("int32")}, meta={"fingerprint": "x"}
    )
    second.append(["e", "f"], items(1, [2, 1]))
    second.append(["f"], {"flip": [np.arange(3)]})
    first.merge(second)
    for store in (first, FeatureStore.open(tmp_path / "one")):
        assert store.ids == ("a", "b", "c", "d", "e", "f")
        assert np.array_equal(store.row("values", 4), second.row("values", 0))
        assert store.row("flip", 5).tolist() == [0, 1, 2]
        store.verify()
    other = FeatureStore.create(tmp_path / "three", COLUMNS, meta={"fingerprint": "y"})
    with pytest.raises(StoreError, match=r"was made by another backbone \(y\) than .* \(x\)"):
        first.merge(other)


def test_a_merge_that_was_killed_is_done_by_merging_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "one")
    second = FeatureStore.create(tmp_path / "two", COLUMNS, meta={"fingerprint": "x"})
    for number, ids in enumerate(("ef", "g", "h")):
        second.append(list(ids), items(number, [1] * len(ids)))
    copy, copied = shutil.copytree, []

    def copy_one(source: Path, target: Path, **options: bool) -> None:
        if copied:
            raise KeyboardInterrupt
        copied.append(copy(source, target, **options))

    monkeypatch.setattr("sterna.features._store.shutil.copytree", copy_one)
    with pytest.raises(KeyboardInterrupt):
        FeatureStore.open(tmp_path / "one").merge(second)
    monkeypatch.undo()
    assert FeatureStore.open(tmp_path / "one").ids == (*"abcdef",)
    for _ in range(2):  # the second time everything is here
        FeatureStore.open(tmp_path / "one").merge(second)
        store = FeatureStore.open(tmp_path / "one")
        assert store.ids == (*"abcdefgh",)
        assert len(list((tmp_path / "one/parts").iterdir())) == 4
        store.verify()


def test_a_merge_that_would_change_an_item_adds_nothing(tmp_path: Path) -> None:
    store = filled(tmp_path / "one")
    other = FeatureStore.create(tmp_path / "two", {**COLUMNS, "flip": ColumnSpec("int32")})
    other.meta["fingerprint"] = "x"
    other.append(["e"], items(1, [1]))
    other.append(["c"], items(2, [1]))
    with pytest.raises(StoreError, match="'c' has the column '.*' already; parts never change"):
        store.merge(other)
    assert FeatureStore.open(tmp_path / "one").ids == (*"abcd",)
    assert "flip" not in FeatureStore.open(tmp_path / "one").columns


def test_what_another_process_appended_since_is_refused_or_left_out(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    first, second = FeatureStore.open(tmp_path / "s"), FeatureStore.open(tmp_path / "s")
    first.add_columns({"flip": ColumnSpec("int32")})
    first.append(["e", "f"], {"flip": [np.arange(2), np.arange(3)]})
    first.append(["e"], items(1, [2]))
    with pytest.raises(StoreError, match="'e' has the column 'values' already"):
        second.append(["e"], items(1, [2]))
    assert second.append_missing(["g", "e", "f", "a"], items(2, [1, 2, 3, 4])) == 2
    assert second.append_missing(["g", "e", "f", "a"], items(2, [1, 2, 3, 4])) == 0
    for store in (second, FeatureStore.open(tmp_path / "s")):
        assert store.ids == (*"abcdefg",)
        assert store.columns["flip"] == ColumnSpec("int32")
        assert store.lengths("values", store.indices_of("aefg")).tolist() == [2, 2, 3, 1]
        assert np.array_equal(store.row("boxes", store.index_of("e")), items(1, [2])["boxes"][0])
        store.verify()


def test_columns_that_different_items_lack_are_added_in_the_order_given(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    made = items(3, [1, 1, 1])
    store.append(["e"], {"tokens": made["tokens"][:1]})
    assert store.append_missing(["a", "e", "f"], {name: made[name] for name in ("tokens", "values")}) == 2
    assert store.missing("tokens", "aef") == store.missing("values", "aef") == []
    last, very_last = sorted((tmp_path / "s/parts").iterdir())[2:]
    assert ((last / "tokens.npy").exists(), (last / "values.npy").exists()) == (True, False)
    assert ((very_last / "tokens.npy").exists(), (very_last / "values.npy").exists()) == (False, True)


APPENDER = """
import sys
import numpy as np
from sterna.features import FeatureStore

store = FeatureStore.open(sys.argv[1])
for number in range(3):
    store.append([f"{sys.argv[2]}-{number}"], {"tokens": [np.arange(number)]})
"""


def test_processes_may_append_at_the_same_time(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    workers = [
        subprocess.Popen([sys.executable, "-c", APPENDER, str(tmp_path / "s"), name]) for name in "xyz"
    ]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    store = FeatureStore.open(tmp_path / "s")
    assert set(store.ids) == {*"abcd", *(f"{name}-{number}" for name in "xyz" for number in range(3))}
    assert len({path.name.partition("-")[0] for path in (tmp_path / "s/parts").iterdir()}) == 10


def test_what_a_killed_writer_left_is_neither_read_nor_kept(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    half = tmp_path / "s/parts/.000001-abc.xyz.tmp"
    half.mkdir()
    (half / "values.npy").write_bytes(b"half")
    assert FeatureStore.open(tmp_path / "s").ids == store.ids
    store.append(["e"], items(1, [1]))
    assert not half.exists()


def only_part(path: Path) -> Path:
    (part,) = (path / "parts").iterdir()
    return part


def cut_short(part: Path) -> None:
    data = (part / "values.npy").read_bytes()
    (part / "values.npy").write_bytes(data[:-2])


def unlink(part: Path) -> None:
    (part / "values.npy").unlink()


def not_json(part: Path) -> None:
    (part / "part.json").write_text('{"rows":')


def no_record(part: Path) -> None:
    (part / "part.json").write_text('{"rows": 4}')


def no_json(part: Path) -> None:
    (part / "part.json").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            cut_short,
            r"values.npy: has \d+ bytes where \d+ were written; remove the folder 000000-\w+ and",
        ),
        (unlink, "values.npy: is missing; remove the folder"),
        (not_json, "part.json: not valid JSON"),
        (no_record, "part.json: is not the record of a part"),
        (no_json, "part.json: no such file"),
    ],
)
def test_a_damaged_part_is_named_when_the_store_is_opened(tmp_path: Path, damage, message: str) -> None:
    filled(tmp_path / "s")
    damage(only_part(tmp_path / "s"))
    with pytest.raises(StoreError, match=message):
        FeatureStore.open(tmp_path / "s")


def test_a_changed_bit_is_found_by_verify(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    file = only_part(tmp_path / "s") / "boxes.npy"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"boxes\.npy: does not hold what was written"):
        store.verify()


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    part = only_part(tmp_path / "s")
    np.save(part / "values.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    record = json.loads((part / "part.json").read_text())
    record["files"]["values.npy"]["bytes"] = (part / "values.npy").stat().st_size
    (part / "part.json").write_text(json.dumps(record))
    with pytest.raises(StoreError, match=r"values\.npy: cannot be read"):
        FeatureStore.open(tmp_path / "s").row("values", 0)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("{}", "is not a feature store's manifest"),
        (
            '{"schema": 2, "columns": {}, "meta": {}}',
            "is a feature store of schema 2; this version reads schema 1",
        ),
        ('{"schema": 0, "columns": {}, "meta": {}}', "is a feature store of schema 0"),
        ("[", "not valid JSON"),
    ],
)
def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path, manifest: str, message: str) -> None:
    filled(tmp_path / "s")
    (tmp_path / "s/manifest.json").write_text(manifest)
    with pytest.raises(StoreError, match=message):
        FeatureStore.open(tmp_path / "s")


def test_an_id_in_two_parts_is_named(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    part = only_part(tmp_path / "s")
    twin = part.with_name("000001-copied")
    twin.mkdir()
    for file in part.iterdir():
        (twin / file.name).write_bytes(file.read_bytes())
    with pytest.raises(StoreError, match=r"000001-copied: 'a' has the column '.*' in another part too"):
        FeatureStore.open(tmp_path / "s")


def test_the_store_needs_no_torch() -> None:
    code = "import sys, sterna.features; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_item_has_what_its_part_holds_the_first_part_too(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    assert store.has("values").tolist() == [True] * 4
    store.append(["e"], {"tokens": items(1, [1])["tokens"]})
    assert store.has("values").tolist() == [True] * 4 + [False]
    assert store.has("tokens").tolist() == [True] * 5


def test_a_column_that_was_not_declared_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    for call in (store.append, store.append_missing):
        with pytest.raises(StoreError, match="has no column 'scores'; it has boxes, tokens, values"):
            call(["e"], {"scores": [np.zeros(1)]})
    assert FeatureStore.open(tmp_path / "s").ids == (*"abcd",)


@pytest.mark.parametrize(
    ("spec", "rows", "at_most", "expected"),
    [
        (ColumnSpec("float16", 1024), 64, 256, 256),
        (ColumnSpec("float16", 1024), 1024, 256, 64),
        (ColumnSpec("float32", 1024), 1024, 256, 32),
        (ColumnSpec("int32"), 1024 * 1024, 256, 32),
        (ColumnSpec("float32", 1 << 20), 1 << 20, 256, 1),
        (ColumnSpec("float32", 8), 0, 7, 7),
    ],
)
def test_a_part_in_hand_holds_128_mib_at_most(
    spec: ColumnSpec, rows: int, at_most: int, expected: int
) -> None:
    assert spec.items_a_part(rows, at_most=at_most) == expected


class Bomb:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


@pytest.mark.parametrize("told", [1, 0])
def test_a_part_with_objects_is_never_loaded(tmp_path: Path, told: int) -> None:
    filled(tmp_path / "s")
    part = only_part(tmp_path / "s")
    array = np.array([Bomb(tmp_path / "was-run")], dtype=object)
    np.save(part / "values.npy", array, allow_pickle=True)
    record = json.loads((part / "part.json").read_text())
    record["files"]["values.npy"] |= {"bytes": (part / "values.npy").stat().st_size, "items": told}
    (part / "part.json").write_text(json.dumps(record))
    with pytest.raises(StoreError, match=r"values.npy: cannot be read \("):
        FeatureStore.open(tmp_path / "s").row("values", 0)
    assert not (tmp_path / "was-run").exists()


def test_a_merge_that_another_process_does_too_adds_each_part_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "one")
    second = FeatureStore.create(tmp_path / "two", COLUMNS, meta={"fingerprint": "x"})
    for number, ids in enumerate(("ef", "g")):
        second.append(list(ids), items(number, [1] * len(ids)))
    declare, others = FeatureStore.add_columns, []

    def and_another(self: FeatureStore, columns: dict) -> None:
        declare(self, columns)
        if not others:
            others.append(FeatureStore.open(tmp_path / "one"))
            others[0].merge(second)

    monkeypatch.setattr(FeatureStore, "add_columns", and_another)
    store = FeatureStore.open(tmp_path / "one")
    store.merge(second)
    for opened in (store, FeatureStore.open(tmp_path / "one")):
        assert opened.ids == (*"abcdefg",)
        assert len(list((tmp_path / "one/parts").iterdir())) == 3


def test_a_parts_name_does_not_depend_on_the_order_of_its_columns(tmp_path: Path) -> None:
    made, names = items(0, [1, 2]), []
    for place, order in enumerate((["values", "tokens"], ["tokens", "values"])):
        store = FeatureStore.create(tmp_path / str(place), COLUMNS)
        store.append(["a", "b"], {name: made[name] for name in order})
        names.append(only_part(tmp_path / str(place)).name)
    assert names[0] == names[1]
    assert names[0].startswith("000000-")


def test_a_store_notes_more_of_itself_and_gives_memory_back(tmp_path: Path) -> None:
    store = filled(tmp_path / "s")
    row = store.row("values", 2)
    expected = row.copy()
    assert np.shares_memory(row, store.row("values", 2))
    store.release()
    assert not np.shares_memory(row, store.row("values", 2))
    assert np.array_equal(row, expected)  # a view that was handed out stays
    assert np.array_equal(store.row("values", 2), expected)
    store.note({"more": [1], "fingerprint": "y"})
    for opened in (store, FeatureStore.open(tmp_path / "s")):
        assert opened.meta == {"fingerprint": "y", "more": [1]}
        assert opened.columns == COLUMNS
        assert opened.ids == (*"abcd",)


def test_what_another_process_appended_is_seen_before_missing_items_are_added(tmp_path: Path) -> None:
    filled(tmp_path / "s")
    first, second = FeatureStore.open(tmp_path / "s"), FeatureStore.open(tmp_path / "s")
    first.append(["e"], items(1, [1]))
    assert second.append_missing(["e"], items(2, [1])) == 0
    assert np.array_equal(second.row("values", second.index_of("e")), items(1, [1])["values"][0])


def test_a_store_that_met_a_damaged_part_goes_on_when_it_is_gone(tmp_path: Path) -> None:
    columns = {"values": ColumnSpec("float32", 1)}
    mine = FeatureStore.create(tmp_path / "s", columns)
    mine.append(["a"], {"values": [np.float32([[1]])]})
    other = FeatureStore.open(tmp_path / "s")
    other.append(["b"], {"values": [np.float32([[2]])]})
    other.append(["c"], {"values": [np.float32([[3]])]})
    last = sorted((tmp_path / "s" / "parts").iterdir())[-1]
    twice = last.with_name("000009-" + last.name.partition("-")[2])
    shutil.copytree(last, twice)
    for _ in range(2):
        with pytest.raises(StoreError, match="'c' has the column 'values' in another part too"):
            mine.append(["d"], {"values": [np.float32([[4]])]})
        assert mine.ids == ("a",)
        assert len(mine) == len(mine.has("values")) == 1
        with pytest.raises(StoreError, match="holds no item 'b'"):
            mine.index_of("b")
    shutil.rmtree(twice)
    mine.append(["d"], {"values": [np.float32([[4]])]})
    assert mine.ids == ("a", "b", "c", "d")
    assert [mine.row("values", place).tolist() for place in range(4)] == [[[1]], [[2]], [[3]], [[4]]]


def test_a_part_that_does_not_fit_its_store_is_named(tmp_path: Path) -> None:
    for name, dtype, ids in (("s", "float32", ["a"]), ("t", "float16", ["b"]), ("u", "float32", ["c", "d"])):
        store = FeatureStore.create(tmp_path / name, {"values": ColumnSpec(dtype, 1)})
        store.append(ids, {"values": [np.ones((1, 1), dtype)] * len(ids)})
    (other,) = (tmp_path / "t" / "parts").iterdir()
    strange = tmp_path / "s" / "parts" / "000001-other"
    shutil.copytree(other, strange)
    with pytest.raises(StoreError, match="holds a column 'values' that the manifest does not describe so"):
        FeatureStore.open(tmp_path / "s")
    (twice,) = (tmp_path / "u" / "parts").iterdir()
    data = (twice / "ids.npy").read_bytes()
    (twice / "ids.npy").write_bytes(data.replace(b"cd", b"cc"))
    with pytest.raises(StoreError, match=r"000000-.*: holds an id twice"):
        FeatureStore.open(tmp_path / "u")
