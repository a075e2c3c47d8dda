"""What the service tells of itself: status, failures, models, counts, its description, and its log."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

from sterna import __version__
from sterna.library import Library
from sterna.server import ServerSettings, create_app
from tests.library.fake import ColourEncoder, save
from tests.server.conftest import colours
from tests.server.serving import Running, serving
from tests.server.test_search import png

OPERATIONS = {
    "/api/search": {"post"}, "/api/embed": {"post"}, "/api/rank": {"post"}, "/api/photos/{photo_id}": {"get"},
    "/api/photos/{photo_id}/similar": {"get"}, "/api/photos/{photo_id}/captions": {"get"},
    "/api/photos/{photo_id}/thumbnail": {"get"}, "/api/photos/{photo_id}/original": {"get"},
    "/api/status": {"get"}, "/api/failures": {"get"}, "/api/models": {"get"}, "/api/jobs": {"get", "post"},
    "/api/jobs/{job_id}": {"get", "delete"}, "/api/jobs/{job_id}/events": {"get"}, "/healthz": {"get"},
    "/readyz": {"get"}, "/metrics": {"get"}, "/login": {"get", "post"}, "/api/photos": {"get"},
    "/api/photos/{photo_id}/explain": {"post"}, "/api/duplicates": {"get"},
    "/api/roots/{root_id}": {"delete"}, "/api/folders": {"get"}, "/api/generation": {"get"},
    "/api/photos/gone": {"post"}, "/api/photos/zip": {"get"},
}  # fmt: skip


def test_status_and_models_are_counted(service: Running, root: Path) -> None:
    said = service.get("/api/status").json
    assert (said["version"], said["indexed"], said["stale"], said["failed"]) == (__version__, 3, 0, 0)
    (own,) = said["roots"]
    assert (own["path"], own["name"], own["online"], own["photos"]) == (str(root), root.name, True, 3)
    (model,) = service.get("/api/models").json["models"]
    assert (model["name"], model["dim"], model["photos"], model["default"]) == ("colours", 49, 3, True)


def test_failures_come_in_pages(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / "photos").mkdir(exist_ok=True)
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(b"\xff\xd8\xff" + bytes([number]))
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    with serving(library) as service:
        said = service.get("/api/failures?offset=2&limit=2").json
        assert said["total"] == 5
        assert [Path(one["path"]).name for one in said["failures"]] == ["2.jpg", "3.jpg"]
        assert all(one["reason"] for one in said["failures"])
        for wrong in ("offset=-1", "limit=0", "limit=1001", "limit=x"):
            assert service.get(f"/api/failures?{wrong}").problem == "invalid"


def test_a_library_in_which_nothing_is_indexed_says_so(tmp_path: Path) -> None:
    with serving(Library.open(tmp_path / "library", model=ColourEncoder())) as service:
        answer = service.post("/api/search", {"text": "red"})
        assert (answer.status, answer.problem) == (409, "library")
        assert "nothing is indexed yet" in answer.json["detail"]
        assert service.get("/api/status").json["indexed"] == 0
        assert service.get("/api/photos/1").problem == "library"
        assert service.post("/api/embed", {"texts": ["red"]}).status == 200


def test_a_model_of_the_library_is_asked_by_its_name(tmp_path: Path, tiny_model: Path) -> None:
    library = Library.open(tmp_path / "library")
    library.index(colours(tmp_path), model=tiny_model)
    library.index(model=ColourEncoder())
    with serving(library) as service:
        assert service.post("/api/search", {"text": "red", "min_score": None}).json["model"] == "tiny-0"
        assert (
            service.post("/api/search", {"text": "red", "model": "tiny-0", "min_score": None}).status == 200
        )
        other = service.post("/api/search", {"text": "red", "model": "colours"})
        assert other.problem == "library"  # it was handed over as an object, which nobody can load again


def test_a_service_without_its_model_says_that_it_is_not_ready(tmp_path: Path) -> None:
    with serving(Library.open(tmp_path / "library", model=tmp_path / "nowhere")) as service:
        answer = service.get("/readyz")
        assert (answer.status, answer.problem) == (503, "busy")
        assert service.get("/healthz").status == 200
        assert service.post("/api/embed", {"texts": ["a"]}).problem == "model"


def test_what_happens_is_counted(service: Running) -> None:
    service.search({"text": "red"})
    text = service.get("/metrics").body.decode()
    assert re.search(r'sterna_requests_total\{method="POST",route="/api/search",status="200"\} [1-9]', text)
    assert re.search(r'sterna_batch_size_count\{kind="texts"\} [1-9]', text)
    service.get("/a-secret-path")
    service.ask("BREW", "/healthz")
    text = service.get("/metrics").body.decode()
    assert "a-secret" not in text
    assert "BREW" not in text


def test_what_is_not_there_or_not_allowed_is_a_problem(service: Running) -> None:
    assert service.get("/nowhere").problem == "not-found"
    answer = service.get("/api/search")
    assert (answer.status, answer.problem) == (405, "not-allowed")
    assert service.ask("DELETE", "/api/photos/1").problem == "not-allowed"
    assert service.get("/docs").status == 404


def test_every_operation_is_described_with_an_example_and_its_problems(service: Running) -> None:
    said = service.get("/api/openapi.json").json
    assert {path: set(operations) for path, operations in said["paths"].items()} == OPERATIONS
    assert "HTTPValidationError" not in json.dumps(said)
    schemas = said["components"]["schemas"]
    for path, operations in said["paths"].items():
        for name, operation in operations.items():
            where = f"{name} {path}"
            assert operation["summary"], where
            assert "application/problem+json" in operation["responses"]["default"]["content"], where
            good = next(answer for code, answer in operation["responses"].items() if code != "default")
            for content in good.get("content", {}).values():
                reference = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
                assert "example" in content or schemas[reference].get("examples"), where
            for content in operation.get("requestBody", {}).get("content", {}).values():
                assert "example" in content or "properties" in content["schema"], where
            for parameter in operation.get("parameters", ()):
                optional = not parameter["required"] and "anyOf" in parameter["schema"]
                assert optional or parameter["schema"].get("examples"), (where, parameter["name"])
    for reference in re.findall(r'"#/components/schemas/(\w+)"', json.dumps(said)):
        assert reference in schemas


@pytest.mark.parametrize("as_json", [False, True])
def test_the_log_has_a_line_a_request_and_nothing_that_was_asked(
    as_json: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path / "photos" / "secret-name.png", "red")
    library = Library.open(tmp_path / "library", model=ColourEncoder())
    library.index(tmp_path / "photos")
    token = "secret-token-of-many-signs"
    caplog.set_level(logging.DEBUG)
    with serving(library, token=token, log_json=as_json) as service:
        bearer = {"Authorization": f"Bearer {token}"}
        service.post("/api/search", {"text": "secret words"}, **bearer)
        service.post("/api/search", {"text": "secret words", "k": "secret"}, **bearer)
        service.get(f"/login?token={token}")
        service.get("/secret/path?secret=1", **bearer)
        service.get("/api/status", Authorization="Bearer secret-guess", X_Request_ID="mine")
        service.ask("POST", "/api/search", body=png("red"), headers=bearer)
        service.get("/healthz")  # what is asked all the time has none
        service.get("/api/generation", **bearer)
    lines = [record.getMessage() for record in caplog.records if record.name == "sterna.server"]
    requests = [line for line in lines if "request" in line]
    assert len(requests) == 6
    for record in caplog.records:
        assert "secret" not in record.getMessage(), record.name
    if as_json:
        told = [json.loads(line) for line in requests]
        assert {"time", "event", "id", "method", "route", "status", "ms", "bytes"} == set(told[0])
        assert [one["status"] for one in told] == [200, 422, 303, 404, 401, 415]
        assert told[4]["id"] == "mine"


def test_an_application_is_made_without_a_socket(tmp_path: Path) -> None:
    assert callable(create_app(Library.open(tmp_path / "library"), settings=ServerSettings()))


@pytest.mark.parametrize(
    "path",
    ["/", "/healthz", "/metrics", "/api/status", "/api/photos?k=1", "/api/folders", "/api/photos/zip?ids={}"],
)
def test_what_can_be_got_can_be_asked_for_its_head(service: Running, ids: dict[str, int], path: str) -> None:
    path = path.format(ids["red.png"])
    whole, head = service.get(path), service.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]
    if path not in {"/metrics"}:
        assert head.headers.get("content-length") == whole.headers.get("content-length")
