"""`/api/search`: every way to ask, pages, and what is told of hits."""

from __future__ import annotations

import base64
import io
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sterna
from sterna.library import Library
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import Running, serving


def png(colour: object, size: tuple[int, int] = (9, 9)) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def test_a_sentence_finds_what_it_describes(service: Running, root: Path) -> None:
    answer = service.post("/api/search", {"text": "lime", "k": 2})
    assert answer.status == 200
    said = answer.json
    assert (said["schema"], said["model"], len(said["hits"])) == (1, "colours", 2)
    hit = said["hits"][0]
    assert (hit["rank"], hit["path"], hit["width"], hit["height"]) == (1, "trips/green.png", 24, 32)
    assert hit["root"]["name"] == root.name
    assert hit["score"] == pytest.approx(1, abs=1e-3)
    assert (hit["online"], hit["taken_at"], hit["captions"]) == (True, None, [])
    changed = (root / "trips" / "green.png").stat().st_mtime
    assert hit["file_date"] == datetime.fromtimestamp(int(changed)).isoformat()


def test_ids_vectors_and_uploads_find_their_like(service: Running, ids: dict[str, int]) -> None:
    vector = ColourEncoder().encode_texts("blue")[0]
    encoded = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    assert service.search({"photo": ids["green.png"], "k": 1}) == ["green.png"]
    assert service.search({"vector": vector.tolist(), "k": 1}) == ["blue.png"]
    assert service.search({"vector": encoded, "k": 1}) == ["blue.png"]
    answer = service.send("/api/search", png((250, 5, 5)), asked={"k": 1})
    assert [hit["path"] for hit in answer.json["hits"]] == ["red.png"]


def test_an_uploaded_photograph_of_the_library_is_itself(service: Running, root: Path) -> None:
    answer = service.send("/api/search", (root / "trips" / "green.png").read_bytes(), asked={"k": 1})
    assert (answer.json["hits"][0]["path"], answer.json["hits"][0]["score"]) == ("trips/green.png", 1.0)


def test_an_upload_that_is_known_without_a_vector_of_the_model_is_embedded(tmp_path: Path) -> None:
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(colours(tmp_path))
    late = save(tmp_path / "photos" / "late.png", (250, 5, 5)).read_bytes()
    library.index(model=ColourEncoder("others", sign=-1.0))
    with serving(library) as service:
        answer = service.send("/api/search", late, asked={"k": 1, "exclude_self": True})
        assert answer.status == 200, answer
        assert [hit["path"] for hit in answer.json["hits"]] == ["red.png"]


def test_parts_are_weighed(service: Running, ids: dict[str, int]) -> None:
    assert service.search({"text": "red", "plus": [{"text": "blue", "weight": 3}], "k": 1}) == ["blue.png"]
    assert service.search({"text": "yellow", "minus": [{"photo": ids["red.png"]}], "k": 1}) == ["green.png"]
    assert service.search({"plus": [{"photo": ids["blue.png"]}], "k": 1}) == ["blue.png"]
    assert "red.png" not in service.search({"photo": ids["red.png"], "exclude_self": True})


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"folder": "sea"}, ["blue.png"]),
        ({"orientation": "portrait"}, ["green.png"]),
        ({"name": "RED"}, ["red.png"]),
        ({"caption": "wall"}, ["red.png"]),
        ({"min_size": 33}, []),
        ({"before": "1990"}, []),
    ],
)
def test_filters_narrow(service: Running, filters: dict[str, object], names: list[str]) -> None:
    assert service.search({"text": "red", "filters": filters}) == names


def test_pages_follow_each_other_to_the_end(service: Running) -> None:
    asked = {"text": "red", "k": 2}
    first = service.post("/api/search", asked).json
    second = service.post("/api/search", {**asked, "cursor": first["next"]}).json
    assert [hit["rank"] for hit in first["hits"] + second["hits"]] == [1, 2, 3]
    assert len({hit["id"] for hit in first["hits"] + second["hits"]}) == 3
    assert second["next"] is None


