# Serves saved models over HTTP. Build, and serve the model in a folder:
#   docker build --tag automtl .
#   docker run --publish 8000:8000 --volume "$PWD/runs/clicks:/model:ro" automtl
# TORCH_SOURCE: what pip is told to get torch from; "--index-url <address of the CPU wheels>" makes a smaller image.
# EXTRAS: "serve,catboost" for models with trees of CatBoost.
FROM python:3.11-slim

ARG TORCH_SOURCE="--constraint constraints.txt"
ARG EXTRAS="serve"

# LightGBM needs the system's OpenMP library.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY constraints.txt pyproject.toml README.md LICENSE ./
RUN pip install --no-cache-dir ${TORCH_SOURCE} torch
COPY src ./src
RUN pip install --no-cache-dir --constraint constraints.txt ".[${EXTRAS}]"

RUN useradd --create-home --uid 10001 automtl
USER automtl
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["automtl"]
CMD ["serve", "/model", "--host", "0.0.0.0", "--port", "8000"]
