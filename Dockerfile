# The gateway as an image: one binary, an unprivileged user, nothing else of ours.
#
#   docker build -t gongpai .
#   docker run -p 8080:8080 -v gongpai:/data -v ./gongpai.toml:/etc/gongpai/gongpai.toml:ro gongpai

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies alone, so that this layer is built again only when the lock file changes: an empty program
# and an empty library stand in for ours.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src tests/it tests/bench \
 && for file in src/lib.rs tests/architecture.rs tests/it/main.rs; do : > "$file"; done \
 && for file in src/main.rs $(sed -n 's/^path = "\(src\/bin\/.*\)"$/\1/p' Cargo.toml) tests/bench/gate.rs; \
    do mkdir -p "$(dirname "$file")" && echo 'fn main() {}' > "$file"; done \
 && cargo build --release --locked --bin gongpai \
 && rm -rf src

COPY src src
COPY static static
# Cargo compares times of change: ours must be newer than what the empty program left.
RUN find src -name '*.rs' -exec touch {} + && cargo build --release --locked --bin gongpai

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --user-group --no-create-home --home-dir /data gongpai \
 && install --directory --owner gongpai --group gongpai --mode 0700 /data
COPY --from=build /build/target/release/gongpai /usr/local/bin/gongpai

# In a container the outside is not loopback. These three win over the file; everything else is the file's
# (/etc/gongpai/gongpai.toml) or comes from the environment as well (GONGPAI_WECOM__CORP_ID=…).
# Who may send X-Forwarded-* is yours to say: server.trusted_proxies.
ENV GONGPAI_DATA_DIR=/data \
    GONGPAI_SERVER__LISTEN=0.0.0.0:8080 \
    GONGPAI_SERVER__ADMIN_LISTEN=0.0.0.0:9090
USER 10001:10001
WORKDIR /etc/gongpai
VOLUME /data
# 8080 for the proxy; 9090 (/healthz /readyz /metrics) for the orchestrator, which asks it instead of a HEALTHCHECK.
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/gongpai"]
CMD ["serve"]
