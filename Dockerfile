# The image of the service and of the build step of tekton/: api, worker, migrate, build-index, build-bundle.
#
#   docker build .        everything is fetched and built (opm from source: some minutes)
#   make image            the same with buildah and what this machine has already; no registry is needed
#
# The stages `opm` and `packages` keep what their image brings along: `make image` gives them one with the finished
# executables and packages.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
ARG GO_IMAGE=docker.io/library/golang:1.26-bookworm@sha256:a688600ca24f8a4d3ca77f95b0dd40704a9fc787c826660eb7ba0b641b8b175d
ARG NODE_IMAGE=docker.io/library/node:24.18.0-bookworm-slim@sha256:6f7b03f7c2c8e2e784dcf9295400527b9b1270fd37b7e9a7285cf83b6951452d

# opm in both versions; go.sum vouches for every source file.
FROM ${GO_IMAGE} AS opm
WORKDIR /build
COPY scripts/tools.sh scripts/
COPY tools/opm tools/opm
RUN test -d /opt/opm || { INDEXWRIGHT_CACHE=/build/cache scripts/tools.sh opm && mkdir /opt/opm && cp -L .tools/bin/opm-* /opt/opm/; }

# Packages of production and Node itself, by the lock file.
FROM ${NODE_IMAGE} AS packages
WORKDIR /packages
COPY package.json package-lock.json .npmrc ./
COPY scripts/production-packages.sh scripts/
RUN test -d node_modules || scripts/production-packages.sh .

# One layer of ours, readable by any user whatever the modes of the checkout were.
FROM ${BASE_IMAGE} AS service
WORKDIR /opt/indexwright
COPY --from=packages /packages/node_modules node_modules
COPY package.json ./
COPY bin bin
COPY migrations migrations
COPY tekton tekton
COPY manifests/tenant manifests/tenant
COPY src src
RUN chmod -R u=rwX,go=rX /opt/indexwright

FROM ${BASE_IMAGE}
# git and skopeo for the worker and the build step, libstdc++ for Node; tini reaps what children leave behind when a group is killed. What
# skopeo's package brings along for container networks is dropped.
RUN if ! command -v git || ! command -v skopeo || ! command -v tini; then \
      apt-get update && \
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates 'git=1:2.39.*' libstdc++6 'skopeo=1.9.*' tini && \
      rm -rf /var/lib/apt/lists/* /var/log/* /usr/lib/cni; \
    fi && \
    find / -xdev -type f -perm /6000 -exec chmod a-s {} + && \
    install -d -m 0775 -o 1001 -g 0 /var/lib/indexwright && \
    ln -s /opt/indexwright/bin/indexwright /usr/local/bin/indexwright
COPY --from=opm /opt/opm /opt/opm
COPY --from=service /opt/indexwright /opt/indexwright
# Any user may run it; the root file system is never written to. /tmp, and the worker's stateDir, must be writable.
ENV HOME=/tmp TMPDIR=/tmp INDEXWRIGHT_OPM_DIR=/opt/opm
WORKDIR /var/lib/indexwright
USER 1001:0
EXPOSE 8080
LABEL org.opencontainers.image.title="indexwright" \
      org.opencontainers.image.description="Manages OLM operator index images the GitOps way" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/usr/bin/tini", "-s", "--", "/opt/indexwright/bin/indexwright"]
CMD ["--help"]
