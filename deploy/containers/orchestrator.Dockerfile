# The orchestrate process: talks to vCenter, keeps the ledger, joins the Dask cluster. Reads no disk itself.
# Build from the checkout's root: docker build -f deploy/containers/orchestrator.Dockerfile -t orchestrate/orchestrator .
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
LABEL org.opencontainers.image.title="orchestrate" \
      org.opencontainers.image.description="Turns the Linux VMs of a vSphere datacenter into container images" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates python3 util-linux \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/orchestrate --create-home orchestrate
COPY --from=build /opt/orchestrate /opt/orchestrate
ENV PATH=/opt/orchestrate/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/orchestrate
ENTRYPOINT ["orchestrate"]
