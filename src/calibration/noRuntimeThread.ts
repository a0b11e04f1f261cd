/**
 * "#runtimeThread" of package.json in pages and at the edge. A page that must not stand still runs quantizeModel in a worker of
 * its own, as the demo does, or sets `env.wasm.proxy` of onnxruntime-web.
 */
export const startThread = null
