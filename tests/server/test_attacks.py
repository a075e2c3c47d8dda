"""Names of files where words are meant, in every parameter: nothing is read, loaded or told."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.server.serving import Running
from tests.server.test_search import png

NAMES = [
    "/etc/passwd",
    "../../../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "..\\..\\etc\\passwd",
    "file:///etc/passwd",
    "hf:../../etc",
    "~root",
    "/proc/self/environ",
    "{here}",
    "a\0b",
    "\U0001f600" * 900,
    "${HOME} $(id) ; DROP TABLE photos; --",
    "%n%s{0.__class__}",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_of_a_file_leads_nowhere_in_any_parameter(
    service: Running, ids: dict[str, int], root: Path, name: str
) -> None:
    text = name.format(here=root / "red.png") if name == "{here}" else name
    red, coded = ids["red.png"], quote(text, safe="")
    asked = [
        service.post("/api/search", {"text": text}),
        *(
            service.post("/api/search", {"text": "red", "filters": {field: text}})
            for field in ("folder", "name", "caption", "after", "before", "orientation")
        ),
        *(
            service.post("/api/search", {"text": "red", field: text})
            for field in ("model", "cursor", "vector")
        ),
        service.post("/api/search", {"plus": [{"text": text}], "minus": [{"text": text, "weight": 0.5}]}),
        service.post("/api/embed", {"texts": [text], "model": text}),
        service.post("/api/rank", {"texts": [text], "photo": red}),
        service.send("/api/search", text.encode()),
        service.send("/api/search", png("red"), asked={"model": text}),
        service.post("/api/jobs", {"roots": [text]}),
        *(
            service.get(f"/api/photos/{red}/{what}={coded}")
            for what in ("similar?model", "similar?cursor", "captions?model", "captions?k", "thumbnail?size")
        ),
        *(service.get(f"/api/{what}/{coded}") for what in ("photos", "jobs")),
        *(service.get(f"/api/photos/{red}/similar?{what}=") for what in ("model", "cursor")),
        service.get(f"/api/failures?offset={coded}"),
        service.get(f"/login?token={coded}"),
        service.get(f"/{coded}"),
    ]
    for answer in asked:
        assert answer.status < 500, answer
        assert b"root:x" not in answer.body
        assert b"HOME=" not in answer.body
        assert b"Traceback" not in answer.body
        if answer.status != 200:
            assert answer.problem
    assert service.search({"text": "red", "k": 1}) == ["red.png"]
