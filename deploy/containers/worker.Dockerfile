# A Dask worker, and the Dask scheduler: reads disks, converts, pushes. Holds no vCenter credentials.
# Build from the checkout's root: docker build -f deploy/containers/worker.Dockerfile -t orchestrate/worker .
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS build
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY converters converters
COPY orchestrator orchestrator
RUN python3 -m venv /opt/orchestrate \
    && /opt/orchestrate/bin/pip install --no-cache-dir -c constraints.txt .

FROM ${BASE}
LABEL org.opencontainers.image.title="orchestrate-worker" \
      org.opencontainers.image.description="Converts disks of Linux VMs into container images, as a Dask worker" \
      org.opencontainers.image.licenses="Apache-2.0"
# e2fsprogs brings libext2fs; user-mode-linux and busybox-static recover dirty file systems; libguestfs (with QEMU
# and a kernel for its appliance) reads what the others cannot.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
       busybox-static ca-certificates e2fsprogs libguestfs-tools linux-image-amd64 python3 python3-guestfs \
       python3-libnbd qemu-system-x86 qemu-utils user-mode-linux util-linux \
    && rm -rf /var/lib/apt/lists/* \
    && chmod 0644 /boot/vmlinuz-* \
    && useradd --system --uid 10001 --home-dir /var/lib/orchestrate --create-home orchestrate
COPY --from=build /opt/orchestrate /opt/orchestrate
# Of Debian's own Python modules, exactly these two.
RUN ln -s /usr/lib/python3/dist-packages/guestfs.py /usr/lib/python3/dist-packages/libguestfsmod*.so \
       /usr/lib/python3/dist-packages/nbd.py /usr/lib/python3/dist-packages/libnbdmod*.so \
       /opt/orchestrate/lib/python3*/site-packages/
ENV PATH=/opt/orchestrate/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/orchestrate
ENTRYPOINT ["dask", "worker"]
CMD ["--help"]
