# Darkroom in a container. The drivers of an NVIDIA card come from the host: docker run --gpus all.
FROM python:3.11-slim-bookworm

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore -r requirements.txt

COPY . .
# Not root, and its number known: whoever mounts a folder of the host here can give it to 1000.
RUN useradd --uid 1000 --create-home darkroom && mkdir -p models history && chown darkroom models history \
    && chmod -R a+rX .
USER darkroom

# Inside a container, 127.0.0.1 is reached by nobody; who may reach the port is decided where it is published.
# torch asks for the user's name to name its cache, and fails for a number without one (docker run --user 1234).
ENV DARKROOM_SERVER__HOST=0.0.0.0 TORCHINDUCTOR_CACHE_DIR=/tmp/torchinductor PYTHONUNBUFFERED=1
EXPOSE 6006
VOLUME ["/app/models", "/app/history"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:6006/health', timeout=4)"]

CMD ["python", "app.py"]
