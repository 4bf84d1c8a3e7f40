# vtssi-pyro on a CPU:
#   docker build -t vtssi-pyro .
#   docker run --rm -v "$PWD:/data" vtssi-pyro track untrained beads.mp4
# Results belong to the caller with --user "$(id -u):$(id -g)".
FROM python:3.13-slim

WORKDIR /src
COPY pyproject.toml setup.cfg README.md LICENSE constraints.txt ./
COPY vtssi_pyro vtssi_pyro
COPY cli cli
# PyTorch's own index has builds without CUDA, a tenth of the size; the pin of constraints.txt is of both.
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
    -c constraints.txt '.[video,tables,formats]'

# matplotlib's cache, whoever the user is
ENV MPLCONFIGDIR=/tmp
RUN useradd --create-home --uid 1000 user
USER 1000
WORKDIR /data
ENTRYPOINT ["vtssi-pyro"]
CMD ["--help"]
