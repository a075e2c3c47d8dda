"""What a service is told: where it listens, who may come in, and how much of anything it takes."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from sterna.settings import Settings

__all__ = ["Limits", "ServerSettings", "is_loopback"]

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.\-]+(:\d{1,5})?|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?")
_SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine's own and reached by nobody else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class Limits(Settings):
    """How much of anything a service takes; sizes are bytes.

    Arguments:
        body: the most of one request, `json_body` of one without images, and `bodies` of all that are read at
            one time.
        upload_seconds: how long a request's body may take to come.
        image: the most of one uploaded image, `pixels` its width times height; `decoded` the pixels of all
            that are decoded at one time.
        decode_seconds: how long decoding one image may take before the process that does it is ended.
        decoders: processes that decode.
        k: the most hits of a page, and `offset` the last that pages lead to.
        text: letters of one text; `texts` and `images` so many in one request.
        parts: things that are added to and taken from a query.
        queue: texts, images and other work that wait; more are answered with 503.
        batch: texts or images embedded together; `batch_wait` seconds that the first waits for others.
        requests: requests that are answered at one time, and as many at the addresses that answer anybody;
            `watchers` of them follow a job.
        explaining: explanations that wait, comparisons for duplicates, and searches that read photographs
            again: each takes seconds.
        zips: ZIPs of several photographs that are made and sent at one time; none waits.
        fetches: images that are fetched at one time, and `fetch_seconds` how long one may take in all.
        rerank: the most photographs that a search reads again.
        threads: threads that search, open files and read the catalogue.
        thumbnails: small pictures kept in memory.
    """

    body: int = Field(default=32_000_000, ge=1000)
    json_body: int = Field(default=4_000_000, ge=1000)
    bodies: int = Field(default=256_000_000, ge=1000)
    upload_seconds: float = Field(default=30.0, gt=0)
    image: int = Field(default=25_000_000, ge=1000)
    pixels: int = Field(default=60_000_000, ge=1)
    decoded: int = Field(default=180_000_000, ge=1)
    decode_seconds: float = Field(default=10.0, gt=0)
    decoders: int = Field(default=2, ge=1, le=64)
    k: int = Field(default=200, ge=1)
    offset: int = Field(default=10_000, ge=0)
    text: int = Field(default=2000, ge=1)
    texts: int = Field(default=256, ge=1)
    images: int = Field(default=16, ge=1)
    parts: int = Field(default=16, ge=0)
    queue: int = Field(default=512, ge=1)
    batch: int = Field(default=32, ge=1)
    batch_wait: float = Field(default=0.003, ge=0, le=1)
    requests: int = Field(default=128, ge=1)
    watchers: int = Field(default=16, ge=0)
    explaining: int = Field(default=8, ge=1)
    zips: int = Field(default=8, ge=1)
    fetches: int = Field(default=4, ge=1, le=64)
    fetch_seconds: float = Field(default=10.0, gt=0)
    rerank: int = Field(default=100, ge=0)
    threads: int = Field(default=4, ge=1, le=64)
    thumbnails: int = Field(default=64_000_000, ge=0)


class ServerSettings(Settings):
    """How a service runs.

    Arguments:
        host: the address or name that it listens at; another than this machine's own needs a token.
        port: 0 takes any that is free.
        token: what every request has to bear, `None` for none; 16 signs or more.
        allowed_hosts: further names by which it is reached, such as that of a proxy in front of it.
        cors: pages of these origins ("https://example.org") may ask from a browser, too.
        allow_roots: folders in which a job may add folders to the library; none: it may add none.
        watch: keep the library up to date while files in its folders change, as `Library.watch` does.
        fetch_images: a request may name the address of an image on the public Internet, which is fetched.
        log_json: log lines are JSON.
        limits: how much of anything it takes.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8265, ge=0, le=65535)
    token: SecretStr | None = None
    allowed_hosts: tuple[str, ...] = ()
    cors: tuple[str, ...] = ()
    allow_roots: tuple[Path, ...] = ()
    watch: bool = False
    fetch_images: bool = False
    log_json: bool = False
    limits: Limits = Limits()

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None:
            text = token.get_secret_value()
            if len(text) < _SHORTEST_TOKEN or not text.isascii() or not text.isprintable() or " " in text:
                raise ValueError(
                    f"a token has {_SHORTEST_TOKEN} or more letters, digits and signs, no spaces"
                )
        return token

    @field_validator("cors")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin; write one such as https://example.org")
        return origins

    @field_validator("allow_roots")
    @classmethod
    def _folders(cls, folders: tuple[Path, ...]) -> tuple[Path, ...]:
        return tuple(folder.expanduser().resolve() for folder in folders)

    @model_validator(mode="after")
    def _guarded(self) -> ServerSettings:
        if not is_loopback(self.host) and self.token is None:
            raise ValueError(f"host={self.host!r} can be reached by others, so a token is needed")
        return self
