# The page with torch for the CPU: docker build -t inpaint . && docker run -p 7860:7860 inpaint
FROM python:3.11-slim

WORKDIR /app
COPY requirements.txt ./
# Of two builds of a version of torch, "+cpu" counts as the newer one.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu -r requirements.txt

COPY app.py ./
COPY inpaint ./inpaint
COPY assets ./assets

RUN useradd --create-home --uid 1000 inpaint
USER inpaint
ENV INPAINT_HOST=0.0.0.0 INPAINT_PORT=7860 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['INPAINT_PORT'] + '/robots.txt', timeout=4)"]
CMD ["python", "app.py"]
