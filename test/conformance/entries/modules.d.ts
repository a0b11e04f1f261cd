/** Modules of data that workerd's configuration names (workerd.ts). */
declare module '*.bin' {
  const bytes: ArrayBuffer
  export default bytes
}
declare module '*.onnx' {
  const bytes: ArrayBuffer
  export default bytes
}
declare module 'recording.json' {
  const notes: unknown
  export default notes
}