def test_a_cursor_goes_with_its_own_query_alone(service: Running) -> None:
    cursor = service.post("/api/search", {"text": "red", "k": 1}).json["next"]
    for asked in ({"text": "blue", "k": 1}, {"text": "red", "k": 2}):
        assert service.post("/api/search", {**asked, "cursor": cursor}).problem == "cursor"
    for broken in ("x", "W10", base64.urlsafe_b64encode(b"[-1, 2]").decode(), "[" * 900, "é"):
        assert service.post("/api/search", {"text": "red", "k": 1, "cursor": broken}).problem == "cursor"


def test_where_nothing_is_found_the_nearest_is_told(service: Running) -> None:
    said = service.post("/api/search", {"text": "red", "min_score": 1.5}).json
    assert (said["hits"], said["nearest"]) == ([], pytest.approx(1, abs=1e-3))
    assert said["message"] == f"nothing here looks like that (the nearest scores {said['nearest']:.3f})"
    assert (
        service.post("/api/search", {"text": "red", "filters": {"name": "zzz"}}).json["message"]
        == "nothing found"
    )


def test_similar_photographs_leave_out_the_one_that_is_asked_for(
    service: Running, ids: dict[str, int]
) -> None:
    said = service.get(f"/api/photos/{ids['red.png']}/similar?k=1").json
    assert len(said["hits"]) == 1
    assert said["hits"][0]["id"] != ids["red.png"]
    more = service.get(f"/api/photos/{ids['red.png']}/similar?k=1&cursor={said['next']}").json
    assert more["hits"][0]["id"] not in {ids["red.png"], said["hits"][0]["id"]}
    assert service.get("/api/photos/999/similar").problem == "unknown-photo"


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "nothing to search for"),
        ({"text": " "}, "a text is empty"),
        ({"text": ""}, "text"),
        ({"text": "a\0b"}, "a NUL is no text"),
        ({"text": 5}, "text"),
        ({"text": "x" * 2001}, "at most 2,000 letters"),
        ({"text": "red", "k": 0}, "k"),
        ({"text": "red", "k": 201}, "at most 200 hits"),
        ({"text": "red", "k": 10**40}, "k"),
        ({"text": "red", "unknown": 1}, "unknown"),
        ({"text": "red", "plus": [{"text": "a"}] * 17}, "at most 16 parts"),
        ({"text": "red", "plus": [{"text": "a", "photo": 1}]}, "one of text, photo and vector"),
        ({"text": "red", "minus": [{}]}, "one of text, photo and vector"),
        ({"text": "red", "minus": [{"text": "red"}]}, "cancel each other out"),
        ({"text": "red", "plus": [{"text": "a", "weight": -1}]}, "weight"),
        ({"text": "red", "filters": {"orientation": "wide"}}, "orientation"),
        ({"text": "red", "filters": {"after": "yesterday"}}, "not a date"),
        ({"text": "red", "filters": {"folder": "~nobody-of-this-name"}}, "no folder can have this name"),
        ({"text": "red", "min_score": "high"}, "min_score"),
        ({"text": "red", "model": "another"}, "the library has no vectors of this one; known: colours"),
        ({"text": "red", "model": "/etc/passwd"}, "the library has no vectors of this one"),
        ({"photo": -1}, "photo"),
        ({"photo": 1 << 64}, "photo"),
        ({"vector": []}, "vector"),
        ({"vector": [0.0] * 49}, "not all of them 0"),
        ({"vector": [1.0] * 7}, "has 49 numbers; one of 7 came"),
        ({"vector": "!!!!"}, "base64"),
        ({"vector": "AAA="}, "no float32"),
        ({"vector": base64.b64encode(np.full(49, np.nan, "<f4").tobytes()).decode()}, "finite"),
    ],
)
def test_what_means_nothing_is_a_problem_that_says_so(service: Running, asked: object, field: str) -> None:
    answer = service.post("/api/search", asked)
    assert answer.status == 422
    assert answer.problem
    assert field in answer.json["detail"]


