# The bare runtime: bundle first (README.md), then `workerd serve config.capnp`. `wrangler dev` does both.
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [(name = "layer", worker = .layer)],
  sockets = [(name = "http", address = "127.0.0.1:8787", http = (), service = "layer")],
);

const layer :Workerd.Worker = (
  compatibilityDate = "2026-01-01",
  modules = [
    (name = "src/platform/worker.js", esModule = embed "bundle.js"),
    (name = "gpfq.wasm", wasm = embed "gpfq.wasm"),
  ],
);
