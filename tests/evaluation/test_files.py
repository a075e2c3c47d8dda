"""Relevance files, TREC's runs and qrels, vectors in files, written ranks: there and back, and what is wrong."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sterna import errors
from sterna.evaluation import (
    Hubs,
    Numbered,
    Protocol,
    Ranks,
    Relevance,
    VectorFiles,
    evaluate,
    evaluate_run,
    measure,
    rank_both_ways,
    read_bank,
    read_relevance,
    report,
    write_ranks,
    write_trec,
)

IMAGES, CAPTIONS = ("a.jpg", "b.jpg", "c d.jpg"), ("a#0", "a#1", "b#0", "c%d#0")
OWNERS = np.array([0, 0, 1, 2])


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _read(*files: str | Path) -> dict[str, list[dict[int, float]]]:
    judged = read_relevance(files, image_ids=IMAGES, caption_ids=CAPTIONS)
    return {way: _listed(each) for way, each in judged.relevance.items()}


def _listed(relevance: Relevance) -> list[dict[int, float]]:
    bounds = zip(relevance.offsets[:-1], relevance.offsets[1:], strict=True)
    return [
        dict(zip(relevance.answers[a:b].tolist(), relevance.grades[a:b].tolist(), strict=True))
        for a, b in bounds
    ]


def test_json_of_lists_and_of_grades_is_read_and_its_way_is_told_by_its_ids(tmp_path: Path) -> None:
    lists = _write(tmp_path / "lists.json", json.dumps({"a#0": ["a.jpg", "c d.jpg"], "b#0": ["b.jpg"]}))
    assert _read(lists) == {"t2i": [{0: 1, 2: 1}, {}, {1: 1}, {}]}
    grades = _write(tmp_path / "grades.json", json.dumps({"b.jpg": {"b#0": 3, "a#1": 0.5, "a#0": 0}}))
    assert _read(grades) == {"i2t": [{}, {2: 3, 1: 0.5}, {}]}
    assert _read(lists, grades).keys() == {"i2t", "t2i"}
    both = _write(tmp_path / "both.json", json.dumps({"i2t": {"a.jpg": ["b#0"]}, "t2i": {"b#0": ["a.jpg"]}}))
    assert _read(both) == {"i2t": [{2: 1}, {}, {}], "t2i": [{}, {}, {0: 1}, {}]}


def test_ids_that_are_numbers_can_be_told_apart_by_naming_the_way(tmp_path: Path) -> None:
    file = _write(tmp_path / "eccv.json", json.dumps({"1": [0, 2], "0": [1]}))
    ids = {"image_ids": ("0", "1", "2"), "caption_ids": ("0", "1", "2", "3")}
    with pytest.raises(errors.UsageError, match=r"eccv.json: fits both ways; write i2t=.* or t2i="):
        read_relevance([file], **ids)
    judged = read_relevance([f"t2i={file}"], **ids).relevance
    assert _listed(judged["t2i"]) == [{1: 1}, {0: 1, 2: 1}, {}, {}]
    assert judged["t2i"].name == "eccv.json"
    assert list(read_relevance([f"i2t={file}"], **ids).relevance) == ["i2t"]


def test_qrels_are_read_with_escaped_ids_and_grades(tmp_path: Path) -> None:
    text = "a#0 0 a.jpg 2\na#0 0 b.jpg 0\n\nc%25d#0 0 c%20d.jpg 1\n"
    assert _read(_write(tmp_path / "t2i.qrels", text)) == {"t2i": [{0: 2}, {}, {}, {2: 1}]}
    assert _read(_write(tmp_path / "t2i.qrels", "c%25d#0 0 c%20d.jpg 1\n")) == {"t2i": [{}, {}, {}, {2: 1}]}
    assert _read(_write(tmp_path / "i2t.qrels", "c%20d.jpg 0 c%25d#0 1\n")) == {"i2t": [{}, {}, {3: 1}]}


def test_a_matrix_of_grades_is_read(tmp_path: Path) -> None:
    np.save(tmp_path / "grades.npy", np.ones((4, 3), np.float32))
    judged = read_relevance([tmp_path / "grades.npy"], image_ids=IMAGES, caption_ids=CAPTIONS)
    assert judged.grades is not None
    assert judged.grades.shape == (4, 3)
    with pytest.raises(errors.DataError, match=r"\(4, 3\); \[captions, images\] = \(3, 4\) is needed"):
        read_relevance([tmp_path / "grades.npy"], image_ids=CAPTIONS, caption_ids=IMAGES)
    with pytest.raises(errors.UsageError, match="one matrix of grades"):
        read_relevance([f"i2t={tmp_path / 'grades.npy'}"], image_ids=IMAGES, caption_ids=CAPTIONS)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        (
            "x.json",
            '{"a#0": ["z.jpg"]}',
            "1 of 1 answers are not in the data, such as 'z.jpg'; ids .* 'a.jpg'",
        ),
        ("x.json", '{"a#0": ["a.jpg"], "q": ["a.jpg"]}', "1 of 2 queries are not in the data, such as 'q'"),
        ("x.json", '{"a#0": ["a.jpg", "a.jpg"]}', "the query 'a#0' has an answer twice"),
        ("x.json", '{"a#0": "a.jpg"}', "the query 'a#0' has no answers as they are needed"),
        ("x.json", '{"a#0": {"a.jpg": "1"}}', "the query 'a#0' has no answers as they are needed"),
        ("x.json", '{"a#0": {"a.jpg": 1000}}', "grades below 1000"),
        ("x.json", '["a#0"]', "holds no object"),
        ("x.json", '{"a#0": ["a.jpg"], "a#0": ["b.jpg"]}', "x.json: has 'a#0' twice"),
        ("x.json", '{"a#0": {"a.jpg": 1, "a.jpg": 2}}', "x.json: has 'a.jpg' twice"),
        ("x.json", '{"a#0": {"a.jpg": 0}}', "no query has a right answer"),
        ("x.json", '{"c%d#0": ["c d.jpg", "c%20d.jpg"]}', "of the answers, '.*' and '.*' are the same"),
        (
            "x.json",
            '{"c%d#0": ["a.jpg"], "c%25d#0": ["b.jpg"]}',
            "of the queries, '.*' and '.*' are the same",
        ),
        ("x.json", "{", "not valid JSON"),
        ("x.qrels", "a#0 0 a.jpg\n", "x.qrels:1: has 3 fields; 4 are needed: query 0 answer grade"),
        ("x.qrels", "a#0 0 a.jpg yes\n", "x.qrels:1: the grade 'yes' is not a number"),
        ("x.qrels", "a#0 0 a.jpg nan\n", "x.qrels:1: the grade 'nan' is not a number"),
        ("x.qrels", "a#0 0 a.jpg 1000\n", "x.qrels:1: the grade 1000 is 1000 or more"),
        (
            "x.qrels",
            "a#0 0 a.jpg 1\na#0 0 a.jpg 1\n",
            "x.qrels:2: the query 'a#0' has the answer 'a.jpg' twice",
        ),
        ("x.qrels", "\n", "x.qrels: is empty"),
    ],
)
def test_relevance_that_is_wrong_is_one_sentence(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(errors.DataError, match=told):
        _read(_write(tmp_path / name, text))


def test_relevance_that_is_not_there_or_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.DataError, match="none.qrels: no such file"):
        _read(tmp_path / "none.qrels")
    (tmp_path / "bytes.qrels").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(errors.DataError, match="bytes.qrels: not UTF-8 text"):
        _read(tmp_path / "bytes.qrels")
    file = _write(tmp_path / "x.json", '{"a#0": ["a.jpg"]}')
    with pytest.raises(errors.UsageError, match="what is right for t2i is given twice"):
        _read(file, file)


def _ranks(*, seed: int = 0, top: int = 100, ties: bool = True) -> Ranks:
    random = np.random.default_rng(seed)
    draw = (
        (lambda shape: random.integers(-2, 3, shape)) if ties else (lambda shape: random.normal(size=shape))
    )
    images, captions = draw((12, 3)).astype(np.float32), draw((30, 3)).astype(np.float32)
    images[2] = captions[5] = np.nan
    owners = random.integers(0, 12, 30)
    graded = [
        dict.fromkeys(random.integers(0, 12, 3).tolist(), float(random.integers(1, 4))) for _ in range(30)
    ]
    return rank_both_ways(
        images, captions, owners, relevance={"t2i": Relevance.of(graded, gallery=12)}, top=top
    )


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_run_that_we_wrote_is_measured_as_what_it_was_made_of(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("trec")
    ranks = _ranks(seed=seed)
    write_trec(folder, [ranks])
    expected = report(ranks, bootstrap=0)
    for way in ("i2t", "t2i"):
        found = evaluate_run(folder / f"{way}.run", folder / f"{way}.qrels", bootstrap=0)
        mine = dict(getattr(expected, way).values)
        theirs = dict(found.figures.values)
        for name in (
            "median_rank",
            "mean_rank",
        ):  # where an item without a score counts as not in the gallery
            del mine[name], theirs[name]
        assert theirs == pytest.approx(mine)


def test_someones_run_is_measured_by_its_scores_ties_against_it(tmp_path: Path) -> None:
    run = _write(
        tmp_path / "a.run",
        "q1 Q0 x 1 5 them\nq1 Q0 y 2 5 them\nq1 Q0 z 3 9 them\nq2 Q0 x 1 1 them\nq9 Q0 x 1 1 them\n",
    )
    qrels = _write(tmp_path / "a.qrels", "q1 0 x 1\nq1 0 y 0\nq2 0 w 1\nq3 0 x 1\nq4 0 x 0\n")
    found = evaluate_run(run, qrels, bootstrap=50)
    assert (found.run, found.qrels, found.answers) == ("them", "a.qrels", 4)
    assert found.ranking.ranks.tolist() == [2, 4, 4]
    assert found.unanswered == ("q3",)
    assert found.unjudged == ("q9",)
    assert found.figures.hits == pytest.approx({1: 0, 5: 1 / 3, 10: 1 / 3})
    assert found.intervals["hits.5"][0] <= 1 / 3 <= found.intervals["hits.5"][1]
    document = found.as_json()
    assert (document["queries"], document["answers"], document["unanswered"]) == (3, 4, 1)
    json.dumps(document, allow_nan=False)
    cut = evaluate_run(run, qrels, protocol=Protocol(min_score=6), bootstrap=0)
    assert cut.ranking.ranks.tolist() == [4, 4, 4]
    assert cut.figures.values["returned"] == pytest.approx(1 / 3)
    exactly = evaluate_run(run, qrels, protocol=Protocol(min_score=5), bootstrap=0)
    assert exactly.ranking.ranks.tolist() == [2, 4, 4]


@pytest.mark.parametrize(
    ("run", "qrels", "told"),
    [
        ("q Q0 x 1 5", "q 0 x 1", "a.run:1: has 5 fields; 6 are needed: query Q0 answer rank score tag"),
        ("q Q0 x 1 high t", "q 0 x 1", "a.run:1: the score 'high' is not a number"),
        ("q Q0 x 1 nan t", "q 0 x 1", "a.run:1: the score 'nan' is not a number"),
        ("q Q0 x 1 1 t\nq Q0 x 2 0 t", "q 0 x 1", "a.run:2: the query 'q' has the answer 'x' twice"),
        ("q Q0 x 1 1 t", "q 0 x 0", "a.qrels: no query has a right answer"),
        ("q Q0 x 1 1 t", "p 0 x 1", "a.run: answers none of the queries of .*a.qrels, such as 'p'"),
    ],
)
def test_runs_that_are_wrong_are_one_sentence(tmp_path: Path, run: str, qrels: str, told: str) -> None:
    files = _write(tmp_path / "a.run", run), _write(tmp_path / "a.qrels", qrels)
    with pytest.raises(errors.DataError, match=told):
        evaluate_run(*files)


def test_a_run_has_as_many_answers_as_were_kept_and_no_equal_scores(tmp_path: Path) -> None:
    write_trec(tmp_path / "out", [_ranks(top=5)], tag="my model")
    lines = [line.split() for line in (tmp_path / "out" / "t2i.run").read_text().splitlines()]
    assert max(int(fields[3]) for fields in lines) == 5
    assert {fields[5] for fields in lines} == {"my%20model"}
    for before, after in itertools.pairwise(lines):
        assert before[0] != after[0] or np.float32(before[4]) > np.float32(after[4])
    with pytest.raises(errors.UsageError, match="no first answers were kept"):
        write_trec(tmp_path / "out", [_ranks(top=0)])


@pytest.mark.parametrize("name", ["ranks.csv", "ranks.jsonl"])
def test_written_ranks_say_what_each_query_found(tmp_path: Path, name: str) -> None:
    images = np.array([[1.0, 0], [0, 1], [np.nan, 0]])
    captions = np.array([[1.0, 0.5], [0.5, 1], [2, 1], [1, 1]])
    found = measure(
        images,
        captions,
        OWNERS,
        image_ids=IMAGES,
        caption_ids=CAPTIONS,
        protocol=Protocol(top=2),
        bootstrap=0,
    )
    write_ranks(tmp_path / name, found.parts)
    text = (tmp_path / name).read_text()
    if name.endswith("csv"):
        rows = [
            {key: json.loads(cell) if cell.startswith("[") else cell for key, cell in row.items()}
            for row in csv.DictReader(text.splitlines())
        ]
    else:
        rows = [json.loads(line) for line in text.splitlines()]
    assert rows[0] == {
        "way": "i2t", "query": "a.jpg", "answers": ["a#0", "a#1"], "ranks": [3, 4], "first": ["b#0", "c%d#0"]
    }  # fmt: skip
    assert rows[2] == {"way": "i2t", "query": "c d.jpg", "answers": ["c%d#0"], "ranks": [None], "first": []}
    assert rows[5] == {
        "way": "t2i", "query": "b#0", "answers": ["b.jpg"], "ranks": [2], "first": ["a.jpg", "b.jpg"]
    }  # fmt: skip
    assert len(rows) == 3 + 4
    write_ranks(tmp_path / name, found.parts, first=1)
    assert json.dumps(["b#0"]) in (tmp_path / name).read_text().replace('""', '"')
    with pytest.raises(errors.UsageError, match="ranks are written as .csv or .jsonl"):
        write_ranks(tmp_path / "ranks.txt", found.parts)


def _save(folder: Path, *, images: int = 6, captions: int = 12, width: int = 4) -> VectorFiles:
    random = np.random.default_rng(0)
    np.save(folder / "images.npy", random.normal(size=(images, width)).astype(np.float32))
    np.save(folder / "texts.npy", random.normal(size=(captions, width)).astype(np.float32))
    return VectorFiles(folder / "images.npy", folder / "texts.npy")


def test_vectors_in_files_are_measured_as_any_others(tmp_path: Path) -> None:
    files = _save(tmp_path)
    found = evaluate(files, Numbered.of(files, captions_per_image=2), bootstrap=0)
    expected = measure(np.load(files.images), np.load(files.captions), np.arange(12) // 2, bootstrap=0)
    assert (found.model, found.data, found.split) == ("images.npy, texts.npy", "texts", None)
    assert found.i2t.values == expected.i2t.values
    assert found.ranks.image_ids == ["0", "1", "2", "3", "4", "5"]
    by_order = evaluate(
        VectorFiles(files.images, files.captions, score="order"),
        Numbered.of(files, captions_per_image=2),
        bootstrap=0,
    )
    assert by_order.score == "order"
    assert by_order.t2i.values != found.t2i.values


def test_vectors_that_are_not_finite_are_told_and_never_found(tmp_path: Path) -> None:
    files = _save(tmp_path)
    vectors = np.load(files.captions)
    vectors[3, 1] = np.nan
    np.save(files.captions, vectors)
    found = evaluate(files, Numbered.of(files, captions_per_image=2), bootstrap=0)
    assert found.unreadable == (f"{files.captions}: row 3 is not finite",)
    assert found.ranks.t2i.ranks[3] == 6


def test_vectors_that_do_not_fit_are_one_sentence(tmp_path: Path) -> None:
    files = _save(tmp_path)
    with pytest.raises(
        errors.DataError, match="texts.npy: 12 rows are not 5 captions for each of some images"
    ):
        Numbered.of(files, captions_per_image=5)
    with pytest.raises(errors.UsageError, match="captions_per_image is 0"):
        Numbered.of(files, captions_per_image=0)
    with pytest.raises(errors.DataError, match="images.npy: has 6 rows for 4 images"):
        evaluate(files, Numbered.of(files, captions_per_image=3))
    repeated = VectorFiles(files.captions, files.captions)
    with pytest.raises(errors.DataError, match="repeat each image for every caption, so save every 2th row"):
        evaluate(repeated, Numbered.of(files, captions_per_image=2))
    with pytest.raises(errors.DataError, match="vectors without data have no split 'dev'"):
        evaluate(files, Numbered.of(files, captions_per_image=2), split="dev")
    np.save(files.images, np.ones((6, 5), np.float32))
    with pytest.raises(
        errors.DataError, match=r"images.npy: holds vectors of 5 numbers, those of .*texts.npy have 4"
    ):
        evaluate(files, Numbered.of(files, captions_per_image=2))
    with pytest.raises(errors.DataError, match="they must be equally long"):
        read_bank(files.images, files.captions)


def test_files_that_hold_no_vectors_are_one_sentence(tmp_path: Path) -> None:
    files = _save(tmp_path)
    np.save(tmp_path / "pickle.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "many.npz", a=np.ones((2, 2)))
    np.save(tmp_path / "whole.npy", np.ones((2, 2), np.int64))
    np.save(tmp_path / "flat.npy", np.ones(4))
    np.save(tmp_path / "widthless.npy", np.ones((2, 0)))
    _write(tmp_path / "text.npy", "hello")
    (tmp_path / "cut.npy").write_bytes(files.images.read_bytes()[:100])
    (tmp_path / "empty.npy").touch()
    for name, told in {
        "none.npy": "no such file",
        "pickle.npy": "holds pickled objects, which are not loaded",
        "widthless.npy": "holds vectors of no numbers, which cannot be compared",
        "text.npy": "not an array of NumPy",
        "cut.npy": "not an array of NumPy .* or cut short",
        "empty.npy": "not an array of NumPy",
        "many.npz": "an archive of arrays",
        "whole.npy": r"holds int64 of the shape \(2, 2\); a matrix of floating-point numbers is needed",
        "flat.npy": r"holds float64 of the shape \(4,\)",
    }.items():
        with pytest.raises(errors.DataError, match=f"{name}: {told}"):
            read_bank(tmp_path / name, tmp_path / name if name == "widthless.npy" else files.captions)


def test_a_run_is_called_what_the_model_is_called(tmp_path: Path) -> None:
    write_trec(tmp_path, [_ranks()], tag="100%25 of a.npy, b.npy")
    found = evaluate_run(tmp_path / "t2i.run", tmp_path / "t2i.qrels", bootstrap=0)
    assert found.run == found.as_json()["run"] == "100%25 of a.npy, b.npy"


def test_a_byte_order_mark_belongs_to_no_query(tmp_path: Path) -> None:
    run = _write(tmp_path / "a.run", "\ufeffq Q0 x 1 5 t\n")
    found = evaluate_run(run, _write(tmp_path / "a.qrels", "\ufeffq 0 x 1\n"), bootstrap=0)
    assert found.ranking.ranks.tolist() == [0]


@pytest.mark.parametrize("protocol", [Protocol(folds=(1, 1)), Protocol(hubs=Hubs("csls"))])
def test_what_needs_a_gallery_does_not_go_with_a_run(tmp_path: Path, protocol: Protocol) -> None:
    with pytest.raises(errors.UsageError, match="a.run: a run's gallery is its own; neither folds nor hubs"):
        evaluate_run(tmp_path / "a.run", tmp_path / "a.qrels", protocol=protocol)