def test_a_photograph_that_is_not_there_is_unknown(service: Running) -> None:
    answer = service.post("/api/search", {"photo": 999})
    assert (answer.status, answer.problem) == (404, "unknown-photo")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b'{"k": NaN}',
        b"[" * 100_000,
        b"\0",
    ],
)
def test_what_is_no_json_is_malformed(service: Running, body: bytes) -> None:
    answer = service.post("/api/search", body)
    assert answer.status in {400, 422}
    assert answer.problem in {"malformed", "invalid"}


def test_a_very_long_text_in_any_script_is_searched(service: Running) -> None:
    for text in ("雪" * 2000, "\u202e" * 50, "🐕‍🦺" * 200, "a\n" * 900):
        assert service.post("/api/search", {"text": text, "min_score": None}).status == 200


def test_a_text_that_names_a_file_is_a_text(service: Running, root: Path) -> None:
    answer = service.post("/api/search", {"text": str(root / "red.png"), "min_score": None})
    assert answer.json["hits"][0]["score"] < 0.9999


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"k": 0}, "k: 0 came; at least 1 is needed"),
        ({"k": "many"}, "k: a text of 4 letters came; a whole number is needed"),
        ({"k": None}, "k: null came; a whole number is needed"),
        ({"k": True}, "k: true came; a whole number is needed"),
        ({"txt": "red"}, "txt: unknown; did you mean 'text'?"),
        ({"filters": {"flder": "a"}}, "filters.flder: unknown; did you mean 'folder'?"),
        ({"plus": [{"text": "a", "wait": 1}]}, "plus.0.wait: unknown; did you mean 'weight'?"),
        ({"text": ""}, "text: an empty text came; a text of 1 letter or more is needed"),
        ({"text": ["red"]}, "text: a list of 1 came; a text is needed"),
        ({"photo": -1}, "photo: -1 came; at least 0 is needed"),
        ({"min_score": "high"}, "min_score: a text of 4 letters came; a number or 'model' is needed"),
        ({"vector": 3}, "vector: 3 came; a list or a text is needed"),
        ({"vector": "!!!!"}, "vector: text has to be base64"),
        ({"filters": {"orientation": "tall"}},
         "filters.orientation: a text of 4 letters came; 'landscape', 'portrait' or 'square' is needed"),
        ({"plus": [{"text": "a", "weight": -1.5}]}, "plus.0.weight: -1.5 came; at least 0 is needed"),
        ({"plus": [{}]}, "plus.0: one of text, photo and vector is needed"),
        ({"cursor": "x" * 2000}, "cursor: a text of 2,000 letters came; a text of 1,000 letters or fewer is needed"),
        ({"k": 0, "exclude_self": 3}, "k: 0 came; at least 1 is needed; exclude_self: 3 came; true or false is needed"),
        ([1], "a list of 1 came; a JSON object is needed"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_field_is_told_in_our_words(
    service: Running, asked: object, sentence: str
) -> None:
    answer = service.post("/api/search", asked)
    assert (answer.status, answer.problem, answer.json["detail"]) == (422, "invalid", sentence)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/api/photos/x", "photo_id: a text of 1 letter came; a whole number is needed"),
        ("/api/photos/-1", "photo_id: -1 came; at least 0 is needed"),
        ("/api/photos/1/similar?k=0", "k: 0 came; at least 1 is needed"),
        ("/api/duplicates?min_score=0.3", "min_score: 0.3 came; at least 0.5 is needed"),
        ("/api/duplicates?min_score=1.5", "min_score: 1.5 came; at most 1 is needed"),
        ("/api/photos?k=2.5", "k: 2.5 came; a whole number is needed"),
        ("/api/failures?limit=1001", "limit: 1001 came; at most 1000 is needed"),
        (f"/api/photos/{10**30}", "photo_id: a number came; less than 9223372036854775808 is needed"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_in_our_words(
    service: Running, path: str, sentence: str
) -> None:
    answer = service.get(path)
    assert (answer.status, answer.problem, answer.json["detail"]) == (422, "invalid", sentence)


def test_a_body_that_is_no_json_is_told_in_our_words(service: Running) -> None:
    answer = service.post("/api/search", b"{")
    assert (answer.status, answer.problem) == (400, "malformed")
    assert answer.json["detail"].startswith("the body is no JSON (EOF while parsing an object")


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/api/photos?folderr=trips", "folderr: unknown parameter, did you mean 'folder'?; known: after, before, "
         "caption, folder, k, max_size, min_size, name, offset, orientation"),
        ("/api/photos?q=&k=1&color=red", "q: unknown parameter; color: unknown parameter; known: after, "),
        ("/api/duplicates?Copies=true", "Copies: unknown parameter, did you mean 'copies'?; known: copies, "),
        ("/api/status?x", "x: unknown parameter; known: none"),
        ("/api/failures?limit=5&page=2", "page: unknown parameter; known: limit, offset"),
        ("/healthz?a=1", "a: unknown parameter; known: none"),
        ("/login?tokenn=x", "tokenn: unknown parameter, did you mean 'token'?; known: token"),
        ("/api/photos/1/thumbnail?sise=128", "sise: unknown parameter, did you mean 'size'?; known: size"),
    ],
)  # fmt: skip
def test_a_parameter_that_an_address_does_not_know_is_named(service: Running, path: str, detail: str) -> None:
    answer = service.get(path)
    assert (answer.status, answer.problem) == (422, "invalid")
    assert answer.json["detail"].startswith(detail)
    first = detail.partition(":")[0]
    assert answer.json["errors"][0]["field"] == first


