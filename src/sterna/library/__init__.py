"""A user's collection: folders of photographs, one catalogue that is the truth about them, answers to
questions.

A library is a folder: `catalog.sqlite` (roots, files, photographs by content, and where their vectors lie),
`vectors/` (segments that only grow) and `sentences/` (derived, may be removed). A vector is on the disk
before the catalogue names it, so a process killed at any moment leaves nothing to repair.
"""

from __future__ import annotations

from sterna.library._duplicates import LIKENESS
from sterna.library._folder import default_folder
from sterna.library._folders import FolderRecord
from sterna.library._library import Library
from sterna.library._originals import Original
from sterna.library._query import Sentence, names_a_photo, read_date
from sterna.library._types import (
    Backup,
    CaptionHit,
    Failure,
    Forgotten,
    Hit,
    IndexReport,
    ModelStatus,
    PhotoRecord,
    Progress,
    RootRecord,
    RootStatus,
    Status,
)

__all__ = [
    "LIKENESS",
    "Backup",
    "CaptionHit",
    "Failure",
    "FolderRecord",
    "Forgotten",
    "Hit",
    "IndexReport",
    "Library",
    "ModelStatus",
    "Original",
    "PhotoRecord",
    "Progress",
    "RootRecord",
    "RootStatus",
    "Sentence",
    "Status",
    "default_folder",
    "names_a_photo",
    "read_date",
]
