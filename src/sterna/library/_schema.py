"""The tables of a library's catalogue."""

from __future__ import annotations

__all__ = ["LATER", "SCHEMA", "TABLES"]

SCHEMA = 1

TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE roots (
    id INTEGER PRIMARY KEY,
    path BLOB NOT NULL UNIQUE,          -- absolute, as the file system's bytes
    device INTEGER NOT NULL,            -- st_dev when it was last there
    exclude TEXT NOT NULL               -- JSON list of patterns
);
CREATE TABLE photos (                   -- a photograph is a content, wherever it lies
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,          -- SHA-256
    width INTEGER, height INTEGER,      -- upright
    taken_at TEXT,                      -- ISO 8601, local
    captions TEXT NOT NULL,             -- JSON list, from inside the file
    reason TEXT,                        -- why it cannot be read
    again INTEGER NOT NULL DEFAULT 0    -- 1 where that may pass without the file changing
);
CREATE TABLE files (
    root INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
    path BLOB NOT NULL,                 -- below the root, as the file system's bytes
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    again INTEGER NOT NULL,             -- 1 where an equal size and time prove nothing yet
    photo INTEGER REFERENCES photos(id),
    reason TEXT,                        -- why its content is not known
    PRIMARY KEY (root, path)            -- all that a walk compares lies side by side
) WITHOUT ROWID;
CREATE INDEX files_of_photo ON files (photo);
CREATE INDEX failed_files ON files (root) WHERE reason IS NOT NULL;
CREATE INDEX failed_photos ON photos (id) WHERE reason IS NOT NULL;
CREATE TABLE folders (                  -- folders that could not be listed
    root INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
    path BLOB NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TABLE sidecars (                 -- text files beside photographs
    root INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
    path BLOB NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    captions TEXT NOT NULL,             -- JSON list
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,                 -- what loads it; empty for the shipped model
    fingerprint TEXT NOT NULL UNIQUE,
    dim INTEGER NOT NULL,
    dtype TEXT NOT NULL
);
CREATE TABLE segments (
    id INTEGER PRIMARY KEY,
    model INTEGER NOT NULL REFERENCES models(id),
    path TEXT NOT NULL UNIQUE,          -- below the library
    rows INTEGER NOT NULL               -- rows that count; what lies behind them in the file does not
);
CREATE TABLE vectors (
    model INTEGER NOT NULL REFERENCES models(id),
    segment INTEGER NOT NULL REFERENCES segments(id),
    row INTEGER NOT NULL,
    photo INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE,
    PRIMARY KEY (model, segment, row)
) WITHOUT ROWID;
CREATE UNIQUE INDEX vector_of_photo ON vectors (photo, model);
"""

# Came later; made where they are missing, and until then a library has none.
LATER = """
CREATE TABLE IF NOT EXISTS mounts (     -- folders on drives of their own
    root INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
    path BLOB NOT NULL,                 -- below the root
    device INTEGER NOT NULL,            -- st_dev when it was last there
    PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sums (       -- what rows of segments were when they were written
    segment INTEGER NOT NULL REFERENCES segments(id) ON DELETE CASCADE,
    row INTEGER NOT NULL,               -- the first of
    rows INTEGER NOT NULL,              -- so many
    crc INTEGER NOT NULL,               -- CRC-32 of their bytes
    PRIMARY KEY (segment, row)
) WITHOUT ROWID
"""
