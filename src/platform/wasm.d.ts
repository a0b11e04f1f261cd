/** Imports of WebAssembly files in edge runtimes: their bundlers turn them into compiled modules. */
declare module '*.wasm' {
  const module: WebAssembly.Module
  export default module
}
declare module '*.wasm?module' {
  const module: WebAssembly.Module
  export default module
}
