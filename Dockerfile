# The Echo2ECG service. Two builds of one file:
#   GPU host:  docker build -t echo2ecg .
#   CPU only:  docker build -t echo2ecg --build-arg BASE_IMAGE=debian:bookworm-slim --build-arg EXTRA=cpu .
# Python comes from the base's distribution (3.12 on Ubuntu 24.04, 3.11 on Debian 12).
ARG BASE_IMAGE=nvidia/cuda:12.9.1-runtime-ubuntu24.04

FROM ${BASE_IMAGE} AS python
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv ca-certificates \
    && rm -rf /var/lib/apt/lists/*

FROM python AS build
ARG EXTRA=gpu
WORKDIR /src
# Dependencies first: they change less often than code, so this layer is kept.
COPY pyproject.toml constraints.txt ./
COPY deploy/requirements.py deploy/
RUN python3 -m venv /opt/venv \
    && python3 deploy/requirements.py "${EXTRA}" formats gdcm > requirements.txt \
    && /opt/venv/bin/pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt
COPY README.md ./
COPY app app
COPY cli cli
COPY cohorts cohorts
COPY embedding embedding
COPY ground ground
COPY index index
COPY inputs inputs
COPY models models
COPY outputs outputs
COPY simulator simulator
COPY training training
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps .

FROM python AS service
RUN groupadd --gid 10001 echo2ecg \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin echo2ecg \
    && install -d -o 10001 -g 10001 /data/index /data/keys /data/cohorts
COPY --from=build /opt/venv /opt/venv
COPY bundles /bundles
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/tmp/numba \
    ECHO2ECG_BUNDLE_DIR=/bundles/demo \
    ECHO2ECG_INDEX_DIR=/data/index
USER 10001:10001
WORKDIR /
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-I", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["echo2ecg"]
CMD ["serve", "--host", "127.0.0.1", "--port", "8000"]
