FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY deploy/packages.sh deploy/
RUN deploy/packages.sh build
# Both are for builders behind a mirror: docker build --build-arg GOPROXY=...
ARG GOPROXY
ARG GOFLAGS
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG RELEASE
RUN go build -trimpath -buildvcs=false -ldflags "-s -w -X main.release=${RELEASE}" -o /cloudretro ./cmd/cloudretro

FROM debian:bookworm-slim
COPY deploy/packages.sh /tmp/
RUN /tmp/packages.sh image run && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /tmp/packages.sh \
    && useradd --uid 10001 --user-group --create-home --home-dir /data cloudretro \
    && install -d -o cloudretro -g cloudretro /data/games /data/saves \
    && install -d -m 700 -o cloudretro -g cloudretro /data/acme
COPY --from=build /cloudretro /usr/local/bin/cloudretro
COPY LICENSE /usr/share/doc/cloudretro/
# library.basePath, emulator.storage and coordinator.server.tls.acme.cacheDir are
# games, saves and acme in here by default.
WORKDIR /data
VOLUME /data/saves /data/acme
USER 10001:10001
# page, probe, operations; media, TURN
EXPOSE 8000/tcp 9000/tcp 9090/tcp 8443/udp 3478/udp 3478/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["cloudretro", "health"]
ENTRYPOINT ["cloudretro"]
