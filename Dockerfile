# Darkroom in a container. The drivers of an NVIDIA card come from the host: docker run --gpus all.
FROM python:3.11-slim-bookworm

WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore -r requirements.txt

COPY . .
# Not root, and its number known: whoever mounts a folder of the host here can give it to 1000. Whatever the modes were
# in the checkout, every number can read the program, and none but root can change it.
RUN useradd --uid 1000 --create-home darkroom && mkdir -p models history cache && chown darkroom models history cache \
    && chmod -R a+rX,go-w .
USER darkroom

# Inside a container, 127.0.0.1 is reached by nobody; who may reach the port is decided where it is published.
ENV DARKROOM_SERVER__HOST=0.0.0.0 PYTHONUNBUFFERED=1
EXPOSE 6006
VOLUME ["/app/models", "/app/history", "/app/cache"]
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:6006/health', timeout=4)"]

CMD ["python", "app.py"]