def test_every_described_address_refuses_an_unknown_parameter(service: Running) -> None:
    described = service.get("/api/openapi.json").json["paths"]
    asked = 0
    for path, operations in described.items():
        for method in operations:
            address = path.replace("{photo_id}", "1").replace("{job_id}", "1").replace("{root_id}", "1")
            answer = service.ask(method.upper(), f"{address}?no_such_parameter=1")
            assert answer.status == 422, (method, path, answer)
            assert answer.json["errors"][0]["field"] == "no_such_parameter"
            asked += 1
    assert asked > 15
    long = service.get("/api/status?" + "&".join(f"{'x' * 500}{number}=1" for number in range(100)))
    assert len(long.body) < 10_000


def test_what_follows_the_page_s_address_is_the_page_s(service: Running) -> None:
    assert service.get("/?q=a+dog&sort=new").status == 200


def test_hits_that_look_the_same_are_folded_and_pages_stay_full(tmp_path: Path) -> None:
    for number in range(6):
        for copy in range(1 + number % 3):
            save(tmp_path / "photos" / f"{number}-{copy}.png", (250 - 30 * number, copy, 40 * number))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    ours = [(hit.photo_id, hit.folded) for hit in library.search("red", k=99, min_score=None, fold=True)]
    assert 1 < len(ours) < 12
    with serving(library) as service:
        asked = {"text": "red", "k": 1, "min_score": None, "fold": True}
        found = []
        while True:
            page = service.post("/api/search", asked).json
            found += [(hit["id"], hit["folded"]) for hit in page["hits"]]
            if page["next"] is None:
                break
            asked = {**asked, "cursor": page["next"]}
        assert found == ours
        with sterna.Client(service.url) as client:
            hits = client.search("red", k=99, min_score=None, fold=True)
        assert [(hit.photo_id, hit.folded) for hit in hits] == ours
        assert service.post("/api/search", {**asked, "fold": False}).problem == "cursor"


def test_the_least_score_is_told_as_scores_are(tmp_path: Path) -> None:
    encoder = ColourEncoder()
    encoder.min_score = float(np.float32(0.14))  # type: ignore[attr-defined]
    library = Library.open(tmp_path / "library", model=encoder)
    library.index(colours(tmp_path))
    with serving(library) as service:
        assert service.post("/api/search", {"text": "red"}).json["min_score"] == 0.14
