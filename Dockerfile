# The gateway as an image: one binary, an unprivileged user, nothing else of ours.
#
#   docker build -t gongpai .
#   docker run -p 8080:8080 -v gongpai:/data -v ./gongpai.toml:/etc/gongpai/gongpai.toml:ro gongpai

# Both images by digest: what is behind a tag changes without a line changing here. A newer one:
#   docker buildx imagetools inspect rust:1.95-slim-bookworm
FROM rust:1.95-slim-bookworm@sha256:d7482085ff5b415f84dba5647ae71606650bdef00db7aeb69f4b3d170c3e4082 AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies alone, so that this layer is built again only when the lock file changes: an empty program
# and an empty library stand in for ours.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/architecture tests/documentation tests/it tests/bench \
 && for file in src/lib.rs tests/architecture/main.rs tests/documentation/main.rs tests/it/main.rs; do : > "$file"; done \
 && for file in src/main.rs $(sed -n 's/^path = "\(src\/bin\/.*\)"$/\1/p' Cargo.toml) tests/bench/gate.rs; \
    do mkdir -p "$(dirname "$file")" && echo 'fn main() {}' > "$file"; done \
 && cargo build --release --locked --bin gongpai \
 && rm -rf src

COPY src src
COPY static static
# Cargo compares times of change: ours must be newer than what the empty program left.
RUN find src -name '*.rs' -exec touch {} + && cargo build --release --locked --bin gongpai

FROM debian:bookworm-slim@sha256:88200866dfff7ea7f5cbcb6ec7c8a701889efe6fe859fe64d6990e4b07ea4171
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /data gongpai \
 && install --directory --owner gongpai --group gongpai --mode 0700 /data
COPY --from=build /build/target/release/gongpai /usr/local/bin/gongpai

# In a container the outside is not loopback, so it has other defaults. The file (/etc/gongpai/gongpai.toml) wins over
# them, and over the file a variable without DEFAULT (GONGPAI_SERVER__LISTEN=…, GONGPAI_WECOM__CORP_ID=…).
# Who may send X-Forwarded-* is yours to say: server.trusted_proxies.
ENV GONGPAI_DEFAULT__DATA_DIR=/data \
    GONGPAI_DEFAULT__SERVER__LISTEN=0.0.0.0:8080 \
    GONGPAI_DEFAULT__SERVER__ADMIN_LISTEN=0.0.0.0:9090
USER 10001:10001
WORKDIR /etc/gongpai
VOLUME /data
# 8080 for the proxy; 9090 (/healthz /readyz /metrics /docs/) for the orchestrator, which asks it instead of a HEALTHCHECK.
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/gongpai"]
CMD ["serve"]
