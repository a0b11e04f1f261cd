/**
 * What package.json's "#onnxruntime" means in a page: the /wasm entry, with the same wasm build (14 MB) that the main
 * entry reads in Node; in a page the main entry brings WebGPU along (27 MB).
 */
export * from 'onnxruntime-web/wasm'
