# The service in a container; docs/deploy.md says how to use it.

# Where what it is made of comes from, for who has a mirror: --build-arg BASE=... --build-arg PIP_INDEX_URL=...
ARG BASE=python:3.12-slim

FROM ${BASE} AS build
# pip reads both; left out, it asks PyPI
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
RUN python -m venv /opt/sterna
WORKDIR /src
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN /opt/sterna/bin/pip install --no-cache-dir '.[server,watch,heic]'

FROM ${BASE}
# Whose files the library and the photographs are: 1000 is the first user of most machines.
ARG UID=1000
ARG GID=1000
RUN groupadd --gid "$GID" sterna \
    && useradd --uid "$UID" --gid "$GID" --no-create-home --home-dir /library --shell /usr/sbin/nologin sterna \
    && install -d -o "$UID" -g "$GID" -m 700 /library \
    && install -d /photos
COPY --from=build /opt/sterna /opt/sterna
ENV PATH=/opt/sterna/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    STERNA_LIBRARY=/library/sterna
USER sterna
WORKDIR /library
# /library is kept; /photos is where the photographs are mounted, to be read alone.
VOLUME /library
EXPOSE 8265
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8265/healthz', timeout=4)"]
ENTRYPOINT ["sterna"]
CMD ["serve", "--host", "0.0.0.0", "--watch"]
