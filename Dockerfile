# docker build --target cpu --tag lossylab .
# docker build --target gpu --tag lossylab:gpu .
# docker run --rm --volume "$PWD:/here" lossylab compress /here/photo.png /here/photo.lossy
#
# The environment is that of make, by lock file; no images and no weights are downloaded. Data sets
# go to /data, what is kept between runs to /cache.

FROM python:3.11-slim-bookworm AS cpu
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /lossylab
COPY . .
RUN make setup && .venv/bin/lossylab doctor
ENV PATH=/lossylab/.venv/bin:$PATH LOSSYLAB_DATA=/data LOSSYLAB_CACHE=/cache
VOLUME ["/data", "/cache"]
ENTRYPOINT ["lossylab"]
CMD ["--help"]

# Needs NVIDIA's container toolkit and a driver for CUDA 11.8; the libraries come as wheels.
FROM cpu AS gpu
RUN make setup-gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
